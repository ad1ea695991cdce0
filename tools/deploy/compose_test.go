package deploy

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// TestCompose lets Compose's own loader check the file against its schema, and demands that what it names is there.
func TestCompose(t *testing.T) {
	details := types.ConfigDetails{WorkingDir: folder, ConfigFiles: []types.ConfigFile{{Filename: folder + "/compose.yaml", Content: []byte(read(t, "compose.yaml"))}}}
	project, err := loader.LoadWithContext(context.Background(), details)
	require.NoError(t, err)
	require.Len(t, project.Services, 3)

	for name, service := range project.Services {
		require.NotEmpty(t, service.Ports, name)
		for _, port := range service.Ports {
			require.Equal(t, "127.0.0.1", port.HostIP, "%s: nobody is authenticated, so no port is published to other machines", name)
		}
		for _, volume := range service.Volumes {
			if volume.Type == types.VolumeTypeBind {
				_, err := os.Stat(volume.Source)
				require.NoError(t, err, name)
				require.True(t, volume.ReadOnly, "%s: %s", name, volume.Source)
			}
		}
	}
	require.Greater(t, time.Duration(*project.Services["gateway"].StopGracePeriod), drainTimeout(t), "the gateway is killed before it has drained")
}

// drainTimeout is how long the gateway takes at most to stop.
func drainTimeout(t *testing.T) time.Duration {
	t.Helper()
	var config struct {
		Server struct {
			DrainTimeout time.Duration `yaml:"drain_timeout"`
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(read(t, "prism.yaml")), &config))
	require.NotZero(t, config.Server.DrainTimeout)
	return config.Server.DrainTimeout
}
