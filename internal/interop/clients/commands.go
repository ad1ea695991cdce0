package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// step is a command, and what it must print, on whichever output, and how it must end.
type step struct {
	name    string
	command []string
	// want are texts of which each must be in the output.
	want []string
	// fails tells that the command must fail.
	fails bool
}

func (s step) run(ctx context.Context) error {
	printed, err := exec.CommandContext(ctx, s.command[0], s.command[1:]...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	if s.fails != (err != nil) {
		return fmt.Errorf("%s: %q must fail: %t, and did: %t\n%s", s.name, s.command, s.fails, err != nil, printed)
	}
	for _, want := range s.want {
		if !strings.Contains(string(printed), want) {
			return fmt.Errorf("%s: %q did not print %q\n%s", s.name, s.command, want, printed)
		}
	}
	return nil
}

func runSteps(ctx context.Context, steps []step) error {
	for _, s := range steps {
		if err := s.run(ctx); err != nil {
			return err
		}
	}
	return nil
}

// curl calls unary methods with JSON and with GET, and reads a stream's envelopes, over HTTP/1.1 and HTTP/2, in clear and with TLS.
func curl(ctx context.Context, w world) error {
	value := base64.StdEncoding.EncodeToString([]byte("from curl"))
	for _, way := range []struct {
		flags   []string
		base    string
		version string
	}{
		{[]string{"--http1.1"}, "http://" + w.clear, "1.1"},
		{[]string{"--http2"}, "http://" + w.clear, "1.1"}, // asks for an upgrade, which is ignored
		{[]string{"--http2-prior-knowledge"}, "http://" + w.clear, "2"},
		{[]string{"--http1.1", "--cacert", w.certificate.AuthorityFile}, "https://" + w.secure, "1.1"},
		{[]string{"--http2", "--cacert", w.certificate.AuthorityFile}, "https://" + w.secure, "2"},
	} {
		curlAs := func(contentType, procedure string, flags ...string) []string {
			command := append([]string{"curl", "--silent", "--show-error", "--max-time", "20", "--write-out", "\nHTTP/%{http_version} %{http_code}"}, way.flags...)
			command = append(command, "--header", "Prism-Namespace: default", "--header", "Content-Type: "+contentType)
			return append(append(command, flags...), way.base+procedure)
		}
		curl := func(procedure, body string, flags ...string) []string {
			return curlAs("application/json", procedure, append(flags, "--data", body)...)
		}
		last := func(status string) string { return "\nHTTP/" + way.version + " " + status }
		steps := []step{
			{"set", curl(basic+"Set", `{"key": "curl/1", "value": "`+value+`"}`), []string{"{}", last("200")}, false},
			{"get", curl(basic+"Get", `{"key": "curl/1"}`), []string{`"found":true`, value, last("200")}, false},
			{"details", curl(basic+"Set", `{}`), []string{`"invalid_argument"`, "google.rpc.BadRequest", last("400")}, false},
			{"Connect GET", curl(basic+"Get", "encoding=json&connect=v1", "--get", "--data-urlencode", `message={"key":"curl/1"}`), []string{value, last("200")}, false},
			// These are answered before a body has come, and curl, when it still has one to send, takes that for an error.
			{"no such path", curl("/nothing/Here", "a=b", "--get"), []string{last("404")}, false},
			{"two namespaces", curl(basic+"Get", "encoding=json&connect=v1", "--get", "--data-urlencode", `message={"key":"curl/1"}`, "--header", "Prism-Namespace: none"), []string{"NAMESPACE_AMBIGUOUS", last("400")}, false},
			// The timeout comes in the stream's last envelope, as the trailers do in gRPC.
			{
				"deadline", curlAs("application/connect+json", "/grpc.health.v1.Health/Watch", "--header", "Connect-Timeout-Ms: 300", "--output", "-",
					"--data-binary", "@internal/interop/clients/empty.envelope"),
				[]string{"SERVING", "deadline_exceeded", last("200")},
				false,
			},
			{
				"server stream", curlAs("application/connect+json", scan+"Scan", "--output", "-", "--data-binary", "@internal/interop/clients/empty.envelope"),
				[]string{`"curl/1"`, value, last("200")},
				false,
			},
		}
		if err := runSteps(ctx, steps); err != nil {
			return fmt.Errorf("%s with %v: %w", way.base, way.flags, err)
		}
	}
	return nil
}

// grpcurl asks the gateway for its schema, in either version of reflection, and calls.
func grpcurl(ctx context.Context, w world) error {
	for _, way := range [][]string{{"-plaintext", w.clear}, {"-cacert", w.certificate.AuthorityFile, w.secure}} {
		address := way[len(way)-1]
		grpcurl := func(flags, arguments []string) []string {
			command := append([]string{filepath.Join(w.tools, "grpcurl"), "-max-time", "20"}, way[:len(way)-1]...)
			return append(append(append(command, flags...), address), arguments...)
		}
		namespace := []string{"-H", "prism-namespace: default", "-H", "note-bin: AAH/"}
		with := func(body string, more ...string) []string {
			return append(append(append([]string{}, namespace...), more...), "-d", body)
		}
		steps := []step{
			{"list", grpcurl(nil, []string{"list"}), []string{"prism.keyvalue.v1.KeyValueBasicInterface", "grpc.health.v1.Health"}, false},
			{"describe", grpcurl(nil, []string{"describe", "prism.keyvalue.v1.GetRequest"}), []string{"string key = 1"}, false},
		}
		for _, key := range []string{"gc/1", "gc/2", "gc/3"} {
			steps = append(steps, step{"set", grpcurl(with(`{"key": "`+key+`", "value": "Z3JwY3VybA=="}`), []string{basic[1:] + "Set"}), []string{"{}"}, false})
		}
		steps = append(steps, []step{
			{"get", grpcurl(with(`{"key": "gc/1"}`), []string{basic[1:] + "Get"}), []string{`"found": true`, "Z3JwY3VybA=="}, false},
			{"server stream", grpcurl(with(`{"prefix": "gc/"}`), []string{scan[1:] + "Scan"}), []string{"gc/1", "gc/2", "gc/3"}, false},
			{"details", grpcurl(with(`{}`), []string{basic[1:] + "Set"}), []string{"InvalidArgument", "google.rpc.BadRequest", `"field": "key"`}, true},
			{"deadline", grpcurl([]string{"-max-time", "0.3"}, []string{"grpc.health.v1.Health/Watch"}), []string{"SERVING", "DeadlineExceeded"}, true},
			{
				"bidi", grpcurl([]string{"-d", `{"list_services": ""} {"list_services": ""}`}, []string{"grpc.reflection.v1.ServerReflection/ServerReflectionInfo"}),
				[]string{"listServicesResponse", "prism.keyvalue.v1.KeyValueBasicInterface"},
				false,
			},
		}...)
		if err := runSteps(ctx, steps); err != nil {
			return fmt.Errorf("%s: %w", address, err)
		}
	}
	return nil
}

// bufCurl calls with each of the three protocols; the schema comes by reflection.
func bufCurl(ctx context.Context, w world) error {
	for _, way := range []struct {
		flags []string
		base  string
	}{
		{[]string{"--http2-prior-knowledge"}, "http://" + w.clear},
		{[]string{"--cacert", w.certificate.AuthorityFile}, "https://" + w.secure},
	} {
		for _, protocol := range []string{"connect", "grpc", "grpcweb"} {
			buf := func(procedure, body string) []string {
				command := append([]string{filepath.Join(w.tools, "buf"), "curl", "--protocol", protocol}, way.flags...)
				return append(command, "--header", "prism-namespace: default", "--data", body, way.base+procedure)
			}
			steps := []step{
				{"set", buf(basic+"Set", `{"key": "buf/1", "value": "YnVm"}`), []string{"{}"}, false},
				{"get", buf(basic+"Get", `{"key": "buf/1"}`), []string{`"found": true`, "YnVm"}, false},
				{"server stream", buf(scan+"Scan", `{"prefix": "buf/"}`), []string{"buf/1"}, false},
				{"details", buf(basic+"Set", `{}`), []string{"invalid_argument", "google.rpc.BadRequest"}, true},
			}
			if err := runSteps(ctx, steps); err != nil {
				return fmt.Errorf("%s with %s: %w", way.base, protocol, err)
			}
		}
	}
	return nil
}
