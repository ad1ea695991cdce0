package provider_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
	"github.com/prismgate/prism/runtime/provider"
)

// TestCloseDoesNotWaitForALinkThatIsLeft closes an instance while the provider still drains what the gateway has left.
func TestCloseDoesNotWaitForALinkThatIsLeft(t *testing.T) {
	t.Parallel()
	i, err := provider.Open(t.Context(), optionsFor(t, serve(t).address))
	require.NoError(t, err)
	n := clients(t, i, "n")
	reading, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		stopped <- n.PubSubBasic.Subscribe(context.WithoutCancel(t.Context()), &pubsubv1.SubscribeRequest{Topic: "t"}, func(*pubsubv1.SubscribeResponse) error {
			close(reading)
			return nil
		})
	}()
	<-reading
	ended := make(chan error, 1)
	go func() { ended <- i.Shutdown(context.WithoutCancel(t.Context()), time.Minute) }()
	require.Eventually(t, func() bool { return set(t.Context(), n, "k", "v") != nil }, 20*time.Second, time.Microsecond)
	require.Eventually(t, func() bool { return set(t.Context(), n, "k", "v") == nil }, 20*time.Second, time.Millisecond)
	begin := time.Now()
	require.NoError(t, i.Close(t.Context()))
	require.Less(t, time.Since(begin), 20*time.Second)
	require.Error(t, <-stopped)
	require.Error(t, <-ended)
}
