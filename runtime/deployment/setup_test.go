package deployment_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/backends/memstore"
	"github.com/prismgate/prism/client"
	"github.com/prismgate/prism/gen/go/prism"
	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	providerv1 "github.com/prismgate/prism/gen/go/prism/provider/v1"
	"github.com/prismgate/prism/gen/go/prism/provider/v1/providerrpc"
	"github.com/prismgate/prism/gen/go/registry"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/catalog"
	"github.com/prismgate/prism/runtime/deployment"
	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/front"
	"github.com/prismgate/prism/runtime/listen"
	"github.com/prismgate/prism/runtime/plan"
	"github.com/prismgate/prism/runtime/provider"
	"github.com/prismgate/prism/runtime/rpc"
	"github.com/prismgate/prism/runtime/server"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// TestMain is a provider too, when it is started as one: "provider", what kind it is, "--listen" and where.
func TestMain(m *testing.M) {
	if len(os.Args) == 5 && os.Args[1] == "provider" {
		if err := play(os.Args[2], os.Args[4]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// play is a provider until its standard input ends.
func play(kind, address string) error {
	fmt.Fprintln(os.Stderr, "pid", os.Getpid())
	stop, err := provide(kind, address, nil)
	if err != nil {
		return err
	}
	defer stop()
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// provide serves a provider of some kind: memstore is a good one, the others are not.
func provide(kind, address string, secured *tls.Config) (stop func(), err error) {
	known, err := registry.Catalog()
	if err != nil {
		return nil, err
	}
	listener, err := listen.Open(context.Background(), address)
	if err != nil {
		return nil, err
	}
	var served *listen.Server
	if kind == "memstore" {
		served = provider.NewServer(provider.ServerOptions{Catalog: known, Backends: memStores(), Version: "test"}).Listener(secured)
	} else {
		served = front.NewServer(routesOf(providerrpc.PatternProviderHandlers(odd{kind: kind})), front.ServerOptions{TLS: secured})
	}
	go func() { _ = served.Serve(listener) }()
	return func() { _ = served.Close() }, nil
}

func memStores() []backend.Type { return []backend.Type{backend.Of("memstore", memstore.Open)} }

func routesOf(handlers []rpc.Handler) []rpc.Route {
	var routes []rpc.Route
	for _, h := range handlers {
		routes = append(routes, rpc.Route{Method: h.Method, Serve: func(ctx context.Context, _ *rpc.Call, stream rpc.Stream) error { return h.Serve(ctx, stream) }})
	}
	return routes
}

// odd is a provider that does not keep to the protocol.
type odd struct {
	providerrpc.PatternProvider
	kind string
}

func (o odd) Initialize(_ context.Context, request *providerv1.InitializeRequest) (*providerv1.InitializeResponse, error) {
	answer := &providerv1.InitializeResponse{Instance: "handle", ProtocolVersion: request.GetProtocolVersion(), Interfaces: request.GetInterfaces(), Provider: "odd 1.0"}
	switch o.kind {
	case "other-version":
		answer.ProtocolVersion = 2
	case "other-hash":
		answer.Interfaces["keyvalue_basic"] = bytes.Repeat([]byte{0xab}, 32)
	case "nameless":
		answer.Instance = ""
	case "refuses":
		return nil, fault.New(fault.InvalidArgument, "max_bytes is too small for this provider")
	}
	return answer, nil
}

func (odd) HealthCheck(context.Context, *providerv1.HealthCheckRequest) (*providerv1.HealthCheckResponse, error) {
	return &providerv1.HealthCheckResponse{State: providerv1.HealthState_HEALTH_STATE_READY}, nil
}

func (odd) ExecuteStream(context.Context, func() (*providerv1.ExecuteStreamRequest, error), func(*providerv1.ExecuteStreamResponse) error) error {
	return fault.New(fault.Unimplemented, "no streams")
}

func (odd) Execute(context.Context, *providerv1.ExecuteRequest) (*providerv1.ExecuteResponse, error) {
	return &providerv1.ExecuteResponse{Payload: []byte("rubbish"), Response: &providerv1.CallResponse{}}, nil
}

func (odd) Shutdown(context.Context, *providerv1.ShutdownRequest) (*providerv1.ShutdownResponse, error) {
	return new(providerv1.ShutdownResponse), nil
}

// logged is a log that a test can wait for.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func newLog(t *testing.T) *logged {
	log := new(logged)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(log.String())
		}
	})
	return log
}

func (l *logged) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(data)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// pids are those that sidecars have told, the first one first.
func (l *logged) pids(t *testing.T) []int {
	var pids []int
	for _, line := range strings.Split(l.String(), "\n") {
		if _, rest, ok := strings.Cut(line, `msg="pid `); ok {
			pid, err := strconv.Atoi(rest[:strings.IndexByte(rest, '"')])
			require.NoError(t, err)
			pids = append(pids, pid)
		}
	}
	return pids
}

func knownCatalog(t *testing.T) *catalog.Catalog {
	t.Helper()
	known, err := registry.Catalog()
	require.NoError(t, err)
	return known
}

// planned is the plan of one instance of memstore.
func planned(t *testing.T, instance *configv1.BackendInstance) *plan.Instance {
	t.Helper()
	instance.Name, instance.Type = "orders", "memstore"
	p, err := plan.Make(&configv1.Config{Backends: []*configv1.BackendInstance{instance}, Namespaces: []*configv1.Namespace{{Name: "a", Backend: "orders"}}}, knownCatalog(t))
	require.NoError(t, err)
	return p.Instances[0]
}

func opener(t *testing.T) *deployment.Opener {
	return &deployment.Opener{Catalog: knownCatalog(t), Backends: memStores(), Command: []string{os.Args[0], "provider"}, Gateway: "prism test"}
}

// gateway serves each instance, which is one of memstore, as the namespace of its name, and returns the keys and values of each.
func gateway(t *testing.T, log *slog.Logger, instances ...*configv1.BackendInstance) map[string]*prism.Interfaces {
	t.Helper()
	c := &configv1.Config{
		Server: &configv1.Server{Listen: "127.0.0.1:0", Admin: "127.0.0.1:0"}, Backends: instances,
		Observability: &configv1.Observability{AccessLog: &configv1.AccessLog{Calls: "off"}},
	}
	for _, i := range instances {
		i.Type = "memstore"
		c.Namespaces = append(c.Namespaces, &configv1.Namespace{Name: i.GetName(), Backend: i.GetName()})
	}
	s, err := server.Start(t.Context(), server.Options{
		Catalog: knownCatalog(t), Backends: memStores(), Load: server.Fixed(c), Provider: []string{os.Args[0], "provider"}, Log: log,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close(context.WithoutCancel(t.Context()))) })
	dialed, err := client.Dial(s.Front().Addresses()[0].Address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = dialed.Close() })
	served := make(map[string]*prism.Interfaces)
	for _, i := range instances {
		served[i.GetName()] = prism.Clients(dialed.Conn(i.GetName()), "keyvalue_basic", "keyvalue_scan")
	}
	return served
}

func signalTo(t *testing.T, pid int, signal syscall.Signal) {
	t.Helper()
	require.NoError(t, syscall.Kill(pid, signal))
}

func isOneOf(code fault.Code, codes ...fault.Code) bool { return slices.Contains(codes, code) }
