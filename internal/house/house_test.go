package house_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/internal/house"
)

// root is the module's root, seen from here.
const root = "../.."

func TestHouse(t *testing.T) {
	t.Parallel()
	module, err := house.Load(t.Context(), root)
	require.NoError(t, err)
	for name, violations := range map[string][]house.Violation{
		"ImportLayers": house.ImportLayers(module, house.Layers),
		"Calls":        house.Calls(module, house.ForbiddenCalls),
		"Globals":      house.Globals(module),
		"Testing":      house.Testing(module, house.TestPackages),
		"Comments":     house.Comments(module),
		"Lengths":      house.Lengths(module, house.MaxLines),
	} {
		t.Run(name, func(t *testing.T) { requireNone(t, violations) })
	}
}

func TestNoFileNamesAMachine(t *testing.T) {
	t.Parallel()
	here, err := filepath.Abs(root)
	require.NoError(t, err)
	home, _ := os.UserHomeDir() // "" when it is not known, which no file names
	violations, err := house.MachinePaths(t.Context(), root, here, home)
	require.NoError(t, err)
	requireNone(t, violations)
}

// TestTheGateInstallsWhatIsMissing runs .ci/run where there is nothing but the given commands, each of which only writes down how it was called.
func TestTheGateInstallsWhatIsMissing(t *testing.T) {
	t.Parallel()
	const noGo = `^\.ci/run: Prism needs Go 1\.26 or newer on the PATH; https://go\.dev/dl has it\n$`
	for _, test := range []struct {
		name  string
		tools string
		uid   string
		// installs is a call that is made, stderr what is said when the gate refuses to begin.
		installs, stderr string
	}{
		{name: "everything is there", tools: "go git make curl gcc apt-get", uid: "0"},
		{name: "root", tools: "go make apt-get", uid: "0", installs: "apt-get install -y -qq --no-install-recommends git curl gcc"},
		{name: "root with sudo", tools: "go make apt-get sudo", uid: "0", installs: "apt-get install -y -qq --no-install-recommends git curl gcc"},
		{name: "somebody with sudo", tools: "go make curl gcc apt-get sudo", uid: "1000", installs: "sudo apt-get install -y -qq --no-install-recommends git"},
		{name: "not Debian", tools: "go make curl gcc", uid: "0", stderr: `^\.ci/run: install git.* first: there is no apt-get to do it with\n$`},
		{name: "no Go", tools: "git make curl gcc apt-get", uid: "0", stderr: noGo},
		{name: "a Go that is too old", tools: "old-go git make curl gcc apt-get", uid: "0", stderr: noGo},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			calls, stderr, err := runGate(t, test.uid, strings.Fields(test.tools))
			if test.stderr != "" {
				require.Error(t, err)
				require.Regexp(t, test.stderr, stderr)
				require.NotContains(t, calls, "make ")
				return
			}
			require.NoError(t, err, stderr)
			require.Contains(t, "\n"+calls, "\n"+test.installs)
			require.True(t, strings.HasSuffix(calls, "\nmake test RACE=1\n"), calls)
		})
	}
}

func runGate(t *testing.T, uid string, tools []string) (calls, stderr string, err error) {
	t.Helper()
	bash, err := exec.LookPath("bash")
	require.NoError(t, err)
	gate, err := filepath.Abs(filepath.Join(root, ".ci", "run"))
	require.NoError(t, err)
	content, err := os.ReadFile(gate) // the test reads it itself, so that go test runs it anew when it has changed
	require.NoError(t, err)
	folder := t.TempDir()
	log, functions := filepath.Join(folder, "calls"), filepath.Join(folder, "functions")
	script := "id() { echo " + uid + "; }\ndirname() { echo ${1%/*}; }\n"
	for _, tool := range tools {
		name, status := tool, "0"
		if tool == "old-go" {
			name, status = "go", "1"
		}
		script += name + "() { echo " + name + ` "$*" >>'` + log + "'; return " + status + "; }\n"
	}
	require.NoError(t, os.WriteFile(functions, []byte(script), 0o644))
	command := exec.CommandContext(t.Context(), bash, "-c", string(content), gate)
	command.Env = []string{"PATH=" + folder, "BASH_ENV=" + functions}
	var said strings.Builder
	command.Stderr = &said
	err = command.Run()
	written, _ := os.ReadFile(log) // it is not there when nothing was called
	return string(written), said.String(), err
}

func requireNone(t *testing.T, violations []house.Violation) {
	t.Helper()
	if len(violations) > 0 {
		t.Errorf("%d places break a house rule:\n%s", len(violations), house.Report(violations))
	}
}
