package grpcframes_test

import (
	"testing"

	"github.com/prismgate/prism/internal/testpeer"
	"github.com/prismgate/prism/runtime/h2/frame"
)

// malformed are headers of a request that are an error of the stream. Calls with them are complete but for what is wrong.
func malformed(fields []string) map[string][]string {
	with := func(others ...string) []string { return append(append([]string(nil), fields...), others...) }
	before := func(others ...string) []string { return append(others, fields...) }
	cases := map[string][]string{
		"8.1.2/1: a name in upper case":                            with("X-TEST", "ok"),
		"8.1.2.1/1: an unknown pseudo-header":                      before(":test", "ok"),
		"8.1.2.1/2: a pseudo-header of responses":                  before(":status", "200"),
		"8.1.2.1/4: a pseudo-header after a header":                with(":authority", "localhost"),
		"8.1.2.1/4: the method after a header":                     append(testpeer.Without(fields, ":method"), ":method", "POST"),
		"8.1.2.2/1: connection":                                    with("connection", "keep-alive"),
		"8.1.2.2/1: keep-alive":                                    with("keep-alive", "1"),
		"8.1.2.2/1: proxy-connection":                              with("proxy-connection", "keep-alive"),
		"8.1.2.2/1: transfer-encoding":                             with("transfer-encoding", "chunked"),
		"8.1.2.2/1: upgrade":                                       with("upgrade", "h2c"),
		"8.1.2.2/2: te that is more than trailers":                 testpeer.With(fields, "te", "trailers, deflate"),
		"8.1.2.3/1: an empty path":                                 testpeer.With(fields, ":path", ""),
		"8.1.2.3/2: no method":                                     testpeer.Without(fields, ":method"),
		"8.1.2.3/3: no scheme":                                     testpeer.Without(fields, ":scheme"),
		"8.1.2.3/4: no path":                                       testpeer.Without(fields, ":path"),
		"8.1.2.6: a content-length that is no number":              with("content-length", "a"),
		"8.1.2.6: a content-length that is negative":               with("content-length", "-1"),
		"8.1.2.6: two content-lengths that differ":                 with("content-length", "8", "content-length", "9"),
		"RFC 9113, 8.2.1: a line feed in a value":                  with("x-test", "a\nb"),
		"RFC 9113, 8.2.1: a carriage return in a value":            with("x-test", "a\rb"),
		"RFC 9113, 8.2.1: a NUL in a value":                        with("x-test", "a\x00b"),
		"RFC 9113, 8.2.1: a space before a value":                  with("x-test", " a"),
		"RFC 9113, 8.2.1: a tab after a value":                     with("x-test", "a\t"),
		"RFC 9113, 8.2.1: a space in a name":                       with("x test", "a"),
		"RFC 9113, 8.2.1: an empty name":                           with("", "a"),
		"RFC 9113, 8.2.1: a colon in a name":                       with("x:test", "a"),
		"RFC 9113, 8.3.1: a host that is not the authority":        with("host", "elsewhere"),
		"RFC 9113, 8.3.1: a path that does not begin with a slash": testpeer.With(fields, ":path", "a"),
	}
	for _, name := range []string{":method", ":scheme", ":path"} { // 8.1.2.3/5-7
		for i := 0; i < len(fields); i += 2 {
			if fields[i] == name {
				cases["8.1.2.3: twice "+name] = before(name, fields[i+1])
			}
		}
	}
	return cases
}

func TestMalformedHeadersAreAnErrorOfTheStream(t *testing.T) {
	names := malformed(testpeer.GRPC("/"))
	for name := range names {
		t.Run(name, func(t *testing.T) {
			each(t, func(c *conn) {
				c.Send(append(
					frame.AppendHeaders(nil, 1, 0, c.Block(malformed(c.shape.fields())[name]...), frame.DefaultMaxSize),
					frame.AppendData(nil, 1, frame.EndStream, message(c.t, "a"))...,
				))
				c.streamError(1, frame.ProtocolError)
			})
		})
	}
}

func TestMalformedTrailersAreAnErrorOfTheStream(t *testing.T) {
	for name, fields := range map[string][]string{
		"8.1.2/1: a name in upper case":           {"X-TEST", "ok"},
		"8.1.2.1/3: a pseudo-header":              {":method", "POST"},
		"8.1.2.1/3: an unknown pseudo-header":     {":test", "ok"},
		"8.1.2.2/1: connection":                   {"connection", "keep-alive"},
		"RFC 9113, 8.2.1: a line feed in a value": {"x-test", "a\nb"},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(c *conn) {
				c.running(1)
				c.Headers(1, frame.EndStream, fields...)
				c.streamError(1, frame.ProtocolError)
			})
		})
	}
}

func TestASecondHeaderThatDoesNotEndTheStreamIsAnError(t *testing.T) { // 8.1/1
	each(t, func(c *conn) {
		c.running(1)
		c.Headers(1, 0, "x-test", "ok")
		c.streamError(1, frame.ProtocolError)
	})
}

func TestRequestsMayEndWithTrailers(t *testing.T) { // generic 4/4
	each(t, func(c *conn) {
		c.open(1)
		c.ask(1, 0, "a")
		c.Headers(1, frame.EndStream, "x-test", "ok")
		c.answered(1, "a")
	})
}

func TestHeadersMayHavePaddingAndPriority(t *testing.T) { // generic 3.2
	for name, flags := range map[string]frame.Flags{
		"padding":              frame.Padded,
		"priority":             frame.HasPriority,
		"padding and priority": frame.Padded | frame.HasPriority,
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(c *conn) {
				payload := c.Block(c.shape.fields()...)
				if flags.Has(frame.HasPriority) {
					payload = append(dependency(0, 255), payload...)
				}
				if flags.Has(frame.Padded) {
					payload = append(append([]byte{7}, payload...), make([]byte, 7)...)
				}
				c.Frame(frame.Headers, flags|frame.EndHeaders, 1, payload)
				c.ask(1, frame.EndStream, "a")
				c.answered(1, "a")
			})
		})
	}
}

func TestHeadersWithMorePaddingThanPayloadAreAnError(t *testing.T) { // 6.2/4
	each(t, func(c *conn) {
		block := c.Block(c.shape.fields()...)
		c.Frame(frame.Headers, frame.Padded|frame.EndHeaders, 1, append([]byte{byte(len(block) + 2)}, block...))
		c.ExpectConnectionError(frame.ProtocolError)
	})
}

func TestHeadersMayBeContinued(t *testing.T) { // generic 3.10, 6.10/1
	each(t, func(c *conn) {
		block := c.Block(c.shape.fields("x-a", "1", "x-b", "2")...)
		c.Frame(frame.Headers, 0, 1, block[:10])
		c.Frame(frame.Continuation, 0, 1, block[10:11])
		c.Frame(frame.Continuation, 0, 1, nil)
		c.Frame(frame.Continuation, frame.EndHeaders, 1, block[11:])
		c.ask(1, 0, "a")
		trailers := c.Block("x-c", "3", "x-d", "4")
		c.Frame(frame.Headers, frame.EndStream, 1, trailers[:3])
		c.Frame(frame.Continuation, frame.EndHeaders, 1, trailers[3:])
		c.answered(1, "a")
	})
}

func TestNothingComesBetweenHeadersAndTheirContinuation(t *testing.T) { // 4.3/2-3, 5.5/2, 6.2/1-2, 6.10/2-3
	between := map[string]func(c *conn){
		"PRIORITY":                   func(c *conn) { c.Frame(frame.Priority, 0, 1, dependency(0, 255)) },
		"HEADERS of another stream":  func(c *conn) { c.Frame(frame.Headers, frame.EndHeaders, 3, nil) },
		"HEADERS of the same":        func(c *conn) { c.Frame(frame.Headers, frame.EndHeaders, 1, nil) },
		"a frame of an unknown type": func(c *conn) { c.Frame(unknown, 0, 0, make([]byte, 8)) },
		"DATA":                       func(c *conn) { c.ask(1, frame.EndStream, "a") },
		"PING":                       func(c *conn) { c.Frame(frame.Ping, 0, 0, make([]byte, 8)) },
		"SETTINGS":                   func(c *conn) { c.Send(frame.AppendSettings(nil)) },
		"RST_STREAM":                 func(c *conn) { c.Reset(1, frame.Cancel) },
		"WINDOW_UPDATE":              func(c *conn) { c.WindowUpdate(0, 1) },
		"CONTINUATION of stream 0":   func(c *conn) { c.Frame(frame.Continuation, frame.EndHeaders, 0, nil) },
		"CONTINUATION of another":    func(c *conn) { c.Frame(frame.Continuation, frame.EndHeaders, 3, nil) },
		"DATA after a CONTINUATION":  func(c *conn) { c.Frame(frame.Continuation, 0, 1, nil); c.ask(1, frame.EndStream, "a") },
		"HEADERS after a CONTINUATION": func(c *conn) {
			c.Frame(frame.Continuation, 0, 1, nil)
			c.Frame(frame.Headers, frame.EndHeaders, 1, nil)
		},
	}
	for name, send := range between {
		t.Run("of a request: "+name, func(t *testing.T) {
			each(t, func(c *conn) {
				c.Frame(frame.Headers, 0, 1, c.Block(c.shape.fields()...))
				send(c)
				c.ExpectConnectionError(frame.ProtocolError)
			})
		})
		t.Run("of trailers: "+name, func(t *testing.T) {
			each(t, func(c *conn) {
				c.running(1)
				c.Frame(frame.Headers, frame.EndStream, 1, c.Block("x-test", "ok"))
				send(c)
				c.ExpectConnectionError(frame.ProtocolError)
			})
		})
	}
}

func TestAContinuationOfNothingIsAnError(t *testing.T) { // 6.10/4-6
	for name, send := range map[string]func(c *conn){
		"after HEADERS that are complete": func(c *conn) { c.open(1) },
		"after a CONTINUATION that is the last": func(c *conn) {
			c.Frame(frame.Headers, 0, 1, c.Block(c.shape.fields()...))
			c.Frame(frame.Continuation, frame.EndHeaders, 1, nil)
		},
		"after DATA": func(c *conn) { c.running(1) },
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(c *conn) {
				send(c)
				c.Frame(frame.Continuation, frame.EndHeaders, 1, c.Block("x-test", "ok"))
				c.ExpectConnectionError(frame.ProtocolError)
			})
		})
	}
}

func TestBlocksThatCannotBeDecodedEndTheConnection(t *testing.T) { // 4.3/1, HPACK 2.3.3 to 6.3
	for name, block := range map[string]string{
		"4.3/1: a literal without its strings":         "\x40",
		"2.3.3/1: an index that is not there":          "\xc6",
		"4.2/1: a size update at the end":              "\x00\x01a\x01b\x20",
		"5.2/1: Huffman padding of more than 7 bits":   "\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff",
		"5.2/2: Huffman padding of zeros":              "\x00\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x90",
		"5.2/3: Huffman with the end-of-string symbol": "\x00\x85\xf2\xb2\x4a\x84\xff\x87\x49\x51\xff\xff\xff\xfa\x7f",
		"6.1/1: index 0":                               "\x80",
		"6.3/1: a table that is too large":             "\x3f\xff\xff\xff\x0f",
		"an integer without end":                       "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
	} {
		t.Run("of a request: "+name, func(t *testing.T) {
			each(t, func(c *conn) {
				c.running(1)
				c.Frame(frame.Headers, frame.EndHeaders, 3, append(c.Block(c.shape.fields()...), block...))
				c.ExpectConnectionError(frame.CompressionError)
			})
		})
		t.Run("of trailers: "+name, func(t *testing.T) {
			each(t, func(c *conn) {
				c.running(1)
				c.Frame(frame.Headers, frame.EndHeaders|frame.EndStream, 1, []byte(block))
				c.ExpectConnectionError(frame.CompressionError)
			})
		})
	}
}
