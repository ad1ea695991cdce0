package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

// advanceBite is how many messages whose time has come a transaction looks after; what is left is the next one's.
const advanceBite = 256

// kind is what a call asks of the queues.
type kind int

const (
	enqueueing kind = iota
	acknowledging
	extending
	releasing
	taking
	advancing // lets happen what is due, and nothing else
)

// queueCall is one call: what is asked, and room for the answer.
type queueCall struct {
	ctx   context.Context //nolint:containedctx // who takes a message is asked before the transaction ends whether it still waits
	kind  kind
	queue string
	alone string // two calls that have it in common go one after the other

	content  []byte
	priority int16
	key      []byte
	reason   []byte
	id       int64         // of the message; an enqueueing call's answer
	lease    string        // empty: taken for good
	lasting  time.Duration // of the lease, or the delay

	ok        bool // there was a message, or a lease
	duplicate bool
	due       *time.Time
	message   *queuev1.Message
	life      string // of the server, whose disk is to be waited for
}

// batch is what calls that are made at once become: a few statements in one transaction, in an order that the calls, which overlap, may have come in.
type batch struct {
	queue *queue
	calls []*queueCall
	// shown are the queues where messages became visible, and how many.
	shown map[string]int
	// more tells that more is due than one transaction looks after.
	more bool
}

// run makes calls in one transaction. Of calls that have ended before the transaction no message is taken: then it is made again without them.
func (q *queue) run(ctx context.Context, calls []*queueCall) error {
	b := &batch{queue: q, calls: calls}
	err := q.store.do(ctx, "postgres.queue", false, func(ctx context.Context) error {
		for {
			for _, c := range calls {
				c.ok = false // what was found before was undone, also for those that are left out
			}
			done, err := b.try(ctx)
			if done || err != nil {
				return err
			}
			b.calls = slices.DeleteFunc(slices.Clone(b.calls), (*queueCall).gone)
		}
	})
	if err != nil {
		return err
	}
	q.announce(b)
	return nil
}

// gone tells that a call that would take a message has ended.
func (c *queueCall) gone() bool { return c.kind == taking && c.ctx.Err() != nil }

// try makes the calls. It tells false when one that would have taken a message has ended meanwhile, and nothing has happened. When no message can be taken it is one exchange with the
// server, else two.
func (b *batch) try(ctx context.Context) (done bool, err error) {
	b.shown, b.more = make(map[string]int), false
	conn, err := b.queue.store.pool.Acquire(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Release() // it drops a connection that is left in a transaction
	life, err := lifeOf(ctx, conn)
	if err != nil {
		return false, err
	}
	for _, c := range b.calls {
		c.life = life
	}
	takes := slices.ContainsFunc(b.calls, func(c *queueCall) bool { return c.kind == taking })
	statements := &pgx.Batch{}
	statements.Queue("begin")
	b.add(statements)
	if !takes {
		statements.Queue("commit")
	}
	if err := conn.SendBatch(ctx, statements).Close(); err != nil || !takes {
		return err == nil, err
	}
	if slices.ContainsFunc(b.calls, (*queueCall).gone) {
		_, err = conn.Exec(ctx, "rollback")
		return false, err
	}
	_, err = conn.Exec(ctx, "commit")
	return true, err
}

// add adds the statements of the calls to a pipeline.
func (b *batch) add(statements *pgx.Batch) {
	statements.Queue(lockSQL, b.queue.lock)
	b.addEnqueueing(statements, b.of(enqueueing))
	b.addReceipts(statements, acknowledgeSQL, b.of(acknowledging))
	b.addReceipts(statements, extendSQL, b.of(extending))
	b.addReceipts(statements, releaseSQL, b.of(releasing))
	statements.Queue(advanceSQL, b.queue.namespace, advanceBite).Query(b.advanced)
	taking := b.of(taking)
	for len(taking) > 0 {
		name := taking[0].queue
		same := slices.Collect(func(yield func(*queueCall) bool) {
			for _, c := range taking {
				if c.queue == name && !yield(c) {
					return
				}
			}
		})
		b.addTaking(statements, name, same)
		taking = slices.DeleteFunc(taking, func(c *queueCall) bool { return c.queue == name })
	}
}

func (b *batch) of(asked kind) []*queueCall {
	var found []*queueCall
	for _, c := range b.calls {
		if c.kind == asked {
			found = append(found, c)
		}
	}
	return found
}

// column returns a value of each call.
func column[T any](calls []*queueCall, value func(*queueCall) T) []T {
	values := make([]T, len(calls))
	for i, c := range calls {
		values[i] = value(c)
	}
	return values
}

func queueOf(c *queueCall) string  { return c.queue }
func leaseOf(c *queueCall) string  { return c.lease }
func lastingOf(c *queueCall) int64 { return microseconds(c.lasting) }
func microseconds(d time.Duration) int64 {
	return int64((d + time.Microsecond - 1) / time.Microsecond) // never early
}

func (b *batch) addEnqueueing(statements *pgx.Batch, calls []*queueCall) {
	if len(calls) == 0 {
		return
	}
	statements.Queue(enqueueSQL, b.queue.namespace, column(calls, queueOf), column(calls, func(c *queueCall) []byte { return c.content }),
		column(calls, func(c *queueCall) int16 { return c.priority }), column(calls, lastingOf), column(calls, func(c *queueCall) []byte { return c.key }),
	).Query(func(rows pgx.Rows) error {
		var n, id int64
		var duplicate bool
		var due *time.Time
		_, err := pgx.ForEachRow(rows, []any{&n, &id, &duplicate, &due}, func() error {
			c := calls[n-1]
			c.ok, c.id, c.duplicate, c.due = true, id, duplicate, due
			if !duplicate && due == nil {
				b.shown[c.queue]++
			}
			return nil
		})
		return err
	})
	if slices.ContainsFunc(calls, func(c *queueCall) bool { return c.key != nil }) {
		statements.Queue(sweepKeysSQL, 2*len(calls)) // more than come, so that they never pile up
	}
}

// addReceipts adds a statement about leases, which tells those that it has found.
func (b *batch) addReceipts(statements *pgx.Batch, sql string, calls []*queueCall) {
	if len(calls) == 0 {
		return
	}
	arguments := []any{b.queue.namespace, column(calls, queueOf), column(calls, func(c *queueCall) int64 { return c.id }), column(calls, leaseOf)}
	if sql != acknowledgeSQL {
		arguments = append(arguments, column(calls, lastingOf))
	}
	if sql == releaseSQL {
		arguments = append(arguments, column(calls, func(c *queueCall) []byte { return c.reason }))
	}
	statements.Queue(sql, arguments...).Query(func(rows pgx.Rows) error {
		var n int64
		var due *time.Time
		fields := []any{&n}
		if sql == extendSQL {
			fields = append(fields, &due)
		}
		_, err := pgx.ForEachRow(rows, fields, func() error {
			calls[n-1].ok, calls[n-1].due = true, due
			return nil
		})
		return err
	})
}

// advanced takes down where messages became visible.
func (b *batch) advanced(rows pgx.Rows) error {
	var name string
	count := 0
	_, err := pgx.ForEachRow(rows, []any{&name}, func() error {
		b.shown[name]++
		count++
		return nil
	})
	b.more = count == advanceBite
	return err
}

func (b *batch) addTaking(statements *pgx.Batch, name string, calls []*queueCall) {
	statements.Queue(takeSQL, b.queue.namespace, name, len(calls), column(calls, leaseOf), column(calls, lastingOf)).Query(func(rows pgx.Rows) error {
		var n int64
		var due *time.Time
		var m storedMessage
		_, err := pgx.ForEachRow(rows, append(append([]any{&n}, m.fields()...), &due), func() (err error) {
			c := calls[n-1]
			c.ok, c.id, c.due = true, *m.id, due
			c.message, err = m.message()
			return err
		})
		return err
	})
}
