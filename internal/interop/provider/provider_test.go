//go:build python

package provider

import (
	"bytes"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/conformance/keyvaluetest"
	"github.com/prismgate/prism/gen/go/prism"
	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	"github.com/prismgate/prism/internal/testgateway"
	"github.com/prismgate/prism/runtime/fault"
)

const (
	// installing bounds what the provider needs to be there: packages, and generated code.
	installing = 5 * time.Minute
	// namespaces are more than the suite opens.
	namespaces = 100
)

// TestAProviderInPythonPassesTheSuite runs it as somebody would: by its own script, before the gateway.
func TestAProviderInPythonPassesTheSuite(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "p.sock")
	run(t, "unix:"+socket)
	require.Eventually(t, func() bool {
		connection, err := net.Dial("unix", socket)
		if err == nil {
			_ = connection.Close()
		}
		return err == nil
	}, installing, 20*time.Millisecond)
	suite(t, &configv1.BackendInstance{Deployment: "remote", Provider: &configv1.Provider{Address: "unix:" + socket}})
}

// TestAProviderInPythonIsASidecar has the gateway start it.
func TestAProviderInPythonIsASidecar(t *testing.T) {
	suite(t, &configv1.BackendInstance{Deployment: "sidecar", Provider: &configv1.Provider{
		Command: []string{script(t)}, StartTimeout: durationpb.New(installing),
	}})
}

func script(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../../../examples/provider-python/run.sh")
	require.NoError(t, err)
	return path
}

// run runs the provider until the test ends, and then it must end in order.
func run(t *testing.T, address string) {
	t.Helper()
	var said said
	command := exec.Command(script(t), "--listen", address)
	command.Stdout, command.Stderr = &said, &said
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		require.NoError(t, command.Process.Signal(syscall.SIGTERM))
		require.NoError(t, command.Wait())
		if t.Failed() {
			t.Log(said.String())
		}
	})
}

// suite runs the suite of keyvalue_basic on an instance, through a gateway.
func suite(t *testing.T, instance *configv1.BackendInstance) {
	t.Helper()
	instance.Name, instance.Type = "python", "memstore"
	c := &configv1.Config{Backends: []*configv1.BackendInstance{instance}}
	for i := range namespaces {
		c.Namespaces = append(c.Namespaces, &configv1.Namespace{Name: strconv.Itoa(i), Backend: instance.Name})
	}
	client := testgateway.Dial(t, testgateway.Start(t, c))
	var next atomic.Int64
	clients := func(interfaces ...string) *prism.Interfaces {
		i := next.Add(1) - 1
		require.Less(t, i, int64(namespaces), "the suite opens more namespaces than there are; raise the number")
		return prism.Clients(client.Conn(strconv.FormatInt(i, 10)), interfaces...)
	}
	_, err := clients("keyvalue_ttl").KeyValueTTL.SetWithTTL(t.Context(), &keyvaluev1.SetWithTTLRequest{Key: "key", Ttl: durationpb.New(time.Hour)})
	require.Equal(t, fault.Unimplemented, fault.CodeOf(err), "%v", err)
	t.Run("keyvalue_basic", func(t *testing.T) {
		keyvaluetest.Basic(t, func(t *testing.T) *prism.Interfaces { return clients("keyvalue_basic") })
	})
}

// said is what a process has written.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(data []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(data)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}
