package config_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/runtime/config"
)

var update = flag.Bool("update", false, "write what the cases under testdata give, and docs/configuration.md")

// cases are the folders under testdata, each a configuration: either wrong, and then want.txt has the error, or right, and then want.json has what it says.
func cases(t *testing.T, right bool) []string {
	t.Helper()
	pattern := "testdata/bad/*"
	if right {
		pattern = "testdata/good/*"
	}
	found, err := filepath.Glob(pattern)
	require.NoError(t, err)
	require.NotEmpty(t, found)
	return found
}

// load reads a case: the paths in its file "paths", relative to its folder, or else its files.
func load(t *testing.T, folder string) (*config.Source, error) {
	t.Helper()
	listed, err := os.ReadFile(filepath.Join(folder, "paths"))
	if err != nil {
		return config.Load(filepath.Join(folder, "prism.yaml"))
	}
	var paths []string
	for path := range strings.FieldsSeq(string(listed)) {
		paths = append(paths, filepath.Join(folder, path))
	}
	return config.Load(paths...)
}

// golden compares what a case gave with what it must give.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(file, got, 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))
}

func TestEveryMistakeIsToldWithItsPlaceAndRemedy(t *testing.T) {
	t.Parallel()
	for _, folder := range cases(t, false) {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			t.Parallel()
			source, err := load(t, folder)
			require.Nil(t, source)
			require.Error(t, err)
			require.NotContains(t, err.Error(), "hunter2", "that is the secret")
			text := strings.ReplaceAll(err.Error(), folder+string(filepath.Separator), "")
			golden(t, filepath.Join(folder, "want.txt"), []byte(text+"\n"))
		})
	}
}

func TestGoodConfigurationsAreRead(t *testing.T) {
	t.Parallel()
	for _, folder := range cases(t, true) {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			t.Parallel()
			source, err := load(t, folder)
			require.NoError(t, err)
			var text bytes.Buffer
			for _, file := range source.Files {
				text.WriteString("# " + strings.TrimPrefix(filepath.ToSlash(file), filepath.ToSlash(folder)+"/") + "\n")
			}
			text.WriteString(indented(t, source.Config))
			golden(t, filepath.Join(folder, "want.txt"), text.Bytes())
		})
	}
}
