// Package deploy checks what deploy/ has and no machine of the developers runs: the image, the compose file, the unit, and what is asked of Prometheus.
// It is a module of its own, because the parsers that it needs are others' and large. `make deploy` runs it, with promtool beside it.
package deploy

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

const folder = "../../deploy"

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder, file))
	require.NoError(t, err)
	return string(data)
}
