//go:build h2load

package load

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// It needs a program that is not Go's: `make h2load` runs it.

// TestH2loadAgrees has h2load and this package make the same calls on the same server: what each says of them, and what the server has counted, must be the same.
// How fast either was decides nothing.
func TestH2loadAgrees(t *testing.T) {
	t.Parallel()
	h2load, err := exec.LookPath("h2load")
	require.NoError(t, err, "h2load is what this generator is checked against; install it with: apt-get install nghttp2-client")
	s := serve(t, "127.0.0.1:0")
	keys := Keys{Prefix: "k", Count: 1}
	value := `{"key": "{{key}}", "value": "{{bytes 100}}"}`
	fill := newPlan(keys, Share{template(t, "keyvalue_basic", "Set", value, keys), 1})
	fill.Calls = 1
	require.EqualValues(t, 1, mustRun(t, fill, target(t, s.address)).OK)

	const calls = 4000
	for _, test := range []struct {
		name                 string
		connections, streams int
		protocol             Protocol
		contentType          string
		arguments            []string
	}{
		{"gRPC 4 x 32", 4, 32, GRPC, "application/grpc", []string{"-H", "te: trailers"}},
		{"gRPC 1 x 1", 1, 1, GRPC, "application/grpc", []string{"-H", "te: trailers"}},
		{"gRPC 40 x 4, small windows", 40, 4, GRPC, "application/grpc", []string{"-H", "te: trailers", "-w", "16", "-W", "16"}},
		{"Connect 4 x 32", 4, 32, Connect, "application/proto", []string{"-H", "connect-protocol-version: 1"}},
		{"Connect over HTTP/1.1", 16, 1, ConnectHTTP1, "application/proto", []string{"--h1", "-H", "connect-protocol-version: 1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			share := get(t, keys)
			plan := newPlan(keys, share)
			plan.Connections, plan.Streams, plan.Calls, plan.Protocol = test.connections, test.streams, calls, test.protocol
			before := s.ok.Load()
			got := mustRun(t, plan, target(t, s.address))
			require.EqualValues(t, calls, got.OK)
			require.EqualValues(t, calls, s.ok.Load()-before, "the server counts what the generator says")

			body := filepath.Join(t.TempDir(), "body")
			require.NoError(t, os.WriteFile(body, newProcedure(share.Template, 0, plan).body, 0o600))
			arguments := append([]string{
				"-n", strconv.Itoa(calls), "-c", strconv.Itoa(test.connections), "-m", strconv.Itoa(test.streams), "-d", body,
				"-H", "content-type: " + test.contentType, "-H", "prism-namespace: default",
			}, test.arguments...)
			var output bytes.Buffer
			command := exec.CommandContext(t.Context(), h2load, append(arguments, "http://"+s.address+share.Template.path)...)
			command.Stdout, command.Stderr = &output, &output
			before = s.ok.Load()
			require.NoError(t, command.Run(), output.String())
			counted := regexp.MustCompile(`(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout`).FindStringSubmatch(output.String())
			require.NotNil(t, counted, output.String())
			require.Equal(t, []string{strconv.Itoa(calls), strconv.Itoa(calls), "0", "0", "0"}, counted[1:])
			require.EqualValues(t, calls, s.ok.Load()-before, "the server counts what h2load says")

			// The bodies that came back are as long for both.
			traffic := regexp.MustCompile(`traffic: .* \((\d+)\) data`).FindStringSubmatch(output.String())
			require.NotNil(t, traffic, output.String())
			require.Equal(t, traffic[1], strconv.FormatInt(got.BodyBytes, 10))
		})
	}
}
