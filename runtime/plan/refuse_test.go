package plan_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"buf.build/go/protoyaml"
	"github.com/stretchr/testify/require"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/internal/testcatalog"
	"github.com/prismgate/prism/runtime/config"
	"github.com/prismgate/prism/runtime/plan"
)

var update = flag.Bool("update", false, "write the golden files of testdata from what Make says now")

// parse reads a configuration, as it is, without judging it.
func parse(t *testing.T, text string) *configv1.Config {
	t.Helper()
	c := new(configv1.Config)
	require.NoError(t, protoyaml.Unmarshal([]byte(text), c))
	return c
}

// TestRefused runs each file of testdata/refused: configurations with mistakes, each after a line that begins with "--- " and says which, and under it what Make
// says of it, as comments.
func TestRefused(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "refused", "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		var got strings.Builder
		cases := strings.Split("\n"+string(data), "\n--- ")[1:]
		require.NotEmpty(t, cases, file)
		for _, text := range cases {
			title, body, _ := strings.Cut(text, "\n")
			body, _, _ = strings.Cut(body, "\n# ")
			fmt.Fprintf(&got, "--- %s\n%s\n%s", title, strings.TrimRight(body, "\n"), refusal(t, title, body))
		}
		if *update {
			require.NoError(t, os.WriteFile(file, []byte(got.String()), 0o644))
			continue
		}
		require.Equal(t, string(data), got.String(), "%s; go test ./runtime/plan -update writes it anew", file)
	}
}

func refusal(t *testing.T, title, body string) string {
	t.Helper()
	_, err := plan.Make(parse(t, body), testcatalog.New(t))
	var problems config.Problems
	require.True(t, errors.As(err, &problems), "%s: %v", title, err)
	require.NotEmpty(t, problems)
	var b strings.Builder
	for _, problem := range problems {
		fmt.Fprintf(&b, "# %s\n", problem.Error())
	}
	return b.String()
}
