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

// load is what h2load sends: the same Get again and again, as fast as it is answered.
type load struct {
	name                 string
	connections, streams int
	// arguments beside those that every load has.
	arguments []string
	// body is the request's file, answer the length of a right response's body.
	body   string
	answer int
}

// grpcLoad is gRPC over HTTP/2 in clear.
func grpcLoad(name string, connections, streams int) load {
	return load{
		name: name, connections: connections, streams: streams,
		arguments: []string{"-H", "content-type: application/grpc", "-H", "te: trailers"},
		body:      "get.grpc", answer: len(framed(responseBytes)),
	}
}

// connectLoad is Connect over HTTP/1.1, where a connection carries one call at a time. It is h2load too, so that both protocols have the same generator.
func connectLoad(name string, connections int) load {
	return load{
		name: name, connections: connections, streams: 1,
		arguments: []string{"--h1", "-H", "content-type: application/proto", "-H", "connect-protocol-version: 1"},
		body:      "get.proto", answer: len(responseBytes),
	}
}

// sample is one server's round under load.
type sample struct {
	// rate is calls per second.
	rate float64
	// cpu is what a call cost the server.
	cpu time.Duration
	// server, load and others tell how much of its core the server had, of its own the load generator, and of the server's core everybody else. With
	// the first below 0.9 the server was not what was measured; with the last above 0.05 the figures are noise.
	server, load, others float64
}

// command returns h2load's command line for a server and a duration.
func (l load) command(address, folder string, duration time.Duration) []string {
	arguments := []string{
		"h2load", "-D", strconv.FormatInt(duration.Milliseconds(), 10) + "ms", "-c", strconv.Itoa(l.connections), "-m", strconv.Itoa(l.streams),
		"-d", filepath.Join(folder, l.body), "-H", namespaceHeader + ": " + namespace,
	}
	return append(append(arguments, l.arguments...), "http://"+address+getProcedure)
}

// run puts a load on a server.
func (b *benchmark) run(ctx context.Context, l load, s *server, duration time.Duration) (sample, error) {
	arguments := l.command(s.address, b.bin, duration)
	command := exec.CommandContext(ctx, arguments[0], arguments[1:]...)
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	coreBefore, err1 := coreBusy(b.serverCore)
	cpuBefore, err2 := s.cpu()
	began := time.Now()
	if err := errors.Join(err1, err2, startOn(b.loadCore, command)); err != nil {
		return sample{}, err
	}
	err := command.Wait()
	took := time.Since(began)
	cpuAfter, err1 := s.cpu()
	coreAfter, err2 := coreBusy(b.serverCore)
	if err := errors.Join(err, err1, err2); err != nil {
		return sample{}, fmt.Errorf("%s under h2load: %w\n%s%s", s.name, err, output.String(), s.log.String())
	}
	calls, rate, err := l.parse(output.String())
	if err != nil {
		return sample{}, fmt.Errorf("%s under h2load: %w\n%s%s", s.name, err, output.String(), s.log.String())
	}
	cpu := cpuAfter - cpuBefore
	generator := command.ProcessState.UserTime() + command.ProcessState.SystemTime()
	return sample{
		rate:   rate,
		cpu:    cpu / time.Duration(calls),
		server: cpu.Seconds() / took.Seconds(),
		load:   generator.Seconds() / took.Seconds(),
		others: max(0, (coreAfter-coreBefore-cpu).Seconds()/took.Seconds()),
	}, nil
}

var (
	finishedLine = regexp.MustCompile(`finished in .*, ([0-9.]+) req/s`)
	requestsLine = regexp.MustCompile(`requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout`)
	statusLine   = regexp.MustCompile(`status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx`)
	trafficLine  = regexp.MustCompile(`traffic: .* \((\d+)\) data`)
)

// parse reads h2load's report, and fails when a call has. A gRPC error is status 200 and an empty body, so the bytes must be those of right answers too.
func (l load) parse(report string) (calls int, rate float64, err error) {
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
	if right := calls * l.answer; calls == 0 || data < right || data > right+l.connections*l.streams*l.answer {
		return 0, 0, fmt.Errorf("%d calls were answered with %d bytes, want %d each", calls, data, l.answer)
	}
	return calls, rate, nil
}

func (b *benchmark) measureGRPC(ctx context.Context) error {
	return b.compare(ctx, grpcLoad("grpc", 4, 32), 0, gateway, connectGo, grpcGo)
}

func (b *benchmark) measureConnect(ctx context.Context) error {
	// As many calls at once as 4 connections of 32 streams have.
	return b.compare(ctx, connectLoad("connect", 4*32), 0, gateway, connectGo)
}

func (b *benchmark) measureOneConnection(ctx context.Context) error {
	return b.compare(ctx, grpcLoad("one-connection", 1, 32), 10_000, gateway, connectGo, grpcGo)
}

// compare puts a load on servers in turn, round after round. The gateway's rate is held against minimum or, when that is 0, against connect-go's.
func (b *benchmark) compare(ctx context.Context, l load, minimum float64, names ...string) error {
	servers, err := b.startAll(ctx, names...)
	defer func() { stopAll(servers) }()
	if err != nil {
		return err
	}
	for _, s := range servers {
		progress("%s: warming %s up", l.name, s.name)
		if _, err := b.run(ctx, l, s, b.duration/3); err != nil {
			return err
		}
	}
	samples := make([][]sample, len(servers))
	for round := range b.rounds {
		for i := range servers {
			i = (i + round) % len(servers) // nobody is always the one after the heaviest
			got, err := b.run(ctx, l, servers[i], b.duration)
			if err != nil {
				return err
			}
			samples[i] = append(samples[i], got)
			progress("%s: round %d/%d: %-10s %6.0f/s, %5.1f us", l.name, round+1, b.rounds, servers[i].name, got.rate, float64(got.cpu)/1e3)
		}
	}
	b.report.command(l.name, strings.Join(l.command("HOST:PORT", ".build/bench", b.duration), " "))
	b.reportRates(l.name, servers, samples, minimum)
	for _, s := range servers {
		held, err := s.rss()
		if err != nil {
			return err
		}
		b.report.add(figure{Case: l.name, Name: s.name + ": RSS after load", Unit: megabytes, Samples: []float64{held / 1e6}})
		if err := s.checkCounted(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (b *benchmark) reportRates(name string, servers []*server, samples [][]sample, minimum float64) {
	column := func(i int, of func(sample) float64) []float64 {
		values := make([]float64, len(samples[i]))
		for round, s := range samples[i] {
			values[round] = of(s)
		}
		return values
	}
	rate := func(s sample) float64 { return s.rate }
	cpu := func(s sample) float64 { return float64(s.cpu) / 1e3 }
	for i, s := range servers {
		f := figure{
			Case: name, Name: s.name + ": calls", Unit: perSecond, Samples: column(i, rate),
			Note: fmt.Sprintf("server had %.0f%% of its core, others %.0f%%; load %.0f%% of its own",
				100*median(column(i, func(s sample) float64 { return s.server })),
				100*median(column(i, func(s sample) float64 { return s.others })),
				100*median(column(i, func(s sample) float64 { return s.load }))),
		}
		if i == 0 && minimum > 0 {
			f.Bar = atLeast(minimum)
		}
		b.report.add(f)
	}
	for i, s := range servers {
		b.report.add(figure{Case: name, Name: s.name + ": CPU per call", Unit: microseconds, Samples: column(i, cpu)})
	}
	for i, s := range servers[1:] {
		f := figure{Case: name, Name: "gateway / " + s.name + ": calls", Unit: ratio, Samples: divide(column(0, rate), column(i+1, rate))}
		if minimum == 0 && s.name == connectGo {
			f.Bar = atLeast(0.85)
		}
		b.report.add(f)
		b.report.add(figure{Case: name, Name: "gateway / " + s.name + ": CPU per call", Unit: ratio, Samples: divide(column(0, cpu), column(i+1, cpu))})
	}
}
