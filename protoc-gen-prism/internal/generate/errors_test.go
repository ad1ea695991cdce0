package generate_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/prismgate/prism/protoc-gen-prism/internal/plugintest"
)

// TestErrors runs the plugin on each folder of testdata/errors; all that it finds wrong there is in the folder's want.txt.
func TestErrors(t *testing.T) {
	t.Parallel()
	cases, err := os.ReadDir(errorCases())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.Name(), func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(errorCases(), c.Name())
			response := plugintest.Run(t, dir, plugintest.Params)
			if response.Error == nil {
				t.Fatal("the plugin finds nothing wrong")
			}
			if len(response.GetFile()) > 0 {
				t.Errorf("%d files beside an error", len(response.GetFile()))
			}
			plugintest.Golden(t, filepath.Join(dir, "want.txt"), response.GetError()+"\n")
		})
	}
}

func errorCases() string {
	return filepath.Join(plugintest.Root(), "protoc-gen-prism", "testdata", "errors")
}
