package h2_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/prismgate/prism/runtime/h2"
)

// everything serves every request in one way.
type everything struct{ plan h2.Plan }

func (e everything) Plan(*h2.Stream) h2.Plan { return e.plan }

// listenAndServe serves what connects to a port of this machine, until stop is called.
func listenAndServe(server *h2.Server) (url string, stop func()) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go server.ServeConn(conn, nil) // over TLS it would be a *tls.Conn on which "h2" was agreed
		}
	}()
	return "http://" + listener.Addr().String(), func() {
		_ = listener.Close()
		_ = server.Shutdown(context.Background())
	}
}

// client speaks HTTP/2 in clear.
func client() *http.Client {
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: transport}
}

// An http.Handler is served as net/http serves it.
func ExampleHTTP() {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "hello over %s, %s", r.Proto, r.URL.Query().Get("name"))
	})
	server := h2.NewServer(everything{h2.HTTP(handler)}, h2.Options{Limits: h2.Limits{MaxStreams: 100}})
	url, stop := listenAndServe(server)
	defer stop()

	client := client()
	defer client.CloseIdleConnections()
	response, err := client.Get(url + "/?name=gopher")
	if err != nil {
		panic(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, _ := io.ReadAll(response.Body)
	fmt.Println(string(body))
	// Output: hello over HTTP/2.0, gopher
}

// shout answers with the request in upper case.
type shout struct{}

// header is encoded once, because every response has the same.
var header = h2.AppendField(h2.AppendStatus(nil, 200), "content-type", "text/plain")

// Plan takes a request in whole, up to 4 KiB, before a goroutine is spent on it.
func (shout) Plan(s *h2.Stream) h2.Plan {
	if s.Header.Method != http.MethodPost {
		return h2.Plan{Serve: func(s *h2.Stream) { _ = s.Respond(h2.AppendStatus(nil, 405), nil, nil) }}
	}
	return h2.Plan{Whole: 4 << 10, Serve: func(s *h2.Stream) {
		if s.Overflowed() {
			_ = s.Respond(h2.AppendStatus(nil, 413), nil, nil)
			return
		}
		body := append([]byte(nil), s.Body()...)
		for i, c := range body {
			if 'a' <= c && c <= 'z' {
				body[i] = c - 'a' + 'A'
			}
		}
		_ = s.Respond(header, body, h2.AppendField(nil, "x-length", fmt.Sprint(len(body))))
	}}
}

// A Handler works on streams: fields and bytes as they are on the wire, and a whole response in one call.
func ExampleHandler() {
	server := h2.NewServer(shout{}, h2.Options{})
	url, stop := listenAndServe(server)
	defer stop()

	client := client()
	defer client.CloseIdleConnections()
	reader, writer := io.Pipe()
	go func() {
		_, _ = io.WriteString(writer, "streams, ")
		_, _ = io.WriteString(writer, "not requests")
		_ = writer.Close()
	}()
	response, err := client.Post(url, "text/plain", reader)
	if err != nil {
		panic(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, _ := io.ReadAll(response.Body)
	fmt.Println(string(body), response.Trailer.Get("X-Length"))
	// Output: STREAMS, NOT REQUESTS 21
}
