package postgres

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"math"
	"slices"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/fault"
)

// lanes make concurrent calls on single keys, of whatever namespaces, statements of several rows.
type lanes struct {
	reads   *backend.Lane[readCall]
	sets    *backend.Lane[setCall]
	deletes *backend.Lane[deleteCall]
}

// readCall is a Get, or an Exists, which does not want the value.
type readCall struct {
	row
	wanted bool

	found bool
	value []byte
	left  bool // the value was too large for the company
}

// setCall is a Set, or a SetWithTTL. A batch has each row once.
type setCall struct {
	row
	value octets
	ttl   int64 // in milliseconds; 0 when it does not expire

	err error
}

// deleteCall is a Delete. A batch has each row once.
type deleteCall struct {
	row

	deleted bool
	err     error
}

func newLanes(s *Store) lanes {
	config := s.config.GetCoalescing()
	return lanes{
		reads: backend.NewLane(s.ctx, s.env, "read", config, nil, s.readRows),
		sets: backend.NewLane(s.ctx, s.env, "write", config, func(c *setCall) string { return c.id() }, func(ctx context.Context, batch []*setCall) error {
			return eachAlone(ctx, batch, s.setRows, func(c *setCall) *error { return &c.err })
		}),
		deletes: backend.NewLane(s.ctx, s.env, "delete", config, func(c *deleteCall) string { return c.id() }, func(ctx context.Context, batch []*deleteCall) error {
			return eachAlone(ctx, batch, s.deleteRows, func(c *deleteCall) *error { return &c.err })
		}),
	}
}

// eachAlone runs a batch, and when that fails for another reason than that the server is not there, each of its calls alone, so that one bad call fails only its caller.
func eachAlone[C any](ctx context.Context, batch []*C, run func(context.Context, []*C) error, own func(*C) *error) error {
	for _, call := range batch {
		*own(call) = nil // it may be made again
	}
	err := run(ctx, batch)
	if err == nil || len(batch) == 1 || ctx.Err() != nil || fault.CodeOf(err) == fault.Unavailable {
		return err
	}
	for _, call := range batch {
		*own(call) = run(ctx, []*C{call})
	}
	return nil
}

// The lateral query with "offset 0" is one that the planner runs for each key, whatever it thinks of the table's size.
const readStatement = `select w.at::int, case when octet_length(kv.value) <= w.most then kv.value end
from unnest($1::int[], $2::bytea[], $3::int[]) with ordinality w (namespace, key, most, at),
lateral (select value from kv where namespace = w.namespace and key = w.key and (expires is null or expires > clock_timestamp()) offset 0) kv`

// readRows reads the rows of calls.
func (s *Store) readRows(ctx context.Context, batch []*readCall) error {
	most := int32(maxShared)
	if len(batch) == 1 {
		most = math.MaxInt32
	}
	namespaces, keys := columns(batch, func(c *readCall) *row { return &c.row })
	sizes := make(pgtype.FlatArray[int32], len(batch))
	for i, call := range batch {
		call.found, call.value, call.left = false, nil, false
		sizes[i] = -1
		if call.wanted {
			sizes[i] = most
		}
	}
	return s.rows(ctx, readStatement, []any{namespaces, keys, sizes}, func(values [][]byte) {
		call := batch[position(values[0])]
		call.found = true
		call.left = call.wanted && values[1] == nil
		call.value = bytes.Clone(values[1])
	})
}

const setStatement = `insert into kv (namespace, key, value, expires)
select namespace, key, value, case when ttl > 0 then clock_timestamp() + ttl * interval '1 millisecond' end
from unnest($1::int[], $2::bytea[], $3::bytea[], $4::bigint[]) w (namespace, key, value, ttl)
on conflict (namespace, key) do update set value = excluded.value, expires = excluded.expires`

// setRows writes the rows of calls, each of another row, in the order of the rows: all who lock several rows take them in that order.
func (s *Store) setRows(ctx context.Context, batch []*setCall) error {
	sorted := inOrder(batch, func(c *setCall) *row { return &c.row })
	namespaces, keys := columns(sorted, func(c *setCall) *row { return &c.row })
	values := make(pgtype.FlatArray[*octets], len(sorted))
	ttls := make(pgtype.FlatArray[int64], len(sorted))
	for i, call := range sorted {
		values[i], ttls[i] = &call.value, call.ttl
	}
	return s.rows(ctx, setStatement, []any{namespaces, keys, values, ttls}, nil)
}

const deleteStatement = `delete from kv using unnest($1::int[], $2::bytea[]) with ordinality w (namespace, key, at)
where kv.namespace = w.namespace and kv.key = w.key returning w.at::int, kv.expires is null or kv.expires > clock_timestamp()`

// deleteRows removes the rows of calls, each of another row, in the order of the rows.
func (s *Store) deleteRows(ctx context.Context, batch []*deleteCall) error {
	sorted := inOrder(batch, func(c *deleteCall) *row { return &c.row })
	for _, call := range sorted {
		call.deleted = false
	}
	namespaces, keys := columns(sorted, func(c *deleteCall) *row { return &c.row })
	return s.rows(ctx, deleteStatement, []any{namespaces, keys}, func(values [][]byte) {
		sorted[position(values[0])].deleted = values[1][0] != 0
	})
}

// rows runs a statement of several rows and shows each row of its answer, in the binary format; what is shown is good until the next one. A batch has no caller's deadline, so it has the
// configured one. Errors are mapped here, so that the callers of a batch share one.
func (s *Store) rows(ctx context.Context, statement string, arguments []any, show func(values [][]byte)) error {
	bounded, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	rows, err := s.pool.Query(bounded, statement, arguments...)
	if err == nil {
		for rows.Next() {
			show(rows.RawValues())
		}
		err = rows.Err()
	}
	return failure(ctx, "postgres.keyvalue", err)
}

// columns are the rows' names as two arrays.
func columns[C any](batch []*C, of func(*C) *row) (pgtype.FlatArray[int32], pgtype.FlatArray[*octets]) {
	namespaces := make(pgtype.FlatArray[int32], len(batch))
	keys := make(pgtype.FlatArray[*octets], len(batch))
	for i, call := range batch {
		at := of(call)
		namespaces[i], keys[i] = at.namespace, &at.key
	}
	return namespaces, keys
}

// inOrder returns a batch in the order of its rows.
func inOrder[C any](batch []*C, of func(*C) *row) []*C {
	return slices.SortedFunc(slices.Values(batch), func(a, b *C) int {
		x, y := of(a), of(b)
		return cmp.Or(cmp.Compare(x.namespace, y.namespace), bytes.Compare(x.key, y.key))
	})
}

// octets are a value of a column of bytes. The elements of an array are pointers to it: a slice takes an allocation to become an element.
type octets []byte

// BytesValue implements [pgtype.BytesValuer].
func (o *octets) BytesValue() ([]byte, error) { return *o, nil }

// position is a number of the server's, counted from 1, as an index.
func position(value []byte) int { return int(binary.BigEndian.Uint32(value)) - 1 }
