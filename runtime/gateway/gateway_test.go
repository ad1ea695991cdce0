package gateway_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/prismgate/prism/client"
	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	"github.com/prismgate/prism/gen/go/prism/keyvalue/v1/keyvaluerpc"
	"github.com/prismgate/prism/gen/go/registry"
	"github.com/prismgate/prism/gen/go/wiring"
	"github.com/prismgate/prism/internal/testgateway"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/catalog"
	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/gateway"
	"github.com/prismgate/prism/runtime/health"
	"github.com/prismgate/prism/runtime/listen"
	"github.com/prismgate/prism/runtime/rpc"
)

// protocols are the ways to a gateway; a refusal must be the same on each.
var protocols = map[string][]client.Option{
	"grpc":          nil,
	"grpcweb":       {client.WithProtocol(client.GRPCWeb)},
	"connect":       {client.WithProtocol(client.Connect)},
	"connect-http1": {client.WithProtocol(client.Connect), client.WithHTTP1()},
}

func TestWhatIsRefusedAndHow(t *testing.T) {
	address := testgateway.Start(t, gateway.DefaultConfig())
	get := func(c *client.Client, namespace string) error {
		_, err := c.Namespace(namespace).KeyValue().Get(t.Context(), "a")
		return err
	}
	for name, options := range protocols {
		t.Run(name, func(t *testing.T) {
			c := testgateway.Dial(t, address, options...)
			for _, refusal := range []struct {
				what string
				err  error
				code fault.Code
				says []string
			}{
				{"missing namespace header", get(c, ""), fault.InvalidArgument, []string{"prism-namespace", "missing"}},
				{"unknown namespace", get(c, "nowhere"), fault.NotFound, []string{`"nowhere"`, "prism-namespace"}},
				{
					"interface not offered",
					second(c.Namespace("default").Queue().Enqueue(t.Context(), "q", []byte("m"))),
					fault.Unimplemented,
					[]string{"queue_basic", "keyvalue_basic, keyvalue_batch, keyvalue_cas, keyvalue_scan, keyvalue_transactional, keyvalue_ttl"},
				},
				{
					"oversized message",
					second(c.Namespace("default").KeyValue().Set(t.Context(), "a", make([]byte, 5<<20))),
					fault.ResourceExhausted,
					[]string{"KeyValueBasicInterface/Set takes at most 4194304"},
				},
				{
					"constraint",
					second(c.Namespace("default").KeyValue().Set(t.Context(), "", nil)),
					fault.InvalidArgument,
					[]string{"key", "1"},
				},
			} {
				require.Equal(t, refusal.code, fault.CodeOf(refusal.err), "%s: %v", refusal.what, refusal.err)
				for _, part := range refusal.says {
					require.Contains(t, refusal.err.Error(), part, refusal.what)
				}
			}
			require.NoError(t, get(c, "default"))
		})
	}
}

func TestReasonsAreMachineReadable(t *testing.T) {
	c := testgateway.Dial(t, testgateway.Start(t, gateway.DefaultConfig()))
	_, err := c.Namespace("").KeyValue().Get(t.Context(), "a")
	require.Equal(t, "NAMESPACE_MISSING", fault.ReasonOf(err))
	_, err = c.Namespace("nowhere").KeyValue().Get(t.Context(), "a")
	require.Equal(t, "NAMESPACE_NOT_FOUND", fault.ReasonOf(err))
	_, err = c.Namespace("default").Queue().Enqueue(t.Context(), "q", nil)
	require.Equal(t, "INTERFACE_NOT_OFFERED", fault.ReasonOf(err))
}

func TestTwoNamespaceHeadersAreAmbiguous(t *testing.T) {
	address := testgateway.Start(t, gateway.DefaultConfig())
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/prism.keyvalue.v1.KeyValueBasicInterface/Get", strings.NewReader(`{"key":"a"}`))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	request.Header["Prism-Namespace"] = []string{"default", "other"}
	status, body := do(t, request)
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, body, "2 prism-namespace headers")
}

func TestJSONOverPlainHTTP(t *testing.T) {
	address := testgateway.Start(t, gateway.DefaultConfig())
	call := func(method, body string) (int, string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/prism.keyvalue.v1.KeyValueBasicInterface/"+method, strings.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Prism-Namespace", "default")
		return do(t, request)
	}
	status, body := call("Set", `{"key":"a","value":"aGVsbG8="}`)
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{}`, body)
	_, body = call("Get", `{"key":"a"}`)
	require.JSONEq(t, `{"found":true,"value":"aGVsbG8="}`, body)
	status, body = call("Get", `{"key":`)
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, body, "invalid_argument")
	status, body = call("Missing", `{}`)
	require.Equal(t, http.StatusNotFound, status)
	require.Contains(t, body, "unknown procedure")
}

func TestAMethodWithoutSideEffectsIsAlsoHTTPGet(t *testing.T) {
	address := testgateway.Start(t, gateway.DefaultConfig())
	get := func(method, query string) (int, string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/prism.keyvalue.v1.KeyValueBasicInterface/"+method+query, nil)
		require.NoError(t, err)
		request.Header.Set("Prism-Namespace", "default")
		return do(t, request)
	}
	status, body := get("Get", `?connect=v1&encoding=json&message=%7B%22key%22:%22a%22%7D`)
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{}`, body)
	status, _ = get("Set", `?connect=v1&encoding=json&message=%7B%22key%22:%22a%22%7D`)
	require.Equal(t, http.StatusMethodNotAllowed, status)
}

// broken is an implementation with a defect.
type broken struct{ keyvaluev1.Basic }

func (broken) Get(context.Context, *keyvaluev1.GetRequest) (*keyvaluev1.GetResponse, error) {
	panic("a defect")
}

func (broken) Set(ctx context.Context, _ *keyvaluev1.SetRequest) (*keyvaluev1.SetResponse, error) {
	call := rpc.CallFrom(ctx)
	call.Response.SetHeader("x-namespace", call.Namespace)
	call.Response.SetTrailer("x-procedure", call.Method.Procedure)
	return &keyvaluev1.SetResponse{}, nil
}

type brokenInstance struct{ closed *bool }

type brokenInterfaces struct{}

func (brokenInterfaces) Handlers() []rpc.Handler { return keyvaluerpc.BasicHandlers(broken{}) }

func (brokenInstance) Namespace(context.Context, string) (brokenInterfaces, error) {
	return brokenInterfaces{}, nil
}

func (b brokenInstance) Close(context.Context) error {
	*b.closed = true
	return nil
}

func newBroken(t *testing.T) (*gateway.Gateway, *prometheus.Registry, *bytes.Buffer, []backend.Type, *bool) {
	t.Helper()
	own, err := catalog.New(nil, []catalog.Backend{{Name: "broken", NewConfig: func() proto.Message { return new(structpb.Struct) }}}, nil)
	require.NoError(t, err)
	generated, err := registry.Catalog()
	require.NoError(t, err)
	all, err := catalog.Merge(generated, own)
	require.NoError(t, err)
	metricsRegistry := prometheus.NewRegistry()
	metrics, err := gateway.NewMetrics(metricsRegistry)
	require.NoError(t, err)
	var log bytes.Buffer
	closed := false
	types := append(wiring.Backends(), backend.Of("broken", func(context.Context, *structpb.Struct) (brokenInstance, error) {
		return brokenInstance{&closed}, nil
	}))
	return gateway.New(all, slog.New(slog.NewTextHandler(&log, nil)), metrics), metricsRegistry, &log, types, &closed
}

func TestAPanicEndsOneCallWithInternal(t *testing.T) {
	g, metrics, log, types, closed := newBroken(t)
	opened, err := g.Open(t.Context(), &configv1.Config{Namespaces: []*configv1.Namespace{{Name: "n", Backend: "broken"}}}, types)
	require.NoError(t, err)
	g.Use(opened)
	server := startFront(t, g)

	kv := testgateway.Dial(t, server).Namespace("n").KeyValue()
	for range 2 {
		_, err = kv.Get(t.Context(), "a")
		require.Equal(t, fault.Internal, fault.CodeOf(err))
		require.NotContains(t, err.Error(), "a defect")
	}
	require.Contains(t, log.String(), "a defect")
	require.Contains(t, log.String(), "gateway_test.go")

	_, err = testgateway.Dial(t, server).Namespace("other").KeyValue().Get(t.Context(), "a")
	require.Equal(t, fault.NotFound, fault.CodeOf(err))
	require.NoError(t, testutil.GatherAndCompare(metrics, strings.NewReader(`
		# HELP prism_calls_total Calls that have ended, by namespace, service, method and gRPC code. Refused calls count; an unknown namespace counts under the empty name.
		# TYPE prism_calls_total counter
		prism_calls_total{code="INTERNAL",method="Get",namespace="n",service="prism.keyvalue.v1.KeyValueBasicInterface"} 2
		prism_calls_total{code="NOT_FOUND",method="Get",namespace="",service="prism.keyvalue.v1.KeyValueBasicInterface"} 1
	`), "prism_calls_total"))

	require.NoError(t, opened.Close(t.Context()))
	require.True(t, *closed)
}

func TestAHandlerKnowsItsCallAndSetsHeaderAndTrailer(t *testing.T) {
	g, _, _, types, _ := newBroken(t)
	opened, err := g.Open(t.Context(), &configv1.Config{Namespaces: []*configv1.Namespace{{Name: "n", Backend: "broken"}}}, types)
	require.NoError(t, err)
	g.Use(opened)
	server := startFront(t, g)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+server+"/prism.keyvalue.v1.KeyValueBasicInterface/Set", strings.NewReader(`{"key":"a"}`))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Prism-Namespace", "n")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, "n", response.Header.Get("X-Namespace"))
	require.Equal(t, "/prism.keyvalue.v1.KeyValueBasicInterface/Set", response.Header.Get("Trailer-X-Procedure"))
}

func TestOpenRefusesWhatCannotWorkAndClosesWhatItOpened(t *testing.T) {
	settings, err := structpb.NewStruct(map[string]any{"max_bites": 1})
	require.NoError(t, err)
	for name, c := range map[string]struct {
		config *configv1.Config
		says   string
	}{
		"unknown backend":   {&configv1.Config{Namespaces: []*configv1.Namespace{{Name: "a", Backend: "broken"}, {Name: "b", Backend: "rediss"}}}, `no backend "rediss" in this build; it has broken, memstore`},
		"namespace twice":   {&configv1.Config{Namespaces: []*configv1.Namespace{{Name: "a", Backend: "broken"}, {Name: "a", Backend: "broken"}}}, "unique"},
		"pattern":           {&configv1.Config{Namespaces: []*configv1.Namespace{{Name: "a", Backend: "broken"}, {Name: "b", Pattern: "outbox"}}}, "no patterns"},
		"unknown field":     {&configv1.Config{Backends: []*configv1.BackendInstance{{Name: "memstore", Config: settings}}, Namespaces: []*configv1.Namespace{{Name: "a", Backend: "broken"}, {Name: "b", Backend: "memstore"}}}, "max_bites"},
		"bad name":          {&configv1.Config{Namespaces: []*configv1.Namespace{{Name: "a b", Backend: "broken"}}}, "namespaces[0].name"},
		"instance twice":    {&configv1.Config{Backends: []*configv1.BackendInstance{{Name: "memstore"}, {Name: "memstore"}}}, "unique"},
		"no backend at all": {&configv1.Config{Namespaces: []*configv1.Namespace{{Name: "a", Backend: "broken"}, {Name: "b"}}}, `namespace "b"`},
	} {
		t.Run(name, func(t *testing.T) {
			g, _, _, types, closed := newBroken(t)
			_, err := g.Open(t.Context(), c.config, types)
			require.ErrorContains(t, err, c.says)
			// What comes first in the file was opened, unless the configuration was refused as a whole.
			require.Equal(t, len(c.config.GetNamespaces()) > 1, *closed)
			require.Empty(t, g.Namespaces())
		})
	}
}

func TestNamedInstancesOfOneTypeAreSeparate(t *testing.T) {
	address := testgateway.Start(t, &configv1.Config{
		Backends:   []*configv1.BackendInstance{{Name: "one", Type: "memstore"}, {Name: "two", Type: "memstore"}},
		Namespaces: []*configv1.Namespace{{Name: "a", Backend: "one"}, {Name: "b", Backend: "two"}, {Name: "c", Backend: "two"}},
	})
	c := testgateway.Dial(t, address)
	for _, written := range []string{"a", "b", "c"} {
		_, err := c.Namespace(written).KeyValue().Set(t.Context(), "from", []byte(written))
		require.NoError(t, err)
	}
	for _, read := range []string{"a", "b", "c"} {
		answer, err := c.Namespace(read).KeyValue().Get(t.Context(), "from")
		require.NoError(t, err)
		require.Equal(t, read, string(answer.GetValue()))
	}
}

func TestAdmin(t *testing.T) {
	state := health.NewState()
	server := httptest.NewServer(gateway.NewAdminHandler(state, prometheus.NewRegistry()))
	defer server.Close()
	get := func(path string) int {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
		require.NoError(t, err)
		status, _ := do(t, request)
		return status
	}
	require.Equal(t, http.StatusOK, get("/healthz"))
	require.Equal(t, http.StatusServiceUnavailable, get("/readyz"))
	state.Set(true)
	require.Equal(t, http.StatusOK, get("/readyz"))
	require.Equal(t, http.StatusOK, get("/metrics"))
	require.Equal(t, http.StatusNotFound, get("/debug/pprof/"))
}

// startFront serves a gateway until the test ends, and returns the address.
func startFront(t *testing.T, g *gateway.Gateway) string {
	t.Helper()
	listener, err := listen.Open(t.Context(), "127.0.0.1:0")
	require.NoError(t, err)
	front := gateway.NewFront(gateway.Routes(g, health.NewState()), gateway.FrontOptions{})
	served := make(chan struct{})
	go func() { defer close(served); _ = front.Serve(listener) }()
	t.Cleanup(func() {
		_ = front.Close()
		<-served
	})
	return listener.Addr().String()
}

func second[T any](_ T, err error) error { return err }

func do(t *testing.T, request *http.Request) (int, string) {
	t.Helper()
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(body)
}
