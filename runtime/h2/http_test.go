package h2_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/internal/testpeer"
	"github.com/prismgate/prism/runtime/h2"
	"github.com/prismgate/prism/runtime/h2/frame"
)

// seen is what a client saw of a response.
type seen struct {
	Status        int
	Header        http.Header
	Body          string
	Trailer       http.Header
	ContentLength int64
	Interim       []string
	Failed        bool
}

// exchange sends a request and reads all of the response.
func exchange(t *testing.T, client *http.Client, url string, change func(*http.Request)) seen {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	require.NoError(t, err)
	if change != nil {
		change(request)
	}
	var s seen
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
		s.Interim = append(s.Interim, fmt.Sprint(code, " ", header))
		return nil
	}}
	response, err := client.Do(request.WithContext(httptrace.WithClientTrace(request.Context(), trace)))
	if err != nil {
		s.Failed = true
		return s
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	s.Status, s.Header, s.Body, s.Failed, s.ContentLength = response.StatusCode, response.Header, string(body), err != nil, response.ContentLength
	s.Trailer = response.Trailer
	s.Header.Del("Date")
	if s.Failed {
		return seen{Failed: true} // how much of it came is chance
	}
	return s
}

// both serves a handler with net/http's HTTP/2 and with ours.
func both(t *testing.T, handler http.Handler) (standard, own string) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Config.ErrorLog = nil
	server.Start()
	t.Cleanup(server.Close)
	return server.URL, "http://" + startWith(t, h2.Limits{}, handler, nil).address
}

// trailing is a body with trailers, of which some are not announced.
func trailing(r *http.Request, body string, announced ...string) {
	r.Method, r.Body, r.ContentLength = http.MethodPost, io.NopCloser(strings.NewReader(body)), -1
	r.Trailer = http.Header{}
	for _, name := range announced {
		r.Trailer.Set(name, "value of "+name)
	}
}

func TestHandlersSeeAndSayWhatTheyDoWithNetHTTP(t *testing.T) {
	t.Parallel()
	post := func(body string) func(*http.Request) {
		return func(r *http.Request) {
			r.Method, r.Body, r.ContentLength = http.MethodPost, io.NopCloser(strings.NewReader(body)), int64(len(body))
		}
	}
	method := func(name string) func(*http.Request) { return func(r *http.Request) { r.Method = name } }
	cases := map[string]struct {
		handler http.HandlerFunc
		change  func(*http.Request)
	}{
		"nothing":          {func(http.ResponseWriter, *http.Request) {}, nil},
		"nothing for HEAD": {func(http.ResponseWriter, *http.Request) {}, method("HEAD")},
		"a short body":     {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "short") }, nil},
		"HEAD of a body":   {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "short") }, method("HEAD")},
		"HEAD of a length": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "77") }, method("HEAD")},
		"HEAD and a flush": {func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush(); _, _ = io.WriteString(w, "x") }, method("HEAD")},
		"an HTML body":     {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html><body>") }, nil},
		"a type of nothing": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			_, _ = io.WriteString(w, "<html>")
		}, nil},
		"an encoded body": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "br")
			_, _ = io.WriteString(w, "<html>")
		}, nil},
		"a long body": {func(w http.ResponseWriter, _ *http.Request) {
			for range 100 {
				_, _ = w.Write(bytes.Repeat([]byte("long "), 1000))
			}
		}, nil},
		"one long write": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<20)) }, nil},
		"flushes":        {func(w http.ResponseWriter, _ *http.Request) { flushes(w) }, nil},
		"a flush alone":  {func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() }, nil},
		"a status":       {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }, nil},
		"a status twice": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTeapot)
			w.WriteHeader(http.StatusOK)
		}, nil},
		"a status late": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "x")
			w.WriteHeader(http.StatusTeapot)
		}, nil},
		"a header late": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusOK)
			w.Header().Set("X-Late", "1")
		}, nil},
		"204": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent); writeForbidden(w) }, nil},
		"304": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Etag", `"a"`)
			w.WriteHeader(http.StatusNotModified)
			writeForbidden(w)
		}, nil},
		"304 and a length": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5")
			w.WriteHeader(http.StatusNotModified)
		}, nil},
		"a length": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5")
			_, _ = io.WriteString(w, "hello")
		}, nil},
		"more than a length": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "3")
			n, err := io.WriteString(w, "hello")
			w.Header().Set(http.TrailerPrefix+"X-Error", fmt.Sprint(n, err != nil))
		}, nil},
		"less than a length": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9")
			_, _ = io.WriteString(w, "hello")
		}, nil},
		"a length of nonsense": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "x")
			_, _ = io.WriteString(w, "hello")
		}, nil},
		"several values": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["X-Many"] = []string{"1", "2", "1"}
			w.Header()["x-lower"] = []string{"3"}
			w.Header().Add("Set-Cookie", "a=1")
			w.Header().Add("Set-Cookie", "b=2")
		}, nil},
		"fields of connections": {func(w http.ResponseWriter, _ *http.Request) {
			for _, name := range []string{"Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade"} {
				w.Header().Set(name, "x")
			}
		}, nil},
		"values with lines": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-A", "a\r\nX-B: c")
			w.Header().Set("X-C", "fine")
		}, nil},
		"trailers": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "X-A, X-B")
			w.Header().Add("Trailer", "X-C")
			_, _ = io.WriteString(w, "body")
			w.Header().Set("X-A", "1")
			w.Header().Set("X-C", "3")
			w.Header().Set("X-D", "not announced")
			w.Header().Set(http.TrailerPrefix+"X-E", "5")
		}, nil},
		"trailers and no body": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set(http.TrailerPrefix+"X-E", "5") }, nil},
		"trailers after a flush": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "X-A")
			w.(http.Flusher).Flush()
			w.Header().Set("X-A", "1")
		}, nil},
		"trailers of a request": {func(w http.ResponseWriter, r *http.Request) {
			before := fmt.Sprint(r.Trailer, r.Header["Trailer"])
			body, err := io.ReadAll(r.Body)
			n, again := r.Body.Read(make([]byte, 10))
			_, _ = fmt.Fprint(w, before, string(body), err, r.Trailer, n, again, r.Trailer)
		}, func(r *http.Request) { trailing(r, "body", "X-A", "X-B") }},
		"a panic":             {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, nil},
		"a panic in the body": {func(w http.ResponseWriter, _ *http.Request) { flushes(w); panic(http.ErrAbortHandler) }, nil},
		"a panic before flush": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "x")
			panic(http.ErrAbortHandler)
		}, nil},
		"an early hint": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", "</a>")
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusProcessing)
			w.Header().Set("Link", "</b>")
			_, _ = io.WriteString(w, "body")
		}, nil},
		"a body that is echoed":   {func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }, post(strings.Repeat("echo ", 100_000))},
		"a body that is not read": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "no") }, post(strings.Repeat("unread ", 10_000))},
		"a body that is closed": {func(w http.ResponseWriter, r *http.Request) {
			_ = r.Body.Close()
			n, err := r.Body.Read(make([]byte, 1))
			_, _ = fmt.Fprint(w, n, errors.Is(err, http.ErrBodyReadAfterClose))
		}, post("body")},
		"a body that is asked for": {func(w http.ResponseWriter, r *http.Request) {
			_, _ = fmt.Fprint(w, r.Header["Expect"])
			_, _ = io.Copy(w, r.Body)
		}, func(r *http.Request) {
			post("body")(r)
			r.Header.Set("Expect", "100-continue")
		}},
		"no body at all": {func(w http.ResponseWriter, r *http.Request) {
			n, err := r.Body.Read(make([]byte, 1))
			_, _ = fmt.Fprint(w, n, err)
		}, post("")},
		"a deadline of reading": {func(w http.ResponseWriter, r *http.Request) {
			control := http.NewResponseController(w)
			set := control.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
			_, err := r.Body.Read(make([]byte, 1))
			_, _ = fmt.Fprint(w, set, errors.Is(err, os.ErrDeadlineExceeded), control.EnableFullDuplex(), control.Flush())
		}, func(r *http.Request) {
			body, keep := io.Pipe()
			context := r.Context()
			go func() {
				<-context.Done()
				_ = keep.Close()
			}()
			r.Method, r.Body, r.ContentLength = http.MethodPost, body, -1
		}},
		"the request": {func(w http.ResponseWriter, r *http.Request) {
			names := make([]string, 0, len(r.Header))
			for name, values := range r.Header {
				names = append(names, fmt.Sprintf("%s=%q", name, values))
			}
			slices.Sort(names)
			user, password, ok := r.BasicAuth()
			_, _ = fmt.Fprint(w, r.Method, r.URL, r.URL.Path, r.URL.RawPath, r.URL.RawQuery, r.Proto, r.ProtoMajor, r.ProtoMinor, names, r.ContentLength, r.TransferEncoding,
				r.Close, r.RequestURI, r.TLS, r.Form, user, password, ok, r.RemoteAddr != "", r.Cancel, r.Response, r.Pattern) //nolint:staticcheck // Cancel is compared too
		}, func(r *http.Request) {
			r.URL.Path, r.URL.RawPath, r.URL.RawQuery = "/a b/\u00fc/c", "/a%20b/%C3%BC%2Fc", "q=1&r=%20"
			r.SetBasicAuth("me", "secret")
			r.Header["X-Many"] = []string{"1", "", "2"}
			r.AddCookie(&http.Cookie{Name: "a", Value: "1"})
			r.AddCookie(&http.Cookie{Name: "b", Value: "2"})
			r.Header.Set("Accept-Encoding", "identity")
			r.Header.Set("Referer", "http://x/\u00e4")
		}},
		"an unusual method": {func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Method) }, method("PURGE")},
		"OPTIONS of all": {func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, r.RequestURI, r.URL.Path) }, func(r *http.Request) {
			r.Method, r.URL.Opaque = http.MethodOptions, "*"
		}},
	}
	// What differs, and why; change makes of net/http's answer ours.
	differences := map[string]func(s *seen){
		"HEAD of a body":        func(s *seen) { s.Header.Del("Content-Type") },                                                      // a body that is not sent is not looked at
		"trailers and no body":  func(s *seen) { s.Header.Del("Content-Length"); s.ContentLength = -1 },                              // gRPC's clients are told nothing either
		"trailers":              func(s *seen) { s.Header.Del("Content-Length"); s.ContentLength = -1 },                              // the same
		"a body that is closed": func(s *seen) { s.Body, s.ContentLength = "0 true", 6; s.Header["Content-Length"] = []string{"6"} }, // net/http's HTTP/2 has an error of its own
		"fields of connections": func(s *seen) { // RFC 9113, section 8.2.2
			for _, name := range []string{"Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade"} {
				s.Header.Del(name)
			}
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			standard, own := both(t, c.handler)
			client := &http.Client{Transport: h2cTransport(), Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
			want := exchange(t, client, standard+"/path?query", c.change)
			got := exchange(t, client, own+"/path?query", c.change)
			if differ := differences[name]; differ != nil {
				require.NotEqual(t, want, got, "it is no difference any more")
				differ(&want)
			}
			require.Equal(t, want, got)
		})
	}
}

func flushes(w http.ResponseWriter) {
	for range 3 {
		_, _ = io.WriteString(w, "some ")
		w.(http.Flusher).Flush()
	}
}

func writeForbidden(w http.ResponseWriter) {
	if _, err := io.WriteString(w, "x"); !errors.Is(err, http.ErrBodyNotAllowed) {
		panic(fmt.Sprint("a body was allowed: ", err))
	}
}

func TestWhatAHandlerLeavesRunningGetsErrors(t *testing.T) {
	t.Parallel()
	left := make(chan [2]error, 1)
	returned := make(chan struct{})
	f := startWith(t, h2.Limits{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reading := make(chan error, 1)
		go func() {
			_, err := io.ReadAll(r.Body)
			reading <- err
		}()
		go func() {
			<-returned
			<-r.Context().Done()
			_, err := w.Write([]byte("late"))
			left <- [2]error{err, <-reading}
		}()
	}), nil)
	p := f.connect()
	p.Headers(1, 0, post("/leave")...)
	answers(t, p, 1, "200", "")
	close(returned)
	errs := <-left
	require.Error(t, errs[0])
	require.Error(t, errs[1])
	call(t, p, 3)
}

func TestRequestsOverTLSSaySo(t *testing.T) {
	t.Parallel()
	template := httptest.NewUnstartedServer(nil)
	template.EnableHTTP2 = true
	template.StartTLS()
	defer template.Close()
	client := template.Client().Transport.(*http.Transport).TLSClientConfig
	secure := &tls.Config{Certificates: template.TLS.Certificates, NextProtos: []string{"h2"}}
	f := startWith(t, h2.Limits{MaxStreams: 50}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.TLS.NegotiatedProtocol)
	}), secure)
	trust := &tls.Config{RootCAs: client.RootCAs, ServerName: "example.com"}
	p := testpeer.Connect(t, f.address, testpeer.Options{TLS: trust})
	p.Headers(1, frame.EndStream, fields("GET", "/")...)
	answers(t, p, 1, "200", "h2")
	// All that is not a descriptor to poll takes the other way of reading: short and long frames, in pieces, and at once.
	id := uint32(3)
	for _, size := range []int{0, 1, 100, 128, 129, 16_384} {
		p.Headers(id, 0, post("/echo")...)
		p.Data(id, frame.EndStream, make([]byte, size))
		require.Len(t, p.Response(id).Data, size)
		id += 2
	}
	for _, b := range frame.AppendHeaders(nil, id, frame.EndStream, p.Block(fields("GET", "/quick")...), frame.DefaultMaxSize) {
		p.Send([]byte{b})
	}
	answers(t, p, id, "200", "hello")
	p.Frame(frame.Ping, 0, 1, make([]byte, 8))
	p.ExpectConnectionError(frame.ProtocolError)

	busy := testpeer.Connect(t, f.address, testpeer.Options{TLS: trust})
	busy.Headers(1, frame.EndStream, fields("GET", "/stubborn")...)
	f.eventually(func() bool { return f.running.Load() == 1 }, "it runs")
	done := f.shutdown(patience)
	busy.ExpectGoAway(frame.NoError)
	busy.ExpectGoAway(frame.NoError)
	close(f.release)
	answers(t, busy, 1, "200", "late")
	_ = busy.ExpectClosed()
	require.NoError(t, <-done)
}
