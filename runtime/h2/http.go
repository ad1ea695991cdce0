package h2

import (
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// HTTP returns the plan of requests that an [http.Handler] serves. Requests and responses are as those of net/http: the same fields of [http.Request], trailers in
// both directions, flushing, deadlines by [http.ResponseController]. There is no server push, and no hijacking.
func HTTP(handler http.Handler) Plan {
	return Plan{Serve: func(s *Stream) { serveHTTP(s, handler) }}
}

// isAbort tells whether a panic is http.ErrAbortHandler, which is no defect.
func isAbort(panicked any) bool {
	err, ok := panicked.(error)
	return ok && errors.Is(err, http.ErrAbortHandler)
}

func serveHTTP(s *Stream, handler http.Handler) {
	request, err := newRequest(s)
	if err != nil {
		s.respondStatus(http.StatusBadRequest)
		return
	}
	s.waitForRequest()
	w := &responseWriter{stream: s, header: make(http.Header), head: request.Method == http.MethodHead, declared: -1}
	body := request.Body // the handler may put another in its place
	defer func() { _ = body.Close() }()
	handler.ServeHTTP(w, request)
	w.end()
}

// waitForRequest lets the peer end its request after the response.
func (s *Stream) waitForRequest() {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.patient = true
}

// newRequest makes net/http's request of a stream.
func newRequest(s *Stream) (*http.Request, error) {
	h := &s.Header
	var target *url.URL
	if h.Path == "*" {
		target = &url.URL{Path: "*"}
	} else {
		var err error
		if target, err = url.ParseRequestURI(h.Path); err != nil {
			return nil, err
		}
	}
	request := &http.Request{
		Method: h.Method, URL: target, RequestURI: h.Path, Host: h.Authority, RemoteAddr: s.conn.remote,
		Proto: "HTTP/2.0", ProtoMajor: 2, Header: make(http.Header, len(h.names)),
		ContentLength: h.length, Body: http.NoBody, TLS: s.conn.tls,
	}
	cookies := 0
	for i, name := range h.names {
		switch name {
		case "cookie":
			cookies++
		case "host":
			continue
		}
		key := canonical(name)
		values := request.Header[key]
		if values == nil {
			values = h.values[i : i : i+1]
		}
		request.Header[key] = append(values, h.values[i])
	}
	if cookies > 1 { // HTTP/2 lets a client split them, for the sake of HPACK
		request.Header["Cookie"] = []string{strings.Join(request.Header["Cookie"], "; ")}
	}
	if announced := request.Header["Trailer"]; announced != nil {
		request.Trailer = announcedTrailers(announced)
		delete(request.Header, "Trailer")
	}
	s.conn.mu.Lock()
	whole := s.recvEnded && s.received == 0 && s.trailers == nil
	s.conn.mu.Unlock()
	if whole {
		request.ContentLength = max(h.length, 0)
	} else {
		request.Body = &requestBody{stream: s, request: request}
	}
	return request.WithContext(s.Context()), nil
}

// canonical is [http.CanonicalHeaderKey], which allocates for names that it does not know.
func canonical(name string) string { return textproto.CanonicalMIMEHeaderKey(name) }

func announcedTrailers(announced []string) http.Header {
	trailers := make(http.Header)
	for _, value := range announced {
		for name := range strings.SplitSeq(value, ",") {
			name = canonical(textproto.TrimString(name))
			switch name {
			case "", "Transfer-Encoding", "Trailer", "Content-Length":
			default:
				trailers[name] = nil
			}
		}
	}
	return trailers
}

// requestBody is the body of a request.
type requestBody struct {
	stream  *Stream
	request *http.Request
	over    bool // the trailers were given

	// closed is set by Close, and when the handler has returned: what it left running reads no more.
	closed atomic.Bool
}

// Read reads the body. The request's trailers are set when it returns io.EOF.
func (b *requestBody) Read(p []byte) (int, error) {
	switch {
	case b.closed.Load():
		return 0, http.ErrBodyReadAfterClose
	case len(p) == 0:
		return 0, nil
	}
	n, err := b.stream.Read(p)
	if errors.Is(err, io.EOF) {
		b.trailers()
	}
	return n, err
}

// trailers gives the request those of its trailers that it has announced, as net/http does.
func (b *requestBody) trailers() {
	trailers := b.stream.Trailers()
	if trailers == nil || b.over {
		return
	}
	b.over = true
	for name, value := range trailers.All() {
		key := canonical(name)
		if _, announced := b.request.Trailer[key]; announced {
			b.request.Trailer[key] = append(b.request.Trailer[key], value)
		}
	}
}

// Close ends reading.
func (b *requestBody) Close() error {
	b.closed.Store(true)
	return nil
}

// SetReadDeadline is for [http.ResponseController].
func (w *responseWriter) SetReadDeadline(deadline time.Time) error {
	w.stream.SetReadDeadline(deadline)
	return nil
}

// EnableFullDuplex is for [http.ResponseController]: HTTP/2 is full duplex.
func (w *responseWriter) EnableFullDuplex() error { return nil }
