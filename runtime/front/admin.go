package front

import (
	"fmt"
	"iter"
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/prismgate/prism/runtime/health"
)

// NewAdminHandler serves what operators ask for, apart from the clients' addresses: /healthz (the process runs), /readyz (it serves), /metrics (Prometheus). Every
// other request goes to rest, which may be nil.
//
// A gateway whose backends are down is ready all the same: it answers for them, and its other namespaces are served. /readyz then lists what troubles yields.
func NewAdminHandler(state *health.State, gatherer prometheus.Gatherer, troubles iter.Seq[string], rest http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !state.Serving() {
			http.Error(w, "not ready: starting or draining", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
		for trouble := range troubles {
			fmt.Fprintln(w, trouble)
		}
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	if rest != nil {
		mux.Handle("/", rest)
	}
	return mux
}

// withProfiles puts Go's profiles beside a handler.
func withProfiles(rest http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", rest)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}
