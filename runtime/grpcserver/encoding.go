package grpcserver

import (
	"net/http"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/prismgate/prism/runtime/h2"
	"github.com/prismgate/prism/runtime/rpc"
)

// encoding is how messages are written, by the content type.
type encoding struct {
	append func(dst []byte, m proto.Message) ([]byte, error)
	parse  func(data []byte, m proto.Message) error
	// header is the header block of a response that adds nothing to it.
	header []byte
	// binary tells that messages are in protobuf's binary encoding.
	binary bool
}

// encodings are the encodings by content type.
var encodings = map[string]*encoding{
	contentType:            newEncoding(contentType, appendProto, proto.Unmarshal, true),
	contentType + "+proto": newEncoding(contentType+"+proto", appendProto, proto.Unmarshal, true),
	contentType + "+json":  newEncoding(contentType+"+json", protojson.MarshalOptions{}.MarshalAppend, rpc.ParseJSON, false),
}

func newEncoding(content string, appendMessage func([]byte, proto.Message) ([]byte, error), parse func([]byte, proto.Message) error, binary bool) *encoding {
	return &encoding{appendMessage, parse, responseHeader(content), binary}
}

func appendProto(dst []byte, m proto.Message) ([]byte, error) {
	return proto.MarshalOptions{}.MarshalAppend(dst, m)
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

func (e *encoding) decode(data []byte, message proto.Message) error {
	err := e.parse(data, message)
	if err == nil {
		return nil
	}
	return rpc.InvalidRequest(message, err)
}
