package provider_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/runtime/provider"
)

// TestCloseDoesNotWaitForALinkThatIsLeft closes an instance while the provider still drains what the gateway has left.
func TestCloseDoesNotWaitForALinkThatIsLeft(t *testing.T) {
	t.Parallel()
	options := optionsFor(t, serve(t).address)
	i, err := provider.Open(t.Context(), options)
	require.NoError(t, err)
	n := clients(t, i, "n")
	another := open(t, options)
	stopped := subscribed(t, n)
	ended := make(chan error, 1)
	go func() { ended <- another.Shutdown(context.WithoutCancel(t.Context()), time.Hour) }()
	require.Eventually(t, func() bool { return options.Env.Status.Openings.Load() > 0 }, patient, time.Millisecond, "the link is left")
	require.Eventually(t, func() bool { return set(t.Context(), n, "k", "v") == nil }, patient, time.Millisecond)
	closed := make(chan error, 1)
	go func() { closed <- i.Close(context.WithoutCancel(t.Context())) }()
	select {
	case err := <-closed:
		require.NoError(t, err)
	case <-time.After(patient):
		require.FailNow(t, "Close waits for the drain")
	}
	require.Error(t, <-stopped)
	require.NoError(t, <-ended)
}

// TestShutdownIsAnsweredThoughTheStreamEndsFirst ends instances. The provider ends the stream before it answers, and a gateway that has noticed that must not drop the connection.
func TestShutdownIsAnsweredThoughTheStreamEndsFirst(t *testing.T) {
	t.Parallel()
	address := serve(t).address
	for range 200 {
		i, err := provider.Open(t.Context(), optionsFor(t, address))
		require.NoError(t, err)
		require.NoError(t, i.Shutdown(t.Context(), 0))
		require.NoError(t, i.Close(t.Context()))
	}
}
