package differential

import (
	"bytes"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/prismgate/prism/runtime/h2/frame"
)

// TestRandomCallsAreServedAlike compares the gateway's own front with the standard one on calls that are made up. -rapid.checks says how many each of the subtests
// makes; a failure is made as small as it can be, and its seed is printed.
func TestRandomCallsAreServedAlike(t *testing.T) {
	require.NoError(t, flag.Set("rapid.nofailfile", "true")) // the report has the call, frame by frame: nobody needs a file of what was drawn
	standard, own, referee := startFront(t, "standard", true), startFront(t, "own", false), startReferee(t)
	r := new(reach)
	list := compiled(differences())
	t.Run("all", func(t *testing.T) { // a group: the servers stay until its parallel tests have ended
		for part := range 10 {
			t.Run(fmt.Sprint(part), func(t *testing.T) {
				t.Parallel()
				rapid.Check(t, func(rt *rapid.T) {
					c := draw(rt)
					if err := r.judge(t.Context(), standard, own, referee, list, c); err != nil {
						rt.Fatalf("%v", err)
					}
				})
			})
		}
	})
}

// rarely is true in one of n cases, and shrinks to false.
func rarely(t *rapid.T, n int, what string) bool { return rapid.IntRange(0, n-1).Draw(t, what) == n-1 }

// draw makes up a call: mostly well-formed, with some things that are not.
func draw(t *rapid.T) call {
	w := rapid.SampledFrom(wires()).Draw(t, "wire")
	method := rapid.SampledFrom(allShapes).Draw(t, "method")
	one := isUnary(method) || method == "ServerStream"
	most := 4
	if one {
		most = 1
	}
	sizes := rapid.SliceOfN(rapid.OneOf(
		rapid.IntRange(0, 300), rapid.SampledFrom([]int{frame.DefaultMaxSize - 5, frame.DefaultWindow, limit - 1, limit, limit + 1}),
	), min(1, most), most).Draw(t, "sizes")
	for i, n := range sizes {
		if n == 1 {
			sizes[i] = 0
		}
		if w.json {
			sizes[i] = min(sizes[i], 300)
		}
	}
	fields := header("/"+service+"/"+method, w.contentType(method))
	tooLarge := slices.Max(append(sizes, 0)) > limit
	if !tooLarge && rarely(t, 4, "a deadline") { // the standard front refuses what is too large before it looks at the deadline
		fields = append(fields, w.timeoutIn(rapid.IntRange(100_000, 90_000_000).Draw(t, "deadline")))
	}
	fields = append(fields, rapid.SliceOfN(rapid.Custom(drawField), 0, 4).Draw(t, "metadata")...)
	// At most one thing is wrong, for which of two errors is told is nobody's business; and the call is named for it as systematic calls are: the list of differences goes by names.
	kind := rapid.SampledFrom([]string{"random", "random", "random", "random", "envelopes/random", "header"}).Draw(t, "kind")
	wrong := kind == "header"
	if wrong {
		for i := range sizes {
			sizes[i] = min(sizes[i], limit)
		}
		kind, fields = drawWrong(t, fields)
	}
	before := len(fields)
	body := drawBody(t, w, method, kind, sizes, &fields)
	// When the server ends the call before the client does, trailers come too late, and net/http may take that for an error of the connection.
	ends := []string{"data", "data", "data", "empty data"}
	if !wrong && len(fields) == before && !tooLarge && bytes.Equal(body, w.body(method, sizes...)) {
		ends = append(ends, "trailers")
	} else if script := rapid.SampledFrom([]string{
		"", "", "", "recv;fail:5:no:detail", "hdr:x-h:1;trl:x-t:2;recv;send:10", "recv;send:300:20", "recv;done", "recvall;send:2", "recv;err", "hdr:x-h-bin:AA;recv;trl:x-t-bin:AA;fail:9:%25",
	}).Draw(t, "script"); script != "" {
		fields = append(fields, field{doHeader, script})
	}
	c := call{name: w.name + "/" + kind + " in " + method}
	if rarely(t, 4, "a small window") {
		c.window = uint32(rapid.IntRange(50, 70_000).Draw(t, "window"))
	}
	if len(body) == 0 && rapid.Bool().Draw(t, "no body") {
		c.steps = []step{sendHeaders{fields: fields, end: true}}
		return c
	}
	c.steps = []step{sendHeaders{fields: fields, most: rapid.SampledFrom([]int{0, 0, 0, 20, 100}).Draw(t, "fragments")}}
	c.steps = append(c.steps, drawData(t, body, ends)...)
	return c
}

// drawData cuts a body into frames.
func drawData(t *rapid.T, body []byte, ends []string) []step {
	padding := rapid.SampledFrom([]int{0, 0, 0, 0, 1, 100, 255}).Draw(t, "padding")
	var steps []step
	for cut := 0; cut < 3 && len(body) > 1 && rapid.Bool().Draw(t, "cut"); cut++ {
		n := rapid.IntRange(0, min(len(body)-1, 40)).Draw(t, "at")
		steps = append(steps, sendData{body: body[:n], padding: padding})
		body = body[n:]
		if rarely(t, 4, "wait") {
			steps = append(steps, pause{})
		}
	}
	most := 0
	if len(body) < 400 {
		most = rapid.SampledFrom([]int{0, 0, 1, 3, 5, 100}).Draw(t, "frames")
	}
	switch rapid.SampledFrom(ends).Draw(t, "end") {
	case "empty data":
		return append(steps, sendData{body: body, most: most, padding: padding}, sendData{end: true})
	case "trailers":
		return append(steps, sendData{body: body, most: most, padding: padding}, sendHeaders{fields: []field{{"x-end", "1"}}, end: true})
	}
	return append(steps, sendData{body: body, end: true, most: most, padding: padding})
}

// drawBody makes the messages, compressed or not, and sometimes spoils them.
func drawBody(t *rapid.T, w wire, method, kind string, sizes []int, fields *[]field) []byte {
	bare := w.bare && isUnary(method)
	encoding := w.encoding
	if bare {
		encoding = "content-encoding"
	}
	encodings := []string{"", "", "", "gzip", "zstd", "identity"}
	if kind == "random" && slices.Max(append(sizes, 0)) <= limit {
		encodings = append(encodings, "br")
	}
	compress := rapid.SampledFrom(encodings).Draw(t, "encoding")
	if compress != "" {
		*fields = append(*fields, field{encoding, compress})
	}
	var body []byte
	for _, n := range sizes {
		message, flags := w.message(n), byte(0)
		if (compress == "gzip" || compress == "zstd") && (bare || rapid.Bool().Draw(t, "compressed")) {
			flags = 1
			if compress == "gzip" {
				message = gzipped(message)
			} else {
				message = zstded(message)
			}
		}
		body = append(body, w.envelope(bare, flags, message)...)
	}
	if len(body) == 0 || kind != "envelopes/random" {
		return body
	}
	body = bytes.Clone(body)
	near := rapid.IntRange(0, min(len(body)-1, 12)).Draw(t, "place")
	switch rapid.IntRange(0, 3).Draw(t, "how") {
	case 0:
		body[near] ^= byte(rapid.IntRange(1, 255).Draw(t, "bits"))
	case 1:
		body = body[:near]
	case 2:
		body = body[:len(body)-1-min(near, len(body)-1)]
	default:
		body = append(body, rapid.SliceOfN(rapid.Byte(), 1, 12).Draw(t, "more")...)
	}
	return body
}

func drawField(t *rapid.T) field {
	name := rapid.StringMatching(`x-[a-z0-9_.-]{0,8}`).Draw(t, "name")
	if name == idHeader || name == doHeader {
		name = "x-"
	}
	if rarely(t, 4, "bin") {
		return field{name + "-bin", rapid.StringMatching(`[A-Za-z0-9+/]{0,12}={0,2}`).Draw(t, "value")}
	}
	value := rapid.StringMatching(`[!-~]([ -~]{0,20}[!-~])?`)
	if rarely(t, 8, "any bytes") {
		return field{name, strings.Trim(string(rapid.SliceOfN(rapid.Byte(), 0, 6).Draw(t, "value")), " \t")}
	}
	return field{name, value.Draw(t, "value")}
}

// drawWrong spoils a header, and says how.
func drawWrong(t *rapid.T, fields []field) (kind string, spoiled []field) {
	switch rapid.IntRange(0, 5).Draw(t, "what") {
	case 0:
		contentType := rapid.SampledFrom([]string{"", "application/grpcx", "application/json", "application/proto", "text/plain"}).Draw(t, "type")
		return fmt.Sprintf("content types/%q", contentType), replaced(fields, "content-type", contentType)
	case 1:
		verb := rapid.SampledFrom([]string{"GET", "PUT", "HEAD", "OPTIONS"}).Draw(t, "verb")
		return "targets/random " + verb, replaced(fields, ":method", verb)
	case 2:
		path := rapid.SampledFrom([]string{"/", "/x", "/" + service + "/None", "x"}).Draw(t, "path")
		return fmt.Sprintf("targets/path %q", path), replaced(fields, ":path", path)
	case 3:
		name := rapid.SampledFrom([]string{":method", ":scheme", ":path", "te"}).Draw(t, "missing")
		return "header rules/random, no " + name, without(fields, name)
	case 4:
		return "lengths/random", append(fields, field{"content-length", rapid.SampledFrom([]string{"0", "1", "10", "x"}).Draw(t, "length")})
	}
	text := rapid.SampledFrom([]string{"", "1", "S", "-1S", "1X", "123456789S", "1.5S", "9 S"}).Draw(t, "timeout")
	return fmt.Sprintf("malformed deadlines/%q", text), append(fields, field{"grpc-timeout", text})
}
