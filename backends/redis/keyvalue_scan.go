package redis

import (
	"context"
	_ "embed"

	"github.com/prismgate/prism/runtime/backend"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

const (
	// scanKeys and scanBytes bound what one exchange of an enumeration looks at and brings: the server does nothing else meanwhile.
	scanKeys, scanBytes = 500, 256 << 10
	// countKeys is how many keys one exchange counts.
	countKeys = 2000
)

var (
	//go:embed lua/keyvalue_scan.lua
	scanText string
	//go:embed lua/keyvalue_count.lua
	countText string

	scanScript  = newScript(scanText)
	countScript = newScript(countText)
)

// Scan streams keys and values.
func (k *keyValue) Scan(ctx context.Context, request *keyvaluev1.ScanRequest, send func(*keyvaluev1.ScanResponse) error) error {
	p := page{procedure: "Scan", prefix: request.GetPrefix(), size: int(request.GetPageSize()), token: request.GetPageToken(), bytes: scanBytes}
	return k.enumerate(ctx, p, func(found match, token string) error {
		return send(&keyvaluev1.ScanResponse{Key: found.key, Value: []byte(found.value), PageToken: token})
	})
}

// ScanKeys streams keys.
func (k *keyValue) ScanKeys(ctx context.Context, request *keyvaluev1.ScanKeysRequest, send func(*keyvaluev1.ScanKeysResponse) error) error {
	p := page{procedure: "ScanKeys", prefix: request.GetPrefix(), size: int(request.GetPageSize()), token: request.GetPageToken()}
	return k.enumerate(ctx, p, func(found match, token string) error {
		return send(&keyvaluev1.ScanKeysResponse{Key: found.key, PageToken: token})
	})
}

// Count counts keys.
func (k *keyValue) Count(ctx context.Context, request *keyvaluev1.CountRequest) (*keyvaluev1.CountResponse, error) {
	var count uint64
	for w := startWalk(request.GetPrefix()); !w.done; {
		answer, err := k.step(ctx, "redis.keyvalue.Count", countScript, &w, countKeys)
		if err != nil {
			return nil, err
		}
		count += uint64(answer.(int64)) //nolint:gosec,forcetypeassert // the script answers a number of keys
	}
	return &keyvaluev1.CountResponse{Count: count}, nil
}

// walk is where a way through the index is.
type walk struct {
	from, to string // bounds as ZRANGEBYLEX has them
	done     bool
}

// startWalk begins before the first key with a prefix. No byte of a key is 255.
func startWalk(prefix string) walk { return walk{from: "[" + prefix, to: "[" + prefix + "\xff"} }

// step runs a script on the next keys of a walk. The script answers the last key that it has looked at, "" at the end, and what it has found.
func (k *keyValue) step(ctx context.Context, op string, script script, w *walk, keys int, more ...any) (found any, err error) {
	err = k.place.do(ctx, op, true, func(ctx context.Context) error {
		answer, err := k.place.eval(ctx, script, k.place.together(k.index), append([]any{k.values, w.from, w.to, keys}, more...)...).Slice()
		if err != nil {
			return err
		}
		last := answer[0].(string) //nolint:forcetypeassert // the script answers so
		w.from, w.done = "("+last, last == ""
		found = answer[1]
		return nil
	})
	return found, err
}

// page is what is asked of an enumeration: at most size keys (0: all) from where the token says.
type page struct {
	procedure string
	prefix    string
	size      int
	token     string
	bytes     int // of values that an exchange brings; 0 is for keys only
}

// match is a key that an enumeration has found.
type match struct{ key, value string }

// enumerate emits the keys of a page in their order, so that the last key is all that a token needs to hold: it may be deleted, and still tells which keys were before it. One match is held back
// until it is known whether another follows: the last message of the last page must not carry a token.
func (k *keyValue) enumerate(ctx context.Context, page page, emit func(found match, token string) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w := startWalk(page.prefix)
	if page.token != "" {
		position, err := k.place.open(ctx, page.token, k.name, page.procedure, page.prefix)
		if err != nil {
			return err
		}
		w.from = "(" + string(position)
	}
	var tokens *backend.Tokens
	if page.size > 0 {
		var err error
		if tokens, err = k.place.tokens(ctx); err != nil {
			return err
		}
	}
	var held match
	count := 0
	for !w.done {
		matches, err := k.matches(ctx, page, &w, count)
		if err != nil {
			return err
		}
		for _, found := range matches {
			if count > 0 {
				if count == page.size {
					return emit(held, tokens.Seal([]byte(held.key), k.name, page.procedure, page.prefix))
				}
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
	}
	if count == 0 {
		return nil
	}
	return emit(held, "")
}

// matches returns the next matches of a walk: of a page that has already count of them, no more than it needs, and the one that tells whether another page follows.
func (k *keyValue) matches(ctx context.Context, page page, w *walk, count int) ([]match, error) {
	keys := scanKeys
	if page.size > 0 {
		keys = min(keys, page.size+1-count)
	}
	answer, err := k.step(ctx, "redis.keyvalue."+page.procedure, scanScript, w, keys, page.bytes)
	if err != nil {
		return nil, err
	}
	found := answer.([]any) //nolint:forcetypeassert // the script answers keys, each followed by its value when values are asked for
	matches := make([]match, 0, len(found))
	for i := 0; i < len(found); i++ {
		m := match{key: found[i].(string)} //nolint:forcetypeassert // as above
		if page.bytes > 0 {
			i++
			m.value = found[i].(string) //nolint:forcetypeassert // as above
		}
		matches = append(matches, m)
	}
	return matches, nil
}
