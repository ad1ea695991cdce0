package gateway_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/client"
	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	"github.com/prismgate/prism/gen/go/prism/keyvalue/v1/keyvaluerpc"
	"github.com/prismgate/prism/internal/testgateway"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/fault"
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
	address := testgateway.Start(t, &configv1.Config{})
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
					second(c.Namespace("default").List().PushLeft(t.Context(), "l", [][]byte{[]byte("m")})),
					fault.Unimplemented,
					[]string{"list_basic", "keyvalue_basic, keyvalue_batch"},
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
	c := testgateway.Dial(t, testgateway.Start(t, &configv1.Config{}))
	_, err := c.Namespace("").KeyValue().Get(t.Context(), "a")
	require.Equal(t, "NAMESPACE_MISSING", fault.ReasonOf(err))
	_, err = c.Namespace("nowhere").KeyValue().Get(t.Context(), "a")
	require.Equal(t, "NAMESPACE_NOT_FOUND", fault.ReasonOf(err))
	_, err = c.Namespace("default").List().PushLeft(t.Context(), "l", [][]byte{[]byte("m")})
	require.Equal(t, "INTERFACE_NOT_OFFERED", fault.ReasonOf(err))
}

func TestTwoNamespaceHeadersAreAmbiguous(t *testing.T) {
	address := testgateway.Start(t, &configv1.Config{})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/prism.keyvalue.v1.KeyValueBasicInterface/Get", strings.NewReader(`{"key":"a"}`))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	request.Header["Prism-Namespace"] = []string{"default", "other"}
	status, body := do(t, request)
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, body, "2 prism-namespace headers")
}

func TestJSONOverPlainHTTP(t *testing.T) {
	address := testgateway.Start(t, &configv1.Config{})
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
	address := testgateway.Start(t, &configv1.Config{})
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

// broken is an implementation that has but one method.
type broken struct{ keyvaluev1.Basic }

func (broken) Set(ctx context.Context, _ *keyvaluev1.SetRequest) (*keyvaluev1.SetResponse, error) {
	call := rpc.CallFrom(ctx)
	call.Response.SetHeader("x-namespace", call.Namespace)
	call.Response.SetTrailer("x-procedure", call.Method.Procedure)
	return &keyvaluev1.SetResponse{}, nil
}

type brokenInstance struct{}

type brokenInterfaces struct{}

func (brokenInterfaces) Handlers() []rpc.Handler { return keyvaluerpc.BasicHandlers(broken{}) }

func (brokenInstance) Namespace(context.Context, string) (brokenInterfaces, error) {
	return brokenInterfaces{}, nil
}

func (brokenInstance) Close(context.Context) error { return nil }

func TestAHandlerKnowsItsCallAndSetsHeaderAndTrailer(t *testing.T) {
	server := testgateway.Address(testgateway.StartWith(t, testgateway.Options{
		Config: &configv1.Config{Namespaces: []*configv1.Namespace{{Name: "n", Backend: "memstore"}}},
		Backends: []backend.Type{backend.Of("memstore", func(context.Context, backend.Env, *backendsv1.MemStore) (brokenInstance, error) {
			return brokenInstance{}, nil
		})},
	}))
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
