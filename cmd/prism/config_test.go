package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
)

// everything is a configuration with every field of a server.
const everything = `# A comment.
server:
  listen: unix:/run/prism.sock
  admin: "[::1]:8981"
  http2: standard
  limits:
    max_connections: 1000
    max_streams: 100
    max_header_bytes: 32Ki
    handshake_timeout: 5s
    idle_timeout: 1h30m
    max_age: 24h
    age_grace: 1m
    min_ping_interval: 500ms
    body_timeout: 10s
    write_timeout: 1.5s
    stall_timeout: 2m
    memory_bytes: 512Mi
    flood_allowance: 500
  tls:
    cert_file: cert.pem
    key_file: key.pem
    client_ca_file: ca.pem
    min_version: 1.3
backends:
  - name: small
    type: memstore
    config: {max_bytes: 100}
namespaces:
  - name: default
    backend: small
`

func TestParseConfig(t *testing.T) {
	t.Parallel()
	settings, err := structpb.NewStruct(map[string]any{"max_bytes": 100})
	require.NoError(t, err)
	want := &configv1.Config{
		Server: &configv1.Server{
			Listen: "unix:/run/prism.sock", Admin: "[::1]:8981", Http2: "standard",
			Limits: &configv1.Limits{
				MaxConnections: 1000, MaxStreams: 100, MaxHeaderBytes: 32 << 10,
				HandshakeTimeout: durationpb.New(5 * time.Second), IdleTimeout: durationpb.New(90 * time.Minute),
				MaxAge: durationpb.New(24 * time.Hour), AgeGrace: durationpb.New(time.Minute), MinPingInterval: durationpb.New(500 * time.Millisecond),
				BodyTimeout: durationpb.New(10 * time.Second), WriteTimeout: durationpb.New(1500 * time.Millisecond), StallTimeout: durationpb.New(2 * time.Minute),
				MemoryBytes: 512 << 20, FloodAllowance: 500,
			},
			Tls: &configv1.Tls{CertFile: "cert.pem", KeyFile: "key.pem", ClientCaFile: "ca.pem", MinVersion: "1.3"},
		},
		Backends:   []*configv1.BackendInstance{{Name: "small", Type: "memstore", Config: settings}},
		Namespaces: []*configv1.Namespace{{Name: "default", Backend: "small"}},
	}
	for _, breaks := range []string{"\n", "\r\n", "\r"} {
		got, err := parseConfig("prism.yaml", []byte(strings.ReplaceAll(everything, "\n", breaks)))
		require.NoError(t, err)
		require.True(t, proto.Equal(want, got), "%q: %s", breaks, got)
	}
	for _, empty := range []string{"", "# nothing\n", "---\n", "server:\n", "{}"} {
		got, err := parseConfig("prism.yaml", []byte(empty))
		require.NoError(t, err, empty)
		require.Empty(t, got.GetNamespaces())
	}
}

func TestParseConfigSaysWhere(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, says string }{
		{"server:\n  tls: {key: hunter2}\n", `prism.yaml:2:9: unknown field "key", expected one of [cert_file key_file client_ca_file min_version]`},
		{"server:\r  tls:\r    key: hunter2\r", `prism.yaml:3:5: unknown field "key", expected one of [cert_file key_file client_ca_file min_version]`},
		{"server: # \u2028\n  key: hunter2\n", `prism.yaml:3:3: unknown field "key"`},
		{"server:\n  limits:\n    max_header_bytes: 7 # hunter2\n", "prism.yaml:3:23: server.limits.max_header_bytes: must be 1,024 to 1,048,576, is 7"},
		{"namespaces:\n- name: a\n  slots:\n    x.y: {backend: \"\"} # hunter2\n", `prism.yaml:4:20: namespaces[0].slots["x.y"].backend: must be 1 to 200 bytes, has 0`},
		{"server: [hunter2\n", "prism.yaml:1: did not find expected"},
		{"\xffhunter2", "prism.yaml: it is not UTF-8 text"},
		{"a\x01: hunter2", "prism.yaml: control characters are not allowed"},
	} {
		config, err := parseConfig("prism.yaml", []byte(test.text))
		require.Nil(t, config)
		require.ErrorContains(t, err, test.says)
		require.NotContains(t, err.Error(), "hunter2", "a line of the file is shown")
	}
}

func FuzzParseConfig(f *testing.F) {
	for _, seed := range []string{
		everything, "server:\r\n  listen: x\u2028y: z\n", "a: &a [*a]\nb: *a\n", "? [server]\n: {}\n", "namespaces:\n- {slots: {? x : {next: true}}}\n", "--- \n...\n--- a\n",
		"!!binary aGk=: 1\n", "server: {limits: {idle_timeout: 1e400s, max_streams: 0x7fffffffffffffff}}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		config, err := parseConfig("prism.yaml", data)
		if err != nil {
			require.Nil(t, config)
			require.True(t, strings.HasPrefix(err.Error(), "prism.yaml:"), err)
			return
		}
		require.NoError(t, configv1.CheckConfig(config))
	})
}

func TestTheExampleConfigurationIsRight(t *testing.T) {
	t.Parallel()
	config, err := readConfig("../../examples/serve/prism.yaml")
	require.NoError(t, err)
	require.Equal(t, []string{"default", "sessions"}, []string{config.GetNamespaces()[0].GetName(), config.GetNamespaces()[1].GetName()})
	require.EqualValues(t, 16<<10, config.GetServer().GetLimits().GetMaxHeaderBytes())
}
