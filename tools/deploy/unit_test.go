package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// directives are those that the unit may have, by section. systemd ignores what it does not know, so a misspelled one would protect nothing.
var directives = map[string]string{
	"Unit": "Description Documentation Wants After",
	"Service": `Type ExecStart ExecReload Restart RestartSec TimeoutStopSec DynamicUser RuntimeDirectory UMask LoadCredential LimitNOFILE MemoryMax
		AmbientCapabilities CapabilityBoundingSet KeyringMode LockPersonality MemoryDenyWriteExecute NoNewPrivileges PrivateDevices PrivateTmp PrivateUsers
		ProtectClock ProtectControlGroups ProtectHome ProtectHostname ProtectKernelLogs ProtectKernelModules ProtectKernelTunables ProtectProc ProtectSystem
		RestrictAddressFamilies RestrictNamespaces RestrictRealtime RestrictSUIDSGID SystemCallArchitectures SystemCallErrorNumber SystemCallFilter`,
	"Install": "WantedBy",
}

func TestUnit(t *testing.T) {
	section := ""
	values := map[string]string{}
	for n, line := range strings.Split(read(t, "prism.service"), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		if name, ok := strings.CutPrefix(line, "["); ok {
			section = strings.TrimSuffix(name, "]")
			require.Contains(t, directives, section, "line %d", n+1)
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		require.True(t, ok, "line %d is neither a comment nor a section nor a directive", n+1)
		require.Contains(t, strings.Fields(directives[section]), name, "line %d: no directive of [%s], or not in this test's list yet", n+1, section)
		values[name] = value
	}

	require.Equal(t, "exec", values["Type"], "the gateway does not notify")
	require.Equal(t, "/bin/kill -HUP $MAINPID", values["ExecReload"])
	stop, err := time.ParseDuration(values["TimeoutStopSec"])
	require.NoError(t, err)
	require.Greater(t, stop, drainTimeout(t), "the gateway is killed before it has drained")
}

// TestUnitVerified asks systemd itself, where it is installed: the unit is right, and little of the system is exposed to it (0 is nothing, 10 everything).
func TestUnitVerified(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed: TestUnit has checked the unit's form only")
	}
	program, err := os.Executable() // stands for the gateway, which is not installed
	require.NoError(t, err)
	unit := filepath.Join(t.TempDir(), "prism.service")
	require.NoError(t, os.WriteFile(unit, []byte(strings.ReplaceAll(read(t, "prism.service"), "/usr/local/bin/prism", program)), 0o600))
	for _, arguments := range [][]string{
		{"verify", "--man=no", unit},
		{"security", "--offline=true", "--no-pager", "--threshold=20", unit}, // tenths
	} {
		out, err := exec.CommandContext(t.Context(), "systemd-analyze", arguments...).CombinedOutput()
		require.NoError(t, err, "systemd-analyze %v: %s", arguments, out)
		if arguments[0] == "verify" {
			require.Empty(t, string(out))
		}
	}
}
