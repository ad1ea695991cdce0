package provider

import (
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/prismgate/prism/runtime/fault"
)

// The numbers of the fields of schema/prism/provider/v1/provider.proto. Frames are written and read by hand: a call's share of one is some thirty bytes, and generated
// code would make a message for each of its parts.
const (
	frameItems = 1

	itemCall = 1

	requestOpen, requestStart, requestChunk, requestCancel, requestCredit, requestPing, requestPong = 2, 3, 4, 5, 6, 7, 8

	responseHeader, responseChunk, responseEnd, responsePing, responsePong, responseGoingAway = 2, 3, 4, 5, 6, 7
)

const (
	// maxFrame bounds the items of a frame, encoded together.
	maxFrame = 64 << 10
	// maxMetadata bounds what a start, a header and a response have beside the message.
	maxMetadata = 48 << 10
	// chunkOverhead is the most that a chunk has beside its bytes.
	chunkOverhead = 40
)

// broken is the error of a peer that does not keep to the protocol.
func broken(format string, args ...any) error {
	return fault.New(fault.InvalidArgument, "the provider protocol is broken: "+format, args...)
}

// item is one item of a frame. Its content is in the frame.
type item struct {
	call    uint64
	what    number
	content []byte
}

// eachItem reads a frame. It stops at the first error.
func eachItem(frame []byte, last number, read func(item) error) error {
	if len(frame) > maxFrame {
		return broken("a frame has %d bytes; it has at most %d", len(frame), maxFrame)
	}
	items := 0
	err := eachField(frame, func(n number, value field) error {
		if n != frameItems {
			return nil // a later version of the frame may have more
		}
		items++
		one, err := readItem(value.bytes, last)
		if err != nil {
			return err
		}
		return read(one)
	})
	if err == nil && items == 0 {
		return broken("a frame has no item; it has at least one")
	}
	return err
}

func readItem(content []byte, last number) (item, error) {
	var one item
	err := eachField(content, func(n number, value field) error {
		switch {
		case n == itemCall:
			one.call = value.number
		case n <= last && one.what == 0 && value.kind == protowire.BytesType:
			one.what, one.content = n, value.bytes
		default:
			return broken("an item of call %d says something that is not known here (field %d), or says two things", one.call, n)
		}
		return nil
	})
	if err == nil && one.what == 0 {
		err = broken("an item of call %d says nothing", one.call)
	}
	return one, err
}

// field is the value of one field: a number or bytes.
type field struct {
	kind   protowire.Type
	number uint64
	bytes  []byte
}

// number is the number of a field.
type number int32

func appendTag(message []byte, n number, kind protowire.Type) []byte {
	return protowire.AppendTag(message, protowire.Number(n), kind)
}

// eachField reads the fields of a message.
func eachField(message []byte, read func(number, field) error) error {
	for len(message) > 0 {
		tag, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return malformed(n)
		}
		message = message[n:]
		value := field{kind: kind}
		switch kind {
		case protowire.VarintType:
			value.number, n = protowire.ConsumeVarint(message)
		case protowire.BytesType:
			value.bytes, n = protowire.ConsumeBytes(message)
		default:
			n = protowire.ConsumeFieldValue(tag, kind, message)
		}
		if n < 0 {
			return malformed(n)
		}
		message = message[n:]
		if err := read(number(tag), value); err != nil {
			return err
		}
	}
	return nil
}

func malformed(n int) error { return broken("a frame does not decode (%v)", protowire.ParseError(n)) }

// readNumber reads the only field of a ping, a pong or a credit.
func readNumber(content []byte) (read uint64, err error) {
	err = eachField(content, func(n number, value field) error {
		if n == 1 {
			read = value.number
		}
		return nil
	})
	return read, err
}

// readChunk reads a chunk.
func readChunk(content []byte) (data []byte, end bool, err error) {
	err = eachField(content, func(n number, value field) error {
		switch n {
		case 1:
			data = value.bytes
		case 2:
			end = value.number != 0
		}
		return nil
	})
	if err == nil && len(data) == 0 && !end {
		err = broken("a chunk has no bytes and does not end its message")
	}
	return data, end, err
}

// readGoingAway reads a going-away.
func readGoingAway(content []byte) (lastCall uint64, reason string, err error) {
	err = eachField(content, func(n number, value field) error {
		switch n {
		case 1:
			lastCall = value.number
		case 2:
			reason = string(value.bytes)
		}
		return nil
	})
	return lastCall, reason, err
}

// text is bytes as a string; they must be UTF-8, as protobuf demands of one.
func text(what string, value field) (string, error) {
	if !utf8.Valid(value.bytes) {
		return "", broken("%s is not UTF-8", what)
	}
	return string(value.bytes), nil
}

// appendItem appends an item up to its content, of which size bytes are to follow.
func appendItem(frame []byte, call uint64, what number, size int) []byte {
	inner := 1 + protowire.SizeBytes(size)
	if call > 0 {
		inner += 1 + protowire.SizeVarint(call)
	}
	frame = appendTag(frame, frameItems, protowire.BytesType)
	frame = protowire.AppendVarint(frame, uint64(inner)) //nolint:gosec // it is a length
	if call > 0 {
		frame = appendTag(frame, itemCall, protowire.VarintType)
		frame = protowire.AppendVarint(frame, call)
	}
	frame = appendTag(frame, what, protowire.BytesType)
	return protowire.AppendVarint(frame, uint64(size)) //nolint:gosec // it is a length
}

// appendChunk appends a chunk.
func appendChunk(frame []byte, call uint64, what number, data []byte, end bool) []byte {
	size := 0
	if len(data) > 0 {
		size += 1 + protowire.SizeBytes(len(data))
	}
	if end {
		size += 2
	}
	frame = appendItem(frame, call, what, size)
	if len(data) > 0 {
		frame = appendBytes(frame, 1, data)
	}
	if end {
		frame = appendNumber(frame, 2, 1)
	}
	return frame
}

// appendNumbered appends an item that is a number: a ping, a pong, a credit.
func appendNumbered(frame []byte, call uint64, what number, value uint64) []byte {
	size := 0
	if value > 0 {
		size = 1 + protowire.SizeVarint(value)
	}
	return appendNumber(appendItem(frame, call, what, size), 1, value)
}

// appendNumber appends a field; zero is left out.
func appendNumber(message []byte, n number, value uint64) []byte {
	if value == 0 {
		return message
	}
	return protowire.AppendVarint(appendTag(message, n, protowire.VarintType), value)
}

// appendBytes appends a field; what is empty is left out.
func appendBytes[T ~string | ~[]byte](message []byte, n number, value T) []byte {
	if len(value) == 0 {
		return message
	}
	message = appendTag(message, n, protowire.BytesType)
	message = protowire.AppendVarint(message, uint64(len(value)))
	return append(message, value...)
}

// appendGoingAway appends a going-away.
func appendGoingAway(frame []byte, lastCall uint64, reason string) []byte {
	content := appendBytes(appendNumber(nil, 1, lastCall), 2, reason)
	return append(appendItem(frame, 0, responseGoingAway, len(content)), content...)
}

// appendOpen appends the item that begins a stream.
func appendOpen(frame []byte, instance string, shared bool, credit uint64) []byte {
	content := appendBytes(nil, 1, instance)
	if shared {
		content = appendNumber(content, 2, 1)
	}
	content = appendNumber(content, 3, credit)
	return append(appendItem(frame, 0, requestOpen, len(content)), content...)
}

// open is what the first item of a stream says.
type open struct {
	instance string
	shared   bool
	credit   uint64
}

func readOpen(content []byte) (o open, err error) {
	err = eachField(content, func(n number, value field) (err error) {
		switch n {
		case 1:
			o.instance, err = text("the instance", value)
		case 2:
			o.shared = value.number != 0
		case 3:
			o.credit = value.number
		}
		return err
	})
	return o, err
}

// itemSize is the size of the first item of a sequence.
func itemSize(items []byte) int {
	_, n := protowire.ConsumeVarint(items[1:])
	size, _ := protowire.ConsumeVarint(items[1:])
	return 1 + n + int(size) //nolint:gosec // it was written here
}

// clipped bounds what an error repeats of a peer.
func clipped(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return fmt.Sprintf("%.*q...", most, s[:most])
}
