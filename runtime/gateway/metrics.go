package gateway

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"
)

// Metrics are the gateway's figures. Labels are bounded: methods and codes by the schema, namespaces by the configuration; a namespace that does not exist
// is counted under the empty name.
type Metrics struct {
	calls    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	// methods holds a *methodMetrics per *rpc.Method: looking series up by label costs more than counting.
	methods sync.Map
}

// methodMetrics are the series of one method. The map from namespaces to series is copied when it grows, so that reading it takes no lock.
type methodMetrics struct {
	growing sync.Mutex
	series  atomic.Pointer[map[string]*series]
}

// series are the metrics of one method in one namespace.
type series struct {
	calls    [fault.MaxCode + 1]atomic.Pointer[prometheus.Counter]
	duration prometheus.Observer // nil for streams, whose length says nothing
}

// NewMetrics returns metrics that are registered with a registry.
func NewMetrics(registry prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "prism_calls_total",
			Help: "Calls that have ended, by namespace, service, method and gRPC code. Refused calls count; an unknown namespace counts under the empty name.",
		}, []string{"namespace", "service", "method", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "prism_call_duration_seconds",
			Help:    "How long unary calls took inside the gateway, by namespace, service and method.",
			Buckets: []float64{.00001, .000025, .00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"namespace", "service", "method"}),
	}
	for _, collector := range []prometheus.Collector{m.calls, m.duration} {
		if err := registry.Register(collector); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *Metrics) observe(call *rpc.Call, code fault.Code, took time.Duration) {
	if code > fault.MaxCode {
		code = fault.Unknown
	}
	s := m.of(call.Method, call.Namespace)
	counter := s.calls[code].Load()
	if counter == nil {
		made := m.calls.WithLabelValues(call.Namespace, call.Method.Service, call.Method.Name, code.String())
		counter = &made
		s.calls[code].Store(counter)
	}
	(*counter).Inc()
	if s.duration != nil {
		s.duration.Observe(took.Seconds())
	}
}

func (m *Metrics) of(method *rpc.Method, namespace string) *series {
	value, ok := m.methods.Load(method)
	if !ok {
		value, _ = m.methods.LoadOrStore(method, new(methodMetrics))
	}
	mm := value.(*methodMetrics)
	if known := mm.series.Load(); known != nil {
		if s := (*known)[namespace]; s != nil {
			return s
		}
	}
	mm.growing.Lock()
	defer mm.growing.Unlock()
	grown := make(map[string]*series)
	if known := mm.series.Load(); known != nil {
		if s := (*known)[namespace]; s != nil {
			return s
		}
		maps.Copy(grown, *known)
	}
	s := new(series)
	if method.Shape == rpc.ShapeUnary {
		s.duration = m.duration.WithLabelValues(namespace, method.Service, method.Name)
	}
	grown[namespace] = s
	mm.series.Store(&grown)
	return s
}
