package postgres

import (
	"bytes"
	"context"
	"strconv"

	"github.com/prismgate/prism/runtime/fault"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

const (
	// maxPage is the most keys that one statement of an enumeration reads.
	maxPage = 1000
	// maxPageBytes is the most bytes of values that one statement of an enumeration reads. The largest value fits.
	maxPageBytes = 1 << 20
	// maxKey is the longest key.
	maxKey = 1024
)

// The value is null where those up to it are too large together: the next statement begins there. It is empty when no values are asked for.
const (
	scanStatement = `select key, case when sum(octet_length(value)) over (order by key) <= $5 then value end from (
	select key, value from kv where namespace = $1 and key >= $2 and key < $3 and (expires is null or expires > clock_timestamp()) order by key limit $4
) page order by key`
	scanKeysStatement = `select key, ''::bytea from kv
where namespace = $1 and key >= $2 and key < $3 and (expires is null or expires > clock_timestamp()) order by key limit $4`
	countStatement = `select count(*) from kv where namespace = $1 and key >= $2 and key < $3 and (expires is null or expires > clock_timestamp())`
)

// Scan streams keys and values.
func (k *keyValue) Scan(ctx context.Context, request *keyvaluev1.ScanRequest, send func(*keyvaluev1.ScanResponse) error) error {
	page := page{procedure: "Scan", prefix: request.GetPrefix(), size: int(request.GetPageSize()), token: request.GetPageToken()}
	return k.enumerate(ctx, page, func(found match, token string) error {
		return send(&keyvaluev1.ScanResponse{Key: string(found.key), Value: found.value, PageToken: token})
	})
}

// ScanKeys streams keys.
func (k *keyValue) ScanKeys(ctx context.Context, request *keyvaluev1.ScanKeysRequest, send func(*keyvaluev1.ScanKeysResponse) error) error {
	page := page{procedure: "ScanKeys", prefix: request.GetPrefix(), size: int(request.GetPageSize()), token: request.GetPageToken()}
	return k.enumerate(ctx, page, func(found match, token string) error {
		return send(&keyvaluev1.ScanKeysResponse{Key: string(found.key), PageToken: token})
	})
}

// Count counts keys.
func (k *keyValue) Count(ctx context.Context, request *keyvaluev1.CountRequest) (*keyvaluev1.CountResponse, error) {
	response := &keyvaluev1.CountResponse{}
	err := k.store.do(ctx, "postgres.keyvalue.Count", true, func(ctx context.Context) error {
		return k.store.pool.QueryRow(ctx, countStatement, k.namespace, []byte(request.GetPrefix()), successor(request.GetPrefix())).Scan(&response.Count)
	})
	if err != nil {
		return nil, err
	}
	return response, nil
}

// page is what is asked of an enumeration: at most size keys (0: all) from where the token says.
type page struct {
	procedure string
	prefix    string
	size      int
	token     string
}

// binding is what the page's tokens are good for.
func (p page) binding(namespace int32) []string {
	return []string{strconv.Itoa(int(namespace)), p.procedure, p.prefix}
}

// match is a key that an enumeration has found.
type match struct{ key, value []byte }

// enumerate emits the keys of a page in their order, so that the last key is all that a token needs to hold: it may be deleted, and still tells which keys were before it. Nothing is open
// at the server while the client takes its time. One match is held back until it is known whether another follows: the last message of the last page must not carry a token.
func (k *keyValue) enumerate(ctx context.Context, page page, emit func(found match, token string) error) error {
	from := []byte(page.prefix)
	if page.token != "" {
		last, err := k.store.tokens.Open(page.token, page.binding(k.namespace)...)
		if err != nil {
			return err
		}
		from = behind(last)
	}
	var held match
	for count := 0; ; {
		limit := maxPage
		if page.size > 0 {
			limit = min(limit, page.size-count+1)
		}
		matches, more, err := k.matches(ctx, page, from, limit)
		if err != nil {
			return err
		}
		for _, found := range matches {
			if count > 0 && count == page.size {
				return emit(held, k.store.tokens.Seal(held.key, page.binding(k.namespace)...))
			}
			if count > 0 {
				if err := emit(held, ""); err != nil {
					return err
				}
				if err := ctx.Err(); err != nil {
					return err
				}
			}
			held = found
			count++
		}
		if !more {
			if count == 0 {
				return nil
			}
			return emit(held, "")
		}
		from = behind(held.key)
	}
}

// matches reads the next keys of an enumeration, and tells whether there may be more.
func (k *keyValue) matches(ctx context.Context, page page, from []byte, limit int) (found []match, more bool, err error) {
	statement, arguments := scanKeysStatement, []any{k.namespace, from, successor(page.prefix), limit}
	if page.procedure == "Scan" {
		statement, arguments = scanStatement, append(arguments, maxPageBytes)
	}
	err = k.store.do(ctx, "postgres.keyvalue."+page.procedure, true, func(ctx context.Context) error {
		found, more = nil, false
		read := 0
		err := k.store.rows(ctx, statement, arguments, func(values [][]byte) {
			read++
			if more = more || values[1] == nil; !more {
				found = append(found, match{bytes.Clone(values[0]), bytes.Clone(values[1])})
			}
		})
		more = more || read == limit
		if err == nil && more && len(found) == 0 {
			return fault.New(fault.Internal, "a value is larger than a page of values")
		}
		return err
	})
	return found, more, err
}

// behind is the first key that comes after a key.
func behind(key []byte) []byte { return append(bytes.Clone(key), 0) }

// successor is the first key that comes after all keys with a prefix.
func successor(prefix string) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			return append([]byte(prefix[:i]), prefix[i]+1)
		}
	}
	return bytes.Repeat([]byte{0xff}, maxKey+1)
}
