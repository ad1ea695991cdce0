package testroutes

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/gen/go/suites"
	"github.com/prismgate/prism/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func TestGapsAreReadWithTheirReasons(t *testing.T) {
	t.Parallel()
	read := func(text string) (Gaps, error) {
		file := filepath.Join(t.TempDir(), gapsFile)
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return ReadGaps(file)
	}
	gaps, err := read("# what is under way\n\nqueue_basic/DequeueWaits no blocking read\nqueue_basic/Another\t#12\n  keyvalue_scan/X  y z  \n")
	require.NoError(t, err)
	require.Equal(t, Gaps{"queue_basic": {"DequeueWaits": "no blocking read", "Another": "#12"}, "keyvalue_scan": {"X": "y z"}}, gaps)
	for text, want := range map[string]string{
		"queue_basic/A":          ":1: queue_basic/A needs a reason",
		"\nqueue_basic is slow":  ":2: a gap is written as interface/Case and a reason",
		"queue_basic/ is slow":   ":1: a gap is written as interface/Case and a reason",
		"a/B one\na/C x\na/B no": ":3: a/B is listed twice",
	} {
		_, err := read(text)
		require.ErrorContains(t, err, want)
	}
	gaps, err = ReadGaps(filepath.Join(t.TempDir(), gapsFile))
	require.NoError(t, err)
	require.Empty(t, gaps)
}

// scenario names what a child process of the tests of gaps does.
const scenario = "PRISM_TEST_GAPS"

// TestGapsOfAChild is run by the test below, in a process of its own: its failure is what that one looks at.
func TestGapsOfAChild(t *testing.T) {
	gaps := map[string]Gaps{
		"fails as known":         {"a": {"Bad": "known"}},
		"fails as none is known": {},
		"another fails":          {"a": {"Worse": "known"}, "b": {"Bad": "known"}},
		"passes":                 {"a": {"Bad": "known", "Good": "not any more"}},
		"is not there":           {"a": {"Bad": "known", "Bda": "known"}},
		"is skipped":             {"skips": {"Bad": "known"}},
		"ends the process":       {"dies": {"Bad": "known"}},
	}[os.Getenv(scenario)]
	if gaps == nil {
		t.Skip("is run by TestAListedCaseMayFailAndNoOther")
	}
	name := "a"
	for other := range gaps {
		if other != "b" {
			name = other
		}
	}
	t.Run(name, func(t *testing.T) {
		gaps.run(t, suites.Suite{Interface: name, Run: func(t *testing.T, _ opener) {
			t.Helper()
			t.Run("Good", func(t *testing.T) { t.Parallel() })
			t.Run("Bad", func(t *testing.T) { t.Run("deep", func(t *testing.T) { t.Error("not yet") }) })
			switch name {
			case "skips":
				t.Run("Skips", func(t *testing.T) { t.Skip("never") })
			case "dies":
				panic("at the disco")
			}
		}}, nil)
	})
}

func TestAListedCaseMayFailAndNoOther(t *testing.T) {
	t.Parallel()
	executable, err := os.Executable()
	require.NoError(t, err)
	for name, want := range map[string]string{
		"fails as known":         "--- PASS: TestGapsOfAChild/a ",
		"fails as none is known": "--- FAIL: TestGapsOfAChild/a/Bad/deep ",
		"another fails":          "a: Bad fails and is no known gap",
		"passes":                 "a: Good passes; remove it from known_gaps.txt",
		"is not there":           "a: known_gaps.txt lists Bda, which did not run; is the name right?",
		"is skipped":             "skips: Skips was skipped",
		"ends the process":       "dies: the process failed, and not by a case",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			command := exec.CommandContext(t.Context(), executable, "-test.v", "-test.run=^TestGapsOfAChild$")
			command.Env = append(os.Environ(), scenario+"="+name)
			output, err := command.CombinedOutput()
			require.Contains(t, string(output), want)
			if name == "fails as known" {
				require.NoError(t, err, string(output))
			} else {
				require.Error(t, err, string(output))
			}
		})
	}
}
