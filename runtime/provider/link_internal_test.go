package provider

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/connectivity"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	providerv1 "github.com/prismgate/prism/gen/go/prism/provider/v1"
	"github.com/prismgate/prism/gen/go/prism/pubsub/v1/pubsubrpc"
	"github.com/prismgate/prism/runtime/fault"
)

// listening serves a provider on a socket, until it is stopped.
func listening(t *testing.T, s *Server, socket string) (stop func()) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	require.NoError(t, err)
	front := s.Listener(nil)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = front.Serve(listener)
	}()
	stop = func() {
		_ = front.Close()
		<-served
	}
	t.Cleanup(stop)
	return stop
}

// TestOpenEndsWithItsContext has the connection break after Initialize, and who takes the next one say nothing.
func TestOpenEndsWithItsContext(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "p.sock")
	s := newTestServer(t, nil)
	stop := listening(t, s, socket)
	conn, err := Target{Address: "unix:" + socket}.dial()
	require.NoError(t, err)
	l := &link{conn: conn, gone: make(chan struct{})}
	defer l.close()
	l.ctx, l.stop = context.WithCancel(context.WithoutCancel(t.Context()))
	require.NoError(t, l.initialize(t.Context(), initializeRequest(t, s)))

	stop()
	mute, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	require.NoError(t, err)
	defer func() { _ = mute.Close() }()
	broken, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	require.True(t, conn.WaitForStateChange(broken, connectivity.Ready))
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err = l.open(short)
	require.Equal(t, fault.Unavailable, fault.CodeOf(err))
	require.ErrorContains(t, err, "does not answer on a stream")
}

// TestShutdownOfWhatIsNotReached ends an instance whose provider is gone: it says so, and does not open the instance again when the provider comes back.
func TestShutdownOfWhatIsNotReached(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "p.sock")
	s := newTestServer(t, nil)
	stop := listening(t, s, socket)
	memstore, ok := s.options.Catalog.Backend("memstore")
	require.True(t, ok)
	i, err := Open(t.Context(), Options{Target: Target{Address: "unix:" + socket}, Instance: "m", Backend: memstore, Catalog: s.options.Catalog, Config: new(backendsv1.MemStore)})
	require.NoError(t, err)
	defer func() { require.NoError(t, i.Close(t.Context())) }()
	stop()
	require.Eventually(t, func() bool { return i.link.Load() == nil }, 20*time.Second, time.Millisecond)
	require.Equal(t, fault.Unavailable, fault.CodeOf(i.Shutdown(t.Context(), 0)), "nobody knows whether the instance is there still")
	over := make(chan struct{})
	go func() {
		i.running.Wait()
		close(over)
	}()
	select {
	case <-over:
	case <-time.After(20 * time.Second):
		require.FailNow(t, "it reaches for the provider again")
	}
}

// TestShutdownTwiceIsNoError is what a caller does that is not sure.
func TestShutdownTwiceIsNoError(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "p.sock")
	s := newTestServer(t, nil)
	listening(t, s, socket)
	memstore, ok := s.options.Catalog.Backend("memstore")
	require.True(t, ok)
	i, err := Open(t.Context(), Options{Target: Target{Address: "unix:" + socket}, Instance: "m", Backend: memstore, Catalog: s.options.Catalog, Config: new(backendsv1.MemStore)})
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, i.Shutdown(t.Context(), 0))
	}
	require.NoError(t, i.Close(t.Context()))
	require.NoError(t, i.Shutdown(t.Context(), 0), "it has ended, though nobody is reached any more")
}

// TestWhatIsFinishedIsNotCut has a provider end the shared stream, which it has said that it would, before calls that have streams of their own.
func TestWhatIsFinishedIsNotCut(t *testing.T) {
	t.Parallel()
	s := testStream(0)
	require.False(t, s.left())
	require.NoError(t, s.goAway(nil))
	s.over(io.EOF)
	require.True(t, s.left())
}

// TestAStreamHasOneHeader bounds what a provider makes the gateway keep of a stream's header.
func TestAStreamHasOneHeader(t *testing.T) {
	t.Parallel()
	header := &providerv1.ResponseItem{Call: 1, Item: &providerv1.ResponseItem_Header{Header: &providerv1.ResponseHeader{Metadata: []*providerv1.Metadata{{Key: "a"}}}}}
	twice := encoded(t, &providerv1.ExecuteStreamResponse{Items: []*providerv1.ResponseItem{header, header}})
	l := &link{ctx: t.Context(), gone: make(chan struct{})}
	own := &ownStream{link: l, method: pubsubrpc.BasicMethods()[1], stream: &deaf{frames: [][]byte{twice}}, caller: t.Context(), frame: new(frame)}
	_, err := own.next()
	require.ErrorContains(t, err, "a second header")
}
