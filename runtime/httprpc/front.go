package httprpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"
)

const (
	// prefixSize is the size of what stands before a message in gRPC, gRPC-Web and Connect's streams: one byte of flags and the length.
	prefixSize = 5
	// bodyTimeout bounds how long a request with one message may take to arrive when the call has no deadline: 4 MiB at 70 KB/s.
	bodyTimeout = 60 * time.Second
)

// front stands before connect-go's handler of a method. It refuses what is no call of the method, with a sentence, and takes in the message of a call that has one
// before the call begins: connect-go would do so anyway, but without a bound on the time, and its refusals would neither be counted nor say what to do.
type front struct {
	binding *binding
	next    http.Handler
	writer  *connect.ErrorWriter
	// refused is told of requests that are refused before they are calls.
	refused func(r *http.Request, reason string)
	// intakes holds *intake for reuse.
	intakes sync.Pool
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m := f.binding.method
	if r.Method == http.MethodGet && m.Shape == rpc.ShapeUnary && m.Idempotency == rpc.NoSideEffects {
		// The answer depends on the namespace, and later on who asks: no cache may give it to anybody else.
		w.Header().Add("Vary", rpc.NamespaceHeader)
		w.Header().Set("Cache-Control", "no-store")
		f.pass(w, r)
		return
	}
	if r.Method != http.MethodPost {
		f.refused(r, rpc.RefusedMethod)
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, fmt.Sprintf("%s is called with POST", m.Procedure), http.StatusMethodNotAllowed)
		return
	}
	wire, ok := wireOf(r.Header.Get("Content-Type"), m.Shape)
	if !ok {
		f.refused(r, rpc.RefusedType)
		http.Error(w, fmt.Sprintf("the content type %q is none that %s takes; it takes %s", rpc.Clip(r.Header.Get("Content-Type")), m.Procedure, contentTypes(m.Shape)),
			http.StatusUnsupportedMediaType)
		return
	}
	switch m.Shape {
	case rpc.ShapeBidi:
		f.pass(w, inBothDirections(w, r))
		return
	case rpc.ShapeClientStream:
		f.pass(w, r)
		return
	case rpc.ShapeUnary, rpc.ShapeServerStream:
	}
	in, ok := f.intakes.Get().(*intake)
	if !ok {
		in = newIntake()
	}
	defer func() {
		if in.reset() {
			f.intakes.Put(in)
		}
	}()
	if refusal := f.take(in, wire, w, r); refusal != nil {
		f.refuse(w, r, wire, refusal)
		return
	}
	if m.Shape == rpc.ShapeUnary {
		if call, ok := plainCallOf(r); ok {
			f.plain(w, r, call, in)
			return
		}
	}
	r.Body = in
	r.ContentLength = int64(in.message.Len())
	f.pass(w, r)
}

type begunKey struct{}

// pass gives a request to connect-go. When no call has come of it, connect-go has refused it: a timeout that is none, a compression that it does not know, a body that
// has no message.
func (f *front) pass(w http.ResponseWriter, r *http.Request) {
	begun := false
	f.next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), begunKey{}, &begun)))
	if !begun {
		f.refused(r, rpc.RefusedMalformed)
	}
}

// inBothDirections lets connect-go serve a stream each way over HTTP/1.1, which it refuses. What the protocol lacks there is multiplexing and not a direction: a client
// that sends its requests before it reads, as most do, never notices, and net/http can do both at once for one that does.
//
// The connection is not used again: when a handler has returned before the request has ended, net/http panics over the next request ("invalid concurrent Body.Read call").
func inBothDirections(w http.ResponseWriter, r *http.Request) *http.Request {
	if r.ProtoMajor >= 2 {
		return r
	}
	_ = http.NewResponseController(w).EnableFullDuplex() // a writer that cannot serves those that send first
	w.Header().Set("Connection", "close")
	copied := *r
	copied.ProtoMajor, copied.ProtoMinor = 2, 0
	copied.Body = leftOpen{r.Body}
	return &copied
}

// leftOpen is a body that net/http closes. connect-go closes it before its answer is out, and over HTTP/1.1 that waits for the rest of the request.
type leftOpen struct{ io.Reader }

func (leftOpen) Close() error { return nil }

// take reads the request's body, as far as its message may be large and as long as the call may take. A body that is too short is left to connect-go.
func (f *front) take(in *intake, wire wire, w http.ResponseWriter, r *http.Request) error {
	limit := int64(f.binding.method.MessageLimit())
	size, inTime, err := in.take(w, r, wire, limit)
	switch {
	case !inTime:
		return fault.Wrap(err, fault.DeadlineExceeded, "", "the request did not arrive in time")
	case err != nil && !errors.Is(err, io.EOF):
		return fault.Wrap(err, fault.Canceled, "", "the request was broken off")
	case size > limit:
		return rpc.MessageTooLarge(f.binding.method, size)
	}
	return nil
}

// refuse runs the pipeline with a call whose message is not to be had, so that the call is counted, and that what the pipeline refuses first is refused first.
func (f *front) refuse(w http.ResponseWriter, r *http.Request, wire wire, refusal error) {
	x := new(exchange)
	x.Context = r.Context()
	x.Call = rpc.Call{
		Method:   f.binding.method,
		Peer:     rpc.Peer{Address: r.RemoteAddr, Protocol: wire.protocol},
		Header:   requestHeader(r.Header),
		Response: x,
	}
	if err := f.binding.serve(&x.CallContext, &x.Call, refusedStream{refusal}); err != nil {
		_ = f.writer.Write(w, r, toConnect(err, x.header, x.trailer)) // a peer that is gone does not read it
	}
}

// refusedStream is the stream of a call whose message is not read.
type refusedStream struct{ refusal error }

func (s refusedStream) Receive(proto.Message) error { return s.refusal }
func (s refusedStream) Send(proto.Message) error    { return context.Canceled }

// wire is how a content type puts messages on the wire.
type wire struct {
	protocol string
	// enveloped tells that a prefix stands before each message.
	enveloped bool
}

// wireOf tells whether a method of a shape takes a content type, and how messages lie in it.
func wireOf(contentType string, shape rpc.Shape) (wire, bool) {
	media, _, _ := strings.Cut(contentType, ";")
	media = strings.TrimSpace(media)
	switch media {
	case "application/grpc", "application/grpc+proto", "application/grpc+json":
		return wire{connect.ProtocolGRPC, true}, true
	case "application/grpc-web", "application/grpc-web+proto", "application/grpc-web+json":
		return wire{connect.ProtocolGRPCWeb, true}, true
	case "application/proto", "application/json":
		return wire{connect.ProtocolConnect, false}, shape == rpc.ShapeUnary
	case "application/connect+proto", "application/connect+json":
		return wire{connect.ProtocolConnect, true}, shape != rpc.ShapeUnary
	}
	return wire{}, false
}

func contentTypes(shape rpc.Shape) string {
	if shape == rpc.ShapeUnary {
		return "application/json, application/proto, application/grpc and application/grpc-web"
	}
	return "application/connect+json, application/connect+proto, application/grpc and application/grpc-web"
}
