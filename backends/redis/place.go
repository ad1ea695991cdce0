package redis

import (
	"context"
	"log/slog"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"github.com/prismgate/prism/runtime/backend"
)

// place is where namespaces are: what is known of the server there, and the exchanges with it. Of a single server there is one. In a cluster each namespace has its own: it is in one slot, whose node
// may be gone while the others answer.
type place struct {
	*Store
	breaker *backend.Breaker
	lanes   *lanes

	tokensKey string // the name of the key that tokens are sealed under
	sealing   atomic.Pointer[sealing]
}

// place returns where a namespace is.
func (s *Store) place(ctx context.Context, namespace string) *place {
	s.mu.Lock()
	defer s.mu.Unlock()
	env, which, tokensKey := s.env, "", s.prefix+":tokens"
	if s.config.GetCluster() {
		env.Log = env.Log.With(slog.String("namespace", namespace))
		which, tokensKey = namespace, s.key(namespace, "tokens")
	}
	if s.places[which] == nil {
		s.places[which] = newPlace(ctx, s, env, tokensKey)
	}
	return s.places[which]
}

// newPlace returns the place of a key, and of all others with its hash tag.
func newPlace(ctx context.Context, s *Store, env backend.Env, tokensKey string) *place {
	probe := func(ctx context.Context) error { return s.client.Ping(ctx).Err() }
	if cluster, ok := s.client.(*redis.ClusterClient); ok {
		probe = func(ctx context.Context) error {
			err := s.client.Process(ctx, once{redis.NewIntCmd(ctx, "exists", tokensKey)})
			if err != nil {
				cluster.ReloadState(ctx) // another node may have the slot by now
			}
			return err
		}
	}
	p := &place{Store: s, breaker: backend.NewBreaker(ctx, env, probe), tokensKey: tokensKey}
	p.lanes = newLanes(p)
	return p
}

// do makes a call of the server: within the configured timeout, through the breaker, and with its errors made ours. Op names it for the log: "redis.keyvalue.Get". A repeatable call may be
// made more than once.
func (p *place) do(ctx context.Context, op string, repeatable bool, call func(ctx context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	return p.breaker.Do(bounded, repeatable, func(bounded context.Context) error {
		if err := call(bounded); err != nil {
			return mapped(ctx, op, err)
		}
		return nil
	})
}
