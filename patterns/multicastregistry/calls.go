package multicastregistry

import (
	"context"
	"sync"
	"sync/atomic"
)

// calls bounds how many calls of slots are under way at once: each holds a place while it runs.
type calls chan struct{}

// each calls do for 0 to n-1, many at once, until all are done, one has failed or the context ends. It returns the first error. What do calls must not call each:
// it would wait for a place while it holds one.
func (c calls) each(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	within, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(n, cap(c)) {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := c.one(within, i, do); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	workers.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	return context.Cause(within)
}

func (c calls) one(ctx context.Context, i int, do func(ctx context.Context, i int) error) error {
	select {
	case c <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-c }()
	if err := ctx.Err(); err != nil {
		return err
	}
	return do(ctx, i)
}
