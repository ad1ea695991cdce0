package differential

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// compression is bodies that are compressed, and ones that only say so.
func compression() (all []call) {
	for _, w := range wires() {
		message := w.message(3000)
		bomb := gzipped(make([]byte, 20*limit))
		for _, method := range allShapes {
			add := func(name string, body []byte, more ...field) {
				all = append(all, w.whole("compression/"+name+" in "+method, method, body, more...))
			}
			bare := w.bare && isUnary(method)
			encoding, wrap := w.encoding, func(flags byte, b []byte) []byte { return enveloped(flags, b) }
			accept := w.accept
			if bare {
				encoding, accept, wrap = "content-encoding", "accept-encoding", func(_ byte, b []byte) []byte { return b }
			}
			gzip, zstd := gzipped(message), zstded(message)
			add("gzip", wrap(1, gzip), field{encoding, "gzip"})
			add("gzip, accepting gzip", wrap(1, gzip), field{encoding, "gzip"}, field{accept, "gzip"})
			add("gzip of nothing", wrap(1, gzipped(nil)), field{encoding, "gzip"})
			add("gzip, flagged but empty", wrap(1, nil), field{encoding, "gzip"})
			add("gzip announced, not used", wrap(0, message), field{encoding, "gzip"})
			add("zstd", wrap(1, zstd), field{encoding, "zstd"})
			add("zstd, accepting zstd", wrap(1, zstd), field{encoding, "zstd"}, field{accept, "zstd"})
			add("zstd announced, not used", wrap(0, message), field{encoding, "zstd"})
			add("unknown encoding, and metadata", wrap(1, gzip), field{encoding, "brotli"}, do("hdr:x-h:1", "recv", "echo"))
			add("identity", wrap(0, message), field{encoding, "identity"})
			add("identity with the flag", wrap(1, message), field{encoding, "identity"})
			add("empty encoding", wrap(0, message), field{encoding, ""})
			add("empty encoding with the flag", wrap(1, message), field{encoding, ""})
			add("unknown encoding", wrap(1, gzip), field{encoding, "brotli"})
			add("unknown encoding, not used", wrap(0, message), field{encoding, "brotli"})
			add("upper-case encoding", wrap(1, gzip), field{encoding, "GZIP"})
			add("the flag without an encoding", wrap(1, gzip))
			add("corrupt header", wrap(1, []byte("this is not gzip")), field{encoding, "gzip"})
			add("corrupt middle", wrap(1, append(bytes.Clone(gzip[:20]), bytes.Repeat([]byte{0xff}, 10)...)), field{encoding, "gzip"})
			add("truncated", wrap(1, gzip[:len(gzip)-3]), field{encoding, "gzip"})
			add("wrong checksum", wrap(1, append(bytes.Clone(gzip[:len(gzip)-8]), make([]byte, 8)...)), field{encoding, "gzip"})
			add("two members", wrap(1, append(bytes.Clone(gzip), gzipped(nil)...)), field{encoding, "gzip"})
			add("garbage after", wrap(1, append(bytes.Clone(gzip), "garbage"...)), field{encoding, "gzip"})
			add("corrupt zstd", wrap(1, []byte("this is not zstd")), field{encoding, "zstd"})
			add("inflates to the limit", wrap(1, gzipped(w.sized(limit))), field{encoding, "gzip"})
			add("inflates beyond the limit", wrap(1, gzipped(w.sized(limit+1))), field{encoding, "gzip"})
			add("bomb", wrap(1, bomb), field{encoding, "gzip"})
			add("corrupt message", wrap(1, gzipped([]byte{0xff, 0xff})), field{encoding, "gzip"})
			add("the wrong one", wrap(1, zstd), field{encoding, "gzip"})
			for _, accepted := range []string{"gzip", "identity", "zstd", "gzip, zstd", "zstd,gzip", "identity,gzip", "br", "", "GZIP", "gzip;q=0", "*", " gzip ", "deflate, gzip"} {
				add(fmt.Sprintf("accepting %q", accepted), wrap(0, message), field{accept, accepted}, do("recv", "send:3000"))
			}
			add("accepting in two fields", wrap(0, message), field{accept, "br"}, field{accept, "gzip"}, do("recv", "send:3000"))
			add("accepting, small answer", wrap(0, message), field{accept, "gzip"}, do("recv", "send:10"))
			add("accepting, no answer", wrap(0, message), field{accept, "gzip"}, do("recv", "fail:5:no"))
			for _, n := range []int{1018, 1019, 1020, 1021, 1022, 1023, 1024} { // around the size from which it is worth it
				add(fmt.Sprintf("accepting, answer of %d", n), wrap(0, message), field{accept, "gzip"}, do("recv", fmt.Sprint("send:", n)))
			}
			if method == "Bidi" || method == "ClientStream" {
				mixed := bytes.Join([][]byte{enveloped(1, gzip), enveloped(0, message), enveloped(1, gzip)}, nil)
				add("some are, some are not", mixed, field{encoding, "gzip"}, field{accept, "gzip"})
				add("the second is corrupt", append(enveloped(1, gzip), enveloped(1, gzip[:30])...), field{encoding, "gzip"})
			}
		}
		other := "content-encoding"
		if w.bare {
			other = "grpc-encoding"
		}
		all = append(all, w.whole("compression/named in the field of another protocol", "Unary", w.body("Unary", 10), field{other, "gzip"}))
		all = append(all, w.whole("compression/named twice", "Unary", w.body("Unary", 10), field{w.encoding, "gzip"}, field{w.encoding, "identity"}))
	}
	return all
}

// sized is a message of exactly n bytes.
func (w wire) sized(n int) []byte {
	if !w.json {
		return value(n)
	}
	return append(bytes.Repeat([]byte(" "), n-6), `"AAEC"`...)
}

// envelopes are prefixes and messages that are not what they should be.
func envelopes() (all []call) {
	for _, w := range wires() {
		message := w.message(10)
		good := enveloped(0, message)
		for _, method := range allShapes {
			bare := w.bare && isUnary(method)
			add := func(name string, body []byte) {
				all = append(all, w.whole("envelopes/"+name+" in "+method, method, body))
			}
			add("corrupt message", w.envelope(bare, 0, []byte{0xff, 0xff, 0xff}))
			add("message that is cut off", w.envelope(bare, 0, message[:len(message)-1]))
			add("unknown field", w.envelope(bare, 0, []byte{0x7a, 0x03, 1, 2, 3}))
			add("wrong wire type", w.envelope(bare, 0, []byte{0x08, 0x01}))
			add("random text", []byte("GET / HTTP/1.1\r\n\r\n"))
			if bare {
				continue
			}
			for _, flags := range []byte{2, 3, 4, 0x80, 0x81, 0xff} {
				add(fmt.Sprintf("flags %#x", flags), enveloped(flags, message))
				add(fmt.Sprintf("flags %#x after a message", flags), append(bytes.Clone(good), enveloped(flags, message)...))
				add(fmt.Sprintf("flags %#x and nothing", flags), enveloped(flags, nil))
			}
			for n := range 5 {
				add(fmt.Sprintf("%d bytes of a prefix", n), good[:n])
				add(fmt.Sprintf("%d bytes of a prefix after a message", n), append(bytes.Clone(good), good[:n]...))
			}
			add("the prefix alone", good[:5])
			add("all but one byte", good[:len(good)-1])
			add("one byte more", append(bytes.Clone(good), 0))
			add("a byte of junk more", append(bytes.Clone(good), 0xff))
			add("a length beyond the body", append(prefix(0, len(message)+1), message...))
			add("a length at the limit", append(prefix(0, limit), message...))
			add("a length beyond the limit", append(prefix(0, limit+1), message...))
			add("the largest length", append([]byte{0, 0xff, 0xff, 0xff, 0xff}, message...))
			add("the largest length, compressed", append([]byte{1, 0xff, 0xff, 0xff, 0xff}, message...))
			add("a negative length", append([]byte{0, 0x80, 0, 0, 0}, message...))
			add("a length that is shorter", append(prefix(0, len(message)-1), message...))
			add("two messages", append(bytes.Clone(good), good...))
			add("a message and an end of Connect's", append(bytes.Clone(good), enveloped(2, []byte("{}"))...))
			add("a message and trailers of the Web's", append(bytes.Clone(good), enveloped(0x80, []byte("x: y\r\n"))...))
		}
	}
	json := wireNamed("json")
	for _, body := range []string{
		``, `{}`, `null`, `""`, `"AA"`, `"AA=="`, `"***"`, `1`, `true`, `[]`, `"AAEC" `, ` "AAEC"`, `"AAEC"x`, `"AAEC""AAEC"`, `"`, "\ufeff\"AAEC\"", `"\u0041AEC"`, "\"\xff\"", `{"value":"AAEC"}`,
	} {
		for _, method := range []string{"Unary", "ServerStream"} {
			b := []byte(body)
			if method != "Unary" {
				b = enveloped(0, b)
			}
			all = append(all, json.whole(fmt.Sprintf("envelopes/text %q in %s", body, method), method, b))
		}
		all = append(all, wireNamed("grpcjson").whole(fmt.Sprintf("envelopes/text %q", body), "Unary", enveloped(0, []byte(body))))
	}
	return all
}

func (w wire) envelope(bare bool, flags byte, message []byte) []byte {
	if bare {
		return message
	}
	return enveloped(flags, message)
}

// streams are handlers that read little, answer early, or answer much.
func streams() (all []call) {
	for _, w := range wires() {
		three := w.body("Bidi", 10, 20, 30)
		for _, method := range []string{"ClientStream", "Bidi"} {
			for name, script := range map[string][]string{
				"reads one of three": {"recv", "echo"}, "reads none": {"send:10"}, "fails after one": {"recv", "fail:5:no"}, "fails at once": {"fail:5:no:detail"},
				"answers, then reads all": {"hdr:x-a:1", "send:10", "recvall"}, "reads after the end": {"recvall", "recv", "send:1"}, "reads all, fails": {"recvall", "fail:11:no"},
			} {
				all = append(all, w.whole("streams/"+name+" in "+method, method, three, do(script...)))
			}
		}
		all = append(all,
			call{name: w.name + "/streams/ping-pong", steps: []step{
				w.open("Bidi"),
				sendData{body: w.body("Bidi", 10)},
				awaitBody(len(w.body("Bidi", 10))),
				sendData{body: w.body("Bidi", 40_000)},
				awaitBody(len(w.body("Bidi", 10, 40_000))),
				sendData{body: w.body("Bidi", 0)},
				awaitBody(len(w.body("Bidi", 10, 40_000, 0))),
				sendData{end: true},
			}},
			call{name: w.name + "/streams/the header comes before messages", steps: []step{
				w.open("Bidi", do("hdr:x-a:1", "send:10", "recvall", "trl:x-b:2")), awaitHeader(), awaitBody(10), sendData{body: w.body("Bidi", 10), end: true},
			}},
			call{name: w.name + "/streams/answers come while the request is open", steps: []step{
				w.open("Bidi", do("send:1000:20", "recvall", "send:5")), awaitBody(20_000), sendData{body: w.body("Bidi", 10)}, awaitReceived(1), sendData{end: true},
			}},
			w.whole("streams/large both ways", "Bidi", w.body("Bidi", slicesOf(10, 90_000)...)),
			w.whole("streams/a large request is left unread", "Bidi", w.body("Bidi", slicesOf(40, 90_000)...), do("recv", "send:10")),
			w.whole("streams/a server stream is asked twice", "ServerStream", w.body("ServerStream", 10, 20)),
			w.whole("streams/a server stream reads twice", "ServerStream", w.body("ServerStream", 10), do("recv", "recv", "send:1")),
			w.whole("streams/a unary call reads twice", "Unary", w.body("Unary", 10), do("recv", "recvall", "echo")),
		)
	}
	return all
}

// connectGet is Connect's unary call by GET.
func connectGet() (all []call) {
	encoded := base64.RawURLEncoding.EncodeToString(value(50))
	gz := base64.RawURLEncoding.EncodeToString(gzipped(value(50)))
	for name, query := range map[string]string{
		"proto": "?connect=v1&encoding=proto&base64=1&message=" + encoded, "padded": "?connect=v1&encoding=proto&base64=1&message=" + base64.URLEncoding.EncodeToString(value(50)),
		"json": "?connect=v1&encoding=json&message=%22AAEC%22", "gzip": "?connect=v1&encoding=proto&base64=1&compression=gzip&message=" + gz, "no message": "?connect=v1&encoding=proto",
		"empty message": "?connect=v1&encoding=proto&message=", "no encoding": "?connect=v1&message=x", "unknown encoding": "?connect=v1&encoding=xml&message=x",
		"unknown version": "?connect=v2&encoding=json&message=%22AAEC%22", "no version": "?encoding=json&message=%22AAEC%22", "no query": "", "bad base64": "?connect=v1&encoding=proto&base64=1&message=***",
		"unknown compression": "?connect=v1&encoding=proto&base64=1&compression=br&message=" + encoded, "bad escape": "?connect=v1&encoding=json&message=%zz", "twice": "?message=%22AA%22&connect=v1&encoding=json&message=%22AAEC%22",
		"large": "?connect=v1&encoding=json&message=%22" + strings.Repeat("A", 8000) + "%22", "semicolon": "?connect=v1;encoding=json&message=%22AAEC%22",
	} {
		for _, method := range []string{"Get", "Unary", "ServerStream"} {
			for _, verb := range []string{"GET", "HEAD"} {
				fields := []field{{":method", verb}, {":scheme", "http"}, {":path", "/" + service + "/" + method + query}, {":authority", "test.example"}}
				all = append(all, call{name: fmt.Sprintf("get/%s %s %s", verb, method, name), steps: []step{sendHeaders{fields: fields, end: true}}})
				if method == "Get" && verb == "GET" {
					fields = append(fields, do("hdr:x-a:1", "recv", "trl:x-b:2", "send:3000"), field{"accept-encoding", "gzip"}, field{"connect-timeout-ms", "100000"})
					all = append(all, call{name: "get/with everything, " + name, steps: []step{sendHeaders{fields: fields, end: true}}},
						call{name: "get/with a body, " + name, steps: []step{sendHeaders{fields: fields}, sendData{body: []byte("body"), end: true}}})
				}
			}
		}
	}
	return all
}

// messagesOfOtherTypes are well-known types whose JSON is their own.
func messagesOfOtherTypes() (all []call) {
	fields, err := structpb.NewStruct(map[string]any{"a": []any{"x", nil, true, 1.5, map[string]any{"d": "e"}}}) // one key: maps have no order
	if err != nil {
		return nil
	}
	encoded, _ := proto.MarshalOptions{Deterministic: true}.Marshal(fields) // made of valid text
	for _, w := range wires() {
		content := encoded
		if w.json {
			content = []byte(`{"a": ["x", null, true, 1.5, {"d": "e"}]}`)
		}
		empty := []byte(nil)
		if w.json {
			empty = []byte("{}")
		}
		all = append(all,
			w.whole("types/struct", "Struct", w.envelope(w.bare, 0, content)),
			w.whole("types/empty", "Empty", w.envelope(w.bare, 0, empty)),
			w.whole("types/empty with content", "Empty", w.envelope(w.bare, 0, content)),
			w.whole("types/invalid UTF-8", "Struct", w.envelope(w.bare, 0, []byte{0x0a, 0x06, 0x0a, 0x01, 0xff, 0x12, 0x01, 0x00})),
		)
	}
	return all
}
