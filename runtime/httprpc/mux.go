package httprpc

import (
	"fmt"
	"net/http"

	"connectrpc.com/connect"

	"github.com/prismgate/prism/runtime/rpc"
)

// NewMux serves routes over HTTP, each at its procedure.
func NewMux(routes []rpc.Route) http.Handler {
	handlers := make(map[string]http.Handler, len(routes))
	for _, route := range routes {
		handlers[route.Method.Procedure] = NewHandler(route.Method, route.Serve)
	}
	rest := unknownProcedure()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A map finds a procedure in one look; http.ServeMux would walk its tree.
		if handler := handlers[r.URL.Path]; handler != nil {
			handler.ServeHTTP(w, r)
			return
		}
		rest.ServeHTTP(w, r)
	})
}

// unknownProcedure answers UNIMPLEMENTED in the caller's protocol, with status 404 where the protocol has a status of its own, and 404 to whoever speaks none.
func unknownProcedure() http.Handler {
	writer := connect.NewErrorWriter()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := rpc.Clip(r.URL.Path)
		if r.Method == http.MethodPost && writer.IsSupported(r) {
			err := rpc.UnknownProcedure(r.URL.Path)
			_ = writer.Write(notFound{w}, r, toConnect(err)) // a peer that is gone does not read it
			return
		}
		http.Error(w, fmt.Sprintf("Prism: nothing at %s; procedures are called with POST /<service>/<method>", path), http.StatusNotFound)
	})
}

// notFound makes the status of an unimplemented procedure that of a path where nothing is.
type notFound struct{ http.ResponseWriter }

func (w notFound) WriteHeader(status int) {
	if status == http.StatusNotImplemented {
		status = http.StatusNotFound
	}
	w.ResponseWriter.WriteHeader(status)
}
