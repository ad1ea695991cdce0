package grpcserver_test

import (
	"encoding/binary"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/prismgate/prism/internal/testpeer"
	"github.com/prismgate/prism/runtime/compress"
	"github.com/prismgate/prism/runtime/grpcserver"
	"github.com/prismgate/prism/runtime/h2"
	"github.com/prismgate/prism/runtime/h2/frame"
)

// FuzzCall sends one call of any method with any fields and any body, in pieces. It is always answered: with a status of HTTP, and when that is 200 with one of gRPC, or
// with the other handler's words; and nothing is left.
func FuzzCall(f *testing.F) {
	message := message(f, []byte("payload"))
	methods := []string{"Unary", "ServerStream", "ClientStream", "Bidi", "Panic", "Nothing"}
	for _, method := range methods {
		for _, content := range []string{"application/grpc", "application/grpc+json", "application/grpc+x", "text/plain"} {
			f.Add(method, content, "", "", "", message, uint16(0))
			f.Add(method, content, "1S", "gzip", "gzip, zstd", append(message, message...), uint16(3))
			f.Add(method, content, "99999999H", "identity", "identity", message[:4], uint16(1))
		}
		f.Add(method, "application/grpc+json", "1u", "", "", testpeer.Message([]byte(`"cGF5bG9hZA=="`)), uint16(0))
		for _, name := range compress.Names() {
			codec, _ := compress.Get(name)
			deflated, _ := codec.Compress(nil, make([]byte, 3*limit))
			f.Add(method, "application/grpc", "1S", name, name, append(binary.BigEndian.AppendUint32([]byte{1}, uint32(len(deflated))), deflated...), uint16(100))
		}
	}
	f.Fuzz(func(t *testing.T, method, content, timeout, encoding, accept string, body []byte, piece uint16) {
		for _, value := range []string{method, content, timeout, encoding, accept} {
			if value != strings.Trim(value, " \t") || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) || len(value) > 1000 {
				return // HTTP/2's business, see FuzzConversation
			}
		}
		before := runtime.NumGoroutine()
		rest := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
		server := h2.NewServer(grpcserver.New(routes(new(leaks)), rest, nil), h2.Options{Limits: h2.Limits{BodyTimeout: time.Minute}})
		near, far := net.Pipe()
		served := make(chan struct{})
		go func() {
			defer close(served)
			server.ServeConn(far, []byte(frame.Preface))
		}()
		var block []byte
		for _, field := range [][2]string{
			{":method", "POST"}, {":scheme", "http"}, {":path", "/" + service + "/" + method}, {"content-type", content}, {"grpc-timeout", timeout}, {"grpc-encoding", encoding}, {"grpc-accept-encoding", accept},
		} {
			block = h2.AppendField(block, field[0], field[1])
		}
		b := frame.AppendSettings(nil, frame.Setting{ID: frame.InitialWindowSize, Value: 1 << 24})
		b = frame.AppendWindowUpdate(b, 0, 1<<24)
		b = frame.AppendHeaders(b, 1, 0, block, frame.DefaultMaxSize)
		size := frame.DefaultMaxSize
		if piece > 0 {
			size = min(size, int(piece))
		}
		if len(body)/size > 500 {
			size = len(body)/500 + 1
		}
		for len(body) > 0 {
			n := min(len(body), size)
			b = frame.AppendData(b, 1, 0, body[:n])
			body = body[n:]
		}
		b = frame.AppendData(b, 1, frame.EndStream, nil)
		_ = near.SetDeadline(time.Now().Add(patience))
		go func() { _, _ = near.Write(b) }()
		checkAnswer(t, near, method)
		_ = near.Close()
		select {
		case <-served:
		case <-time.After(patience):
			t.Fatal("the connection does not end")
		}
		_ = server.Close()
		if stats := server.Stats(); stats.Memory != 0 || stats.Streams != 0 {
			t.Fatalf("the server still holds %+v", stats)
		}
		for deadline := time.Now().Add(patience); runtime.NumGoroutine() > before; time.Sleep(50 * time.Microsecond) {
			if time.Now().After(deadline) {
				stacks := make([]byte, 1<<20)
				t.Fatalf("%d goroutines are left:\n%s", runtime.NumGoroutine()-before, stacks[:runtime.Stack(stacks, true)])
			}
		}
	})
}

// checkAnswer reads the answer to stream 1.
func checkAnswer(t *testing.T, conn net.Conn, method string) {
	t.Helper()
	decoder := hpack.NewDecoder(4096, nil)
	got := map[string]string{}
	for {
		header := make([]byte, frame.HeaderSize)
		if err := readFull(conn, header); err != nil {
			t.Fatalf("no answer: %v, so far %v", err, got)
		}
		h := frame.ParseHeader(header)
		payload := make([]byte, h.Length)
		if err := readFull(conn, payload); err != nil {
			t.Fatalf("half an answer: %v", err)
		}
		switch {
		case h.Type == frame.GoAway:
			t.Fatalf("GOAWAY %q", payload)
		case h.StreamID != 1:
			continue
		case h.Type == frame.RSTStream:
			if method != "Panic" {
				t.Fatalf("reset with % x, so far %v", payload, got)
			}
			return
		case h.Type == frame.Headers:
			fields, err := decoder.DecodeFull(payload)
			if err != nil {
				t.Fatal(err)
			}
			for _, field := range fields {
				got[field.Name] = field.Value
			}
		}
		if (h.Type == frame.Headers || h.Type == frame.Data) && h.Flags.Has(frame.EndStream) {
			break
		}
	}
	if got[":status"] == "200" {
		if code, err := strconv.Atoi(got["grpc-status"]); err != nil || code < 0 || code > 16 {
			t.Fatalf("no status of gRPC: %v", got)
		}
	} else if got[":status"] != "415" && got[":status"] != "418" && got[":status"] != "400" {
		t.Fatalf("the answer is %v", got)
	}
}

func readFull(conn net.Conn, b []byte) error {
	for len(b) > 0 {
		n, err := conn.Read(b)
		if b = b[n:]; err != nil && len(b) > 0 {
			return err
		}
	}
	return nil
}
