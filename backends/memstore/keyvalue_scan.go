package memstore

import (
	"context"
	"slices"
	"strings"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

// Scan streams keys and values.
func (k *keyValue) Scan(ctx context.Context, request *keyvaluev1.ScanRequest, send func(*keyvaluev1.ScanResponse) error) error {
	page := page{procedure: "Scan", prefix: request.GetPrefix(), size: int(request.GetPageSize()), token: request.GetPageToken()}
	return k.enumerate(ctx, page, func(found match, token string) error {
		return send(&keyvaluev1.ScanResponse{Key: found.key, Value: found.value, PageToken: token})
	})
}

// ScanKeys streams keys.
func (k *keyValue) ScanKeys(ctx context.Context, request *keyvaluev1.ScanKeysRequest, send func(*keyvaluev1.ScanKeysResponse) error) error {
	page := page{procedure: "ScanKeys", prefix: request.GetPrefix(), size: int(request.GetPageSize()), token: request.GetPageToken()}
	return k.enumerate(ctx, page, func(found match, token string) error {
		return send(&keyvaluev1.ScanKeysResponse{Key: found.key, PageToken: token})
	})
}

// Count counts keys.
func (k *keyValue) Count(ctx context.Context, request *keyvaluev1.CountRequest) (*keyvaluev1.CountResponse, error) {
	var count uint64
	for _, shard := range k.made {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		count += shard.count(request.GetPrefix(), k.clock)
	}
	return &keyvaluev1.CountResponse{Count: count}, nil
}

// page is what is asked of an enumeration: at most size keys (0: all) from where the token says.
type page struct {
	procedure string
	prefix    string
	size      int
	token     string
}

// match is a key that an enumeration has found.
type match struct {
	key   string
	value []byte
}

// enumerate emits the keys of a page, shard after shard and within a shard in the order of the keys, so that the last key is all that a token needs to
// hold: it may be deleted, and still tells which keys were before it. One match is held back until it is known whether another follows: the last message
// of the last page must not carry a token.
func (k *keyValue) enumerate(ctx context.Context, page page, emit func(found match, token string) error) error {
	first, after := 0, ""
	if page.token != "" {
		position, err := k.tokens.Open(page.token, k.name, page.procedure, page.prefix)
		if err != nil {
			return err
		}
		after = string(position)
		first = k.index(after)
	}
	var (
		held    match
		count   int
		matches []match
	)
	for i := first; i < shardCount; i++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		shard := k.shards[i].Load()
		if shard == nil {
			after = ""
			continue
		}
		matches = shard.matches(matches[:0], page.prefix, after, k.clock)
		after = "" // a key of the first shard says nothing about the others
		if page.size > 0 {
			slices.SortFunc(matches, func(a, b match) int { return strings.Compare(a.key, b.key) })
		}
		for _, found := range matches {
			if count > 0 {
				if count == page.size {
					return emit(held, k.tokens.Seal([]byte(held.key), k.name, page.procedure, page.prefix))
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

// matches appends the keys of a shard that begin with a prefix and come after a key.
func (s *shard) matches(found []match, prefix, after string, clock clock) []match {
	s.mu.RLock()
	defer s.mu.RUnlock()
	now := s.now(clock)
	for key, entry := range s.entries {
		if key > after && strings.HasPrefix(key, prefix) && !entry.expired(now) {
			found = append(found, match{key: key, value: entry.value})
		}
	}
	return found
}

// count counts the keys of a shard that begin with a prefix.
func (s *shard) count(prefix string, clock clock) uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if prefix == "" && len(s.timers) == 0 {
		return uint64(len(s.entries))
	}
	var count uint64
	now := s.now(clock)
	for key, entry := range s.entries {
		if strings.HasPrefix(key, prefix) && !entry.expired(now) {
			count++
		}
	}
	return count
}

// now asks the clock once for all of a shard's entries, if any of them can expire.
func (s *shard) now(clock clock) int64 {
	if len(s.timers) == 0 {
		return 0
	}
	return clock.now()
}

// expired tells whether an entry has expired at a time.
func (e entry) expired(now int64) bool { return e.timer != nil && e.timer.deadline <= now }
