package httprpc

import (
	"fmt"
	"net/http"

	"connectrpc.com/connect"
	"connectrpc.com/grpcreflect"

	"github.com/prismgate/prism/runtime/fault"
)

// reflectionLimit bounds a request of the reflection protocol, which holds a name.
const reflectionLimit = 64 << 10

// NewReflection serves gRPC's reflection protocol, v1 and v1alpha, for the named services, whose descriptors are linked into the program.
func NewReflection(services ...string) http.Handler {
	reflector := grpcreflect.NewStaticReflector(services...)
	limit := connect.WithReadMaxBytes(reflectionLimit)
	mux := http.NewServeMux()
	mux.Handle(grpcreflect.NewHandlerV1(reflector, limit))
	mux.Handle(grpcreflect.NewHandlerV1Alpha(reflector, limit))
	mux.Handle("/", unknownProcedure())
	return mux
}

// unknownProcedure answers UNIMPLEMENTED in the caller's protocol, and 404 to whoever speaks none.
func unknownProcedure() http.Handler {
	writer := connect.NewErrorWriter()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := clip(r.URL.Path)
		if r.Method == http.MethodPost && writer.IsSupported(r) {
			err := fault.New(fault.Unimplemented, "unknown procedure %q; `prism registry interfaces list` names the interfaces, and a procedure is /<service>/<method>", path)
			_ = writer.Write(w, r, toConnect(err)) // a peer that is gone does not read it
			return
		}
		http.Error(w, fmt.Sprintf("Prism: nothing at %s; procedures are called with POST /<service>/<method>", path), http.StatusNotFound)
	})
}
