package grpcserver

import (
	"encoding/base64"
	"strconv"
	"strings"
	"sync/atomic"

	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/h2"
)

// failures keeps the fields of an error that was returned again: the gateway refuses calls beyond a limit with one error for all, and a client that keeps on must cost
// little. An error is not changed once it was returned, so that it is known by its address.
type failures struct {
	last atomic.Pointer[fault.Error]
	kept atomic.Pointer[failure]
}

// failure is an error and the fields that tell of it.
type failure struct {
	fault  *fault.Error
	fields []byte
}

// appendTrailers appends the fields that end a call.
func (f *failures) appendTrailers(block []byte, err error, more fields) []byte {
	if err == nil {
		return more.appendTo(append(block, success...))
	}
	public := fault.Public(err)
	switch kept := f.kept.Load(); {
	case kept != nil && kept.fault == public:
		block = append(block, kept.fields...)
	case f.last.Load() == public:
		kept = &failure{public, appendFault(nil, public)}
		f.kept.Store(kept)
		block = append(block, kept.fields...)
	default:
		f.last.Store(public)
		block = appendFault(block, public)
	}
	return more.appendTo(block)
}

// appendFault appends the fields that tell of an error.
func appendFault(block []byte, public *fault.Error) []byte {
	message, details := percentEncode(public.Message), encodeDetails(public)
	block = h2.AppendField(block, "grpc-status", strconv.Itoa(int(public.Code)))
	if message != "" {
		block = h2.AppendField(block, "grpc-message", message)
	}
	if details != nil {
		block = h2.AppendField(block, "grpc-status-details-bin", base64.RawStdEncoding.EncodeToString(details))
	}
	return block
}

// encodeDetails returns the google.rpc.Status of an error that has details, or nil.
func encodeDetails(public *fault.Error) []byte {
	if len(public.Details) == 0 {
		return nil
	}
	s := &status.Status{Code: int32(public.Code), Message: strings.ToValidUTF8(public.Message, "?")}
	for _, detail := range public.Details {
		packed, ok := detail.(*anypb.Any)
		if !ok {
			var err error
			if packed, err = anypb.New(detail); err != nil {
				continue
			}
		}
		s.Details = append(s.Details, packed)
	}
	data, err := proto.Marshal(s)
	if err != nil {
		return nil
	}
	return data
}

// percentEncode encodes what may not stand in grpc-message.
func percentEncode(message string) string {
	const hex = "0123456789ABCDEF"
	// The ends are encoded when they are spaces: a field's value has none there.
	plain := func(i int) bool {
		c := message[i]
		return c >= ' ' && c <= '~' && c != '%' && (c != ' ' || i > 0 && i < len(message)-1)
	}
	first := 0
	for first < len(message) && plain(first) {
		first++
	}
	if first == len(message) {
		return message
	}
	var b strings.Builder
	b.Grow(3 * len(message))
	b.WriteString(message[:first])
	for i := first; i < len(message); i++ {
		c := message[i]
		if plain(i) {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return b.String()
}

// field is one field of metadata.
type field struct{ name, value string }

// fields are what a handler adds to a header or a trailer.
type fields []field

func (f *fields) set(name, value string) {
	name = strings.ToLower(name)
	kept := (*f)[:0]
	for _, other := range *f {
		if other.name != name {
			kept = append(kept, other)
		}
	}
	*f = append(kept, field{name, value})
}

func (f *fields) add(name, value string) { *f = append(*f, field{strings.ToLower(name), value}) }

// ofConnection tells whether a field belongs to a connection of HTTP/1: clients take a response with one for malformed (RFC 9113, section 8.2.2).
func ofConnection(name string) bool {
	switch name {
	case "connection", "proxy-connection", "keep-alive", "upgrade", "transfer-encoding":
		return true
	}
	return false
}

// appendTo appends the fields, but for those that are not a handler's to set: a client would take them for the protocol's.
func (f fields) appendTo(block []byte) []byte {
	for _, one := range f {
		switch {
		case one.name == "content-type", one.name == "te", ofConnection(one.name), strings.HasPrefix(one.name, ":"), strings.HasPrefix(one.name, "grpc-") && one.name != "grpc-accept-encoding":
		case !h2.ValidField(one.name, one.value):
		default:
			block = h2.AppendField(block, one.name, one.value)
		}
	}
	return block
}
