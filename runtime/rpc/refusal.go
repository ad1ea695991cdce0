package rpc

import (
	"errors"
	"regexp"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/prismgate/prism/runtime/fault"
)

// Clip bounds what an answer repeats of a request.
func Clip(s string) string {
	const most = 64
	if len(s) > most {
		s = s[:most] + "..."
	}
	return strings.ToValidUTF8(s, "?")
}

// UnknownProcedure is the fault of a call of what nobody serves.
func UnknownProcedure(path string) *fault.Error {
	return fault.New(fault.Unimplemented, "unknown procedure %q; `prism registry interfaces list` names the interfaces, and a procedure is /<service>/<method>", Clip(path))
}

// ErrMessageTooLarge is the cause of every fault about a message that is larger than its limit, for whoever counts them.
var ErrMessageTooLarge = errors.New("the message is too large")

// MessageTooLarge is the fault of a message of at least size bytes, which are more than the method takes. It gives no reason: Connect's conformance suite wants none of
// what a server refuses by itself.
func MessageTooLarge(m *Method, size int64) *fault.Error {
	return tooLarge(size, m.Procedure+" takes", m.MessageLimit())
}

// MessageTooLarge is the fault of a message of at least size bytes, which are more than [Call.MessageLimit].
func (c *Call) MessageTooLarge(size int64) *fault.Error {
	if limit := c.MessageLimit(); limit < c.Method.MessageLimit() {
		return tooLarge(size, "namespaces[].limits.max_message_bytes of namespace "+c.Namespace+" allows", limit).
			WithReason("MESSAGE_TOO_LARGE", "max_message_bytes", strconv.Itoa(limit))
	}
	return MessageTooLarge(c.Method, size)
}

func tooLarge(size int64, whose string, limit int) *fault.Error {
	return fault.Wrap(ErrMessageTooLarge, fault.ResourceExhausted, "",
		"the message has at least %d bytes; %s at most %d: split it, or store the payload elsewhere and send a reference", size, whose, limit)
}

// ParseJSON reads a message in protobuf's JSON. Fields that the schema does not know are ignored, so that clients and gateways need not be of one version.
func ParseJSON(data []byte, m proto.Message) error {
	if len(data) == 0 {
		return errors.New("the body is empty; a JSON message is at least {}")
	}
	return protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(data, m)
}

// reason is the part of a decoder's error that says where and what, without what the request holds: the value may be a payload.
var reason = regexp.MustCompile(`(?:syntax error )?\(line \d+:\d+\)(?:: (?:invalid value for \w+ (?:field|type) [\w.]{1,200}|duplicate field|unexpected token|unknown field))?`)

// InvalidRequest is the fault of a request that does not decode to an empty message.
func InvalidRequest(message proto.Message, err error) *fault.Error {
	where := reason.FindString(err.Error())
	if where == "" {
		where = "the bytes do not decode"
	}
	return fault.Wrap(err, fault.InvalidArgument, "", "the request is not a valid %s: %s", message.ProtoReflect().Descriptor().FullName(), where)
}
