package testroutes

import (
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
)

// sidecar serves the instance with a gateway whose backend is in a process of its own: the program's `provider` command.
func sidecar(t *testing.T, s subject) opener {
	t.Helper()
	program := filepath.Join(t.TempDir(), "prism")
	output, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "github.com/prismgate/prism/cmd/prism").CombinedOutput() //nolint:gosec // the folder is the test's
	require.NoError(t, err, "%s", output)
	s.instance = proto.CloneOf(s.instance)
	s.instance.Deployment = "sidecar"
	s.instance.Provider = &configv1.Provider{
		Command: []string{program, "provider", s.backend.Name}, KeepaliveTimeout: durationpb.New(30 * time.Second), // a machine that runs tests may stall a process
	}
	return gateways(t, s, 1)
}
