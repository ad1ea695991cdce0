package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// program writes a shell script that stands in for bin/prism.
func program(t *testing.T, script string) []string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "prism")
	require.NoError(t, os.WriteFile(name, []byte(script), 0o644))
	return []string{"sh", name}
}

func TestTheTourBeginsWhenItsOwnGatewayIsReady(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "ended")
	end, err := startGateway(t.Context(), program(t, `
		trap 'touch `+mark+`; exit 0' TERM
		printf 'level=INFO msg="prism is' >&2
		printf ' ready" listen=...\n' >&2
		while :; do sleep 0.01; done`)...)
	require.NoError(t, err)
	require.NoFileExists(t, mark)
	end()
	require.FileExists(t, mark)
}

// Another gateway on the ports answers whoever asks whether it is ready. Its answer does not count: the tour's own gateway has failed.
func TestAGatewayThatEndsIsReportedWithTheAddressesThatItNeeds(t *testing.T) {
	_, err := startGateway(t.Context(), program(t, "echo 'prism: cannot listen on 127.0.0.1:8980: address already in use' >&2; exit 1")...)
	require.ErrorContains(t, err, "the gateway ended before it was ready: exit status 1; the tour needs 127.0.0.1:8980 and 127.0.0.1:8981 for itself")
	_, err = startGateway(t.Context(), program(t, "exit 0")...)
	require.ErrorContains(t, err, "the gateway ended before it was ready")
}

func TestAGatewayThatIsNotThereIsReportedWithTheRemedy(t *testing.T) {
	_, err := startGateway(t.Context(), filepath.Join(t.TempDir(), "prism"), "serve")
	require.ErrorContains(t, err, "`make build` makes bin/prism")
}

func TestAnInterruptEndsTheStart(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := startGateway(ctx, program(t, "while :; do sleep 0.01; done")...)
	require.Error(t, err)
}
