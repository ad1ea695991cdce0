package server

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// reloads are the figures about configurations.
type reloads struct {
	total      *prometheus.CounterVec
	successful prometheus.Gauge
	at         prometheus.Gauge
	namespaces prometheus.Gauge
}

func newReloads() *reloads {
	r := &reloads{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "prism_config_reloads_total",
			Help: "Configurations that were loaded, the first included, by result: ok, or failed, which changed nothing.",
		}, []string{"result"}),
		successful: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "prism_config_last_reload_successful",
			Help: "1 when the last configuration that was loaded is in force, 0 when it was refused.",
		}),
		at: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "prism_config_last_reload_timestamp_seconds",
			Help: "When the configuration in force was loaded, in Unix time.",
		}),
		namespaces: prometheus.NewGauge(prometheus.GaugeOpts{Name: "prism_namespaces", Help: "Namespaces that are served."}),
	}
	for _, result := range []string{"ok", "failed"} {
		r.total.WithLabelValues(result)
	}
	return r
}

func (r *reloads) collectors() []prometheus.Collector {
	return []prometheus.Collector{r.total, r.successful, r.at, r.namespaces}
}

// ok counts a configuration that is in force now.
func (r *reloads) ok(at time.Time, namespaces int) {
	r.total.WithLabelValues("ok").Inc()
	r.successful.Set(1)
	r.at.Set(float64(at.UnixMilli()) / 1000)
	r.namespaces.Set(float64(namespaces))
}

// failed counts a configuration that was refused.
func (r *reloads) failed() {
	r.total.WithLabelValues("failed").Inc()
	r.successful.Set(0)
}
