package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// load is what h2load sends: the same call again and again, as fast as it is answered.
type load struct {
	exchange             *exchange
	connections, streams int
	// connect tells that it is Connect rather than gRPC; http1, that it is Connect over HTTP/1.1, where a connection carries one call at a time.
	connect, http1 bool
	// narrow has windows of 64 KiB, for streams and for connections. Without it h2load opens 1 GiB, and flow control is never met.
	narrow bool
}

// sample is one server's round under load.
type sample struct {
	// rate is calls per second, or messages when the server streams them.
	rate float64
	// cpu is what a call, or a message, cost the server.
	cpu time.Duration
	// server, load and others tell how much of a core the server had, the load generator had, and everybody else had of the server's core. With the first below 0.9 the
	// server was not what was measured; with the last above 0.05 the figures are noise. When nothing is pinned, others is 0.
	server, load, others float64
}

func (s sample) perSecond() float64 { return s.rate }

// cost is in microseconds.
func (s sample) cost() float64 { return float64(s.cpu) / 1e3 }

// shares says whether samples are to be believed.
func shares(samples []sample) string {
	return fmt.Sprintf("server had %.0f%% of a core, load %.0f%%, others %.0f%% of the server's",
		100*median(column(samples, func(s sample) float64 { return s.server })),
		100*median(column(samples, func(s sample) float64 { return s.load })),
		100*median(column(samples, func(s sample) float64 { return s.others })))
}

// cipher is that of every TLS connection, so that the servers are not told apart by it. It is also what Go chooses where the processor knows AES.
const cipher = "TLS_AES_128_GCM_SHA256"

// command returns h2load's command line for a server's base URL and a duration.
func (l load) command(base, folder string, duration time.Duration) []string {
	body, headers := ".grpc", []string{"-H", "content-type: application/grpc", "-H", "te: trailers"}
	if l.connect || l.http1 {
		body, headers = ".proto", []string{"-H", "content-type: application/proto", "-H", "connect-protocol-version: 1"}
	}
	arguments := []string{
		"h2load", "-D", strconv.FormatInt(duration.Milliseconds(), 10) + "ms", "-c", strconv.Itoa(l.connections), "-m", strconv.Itoa(l.streams),
		"-d", filepath.Join(folder, l.exchange.file+body), "-H", namespaceHeader + ": " + namespace,
	}
	arguments = append(arguments, headers...)
	if l.http1 {
		arguments = append(arguments, "--h1")
	}
	if l.narrow {
		arguments = append(arguments, "-w", "16", "-W", "16")
	}
	if strings.HasPrefix(base, "https:") {
		arguments = append(arguments, "--tls13-ciphers", cipher)
	}
	return append(arguments, base+l.exchange.procedure)
}

// answer is the length of a right response's body.
func (l load) answer() int {
	if l.connect || l.http1 {
		return len(l.exchange.responses[0])
	}
	return l.exchange.grpcLength()
}

// start starts h2load. What it prints is in the buffer when it has ended.
func (l load) start(ctx context.Context, at place, base, folder string, duration time.Duration) (*exec.Cmd, *bytes.Buffer, error) {
	arguments := l.command(base, folder, duration)
	command, output := exec.CommandContext(ctx, arguments[0], arguments[1:]...), new(bytes.Buffer)
	command.Stdout, command.Stderr = output, output
	return command, output, at.start(command)
}

// run puts a load on a server, at its own address or at the one of a proxy before it.
func (b *benchmark) run(ctx context.Context, l load, s *server, address string, at place, duration time.Duration) (sample, error) {
	m, err := b.read(s)
	if err != nil {
		return sample{}, err
	}
	command, output, err := l.start(ctx, at, s.scheme()+"://"+address, b.bin, duration)
	if err != nil {
		return sample{}, err
	}
	err = command.Wait()
	used, err2 := m.used()
	if err := errors.Join(err, err2); err != nil {
		return sample{}, fmt.Errorf("%s under h2load: %w\n%s%s", s.name, err, output.String(), s.log.String())
	}
	calls, rate, err := l.parse(output.String(), s.tls != nil)
	if err != nil {
		return sample{}, fmt.Errorf("%s under h2load: %w\n%s%s", s.name, err, output.String(), s.log.String())
	}
	messages := len(l.exchange.responses)
	generator := command.ProcessState.UserTime() + command.ProcessState.SystemTime()
	got := used.sample(calls*messages, generator)
	got.rate = rate * float64(messages)
	if len(at.cores) > 1 {
		got.others = 0 // nothing is pinned
	}
	return got, nil
}

var (
	finishedLine = regexp.MustCompile(`finished in .*, ([0-9.]+) req/s`)
	requestsLine = regexp.MustCompile(`requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout`)
	statusLine   = regexp.MustCompile(`status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx`)
	trafficLine  = regexp.MustCompile(`traffic: .* \((\d+)\) data`)
	cipherLine   = regexp.MustCompile(`TLS Protocol: TLSv1\.3\nCipher: ` + cipher)
)

// parse reads h2load's report, and fails when a call has. A gRPC error is status 200 and an empty body, so the bytes must be those of right answers too.
func (l load) parse(report string, secure bool) (calls int, rate float64, err error) {
	if secure && !cipherLine.MatchString(report) {
		return 0, 0, fmt.Errorf("the connections are not TLS 1.3 with %s", cipher)
	}
	var lines [4][]string
	for i, pattern := range []*regexp.Regexp{finishedLine, requestsLine, statusLine, trafficLine} {
		if lines[i] = pattern.FindStringSubmatch(report); lines[i] == nil {
			return 0, 0, fmt.Errorf("its report has no line %q", pattern)
		}
	}
	rate, err = strconv.ParseFloat(lines[0][1], 64)
	if err != nil {
		return 0, 0, err
	}
	counts := lines[1][1:]
	calls, _ = strconv.Atoi(counts[0]) // digits, says the pattern
	if counts[1] != counts[0] || strings.Join(counts[2:], "") != "000" || strings.Join(lines[2][2:], "") != "000" {
		return 0, 0, errors.New("calls failed")
	}
	data, _ := strconv.Atoi(lines[3][1])
	// Calls that are under way when the time is over have part of their bytes counted.
	if right := calls * l.answer(); calls == 0 || data < right || data > right+l.connections*l.streams*l.answer() {
		return 0, 0, fmt.Errorf("%d calls were answered with %d bytes, want %d each", calls, data, l.answer())
	}
	return calls, rate, nil
}
