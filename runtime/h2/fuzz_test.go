package h2_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/prismgate/prism/internal/testpeer"
	"github.com/prismgate/prism/runtime/h2"
	"github.com/prismgate/prism/runtime/h2/frame"
)

// recorder writes conversations for seeds.
type recorder struct {
	bytes.Buffer
	block   bytes.Buffer
	encoder *hpack.Encoder
}

func conversation(settings ...frame.Setting) *recorder {
	r := new(recorder)
	r.encoder = hpack.NewEncoder(&r.block)
	r.Write(frame.AppendSettings(nil, settings...))
	return r
}

func (r *recorder) headers(id uint32, flags frame.Flags, fields ...string) *recorder {
	r.block.Reset()
	for i := 0; i+1 < len(fields); i += 2 {
		_ = r.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return r.add(frame.AppendHeaders(nil, id, flags, r.block.Bytes(), 50))
}

func (r *recorder) data(id uint32, flags frame.Flags, n int) *recorder {
	return r.add(frame.AppendData(nil, id, flags, make([]byte, n)))
}

func (r *recorder) add(b []byte) *recorder {
	r.Write(b)
	return r
}

// conversations are what a client may send after its preface.
func conversations() (all [][]byte) {
	get := func(path string, more ...string) []string { return fields("GET", path, more...) }
	add := func(r *recorder) { all = append(all, r.Bytes()) }
	add(conversation())
	for _, path := range []string{"/quick", "/bare", "/echo", "/header", "/whole", "/wait", "/large?100000", "/panic", "/abort", "/http", "/http/flush", "/http/read", "/http/trailers", "/http/1xx"} {
		add(conversation().headers(1, frame.EndStream, get(path)...))
		add(conversation().headers(1, 0, post(path)...).data(1, 0, 100).data(1, frame.EndStream, 5))
		add(conversation().headers(1, 0, post(path, "content-length", "10", "trailer", "x-t")...).data(1, 0, 10).headers(1, frame.EndStream, "x-t", "1"))
		add(conversation().headers(1, 0, post(path)...).data(1, 0, 10).add(frame.AppendRSTStream(nil, 1, frame.Cancel)).headers(3, frame.EndStream, get("/quick")...))
		add(conversation(frame.Setting{ID: frame.InitialWindowSize, Value: 3}).headers(1, frame.EndStream, get(path)...).add(frame.AppendWindowUpdate(nil, 1, 9)).add(frame.AppendWindowUpdate(nil, 0, 1)))
	}
	many := conversation(frame.Setting{ID: frame.HeaderTableSize, Value: 0}, frame.Setting{ID: frame.InitialWindowSize, Value: 10})
	for id := uint32(1); id < 30; id += 2 {
		many.headers(id, 0, post([]string{"/echo", "/large?50", "/wait"}[id%3])...).data(id, 0, int(id))
	}
	for id := uint32(1); id < 30; id += 2 {
		many.add(frame.AppendWindowUpdate(nil, id, id)).add(frame.AppendSettings(nil, frame.Setting{ID: frame.InitialWindowSize, Value: id}))
	}
	add(many.add(frame.AppendGoAway(nil, 0, frame.NoError, "")).add(frame.AppendPing(nil, false, [8]byte{})).add(frame.AppendPing(nil, true, [8]byte{'d', 'r', 'a', 'i', 'n', 'i', 'n', 'g'})))
	for _, one := range floods(1, 3) {
		add(conversation().headers(1, 0, post("/echo")...).headers(3, frame.EndStream, get("/quick")...).add(bytes.Repeat(one, 30)))
	}
	add(conversation().headers(1, 0, post("/echo", "x-large", strings.Repeat("l", 2000))...))
	add(conversation().add(frame.AppendHeaders(nil, 1, frame.EndStream, []byte{0x3f, 0xe2, 0x1f, 0x82, 0x84, 0x86}, 100)))
	return all
}

// fuzzHTTP is an http.Handler of some kinds.
func fuzzHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/http/flush":
		for range 3 {
			_, _ = io.WriteString(w, "some")
			w.(http.Flusher).Flush()
		}
	case "/http/read":
		_, _ = io.Copy(w, r.Body)
	case "/http/trailers":
		w.Header().Set("Trailer", "X-T")
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprint(w, r.Trailer)
		w.Header().Set("X-T", "1")
	case "/http/1xx":
		w.WriteHeader(http.StatusEarlyHints)
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Millisecond))
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNoContent)
	default:
		http.NotFound(w, r)
	}
}

// FuzzConversation lets a client say anything. Whatever it is, nothing panics, the connection ends when the client has gone, and then the server holds nothing: no
// memory, no goroutine. Each frame that it sends is well-formed.
func FuzzConversation(f *testing.F) {
	for _, seed := range conversations() {
		f.Add(seed, uint16(0), false)
		f.Add(seed, uint16(7), true)
	}
	f.Fuzz(func(t *testing.T, sent []byte, piece uint16, drain bool) {
		before := runtime.NumGoroutine()
		panics := new(atomic.Int64)
		handler := newPaths(http.HandlerFunc(fuzzHTTP))
		server := h2.NewServer(handler, h2.Options{
			Limits: h2.Limits{MaxStreams: 20, MaxHeaderBytes: 1000, FloodAllowance: 50, MemoryBytes: 1 << 20, BodyTimeout: time.Millisecond, StallTimeout: time.Millisecond},
			Log:    slog.New(panicCounter{slog.DiscardHandler, panics}),
		})
		near, far := net.Pipe()
		served := make(chan struct{})
		go func() {
			defer close(served)
			server.ServeConn(far, []byte(frame.Preface))
		}()
		read := make(chan error, 1)
		go func() { read <- readFrames(near) }()
		_ = near.SetWriteDeadline(time.Now().Add(patience))
		for rest, size := sent, max(int(piece), 1); len(rest) > 0; {
			n := len(rest)
			if piece > 0 {
				n = min(n, size)
			}
			if _, err := near.Write(rest[:n]); err != nil {
				if strings.Contains(err.Error(), "timeout") {
					t.Error("the server does not read")
				}
				break
			}
			rest = rest[n:]
		}
		if drain {
			go func() { _ = server.Shutdown(t.Context()) }()
			runtime.Gosched()
		}
		_ = near.Close()
		close(handler.release)
		select {
		case <-served:
		case <-time.After(patience):
			t.Fatal("the connection does not end")
		}
		if err := <-read; err != nil {
			t.Fatal(err)
		}
		if err := server.Close(); err != nil {
			t.Fatal(err)
		}
		if stats := server.Stats(); stats.Memory != 0 || stats.Streams != 0 || stats.Connections != 0 {
			t.Fatalf("the server still holds %+v", stats)
		}
		deadline := time.Now().Add(patience)
		for runtime.NumGoroutine() > before {
			if time.Now().After(deadline) {
				stacks := make([]byte, 1<<20)
				t.Fatalf("%d goroutines are left:\n%s", runtime.NumGoroutine()-before, stacks[:runtime.Stack(stacks, true)])
			}
			time.Sleep(50 * time.Microsecond)
		}
		if handler.panicked.Load() != panics.Load() {
			t.Fatalf("%d panics that were not meant", panics.Load()-handler.panicked.Load())
		}
	})
}

// readFrames reads what a server sends until the connection ends, and checks that it is HTTP/2.
func readFrames(conn net.Conn) error {
	var header [frame.HeaderSize]byte
	decoder := hpack.NewDecoder(4096, nil)
	ended := map[uint32]bool{}
	for {
		if n, _ := io.ReadFull(conn, header[:]); n < len(header) {
			return nil // between frames, or within one that was cut off by the end
		}
		h := frame.ParseHeader(header[:])
		payload := make([]byte, h.Length)
		if n, _ := io.ReadFull(conn, payload); n < len(payload) {
			return nil
		}
		got := testpeer.Frame{Header: h, Payload: payload}
		switch {
		case h.Length > frame.DefaultMaxSize, h.Type > frame.Continuation, h.Type == frame.Priority, h.Type == frame.PushPromise:
			return fmt.Errorf("the server sent %s", got)
		case (h.Type == frame.Data || h.Type == frame.Headers) && ended[h.StreamID]:
			return fmt.Errorf("the server sent %s after the end of the stream", got)
		case h.Type == frame.WindowUpdate && got.Increment() == 0:
			return fmt.Errorf("the server sent an update by nothing")
		}
		if h.Type == frame.Headers && h.Flags.Has(frame.EndHeaders) {
			if _, err := decoder.DecodeFull(payload); err != nil {
				return fmt.Errorf("the server sent a header block that does not decode: %w", err)
			}
		}
		if h.Type == frame.RSTStream || (h.Type == frame.Data || h.Type == frame.Headers) && h.Flags.Has(frame.EndStream) {
			ended[h.StreamID] = true
		}
	}
}
