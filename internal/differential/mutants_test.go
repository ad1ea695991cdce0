package differential

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/h2/frame"
	"github.com/prismgate/prism/runtime/rpc"
)

// mutants are servers with one thing wrong, each of which a careless transport could have.
func mutants() []mutant {
	return []mutant{
		{name: "details are dropped", near: `/outcomes/.*details`, handler: responses(func(_ *http.Request, h http.Header) { drop(h, "Grpc-Status-Details-Bin") })},
		{name: "a trailer is dropped", near: `/outcomes/.*metadata`, handler: responses(func(_ *http.Request, h http.Header) { drop(h, "X-Trail") })},
		{name: "a header is dropped", near: `/response metadata/echo`, handler: responses(func(_ *http.Request, h http.Header) { h.Del("X-A") })},
		{name: "padding is added to -bin", near: `/half open/.*detail`, handler: responses(func(_ *http.Request, h http.Header) { pad(h) })},
		{name: "messages are not escaped", near: `/outcomes/.*words`, handler: responses(func(_ *http.Request, h http.Header) { unescape(h) })},
		{name: "the content type answers with grpc alone", handler: responses(func(_ *http.Request, h http.Header) {
			if strings.HasPrefix(h.Get("Content-Type"), "application/grpc+") {
				h.Set("Content-Type", "application/grpc")
			}
		})},
		{name: "415 is 400", handler: answersWith(http.StatusUnsupportedMediaType, http.StatusBadRequest)},
		{name: "404 is 200", handler: answersWith(http.StatusNotFound, http.StatusOK)},
		{name: "405 is 404", near: `/targets/`, handler: answersWith(http.StatusMethodNotAllowed, http.StatusNotFound)},
		{name: "answers lose a byte", handler: bodies(func(b []byte) []byte { return b[:max(0, len(b)-1)] })},
		{name: "answers of 16 KiB lose a byte", near: `/sizes/answer`, handler: bodies(func(b []byte) []byte {
			if len(b) >= frame.DefaultMaxSize {
				return b[:len(b)-1]
			}
			return b
		})},
		{name: "answers come twice", handler: bodies(func(b []byte) []byte { return append(bytes.Clone(b), b...) })},
		{name: "application/grpcx is grpc", handler: requests(func(r *http.Request) {
			if r.Header.Get("Content-Type") == "application/grpcx" {
				r.Header.Set("Content-Type", "application/grpc")
			}
		})},
		{name: "content types have parameters only with space", handler: requests(func(r *http.Request) {
			if r.Header.Get("Content-Type") == "application/grpc;charset=utf-8" {
				r.Header.Set("Content-Type", "application/grpcx")
			}
		})},
		{name: "only the first value counts", near: `/metadata/several`, handler: requests(func(r *http.Request) { editValues(r, "X-A", func(v []string) []string { return v[:1] }) })},
		{name: "values are joined", near: `/metadata/several`, handler: requests(func(r *http.Request) {
			editValues(r, "X-A", func(v []string) []string { return []string{strings.Join(v, ",")} })
		})},
		{name: "values are split", near: `/metadata/bin`, handler: requests(func(r *http.Request) {
			editValues(r, "X-Bin", func(v []string) []string { return strings.Split(strings.Join(v, ","), ",") })
		})},
		{name: "empty values are dropped", near: `/metadata/empty`, handler: requests(func(r *http.Request) {
			if r.Header.Get("X-A") == "" {
				r.Header.Del("X-A")
			}
		})},
		{name: "deadlines are ignored", near: `/deadlines/`, handler: requests(func(r *http.Request) { r.Header.Del("Grpc-Timeout") })},
		{name: "deadlines of minutes are of milliseconds", near: `/deadlines/`, handler: requests(func(r *http.Request) {
			editValues(r, "Grpc-Timeout", func(v []string) []string { return []string{strings.ReplaceAll(v[0], "M", "m")} })
		})},
		{name: "nine digits are a deadline", near: `/malformed deadlines/`, handler: requests(func(r *http.Request) {
			if r.Header.Get("Grpc-Timeout") == "123456789S" {
				r.Header.Set("Grpc-Timeout", "12345678S")
			}
		})},
		{name: "a negative deadline is one", near: `/malformed deadlines/`, handler: requests(func(r *http.Request) {
			editValues(r, "Grpc-Timeout", func(v []string) []string { return []string{strings.TrimPrefix(v[0], "-")} })
		})},
		{name: "the end of the call is not told to handlers", middleware: []rpc.Middleware{func(next rpc.ServeFunc) rpc.ServeFunc {
			return func(ctx context.Context, call *rpc.Call, stream rpc.Stream) error {
				bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
				defer cancel()
				c := &rpc.CallContext{Context: bounded, Call: *call}
				return next(c, &c.Call, stream)
			}
		}}},
		{name: "handlers have no deadline", near: `/deadlines/`, middleware: []rpc.Middleware{func(next rpc.ServeFunc) rpc.ServeFunc {
			return func(ctx context.Context, call *rpc.Call, stream rpc.Stream) error {
				return next(noDeadline{ctx}, call, stream)
			}
		}}},
		{name: "the limit is one more", method: func(m *rpc.Method) { m.MaxMessageBytes = m.MessageLimit() + 1 }},
		{name: "the limit is one less", method: func(m *rpc.Method) { m.MaxMessageBytes = m.MessageLimit() - 1 }},
		{name: "a unary method streams", method: func(m *rpc.Method) {
			if m.Name == "Unary" {
				m.Shape = rpc.ShapeBidi
			}
		}},
		{name: "requests that are cut off end well", middleware: onReceive(func(err error) error {
			if fault.CodeOf(err) == fault.InvalidArgument {
				return io.EOF
			}
			return err
		})},
		{name: "failures to receive are internal", middleware: onReceive(func(err error) error {
			if err != nil && !errors.Is(err, io.EOF) {
				return fault.New(fault.Internal, "failed")
			}
			return err
		})},
		{name: "handlers run twice", near: `/types/`, middleware: []rpc.Middleware{func(next rpc.ServeFunc) rpc.ServeFunc {
			return func(ctx context.Context, call *rpc.Call, stream rpc.Stream) error {
				if call.Method.Name == "Empty" {
					_ = next(ctx, call, nowhere{})
				}
				return next(ctx, call, stream)
			}
		}}},
		{name: "a code is another one", near: `/outcomes/`, middleware: onReturn(func(err error) error {
			var failure *fault.Error
			if errors.As(err, &failure) && failure.Code == fault.OutOfRange {
				return &fault.Error{Code: fault.InvalidArgument, Message: failure.Message}
			}
			return err
		})},
		{name: "the flag of compression is ignored", handler: requests(func(r *http.Request) { r.Header.Del("Grpc-Encoding") })},
		{name: "answers are never compressed", handler: requests(func(r *http.Request) { r.Header.Del("Grpc-Accept-Encoding") })},
		{name: "trailers of requests are refused", near: `/half open/.*trailers|/metadata/trailer`, handler: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if len(r.Trailer) > 0 {
					http.Error(w, "no trailers", http.StatusBadRequest)
					return
				}
				next.ServeHTTP(w, r)
			})
		}},
		{name: "the wrong length is not noticed", near: `/lengths/`, conn: inFrames(func(h *frame.Header, payload []byte) bool {
			return h.Type != frame.RSTStream || frameCode(payload) != frame.ProtocolError
		})},
		{name: "clients are not told to stop", near: `/half open/`, conn: inFrames(func(h *frame.Header, payload []byte) bool {
			return h.Type != frame.RSTStream || frameCode(payload) != frame.NoError
		})},
		{name: "resets have another code", near: `/header rules/`, conn: inFrames(func(h *frame.Header, payload []byte) bool {
			if h.Type == frame.RSTStream {
				payload[3] = byte(frame.Cancel)
			}
			return true
		})},
		{name: "streams never end", conn: inFrames(func(h *frame.Header, _ []byte) bool {
			if h.Type == frame.Data {
				h.Flags &^= frame.EndStream
			}
			return true
		})},
		{name: "windows are not given back", near: `/sizes/`, conn: inFrames(func(h *frame.Header, _ []byte) bool { return h.Type != frame.WindowUpdate || h.StreamID == 0 })},
		{name: "every error ends the connection", near: `/header rules/`, conn: inFrames(func(h *frame.Header, payload []byte) bool {
			if h.Type == frame.RSTStream && frameCode(payload) == frame.ProtocolError {
				h.Type, h.StreamID = frame.GoAway, 0
			}
			return true
		})},
	}
}

// TestMutantsDiffer proves that the comparison finds what it is made to find.
func TestMutantsDiffer(t *testing.T) {
	standard := startFront(t, "standard", true)
	// What our front serves with code of its own is gRPC: the calls of gRPC alone must find what is wrong there.
	calls := slices.DeleteFunc(chosen(t, systematic()), func(c call) bool { return !c.isGRPC() })
	r := new(reach)
	for _, m := range mutants() {
		t.Run(m.name, func(t *testing.T) {
			mutated := startHandler(t, m.name, m)
			near := regexp.MustCompile(m.near)
			calls := slices.Clone(calls)
			slices.SortStableFunc(calls, func(a, b call) int { // those that should find it come first
				return cmp.Compare(strconv.FormatBool(near.MatchString(b.name)), strconv.FormatBool(near.MatchString(a.name)))
			})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var killers atomic.Int64
			var first atomic.Pointer[string]
			failures := each(ctx, calls, func(ctx context.Context, c call) error {
				c.patience = short // some mutants never answer
				differences, err := r.compare(ctx, standard, mutated, c)
				if ctx.Err() != nil {
					return nil //nolint:nilerr // enough was seen
				}
				if err != nil || len(differences) == 0 {
					return err
				}
				text := report(c, differences).Error()
				first.CompareAndSwap(nil, &text)
				if killers.Add(1) >= enoughKillers {
					cancel()
				}
				return nil
			})
			if killers.Load() == 0 {
				fail(t, failures)
				t.Errorf("no call of %d tells it from the standard", len(calls))
				return
			}
			t.Logf("killed, among others by %s", *first.Load())
		})
	}
}

// enoughKillers ends the search for calls that tell a mutant from the standard.
const enoughKillers = 1

// editor is an answer whose header is changed when it is sent, and its trailer when the handler has returned.
type editor struct {
	http.ResponseWriter
	request *http.Request
	edit    func(*http.Request, http.Header)
	status  func(int) int
	body    func([]byte) []byte
}

func (e *editor) WriteHeader(code int) {
	e.edit(e.request, e.Header())
	e.ResponseWriter.WriteHeader(e.status(code))
}

func (e *editor) Write(b []byte) (int, error) {
	e.edit(e.request, e.Header())
	if e.body == nil {
		return e.ResponseWriter.Write(b)
	}
	e.Header().Del("Content-Length")
	_, err := e.ResponseWriter.Write(e.body(b))
	return len(b), err
}

func (e *editor) Unwrap() http.ResponseWriter { return e.ResponseWriter }

func (e *editor) Flush() { _ = http.NewResponseController(e.ResponseWriter).Flush() }

func edited(wrap func(w http.ResponseWriter, r *http.Request) *editor) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			e := wrap(w, r)
			if e.edit == nil {
				e.edit = func(*http.Request, http.Header) {}
			}
			if e.status == nil {
				e.status = func(code int) int { return code }
			}
			next.ServeHTTP(e, r)
			e.edit(r, w.Header())
		})
	}
}

func responses(edit func(*http.Request, http.Header)) func(http.Handler) http.Handler {
	return edited(func(w http.ResponseWriter, r *http.Request) *editor {
		return &editor{ResponseWriter: w, request: r, edit: edit}
	})
}

func answersWith(from, to int) func(http.Handler) http.Handler {
	return edited(func(w http.ResponseWriter, r *http.Request) *editor {
		return &editor{ResponseWriter: w, request: r, status: func(code int) int {
			if code == from {
				return to
			}
			return code
		}}
	})
}

func bodies(change func([]byte) []byte) func(http.Handler) http.Handler {
	return edited(func(w http.ResponseWriter, r *http.Request) *editor {
		return &editor{ResponseWriter: w, request: r, body: change}
	})
}

func requests(change func(*http.Request)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			change(r)
			next.ServeHTTP(w, r)
		})
	}
}

func drop(h http.Header, name string) {
	for key := range h {
		if strings.EqualFold(strings.TrimPrefix(key, http.TrailerPrefix), name) {
			delete(h, key)
		}
	}
}

func pad(h http.Header) {
	for key, values := range h {
		if strings.HasSuffix(key, "-Bin") {
			for i, v := range values {
				values[i] = v + strings.Repeat("=", (4-len(v)%4)%4)
			}
		}
	}
}

func unescape(h http.Header) {
	for key, values := range h {
		if strings.HasSuffix(key, "Grpc-Message") {
			for i, v := range values {
				values[i] = strings.ReplaceAll(v, "%20", " ")
				values[i] = strings.ReplaceAll(values[i], "%25", "%")
			}
		}
	}
}

func editValues(r *http.Request, name string, edit func([]string) []string) {
	if values := r.Header[name]; len(values) > 0 {
		r.Header[name] = edit(values)
	}
}

// noDeadline is a context that does not tell its deadline.
type noDeadline struct{ context.Context }

func (noDeadline) Deadline() (time.Time, bool) { return time.Time{}, false }

// nowhere is a stream of nothing.
type nowhere struct{}

func (nowhere) Receive(proto.Message) error { return io.EOF }
func (nowhere) Send(proto.Message) error    { return nil }

// receiving is a stream whose failures to receive are changed.
type receiving struct {
	rpc.Stream
	change func(error) error
}

func (r receiving) Receive(m proto.Message) error { return r.change(r.Stream.Receive(m)) }

func onReceive(change func(error) error) []rpc.Middleware {
	return []rpc.Middleware{func(next rpc.ServeFunc) rpc.ServeFunc {
		return func(ctx context.Context, call *rpc.Call, stream rpc.Stream) error {
			return next(ctx, call, receiving{stream, change})
		}
	}}
}

func onReturn(change func(error) error) []rpc.Middleware {
	return []rpc.Middleware{func(next rpc.ServeFunc) rpc.ServeFunc {
		return func(ctx context.Context, call *rpc.Call, stream rpc.Stream) error {
			return change(next(ctx, call, stream))
		}
	}}
}

// framed is a connection whose frames are changed, or dropped, on their way to the client.
type framed struct {
	net.Conn
	edit func(*frame.Header, []byte) bool

	mu      sync.Mutex
	pending []byte
}

func inFrames(edit func(*frame.Header, []byte) bool) func(net.Conn) net.Conn {
	return func(conn net.Conn) net.Conn { return &framed{Conn: conn, edit: edit} }
}

func (f *framed) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pending = append(f.pending, b...)
	var out []byte
	for len(f.pending) >= frame.HeaderSize {
		h := frame.ParseHeader(f.pending)
		end := frame.HeaderSize + int(h.Length)
		if len(f.pending) < end {
			break
		}
		payload := bytes.Clone(f.pending[frame.HeaderSize:end])
		f.pending = f.pending[end:]
		if !f.edit(&h, payload) {
			continue
		}
		if h.Type == frame.GoAway && len(payload) < 8 { // it was a RST_STREAM
			payload = append(make([]byte, 4), payload...)
			h.Length = uint32(len(payload))
		}
		out = append(frame.AppendHeader(out, h), payload...)
	}
	_, err := f.Conn.Write(out)
	return len(b), err
}

func frameCode(payload []byte) frame.ErrorCode { return frame.ErrorCode(payload[3]) }
