package gateway

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/rpc"
)

// However many are refused, as many are served as may be: those who are told no must not stand in the places of others meanwhile.
func TestThoseWhoAreRefusedTakeNoPlace(t *testing.T) {
	const most, callers, want, enough = 2, 100, 1000, 1_000_000
	n := &namespace{name: "n", limits: &configv1.NamespaceLimits{MaxConcurrentCalls: most}}
	var under, served, tried atomic.Int64
	serve := n.limitConcurrency()(func(context.Context, *rpc.Call, rpc.Stream) error {
		if under.Add(1) > most {
			t.Error("more calls are under way than may be")
		}
		runtime.Gosched()
		under.Add(-1)
		served.Add(1)
		return nil
	})
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for served.Load() < want && tried.Add(1) < enough {
				if serve(t.Context(), new(rpc.Call), nil) != nil {
					runtime.Gosched()
				}
			}
		})
	}
	group.Wait()
	require.GreaterOrEqual(t, served.Load(), int64(want))
}
