package deployment_test

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/deployment"
	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/listen"
	"github.com/prismgate/prism/runtime/provider"
)

func served(t *testing.T, kind string) string {
	t.Helper()
	address := "unix:" + filepath.Join(t.TempDir(), "p.sock")
	stop, err := provide(kind, address, nil)
	require.NoError(t, err)
	t.Cleanup(stop)
	return address
}

func remote(address string) *configv1.BackendInstance {
	return &configv1.BackendInstance{Deployment: "remote", Provider: &configv1.Provider{Address: address, StartTimeout: durationpb.New(patience)}}
}

// absent is remote for an address where no provider is.
func absent(address string) *configv1.BackendInstance {
	instance := remote(address)
	instance.Provider.StartTimeout = durationpb.New(2 * time.Second)
	return instance
}

func TestEachDeploymentServesTheSame(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	there := remote(served(t, "memstore"))
	there.Name = "remote"
	clients := gateway(t, log.logger(), &configv1.BackendInstance{Name: "in-process"}, &configv1.BackendInstance{Name: "sidecar", Deployment: "sidecar"}, there)
	for name, namespace := range clients {
		_, err := namespace.KeyValueBasic.Set(t.Context(), &keyvaluev1.SetRequest{Key: "key", Value: []byte(name)})
		require.NoError(t, err, name)
	}
	for name, namespace := range clients {
		response, err := namespace.KeyValueBasic.Get(t.Context(), &keyvaluev1.GetRequest{Key: "key"})
		require.NoError(t, err, name)
		require.Equal(t, name, string(response.GetValue()))
		keys := 0
		require.NoError(t, namespace.KeyValueScan.Scan(t.Context(), new(keyvaluev1.ScanRequest), func(*keyvaluev1.ScanResponse) error { keys++; return nil }))
		require.Equal(t, 1, keys, name)
	}
	require.Len(t, log.pids(t), 1)
}

func TestASidecarIsGoneWhenItsInstanceIsClosed(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	opened, err := opener(t).Open(t.Context(), planned(t, &configv1.BackendInstance{Deployment: "sidecar"}), backend.Env{Instance: "orders", Log: log.logger()})
	require.NoError(t, err)
	require.NoError(t, opened.Close(t.Context()))
	require.Len(t, log.pids(t), 1)
	require.ErrorContains(t, killed(log.pids(t)[0]), "no such process")
}

// TestProvidersThatCannotBeUsed opens what must not open, and wants to be told what to do.
func TestProvidersThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	for kind, wants := range map[string][]string{
		"other-version": {"odd 1.0", "speaks version 2 of the provider protocol", "this gateway (prism test) speaks version 1", "use a provider and a gateway of one version"},
		"other-hash":    {"the interface keyvalue_basic is another one on each side", "abababab", "build both from the same schema"},
		"nameless":      {"without a handle"},
		"refuses":       {"max_bytes is too small for this provider"},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			err := opener(t).Try(t.Context(), planned(t, remote(served(t, kind))), backend.Env{Instance: "orders"})
			for _, want := range wants {
				require.ErrorContains(t, err, want)
			}
			command := &configv1.Provider{Command: []string{opener(t).Command[0], "provider", kind}}
			err = opener(t).Try(t.Context(), planned(t, &configv1.BackendInstance{Deployment: "sidecar", Provider: command}), backend.Env{Instance: "orders"})
			require.ErrorContains(t, err, wants[0], "as a sidecar")
		})
	}
}

func TestAProviderThatIsNotThere(t *testing.T) {
	t.Parallel()
	err := opener(t).Try(t.Context(), planned(t, absent("unix:"+filepath.Join(t.TempDir(), "p.sock"))), backend.Env{Instance: "orders"})
	require.ErrorContains(t, err, "does not answer after 2s; start it with \"prism provider memstore --listen unix:")
}

// TestAnotherServerIsNoProvider asks servers that speak something else.
func TestAnotherServerIsNoProvider(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = connection.Write([]byte("220 mail.example.com ESMTP\r\n"))
		}
	}()
	err = opener(t).Try(t.Context(), planned(t, absent(listener.Addr().String())), backend.Env{Instance: "orders"})
	require.ErrorContains(t, err, listener.Addr().String()+" does not answer after 2s")
}

// TestAProviderThatAnswersRubbish passes its answers on to nobody.
func TestAProviderThatAnswersRubbish(t *testing.T) {
	t.Parallel()
	instance := remote(served(t, "rubbish"))
	instance.Name = "orders"
	clients := gateway(t, newLog(t).logger(), instance)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := clients["orders"].KeyValueBasic.Get(ctx, &keyvaluev1.GetRequest{Key: "key"})
	require.Error(t, err)
	require.Contains(t, []fault.Code{fault.Internal, fault.Unavailable, fault.Unknown}, fault.CodeOf(err), "%v", err)
}

// TestATrialLeavesAloneWhatOthersUse dials a provider that serves a gateway under the same name.
func TestATrialLeavesAloneWhatOthersUse(t *testing.T) {
	t.Parallel()
	address := served(t, "memstore")
	instance := remote(address)
	instance.Name = "orders"
	basic := gateway(t, newLog(t).logger(), instance)["orders"].KeyValueBasic
	_, err := basic.Set(t.Context(), &keyvaluev1.SetRequest{Key: "key", Value: []byte("value")})
	require.NoError(t, err)
	require.NoError(t, opener(t).Try(t.Context(), planned(t, remote(address)), backend.Env{Instance: "orders"}))
	response, err := basic.Get(t.Context(), &keyvaluev1.GetRequest{Key: "key"})
	require.NoError(t, err)
	require.Equal(t, "value", string(response.GetValue()))
}

// closing counts the backends that a provider has closed.
type closing struct {
	backend.Instance
	closed *atomic.Int64
}

func (c closing) Close(ctx context.Context) error {
	c.closed.Add(1)
	return c.Instance.Close(ctx)
}

// stopping ends a context when the gateway has attached.
type stopping struct {
	slog.Handler
	stop context.CancelFunc
}

func (stopping) Enabled(context.Context, slog.Level) bool { return true }

func (s stopping) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "attached to the backend's provider") {
		s.stop()
	}
	return nil
}

// TestATrialThatIsCutShortLeavesNothing ends the time of a trial when its instance is open.
func TestATrialThatIsCutShortLeavesNothing(t *testing.T) {
	t.Parallel()
	var closed atomic.Int64
	counted := backend.Type{Name: "memstore", Open: func(ctx context.Context, env backend.Env, config proto.Message) (backend.Instance, error) {
		opened, err := memStores()[0].Open(ctx, env, config)
		return closing{opened, &closed}, err
	}}
	address := "unix:" + filepath.Join(t.TempDir(), "p.sock")
	listener, err := listen.Open(t.Context(), address)
	require.NoError(t, err)
	server := provider.NewServer(provider.ServerOptions{Catalog: knownCatalog(t), Backends: []backend.Type{counted}}).Listener(nil)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	log := slog.New(stopping{slog.DiscardHandler, stop})
	require.NoError(t, opener(t).Try(ctx, planned(t, remote(address)), backend.Env{Instance: "orders", Log: log}))
	require.Error(t, ctx.Err())
	require.Equal(t, int64(1), closed.Load())
}

func TestASidecarNeedsAProgram(t *testing.T) {
	t.Parallel()
	o := &deployment.Opener{Catalog: knownCatalog(t), Backends: memStores()}
	err := o.Try(t.Context(), planned(t, &configv1.BackendInstance{Deployment: "sidecar"}), backend.Env{Instance: "orders"})
	require.ErrorContains(t, err, "name one with provider.command")
}
