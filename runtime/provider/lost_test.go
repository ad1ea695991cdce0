package provider_test

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	providerv1 "github.com/prismgate/prism/gen/go/prism/provider/v1"
	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/provider"
)

// greeting answers pings of a stream, and ends it after the first.
func greeting(_ context.Context, receive func() (*providerv1.ExecuteStreamRequest, error), send func(*providerv1.ExecuteStreamResponse) error) error {
	if _, err := receive(); err != nil {
		return err
	}
	return send(&providerv1.ExecuteStreamResponse{Items: []*providerv1.ResponseItem{{Item: &providerv1.ResponseItem_Pong{Pong: &providerv1.Pong{Nonce: 1}}}}})
}

// TestAProviderThatGreetsAndBreaksIsNotAskedWithoutPause has a provider take every stream and end it at once.
func TestAProviderThatGreetsAndBreaksIsNotAskedWithoutPause(t *testing.T) {
	t.Parallel()
	s := &stranger{stream: greeting}
	open(t, optionsFor(t, serveStranger(t, s)))
	require.Eventually(t, func() bool { return s.attached.Load() > 1 }, 20*time.Second, time.Millisecond)
	begin, before := time.Now(), s.attached.Load()
	require.Eventually(t, func() bool { return s.attached.Load() >= before+5 }, 20*time.Second, time.Millisecond)
	require.Greater(t, time.Since(begin), 300*time.Millisecond, "the pauses double: 50, 100, 200 and 400 ms, of which a half may be missing")
}

// TestAnInstanceThatEndsWhileItIsOpenedIsOpenedAgain has another gateway end it between Initialize and the stream.
func TestAnInstanceThatEndsWhileItIsOpenedIsOpenedAgain(t *testing.T) {
	t.Parallel()
	s := new(stranger)
	var streams atomic.Int64
	s.stream = func(ctx context.Context, receive func() (*providerv1.ExecuteStreamRequest, error), send func(*providerv1.ExecuteStreamResponse) error) error {
		if streams.Add(1) == 1 {
			return fault.New(fault.FailedPrecondition, "no such instance")
		}
		return s.Server.ExecuteStream(ctx, receive, send)
	}
	n := clients(t, open(t, optionsFor(t, serveStranger(t, s))), "n")
	require.NoError(t, set(t.Context(), n, "k", "v"))
	require.Equal(t, int64(2), s.attached.Load())
}

// TestAProviderThatStartsSlowlyIsGivenItsTimeAgain looks at the deadlines of a first Initialize and of later ones.
func TestAProviderThatStartsSlowlyIsGivenItsTimeAgain(t *testing.T) {
	t.Parallel()
	left := make(chan time.Duration, 1000)
	s := &stranger{stream: greeting, asked: func(ctx context.Context) {
		deadline, _ := ctx.Deadline()
		left <- time.Until(deadline)
	}}
	o := optionsFor(t, serveStranger(t, s))
	o.StartTimeout = 5 * time.Minute
	open(t, o)
	require.Greater(t, <-left, time.Minute)
	require.Greater(t, <-left, time.Minute, "after a restart it takes as long")
}

// TestShutdownByAFrozenProviderEnds sets no deadline: the silence does.
func TestShutdownByAFrozenProviderEnds(t *testing.T) {
	t.Parallel()
	p := newProxy(t, serve(t).address)
	o := optionsFor(t, p.address)
	o.Silence = 500 * time.Millisecond
	i := open(t, o)
	p.freeze(true)
	ended := make(chan error, 1)
	go func() { ended <- i.Shutdown(context.WithoutCancel(t.Context()), 0) }()
	select {
	case err := <-ended:
		require.Equal(t, fault.Unavailable, fault.CodeOf(err), "%v", err)
	case <-time.After(20 * time.Second):
		require.FailNow(t, "it waits for ever")
	}
}

// TestWhatIsLeftEndsWhenItsProviderIsFrozen has a provider finish the calls of a gateway, and freeze meanwhile.
func TestWhatIsLeftEndsWhenItsProviderIsFrozen(t *testing.T) {
	t.Parallel()
	s := serve(t)
	p := newProxy(t, s.address)
	o := optionsFor(t, p.address)
	o.Silence = 500 * time.Millisecond
	i := open(t, o)
	n := clients(t, i, "n")
	another := open(t, optionsFor(t, s.address))
	stopped := subscribed(t, n)
	ended := make(chan error, 1)
	go func() { ended <- another.Shutdown(context.WithoutCancel(t.Context()), time.Hour) }()
	require.Eventually(t, func() bool { return o.Env.Status.Openings.Load() > 0 }, 20*time.Second, time.Millisecond, "it is left")
	p.freeze(true)
	select {
	case err := <-stopped:
		require.Equal(t, fault.Unavailable, fault.CodeOf(err), "%v", err)
	case <-time.After(30 * time.Second):
		require.FailNow(t, "nobody notices")
	}
	p.cut()
	require.NoError(t, <-ended)
}

// TestASocketWhosePathIsNoURL has a percent sign, which a URL takes for an escape.
func TestASocketWhosePathIsNoURL(t *testing.T) {
	t.Parallel()
	o := provider.ServerOptions{Catalog: known(t), Backends: memStores()}
	n := clients(t, open(t, optionsFor(t, serveAt(t, o, filepath.Join(t.TempDir(), "100%")).address)), "n")
	require.NoError(t, set(t.Context(), n, "k", "v"))
}
