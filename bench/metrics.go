package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// metrics returns what a gateway's /metrics says.
func (s *server) metrics(ctx context.Context) (string, error) {
	ask, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.admin+"/metrics", http.NoBody)
	if err != nil {
		return "", err
	}
	data, err := fetch(http.DefaultClient, ask)
	if err != nil {
		return "", fmt.Errorf("%s: /metrics: %w", s.name, err)
	}
	return string(data), nil
}

// checkCounted reads in a gateway's own metrics that no call has failed, but with the codes that are expected. Calls that a client cuts off when its time is over
// count as canceled.
func (s *server) checkCounted(ctx context.Context, expected ...string) error {
	if !s.isGateway() {
		return nil
	}
	metrics, err := s.metrics(ctx)
	if err != nil {
		return err
	}
	return onlyCounted(metrics, append(expected, "OK", "CANCELED")...)
}

// onlyCounted fails when calls have ended with a code that is not among those.
func onlyCounted(metrics string, codes ...string) error {
	for line := range strings.Lines(metrics) {
		if !strings.HasPrefix(line, "prism_calls_total{") {
			continue
		}
		_, rest, _ := strings.Cut(line, `code="`)
		if code, _, _ := strings.Cut(rest, `"`); !slices.Contains(codes, code) {
			return fmt.Errorf("the gateway counts failed calls: %s", strings.TrimSpace(line))
		}
	}
	return nil
}

// sumOf adds up a metric's values, whatever its labels are.
func sumOf(metrics, name string) float64 {
	sum := 0.0
	for line := range strings.Lines(metrics) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		value, _ := strconv.ParseFloat(strings.TrimSpace(rest[strings.LastIndexByte(rest, ' '):]), 64) // a number, says the format
		sum += value
	}
	return sum
}
