package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/internal/load"
)

const getKey = `{"key": "{{key}}"}`

// benched runs bench and reads its report.
func benched(t *testing.T, address string, args ...string) load.Report {
	t.Helper()
	got := runLine(t, built(t), append([]string{"bench", "-n", "default", "--address", address, "-o", "json", "-c", "2", "-m", "4"}, args...)...)
	require.Empty(t, got.stderr)
	require.Equal(t, exitOK, got.exit)
	var report load.Report
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &report))
	return report
}

func TestBenchMeasures(t *testing.T) {
	t.Parallel()
	g := serve(t, built(t))
	fill := benched(t, g.listen, "keyvalue_basic.Set", "-d", `{"key": "{{key}}", "value": "{{bytes 100}}"}`, "--keys", "20", "--distribution", "sequential", "--calls", "20")
	require.EqualValues(t, 20, fill.Results[0].Samples[0].OK)
	require.Nil(t, fill.Results[0].CPU)
	streamed := runLine(t, built(t), "call", "keyvalue_scan.ScanKeys", "-n", "default", "--address", g.listen)
	require.Equal(t, 20, strings.Count(streamed.stdout, "\n"), "each key was written once")
	require.Contains(t, streamed.stdout, `"bench-07"`)

	mixed := benched(t, g.listen, "--mix", "keyvalue_basic.Get=90,keyvalue_basic/Set=10", "-d", getKey,
		"-d", `keyvalue_basic.Set={"key": "{{key}}", "value": "eA=="}`, "--keys", "20", "--calls", "300", "--pid", strconv.Itoa(os.Getpid()))
	require.EqualValues(t, 300, mixed.Results[0].Samples[0].OK)
	require.NotNil(t, mixed.Results[0].CPU)
	require.Contains(t, mixed.Load, "keyvalue_basic.Get=90,keyvalue_basic.Set=10 over grpc; 2 connections x 4 streams on ")

	file := filepath.Join(t.TempDir(), "request.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"prefix": "bench-1"}`+"\n"), 0o600))
	scanned := benched(t, g.listen, "keyvalue_scan.ScanKeys", "-d", "@"+file, "--calls", "30", "--protocol", "connect", "--rate", "10000", "--warm-up", "10ms")
	require.EqualValues(t, 30, scanned.Results[0].Samples[0].OK)
	require.EqualValues(t, 300, scanned.Results[0].Samples[0].Messages)
	require.True(t, scanned.Open)
	g.stop(t)
}

func TestBenchComparesAndDraws(t *testing.T) {
	t.Parallel()
	a, b := serve(t, built(t)), serve(t, built(t))
	plot := filepath.Join(t.TempDir(), "latency.svg")
	got := runLine(t, built(t), "bench", "keyvalue_basic.Get", "-n", "default", "-d", getKey, "--address", a.listen, "--against", b.listen,
		"--calls", "100", "--rounds", "3", "--plot", plot)
	require.Equal(t, exitOK, got.exit, got.stderr)
	require.Empty(t, got.stderr, "progress is for terminals")
	require.Contains(t, got.stdout, a.listen)
	require.Contains(t, got.stdout, b.listen)
	require.Contains(t, got.stdout, "ratio")
	require.Contains(t, got.stdout, "100 (100 to 100)")
	picture, err := os.ReadFile(plot)
	require.NoError(t, err)
	decoder := xml.NewDecoder(bytes.NewReader(picture))
	for {
		if _, err := decoder.Token(); err != nil {
			require.ErrorIs(t, err, io.EOF)
			break
		}
	}
	report := benched(t, a.listen, "keyvalue_basic.Get", "-d", getKey, "--calls", "10", "--against", b.listen)
	require.Len(t, report.Results[1].Samples, pairRounds)
	require.NotNil(t, report.Ratios.Rate)
	a.stop(t)
	b.stop(t)
}

func TestBenchFailsWhenNoCallSucceeds(t *testing.T) {
	t.Parallel()
	g := serve(t, built(t))
	got := runLine(t, built(t), "bench", "keyvalue_basic.Get", "-n", "default", "--calls", "10", "--address", g.listen)
	require.Equal(t, exitFailed, got.exit)
	require.Equal(t, "prism: no call has succeeded\n", got.stderr)
	require.Contains(t, got.stdout, "INVALID_ARGUMENT")
	g.stop(t)
}

func TestBenchEndsWhenTheServerHangs(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	got := runLine(t, built(t), "bench", "keyvalue_basic.Get", "-n", "default", "-d", getKey, "--timeout", "200ms", "--address", listener.Addr().String())
	require.Equal(t, exitFailed, got.exit)
	require.Equal(t, "prism: cannot greet "+listener.Addr().String()+": it has not answered in 200ms\n", got.stderr)
}

func TestSignalEndsBenchWithItsReport(t *testing.T) {
	t.Parallel()
	s := newStore()
	g := serve(t, sample(t, s))
	p := start(t, sample(t, nil), "bench", "keyvalue_basic.Get", "-n", "default", "-d", getKey, "--address", g.listen, "-c", "1", "-m", "2", "--warm-up", "0s", "--duration", "1h")
	<-s.entered
	s.released <- struct{}{}
	<-s.entered
	<-s.entered // the call that was made when the first was answered
	p.signals <- os.Interrupt
	require.Equal(t, 130, p.wait(t))
	require.Contains(t, p.stdout.String(), "cut off at the end")
	g.stop(t)
}
