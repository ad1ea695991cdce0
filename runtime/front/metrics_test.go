package front_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/front"
	"github.com/prismgate/prism/runtime/h2"
	"github.com/prismgate/prism/runtime/listen"
)

func listenStats() listen.Stats {
	return listen.Stats{Open: 3, Accepted: 10, Refused: 2, Silent: 4, Unsecured: 6, Unknown: 5}
}

func TestFrontMetrics(t *testing.T) {
	listening := `# HELP prism_front_connections Connections of clients that are open.
# TYPE prism_front_connections gauge
prism_front_connections 3
# HELP prism_front_connections_accepted_total Connections of clients that were taken.
# TYPE prism_front_connections_accepted_total counter
prism_front_connections_accepted_total 10
# HELP prism_front_refused_total Connections, streams and requests that were refused or ended, by reason: the limit of server.limits that was reached, or the rule that was broken.
# TYPE prism_front_refused_total counter
`
	standard := front.NewCollector(listenStats, nil)
	require.NoError(t, testutil.CollectAndCompare(standard, strings.NewReader(listening+`prism_front_refused_total{reason="handshake_timeout"} 4
prism_front_refused_total{reason="max_connections"} 2
prism_front_refused_total{reason="tls_handshake"} 6
prism_front_refused_total{reason="unknown_protocol"} 5
`)))

	own := front.NewCollector(listenStats, func() h2.Stats {
		return h2.Stats{Streams: 7, Opened: 70, Memory: 700, Refused: map[h2.Refusal]int64{
			h2.EndedHandshake: 100, h2.RefusedHeader: 20, h2.EndedHeader: 1, h2.EndedProtocol: 9,
		}}
	})
	require.NoError(t, testutil.CollectAndCompare(own, strings.NewReader(`# HELP prism_front_memory_bytes Bytes of server.limits.memory_bytes that requests and responses hold.
# TYPE prism_front_memory_bytes gauge
prism_front_memory_bytes 700
# HELP prism_front_streams Streams of the gateway's own HTTP/2 that are open.
# TYPE prism_front_streams gauge
prism_front_streams 7
# HELP prism_front_streams_opened_total Streams of the gateway's own HTTP/2 that were opened, without the refused ones.
# TYPE prism_front_streams_opened_total counter
prism_front_streams_opened_total 70
`), "prism_front_memory_bytes", "prism_front_streams", "prism_front_streams_opened_total"))
	counts := reasons(t, own)
	require.Equal(t, []float64{104, 21, 9, 0}, []float64{counts["handshake_timeout"], counts["max_header_bytes"], counts["protocol"], counts["max_age"]})
}

// reasons returns the counters of refusals by reason.
func reasons(t *testing.T, collector prometheus.Collector) map[string]float64 {
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(collector))
	families, err := registry.Gather()
	require.NoError(t, err)
	counts := map[string]float64{}
	for _, family := range families {
		if family.GetName() != "prism_front_refused_total" {
			continue
		}
		for _, metric := range family.GetMetric() {
			counts[metric.GetLabel()[0].GetValue()] = metric.GetCounter().GetValue()
		}
	}
	return counts
}

func TestEachLimitHasACounter(t *testing.T) {
	counts := reasons(t, front.NewCollector(listenStats, func() h2.Stats { return h2.Stats{} }))
	fields := new(configv1.Limits).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		name := string(fields.Get(i).Name())
		if name == "age_grace" {
			continue // it ends what max_age has counted
		}
		require.Contains(t, counts, name)
	}
}
