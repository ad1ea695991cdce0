package grpcserver

import (
	"errors"
	"net/http"
	"regexp"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/h2"
)

// encoding is how messages are written, by the content type.
type encoding struct {
	append func(dst []byte, m proto.Message) ([]byte, error)
	parse  func(data []byte, m proto.Message) error
	// header is the header block of a response that adds nothing to it.
	header []byte
}

// encodings are the encodings by content type.
var encodings = map[string]*encoding{
	contentType:            newEncoding(contentType, appendProto, proto.Unmarshal),
	contentType + "+proto": newEncoding(contentType+"+proto", appendProto, proto.Unmarshal),
	contentType + "+json":  newEncoding(contentType+"+json", protojson.MarshalOptions{}.MarshalAppend, parseJSON),
}

func newEncoding(content string, appendMessage func([]byte, proto.Message) ([]byte, error), parse func([]byte, proto.Message) error) *encoding {
	return &encoding{appendMessage, parse, responseHeader(content)}
}

func appendProto(dst []byte, m proto.Message) ([]byte, error) {
	return proto.MarshalOptions{}.MarshalAppend(dst, m)
}

// parseJSON ignores fields that the schema does not know, so that clients and gateways need not be of one version.
func parseJSON(data []byte, m proto.Message) error {
	if len(data) == 0 {
		return errors.New("the body is empty; a JSON message is at least {}")
	}
	return protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(data, m)
}

// encodingOf returns the encoding of a content type, or nil.
func encodingOf(value string) *encoding {
	if e := encodings[value]; e != nil {
		return e
	}
	media, _, _ := strings.Cut(value, ";")
	return encodings[strings.TrimSpace(media)]
}

// refuseType answers an encoding of gRPC that is not known.
func refuseType(s *h2.Stream) {
	_ = s.Respond(h2.AppendField(h2.AppendStatus(nil, http.StatusUnsupportedMediaType), "accept", contentType+", "+contentType+"+proto, "+contentType+"+json"), nil, nil)
}

// reason is the part of a decoder's error that says where and what, without what the request holds: the value may be a payload.
var reason = regexp.MustCompile(`(?:syntax error )?\(line \d+:\d+\)(?:: (?:invalid value for \w+ (?:field|type) [\w.]{1,200}|duplicate field|unexpected token|unknown field))?`)

func (e *encoding) decode(data []byte, message proto.Message) error {
	err := e.parse(data, message)
	if err == nil {
		return nil
	}
	where := reason.FindString(err.Error())
	if where == "" {
		where = "the bytes do not decode"
	}
	return fault.Wrap(err, fault.InvalidArgument, "", "the request is not a valid %s: %s", message.ProtoReflect().Descriptor().FullName(), where)
}
