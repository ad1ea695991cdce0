package redis

import (
	_ "embed"
	"log/slog"
)

const (
	// sweepEvery is how many writes with a time to live bring about a sweep, and sweepKeys how many keys it looks at: with two for each such write, no more than half of the index are keys that have
	// expired, and nobody has met since.
	sweepEvery, sweepKeys = 256, 512
)

var (
	//go:embed lua/keyvalue_sweep.lua
	sweepText string

	sweepScript = newScript(sweepText)
)

// sweepSometimes is told of each write that gives a time to live. Keys expire unseen, and would stay in the index of a namespace that nobody enumerates.
func (k *keyValue) sweepSometimes() {
	if k.expiring.Add(1)%sweepEvery != 0 || !k.sweeping.CompareAndSwap(false, true) {
		return
	}
	s := k.place
	begun := s.later(func() {
		defer k.sweeping.Store(false)
		if err := s.eval(s.ctx, sweepScript, s.together(k.index), k.values, sweepKeys).Err(); err != nil {
			s.env.Log.Debug("keys that have expired were not looked for", slog.Any("error", mapped(s.ctx, "redis.keyvalue.sweep", err)))
		}
	})
	if !begun {
		k.sweeping.Store(false)
	}
}
