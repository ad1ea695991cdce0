package main_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/protoc-gen-prism/internal/plugintest"
)

const goldenFolder = "testdata/golden"

// TestGolden generates each case of testdata/golden, a folder with the schema in "in" and what it is to become in "out".
func TestGolden(t *testing.T) {
	t.Parallel()
	cases, err := os.ReadDir(goldenFolder)
	require.NoError(t, err)
	require.NotEmpty(t, cases)
	for _, c := range cases {
		t.Run(c.Name(), func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(goldenFolder, c.Name())
			requireGolden(t, filepath.Join(dir, "out"), generated(t, filepath.Join(dir, "in")))
		})
	}
}

// generated is what the plugin makes of the proto files below a folder, by path.
func generated(t *testing.T, in string) map[string]string {
	t.Helper()
	response := plugintest.Run(t, in, plugintest.Params)
	require.Empty(t, response.GetError())
	files := make(map[string]string)
	for _, file := range response.GetFile() {
		files[file.GetName()] = file.GetContent()
	}
	return files
}

// requireGolden compares files with those of a folder, or writes the folder anew when the flag -update is given.
func requireGolden(t *testing.T, out string, files map[string]string) {
	t.Helper()
	if *plugintest.Update {
		require.NoError(t, os.RemoveAll(out))
	}
	for name, content := range files {
		plugintest.Golden(t, filepath.Join(out, name), content)
	}
	for _, name := range plugintest.Files(t, out, "") {
		require.Contains(t, files, name, "the plugin does not write this file any more")
	}
}
