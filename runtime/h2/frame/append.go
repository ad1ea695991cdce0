package frame

import "encoding/binary"

// AppendData appends a DATA frame. The payload must be no larger than the peer allows.
func AppendData(b []byte, streamID uint32, flags Flags, payload []byte) []byte {
	b = AppendHeader(b, Header{Length: uint32(len(payload)), Type: Data, Flags: flags &^ Padded, StreamID: streamID})
	return append(b, payload...)
}

// AppendHeaders appends a header block as a HEADERS frame, followed by as many CONTINUATION frames as it takes when no payload may be larger than maxSize.
// EndHeaders is set on the last.
func AppendHeaders(b []byte, streamID uint32, flags Flags, block []byte, maxSize int) []byte {
	kind, flags := Headers, flags&EndStream
	for {
		fragment := block
		if len(fragment) > maxSize {
			fragment = fragment[:maxSize]
		} else {
			flags |= EndHeaders
		}
		b = AppendHeader(b, Header{Length: uint32(len(fragment)), Type: kind, Flags: flags, StreamID: streamID})
		b = append(b, fragment...)
		if flags.Has(EndHeaders) {
			return b
		}
		block = block[len(fragment):]
		kind, flags = Continuation, 0
	}
}

// AppendRSTStream appends a RST_STREAM frame.
func AppendRSTStream(b []byte, streamID uint32, code ErrorCode) []byte {
	b = AppendHeader(b, Header{Length: 4, Type: RSTStream, StreamID: streamID})
	return binary.BigEndian.AppendUint32(b, uint32(code))
}

// AppendSettings appends a SETTINGS frame.
func AppendSettings(b []byte, settings ...Setting) []byte {
	b = AppendHeader(b, Header{Length: uint32(len(settings) * settingSize), Type: Settings})
	for _, s := range settings {
		b = binary.BigEndian.AppendUint16(b, uint16(s.ID))
		b = binary.BigEndian.AppendUint32(b, s.Value)
	}
	return b
}

// AppendSettingsAck appends the acknowledgement of a SETTINGS frame.
func AppendSettingsAck(b []byte) []byte { return AppendHeader(b, Header{Type: Settings, Flags: Ack}) }

// AppendPing appends a PING frame.
func AppendPing(b []byte, ack bool, payload [8]byte) []byte {
	h := Header{Length: uint32(len(payload)), Type: Ping}
	if ack {
		h.Flags = Ack
	}
	return append(AppendHeader(b, h), payload[:]...)
}

// AppendGoAway appends a GOAWAY frame.
func AppendGoAway(b []byte, lastStreamID uint32, code ErrorCode, debug string) []byte {
	b = AppendHeader(b, Header{Length: uint32(8 + len(debug)), Type: GoAway})
	b = binary.BigEndian.AppendUint32(b, lastStreamID)
	b = binary.BigEndian.AppendUint32(b, uint32(code))
	return append(b, debug...)
}

// AppendWindowUpdate appends a WINDOW_UPDATE frame, for a stream or, when streamID is 0, for the connection.
func AppendWindowUpdate(b []byte, streamID, increment uint32) []byte {
	b = AppendHeader(b, Header{Length: 4, Type: WindowUpdate, StreamID: streamID})
	return binary.BigEndian.AppendUint32(b, increment)
}
