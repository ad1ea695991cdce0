package frame

import "encoding/binary"

// SettingID names a setting.
type SettingID uint16

// The settings of RFC 9113, and that of RFC 8441.
const (
	HeaderTableSize       SettingID = 1
	EnablePush            SettingID = 2
	MaxConcurrentStreams  SettingID = 3
	InitialWindowSize     SettingID = 4
	MaxFrameSize          SettingID = 5
	MaxHeaderListSize     SettingID = 6
	EnableConnectProtocol SettingID = 8
)

const settingSize = 6

// Setting is one entry of a SETTINGS frame.
type Setting struct {
	// ID is what is set.
	ID SettingID
	// Value is what it is set to.
	Value uint32
}

// ParseSetting takes the first entry off the payload of a SETTINGS frame. ok is false when there is none; what is left then should be empty.
func ParseSetting(payload []byte) (s Setting, rest []byte, ok bool) {
	if len(payload) < settingSize {
		return Setting{}, payload, false
	}
	s = Setting{SettingID(binary.BigEndian.Uint16(payload)), binary.BigEndian.Uint32(payload[2:])}
	return s, payload[settingSize:], true
}

// Check returns the error that a value outside of a setting's range is (RFC 9113, section 6.5.2), or [NoError].
func (s Setting) Check() ErrorCode {
	switch s.ID {
	case EnablePush, EnableConnectProtocol:
		if s.Value > 1 {
			return ProtocolError
		}
	case InitialWindowSize:
		if s.Value > MaxWindow {
			return FlowControlError
		}
	case MaxFrameSize:
		if s.Value < DefaultMaxSize || s.Value > MaxSize {
			return ProtocolError
		}
	default: // every value of the others is fine
	}
	return NoError
}
