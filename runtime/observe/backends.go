package observe

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/prismgate/prism/runtime/backend"
)

// backends shows how the servers of the backend instances are.
type backends struct {
	each                         func(yield func(instance, backend string, status *backend.Status))
	up, openings, retries, batch *prometheus.Desc
}

func newBackends(each func(yield func(instance, backend string, status *backend.Status))) *backends {
	labels := []string{"backend", "type"} // not "instance", which is Prometheus' own
	return &backends{
		each:     each,
		up:       prometheus.NewDesc("prism_backend_up", "1 while the backend's server answers, 0 while its calls are refused because it does not.", labels, nil),
		openings: prometheus.NewDesc("prism_backend_breaker_openings_total", "How often the breaker of a backend opened.", labels, nil),
		retries:  prometheus.NewDesc("prism_backend_retries_total", "Calls to a backend's server that were made again after they had failed.", labels, nil),
		batch: prometheus.NewDesc("prism_backend_batch_size", "Calls that went to a backend's server in one exchange.",
			append(labels[:2:2], "lane"), nil),
	}
}

// Describe tells which metrics there are.
func (b *backends) Describe(described chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{b.up, b.openings, b.retries, b.batch} {
		described <- desc
	}
}

// Collect asks every instance.
func (b *backends) Collect(metrics chan<- prometheus.Metric) {
	b.each(func(instance, name string, status *backend.Status) {
		up := 1.0
		if unavailable, _ := status.State(); unavailable != "" {
			up = 0
		}
		metrics <- prometheus.MustNewConstMetric(b.up, prometheus.GaugeValue, up, instance, name)
		metrics <- prometheus.MustNewConstMetric(b.openings, prometheus.CounterValue, float64(status.Openings.Load()), instance, name)
		metrics <- prometheus.MustNewConstMetric(b.retries, prometheus.CounterValue, float64(status.Retries.Load()), instance, name)
		status.EachBatches(func(lane string, sizes *backend.Batches) {
			batches, calls, buckets := sizes.Histogram()
			metrics <- prometheus.MustNewConstHistogram(b.batch, batches, float64(calls), buckets, instance, name, lane)
		})
	})
}
