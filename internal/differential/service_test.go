package differential

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"
)

const (
	service = "test.differential.v1.Test"
	// limit bounds the messages of most methods: more than a flow-control window, and than six frames.
	limit = 100_000
	// idHeader names the call, so that what its handler saw is found again.
	idHeader = "x-call"
	// doHeader says what the handler does, see [script].
	doHeader = "x-do"
	// ownWords marks what handlers say. Other messages are a transport's, which may use words of its own.
	ownWords = "scripted"
)

// methods are the methods of the test service.
func methods() []*rpc.Method {
	value := func() proto.Message { return new(wrapperspb.BytesValue) }
	method := func(name string, shape rpc.Shape, message func() proto.Message) *rpc.Method {
		return &rpc.Method{
			Procedure: "/" + service + "/" + name, Service: service, Name: name, Shape: shape,
			MaxMessageBytes: limit, NewRequest: message, NewResponse: message,
		}
	}
	get := method("Get", rpc.ShapeUnary, value)
	get.Idempotency = rpc.NoSideEffects
	large := method("Large", rpc.ShapeUnary, value)
	large.MaxMessageBytes = 0
	return []*rpc.Method{
		method("Unary", rpc.ShapeUnary, value),
		method("ServerStream", rpc.ShapeServerStream, value),
		method("ClientStream", rpc.ShapeClientStream, value),
		method("Bidi", rpc.ShapeBidi, value),
		method("Struct", rpc.ShapeUnary, func() proto.Message { return new(structpb.Struct) }),
		method("Empty", rpc.ShapeUnary, func() proto.Message { return new(emptypb.Empty) }),
		get, large,
	}
}

// record is what the handler of one call saw.
type record struct {
	begun, finished int
	method          string
	protocol        string
	deadline        string
	header          []string
	received        []string
	receiveError    string
	sent            int
	sendError       string
	// ended is the context's error when the handler returned.
	ended    string
	returned string
}

// recorder keeps the records of a server.
type recorder struct {
	mu      sync.Mutex
	changed chan struct{}
	records map[string]*record
}

func newRecorder() *recorder {
	return &recorder{changed: make(chan struct{}), records: map[string]*record{}}
}

func (r *recorder) update(id string, change func(*record)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.records[id] == nil {
		r.records[id] = new(record)
	}
	change(r.records[id])
	close(r.changed)
	r.changed = make(chan struct{})
}

// wait waits until a record is so, and tells whether it is. The record may be nil.
func (r *recorder) wait(ctx context.Context, id string, so func(*record) bool) bool {
	for {
		r.mu.Lock()
		ok, changed := so(r.records[id]), r.changed
		r.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

func (r *recorder) take(id string) record {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.records[id]
	delete(r.records, id)
	if taken == nil {
		return record{}
	}
	return *taken
}

// routes are the test service, with what its handlers see recorded.
func routes(records *recorder, around ...rpc.Middleware) []rpc.Route {
	var all []rpc.Route
	for _, m := range methods() {
		all = append(all, rpc.Route{Method: m, Serve: rpc.Chain(records.serve, around...)})
	}
	return all
}

// serve serves a call of any method as the call itself says, and writes down what it sees.
func (r *recorder) serve(ctx context.Context, call *rpc.Call, stream rpc.Stream) error {
	id := call.Header.Get(idHeader)
	deadline := "none"
	if at, ok := ctx.Deadline(); ok {
		deadline = time.Until(at).String()
	}
	var header []string
	for name, value := range call.Header.All() {
		if name != idHeader {
			header = append(header, name+": "+value)
		}
	}
	slices.SortStableFunc(header, func(a, b string) int { // the values of one name keep their order
		nameA, _, _ := strings.Cut(a, ":")
		nameB, _, _ := strings.Cut(b, ":")
		return strings.Compare(nameA, nameB)
	})
	r.update(id, func(seen *record) {
		seen.begun++
		seen.method, seen.protocol, seen.deadline, seen.header = call.Method.Name, call.Peer.Protocol, deadline, header
	})
	h := &handler{ctx: ctx, call: call, stream: stream, records: r, id: id}
	err := h.run(script(call))
	r.update(id, func(seen *record) {
		seen.finished++
		seen.returned = describe(err)
		if ended := ctx.Err(); ended != nil {
			seen.ended = ended.Error()
		}
	})
	return err
}

// script is what the call asks its handler to do: steps with semicolons between them, and arguments after colons, escaped as in a query.
func script(call *rpc.Call) []string {
	if do := call.Header.Get(doHeader); do != "" {
		return strings.Split(do, ";")
	}
	switch call.Method.Shape {
	case rpc.ShapeServerStream:
		return []string{"recv", "echo", "echo", "echo"}
	case rpc.ShapeClientStream:
		return []string{"recvall", "sum"}
	case rpc.ShapeBidi:
		return []string{"echoall"}
	case rpc.ShapeUnary:
	}
	return []string{"recv", "echo"}
}

// handler serves one call.
type handler struct {
	ctx     context.Context
	call    *rpc.Call
	stream  rpc.Stream
	records *recorder
	id      string

	last  proto.Message
	count int
	bytes int
}

var errEnough = errors.New("the script ends here")

func (h *handler) run(steps []string) error {
	for _, step := range steps {
		parts := strings.Split(step, ":")
		for i := range parts {
			parts[i], _ = url.QueryUnescape(parts[i])
		}
		parts = append(parts, "", "", "")
		if err := h.step(parts[0], parts[1:]); err != nil {
			if errors.Is(err, errEnough) {
				return nil
			}
			return err
		}
	}
	return nil
}

//nolint:cyclop // a table
func (h *handler) step(name string, args []string) error {
	number := func(i int) int { n, _ := strconv.Atoi(args[i]); return n }
	switch name {
	case "recv":
		return h.receive()
	case "recvall":
		return untilEOF(h.receive)
	case "echoall":
		return untilEOF(func() error {
			if err := h.receive(); err != nil {
				return err
			}
			return h.send(h.last)
		})
	case "echo":
		return h.send(h.last)
	case "sum":
		return h.send(wrapperspb.Bytes(fmt.Appendf(nil, "%d messages with %d bytes", h.count, h.bytes)))
	case "send": // size, times
		for range max(1, number(1)) {
			if err := h.send(wrapperspb.Bytes(pattern(number(0)))); err != nil {
				return err
			}
		}
	case "hdr":
		h.call.Response.SetHeader(args[0], args[1])
	case "trl":
		h.call.Response.SetTrailer(args[0], args[1])
	case "fail": // code, message, with details
		failure := fault.New(fault.Code(number(0)), "%s", ownWords+" "+args[1])
		if args[2] != "" {
			failure = failure.WithReason("SCRIPTED", "key", args[2]).WithRetry(1500 * time.Millisecond)
			failure.Details = append(failure.Details, &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "f", Description: args[2]}}})
		}
		return failure
	case "mute": // a failure without words
		return &fault.Error{Code: fault.Code(number(0))}
	case "err":
		return errors.New("a defect")
	case "ctxerr":
		if args[0] == "deadline" {
			return fmt.Errorf("wrapped: %w", context.DeadlineExceeded)
		}
		return fmt.Errorf("wrapped: %w", context.Canceled)
	case "wait":
		<-h.ctx.Done()
		return h.ctx.Err()
	case "done":
		return errEnough
	}
	return nil
}

func untilEOF(do func() error) error {
	for {
		if err := do(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func (h *handler) receive() error {
	message := h.call.Method.NewRequest()
	err := h.stream.Receive(message)
	encoded, _ := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	h.records.update(h.id, func(seen *record) {
		if err != nil {
			seen.receiveError = describe(err)
			return
		}
		seen.received = append(seen.received, digest(encoded))
	})
	if err != nil {
		return err
	}
	h.last = message
	h.count++
	h.bytes += len(encoded)
	return nil
}

func (h *handler) send(message proto.Message) error {
	err := h.stream.Send(message)
	h.records.update(h.id, func(seen *record) {
		if err != nil {
			seen.sendError = describe(err)
			return
		}
		seen.sent++
	})
	return err
}

// describe is an error as it is compared: by its code, and by its words when a handler chose them.
func describe(err error) string {
	switch {
	case err == nil:
		return "nothing"
	case errors.Is(err, io.EOF):
		return "EOF"
	}
	public := fault.Public(err)
	if strings.Contains(public.Message, ownWords) {
		return public.Code.String() + ": " + public.Message
	}
	return public.Code.String()
}

// pattern is n bytes that are not all the same.
func pattern(n int) []byte {
	return bytes.Repeat([]byte("abcdefghijklmnopqrstuvwxyz0123456789-"), n/37+1)[:n]
}

// digest is a message as it is compared and printed.
func digest(b []byte) string {
	const shown = 24
	if len(b) <= shown {
		return fmt.Sprintf("%q", b)
	}
	return fmt.Sprintf("%q... (%d bytes, %x)", b[:shown], len(b), sha256.Sum256(b))[:100]
}
