package main

import (
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// serveStock serves every procedure with grpc-go, by a handler that gets the request and the namespace.
func serveStock(t *testing.T, handler func(stream grpc.ServerStream, request []byte, namespace string) error) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := grpc.NewServer(grpc.ForceServerCodec(verbatim{}), grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		var request []byte
		if err := stream.RecvMsg(&request); err != nil {
			return err
		}
		header, _ := metadata.FromIncomingContext(stream.Context())
		names := header.Get(namespaceHeader)
		if len(names) != 1 {
			return status.Errorf(codes.InvalidArgument, "%d namespaces", len(names))
		}
		return handler(stream, request, names[0])
	}))
	go func() { _ = s.Serve(listener) }()
	t.Cleanup(s.Stop)
	return listener.Addr().String()
}

func TestRotationCallsItsNamespacesInTurn(t *testing.T) {
	t.Parallel()
	x := get(100)
	var mu sync.Mutex
	called := map[string]int{}
	address := serveStock(t, func(stream grpc.ServerStream, request []byte, namespace string) error {
		if !slices.Equal(request, x.request) {
			return status.Error(codes.InvalidArgument, "another request")
		}
		mu.Lock()
		called[namespace]++
		mu.Unlock()
		return stream.SendMsg(&x.responses[0])
	})
	names := namespaceNames(100)
	r := rotation{exchange: x, namespaces: names, connections: 2, streams: 200} // so that each is called, however short the time is
	calls, err := r.run(t.Context(), address, time.Millisecond)
	require.NoError(t, err)
	require.GreaterOrEqual(t, calls, 400)
	sum, least, most := 0, calls, 0
	for _, name := range names {
		n := called[name]
		sum, least, most = sum+n, min(least, n), max(most, n)
	}
	require.Equal(t, calls, sum)
	require.LessOrEqual(t, most-least, 4, "each connection calls each as often as the others, but for one call and the first")
}

func TestRotationFailsWhenACallDoes(t *testing.T) {
	t.Parallel()
	x := get(100)
	for name, handler := range map[string]func(grpc.ServerStream) error{
		"refused":      func(grpc.ServerStream) error { return status.Error(codes.NotFound, "no such namespace") },
		"wrong answer": func(stream grpc.ServerStream) error { return stream.SendMsg(&x.request) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := serveStock(t, func(stream grpc.ServerStream, _ []byte, _ string) error { return handler(stream) })
			_, err := rotation{exchange: x, namespaces: []string{"a"}, connections: 1, streams: 1}.run(t.Context(), address, time.Millisecond)
			require.Error(t, err)
		})
	}
}

func TestFollowerTellsWhichStreamBroughtAMessage(t *testing.T) {
	t.Parallel()
	address := serveStock(t, func(stream grpc.ServerStream, request []byte, namespace string) error {
		for _, part := range []string{"first ", "second "} {
			message := slices.Concat([]byte(part+namespace+" "), slices.Repeat(request, 10_000)) // of more than one frame
			if err := stream.SendMsg(&message); err != nil {
				return err
			}
		}
		<-stream.Context().Done()
		return nil
	})
	requests := [][]byte{[]byte("a"), []byte("bb"), []byte("ccc")}
	f, err := follow(address, "/any/Subscribe", requests)
	require.NoError(t, err)
	got := map[string]int{}
	for range 2 * len(requests) {
		d, err := f.next()
		require.NoError(t, err)
		got[string(d.message)] = d.stream
	}
	want := map[string]int{}
	for i, request := range requests {
		text := strings.Repeat(string(request), 10_000)
		want["first default "+text], want["second default "+text] = i, i
	}
	require.Equal(t, want, got)

	ended := make(chan error)
	go func() {
		_, err := f.next()
		ended <- err
	}()
	require.NoError(t, f.close())
	require.Error(t, <-ended)
}

func TestFollowerFailsWhenAStreamEnds(t *testing.T) {
	t.Parallel()
	address := serveStock(t, func(grpc.ServerStream, []byte, string) error { return status.Error(codes.Unavailable, "stopping") })
	f, err := follow(address, "/any/Subscribe", [][]byte{nil})
	require.NoError(t, err)
	_, err = f.next()
	require.ErrorContains(t, err, "stream 0 has ended: grpc-status: 14 grpc-message: stopping")
	require.NoError(t, f.close())
}

func TestEachOnceRefusesASecondMessageOfAStream(t *testing.T) {
	t.Parallel()
	f := newFollower(nil, 2)
	f.whole = []delivery{{1, []byte("x")}, {1, []byte("y")}}
	require.ErrorContains(t, f.eachOnce(func(int, []byte) error { return nil }), "stream 1 has brought two messages")
	f.whole = []delivery{{1, []byte("x")}, {0, []byte("y")}}
	require.NoError(t, f.eachOnce(func(int, []byte) error { return nil }))
	f.whole = []delivery{{0, nil}}
	wrong := errors.New("wrong")
	require.ErrorIs(t, f.eachOnce(func(int, []byte) error { return wrong }), wrong)
}
