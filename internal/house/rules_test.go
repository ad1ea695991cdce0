package house

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEveryRuleFindsWhatBreaksIt runs the rules on a module that breaks them all.
func TestEveryRuleFindsWhatBreaksIt(t *testing.T) {
	bad, err := Load(t.Context(), "testdata/bad")
	require.NoError(t, err)
	const (
		initial  = " (" + initReason + ")\n"
		global   = " (" + globalReason + ")\n"
		exported = " (" + exportedReason + ")\n"
		ctx      = " (work that no caller can end outlives it; take a ctx)\n"
	)
	for name, test := range map[string]struct {
		got  []Violation
		want string
	}{
		"layers": {ImportLayers(bad, Layers), "" +
			"backends/a/a.go:6: backends/a (layer backends) imports backends/b (layer backends) (a backend knows contracts and messages, no transport, no gateway and no other backend)\n" +
			"loose/loose.go:2: package loose is in no layer (a package without a layer may import anything; add it to Layers in internal/house/layers.go)\n" +
			"runtime/fault/fault.go:4: runtime/fault (layer fault) imports runtime/rpc (layer foundation) (everything returns errors, so the error type imports nothing)\n"},
		"calls": {Calls(bad, ForbiddenCalls), "" +
			"runtime/rpc/rpc.go:11: time.Sleep is used (a sleep ignores the context; wait for what shall happen, or for a timer and ctx.Done())\n" +
			"runtime/rpc/rpc.go:13: context.TODO is used" + ctx +
			"runtime/rpc/rpc.go:14: panic is used (a panic takes the whole gateway down; return an error)\n" +
			"runtime/rpc/rpc.go:16: context.Background is used" + ctx},
		"globals": {Globals(bad), "" +
			"runtime/state/state.go:12: package variable calls is a atomic.Int64" + global +
			"runtime/state/state.go:20: func init" + initial +
			"runtime/state/state.go:20: package variable byName is written" + global +
			"runtime/state/state.go:24: package variable count is written" + global +
			"runtime/state/state.go:25: package variable root is written" + global +
			"runtime/state/state.go:26: package variable other is written" + global +
			"runtime/state/state.go:27: package variable byName is written" + global +
			"runtime/state/state.go:28: package variable http.DefaultClient is written" + global},
		"testing": {
			Testing(bad, TestPackages),
			"runtime/bare/bare.go:3: testing is imported (" + testingReason + ")\n",
		},
		"comments": {Comments(bad), "" +
			"runtime/bare/bare.go:1: package runtime/bare has no comment (" + packageReason + ")\n" +
			"runtime/bare/bare.go:5: type Thing has no comment" + exported +
			"runtime/bare/bare.go:9: member Thing.Bare has no comment" + exported +
			"runtime/bare/bare.go:12: func Method has no comment" + exported +
			"runtime/bare/bare.go:18: const Answer has no comment" + exported +
			"runtime/bare/bare.go:26: func Exported has no comment" + exported},
		"lengths": {
			Lengths(bad, 36),
			"runtime/state/state.go:36: the file has 38 lines, more than 36 (" + lengthReason + ")\n",
		},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, test.want, Report(test.got)) })
	}
}

func TestMachinePathsAreFound(t *testing.T) {
	violations, err := MachinePaths(t.Context(), "testdata/bad", "/srv/ada/prism", "/home/ada/")
	require.NoError(t, err)
	require.Equal(t, ""+
		"notes.md:1: a path of one machine: Build it with /srv/ada/prism/x, or ("+machineReason+")\n"+
		"notes.md:3: a path of one machine: which is in \"/home/ada/bin\". ("+machineReason+")\n", Report(violations))
}

func TestAMachinePathEndsAtAPathBoundary(t *testing.T) {
	for _, test := range []struct {
		line  string
		found bool
	}{
		{"/home/ada", true},
		{"cd /home/ada", true},
		{"/home/ada/prism", true},
		{`"/home/ada"`, true},
		{"'/home/ada'", true},
		{"`/home/ada`", true},
		{"(/home/ada)", true},
		{"HOME=/home/ada\tand more", true},
		{"/home/adam, but /home/ada too", true},
		{"/home/adam", false},
		{"/home/ada.txt", false},
		{"/home/ada-2", false},
		{"/srv/home/ada", false},
		{"../home/ada", false},
		{"https://example.com/home/ada", false},
		{"//home/ada", false},
	} {
		t.Run(test.line, func(t *testing.T) {
			folder := t.TempDir()
			writeFile(t, folder, "notes.md", test.line+"\n")
			for _, place := range []string{"/home/ada", "/home/ada/"} {
				violations, err := MachinePaths(t.Context(), folder, place)
				require.NoError(t, err)
				require.Equal(t, test.found, len(violations) == 1, violations)
			}
		})
	}
}

// A clone at /prism or /app, a container's HOME of / or /root, and a HOME that is not set say nothing about the machine: every text has such paths.
func TestPlacesThatAreEverywhereAreNotLookedFor(t *testing.T) {
	folder := t.TempDir()
	writeFile(t, folder, "notes.md", "/ /prism /prism/x /app/ /root/x home/ada\n")
	violations, err := MachinePaths(t.Context(), folder, "", "/", "//", "/prism", "/app/", "/root", "home/ada", ".")
	require.NoError(t, err)
	require.Empty(t, violations)
}

func TestOnlyFilesThatGitKnowsAreChecked(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("there is no git")
	}
	folder := t.TempDir()
	for _, name := range []string{"tracked", "gone", "untracked", "ignored", "folder/untracked", "folder/ignored"} {
		writeFile(t, folder, name, "/home/ada\n")
	}
	writeFile(t, folder, ".gitignore", "ignored\n")
	for _, args := range [][]string{{"init", "-q"}, {"add", "tracked", "gone"}} {
		command := exec.CommandContext(t.Context(), "git", args...)
		command.Dir, command.Env = folder, outsideGit()
		output, err := command.CombinedOutput()
		require.NoError(t, err, string(output))
	}
	require.NoError(t, os.Remove(filepath.Join(folder, "gone")))
	violations, err := MachinePaths(t.Context(), folder, "/home/ada")
	require.NoError(t, err)
	require.Equal(t, []string{"folder/untracked", "tracked", "untracked"}, filesOf(violations))

	// Without git, or where git knows nothing, everything is checked.
	t.Setenv("PATH", "")
	violations, err = MachinePaths(t.Context(), folder, "/home/ada")
	require.NoError(t, err)
	require.Equal(t, []string{"folder/ignored", "folder/untracked", "ignored", "tracked", "untracked"}, filesOf(violations))
}

func filesOf(violations []Violation) []string {
	var files []string
	for _, v := range violations {
		files = append(files, v.File)
	}
	slices.Sort(files)
	return files
}

func writeFile(t *testing.T, folder, name, content string) {
	t.Helper()
	name = filepath.Join(folder, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
	require.NoError(t, os.WriteFile(name, []byte(content), 0o644))
}

func TestPatternsOfPaths(t *testing.T) {
	for _, test := range []struct {
		pattern, path string
		want          bool
	}{
		{"runtime/fault", "runtime/fault", true},
		{"runtime/fault", "runtime/fault/inner", false},
		{"runtime/...", "runtime/fault", true},
		{"runtime/...", "runtime", true},
		{"runtime/...", "runtimes", false},
		{"gen/go/prism/*/v1", "gen/go/prism/set/v1", true},
		{"gen/go/prism/*/v1", "gen/go/prism/v1", false},
		{"gen/go/prism/*/v1/*rpc", "gen/go/prism/set/v1/setrpc", true},
		{"gen/go/prism/*/v1/*rpc", "gen/go/prism/set/v1/rpc", false},
		{"", "", true},
		{"", "cmd", false},
		{"...", "cmd", true},
	} {
		require.Equal(t, test.want, matches(test.pattern, test.path), "%q matches %q", test.pattern, test.path)
	}
}
