package redis

import (
	"context"
	"log/slog"

	"github.com/redis/go-redis/v9"

	"github.com/prismgate/prism/runtime/backend"
)

// place is where namespaces are: what is known of the server there, and the exchanges with it. Of a single server there is one. In a cluster each namespace has its own: it is in one slot, whose node
// may be gone while the others answer.
type place struct {
	*Store
	breaker *backend.Breaker
	lanes   *lanes
}

// newPlace returns the place of a key, and of all others with its hash tag.
func newPlace(ctx context.Context, s *Store, env backend.Env, key string) *place {
	probe := func(ctx context.Context) error { return s.client.Ping(ctx).Err() }
	if cluster, ok := s.client.(*redis.ClusterClient); ok {
		probe = func(ctx context.Context) error {
			err := s.client.Process(ctx, once{redis.NewIntCmd(ctx, "exists", key)})
			if err != nil {
				cluster.ReloadState(ctx) // another node may have the slot by now
			}
			return err
		}
	}
	p := &place{Store: s, breaker: backend.NewBreaker(ctx, env, probe)}
	p.lanes = newLanes(p)
	return p
}

// place returns where a namespace is.
func (s *Store) place(ctx context.Context, namespace string) *place {
	if !s.config.GetCluster() {
		return s.home
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.places[namespace] == nil {
		env := s.env
		env.Log = env.Log.With(slog.String("namespace", namespace))
		s.places[namespace] = newPlace(ctx, s, env, s.key(namespace, "i"))
	}
	return s.places[namespace]
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
