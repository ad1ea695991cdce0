package httprpc

import (
	"fmt"
	"net/http"

	"connectrpc.com/connect"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"
)

// Mux serves routes over HTTP, each at its procedure. Make one with [NewMux].
type Mux struct {
	// Refused is told of requests that are refused before they are calls; nil is told nothing. It is set before the first request.
	Refused rpc.Refused

	handlers map[string]*front
	writer   *connect.ErrorWriter
}

// NewMux returns the handler of some routes.
func NewMux(routes []rpc.Route) *Mux {
	m := &Mux{handlers: make(map[string]*front, len(routes)), writer: connect.NewErrorWriter()}
	for _, route := range routes {
		handler := newFront(route.Method, route.Serve)
		handler.refused = m.refused
		m.handlers[route.Method.Procedure] = handler
	}
	return m
}

// ServeHTTP serves a request. A map finds its procedure in one look; http.ServeMux would walk its tree.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if handler := m.handlers[r.URL.Path]; handler != nil {
		handler.ServeHTTP(w, r)
		return
	}
	m.unknownProcedure(w, r)
}

func (m *Mux) refused(r *http.Request, reason string) {
	if m.Refused != nil {
		m.Refused(protocolOf(r), reason)
	}
}

// unknownProcedure answers UNIMPLEMENTED in the caller's protocol, with status 404 where the protocol has a status of its own, and 404 to whoever speaks none.
func (m *Mux) unknownProcedure(w http.ResponseWriter, r *http.Request) {
	m.refused(r, rpc.RefusedProcedure)
	if r.Method == http.MethodPost && m.writer.IsSupported(r) {
		err := rpc.UnknownProcedure(r.URL.Path)
		_ = m.writer.Write(notFound{w}, r, toConnect(err)) // a peer that is gone does not read it
		return
	}
	http.Error(w, fmt.Sprintf("Prism: nothing at %s; procedures are called with POST /<service>/<method>", rpc.Clip(r.URL.Path)), http.StatusNotFound)
}

// protocolOf is what a request speaks by its content type, or "http" when that is none of ours.
func protocolOf(r *http.Request) string {
	if wire, _ := wireOf(r.Header.Get("Content-Type"), rpc.ShapeUnary); wire.protocol != "" {
		return wire.protocol
	}
	return "http"
}

// Forbid answers a request that is not to be served with an error, in the protocol that the request speaks, and with status 403 where that has a status of its own.
func Forbid(w http.ResponseWriter, r *http.Request, err *fault.Error) {
	w.Header().Set("Cache-Control", "no-store")
	writer := connect.NewErrorWriter()
	if !writer.IsSupported(r) {
		http.Error(w, err.Message, http.StatusForbidden)
		return
	}
	_ = writer.Write(w, r, toConnect(err)) // a peer that is gone does not read it
}

// notFound makes the status of an unimplemented procedure that of a path where nothing is.
type notFound struct{ http.ResponseWriter }

func (w notFound) WriteHeader(status int) {
	if status == http.StatusNotImplemented {
		status = http.StatusNotFound
	}
	w.ResponseWriter.WriteHeader(status)
}
