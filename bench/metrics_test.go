package main

import (
	"testing"

	"github.com/stretchr/testify/require"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

const someMetrics = `# HELP prism_calls_total Calls
prism_calls_total{code="OK",method="Get",namespace="default",service="s"} 12
prism_calls_total{code="RESOURCE_EXHAUSTED",method="Get",namespace="limited",service="s"} 1.8e+04
prism_calls_totally{code="UNAVAILABLE"} 5
prism_traces_dropped_total 3
`

func TestOnlyExpectedCodesAreCounted(t *testing.T) {
	t.Parallel()
	require.NoError(t, onlyCounted(someMetrics, "OK", "RESOURCE_EXHAUSTED"))
	require.ErrorContains(t, onlyCounted(someMetrics, "OK"), `counts failed calls: prism_calls_total{code="RESOURCE_EXHAUSTED"`)
}

func TestSumOfAddsUpWhateverTheLabels(t *testing.T) {
	t.Parallel()
	require.InDelta(t, 18012, sumOf(someMetrics, "prism_calls_total"), 0)
	require.InDelta(t, 3, sumOf(someMetrics, "prism_traces_dropped_total"), 0)
	require.Zero(t, sumOf(someMetrics, "prism_namespaces"))
}

func TestCountSpans(t *testing.T) {
	t.Parallel()
	scope := func(n int) *tracepb.ScopeSpans {
		s := &tracepb.ScopeSpans{}
		for range n {
			s.Spans = append(s.Spans, &tracepb.Span{Name: "call"})
		}
		return s
	}
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{{ScopeSpans: []*tracepb.ScopeSpans{scope(2), scope(1)}}, {}, {ScopeSpans: []*tracepb.ScopeSpans{scope(4)}}}})
	require.NoError(t, err)
	spans, err := countSpans(body)
	require.NoError(t, err)
	require.Equal(t, 7, spans)
	_, err = countSpans(body[:len(body)-1])
	require.Error(t, err)
}
