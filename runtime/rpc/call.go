// Package rpc is the transport-neutral shape of a call: what the schema says about a method, what a handler of it is, how a client reaches it, and
// what a handler may know of the call it serves.
//
// Generated tables ([Method], [Handler]) feed every transport; transports implement [Stream] and [Conn]. Nothing here knows HTTP, gRPC or Connect.
package rpc

import (
	"context"
	"iter"
	"time"
)

// NamespaceHeader is the request header that names the namespace of a call.
const NamespaceHeader = "prism-namespace"

// Call is what a handler may know of the call that it serves. A handler that wants it asks [CallFrom]; the contracts do not carry it.
type Call struct {
	// Method is the method that was called; nil outside a call.
	Method *Method
	// Peer is who called.
	Peer Peer
	// Namespace is the namespace that the call addresses. The gateway sets it once it knows that it exists; before, and for methods that belong to none, it is
	// empty.
	Namespace string
	// Start is when the gateway began to serve the call; zero outside of a gateway.
	Start time.Time
	// RequestID is what the call is called in logs, traces and answers; empty as long as nobody needed it, see [Call.ID].
	RequestID string
	// MaxMessageBytes bounds each request message of this call, where that is less than the method's limit. 0 adds no bound. Transports obey it in Receive.
	MaxMessageBytes int
	// Explain says what serves the call, for callers who may ask: the chain of patterns, the backend instances. The gateway sets it with Namespace.
	Explain string
	// Header is the request's header; never nil.
	Header Header
	// Response takes the response's header and trailer; never nil.
	Response ResponseWriter
}

// ID returns the call's RequestID, which is made when nobody has given one.
func (c *Call) ID() string {
	if c.RequestID == "" {
		c.RequestID = newRequestID()
	}
	return c.RequestID
}

// MessageLimit returns the bound on each request message of the call in bytes: the method's, or MaxMessageBytes where that is less.
func (c *Call) MessageLimit() int {
	limit := c.Method.MessageLimit()
	if c.MaxMessageBytes > 0 {
		limit = min(limit, c.MaxMessageBytes)
	}
	return limit
}

// Peer is the other end of a call.
type Peer struct {
	// Address is the network address of the peer, or "" in process.
	Address string
	// Protocol is what the peer speaks: "grpc", "grpcweb", "connect", or "" in process.
	Protocol string
}

// Header is a request's header, read only. Names are compared without case. Values of names that end in "-bin" are as they came, base64.
type Header interface {
	// Get returns the first value of a name, or "".
	Get(name string) string
	// Values returns all values of a name, in the order they came. The slice must not be changed.
	Values(name string) []string
	// All yields every name, in lower case, with each of its values.
	All() iter.Seq2[string, string]
}

// ResponseWriter takes what goes before and after the messages of a response. It may be used by one goroutine at a time, and the header has no effect after
// the first message was sent.
type ResponseWriter interface {
	// SetHeader sets a field of the response's header, in the place of what it had.
	SetHeader(name, value string)
	// AddHeader adds a value to a field of the response's header; a name may have several, and they keep their order.
	AddHeader(name, value string)
	// SetTrailer sets a field of the response's trailer, in the place of what it had.
	SetTrailer(name, value string)
	// AddTrailer adds a value to a field of the response's trailer.
	AddTrailer(name, value string)
}

type callKey struct{}

// CallContext is the context of one call: its parent, and the call for [CallFrom]. A transport makes one per call, as part of what it keeps of the call anyway, and
// passes on its address.
type CallContext struct {
	context.Context //nolint:containedctx // it is one
	Call            Call
}

// Value returns the parent's value of a key.
func (c *CallContext) Value(key any) any {
	if _, ok := key.(callKey); ok {
		return &c.Call
	}
	return c.Context.Value(key)
}

// CallFrom returns the call that a context belongs to. Outside of one it returns a call with an empty header whose response goes nowhere, so that a
// handler works the same in process.
func CallFrom(ctx context.Context) *Call {
	if call, ok := ctx.Value(callKey{}).(*Call); ok {
		return call
	}
	return &Call{Header: noHeader{}, Response: noResponse{}}
}

// AfterFunc runs f on a goroutine of its own when the parent ends, unless the function that it returns is called before. Package context looks for it: a context that
// is made from this one, as drivers make for each query, would cost a goroutine without it.
func (c *CallContext) AfterFunc(f func()) (stop func() bool) { return context.AfterFunc(c.Context, f) }

type noHeader struct{}

func (noHeader) Get(string) string              { return "" }
func (noHeader) Values(string) []string         { return nil }
func (noHeader) All() iter.Seq2[string, string] { return func(func(string, string) bool) {} }

type noResponse struct{}

func (noResponse) SetHeader(string, string)  {}
func (noResponse) AddHeader(string, string)  {}
func (noResponse) SetTrailer(string, string) {}
func (noResponse) AddTrailer(string, string) {}
