// Package grpcserver speaks gRPC on the streams of an [h2.Server]: it binds the rpc tables, all four shapes of them, without net/http in between.
//
// It follows gRPC's PROTOCOL-HTTP2.md. What is not gRPC, by its content type, goes to an [http.Handler].
package grpcserver

import (
	"bytes"
	"encoding/binary"
	"net/http"
	"strings"
	"time"

	"github.com/prismgate/prism/runtime/compress"
	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/h2"
	"github.com/prismgate/prism/runtime/rpc"
)

// contentType is what each content type of gRPC begins with.
const contentType = "application/grpc"

// prefixSize is the size of what stands before a message: one byte of flags and the length.
const prefixSize = 5

// Handler serves streams. Make one with [New].
type Handler struct {
	// Refused is told of requests that are refused before they are calls, but for those that admit refuses; nil is told nothing. It is set before the first request.
	Refused rpc.Refused

	routes map[string]*route
	rest   h2.Plan
	admit  func(s *h2.Stream) error
}

// route is a method, and who serves it.
type route struct {
	of     *Handler
	method *rpc.Method
	serve  rpc.ServeFunc
	plan   h2.Plan

	failures failures
}

// New returns a handler that serves gRPC by routes, and gives every other request to rest. A call for which admit returns an error is refused with it; admit is called
// on the goroutine that reads the connection, and must not block. nil admits every call.
func New(routes []rpc.Route, rest http.Handler, admit func(s *h2.Stream) error) *Handler {
	h := &Handler{routes: make(map[string]*route, len(routes)), rest: h2.HTTP(rest), admit: admit}
	for _, r := range routes {
		bound := &route{of: h, method: r.Method, serve: r.Serve}
		switch r.Method.Shape {
		case rpc.ShapeUnary, rpc.ShapeServerStream:
			// A body of more than one message of the largest size overflows.
			bound.plan = h2.Plan{Serve: bound.run, Whole: prefixSize + r.Method.MessageLimit(), Enough: bound.tooLarge}
		case rpc.ShapeClientStream, rpc.ShapeBidi:
			bound.plan = h2.Plan{Serve: bound.run}
		}
		h.routes[r.Method.Procedure] = bound
	}
	return h
}

// tooLarge tells that a request will have a message that is too large, by its prefix.
func (r *route) tooLarge(body []byte) bool {
	return len(body) >= prefixSize && int64(binary.BigEndian.Uint32(body[1:])) > int64(r.method.MessageLimit())
}

// Plan serves a request by its route.
func (h *Handler) Plan(s *h2.Stream) h2.Plan {
	if !isGRPC(s.Header.Get("content-type")) {
		return h.rest
	}
	if h.admit != nil {
		if err := h.admit(s); err != nil {
			return h2.Plan{Serve: func(s *h2.Stream) { refuse(s, err) }}
		}
	}
	if s.Header.Method != http.MethodPost {
		return h2.Plan{Serve: h.refuseMethod}
	}
	r := h.routes[s.Header.Path]
	if r == nil {
		return h2.Plan{Serve: h.refuseProcedure}
	}
	if text := s.Header.Get("grpc-timeout"); text != "" {
		timeout, ok := parseTimeout(text)
		if !ok {
			return h2.Plan{Serve: h.refuseTimeout}
		}
		s.SetDeadline(time.Now().Add(timeout))
	}
	return r.plan
}

// isGRPC tells whether a content type is gRPC's: exactly that, or followed by an encoding or parameters.
func isGRPC(value string) bool {
	rest, ok := strings.CutPrefix(value, contentType)
	return ok && (rest == "" || rest[0] == '+' || rest[0] == ';')
}

// count tells of a request that is refused.
func (h *Handler) count(reason string) {
	if h.Refused != nil {
		h.Refused("grpc", reason)
	}
}

// refuseMethod answers a request that is no POST.
func (h *Handler) refuseMethod(s *h2.Stream) {
	h.count(rpc.RefusedMethod)
	block := h2.AppendField(h2.AppendStatus(nil, http.StatusMethodNotAllowed), "allow", http.MethodPost)
	_ = s.Respond(block, nil, nil) // a peer that is gone does not read it
}

// refuseProcedure answers a call of what nobody serves.
func (h *Handler) refuseProcedure(s *h2.Stream) {
	h.count(rpc.RefusedProcedure)
	refuse(s, rpc.UnknownProcedure(s.Header.Path))
}

// refuseTimeout answers a call whose deadline cannot be read.
func (h *Handler) refuseTimeout(s *h2.Stream) {
	h.count(rpc.RefusedMalformed)
	refuse(s, fault.New(fault.InvalidArgument, "grpc-timeout %q is none; it is one to eight digits and a unit of H, M, S, m, u, n", rpc.Clip(s.Header.Get("grpc-timeout"))))
}

// refuse ends a call that has no method to serve it.
func refuse(s *h2.Stream, err error) {
	encoding := encodingOf(s.Header.Get("content-type"))
	if encoding == nil {
		refuseType(s)
		return
	}
	// Clients hold the answer to the content type of the question.
	_ = s.Respond(appendFault(bytes.Clone(encoding.header), fault.Public(err)), nil, nil) // a peer that is gone does not read it
}

// responseHeader is the header block of a response.
func responseHeader(content string) []byte {
	return h2.AppendField(h2.AppendStatus(nil, http.StatusOK), "content-type", content)
}

// longest is the longest timeout that is kept to: later, no process runs.
const longest = 100 * 365 * 24 * time.Hour

// parseTimeout reads a timeout: one to eight digits and a unit.
func parseTimeout(text string) (time.Duration, bool) {
	const mostDigits = 8
	if len(text) < 2 || len(text) > mostDigits+1 {
		return 0, false
	}
	var count int64
	for _, digit := range []byte(text[:len(text)-1]) {
		if digit < '0' || digit > '9' {
			return 0, false
		}
		count = 10*count + int64(digit-'0')
	}
	var unit time.Duration
	switch text[len(text)-1] {
	case 'H':
		unit = time.Hour
	case 'M':
		unit = time.Minute
	case 'S':
		unit = time.Second
	case 'm':
		unit = time.Millisecond
	case 'u':
		unit = time.Microsecond
	case 'n':
		unit = time.Nanosecond
	default:
		return 0, false
	}
	if count > int64(longest/unit) {
		return longest, true
	}
	return time.Duration(count) * unit, true
}

// acceptEncoding is what a response says of the encodings that requests may have.
func acceptEncoding() string { return strings.Join(compress.Names(), ",") }
