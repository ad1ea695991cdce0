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

// offered is calls of Get at a rate, of `prism bench`, to a namespace that may refuse some. h2load cannot count those: its rate comes in bursts, and a gRPC error is
// status 200.
type offered struct {
	namespace   string
	rate        float64
	connections int
	streams     int
}

// outcome is what became of calls at a rate, in calls a second.
type outcome struct {
	// made are those that were answered at all, let those that were answered with OK.
	made, let float64
	// codes are the others' codes.
	codes []string
}

// command is the command line for an address and a duration; calls in the lead before it are not counted.
func (o offered) command(binary, address string, lead, duration time.Duration) []string {
	return []string{
		binary, "bench", "keyvalue_basic.Get", "--namespace", o.namespace, "--data", `{"key": "` + key + `"}`, "--address", address,
		"--rate", strconv.FormatFloat(o.rate, 'f', -1, 64), "--connections", strconv.Itoa(o.connections), "--streams", strconv.Itoa(o.streams), "--threads", "1",
		"--warm-up", lead.String(), "--duration", duration.String(), "--output", "json",
	}
}

// start begins to make the calls, of the policy SCHED_IDLE. The function that it returns waits until they are over.
func (o offered) start(ctx context.Context, b *benchmark, address string, lead, duration time.Duration) (func() (outcome, error), error) {
	arguments := o.command(b.gateway, address, lead, duration)
	command := exec.CommandContext(ctx, arguments[0], arguments[1:]...)
	var report, said bytes.Buffer
	command.Stdout, command.Stderr = &report, &said
	if err := (place{cores: []int{b.loadCore}, yields: true}).start(command); err != nil {
		return nil, err
	}
	return func() (outcome, error) {
		if err := command.Wait(); err != nil {
			return outcome{}, fmt.Errorf("prism bench: %w: %s", err, said.String())
		}
		return parseOffered(report.Bytes())
	}, nil
}

// parseOffered reads the report of `prism bench`.
func parseOffered(data []byte) (outcome, error) {
	var report generator.Report
	if err := json.Unmarshal(data, &report); err != nil {
		return outcome{}, fmt.Errorf("the report of prism bench: %w", err)
	}
	if len(report.Results) != 1 || len(report.Results[0].Samples) != 1 || report.Results[0].Samples[0].Seconds <= 0 {
		return outcome{}, errors.New("the report of prism bench is not one of one round")
	}
	sample := report.Results[0].Samples[0]
	o := outcome{made: float64(sample.Calls) / sample.Seconds, let: float64(sample.OK) / sample.Seconds}
	for _, failure := range sample.Failures {
		o.codes = append(o.codes, failure.Code)
	}
	return o, nil
}
