package config

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
)

// FuzzParse demands of any text that it is read or refused with a place, that what the walk finds right can be decoded, and that places can be asked for.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/*/*/prism.yaml", "testdata/*/*/*/*.yaml"} {
		seeds, err := filepath.Glob(pattern)
		require.NoError(f, err)
		for _, seed := range seeds {
			if data, err := os.ReadFile(seed); err == nil { // one is a link that leads nowhere, another a folder
				f.Add(data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if !utf8.Valid(data) {
			t.Skip("readFile refuses it")
		}
		source, err := parse("f.yaml", data)
		if err != nil {
			require.Nil(t, source)
			require.Regexp(t, `^f\.yaml:[1-9][0-9]*:[1-9][0-9]*: `, err.Error())
		} else {
			require.NoError(t, configv1.CheckConfig(source.Config))
			for _, path := range []string{"", "server.listen", "namespaces[0].slots.a.b", `namespaces[0].slots["a"].b`, "backends[9].config.a[1]", "[", `["`, "server[x", "."} {
				require.Regexp(t, `^f\.yaml:[1-9][0-9]*:[1-9][0-9]*: `, source.Locate(Problem{path, "x"}).Error())
			}
		}
		text := withLineBreaks(data)
		of := &file{name: "f.yaml"}
		root, wrong := parseYAML(of, text)
		if wrong != nil {
			return
		}
		of.root = root
		if wrong, _ := walk(of); len(wrong) == 0 {
			require.NoError(t, decode(text, new(configv1.Config)))
		}
	})
}

func TestLocateLeavesWhatIsNoProblem(t *testing.T) {
	t.Parallel()
	plain, problem := errors.New("plain"), Problem{"server", "wrong"}
	made := FromMessage(new(configv1.Config))
	require.NoError(t, made.Locate(nil))
	require.Equal(t, error(problem), made.Locate(problem), "no file holds it")

	read, err := parse("f.yaml", []byte("server:\n  listen: x\n"))
	require.NoError(t, err)
	require.NoError(t, read.Locate(nil))
	require.Equal(t, plain, read.Locate(plain))
	require.EqualError(t, read.Locate(errors.Join(plain, problem)), "f.yaml:1:1: server: wrong\nplain")
}
