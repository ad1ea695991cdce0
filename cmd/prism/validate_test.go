package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/internal/testcatalog"
	"github.com/prismgate/prism/runtime/backend"
)

// guidesOutput is what the architecture guide shows of prism validate, word for word.
const guidesOutput = `
Validating namespace: iot-devices
Pattern: multicast-registry v1

Slot: registry
  Backend: redis
  Required interfaces:
    ✓ keyvalue_basic       (redis implements)
    ✓ keyvalue_scan        (redis implements)
  Optional interfaces:
    ✓ keyvalue_ttl         (redis implements)

Slot: messaging
  Backend: nats
  Required interfaces:
    ✓ pubsub_basic         (nats implements)

Slot: durability
  Backend: postgres
  Required interfaces:
    ✓ queue_basic          (postgres implements)
    ✓ queue_visibility     (postgres implements)
    ✓ queue_dead_letter    (postgres implements)

✅ Configuration valid
`

func TestValidatePrintsWhatTheGuideShows(t *testing.T) {
	t.Parallel()
	d := built(t)
	d.catalog = testcatalog.New(t)
	got := runLine(t, d, "validate", "testdata/guide/validate/namespace-config.yaml")
	require.Equal(t, result{stdout: guidesOutput}, got)
}

// TestValidateOnMemStore is the guide's example on this build's own catalog.
func TestValidateOnMemStore(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/guide/validate/namespace-config.yaml")
	require.NoError(t, err)
	onMemStore := strings.NewReplacer("backend: redis", "backend: memstore", "backend: nats", "backend: memstore", "backend: postgres", "backend: memstore")
	d := built(t)
	d.stdin = strings.NewReader(onMemStore.Replace(string(text)))
	want := strings.NewReplacer("redis", "memstore", "nats", "memstore", "postgres", "memstore").Replace(guidesOutput)
	require.Equal(t, result{stdout: want}, runLine(t, d, "validate", "-"))
}

// dialing are dependencies whose backends open as the functions say, and which the configuration in stdin names.
func dialing(t *testing.T, memstore func(context.Context) error, s *store) dependencies {
	d := built(t)
	d.catalog = testcatalog.New(t)
	d.backends = []backend.Type{
		backend.Of("memstore", func(ctx context.Context, _ backend.Env, _ *backendsv1.MemStore) (*store, error) {
			return s, memstore(ctx)
		}),
		backend.Of("nats", func(context.Context, backend.Env, *configv1.Tls) (*store, error) {
			s.opened.Add(1)
			return s, nil
		}),
	}
	d.stdin = strings.NewReader("backends: [{name: small, type: memstore}, {name: unused, type: redis}]\nnamespaces: [{name: a, backend: small}, {name: b, backend: nats}]\n")
	return d
}

func TestValidateDials(t *testing.T) {
	t.Parallel()
	s := newStore()
	got := runLine(t, dialing(t, func(context.Context) error { return nil }, s), "validate", "--dial", "-")
	require.Equal(t, exitOK, got.exit, got.stderr)
	require.Contains(t, got.stdout, "\nBackend instances:\n  ✓ nats                 (nats opens)\n  ✓ small                (memstore opens)\n\n✅ Configuration valid\n")
	require.EqualValues(t, 1, s.opened.Load())
	require.EqualValues(t, 2, s.closed.Load())
}

func TestValidateDoesNotDialUnlessAsked(t *testing.T) {
	t.Parallel()
	s := newStore()
	got := runLine(t, dialing(t, func(context.Context) error { return errors.New("it was opened") }, s), "validate", "-")
	require.Equal(t, exitOK, got.exit)
	require.Zero(t, s.opened.Load())
	require.NotContains(t, got.stdout, "Backend instances")
}

func TestValidateDialsInVain(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		open func(context.Context) error
		says string
	}{
		{"refused", func(context.Context) error { return errors.New("connection refused") }, "connection refused"},
		{"silent", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, "context deadline exceeded"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := runLine(t, dialing(t, test.open, newStore()), "validate", "--dial", "--timeout", (10 * time.Millisecond).String(), "-")
			require.Equal(t, exitFailed, got.exit)
			require.Contains(t, got.stdout, "  ✗ small                (memstore does not open: "+test.says+")\n\n❌ Configuration valid, and 1 backend instance did not open\n")
			require.Contains(t, got.stdout, "  ✓ nats                 (nats opens)\n")

			got = runLine(t, dialing(t, test.open, newStore()), "validate", "--dial", "--timeout", (10 * time.Millisecond).String(), "-", "-o", "json")
			require.Equal(t, exitFailed, got.exit)
			require.Contains(t, got.stdout, `"valid": false`)
			require.Contains(t, got.stdout, `"problem": "`+test.says+`"`)
		})
	}
}

func TestValidateFolder(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for name, text := range map[string]string{"a.yaml": "backends: [{name: small, type: memstore}]\n", "b.yml": "namespaces:\n  - {name: a, backend: smal}\n", "c.txt": "::"} {
		require.NoError(t, os.WriteFile(folder+"/"+name, []byte(text), 0o600))
	}
	got := runLine(t, built(t), "validate", folder)
	require.Equal(t, exitFailed, got.exit)
	require.Contains(t, got.stderr, folder+"/b.yml:2:24: namespaces[0].backend: ")
	require.Contains(t, got.stderr, "did you mean small?")
}
