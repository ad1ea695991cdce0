package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

var benchmarkLine = regexp.MustCompile(`(?m)^Benchmark(?:KeyValue)?Get(?:-\d+)?\s+\d+\s+([0-9.]+) ns/op\s+\d+ B/op\s+(\d+) allocs/op`)

// measureMemStore runs MemStore's own benchmark, in process and on the server's core.
func measureMemStore(ctx context.Context, b *benchmark) error {
	binary := filepath.Join(b.bin, "memstore.test")
	if err := b.goTool(ctx, "test", "-c", "-o", binary, "./backends/memstore"); err != nil {
		return err
	}
	arguments := []string{
		"-test.run=^$", "-test.bench=^Benchmark(KeyValue)?Get$", "-test.benchmem", "-test.cpu=1",
		"-test.count=" + strconv.Itoa(b.rounds), "-test.benchtime=" + (b.duration / 3).String(),
	}
	progress("memstore: %d rounds of BenchmarkGet", b.rounds)
	command := exec.CommandContext(ctx, binary, arguments...)
	var output bytes.Buffer
	command.Dir, command.Stdout, command.Stderr = filepath.Join(b.root, "backends", "memstore"), &output, os.Stderr
	if err := (place{cores: []int{b.serverCore}}).start(command); err != nil {
		return err
	}
	if err := command.Wait(); err != nil {
		return fmt.Errorf("BenchmarkGet: %w\n%s", err, output.String())
	}
	took, allocated := parseBenchmark(output.String())
	if len(took) == 0 {
		return fmt.Errorf("./backends/memstore has no BenchmarkGet, or it printed something else:\n%s", output.String())
	}
	b.report.command("memstore", "go test -bench '^BenchmarkGet$' -benchmem ./backends/memstore, as "+strings.Join(arguments, " "))
	b.report.add(figure{Case: "memstore", Name: "MemStore in process: Get", Unit: nanoseconds, Samples: took, Bar: atMost(250)})
	b.report.add(figure{Case: "memstore", Name: "MemStore in process: allocations", Unit: allocations, Samples: allocated, Bar: atMost(1), Note: "the response message"})
	return nil
}

// parseBenchmark reads what each run of the benchmark took in nanoseconds, and how often it allocated.
func parseBenchmark(output string) (took, allocated []float64) {
	for _, line := range benchmarkLine.FindAllStringSubmatch(output, -1) {
		nanos, _ := strconv.ParseFloat(line[1], 64) // digits, says the pattern
		count, _ := strconv.ParseFloat(line[2], 64)
		took, allocated = append(took, nanos), append(allocated, count)
	}
	return took, allocated
}
