package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCallRealBackend goes through everything that a user has: this build's catalog and wiring, served and called by command lines.
func TestCallRealBackend(t *testing.T) {
	t.Parallel()
	g := serve(t, built(t))
	for _, protocol := range []string{"grpc", "connect", "grpcweb"} {
		call := func(args ...string) result {
			return runLine(t, built(t), append([]string{"call", "-n", "default", "--address", g.listen, "--protocol", protocol}, args...)...)
		}
		for _, key := range []string{"a", "b"} {
			require.Equal(t, result{stdout: "{}\n"}, call("keyvalue_basic.Set", "-d", `{"key":"`+protocol+"/"+key+`","value":"aGVsbG8="}`))
		}
		want := result{stdout: "{\n  \"found\": true,\n  \"value\": \"aGVsbG8=\"\n}\n"}
		for _, name := range []string{
			"keyvalue_basic.Get", "keyvalue_basic/Get", "prism.keyvalue.v1.KeyValueBasicInterface/Get", "/prism.keyvalue.v1.KeyValueBasicInterface/Get",
			"prism.keyvalue.v1.KeyValueBasicInterface.Get",
		} {
			require.Equal(t, want, call(name, "--data", `{"key":"`+protocol+`/a"}`))
		}
		require.Equal(t, result{stdout: "{\"found\":false,\"value\":\"\"}\n"}, call("keyvalue_basic.Get", "-d", `{"key":"none"}`, "-o", "json"))
		streamed := call("keyvalue_scan.ScanKeys", "-d", `{"prefix":"`+protocol+`/"}`)
		require.ElementsMatch(t, []string{`{"key":"` + protocol + `/a","pageToken":""}`, `{"key":"` + protocol + `/b","pageToken":""}`},
			strings.Split(strings.TrimSpace(streamed.stdout), "\n"))

		got := call("keyvalue_basic.Get")
		require.Equal(t, exitFailed, got.exit)
		require.Regexp(t, `^prism: INVALID_ARGUMENT: key: .*\n$`, got.stderr)
		got = call("keyvalue_basic.Get", "-n", "nowhere", "-o", "json")
		require.Equal(t, exitFailed, got.exit)
		require.Empty(t, got.stdout)
		var failure struct {
			Code, Message, Reason string
			Details               []map[string]any
		}
		require.NoError(t, json.Unmarshal([]byte(got.stderr), &failure))
		require.Equal(t, "NOT_FOUND NAMESPACE_NOT_FOUND", failure.Code+" "+failure.Reason)
		require.Contains(t, failure.Message, `"nowhere"`)
		require.Equal(t, "type.googleapis.com/google.rpc.ErrorInfo", failure.Details[0]["@type"])
		got = call("keyvalue_basic.Get", "--namespace", "")
		require.Regexp(t, `^prism: INVALID_ARGUMENT: the request header prism-namespace is missing`, got.stderr)
	}
	g.stop(t)
}

func TestCallReadsData(t *testing.T) {
	t.Parallel()
	g := serve(t, built(t))
	file := filepath.Join(t.TempDir(), "request.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"key": "k", "value": "AA=="}`), 0o600))
	require.Equal(t, result{stdout: "{}\n"}, runLine(t, built(t), "call", "keyvalue_basic.Set", "-n", "default", "-d", "@"+file, "--address", "http://"+g.listen))
	d := built(t)
	d.stdin = strings.NewReader(`{"key": "k"}`)
	require.Equal(t, result{stdout: "{\"exists\":true}\n"},
		runLine(t, d, "call", "keyvalue_basic.Exists", "-n", "default", "-d", "@-", "-o", "json", "--address", g.listen))
	g.stop(t)
}

func TestCallTimesOut(t *testing.T) {
	t.Parallel()
	g := serve(t, sample(t, nil))
	for _, name := range []string{"keyvalue_basic.Get", "keyvalue_scan.ScanKeys"} {
		got := runLine(t, sample(t, nil), "call", name, "-n", "default", "--timeout", "100ms", "--address", g.listen)
		require.Equal(t, exitFailed, got.exit)
		require.Regexp(t, `^prism: DEADLINE_EXCEEDED: `, got.stderr)
	}
	g.stop(t)
}

func TestSignalEndsCall(t *testing.T) {
	t.Parallel()
	s := newStore()
	g := serve(t, sample(t, s))
	p := start(t, sample(t, nil), "call", "keyvalue_basic.Get", "-n", "default", "--address", g.listen)
	<-s.entered
	p.signals <- os.Interrupt
	require.Equal(t, 130, p.wait(t))

	d := sample(t, nil)
	stdin, writer := io.Pipe()
	d.stdin = stdin
	p = start(t, d, "call", "keyvalue_basic.Get", "-n", "default", "-d", "@-")
	_, err := io.WriteString(writer, "{")
	require.NoError(t, err)
	p.signals <- syscall.SIGTERM
	require.Equal(t, 143, p.wait(t))
	require.NoError(t, writer.Close())
	g.stop(t)
}

// TestCallRefusesWhatCannotBeSent has the command lines that a golden file cannot: its args are lines.
func TestCallRefusesWhatCannotBeSent(t *testing.T) {
	t.Parallel()
	const (
		noName = " is not the name of a header"
		ours   = ": prism sets it itself"
	)
	for _, test := range []struct {
		flag, value, says string
	}{
		{"-H", "a b:c", `--header: "a b"` + noName},
		{"-H", "a\nb:c", `--header: "a\nb"` + noName},
		{"-H", "\na:b", `--header: "\na"` + noName},
		{"-H", "ä:b", `--header: "ä"` + noName},
		{"-H", ":path:b", `--header must be NAME:VALUE, is ":path:b"`},
		{"-H", " :b", `--header must be NAME:VALUE, is " :b"`},
		{"-H", "a:b\nc:d", `--header a must be one line without control characters, is "b\nc:d"`},
		{"-H", "a: b\n", `--header a must be one line without control characters, is "b\n"`},
		{"-H", "a:b\x00", `--header a must be one line without control characters, is "b\x00"`},
		{"-H", "Content-Type:text/plain", "--header Content-Type" + ours},
		{"-H", "te:trailers", "--header te" + ours},
		{"-H", "Host:example.com", "--header Host" + ours},
		{"-H", "connection:close", "--header connection" + ours},
		{"-H", "content-length:1", "--header content-length" + ours},
		{"-H", "transfer-encoding:chunked", "--header transfer-encoding" + ours},
		{"-H", "Grpc-Timeout:1S", "--header Grpc-Timeout" + ours},
		{"-H", "connect-protocol-version:2", "--header connect-protocol-version" + ours},
		{"--namespace", "de\nfault", `--namespace must be one line without control characters, is "de\nfault"`},
		{"--namespace", "default\r", `--namespace must be one line without control characters, is "default\r"`},
		{"--address", "127.0.0.1:65536", `--address: the port of "127.0.0.1:65536" is not a number from 0 to 65535`},
		{"--address", "http://localhost:123456", `--address: the port of "http://localhost:123456" is not a number from 0 to 65535`},
		{"--address", "http://ada:secret@localhost:8980", "--address: the address of a gateway has no user, no query and no fragment"},
	} {
		t.Run(test.flag+" "+test.value, func(t *testing.T) {
			t.Parallel()
			got := runLine(t, sample(t, nil), "call", "keyvalue_basic.Get", "-n", "default", test.flag, test.value)
			require.Equal(t, exitUsage, got.exit, got.stderr)
			require.True(t, strings.HasPrefix(got.stderr, "prism: "+test.says), got.stderr)
			require.NotContains(t, got.stderr, "secret")
			require.Empty(t, got.stdout)
		})
	}
}
