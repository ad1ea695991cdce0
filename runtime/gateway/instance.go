package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/config"
	"github.com/prismgate/prism/runtime/plan"
)

// instance is an open backend. It is closed when nobody uses it any more: neither the configuration in force nor a namespace that still has calls.
type instance struct {
	planned *plan.Instance
	open    backend.Instance
	status  *backend.Status
	log     *slog.Logger
	users   atomic.Int64
}

// openInstance opens a backend, for one user.
func (g *Gateway) openInstance(ctx context.Context, planned *plan.Instance) (*instance, error) {
	i := &instance{planned: planned, log: g.log, status: new(backend.Status)}
	err := guard(g.log, func() (err error) {
		i.open, err = g.opener.Open(ctx, planned, backend.Env{Instance: planned.Name, Log: g.log.With("backend", planned.Name), Status: i.status})
		return err
	})
	var problem config.Problem
	if errors.As(err, &problem) {
		return nil, problem // it says where it is in the configuration
	}
	if err != nil {
		return nil, fmt.Errorf("backend %q: open: %w", planned.Name, err)
	}
	i.users.Store(1)
	return i, nil
}

func (i *instance) use() *instance {
	i.users.Add(1)
	return i
}

// release closes the backend after its last user.
func (i *instance) release(ctx context.Context) error {
	if i.users.Add(-1) > 0 {
		return nil
	}
	if err := guard(i.log, func() error { return i.open.Close(ctx) }); err != nil {
		return fmt.Errorf("backend %q: close: %w", i.planned.Name, err)
	}
	return nil
}
