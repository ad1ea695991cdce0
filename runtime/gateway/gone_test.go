package gateway_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/gen/go/registry"
	"github.com/prismgate/prism/gen/go/wiring"
	"github.com/prismgate/prism/runtime/gateway"
	"github.com/prismgate/prism/runtime/rpc"
)

// Whoever counts calls drops the figures of a namespace that is gone. A call that was counted afterwards would bring them back for good.
func TestANamespaceIsGoneWhenItsLastCallHasLeftTheFirstSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		known, err := registry.Catalog()
		require.NoError(t, err)
		released := make(chan struct{})
		var gone []string
		g := gateway.New(t.Context(), gateway.Options{
			Catalog: known, Backends: wiring.Backends(), Gone: func(namespace string) { gone = append(gone, namespace) },
			Steps: []rpc.Middleware{func(next rpc.ServeFunc) rpc.ServeFunc {
				return func(ctx context.Context, call *rpc.Call, stream rpc.Stream) error {
					err := next(ctx, call, stream)
					<-released
					return err
				}
			}},
		})
		apply(t, g, onMemStore("m", nil), 0)
		answered := make(chan error, 1)
		go func() {
			_, err := get(t, &conn{gateway: g, namespace: "n"}, "a")
			answered <- err
		}()
		synctest.Wait()
		apply(t, g, &configv1.Config{Namespaces: []*configv1.Namespace{{Name: "other", Backend: "m"}}, Backends: []*configv1.BackendInstance{{Name: "m", Type: "memstore"}}}, 0)
		synctest.Wait()
		require.Empty(t, gone)
		close(released)
		require.NoError(t, <-answered)
		synctest.Wait()
		require.Equal(t, []string{"n"}, gone)
		require.NoError(t, g.Close(t.Context()))
	})
}
