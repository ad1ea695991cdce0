package server_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/backends/memstore"
	"github.com/prismgate/prism/client"
	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	"github.com/prismgate/prism/gen/go/registry"
	"github.com/prismgate/prism/gen/go/wiring"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/config"
	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/server"
)

// patience is how long a test waits for what must come. It tells a hang from a machine that is busy, and nothing else.
const patience = 30 * time.Second

// keeper is memstore whose instances outlive the gateway, so that a test can look at what they hold.
type keeper struct {
	mu     sync.Mutex
	stores []*memstore.Store
}

func (k *keeper) Type() backend.Type {
	return backend.Of("memstore", func(ctx context.Context, _ backend.Env, c *backendsv1.MemStore) (keptStore, error) {
		store, err := memstore.Open(ctx, backend.Env{}, c)
		k.mu.Lock()
		defer k.mu.Unlock()
		k.stores = append(k.stores, store)
		return keptStore{store}, err
	})
}

type keptStore struct{ *memstore.Store }

func (keptStore) Close(context.Context) error { return nil }

// file is a configuration file.
type file struct {
	t    *testing.T
	name string
}

func newFile(t *testing.T, text string) file {
	t.Helper()
	f := file{t, filepath.Join(t.TempDir(), "prism.yaml")}
	f.write(text)
	return f
}

const onLoopback = "server: {listen: '127.0.0.1:0', admin: '127.0.0.1:0', reload_grace: 100ms}\n"

// write replaces the file in one step, as careful editors do.
func (f file) write(text string) {
	f.t.Helper()
	require.NoError(f.t, os.WriteFile(f.name+".new", []byte(onLoopback+text), 0o600))
	require.NoError(f.t, os.Rename(f.name+".new", f.name))
}

// start serves the file.
func (f file) start(o server.Options) *server.Server {
	f.t.Helper()
	known, err := registry.Catalog()
	require.NoError(f.t, err)
	o.Catalog = known
	if o.Backends == nil {
		o.Backends = wiring.Backends()
	}
	o.Load = func() (*config.Source, error) { return config.Load(f.name) }
	s, err := server.Start(f.t.Context(), o)
	require.NoError(f.t, err)
	f.t.Cleanup(func() { _ = s.Close(context.WithoutCancel(f.t.Context())) })
	return s
}

func dial(t *testing.T, s *server.Server, options ...client.Option) *client.Client {
	t.Helper()
	c, err := client.Dial(s.Front().Addresses()[0].Address, options...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestReloadsAndADrainUnderLoad is what an operator relies on: a hundred reloads, some of them wrong, and a drain, while clients read and write. No call fails that
// began before the drain, no acknowledged write is lost, and nothing is left running.
func TestReloadsAndADrainUnderLoad(t *testing.T) {
	before := runtime.NumGoroutine()
	kept := new(keeper)
	f := newFile(t, variant(0))
	s := f.start(server.Options{Backends: []backend.Type{kept.Type()}})

	var acknowledged sync.Map
	var drained atomic.Int64 // when the drain began, in Unix nanoseconds
	var load sync.WaitGroup
	var calls atomic.Int64
	clients := []*client.Client{dial(t, s), dial(t, s, client.WithProtocol(client.Connect)), dial(t, s, client.WithProtocol(client.GRPCWeb))}
	for i := range 6 {
		load.Go(func() {
			kv := clients[i%len(clients)].Namespace("default").KeyValue()
			for n := 0; ; n++ {
				key, begin := fmt.Sprintf("%d-%d", i, n), time.Now().UnixNano()
				_, err := kv.Set(t.Context(), key, []byte(key))
				if err == nil {
					acknowledged.Store(key, nil)
					begin = time.Now().UnixNano()
					var answer *keyvaluev1.GetResponse
					if answer, err = kv.Get(t.Context(), key); err == nil && string(answer.GetValue()) != key {
						t.Errorf("%s was acknowledged and is not there", key)
						return
					}
				}
				if err != nil {
					// A call that found its connection leaving and the port closed was never sent, whenever it began.
					sent := !strings.Contains(err.Error(), "connection refused")
					if at := drained.Load(); at == 0 || begin < at && sent {
						t.Errorf("a call that began before the drain failed: %v", err)
					} else if fault.CodeOf(err) != fault.Unavailable {
						t.Errorf("a call that came too late ended with %v", err)
					}
					return
				}
				calls.Add(1)
			}
		})
	}

	for i := 1; i <= 100; i++ {
		f.write(variant(i))
		err := s.Reload(t.Context())
		if i%10 == 3 {
			require.ErrorContains(t, err, `prism.yaml:4:`, "a wrong configuration is refused")
		} else {
			require.NoError(t, err)
		}
		for at := calls.Load(); calls.Load() < at+5; {
			time.Sleep(time.Millisecond)
		}
	}
	require.NotEmpty(t, calls.Load())
	drained.Store(time.Now().UnixNano())
	require.NoError(t, s.Shutdown(t.Context()))
	load.Wait()

	require.Len(t, kept.stores, 1, "the instance was carried over each time")
	interfaces, err := kept.stores[0].Namespace(t.Context(), "default")
	require.NoError(t, err)
	writes := 0
	acknowledged.Range(func(key, _ any) bool {
		answer, err := interfaces.Interfaces().KeyValueBasic.Get(t.Context(), &keyvaluev1.GetRequest{Key: key.(string)})
		require.NoError(t, err)
		require.Equal(t, key, string(answer.GetValue()))
		writes++
		return true
	})
	require.Greater(t, writes, 100)

	for _, c := range clients {
		require.NoError(t, c.Close())
	}
	require.NoError(t, kept.stores[0].Close(t.Context()))
	for end := time.Now().Add(patience); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		require.False(t, time.Now().After(end), "goroutines are left: %s", stacks())
	}
}

func stacks() string {
	text := make([]byte, 1<<20)
	return string(text[:runtime.Stack(text, true)])
}

// variant is one of a hundred configurations of the namespace default on one instance: its limits change, others come and go, and one in ten is wrong.
func variant(i int) string {
	var text strings.Builder
	fmt.Fprintf(&text, "backends:\n  - {name: main, type: memstore}\n")
	if i%10 == 3 {
		return "backends:\n  - name: main\n    tipe: memstore\n"
	}
	fmt.Fprintf(&text, "namespaces:\n  - {name: default, backend: main, limits: {max_concurrent_calls: %d}}\n", 1000+i%3)
	for n := range i % 7 {
		fmt.Fprintf(&text, "  - {name: other-%d, backend: main}\n", n)
	}
	return text.String()
}

func TestAReloadIsTriggeredByAChangedFile(t *testing.T) {
	f := newFile(t, "namespaces: [{name: one, backend: memstore}]\n")
	s := f.start(server.Options{Watch: []string{f.name}})
	require.Equal(t, []string{"one"}, s.Gateway().Namespaces())
	f.write("namespaces: [{name: one, backend: memstore}, {name: two, backend: memstore}]\n")
	require.Eventually(t, func() bool { return len(s.Gateway().Namespaces()) == 2 }, patience, 5*time.Millisecond)
}

func TestWhatIsWrongChangesNothingAndIsTold(t *testing.T) {
	var log strings.Builder
	f := newFile(t, "namespaces: [{name: one, backend: memstore}]\n")
	s := f.start(server.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	for _, wrong := range []struct{ text, says string }{
		{"namespaces: [{name: one, backend: memstor}]\n", `memstore`},
		{"namespaces: [{name: one, backend: memstore}, {name: one, backend: memstore}]\n", "prism.yaml:2:"},
		{"nam", "prism.yaml:2:"},
	} {
		f.write(wrong.text)
		require.ErrorContains(t, s.Reload(t.Context()), wrong.says)
		require.Equal(t, []string{"one"}, s.Gateway().Namespaces())
	}
	require.Contains(t, log.String(), "nothing has changed")
	_, err := dial(t, s).Namespace("one").KeyValue().Set(t.Context(), "a", nil)
	require.NoError(t, err)
}

func TestWhereItListensCannotChangeWhileItRuns(t *testing.T) {
	f := newFile(t, "namespaces: [{name: one, backend: memstore}]\n")
	s := f.start(server.Options{})
	require.NoError(t, os.WriteFile(f.name, []byte("server:\n  listen: 127.0.0.1:0\n  admin: 127.0.0.1:0\n  pprof: true\nnamespaces: [{name: one, backend: memstore}]\n"), 0o600))
	err := s.Reload(t.Context())
	require.ErrorContains(t, err, "prism.yaml:4:")
	require.ErrorContains(t, err, "server.pprof: it cannot change while the gateway runs; restart the gateway")
}

// TestARunningGatewaySurvivesEveryBadConfiguration gives it every configuration that package config and package plan have as a golden case of what is refused.
func TestARunningGatewaySurvivesEveryBadConfiguration(t *testing.T) {
	good := newFile(t, "namespaces: [{name: one, backend: memstore}]\n")
	paths := []string{good.name}
	known, err := registry.Catalog()
	require.NoError(t, err)
	s, err := server.Start(t.Context(), server.Options{
		Catalog: known, Backends: wiring.Backends(), Patterns: wiring.Patterns(),
		Load: func() (*config.Source, error) { return config.Load(paths...) },
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close(context.WithoutCancel(t.Context())) })
	kv := dial(t, s).Namespace("one").KeyValue()
	_, err = kv.Set(t.Context(), "kept", []byte("value"))
	require.NoError(t, err)

	survives := func(what string) {
		require.Error(t, s.Reload(t.Context()), what)
		answer, err := kv.Get(t.Context(), "kept")
		require.NoError(t, err, what)
		require.Equal(t, "value", string(answer.GetValue()), what)
	}
	folders, err := filepath.Glob("../config/testdata/bad/*")
	require.NoError(t, err)
	require.Greater(t, len(folders), 50)
	for _, folder := range folders {
		paths = []string{folder}
		survives(folder)
	}
	refused, err := filepath.Glob("../plan/testdata/refused/*.yaml")
	require.NoError(t, err)
	cases := 0
	for _, name := range refused {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		for _, section := range strings.Split(string(text), "\n--- ") {
			title, body, _ := strings.Cut(section, "\n")
			require.NoError(t, os.WriteFile(good.name, []byte(body), 0o600))
			paths = []string{good.name}
			survives(name + ": " + title)
			cases++
		}
	}
	require.Greater(t, cases, 40)
}

// A subscriber that never leaves does not hold a stop up, and is told to go elsewhere.
func TestAnOpenSubscriptionDoesNotHoldAStopUp(t *testing.T) {
	f := newFile(t, "namespaces: [{name: one, backend: memstore}]\n")
	s := f.start(server.Options{})
	subscription := dial(t, s).Namespace("one").PubSub()
	active, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for _, err := range subscription.Subscribe(t.Context(), "news") {
			if err != nil {
				ended <- err
				return
			}
			close(active)
		}
		ended <- nil
	}()
	<-active
	require.NoError(t, s.Shutdown(t.Context()), "nothing was cut off")
	require.Equal(t, "GATEWAY_STOPPING", fault.ReasonOf(<-ended))
}
