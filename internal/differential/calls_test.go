package differential

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/h2/frame"
)

// wire is a way to put calls on the wire.
type wire struct {
	name string
	// unary and streaming are content types.
	unary, streaming string
	// bare tells that a unary message has no prefix.
	bare bool
	// timeout is the field that has the deadline, encoding and accept those of compression of streams.
	timeout, encoding, accept string
	json                      bool
}

func wires() []wire {
	return []wire{
		{"grpc", "application/grpc", "application/grpc+proto", false, "grpc-timeout", "grpc-encoding", "grpc-accept-encoding", false},
		{"grpcweb", "application/grpc-web+proto", "application/grpc-web+proto", false, "grpc-timeout", "grpc-encoding", "grpc-accept-encoding", false},
		{"connect", "application/proto", "application/connect+proto", true, "connect-timeout-ms", "connect-content-encoding", "connect-accept-encoding", false},
		{"json", "application/json", "application/connect+json", true, "connect-timeout-ms", "connect-content-encoding", "connect-accept-encoding", true},
		{"grpcjson", "application/grpc+json", "application/grpc+json", false, "grpc-timeout", "grpc-encoding", "grpc-accept-encoding", true},
	}
}

// wireNamed is a wire by its name.
func wireNamed(name string) wire {
	for _, w := range wires() {
		if w.name == name {
			return w
		}
	}
	return wire{}
}

// message is a value of n bytes as the wire has it.
func (w wire) message(n int) []byte {
	if !w.json {
		return value(n)
	}
	return []byte(`"` + base64.StdEncoding.EncodeToString(pattern(n)) + `"`)
}

// body is messages as the wire has them for a method.
func (w wire) body(method string, sizes ...int) []byte {
	var b []byte
	for _, n := range sizes {
		if w.bare && isUnary(method) {
			b = append(b, w.message(n)...)
			continue
		}
		b = append(b, enveloped(0, w.message(n))...)
	}
	return b
}

func isUnary(method string) bool {
	return method != "ServerStream" && method != "ClientStream" && method != "Bidi"
}

func (w wire) contentType(method string) string {
	if isUnary(method) {
		return w.unary
	}
	return w.streaming
}

// open is the header of a call.
func (w wire) open(method string, more ...field) sendHeaders {
	return sendHeaders{fields: header("/"+service+"/"+method, w.contentType(method), more...)}
}

// whole is a call that is sent at once.
func (w wire) whole(name, method string, body []byte, more ...field) call {
	return call{name: w.name + "/" + name, steps: []step{w.open(method, more...), sendData{body: body, end: true}}}
}

// do is a script for the handler.
func do(steps ...string) field { return field{doHeader, strings.Join(steps, ";")} }

func esc(s string) string { return url.QueryEscape(s) }

// systematic are the calls that are made every time.
func systematic() []call {
	var all []call
	for _, group := range []func() []call{
		shapes, sizes, windows, deadlines, malformedDeadlines, cancels, metadataCalls, responseMetadata, outcomes, contentTypeCalls, compression, envelopes, streams, targets,
		headerRules, lengths, halfOpen, connectGet, messagesOfOtherTypes,
	} {
		all = append(all, group()...)
	}
	return all
}

var allShapes = []string{"Unary", "ServerStream", "ClientStream", "Bidi"}

// shapes are calls of every shape over every wire, as clients make them.
func shapes() (all []call) {
	for _, w := range wires() {
		for _, method := range allShapes {
			for count := range 4 {
				if count > 1 && (method == "Unary" && w.bare) {
					continue
				}
				sizes := []int{10, 0, 300}[:count]
				all = append(all, w.whole(fmt.Sprintf("shapes/%s/%d messages", method, count), method, w.body(method, sizes...)))
			}
			// A message for a frame, each after the handler has the one before.
			steps := []step{w.open(method)}
			for i := range 2 {
				steps = append(steps, sendData{body: w.body(method, 10+i)})
				if !isUnary(method) && method != "ServerStream" {
					steps = append(steps, awaitReceived(i+1))
				}
				if isUnary(method) || method == "ServerStream" {
					break
				}
			}
			steps = append(steps, sendData{end: true})
			all = append(all, call{name: w.name + "/shapes/" + method + "/in turns", steps: steps})
		}
	}
	return all
}

// sizes are messages around every limit.
func sizes() (all []call) {
	around := []int{
		0, 2, 3, 127, 128, 129, 130, 131, 132, frame.DefaultMaxSize - 6, frame.DefaultMaxSize - 5, frame.DefaultMaxSize - 4, frame.DefaultMaxSize, frame.DefaultMaxSize + 1,
		frame.DefaultWindow - 6, frame.DefaultWindow - 5, frame.DefaultWindow - 4, frame.DefaultWindow, frame.DefaultWindow + 1, limit - 1, limit, limit + 1, 2 * limit, 5 * limit,
	}
	for _, w := range wires() {
		if w.json {
			continue
		}
		for _, method := range allShapes {
			for _, n := range around {
				all = append(all, w.whole(fmt.Sprintf("sizes/%s/%d", method, n), method, w.body(method, n)))
			}
			// What is too large comes after what is not.
			if method == "ClientStream" || method == "Bidi" {
				all = append(all, w.whole("sizes/"+method+"/the second is too large", method, w.body(method, 10, limit+1, 10)))
				all = append(all, w.whole("sizes/"+method+"/many", method, w.body(method, slicesOf(200, 1000)...)))
			}
		}
		for _, n := range around {
			all = append(all, w.whole(fmt.Sprintf("sizes/answer/%d", n), "Unary", w.body("Unary", 2), do("recv", fmt.Sprint("send:", n))))
			all = append(all, w.whole(fmt.Sprintf("sizes/answers/%d", n), "ServerStream", w.body("ServerStream", 2), do("recv", fmt.Sprintf("send:%d:3", n))))
		}
		all = append(all,
			w.whole("sizes/many answers", "ServerStream", w.body("ServerStream", 2), do("recv", "send:100:2000")),
			w.whole("sizes/default limit", "Large", w.body("Large", 4<<20)),
			w.whole("sizes/more than the default limit", "Large", w.body("Large", 4<<20+1)))
		// Frames that split prefixes and messages.
		for _, most := range []int{1, 2, 4, 5, 6, 7} {
			for _, method := range allShapes {
				c := call{name: fmt.Sprintf("%s/frames/%s/of %d", w.name, method, most), steps: []step{w.open(method), sendData{body: w.body(method, 10), end: true, most: most}}}
				if method == "Bidi" || method == "ClientStream" {
					c.steps[1] = sendData{body: w.body(method, 10, 0, 20, 3), end: true, most: most}
				}
				all = append(all, c)
			}
		}
		for _, padding := range []int{1, 200, 255} {
			all = append(all, call{name: fmt.Sprintf("%s/frames/padded by %d", w.name, padding), steps: []step{
				w.open("Bidi"), sendData{body: w.body("Bidi", 10, 40_000, 3), end: true, padding: padding},
			}})
		}
		all = append(all, call{name: w.name + "/frames/empty ones between", steps: []step{
			w.open("Unary"), sendData{}, sendData{body: w.body("Unary", 10)[:3]}, sendData{}, sendData{body: w.body("Unary", 10)[3:]}, sendData{}, sendData{end: true},
		}})
	}
	return all
}

func slicesOf(n, size int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = size
	}
	return all
}

// windows are answers to clients that take little at a time.
func windows() (all []call) {
	for _, w := range wires() {
		for _, window := range []uint32{1, 5, 6, 100, 16_383, frame.DefaultWindow} {
			n := min(60_000, 200*int(window))
			unary := w.whole(fmt.Sprintf("windows/unary/%d", window), "Unary", w.body("Unary", 2), do("recv", fmt.Sprint("send:", n)))
			stream := w.whole(fmt.Sprintf("windows/stream/%d", window), "ServerStream", w.body("ServerStream", 2), do("recv", fmt.Sprintf("send:%d:5", n/5)))
			unary.window, stream.window = window, window
			if !w.json {
				all = append(all, unary, stream)
			}
		}
		frames := w.whole("windows/large frames are welcome", "Unary", w.body("Unary", 2), do("recv", "send:90000"))
		frames.settings = []frame.Setting{{ID: frame.MaxFrameSize, Value: 1 << 20}}
		table := w.whole("windows/no header table", "Unary", w.body("Unary", 2), do("hdr:x-a:1", "recv", "echo", "trl:x-b:2"))
		table.settings = []frame.Setting{{ID: frame.HeaderTableSize, Value: 0}}
		all = append(all, frames, table)
	}
	return all
}

// timeoutIn is a deadline of seconds as a wire has it.
func (w wire) timeoutIn(ms int) field {
	if strings.HasPrefix(w.timeout, "grpc") {
		return field{w.timeout, fmt.Sprint(ms, "m")}
	}
	return field{w.timeout, fmt.Sprint(ms)}
}

// short is for calls that connect-go never ends: a deadline does not wake a handler of its that receives.
const short = 2 * time.Second

// briefly is a deadline in milliseconds that passes while something waits, but not before a request has arrived on a busy machine.
const briefly = 150

// deadlines pass while a handler waits, and are seen by it before.
func deadlines() (all []call) {
	for _, w := range wires() {
		for _, method := range allShapes {
			all = append(all,
				w.whole("deadlines/passes in "+method, method, w.body(method, 10), w.timeoutIn(briefly), do("recv", "wait")),
				w.whole("deadlines/is far in "+method, method, w.body(method, 10), w.timeoutIn(3_600_000)),
				w.whole("deadlines/passes after answers in "+method, method, w.body(method, 10), w.timeoutIn(briefly), do("recv", "hdr:x-a:1", "trl:x-b:2", "echo", "wait")),
			)
			if method == "ClientStream" || method == "Bidi" {
				all = append(all, call{name: w.name + "/deadlines/while receiving in " + method, patience: short, steps: []step{
					w.open(method, w.timeoutIn(briefly)), sendData{body: w.body(method, 10)}, awaitEnd(),
				}})
			}
			all = append(all, call{name: w.name + "/deadlines/before the message in " + method, patience: short, steps: []step{w.open(method, w.timeoutIn(briefly)), awaitEnd()}})
			all = append(all, call{name: w.name + "/deadlines/within the message in " + method, patience: short, steps: []step{
				w.open(method, w.timeoutIn(briefly)), sendData{body: w.body(method, 100)[:50]}, awaitEnd(),
			}})
		}
	}
	w := wireNamed("grpc")
	for _, text := range []string{
		"1H", "99999999H", "3H", "90M", "99999999M", "100S", "99999999S", "60000m", "99999999m", "60000000u", "99999999u", "99999999n", "00000100S", "010S", "1S",
	} {
		for _, method := range []string{"Unary", "Bidi"} {
			all = append(all, w.whole("deadlines/"+text+" in "+method, method, w.body(method, 10), field{"grpc-timeout", text}))
		}
	}
	for _, text := range []string{"150m", "150000u", "99999999n", "100n", "1u", "1n", "0S", "0n", "0m", "00000000H"} {
		// Not in a unary call: there, the deadline and the message race in the standard front, which takes the message in first.
		all = append(all, w.whole("deadlines/"+text+" passes", "Bidi", w.body("Bidi", 10), field{"grpc-timeout", text}, do("recv", "wait")))
	}
	c := wireNamed("connect")
	for _, text := range []string{"1000000", "9999999999", "0001000000"} {
		all = append(all, c.whole("deadlines/"+text, "Unary", c.body("Unary", 10), field{c.timeout, text}), c.whole("deadlines/"+text+" in a stream", "Bidi", c.body("Bidi", 10), field{c.timeout, text}))
	}
	return all
}

// malformedDeadlines are what is no deadline.
func malformedDeadlines() (all []call) {
	bad := []string{
		"", "1", "S", "1X", "-1S", "+1S", "123456789S", "1s", "1h", "1M ", "1 S", "1.5S", "0x1S", "1SS", "S1", "n", "1e3S", "99999999999999999999S", "1\u00b5", "-0S", "000000001S", "1_0S",
	}
	for _, name := range []string{"grpc", "grpcweb"} {
		w := wireNamed(name)
		for _, text := range bad {
			for _, method := range []string{"Unary", "Bidi"} {
				if text == "-0S" && method == "Unary" {
					continue // it is a deadline to the standard front, and races with the message
				}
				all = append(all, w.whole(fmt.Sprintf("malformed deadlines/%q in %s", text, method), method, w.body(method, 10), field{w.timeout, text}))
			}
		}
		all = append(all, w.whole("malformed deadlines/two", "Unary", w.body("Unary", 10), field{w.timeout, "100S"}, field{w.timeout, "3H"}))
	}
	w := wireNamed("connect")
	for _, text := range []string{"", "0", "-1", "+100000", "1.5", "x", "99999999999", "00001000000", "1S"} {
		for _, method := range []string{"Unary", "Bidi"} {
			if method == "Unary" && strings.HasSuffix(text, "0") && len(text) == 1 {
				continue // as above
			}
			all = append(all, w.whole(fmt.Sprintf("malformed deadlines/%q in %s", text, method), method, w.body(method, 10), field{w.timeout, text}))
		}
	}
	return all
}

// cancels are calls that are given up, at every point that they have.
func cancels() (all []call) {
	for _, w := range wires() {
		for _, method := range allShapes {
			open := w.open(method, do("recv", "hdr:x-a:1", "echo", "wait"))
			body := w.body(method, 100)
			reset := sendReset{frame.Cancel}
			add := func(name string, steps ...step) {
				all = append(all, call{name: w.name + "/cancels/" + method + "/" + name, steps: steps})
			}
			streaming := method == "ClientStream" || method == "Bidi"
			add("after the header", open, reset)
			add("after the header was taken in", open, pause{}, reset)
			add("within the prefix", open, sendData{body: body[:3]}, pause{}, reset)
			add("within the message", open, sendData{body: body[:50]}, pause{}, reset)
			add("while the handler waits", open, sendData{body: body, end: true}, awaitReceived(1), reset)
			add("with another code", open, sendData{body: body, end: true}, awaitReceived(1), sendReset{frame.InternalError})
			add("with no error", open, sendData{body: body, end: true}, awaitReceived(1), sendReset{frame.NoError})
			add("twice", open, sendData{body: body, end: true}, awaitReceived(1), reset, reset)
			if streaming {
				add("before the half-close", open, sendData{body: body}, awaitReceived(1), reset)
				echoing := w.open(method, do("recvall", "sum"))
				add("while the handler receives", echoing, sendData{body: body}, awaitReceived(1), reset)
				add("within the second message", echoing, sendData{body: append(bytes.Clone(body), body[:50]...)}, awaitReceived(1), pause{}, reset)
				add("within the second prefix", echoing, sendData{body: append(bytes.Clone(body), body[:3]...)}, awaitReceived(1), pause{}, reset)
			}
			if method == "Bidi" || method == "ServerStream" {
				add("after the response's header", open, sendData{body: body, end: true}, awaitHeader(), reset)
				add("after the first answer", open, sendData{body: body, end: true}, awaitBody(100), reset)
				sending := w.open(method, do("recv", "send:90000:100"))
				c := call{name: w.name + "/cancels/" + method + "/while the handler sends", window: 5, steps: []step{sending, sendData{body: body, end: true}, awaitBody(20), reset}}
				all = append(all, c)
			}
			whole := w.open(method)
			add("after all is over", whole, sendData{body: body, end: true}, awaitEnd(), reset)
		}
	}
	block := sendRaw{"half a header block", frame.AppendHeader(nil, frame.Header{Type: frame.Headers, StreamID: streamID})}
	all = append(all, call{name: "grpc/cancels/within the header block", steps: []step{block, sendReset{frame.Cancel}}})
	return all
}

// halfOpen are calls whose client never finishes: the handler answers, or the deadline passes.
func halfOpen() (all []call) {
	for _, w := range wires() {
		for _, method := range []string{"ClientStream", "Bidi"} {
			for _, script := range []string{"recv;echo", "echo", "fail:5:no", "send:10", "recv;send:90000", "recv;fail:9:no:detail", "done"} {
				if strings.HasPrefix(script, "echo") {
					script = "send:3"
				}
				all = append(all, call{name: w.name + "/half open/" + method + "/" + script, steps: []step{
					w.open(method, field{doHeader, script}), sendData{body: w.body(method, 10)}, awaitEnd(),
				}})
				all = append(all, call{name: w.name + "/half open/" + method + "/" + script + " and more comes", steps: []step{
					w.open(method, field{doHeader, script}), sendData{body: w.body(method, 10)}, awaitEnd(), sendData{body: w.body(method, 10)}, pause{},
				}})
			}
		}
		all = append(all,
			call{name: w.name + "/half open/refused by its path", steps: []step{sendHeaders{fields: header("/"+service+"/None", w.unary)}, awaitEnd()}},
			call{name: w.name + "/half open/refused by its method", steps: []step{
				sendHeaders{fields: replaced(header("/"+service+"/Unary", w.unary), ":method", "PUT")}, awaitEnd(),
			}},
			call{name: w.name + "/half open/too large", patience: short, steps: []step{w.open("Unary"), sendData{body: prefix(0, 2*limit)}, awaitEnd()}},
		)
		for _, method := range allShapes {
			all = append(all,
				call{name: w.name + "/half open/" + method + " ends with trailers", steps: []step{
					w.open(method), sendData{body: w.body(method, 10)}, sendHeaders{fields: []field{{"x-end", "1"}}, end: true},
				}},
				call{name: w.name + "/half open/" + method + " ends with its header", steps: []step{sendHeaders{fields: w.open(method).fields, end: true}}},
			)
		}
		all = append(all, call{name: w.name + "/half open/trailers that end nothing", steps: []step{
			w.open("Bidi"), sendData{body: w.body("Bidi", 10)}, sendHeaders{fields: []field{{"x-end", "1"}}}, awaitEnd(),
		}})
	}
	return all
}

func prefix(flags byte, size int) []byte {
	return binary.BigEndian.AppendUint32([]byte{flags}, uint32(size))
}

// replaced is a header with another value for a field.
func replaced(fields []field, name, value string) []field {
	out := make([]field, 0, len(fields))
	for _, f := range fields {
		if f.name == name {
			f.value = value
		}
		out = append(out, f)
	}
	return out
}

// without is a header without a field.
func without(fields []field, name string) []field {
	out := make([]field, 0, len(fields))
	for _, f := range fields {
		if f.name != name {
			out = append(out, f)
		}
	}
	return out
}

// outcomes are all the ways in which a handler ends a call.
func outcomes() (all []call) {
	for _, w := range wires() {
		for _, method := range allShapes {
			for code := fault.OK; code <= fault.MaxCode+1; code++ {
				all = append(all, w.whole(fmt.Sprintf("outcomes/%s/%s", method, code), method, w.body(method, 10), do("recv", fmt.Sprintf("fail:%d:no", code))))
			}
			for name, script := range map[string][]string{
				"mute": {"recv", "mute:5"}, "details": {"recv", "fail:9:no:why"}, "defect": {"recv", "err"}, "canceled": {"recv", "ctxerr:canceled"},
				"deadline": {"recv", "ctxerr:deadline"}, "nothing": {"recv", "done"}, "nothing read": {"done"}, "failure, nothing read": {"fail:5:no"},
				"answer, nothing read": {"send:5"}, "failure after an answer": {"recv", "echo", "fail:5:no:detail"}, "two answers": {"recv", "send:5", "send:6"},
				"words": {"recv", "fail:3:" + esc("100% of \u00e4\u00f6\u00fc\n\"quoted\"\\ \x01 \x7f end ")}, "invalid words": {"recv", "fail:3:" + esc("\xff\xfe")},
				"long words":   {"recv", "fail:3:" + strings.Repeat("w", 10_000)},
				"long details": {"recv", "fail:3:no:" + strings.Repeat("d", 5_000)},
				"metadata and failure": {
					"hdr:x-head:a", "trl:x-trail:b", "trl:x-trail-bin:AAEC", "recv", "fail:5:no",
				},
				"metadata and answers": {"hdr:x-head:a", "recv", "echo", "trl:x-trail:b", "trl:x-trail-bin:AAEC"},
				"metadata, no answer":  {"hdr:x-head:a", "trl:x-trail:b", "recv", "done"},
				"late header":          {"recv", "echo", "hdr:x-late:a", "trl:x-trail:b"},
			} {
				all = append(all, w.whole("outcomes/"+method+"/"+name, method, w.body(method, 10), do(script...)))
			}
		}
	}
	return all
}
