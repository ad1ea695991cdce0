package observe

import (
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"
)

// metrics are the gateway's figures of calls. Labels are bounded: methods and codes by the schema, namespaces by the configuration. A namespace that does not exist
// is counted under the empty name.
type metrics struct {
	registry prometheus.Registerer
	calls    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	refused  *prometheus.CounterVec
	requests *prometheus.CounterVec
	dropped  prometheus.Counter
	// namespaces holds a *sync.Map per namespace, which holds a *series per *rpc.Method: to look a series up by its labels costs more than to count. To read them takes
	// no lock.
	namespaces sync.Map
}

// series are the metrics of one method in one namespace.
type series struct {
	calls    [fault.MaxCode + 1]atomic.Pointer[prometheus.Counter]
	duration prometheus.Observer // nil for streams, whose length says nothing
}

// buckets are the upper bounds of durations in seconds. What is kept in memory answers in microseconds, what is on a network in milliseconds.
func buckets() []float64 {
	return []float64{.00001, .000025, .00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
}

func newMetrics(registry prometheus.Registerer, build Build) (*metrics, error) {
	m := &metrics{
		registry: registry,
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "prism_calls_total",
			Help: "Calls that have ended, by namespace, service, method and gRPC code. Refused calls count; an unknown namespace counts under the empty name.",
		}, []string{"namespace", "service", "method", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "prism_call_duration_seconds",
			Help:    "How long unary calls took inside the gateway, by namespace, service and method.",
			Buckets: buckets(),
		}, []string{"namespace", "service", "method"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "prism_refused_total",
			Help: "Calls that the gateway refused or ended, by namespace and limit. They are in prism_calls_total too.",
		}, []string{"namespace", "limit"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "prism_requests_refused_total",
			Help: "Requests that were refused before they were calls, by protocol and reason. They are not in prism_calls_total.",
		}, []string{"protocol", "reason"}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "prism_traces_dropped_total",
			Help: "Spans that were not delivered: the collector was away, slow, or refused them.",
		}),
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "prism_build_info",
		Help:        "Which program this is, by its labels; always 1.",
		ConstLabels: prometheus.Labels{"version": build.Version, "revision": build.Revision, "goversion": build.GoVersion},
	})
	info.Set(1)
	for _, collector := range []prometheus.Collector{m.calls, m.duration, m.refused, m.requests, m.dropped, info} {
		if err := registry.Register(collector); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// count counts a call.
func (m *metrics) count(call *rpc.Call, end *outcome) {
	s := m.of(call)
	counter := s.calls[end.code].Load()
	if counter == nil {
		made := m.calls.WithLabelValues(call.Namespace, call.Method.Service, call.Method.Name, end.code.String())
		counter = &made
		s.calls[end.code].Store(counter)
	}
	(*counter).Inc()
	if s.duration != nil {
		s.duration.Observe(end.took.Seconds())
	}
	if end.limit != "" {
		m.refused.WithLabelValues(call.Namespace, end.limit).Inc()
	}
}

// of returns the series of a call's method in its namespace.
func (m *metrics) of(call *rpc.Call) *series {
	in, ok := m.namespaces.Load(call.Namespace)
	if !ok {
		in, _ = m.namespaces.LoadOrStore(call.Namespace, new(sync.Map))
	}
	methods := in.(*sync.Map)
	known, ok := methods.Load(call.Method)
	if !ok {
		made := new(series)
		if call.Method.Shape == rpc.ShapeUnary {
			made.duration = m.duration.WithLabelValues(call.Namespace, call.Method.Service, call.Method.Name)
		}
		known, _ = methods.LoadOrStore(call.Method, made)
	}
	return known.(*series)
}

// forget drops the series of a namespace, without a look through those of the others.
func (m *metrics) forget(namespace string) {
	for _, limit := range limits {
		m.refused.DeleteLabelValues(namespace, limit)
	}
	in, ok := m.namespaces.LoadAndDelete(namespace)
	if !ok {
		return
	}
	in.(*sync.Map).Range(func(key, _ any) bool {
		method := key.(*rpc.Method)
		m.duration.DeleteLabelValues(namespace, method.Service, method.Name)
		for code := fault.OK; code <= fault.MaxCode; code++ {
			m.calls.DeleteLabelValues(namespace, method.Service, method.Name, code.String())
		}
		return true
	})
}
