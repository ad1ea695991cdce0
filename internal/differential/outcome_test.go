package differential

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/prismgate/prism/runtime/fault"
)

// outcome is everything that could be seen of a call, by name: "status", "header content-type", "message 0", "trailer grpc-status", "handler deadline". What varies
// without meaning is left out, and a transport's own words stand as "(words)".
type outcome map[string]string

const words = "(words)"

func newOutcome(x *exchange, r *response, seen record, afterwards string) outcome {
	o := outcome{"afterwards": afterwards}
	if len(x.notes) > 0 {
		o["notes"] = strings.Join(x.notes, "; ")
	}
	if len(r.late) > 0 {
		o["late frames"] = strings.Join(r.late, "; ")
	}
	cutOff := ""
	if len(r.resets) > 0 && r.end == "" {
		cutOff = "RST_STREAM " + r.resets[0]
	}
	if x.peer.gone() && x.peer.goAway != "" && r.end == "" {
		cutOff = "GOAWAY " + x.peer.goAway // and before it, there may be time for a RST_STREAM or not
	}
	switch {
	case x.reset: // what was under way when the client gave up is a race
		o.addRecord(seen)
		o["result"] = "given up"
		return o
	case cutOff != "" && !x.call.strict: // how far the call had come is a race
		o["result"] = cutOff
		return o
	}
	o.addRecord(seen)
	o.addResponse(x, r)
	o["result"] = cutOff
	if cutOff == "" {
		o["result"] = o.result(r)
	}
	return o
}

func (o outcome) addResponse(x *exchange, r *response) {
	o["end"] = r.end
	// What the client is told after the end depends on how far it had come with its sending, unless it never finishes. And what is sent to a stream that is reset
	// may be answered with one more.
	if len(r.resets) > 0 && r.end != "" && !x.halfClosed {
		o["reset"] = r.resets[0]
	}
	if len(r.blocks) == 0 {
		if len(r.body) > 0 {
			o["body without header"] = digest(r.body)
		}
		return
	}
	contentType := ""
	blocks := r.blocks
	for len(blocks) > 1 && slices.ContainsFunc(blocks[0], func(f field) bool { return f.name == ":status" && strings.HasPrefix(f.value, "1") }) {
		o["informational"] = fmt.Sprint(blocks[0])
		blocks = blocks[1:]
	}
	// gRPC's Trailers-Only has two blocks in one.
	trailersOnly := len(blocks) == 1 && slices.ContainsFunc(blocks[0], func(f field) bool { return f.name == "grpc-status" })
	for _, f := range blocks[0] {
		prefix := "header "
		if trailersOnly && !slices.Contains(headerOnly, f.name) {
			prefix = "trailer "
		}
		o.addField(prefix, f)
		if f.name == "content-type" {
			contentType = f.value
		}
	}
	for i, block := range blocks[1:] {
		for _, f := range block {
			o.addField("trailer ", f)
		}
		if i > 0 {
			o["header blocks"] = fmt.Sprint(len(blocks))
		}
	}
	o.addBody(contentType, r.body)
	if code := o["trailer grpc-status"]; code != "" && code != "0" && len(r.body) == 0 {
		o.mergeMetadata()
	}
}

// mergeMetadata makes one of header and trailer: where a call has failed before anything was sent, a server may put metadata into either.
func (o outcome) mergeMetadata() {
	names := slices.Sorted(maps.Keys(o))
	for _, prefix := range []string{"header ", "trailer "} {
		for _, key := range names {
			if name, ok := strings.CutPrefix(key, prefix); ok && !slices.Contains(headerOnly, name) && !strings.HasPrefix(name, "grpc-status") && name != "grpc-message" {
				o.add("metadata "+name, o[key])
				delete(o, key)
			}
		}
	}
}

// headerOnly are fields that stand in the header also where there is one block only.
var headerOnly = []string{":status", "content-type", "content-length", "trailer", "grpc-encoding", "grpc-accept-encoding"}

// result is the outcome in short: how the response ended, its status, and the code of its protocol.
func (o outcome) result(r *response) string {
	switch {
	case len(r.blocks) == 0:
		return "no answer"
	case r.end == "":
		return "unfinished"
	}
	code := o["trailer grpc-status"] + o["web trailer grpc-status"] + o["error code"]
	if code == "" {
		code = "no code"
	}
	return "HTTP " + o["header :status"] + ", " + code
}

// addField adds a field of a block; the names of one block are not in order, the values of one name are.
func (o outcome) addField(prefix string, f field) {
	value := f.value
	switch f.name {
	case "date":
		return
	case "trailer": // a list of names, in no order
		names := strings.Split(f.value, ",")
		slices.Sort(names)
		value = strings.Join(names, ",")
	case "grpc-message":
		value = decodedWords(f.value)
	case "grpc-status-details-bin":
		value = decodedDetails(f.value)
	}
	o.add(prefix+f.name, value)
}

func (o outcome) add(name, value string) {
	if before, ok := o[name]; ok {
		value = before + " | " + value
	}
	o[name] = value
}

// inWords is a message that an error has.
func inWords(s string) string {
	if s == "" || strings.Contains(s, ownWords) {
		return s
	}
	return words
}

func decodedWords(escaped string) string {
	s, err := url.PathUnescape(escaped)
	if err != nil {
		return "(badly escaped) " + escaped
	}
	return inWords(s)
}

func decodedDetails(encoded string) string {
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(encoded, "="))
	if err != nil {
		return "(not base64) " + encoded
	}
	status := new(spb.Status)
	if err := proto.Unmarshal(b, status); err != nil {
		return "(no status) " + encoded
	}
	text := fmt.Sprintf("%s %q", fault.Code(status.GetCode()), inWords(status.GetMessage()))
	if strings.HasSuffix(encoded, "=") {
		text += " padded"
	}
	for _, detail := range status.GetDetails() {
		text += fmt.Sprintf(" {%s %q}", detail.GetTypeUrl(), detail.GetValue())
	}
	return text
}

func (o outcome) addBody(contentType string, body []byte) {
	switch {
	case strings.HasPrefix(contentType, "application/grpc"):
		o.addEnvelopes(body, 0x80, func(trailer []byte) {
			for line := range strings.SplitSeq(strings.TrimSuffix(string(trailer), "\r\n"), "\r\n") {
				name, value, _ := strings.Cut(line, ":")
				o.addField("web trailer ", field{strings.ToLower(name), strings.TrimSpace(value)})
			}
		})
	case strings.HasPrefix(contentType, "application/connect+"):
		o.addEnvelopes(body, 0x02, func(end []byte) { o["stream end"] = o.decodedJSON(end) })
	case contentType == "application/json" && o["header :status"] != "200":
		o["error"] = o.decodedJSON(body)
	case strings.HasPrefix(contentType, "text/plain") && len(body) > 0:
		o["text"] = words
	default:
		o["body"] = digest(body)
	}
}

func (o outcome) addEnvelopes(body []byte, last byte, end func([]byte)) {
	n := 0
	for len(body) >= 5 {
		flags, size := body[0], int(binary.BigEndian.Uint32(body[1:]))
		if size > len(body)-5 {
			break
		}
		content := body[5 : 5+size]
		body = body[5+size:]
		if flags&1 != 0 {
			content = inflated(content)
		}
		if flags&last != 0 {
			end(content)
			continue
		}
		// What is in a message counts, not how it was compressed; whether it was is told apart from it.
		o[fmt.Sprintf("message %d", n)] = digest(content)
		o[fmt.Sprintf("message %d has flags", n)] = fmt.Sprint(flags)
		n++
	}
	if len(body) > 0 {
		o["after the last message"] = digest(body)
	}
}

// inflated is a compressed message, or what was sent in its place.
func inflated(b []byte) []byte {
	if unzipper, err := gzip.NewReader(bytes.NewReader(b)); err == nil {
		if content, err := io.ReadAll(unzipper); err == nil {
			return content
		}
	}
	if unzipper, err := zstd.NewReader(nil); err == nil {
		defer unzipper.Close()
		if content, err := unzipper.DecodeAll(b, nil); err == nil {
			return content
		}
	}
	return b
}

// decodedJSON is the JSON of an error of Connect's, or of the end of its streams.
func (o outcome) decodedJSON(b []byte) string {
	var decoded any
	if err := json.Unmarshal(b, &decoded); err != nil {
		return "(no JSON) " + digest(b)
	}
	replaceWords(decoded)
	if object, ok := decoded.(map[string]any); ok {
		if inner, ok := object["error"].(map[string]any); ok {
			object = inner
		}
		if code, ok := object["code"].(string); ok {
			o["error code"] = code
		}
	}
	text, _ := json.Marshal(decoded) // it was JSON before
	return string(text)
}

func replaceWords(decoded any) {
	switch d := decoded.(type) {
	case map[string]any:
		for name, value := range d {
			if text, ok := value.(string); ok && name == "message" {
				d[name] = inWords(text)
				continue
			}
			replaceWords(value)
		}
	case []any:
		for _, value := range d {
			replaceWords(value)
		}
	}
}

func (o outcome) addRecord(seen record) {
	if seen.begun == 0 {
		o["handler"] = notCalled
		return
	}
	o["handler"] = "called"
	if seen.begun != 1 || seen.finished != 1 {
		o["handler"] = fmt.Sprintf("called %d times, returned %d times", seen.begun, seen.finished)
	}
	o["handler method"] = seen.method
	o["handler protocol"] = seen.protocol
	o["handler deadline"] = seen.deadline
	for _, line := range seen.header {
		name, value, _ := strings.Cut(line, ": ")
		o.add("handler header "+name, value)
	}
	for i, message := range seen.received {
		o[fmt.Sprintf("handler message %d", i)] = message
	}
	o["handler receive"] = seen.receiveError
	o["handler sent"] = fmt.Sprint(seen.sent)
	o["handler send"] = seen.sendError
	o["handler context"] = seen.ended
	o["handler returned"] = seen.returned
}

// difference is one thing that two servers do not do alike.
type difference struct{ what, want, got string }

func (d difference) String() string {
	return fmt.Sprintf("%s:\n        standard: %s\n        own:      %s", d.what, orAbsent(d.want), orAbsent(d.got))
}

func orAbsent(s string) string {
	if s == "" {
		return "(absent)"
	}
	return s
}

// differ compares two outcomes. Where a call ended differently at all, that is the difference, and its parts are not compared. An absent field and an empty one
// are not the same.
func differ(want, got outcome) []difference {
	var differences []difference
	all := maps.Clone(want)
	maps.Copy(all, got)
	for _, what := range slices.Sorted(maps.Keys(all)) {
		w, inWant := want[what]
		g, inGot := got[what]
		switch what {
		case "afterwards", "notes", "late frames", "result":
		case "handler":
			if isCut(want) != isCut(got) {
				continue
			}
			if w != g && (w == notCalled || g == notCalled) {
				w, g = want.called(), got.called()
			}
		default:
			if strings.HasPrefix(what, "metadata ") && want["handler"] != got["handler"] {
				continue // one of them has not asked the handler
			}
			if ofHandler := strings.HasPrefix(what, "handler "); ofHandler && (want["handler"] != got["handler"]) || !ofHandler && want["result"] != got["result"] {
				continue
			}
		}
		isField := strings.HasPrefix(what, "header ") || strings.HasPrefix(what, "trailer ") || strings.HasPrefix(what, "metadata ") || strings.HasPrefix(what, "handler header ")
		if w == g && (inWant == inGot || !isField) || what == "handler deadline" && sameDeadline(w, g) {
			continue
		}
		if isField && inWant && w == "" {
			w = "(empty)"
		}
		if isField && inGot && g == "" {
			g = "(empty)"
		}
		differences = append(differences, difference{what, w, g})
	}
	return differences
}

const notCalled = "not called"

// isCut tells that an outcome says nothing of the handler.
func isCut(o outcome) bool { return o["handler"] == "" }

// called is what became of the handler, in short.
func (o outcome) called() string {
	if o["handler"] == notCalled {
		return notCalled
	}
	text := o["handler"] + ", returned " + o["handler returned"]
	if received := o["handler receive"]; received != "" {
		text += ", received " + received
	}
	if ended := o["handler context"]; ended != "" {
		text += ", " + ended
	}
	return text
}

// sameDeadline allows for the time that it takes to get to the handler.
func sameDeadline(a, b string) bool {
	left, err := time.ParseDuration(a)
	if err != nil {
		return false
	}
	right, err := time.ParseDuration(b)
	if err != nil {
		return false
	}
	return (left - right).Abs() < 3*time.Second+left.Abs()/100
}
