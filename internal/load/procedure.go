package load

import (
	"encoding/binary"
	"strconv"
	"strings"
	"time"

	"github.com/prismgate/prism/runtime/rpc"
)

// envelopeSize is the size of what stands before a message of gRPC or of a Connect stream: flags and the message's size.
const envelopeSize = 5

// procedure is a template made ready for a protocol.
type procedure struct {
	*Template
	index    int
	protocol Protocol
	// body is a request's, with its envelope when there is one.
	body    []byte
	patches []patch
	// enveloped tells that the messages of a response have envelopes.
	enveloped bool
	// content is the content type of requests and of right responses.
	content string
	// header is what differs between procedures, or is the same for all.
	header []Field
}

func newProcedure(t *Template, index int, plan *Plan) *procedure {
	p := &procedure{Template: t, index: index, protocol: plan.Protocol, enveloped: plan.Protocol == GRPC || t.stream}
	shift := 0
	if p.enveloped {
		p.body = binary.BigEndian.AppendUint32([]byte{0}, uint32(len(t.message)))
		shift = envelopeSize
	}
	p.body = append(p.body, t.message...)
	for _, place := range t.patches {
		place.at += shift
		p.patches = append(p.patches, place)
	}
	second := Field{"connect-protocol-version", "1"}
	switch {
	case plan.Protocol == GRPC:
		p.content, second = "application/grpc", Field{"te", "trailers"}
	case t.stream:
		p.content = "application/connect+proto"
	default:
		p.content = "application/proto"
	}
	p.header = []Field{{"content-type", p.content}, second}
	if plan.Deadline > 0 {
		p.header = append(p.header, deadlineField(plan.Protocol, plan.Deadline))
	}
	p.header = append(p.header, plan.Header...)
	return p
}

func deadlineField(protocol Protocol, deadline time.Duration) Field {
	if protocol != GRPC {
		return Field{"connect-timeout-ms", strconv.FormatInt(max(deadline.Milliseconds(), 1), 10)}
	}
	// gRPC has at most 8 digits and a unit.
	const most = 100_000_000
	for _, unit := range []struct {
		size   time.Duration
		letter string
	}{{time.Nanosecond, "n"}, {time.Microsecond, "u"}, {time.Millisecond, "m"}, {time.Second, "S"}} {
		if n := deadline / unit.size; n < most {
			return Field{"grpc-timeout", strconv.FormatInt(int64(n), 10) + unit.letter}
		}
	}
	return Field{"grpc-timeout", strconv.FormatInt(int64(deadline/time.Hour), 10) + "H"}
}

// Namespace is the field that names the namespace of a call.
func Namespace(name string) Field { return Field{strings.ToLower(rpc.NamespaceHeader), name} }

// call is one call, from when it is due until it has ended.
type call struct {
	procedure *procedure
	key       int
	sequence  int64
	// due and sent are times of the run; they differ in an open loop.
	due, sent int64
	// attempts counts the connections that it was sent on.
	attempts int
	// measured tells that it was due after the warm-up.
	measured bool
}
