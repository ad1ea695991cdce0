package h2_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2/hpack"

	"github.com/prismgate/prism/internal/testpeer"
	"github.com/prismgate/prism/runtime/h2"
	"github.com/prismgate/prism/runtime/h2/frame"
)

func TestAHeaderThatIsTooLargeIsAnsweredAndTheConnectionGoesOn(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{MaxHeaderBytes: 1000})
	f.neighbour()
	p := f.connect()
	require.Contains(t, p.Frames()[0].Settings(), frame.Setting{ID: frame.MaxHeaderListSize, Value: 1000})
	// Names, values and 32 bytes for each of the five fields.
	room := 1000 - 5*32 - len(":methodGET:schemehttp:path/quick:authoritylocalhostx-filler")
	p.Headers(1, frame.EndStream, fields("GET", "/quick", "x-filler", strings.Repeat("f", room))...)
	answers(t, p, 1, "200", "hello")
	p.Headers(3, frame.EndStream, fields("GET", "/quick", "x-filler", strings.Repeat("f", room+1))...)
	answers(t, p, 3, "431", "")
	p.Headers(5, 0, post("/quick", "x-filler", strings.Repeat("f", 2000))...)
	answers(t, p, 5, "431", "")
	p.ExpectReset(5, frame.NoError)
	p.Headers(7, frame.EndStream, append([]string{"x-first", strings.Repeat("f", 2000)}, fields("GET", "/quick")...)...) // malformed too
	answers(t, p, 7, "431", "")
	// The table is still the same on both sides: these fields are sent as indices.
	p.Headers(9, frame.EndStream, fields("GET", "/quick", "x-filler", strings.Repeat("f", room))...)
	answers(t, p, 9, "200", "hello")
	require.Equal(t, int64(3), f.refused(h2.RefusedHeader))
	require.Zero(t, f.refused(h2.RefusedMalformed))
}

func TestAnHPACKBombIsAHeaderThatIsTooLarge(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	f.neighbour()
	p := f.connect()
	var b bytes.Buffer
	encoder := hpack.NewEncoder(&b)
	for _, field := range []hpack.HeaderField{
		{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: "/quick"}, {Name: "x-bomb", Value: strings.Repeat("b", 4000)},
	} {
		require.NoError(t, encoder.WriteField(field))
	}
	block := append(b.Bytes(), bytes.Repeat([]byte{0x80 | 62}, 40_000)...) // each byte is 4 KB of header
	before := heap()
	for id := uint32(1); id < 40; id += 2 {
		p.Send(frame.AppendHeaders(nil, id, frame.EndStream, block, frame.DefaultMaxSize))
		answers(t, p, id, "431", "")
	}
	require.Less(t, heap()-before, int64(100<<20), "the bomb is of 3 GB")
	require.Equal(t, int64(20), f.refused(h2.RefusedHeader))
}

func TestATableSizeBeyondTheSettingIsAnError(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	p := f.connect()
	p.Send(frame.AppendHeaders(nil, 1, frame.EndStream, []byte{0x3f, 0xe2, 0x1f, 0x82, 0x84, 0x86}, frame.DefaultMaxSize)) // 4097
	p.ExpectConnectionError(frame.CompressionError)
}

func TestTheBlockOfARefusedStreamIsDecoded(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{MaxStreams: 1})
	p := f.connect()
	p.Headers(1, 0, post("/echo")...)
	p.Headers(3, frame.EndStream, fields("GET", "/quick", "x-new", "a value for the table")...)
	p.ExpectReset(3, frame.RefusedStream)
	p.Data(1, frame.EndStream, nil)
	p.Response(1)
	p.Headers(5, frame.EndStream, fields("GET", "/quick", "x-new", "a value for the table")...)
	answers(t, p, 5, "200", "hello")
}

func TestMalformedRequestsAreReset(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	f.neighbour()
	with := func(more ...string) []string { return fields("GET", "/quick", more...) }
	cases := map[string][]string{
		"no method":                     testpeer.Without(with(), ":method"),
		"no scheme":                     testpeer.Without(with(), ":scheme"),
		"no path":                       testpeer.Without(with(), ":path"),
		"an empty path":                 testpeer.With(with(), ":path", ""),
		"a path without a slash":        testpeer.With(with(), ":path", "quick"),
		"a whole URL for a path":        testpeer.With(with(), ":path", "http://localhost/quick"),
		"* for GET":                     testpeer.With(with(), ":path", "*"),
		"an empty method":               testpeer.With(with(), ":method", ""),
		"a method with a space":         testpeer.With(with(), ":method", "GET /x"),
		"a method with a line":          testpeer.With(with(), ":method", "GET\r\nX: y"),
		"a path with a line":            testpeer.With(with(), ":path", "/quick\r\nX: y"),
		"a path with NUL":               testpeer.With(with(), ":path", "/quick\x00"),
		"an authority with a line":      testpeer.With(with(), ":authority", "a\nb"),
		"two methods":                   append([]string{":method", "GET"}, with()...),
		"two paths":                     append([]string{":path", "/"}, with()...),
		"two schemes":                   append([]string{":scheme", "https"}, with()...),
		"two authorities":               append([]string{":authority", "other"}, with()...),
		"a pseudo-field of a response":  append([]string{":status", "200"}, with()...),
		"an unknown pseudo-field":       append([]string{":unknown", "1"}, with()...),
		"extended CONNECT":              append([]string{":protocol", "websocket"}, testpeer.With(with(), ":method", "CONNECT")...),
		"a pseudo-field after a field":  append([]string{"x", "y"}, with()...),
		"an upper-case name":            with("X-Upper", "1"),
		"an upper-case letter":          with("x-uPper", "1"),
		"an empty name":                 with("", "1"),
		"a name with a space":           with("x y", "1"),
		"a name with a colon":           with("x:y", "1"),
		"a name with a line":            with("x\r\nhost", "1"),
		"a name with NUL":               with("x\x00", "1"),
		"a name of invalid UTF-8":       with("x\xff\xfe", "1"),
		"a name of valid UTF-8":         with("x-\u00fc", "1"),
		"a value with CR":               with("x", "a\rb"),
		"a value with LF":               with("x", "a\nb"),
		"a value with CR LF":            with("x", "a\r\nhost: b"),
		"a value with NUL":              with("x", "a\x00b"),
		"a value with DEL":              with("x", "a\x7fb"),
		"a value that begins so":        with("x", " a"),
		"a value that ends so":          with("x", "a "),
		"a value that begins with tab":  with("x", "\ta"),
		"a value that is a space":       with("x", " "),
		"connection":                    with("connection", "close"),
		"keep-alive":                    with("keep-alive", "1"),
		"proxy-connection":              with("proxy-connection", "keep-alive"),
		"transfer-encoding":             with("transfer-encoding", "chunked"),
		"upgrade":                       with("upgrade", "h2c"),
		"te of gzip":                    with("te", "gzip"),
		"te of trailers and more":       with("te", "trailers, deflate"),
		"another host":                  with("host", "other"),
		"two hosts":                     append(testpeer.Without(with(), ":authority"), "host", "a", "host", "a"),
		"a length that is negative":     with("content-length", "-1"),
		"a length with a sign":          with("content-length", "+1"),
		"a length that is a list":       with("content-length", "0, 0"),
		"a length beyond 63 bits":       with("content-length", "9223372036854775808"),
		"two lengths":                   with("content-length", "0", "content-length", "1"),
		"a length and no body":          with("content-length", "1"),
		"CONNECT with a path":           testpeer.With(with(), ":method", "CONNECT"),
		"CONNECT without an authority":  {":method", "CONNECT"},
		"an authority of control bytes": testpeer.With(with(), ":authority", "a\x01"),
	}
	p := f.connect()
	id := uint32(1)
	for name, request := range cases {
		t.Run(name, func(t *testing.T) {
			before := f.refused(h2.RefusedMalformed)
			p.Headers(id, frame.EndStream, request...)
			p.ExpectReset(id, frame.ProtocolError)
			require.Equal(t, before+1, f.refused(h2.RefusedMalformed))
		})
		call(t, p, id+2)
		id += 4
	}
}

func TestWhatIsWellFormedIsServed(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	p := f.connect()
	with := func(more ...string) []string { return fields("GET", "/quick", more...) }
	id := uint32(1)
	for name, request := range map[string][]string{
		"an empty value":            with("x", ""),
		"bytes beyond ASCII":        with("x", "\xff\xfe\u00fc"),
		"inner white space":         with("x", "a \t b"),
		"te of trailers":            with("te", "trailers"),
		"the same host":             with("host", "LocalHost"),
		"a host alone":              append(testpeer.Without(with(), ":authority"), "host", "localhost"),
		"the same length twice":     with("content-length", "0", "content-length", "0"),
		"every byte of a token":     with("!#$%&'*+-.^_`|~09az", "1"),
		"pseudo-fields in an order": {":path", "/quick", ":authority", "a", ":scheme", "http", ":method", "GET"},
		"many cookies":              with("cookie", "a=1", "cookie", "b=2"),
	} {
		t.Run(name, func(t *testing.T) {
			p.Headers(id, frame.EndStream, request...)
			answers(t, p, id, "200", "hello")
		})
		id += 2
	}
}

func TestCONNECTIsNotServed(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	p := f.connect()
	p.Headers(1, 0, ":method", "CONNECT", ":authority", "example.com:443")
	answers(t, p, 1, "405", "")
	call(t, p, 3)
}

func TestTrailersMustBeWellFormed(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{MaxHeaderBytes: 500})
	f.neighbour()
	p := f.connect()
	id := uint32(1)
	for name, trailers := range map[string][]string{
		"a pseudo-field":         {":path", "/"},
		"the status":             {":status", "200"},
		"an upper-case name":     {"X-Upper", "1"},
		"a value with a line":    {"x", "a\nb"},
		"connection":             {"connection", "close"},
		"more than is allowed":   {"x", strings.Repeat("y", 500)},
		"a pseudo-field at last": {"x", "y", ":path", "/"},
	} {
		t.Run(name, func(t *testing.T) {
			p.Headers(id, 0, post("/echo")...)
			p.Headers(id, frame.EndStream, trailers...)
			p.ExpectReset(id, frame.ProtocolError)
		})
		id += 2
	}
	require.Equal(t, int64(7), f.refused(h2.RefusedMalformed))
	p.Headers(id, 0, post("/echo")...)
	p.Headers(id, frame.EndStream, "x-a", "1", "x-b", "2", "x-a", "3")
	r := p.Response(id)
	require.Equal(t, []hpack.HeaderField{{Name: "x-a", Value: "1"}, {Name: "x-b", Value: "2"}, {Name: "x-a", Value: "3"}}, r.Trailer)
}

func TestABodyMustBeAsLongAsDeclared(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	f.neighbour()
	p := f.connect()
	id := uint32(1)
	for _, path := range []string{"/echo", "/whole", "/quick", "/stubborn"} {
		for name, send := range map[string]func(id uint32){
			"one byte more":           func(id uint32) { p.Data(id, frame.EndStream, make([]byte, 11)) },
			"one byte less":           func(id uint32) { p.Data(id, frame.EndStream, make([]byte, 9)) },
			"more, and no end":        func(id uint32) { p.Data(id, 0, make([]byte, 9)); p.Data(id, 0, make([]byte, 9)) },
			"less, and then trailers": func(id uint32) { p.Data(id, 0, make([]byte, 9)); p.Headers(id, frame.EndStream, "x", "y") },
			"nothing at all":          func(id uint32) { p.Data(id, frame.EndStream, nil) },
			"the rest comes after all": func(id uint32) {
				p.Data(id, frame.EndStream, make([]byte, 9))
				p.Data(id, frame.EndStream, make([]byte, 1))
			},
		} {
			t.Run(path+" "+name, func(t *testing.T) {
				p.Headers(id, 0, post(path, "content-length", "10")...)
				send(id)
				if path == "/quick" {
					p.ExpectReset(id, frame.ProtocolError, frame.NoError, frame.StreamClosed) // it may have answered before
				} else {
					p.ExpectReset(id, frame.ProtocolError)
				}
				call(t, p, id+2)
			})
			id += 4
		}
	}
	p.Headers(id, 0, post("/whole", "content-length", "10")...)
	p.Data(id, frame.EndStream, make([]byte, 10))
	answers(t, p, id, "200", "10")
	close(f.release)
}

func TestABodyBeyondThePlanOverflows(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	f.neighbour()
	p := f.connect()
	p.Headers(1, 0, post("/whole")...)
	pour(t, p, 1, 0, wholeLimit)
	p.Data(1, frame.EndStream, nil)
	answers(t, p, 1, "200", fmt.Sprint(wholeLimit))
	p.Headers(3, 0, post("/whole")...)
	pour(t, p, 3, wholeLimit, wholeLimit)
	p.Data(3, 0, []byte("x"))
	answers(t, p, 3, "200", "overflowed")
	p.ExpectReset(3, frame.NoError)
	pour(t, p, 3, 2*wholeLimit+1, 10*wholeLimit) // it goes on, and is dropped
	call(t, p, 5)
	require.Less(t, f.server.Stats().Memory, int64(5<<20), "a wide window, and no body")
}

func TestAResponseBeforeTheRequestsEnd(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	p := f.connect()
	p.Headers(1, 0, post("/quick")...)
	answers(t, p, 1, "200", "hello")
	p.ExpectReset(1, frame.NoError)
	var order []frame.Type
	for _, got := range p.Frames() {
		if got.StreamID == 1 {
			order = append(order, got.Type)
		}
	}
	require.Equal(t, []frame.Type{frame.Headers, frame.Data, frame.RSTStream}, order, "END_STREAM comes before the reset")
	// What was under way is no error.
	p.Data(1, 0, []byte("more"))
	p.Headers(1, frame.EndStream, "x-trailer", "1")
	p.WindowUpdate(1, 1)
	p.Reset(1, frame.NoError)
	call(t, p, 3)
}

// Trailers that come late are no error either, however many calls have gone well meanwhile.
func TestWhatComesLateOnAStreamThatWasResetIsIgnored(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	p := f.connect()
	p.Headers(1, 0, post("/quick")...)
	answers(t, p, 1, "200", "hello")
	for id := uint32(3); id < 403; id += 2 {
		call(t, p, id)
	}
	p.Data(1, 0, []byte("more"))
	p.Headers(1, frame.EndStream, "x-trailer", "1")
	call(t, p, 403)
}

func TestStreamsThatThePeerHasEndedTakeNoMore(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	f.neighbour()
	p := f.connect()
	p.Headers(1, frame.EndStream, fields("GET", "/wait")...)
	p.Data(1, 0, []byte("x"))
	p.ExpectReset(1, frame.StreamClosed)
	p.Headers(3, frame.EndStream, fields("GET", "/wait")...)
	p.Headers(3, frame.EndStream, "x", "y")
	p.ExpectReset(3, frame.StreamClosed)
	call(t, p, 5)
	p.Data(5, 0, []byte("x"))
	p.ExpectReset(5, frame.StreamClosed)
	call(t, p, 7)
}

func TestCookieCrumbsAreOneCookie(t *testing.T) {
	t.Parallel()
	f := startWith(t, h2.Limits{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%q %d", r.Header["Cookie"], len(r.Cookies()))
	}), nil)
	p := f.connect()
	p.Headers(1, frame.EndStream, fields("GET", "/", "cookie", "a=1", "cookie", "b=2; c=3", "cookie", "d=4")...)
	answers(t, p, 1, "200", `["a=1; b=2; c=3; d=4"] 4`)
	p.Headers(3, frame.EndStream, fields("GET", "/", "cookie", "a=1")...)
	answers(t, p, 3, "200", `["a=1"] 1`)
}

func TestExpectContinue(t *testing.T) {
	t.Parallel()
	f := startWith(t, h2.Limits{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/read" {
			_, _ = io.Copy(w, r.Body)
		}
	}), nil)
	p := f.connect()
	p.Headers(1, 0, post("/read", "expect", "100-Continue")...)
	interim := p.ExpectType(frame.Headers, 1)
	require.Equal(t, []hpack.HeaderField{{Name: ":status", Value: "100"}}, interim.Fields)
	require.False(t, interim.Flags.Has(frame.EndStream))
	p.Data(1, frame.EndStream, []byte("body"))
	answers(t, p, 1, "200", "body")
	p.Headers(3, 0, post("/unread", "expect", "100-continue")...)
	answers(t, p, 3, "200", "")
	for _, got := range p.Frames() {
		require.False(t, got.StreamID == 3 && testpeer.Field(got.Fields, ":status") == "100", "nobody asked for the body")
	}
}
