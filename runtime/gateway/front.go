package gateway

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

// Where a gateway listens when nothing else is said.
const (
	// DefaultListen serves clients.
	DefaultListen = "127.0.0.1:8980"
	// DefaultAdmin serves operators.
	DefaultAdmin = "127.0.0.1:8981"
)

// FrontOptions say how routes are reached.
type FrontOptions struct {
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
}

// NewFront returns the server of some routes: gRPC, Connect, gRPC-Web and JSON, over HTTP/2 and HTTP/1.1, on one port.
func NewFront(routes []rpc.Route, o FrontOptions) *listen.Server {
	mux := httprpc.NewMux(routes)
	config := listen.Config{HTTP: mux, TLS: o.TLS, Limits: o.Limits, Log: o.Log}
	if !o.Standard {
		config.HTTP2 = h2.NewServer(grpcserver.New(routes, mux), h2.Options{Limits: o.HTTP2, Log: o.Log})
	}
	return listen.New(config)
}

// NewAdminFront returns the server of a handler for operators, on net/http.
func NewAdminFront(handler http.Handler, log *slog.Logger) *listen.Server {
	return listen.New(listen.Config{HTTP: handler, Log: log})
}
