package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"time"

	generator "github.com/prismgate/prism/internal/load"
)

// byPrism is calls of `prism bench`, as fast as they are answered, with random keys over 10,000.
type byPrism struct {
	// rpc and data are what is called, as `prism bench` takes them.
	rpc, data            string
	connections, streams int
}

const (
	manyKeys  = 10_000
	keyPrefix = "bench-"
	// warmUp is how long calls are made before a round counts: pools fill up, and processes that were moved settle.
	warmUp = 300 * time.Millisecond
)

// randomGet reads one of the keys.
func randomGet(connections, streams int) byPrism {
	return byPrism{"keyvalue_basic.Get", `{"key": "{{key}}"}`, connections, streams}
}

// run makes the calls from a place. What processes use meanwhile is read by this process: those of a server come and go.
func (p byPrism) run(ctx context.Context, b *benchmark, at place, address string, duration time.Duration, extra ...string) (*generator.Sample, error) {
	arguments := append([]string{
		"bench", p.rpc, "--namespace", namespace, "--data", p.data, "--address", address, "--connections", strconv.Itoa(p.connections), "--streams", strconv.Itoa(p.streams),
		"--threads", "1", "--keys", strconv.Itoa(manyKeys), "--key-prefix", keyPrefix, "--output", "json",
	}, extra...)
	if duration > 0 {
		arguments = append(arguments, "--warm-up", "0s", "--duration", duration.String())
	}
	command := exec.CommandContext(ctx, b.gateway, arguments...)
	var report, said bytes.Buffer
	command.Stdout, command.Stderr = &report, &said
	if err := at.start(command); err != nil {
		return nil, err
	}
	if err := command.Wait(); err != nil {
		return nil, fmt.Errorf("prism bench: %w: %s", err, said.String())
	}
	return parseSample(report.Bytes())
}

// parseSample reads the report of one round, in which no call may have failed.
func parseSample(data []byte) (*generator.Sample, error) {
	var report generator.Report
	if err := json.Unmarshal(data, &report); err != nil {
		return nil, fmt.Errorf("the report of prism bench: %w", err)
	}
	if len(report.Results) != 1 || len(report.Results[0].Samples) != 1 || report.Results[0].Samples[0].Seconds <= 0 {
		return nil, errors.New("the report of prism bench is not one of one round")
	}
	sample := report.Results[0].Samples[0]
	if sample.Failed > 0 || sample.OK == 0 {
		return nil, fmt.Errorf("%d of %d calls failed: %v", sample.Failed, sample.Calls, sample.Failures)
	}
	return sample, nil
}

// fillKeys stores 100 bytes under every key, through a gateway.
func (b *benchmark) fillKeys(ctx context.Context, address string) error {
	fill := byPrism{"keyvalue_basic.Set", `{"key": "{{key}}", "value": "{{bytes 100}}"}`, 4, 8}
	_, err := fill.run(ctx, b, place{cores: b.cores}, address, 0, "--calls", strconv.Itoa(manyKeys), "--distribution", "sequential")
	return err
}
