package load

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/prismgate/prism/runtime/fault"
)

// The names of failures that have no code of gRPC.
const (
	failTimeout    = "TIMEOUT"
	failConnection = "CONNECTION_LOST"
	failMalformed  = "MALFORMED"
)

// answer is what is known of a response while it arrives. Messages are counted, not kept.
type answer struct {
	// status is HTTP's, 0 until there is one; grpc is grpc-status, -1 until there is one.
	status, grpc int
	// text is grpc-message.
	text string
	// messages counts whole messages, size is that of all bodies.
	messages int64
	size     int64
	// envelope is what is read of the current envelope, left what is missing of its message.
	envelope [envelopeSize]byte
	have     int
	left     uint32
	// ended tells that Connect's last envelope was there.
	ended bool
	// wrong is what is wrong with the response, or "".
	wrong string
	// kept are the bytes of an error in JSON.
	kept []byte
}

// reset forgets a response, but keeps its memory.
func (a *answer) reset() { *a = answer{grpc: -1, kept: a.kept[:0]} }

// head reads what a response's header says, beside trailers.
func (a *answer) head(p *procedure, status int, content, encoding string) {
	a.status = status
	switch {
	case status == 0:
		a.wrong = "the response has no status"
	case encoding != "" && encoding != "identity":
		a.wrong = fmt.Sprintf("the response is encoded as %.40q, which was not asked for", encoding)
	case status == http.StatusOK && content != p.content && (p.protocol != GRPC || !strings.HasPrefix(content, p.content+"+")):
		a.wrong = fmt.Sprintf("the response has the content type %.40q", content)
	}
}

// The flags of an envelope.
const (
	flagCompressed = 1
	flagLast       = 2
)

// take reads a part of a body, and returns how many messages ended in it.
func (a *answer) take(p *procedure, data []byte) int64 {
	a.size += int64(len(data))
	if a.status != http.StatusOK || !p.enveloped {
		if a.status != http.StatusOK {
			a.keep(data)
		}
		return 0
	}
	before := a.messages
	for len(data) > 0 {
		if a.have < envelopeSize {
			n := copy(a.envelope[a.have:], data)
			a.have += n
			data = data[n:]
			if a.have < envelopeSize {
				break
			}
			a.left = binary.BigEndian.Uint32(a.envelope[1:])
			a.checkEnvelope(p)
		}
		n := min(len(data), int(min(a.left, 1<<30)))
		if a.envelope[0]&flagLast != 0 {
			a.keep(data[:n])
		}
		data = data[n:]
		a.left -= uint32(n)
		if a.left == 0 {
			a.have = 0
			if a.envelope[0]&flagLast != 0 {
				a.ended = true
			} else {
				a.messages++
			}
		}
	}
	return a.messages - before
}

func (a *answer) checkEnvelope(p *procedure) {
	flags := a.envelope[0]
	known := byte(0)
	if p.protocol != GRPC {
		known = flagLast
	}
	switch {
	case a.ended:
		a.wrong = "the response goes on after its last envelope"
	case flags&flagCompressed != 0:
		a.wrong = "a message is compressed, which was not asked for"
	case flags&^known != 0:
		a.wrong = fmt.Sprintf("an envelope has the flags %#x", flags)
	case flags&flagLast == 0 && uint64(a.left) > uint64(p.limit):
		a.wrong = fmt.Sprintf("a message of %d bytes, where %d are allowed", a.left, p.limit)
	}
}

func (a *answer) keep(data []byte) {
	a.kept = append(a.kept, data[:min(len(data), maxErrorBody-len(a.kept))]...)
}

// result says how a whole response ended: an empty code is success.
func (a *answer) result(p *procedure) (code, message string) {
	switch {
	case a.wrong != "":
		return failMalformed, a.wrong
	case a.status == 0:
		return failMalformed, "the response has no status"
	case p.protocol == GRPC:
		return a.grpcResult(p)
	case a.status != http.StatusOK:
		return a.connectError(a.kept)
	case !p.enveloped:
		return "", ""
	case !a.ended || a.have > 0:
		return failMalformed, "the stream has no end"
	}
	var last struct {
		Error json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(a.kept, &last); err != nil {
		return failMalformed, "the end of the stream is not JSON"
	}
	if len(last.Error) > 0 && string(last.Error) != "null" {
		return a.connectError(last.Error)
	}
	return "", ""
}

func (a *answer) grpcResult(p *procedure) (code, message string) {
	switch {
	case a.status != http.StatusOK:
		return "HTTP_" + strconv.Itoa(a.status), http.StatusText(a.status)
	case a.grpc < 0:
		return failMalformed, "the response has no grpc-status"
	case a.grpc > 0:
		text, err := url.PathUnescape(a.text)
		if err != nil {
			text = a.text
		}
		return fault.Code(a.grpc).String(), text
	case a.have > 0:
		return failMalformed, "the response ends within a message"
	case !p.stream && a.messages != 1:
		return failMalformed, fmt.Sprintf("the response of a unary call has %d messages", a.messages)
	}
	return "", ""
}

// connectError reads Connect's JSON of an error.
func (a *answer) connectError(text []byte) (code, message string) {
	var said struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal(text, &said); err != nil || said.Code == "" {
		return "HTTP_" + strconv.Itoa(a.status), http.StatusText(a.status)
	}
	return strings.ToUpper(said.Code), said.Message
}
