package provider_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/gen/go/prism"
	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	providerv1 "github.com/prismgate/prism/gen/go/prism/provider/v1"
	"github.com/prismgate/prism/gen/go/prism/provider/v1/providerrpc"
	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
	"github.com/prismgate/prism/gen/go/suites"
	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/front"
	"github.com/prismgate/prism/runtime/provider"
	"github.com/prismgate/prism/runtime/rpc"
)

// stranger is a provider of somebody else: this build's, but for what a test changes.
type stranger struct {
	*provider.Server
	// asked sees the context of each Initialize.
	asked      func(context.Context)
	initialize func(*providerv1.InitializeResponse)
	stream     func(ctx context.Context, receive func() (*providerv1.ExecuteStreamRequest, error), send func(*providerv1.ExecuteStreamResponse) error) error
	attached   atomic.Int64
}

func (s *stranger) Initialize(ctx context.Context, request *providerv1.InitializeRequest) (*providerv1.InitializeResponse, error) {
	s.attached.Add(1)
	if s.asked != nil {
		s.asked(ctx)
	}
	response, err := s.Server.Initialize(ctx, request)
	if err == nil && s.initialize != nil {
		s.initialize(response)
	}
	return response, err
}

func (s *stranger) ExecuteStream(ctx context.Context, receive func() (*providerv1.ExecuteStreamRequest, error), send func(*providerv1.ExecuteStreamResponse) error) error {
	if s.stream != nil {
		return s.stream(ctx, receive, send)
	}
	return fault.New(fault.Unimplemented, "only Execute")
}

// serveStranger serves until the test ends, and returns the address.
func serveStranger(t *testing.T, s *stranger) string {
	t.Helper()
	s.Server = provider.NewServer(provider.ServerOptions{Catalog: known(t), Backends: memStores()})
	return serveRoutes(t, providerrpc.PatternProviderHandlers(s))
}

func serveRoutes(t *testing.T, handlers []rpc.Handler) string {
	t.Helper()
	var routes []rpc.Route
	for _, h := range handlers {
		routes = append(routes, rpc.Route{Method: h.Method, Serve: func(ctx context.Context, _ *rpc.Call, stream rpc.Stream) error { return h.Serve(ctx, stream) }})
	}
	socket := filepath.Join(t.TempDir(), "s.sock")
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	require.NoError(t, err)
	server := front.NewServer(routes, front.ServerOptions{})
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return "unix:" + socket
}

// TestConformanceByExecute runs the suites of what is unary on a provider that has no streams.
func TestConformanceByExecute(t *testing.T) {
	simple := &stranger{initialize: func(r *providerv1.InitializeResponse) {
		for name := range r.GetInterfaces() {
			if !strings.HasPrefix(name, "keyvalue_") || name == "keyvalue_scan" {
				delete(r.GetInterfaces(), name)
			}
		}
	}}
	suites.Run(t, fresh(open(t, optionsFor(t, serveStranger(t, simple)))))
}

func TestAStreamOfAProviderWithoutStreamsIsUnimplemented(t *testing.T) {
	t.Parallel()
	i := open(t, optionsFor(t, serveStranger(t, new(stranger))))
	err := clients(t, i, "n").PubSubBasic.Subscribe(t.Context(), &pubsubv1.SubscribeRequest{Topic: "t"}, func(*pubsubv1.SubscribeResponse) error { return nil })
	require.Equal(t, fault.Unimplemented, fault.CodeOf(err), "%v", err)
}

func TestInitializeIsHeldToTheProtocol(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*providerv1.InitializeResponse)
		says   []string
	}{
		"another version":         {func(r *providerv1.InitializeResponse) { r.ProtocolVersion = 2 }, []string{"version 2", "version 1", "one version"}},
		"no handle":               {func(r *providerv1.InitializeResponse) { r.Instance = "" }, []string{"handle"}},
		"a handle that is none":   {func(r *providerv1.InitializeResponse) { r.Instance = "\n" }, []string{"handle"}},
		"a handle that is long":   {func(r *providerv1.InitializeResponse) { r.Instance = strings.Repeat("h", 513) }, []string{"handle"}},
		"what was not asked for":  {func(r *providerv1.InitializeResponse) { r.Interfaces["graph_basic"] = []byte{1} }, []string{"graph_basic", "not asked"}},
		"another hash":            {func(r *providerv1.InitializeResponse) { r.Interfaces["queue_basic"] = []byte{1, 2} }, []string{"queue_basic", "0102", "same schema"}},
		"nothing that is offered": {func(r *providerv1.InitializeResponse) { r.Interfaces = nil }, []string{"offers no interface"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := provider.Open(t.Context(), optionsFor(t, serveStranger(t, &stranger{initialize: c.change})))
			for _, text := range c.says {
				require.ErrorContains(t, err, text)
			}
		})
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	absent := optionsFor(t, "unix:"+filepath.Join(t.TempDir(), "absent.sock"))
	absent.StartTimeout = 50 * time.Millisecond
	_, err := provider.Open(t.Context(), absent)
	require.ErrorContains(t, err, "absent.sock does not answer after 50ms")
	require.ErrorContains(t, err, "prism provider memstore --listen unix:")

	_, err = provider.Open(t.Context(), optionsFor(t, serveRoutes(t, nil)))
	require.ErrorContains(t, err, "does not speak prism.provider.v1")

	silent, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = silent.Close() }()
	mute := optionsFor(t, silent.Addr().String())
	mute.StartTimeout = 50 * time.Millisecond
	_, err = provider.Open(t.Context(), mute)
	require.ErrorContains(t, err, "does not answer")
}

func chunk(call uint64, data string, end bool) *providerv1.ResponseItem {
	return &providerv1.ResponseItem{Call: call, Item: &providerv1.ResponseItem_Chunk{Chunk: &providerv1.Chunk{Data: []byte(data), End: end}}}
}

func response(call uint64) *providerv1.ResponseItem {
	return &providerv1.ResponseItem{Call: call, Item: &providerv1.ResponseItem_Response{Response: new(providerv1.CallResponse)}}
}

func header(call uint64) *providerv1.ResponseItem {
	return &providerv1.ResponseItem{Call: call, Item: &providerv1.ResponseItem_Header{Header: &providerv1.ResponseHeader{Metadata: []*providerv1.Metadata{{Key: "a"}}}}}
}

// TestAProviderThatAnswersRubbish has a provider break each rule: the call fails, nothing hangs, and the gateway attaches anew.
func TestAProviderThatAnswersRubbish(t *testing.T) {
	t.Parallel()
	unknown := &providerv1.ResponseItem{Call: 1}
	unknown.ProtoReflect().SetUnknown([]byte{0x7a, 0x00})
	for name, items := range map[string][]*providerv1.ResponseItem{
		"an item of no call":            {response(0)},
		"an item of a call not made":    {response(1 << 40)},
		"success without a message":     {response(1)},
		"half a message":                {chunk(1, "a", false), response(1)},
		"two messages":                  {chunk(1, "", true), chunk(1, "", true)},
		"two headers":                   {header(1), header(1), chunk(1, "", true), response(1)},
		"an empty chunk":                {chunk(1, "", false)},
		"an item that says nothing":     {{Call: 1}},
		"an item that is not known":     {unknown},
		"no item":                       {},
		"metadata that is not allowed":  {{Call: 1, Item: &providerv1.ResponseItem_Header{Header: &providerv1.ResponseHeader{Metadata: []*providerv1.Metadata{{Key: "A"}}}}}},
		"a message that is none":        {chunk(1, "\xff\xff", true), response(1)},
		"a frame that is too large":     {chunk(1, strings.Repeat("x", 70_000), true), response(1)},
		"a frame of more than a MiB":    {chunk(1, strings.Repeat("x", 2<<20), true), response(1)},
		"an end of the stream":          nil,
		"a going-away before the call":  {{Item: &providerv1.ResponseItem_GoingAway{GoingAway: new(providerv1.GoingAway)}}},
		"an answer after the call's":    {chunk(1, "", true), response(1), chunk(1, "", true), response(1), response(99)},
		"an error of a code that is no": {{Call: 1, Item: &providerv1.ResponseItem_Response{Response: &providerv1.CallResponse{Code: -7}}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &stranger{stream: func(_ context.Context, receive func() (*providerv1.ExecuteStreamRequest, error), send func(*providerv1.ExecuteStreamResponse) error) error {
				for {
					request, err := receive()
					if err != nil {
						return err
					}
					for _, item := range request.GetItems() {
						switch {
						case item.GetPing() != nil:
							err = send(&providerv1.ExecuteStreamResponse{Items: []*providerv1.ResponseItem{{Item: &providerv1.ResponseItem_Pong{Pong: &providerv1.Pong{Nonce: 1}}}}})
						case item.GetChunk().GetEnd() && items == nil:
							return nil
						case item.GetChunk().GetEnd():
							err = send(&providerv1.ExecuteStreamResponse{Items: items})
						}
						if err != nil {
							return err
						}
					}
				}
			}}
			i := open(t, optionsFor(t, serveStranger(t, s)))
			kv := clients(t, i, "n").KeyValueBasic
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			_, err := kv.Get(ctx, &keyvaluev1.GetRequest{Key: "k"})
			switch name {
			case "an answer after the call's":
				require.NoError(t, err)
			case "a message that is none":
				require.Equal(t, fault.Internal, fault.CodeOf(err), "%v", err)
				return
			case "an error of a code that is no":
				require.Equal(t, fault.Unknown, fault.CodeOf(err), "%v", err)
				return
			default:
				require.Equal(t, fault.Unavailable, fault.CodeOf(err), "%v", err)
			}
			require.Eventually(t, func() bool { return s.attached.Load() > 1 }, 20*time.Second, time.Millisecond, "it attaches anew")
		})
	}
}

func get(ctx context.Context, set *prism.Interfaces, key string) (string, error) {
	response, err := set.KeyValueBasic.Get(ctx, &keyvaluev1.GetRequest{Key: key})
	return string(response.GetValue()), err
}

func set(ctx context.Context, set *prism.Interfaces, key, value string) error {
	_, err := set.KeyValueBasic.Set(ctx, &keyvaluev1.SetRequest{Key: key, Value: []byte(value)})
	return err
}

func TestAFrozenProviderIsNoticed(t *testing.T) {
	t.Parallel()
	p := newProxy(t, serve(t).address)
	o := optionsFor(t, p.address)
	o.Silence = 3 * time.Second // much more than a busy machine keeps a healthy one silent
	i := open(t, o)
	n := clients(t, i, "n")
	require.NoError(t, set(t.Context(), n, "k", "v"))

	p.freeze(true)
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err := get(short, n, "k")
	require.Equal(t, fault.DeadlineExceeded, fault.CodeOf(err), "the caller's deadline is sooner")
	_, err = get(t.Context(), n, "k")
	require.Equal(t, fault.Unavailable, fault.CodeOf(err), "%v", err)
	require.Eventually(t, func() bool {
		why, _ := o.Env.Status.State()
		return why != ""
	}, patient, time.Millisecond)
	for range 100 { // each of them would last as long as the silence if it were not refused at once
		_, err = get(t.Context(), n, "k")
		require.Equal(t, fault.Unavailable, fault.CodeOf(err))
	}

	p.freeze(false)
	require.Eventually(t, func() bool {
		value, err := get(t.Context(), n, "k")
		return err == nil && value == "v"
	}, patient, 10*time.Millisecond, "it attaches by itself, to the same instance")
	why, _ := o.Env.Status.State()
	require.Empty(t, why)
	require.Positive(t, o.Env.Status.Openings.Load())
}

// TestACutConnectionLosesNothing cuts connections under load: what was acknowledged is there, what was not is UNAVAILABLE.
func TestACutConnectionLosesNothing(t *testing.T) {
	t.Parallel()
	s := serve(t)
	p := newProxy(t, s.address)
	n := clients(t, open(t, optionsFor(t, p.address)), "n")
	direct := clients(t, open(t, optionsFor(t, s.address)), "n")
	ctx, cancel := context.WithCancel(t.Context())
	var acknowledged [16][]string
	var failed atomic.Int64
	var writers sync.WaitGroup
	for w := range acknowledged {
		writers.Go(func() {
			for value := 0; ctx.Err() == nil; value++ {
				key := fmt.Sprintf("%d-%d", w, value)
				switch err := set(ctx, n, key, key); fault.CodeOf(err) {
				case fault.OK:
					acknowledged[w] = append(acknowledged[w], key)
				case fault.Canceled:
				case fault.Unavailable:
					failed.Add(1)
					runtime.Gosched()
				default:
					t.Errorf("%v", err)
				}
			}
		})
	}
	reached := func() bool { return set(t.Context(), n, "probe", "") == nil }
	for range 5 {
		require.Eventually(t, reached, 20*time.Second, time.Millisecond)
		before := failed.Load()
		p.cut()
		require.Eventually(t, func() bool { return failed.Load() > before }, 20*time.Second, time.Millisecond)
	}
	require.Eventually(t, reached, 20*time.Second, time.Millisecond)
	cancel()
	writers.Wait()
	for _, keys := range acknowledged {
		require.NotEmpty(t, keys)
		for _, key := range keys {
			value, err := get(t.Context(), direct, key)
			require.NoError(t, err)
			require.Equal(t, key, value)
		}
	}
}

func TestCallsGoOnAfterARestart(t *testing.T) {
	t.Parallel()
	o := provider.ServerOptions{Catalog: known(t), Backends: memStores()}
	socket := filepath.Join(t.TempDir(), "p.sock")
	first := serveAt(t, o, socket)
	i := open(t, optionsFor(t, first.address))
	n := clients(t, i, "n")
	require.NoError(t, set(t.Context(), n, "k", "v"))
	ended := make(chan error, 1)
	subscribed := make(chan struct{})
	go func() {
		ended <- n.PubSubBasic.Subscribe(t.Context(), &pubsubv1.SubscribeRequest{Topic: "t"}, func(*pubsubv1.SubscribeResponse) error {
			close(subscribed)
			return nil
		})
	}()
	<-subscribed
	first.stop()
	require.Equal(t, fault.Unavailable, fault.CodeOf(<-ended))
	_, err := get(t.Context(), n, "k")
	require.Equal(t, fault.Unavailable, fault.CodeOf(err))
	serveAt(t, o, socket)
	require.Eventually(t, func() bool { return set(t.Context(), n, "k", "v") == nil }, 20*time.Second, 10*time.Millisecond)
}

func TestAnInstanceThatWasShutDownIsMadeAgain(t *testing.T) {
	t.Parallel()
	options := optionsFor(t, serve(t).address)
	i, another := open(t, options), open(t, options)
	n, gone := clients(t, i, "n"), clients(t, another, "n")
	require.NoError(t, set(t.Context(), n, "k", "v"))
	require.NoError(t, set(t.Context(), gone, "k", "v"))
	require.NoError(t, another.Shutdown(t.Context(), 0))
	require.Eventually(t, func() bool { return set(t.Context(), n, "k", "v") == nil }, 20*time.Second, time.Millisecond)
	require.Equal(t, fault.Unavailable, fault.CodeOf(set(t.Context(), gone, "k", "v")), "who has ended it does not make it again")
}

func TestASlowReaderHoldsUpNobody(t *testing.T) {
	t.Parallel()
	i := open(t, optionsFor(t, serve(t).address))
	n := clients(t, i, "n")
	ctx, cancel := context.WithCancel(t.Context())
	reading, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		first := true
		stopped <- n.PubSubBasic.Subscribe(ctx, &pubsubv1.SubscribeRequest{Topic: "t"}, func(*pubsubv1.SubscribeResponse) error {
			if first {
				first = false
				close(reading)
				return nil
			}
			<-ctx.Done()
			return io.ErrClosedPipe
		})
	}()
	<-reading
	for range 100 {
		_, err := n.PubSubBasic.Publish(t.Context(), &pubsubv1.PublishRequest{Topic: "t", Payload: make([]byte, 100_000)})
		require.NoError(t, err)
		require.NoError(t, set(t.Context(), n, "k", strings.Repeat("v", 500_000)))
	}
	cancel()
	err := <-stopped
	require.True(t, errors.Is(err, io.ErrClosedPipe) || fault.CodeOf(err) == fault.Canceled, "%v", err)
}

func TestCloseLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	s := serve(t)
	for range 3 {
		i, err := provider.Open(t.Context(), optionsFor(t, s.address))
		require.NoError(t, err)
		n := clients(t, i, "n")
		var callers sync.WaitGroup
		for range 50 {
			callers.Go(func() {
				for range 20 {
					_, _ = get(t.Context(), n, "k")
				}
			})
		}
		callers.Wait()
		require.NoError(t, i.Close(t.Context()))
		_, err = get(t.Context(), n, "k")
		require.Equal(t, fault.Unavailable, fault.CodeOf(err))
	}
	s.stop()
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+2 }, 20*time.Second, 10*time.Millisecond, "goroutines stay")
}
