package observe

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/prismgate/prism/runtime/rpc"
)

// limits are what refuses calls, as prism_refused_total calls it, by the reason that the answer gives.
//
//nolint:gochecknoglobals // a table
var limits = map[string]string{
	"NAMESPACE_MISSING":          "namespace_missing",
	"NAMESPACE_AMBIGUOUS":        "namespace_ambiguous",
	"NAMESPACE_NOT_FOUND":        "namespace_unknown",
	"INTERFACE_NOT_OFFERED":      "interface_not_offered",
	"RATE_LIMIT_EXCEEDED":        "rate",
	"CONCURRENCY_LIMIT_EXCEEDED": "concurrency",
	"MESSAGE_TOO_LARGE":          "message_size",
	"DEADLINE_LIMIT_EXCEEDED":    "deadline",
	"CONFIGURATION_CHANGED":      "configuration_changed",
}

// other is the label of what has no name here, so that what requests say never makes a series.
const other = "other"

func (m *metrics) requestRefused(protocol, reason string) {
	if !slices.Contains([]string{"grpc", "grpcweb", "connect", "http"}, protocol) {
		protocol = other
	}
	if !slices.Contains(rpc.RefusedReasons(), reason) {
		reason = other
	}
	m.requests.WithLabelValues(protocol, reason).Inc()
}

// inFlight makes prism_calls_in_flight of what somebody else counts.
type inFlight struct {
	each func(yield func(namespace string, calls int64))
	desc *prometheus.Desc
}

func newInFlight(each func(yield func(namespace string, calls int64))) *inFlight {
	return &inFlight{each, prometheus.NewDesc("prism_calls_in_flight", "Calls that are under way, streams among them, by namespace.", []string{"namespace"}, nil)}
}

// Describe is part of [prometheus.Collector].
func (c *inFlight) Describe(descs chan<- *prometheus.Desc) { descs <- c.desc }

// Collect is part of [prometheus.Collector].
func (c *inFlight) Collect(collected chan<- prometheus.Metric) {
	c.each(func(namespace string, calls int64) {
		collected <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, float64(calls), namespace)
	})
}
