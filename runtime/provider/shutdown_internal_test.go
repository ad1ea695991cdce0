package provider

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	providerv1 "github.com/prismgate/prism/gen/go/prism/provider/v1"
	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/fault"
)

func TestInitializeSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, nil)
	for name, c := range map[string]struct {
		change func(*providerv1.InitializeRequest)
		code   fault.Code
		says   []string
	}{
		"another version": {func(r *providerv1.InitializeRequest) { r.ProtocolVersion = 7 }, fault.FailedPrecondition, []string{"version 7", "version 1", "prism test", "one version"}},
		"another hash": {
			func(r *providerv1.InitializeRequest) {
				r.Interfaces["keyvalue_basic"] = bytes.Repeat([]byte{0xab}, 32)
			}, fault.FailedPrecondition, []string{"keyvalue_basic", "abababab", "same schema"},
		},
		"a backend that is not there": {func(r *providerv1.InitializeRequest) { r.Backend = "oracle" }, fault.NotFound, []string{"oracle", "memstore"}},
		"no name":                     {func(r *providerv1.InitializeRequest) { r.InstanceName = "" }, fault.InvalidArgument, []string{"instance_name"}},
		"a name that is none":         {func(r *providerv1.InitializeRequest) { r.InstanceName = "a b" }, fault.InvalidArgument, []string{"instance_name"}},
		"another configuration":       {func(r *providerv1.InitializeRequest) { r.Config, _ = anypb.New(r) }, fault.InvalidArgument, []string{"InitializeRequest", "MemStore"}},
		"rubbish as configuration":    {func(r *providerv1.InitializeRequest) { r.Config.Value = []byte("hunter2") }, fault.InvalidArgument, []string{"config"}},
	} {
		t.Run(name, func(t *testing.T) {
			request := initializeRequest(t, s)
			c.change(request)
			_, err := s.Initialize(t.Context(), request)
			require.Equal(t, c.code, fault.CodeOf(err), "%v", err)
			for _, text := range c.says {
				require.ErrorContains(t, err, text)
			}
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
	require.Empty(t, s.instances)
}

func TestInitializeAttachesToWhatIsOpen(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, nil)
	first := initialized(t, s)
	require.Equal(t, first, initialized(t, s))
	other := initializeRequest(t, s)
	other.InstanceName = "other"
	response, err := s.Initialize(t.Context(), other)
	require.NoError(t, err)
	require.NotEqual(t, first, response.GetInstance())
	changed := initializeRequest(t, s)
	changed.Config, err = anypb.New(&backendsv1.MemStore{MaxBytes: 5})
	require.NoError(t, err)
	response, err = s.Initialize(t.Context(), changed)
	require.NoError(t, err)
	require.NotEqual(t, first, response.GetInstance())

	some := initializeRequest(t, s)
	some.Interfaces = map[string][]byte{"keyvalue_basic": some.Interfaces["keyvalue_basic"], "unheard_of": {1}}
	response, err = s.Initialize(t.Context(), some)
	require.NoError(t, err)
	require.Equal(t, map[string][]byte{"keyvalue_basic": some.Interfaces["keyvalue_basic"]}, response.GetInterfaces(), "what only one side knows is left out")
}

func TestAnInstanceThatDoesNotOpenIsNotThere(t *testing.T) {
	t.Parallel()
	known := newTestServer(t, nil).options.Catalog
	cause := errors.New("the password is wrong")
	code := backend.Type{Name: "memstore", Open: func(context.Context, backend.Env, proto.Message) (backend.Instance, error) { return nil, cause }}
	s := NewServer(ServerOptions{Catalog: known, Backends: []backend.Type{code}})
	_, err := s.Initialize(t.Context(), initializeRequest(t, s))
	require.Equal(t, fault.FailedPrecondition, fault.CodeOf(err))
	require.ErrorContains(t, err, "the password is wrong")
	cause = fault.New(fault.Unavailable, "no server")
	_, err = s.Initialize(t.Context(), initializeRequest(t, s))
	require.Equal(t, fault.Unavailable, fault.CodeOf(err))
	require.Empty(t, s.instances)
	require.NoError(t, s.Close(t.Context()))
}

func TestExecuteCarriesOneCall(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, nil)
	handle := initialized(t, s)
	execute := func(start *providerv1.CallStart, payload []byte) *providerv1.ExecuteResponse {
		response, err := s.Execute(t.Context(), &providerv1.ExecuteRequest{Instance: handle, Start: start, Payload: payload})
		require.NoError(t, err)
		return response
	}
	ok := execute(&providerv1.CallStart{Namespace: "n", Procedure: get}, getRequest(t))
	require.Equal(t, int32(0), ok.GetResponse().GetCode())
	code := func(r *providerv1.ExecuteResponse) fault.Code { return fault.Code(r.GetResponse().GetCode()) }
	require.Equal(t, fault.InvalidArgument, code(execute(&providerv1.CallStart{Namespace: "n", Procedure: get}, nil)))
	require.Equal(t, fault.Unimplemented, code(execute(&providerv1.CallStart{Namespace: "n", Procedure: subscribe}, nil)), "what streams")
	require.Equal(t, fault.Unimplemented, code(execute(nil, nil)))
	require.Equal(t, fault.ResourceExhausted, code(execute(&providerv1.CallStart{Procedure: get}, make([]byte, 4<<20+1))))
	require.Equal(t, fault.DeadlineExceeded, code(execute(&providerv1.CallStart{Procedure: dequeue, Timeout: durationpb.New(time.Millisecond)}, waiting(t))))
	_, err := s.Execute(t.Context(), &providerv1.ExecuteRequest{Instance: "other"})
	require.Equal(t, fault.FailedPrecondition, fault.CodeOf(err))
}

func TestShutdownLetsCallsFinishAndThenCutsThem(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, nil)
	handle := initialized(t, s)
	p := connect(t, s)
	p.send(openItem(handle, true, 0), startItem(1, dequeue), chunkItem(1, true, waiting(t)), startItem(2, dequeue), startItem(4, dequeue), pingItem(0, 1))
	require.Equal(t, uint64(1), p.next().GetPong().GetNonce())

	ended := make(chan uint64, 1)
	go func() {
		response, err := s.Shutdown(context.WithoutCancel(t.Context()), &providerv1.ShutdownRequest{Instance: handle, Drain: durationpb.New(300 * time.Millisecond)})
		if err == nil {
			ended <- response.GetCancelled()
		}
	}()
	going := p.next().GetGoingAway()
	require.Equal(t, uint64(4), going.GetLastCall())
	require.NotEmpty(t, going.GetReason())
	health, err := s.HealthCheck(t.Context(), &providerv1.HealthCheckRequest{Instance: handle})
	require.NoError(t, err)
	require.Equal(t, providerv1.HealthState_HEALTH_STATE_DRAINING, health.GetState())
	fresh := initialized(t, s)
	require.NotEqual(t, handle, fresh, "meanwhile another instance takes its place")
	p.send(startItem(5, get))
	late, _ := p.answer(5)
	require.Equal(t, fault.Unavailable, fault.Code(late.GetCode()), "new calls are refused")
	p.send(cancelItem(4))
	gone, _ := p.answer(4)
	require.Equal(t, fault.Canceled, fault.Code(gone.GetCode()))
	for range 2 {
		one := p.next()
		for one.GetResponse() == nil {
			one = p.next()
		}
		require.Equal(t, fault.Unavailable, fault.Code(one.GetResponse().GetCode()), "cut at the deadline")
	}
	require.Equal(t, uint64(2), <-ended)
	require.Equal(t, fault.Unavailable, fault.CodeOf(p.ended()))

	_, err = s.HealthCheck(t.Context(), &providerv1.HealthCheckRequest{Instance: handle})
	require.Equal(t, fault.FailedPrecondition, fault.CodeOf(err))
	again, err := s.Shutdown(t.Context(), &providerv1.ShutdownRequest{Instance: handle})
	require.NoError(t, err, "an instance that is not there is no error")
	require.Zero(t, again.GetCancelled())
}

func TestShutdownOfAllExits(t *testing.T) {
	t.Parallel()
	exited := 0
	s := newTestServer(t, func() { exited++ })
	handle := initialized(t, s)
	_, err := s.Shutdown(t.Context(), &providerv1.ShutdownRequest{Drain: durationpb.New(0)})
	require.NoError(t, err)
	require.Equal(t, 1, exited)
	_, err = s.Initialize(t.Context(), initializeRequest(t, s))
	require.Equal(t, fault.Unavailable, fault.CodeOf(err))
	_, err = s.Execute(t.Context(), &providerv1.ExecuteRequest{Instance: handle})
	require.Equal(t, fault.FailedPrecondition, fault.CodeOf(err))
	health, err := s.HealthCheck(t.Context(), new(providerv1.HealthCheckRequest))
	require.NoError(t, err)
	require.Equal(t, providerv1.HealthState_HEALTH_STATE_DRAINING, health.GetState())
}

// TestAProviderThatNoGatewayStartedGoesOn ends all instances of a provider that others started.
func TestAProviderThatNoGatewayStartedGoesOn(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, nil)
	former := initialized(t, s)
	_, err := s.Shutdown(t.Context(), &providerv1.ShutdownRequest{Drain: durationpb.New(0)})
	require.NoError(t, err)
	_, err = s.HealthCheck(t.Context(), &providerv1.HealthCheckRequest{Instance: former})
	require.Equal(t, fault.FailedPrecondition, fault.CodeOf(err))
	require.NotEqual(t, former, initialized(t, s))
	health, err := s.HealthCheck(t.Context(), new(providerv1.HealthCheckRequest))
	require.NoError(t, err)
	require.Equal(t, providerv1.HealthState_HEALTH_STATE_READY, health.GetState())
}

// TestALongDrainDoesNotKeepAProviderThatStops closes a provider while a gateway gives an instance an hour.
func TestALongDrainDoesNotKeepAProviderThatStops(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, nil)
	handle := initialized(t, s)
	p := connect(t, s)
	p.send(openItem(handle, false, 1<<20), startItem(1, subscribe), chunkItem(1, true, encoded(t, &pubsubv1.SubscribeRequest{Topic: "t"})))
	require.NotNil(t, p.next().GetChunk(), "it has subscribed")
	ended := make(chan error, 2)
	go func() {
		_, err := s.Shutdown(context.WithoutCancel(t.Context()), &providerv1.ShutdownRequest{Instance: handle, Drain: durationpb.New(time.Hour)})
		ended <- err
	}()
	require.NotNil(t, p.next().GetGoingAway())
	go func() {
		closing, cancel := context.WithCancel(t.Context())
		cancel()
		ended <- s.Close(closing)
	}()
	for range 2 {
		select {
		case err := <-ended:
			require.NoError(t, err)
		case <-time.After(20 * time.Second):
			require.FailNow(t, "it waits for the hour")
		}
	}
}

// TestADrainIsNotCutByItsGateway has the gateway that asked for it go away: the calls of others have their time all the same.
func TestADrainIsNotCutByItsGateway(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, nil)
	handle := initialized(t, s)
	p := connect(t, s)
	brief := encoded(t, &queuev1.DequeueRequest{Queue: "q", WaitTime: durationpb.New(time.Second)})
	p.send(openItem(handle, true, 0), startItem(1, dequeue), chunkItem(1, true, brief), pingItem(0, 1))
	require.Equal(t, uint64(1), p.next().GetPong().GetNonce())
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Shutdown(gone, &providerv1.ShutdownRequest{Instance: handle, Drain: durationpb.New(time.Hour)})
	require.NoError(t, err)
	one := p.next()
	for one.GetResponse() == nil {
		one = p.next()
	}
	require.Zero(t, one.GetResponse().GetCode(), one.GetResponse().GetMessage())
}

func TestAPanicEndsItsCallOnly(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, nil)
	handle := initialized(t, s)
	i := s.instances[handle]
	i.open = panicking{i.open}
	p := connect(t, s)
	p.send(openItem(handle, true, 0), startItem(1, get), chunkItem(1, true, getRequest(t)))
	response, _ := p.answer(1)
	require.Equal(t, fault.Internal, fault.Code(response.GetCode()))
	require.NotContains(t, response.GetMessage(), "hunter2")
	p.send(pingItem(0, 3))
	require.Equal(t, uint64(3), p.next().GetPong().GetNonce())
}

type panicking struct{ backend.Instance }

func (panicking) Namespace(context.Context, string) (backend.Interfaces, error) { panic("hunter2") }

// FuzzProviderFrames has a provider read whatever comes: it answers or refuses, and neither panics nor hangs.
func FuzzProviderFrames(f *testing.F) {
	s := newTestServer(f, nil)
	handle := initialized(f, s)
	for _, items := range [][]*providerv1.RequestItem{
		{startItem(1, get), chunkItem(1, true, getRequest(f))},
		{startItem(1, set), chunkItem(1, false, []byte("a")), cancelItem(1), pingItem(0, 1)},
		{startItem(1, subscribe), creditItem(1, 5)},
	} {
		f.Add(encoded(f, &providerv1.ExecuteStreamRequest{Items: items}), true)
		f.Add(encoded(f, &providerv1.ExecuteStreamRequest{Items: items}), false)
	}
	f.Fuzz(func(t *testing.T, data []byte, shared bool) {
		p := connect(t, s)
		p.send(openItem(handle, shared, 10))
		p.sendRaw(data)
		p.cancel()
		if err := p.ended(); err != nil && fault.CodeOf(err) == fault.Internal {
			t.Errorf("%v", err)
		}
	})
}

// FuzzExecute has a provider read whatever comes as a call of Execute.
func FuzzExecute(f *testing.F) {
	s := newTestServer(f, nil)
	handle := initialized(f, s)
	f.Add(encoded(f, &providerv1.ExecuteRequest{Instance: handle, Start: &providerv1.CallStart{Namespace: "n", Procedure: get}, Payload: encoded(f, &keyvaluev1.GetRequest{Key: "k"})}))
	f.Fuzz(func(t *testing.T, data []byte) {
		response, err := s.execute(t.Context(), data)
		if err == nil && proto.Unmarshal(response, new(providerv1.ExecuteResponse)) != nil {
			t.Errorf("%x is no response", response)
		}
	})
}
