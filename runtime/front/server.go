package front

import (
	"crypto/tls"
	"log/slog"
	"net/http"

	"github.com/prismgate/prism/runtime/grpcserver"
	"github.com/prismgate/prism/runtime/h2"
	"github.com/prismgate/prism/runtime/httprpc"
	"github.com/prismgate/prism/runtime/listen"
	"github.com/prismgate/prism/runtime/rpc"
)

// ServerOptions say how routes are reached.
type ServerOptions struct {
	// Standard serves HTTP/2 with net/http, and gRPC with connect-go, in the place of runtime/h2 and runtime/grpcserver.
	Standard bool
	// TLS is how connections are secured; nil serves in clear.
	TLS *tls.Config
	// Limits bound what peers may hold of the listener.
	Limits listen.Limits
	// HTTP2 bounds what peers may hold of connections that speak HTTP/2, unless net/http serves them.
	HTTP2 h2.Limits
	// Log is told what was refused; nil discards.
	Log *slog.Logger
	// Refused is told of requests that are refused before they are calls, but for those of Hosts and Origins that are not allowed; nil is told nothing.
	Refused rpc.Refused

	// allowed refuses requests by Host and Origin; nil refuses none.
	allowed *allowed
}

// NewServer returns the server of some routes, for any listener: gRPC, Connect, gRPC-Web and JSON, over HTTP/2 and HTTP/1.1, on one port. A gateway has a [Front].
func NewServer(routes []rpc.Route, o ServerOptions) *listen.Server {
	mux := httprpc.NewMux(routes)
	mux.Refused = o.Refused
	var handler http.Handler = mux
	var admit func(*h2.Stream) error
	if o.allowed != nil {
		handler, admit = o.allowed.handler(handler), o.allowed.admit
	}
	config := listen.Config{HTTP: handler, TLS: o.TLS, Limits: o.Limits, Log: o.Log}
	if !o.Standard {
		calls := grpcserver.New(routes, handler, admit)
		calls.Refused = o.Refused
		config.HTTP2 = h2.NewServer(calls, h2.Options{Limits: o.HTTP2, Log: o.Log})
	}
	return listen.New(config)
}
