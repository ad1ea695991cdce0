package frame

import "errors"

// ErrPadding means that a frame's padding is longer than its payload; a connection error PROTOCOL_ERROR (RFC 9113, section 6.1).
var ErrPadding = errors.New("frame: the padding is longer than the payload")

// ErrShort means that a frame is too short for the fields that its flags promise; a connection error FRAME_SIZE_ERROR.
var ErrShort = errors.New("frame: the payload is shorter than its fields")

// Dependency is the deprecated priority of a HEADERS or PRIORITY frame. Only a stream that depends on itself is an error.
type Dependency struct {
	// StreamID is the stream that is depended on.
	StreamID uint32
	// Exclusive tells that it is to have no other dependent.
	Exclusive bool
	// Weight is one less than the weight.
	Weight uint8
}

// DependencySize is the size of a [Dependency] on the wire.
const DependencySize = 5

// ParseDependency reads a dependency from the first [DependencySize] bytes of b, which must be there.
func ParseDependency(b []byte) Dependency {
	_ = b[DependencySize-1]
	return Dependency{
		StreamID:  uint32(b[0]&0x7f)<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3]),
		Exclusive: b[0]&0x80 != 0,
		Weight:    b[4],
	}
}

// Unpad returns the payload of a DATA or HEADERS frame without its padding.
func Unpad(flags Flags, payload []byte) ([]byte, error) {
	if !flags.Has(Padded) {
		return payload, nil
	}
	if len(payload) == 0 {
		return nil, ErrShort
	}
	padding := int(payload[0])
	payload = payload[1:]
	if padding > len(payload) {
		return nil, ErrPadding
	}
	return payload[:len(payload)-padding], nil
}

// HeaderBlock returns the fragment of the header block in a HEADERS frame, without padding and priority, and the priority if there is one.
func HeaderBlock(flags Flags, payload []byte) (fragment []byte, dependency Dependency, err error) {
	fragment, err = Unpad(flags, payload)
	if err != nil || !flags.Has(HasPriority) {
		return fragment, dependency, err
	}
	if len(fragment) < DependencySize {
		return nil, dependency, ErrShort
	}
	return fragment[DependencySize:], ParseDependency(fragment), nil
}
