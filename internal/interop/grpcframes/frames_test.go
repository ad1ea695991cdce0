package grpcframes_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/internal/testpeer"
	"github.com/prismgate/prism/runtime/h2/frame"
)

// unknown is a type that no RFC defines.
const unknown frame.Type = 0x16

func TestFramesThatAreLeftOutOfAccount(t *testing.T) {
	for name, send := range map[string]func(c *conn){
		"4.1/1 and 5.5/1: a frame of an unknown type": func(c *conn) {
			c.Frame(unknown, 0, 0, make([]byte, 8))
			c.Frame(unknown, 0xff, 1, make([]byte, 8))
		},
		"4.1/2: undefined flags of PING": func(c *conn) { c.Frame(frame.Ping, 0x16, 0, make([]byte, 8)) },
		"4.1/2: undefined flags of DATA": func(c *conn) { c.Frame(frame.Data, 0x16&^frame.Padded, 1, nil) },
		"4.1/3: the reserved bit": func(c *conn) {
			c.Send(frame.AppendHeader(nil, frame.Header{Type: frame.WindowUpdate, Length: 4, StreamID: 1 | 1<<31}))
			c.Send([]byte{0x80, 0, 0, 1})
		},
		"6.7/2: a PING that is an answer":                   func(c *conn) { c.Frame(frame.Ping, frame.Ack, 0, []byte("unasked!")) },
		"6.5.2/5: an unknown setting":                       func(c *conn) { c.Send(frame.AppendSettings(nil, frame.Setting{ID: 0xff, Value: 1})) },
		"7/1: a GOAWAY with an unknown code":                func(c *conn) { c.Send(frame.AppendGoAway(nil, 0, 0xff, "")) },
		"generic 3.8/1: a GOAWAY in the middle of a call":   func(c *conn) { c.Send(frame.AppendGoAway(nil, 0, frame.NoError, "bye")) },
		"generic 3.3/1: a PRIORITY of weight 1":             func(c *conn) { c.Frame(frame.Priority, 0, 1, dependency(0, 0)) },
		"generic 3.3/2: a PRIORITY of weight 256":           func(c *conn) { c.Frame(frame.Priority, 0, 1, dependency(0, 255)) },
		"generic 3.3/3: a PRIORITY on another stream":       func(c *conn) { c.Frame(frame.Priority, 0, 1, dependency(7, 15)) },
		"generic 3.3/4: a PRIORITY that is exclusive":       func(c *conn) { c.Frame(frame.Priority, 0, 1, dependency(7|1<<31, 15)) },
		"generic 2/1 and 3.3/5: a PRIORITY of an idle one":  func(c *conn) { c.Frame(frame.Priority, 0, 9, dependency(0, 15)) },
		"generic 3.9/1: a WINDOW_UPDATE of the connection":  func(c *conn) { c.WindowUpdate(0, 1) },
		"generic 3.1/2: empty DATA":                         func(c *conn) { c.Data(1, 0, nil); c.Data(1, 0, nil) },
		"generic 3.1/3: DATA that is nothing but padding":   func(c *conn) { c.Frame(frame.Data, frame.Padded, 1, append([]byte{9}, make([]byte, 9)...)) },
		"generic 3.10: nothing at all, as a control":        func(*conn) {},
		"7/2: a RST_STREAM with an unknown code, elsewhere": func(c *conn) { c.open(3); c.Reset(3, 0xff) },
	} {
		t.Run(name, func(t *testing.T) {
			eachWith(t, testpeer.Options{Settings: []frame.Setting{window(frame.DefaultWindow)}}, func(c *conn) {
				c.open(1)
				send(c)
				c.ask(1, frame.EndStream, "a")
				c.answered(1, "a")
			})
		})
	}
}

func TestFramesThatEndTheConnection(t *testing.T) {
	for name, rule := range map[string]struct {
		code frame.ErrorCode
		send func(c *conn)
	}{
		"5.4.1: PING on a stream":                            {frame.ProtocolError, func(c *conn) { c.Frame(frame.Ping, 0, 1, make([]byte, 8)) }},
		"6.1/1: DATA on stream 0":                            {frame.ProtocolError, func(c *conn) { c.Data(0, frame.EndStream, message(c.t, "a")) }},
		"6.1/3: DATA with more padding than payload":         {frame.ProtocolError, func(c *conn) { c.Frame(frame.Data, frame.Padded, 1, []byte{6, 0, 0, 0, 0}) }},
		"6.1/3: DATA whose padding is as long as the frame":  {frame.ProtocolError, func(c *conn) { c.Frame(frame.Data, frame.Padded, 1, []byte{5, 0, 0, 0, 0}) }},
		"6.2/3: HEADERS on stream 0":                         {frame.ProtocolError, func(c *conn) { c.Headers(0, frame.EndStream, c.shape.fields()...) }},
		"6.3/1: PRIORITY on stream 0":                        {frame.ProtocolError, func(c *conn) { c.Frame(frame.Priority, 0, 0, dependency(0, 15)) }},
		"6.4/1: RST_STREAM on stream 0":                      {frame.ProtocolError, func(c *conn) { c.Reset(0, frame.Cancel) }},
		"6.4/2: RST_STREAM on an idle stream":                {frame.ProtocolError, func(c *conn) { c.Reset(3, frame.Cancel) }},
		"6.4/3: RST_STREAM of 3 bytes":                       {frame.FrameSizeError, func(c *conn) { c.Frame(frame.RSTStream, 0, 1, make([]byte, 3)) }},
		"6.5/1: an acknowledgement of SETTINGS with payload": {frame.FrameSizeError, func(c *conn) { c.Frame(frame.Settings, frame.Ack, 0, make([]byte, 6)) }},
		"6.5/2: SETTINGS on a stream":                        {frame.ProtocolError, func(c *conn) { c.Frame(frame.Settings, 0, 1, make([]byte, 6)) }},
		"6.5/3: SETTINGS of 3 bytes":                         {frame.FrameSizeError, func(c *conn) { c.Frame(frame.Settings, 0, 0, make([]byte, 3)) }},
		"6.7/4: PING of 6 bytes":                             {frame.FrameSizeError, func(c *conn) { c.Frame(frame.Ping, 0, 0, make([]byte, 6)) }},
		"6.8/1: GOAWAY on a stream":                          {frame.ProtocolError, func(c *conn) { c.Frame(frame.GoAway, 0, 1, make([]byte, 8)) }},
		"6.9/1: WINDOW_UPDATE of 0":                          {frame.ProtocolError, func(c *conn) { c.WindowUpdate(0, 0) }},
		"6.9/3: WINDOW_UPDATE of 3 bytes":                    {frame.FrameSizeError, func(c *conn) { c.Frame(frame.WindowUpdate, 0, 1, make([]byte, 3)) }},
		"8.2/1: PUSH_PROMISE": {frame.ProtocolError, func(c *conn) {
			c.Frame(frame.PushPromise, frame.EndHeaders, 1, append([]byte{0, 0, 0, 4}, c.Block(c.shape.fields()...)...))
		}},
		"6.5.2/1: push set to 2": {frame.ProtocolError, func(c *conn) { c.Send(frame.AppendSettings(nil, frame.Setting{ID: frame.EnablePush, Value: 2})) }},
		"6.5.2/3: a frame size below the least": {frame.ProtocolError, func(c *conn) {
			c.Send(frame.AppendSettings(nil, frame.Setting{ID: frame.MaxFrameSize, Value: frame.DefaultMaxSize - 1}))
		}},
		"6.5.2/4: a frame size above the largest": {frame.ProtocolError, func(c *conn) {
			c.Send(frame.AppendSettings(nil, frame.Setting{ID: frame.MaxFrameSize, Value: frame.MaxSize + 1}))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(c *conn) {
				c.running(1)
				rule.send(c)
				c.ExpectConnectionError(rule.code)
			})
		})
	}
}

func TestFramesUpToTheLargestAreTaken(t *testing.T) { // 4.2/1
	each(t, func(c *conn) {
		c.open(1)
		text := filler(frame.DefaultMaxSize - 5 - 3) // less the prefix, and the field's tag and length
		whole := message(c.t, text)
		require.Len(c.t, whole, frame.DefaultMaxSize)
		c.Data(1, frame.EndStream, whole)
		c.answered(1, text)
	})
}

func TestFramesThatAreTooLargeAreAnError(t *testing.T) {
	t.Run("4.2/2: DATA", func(t *testing.T) {
		each(t, func(c *conn) {
			c.open(1)
			c.Data(1, frame.EndStream, make([]byte, frame.DefaultMaxSize+1))
			c.streamError(1, frame.FrameSizeError)
		})
	})
	t.Run("4.2/3: HEADERS", func(t *testing.T) {
		each(t, func(c *conn) {
			block := c.Block(c.shape.fields("x-long", filler(frame.DefaultMaxSize*8/5))...)
			require.Greater(c.t, len(block), frame.DefaultMaxSize)
			c.Send(frame.AppendHeaders(nil, 1, 0, block, frame.MaxSize))
			c.ExpectConnectionError(frame.FrameSizeError)
		})
	})
	t.Run("trailers", func(t *testing.T) {
		each(t, func(c *conn) {
			c.running(1)
			c.Send(frame.AppendHeaders(nil, 1, frame.EndStream, c.Block("x-long", filler(frame.DefaultMaxSize*8/5)), frame.MaxSize))
			c.ExpectConnectionError(frame.FrameSizeError)
		})
	})
}

func TestPingsAreAnsweredInTheMiddleOfACall(t *testing.T) { // 6.7/1
	each(t, func(c *conn) {
		c.halfClosed(1)
		c.Alive()
		c.Alive()
		c.Reset(1, frame.Cancel)
		c.works(3)
	})
}

func TestSettingsAreAcknowledgedInTheMiddleOfACall(t *testing.T) { // 6.5.3/2
	each(t, func(c *conn) {
		c.halfClosed(1)
		c.Send(frame.AppendSettings(nil))
		c.Expect("the acknowledgement", func(f testpeer.Frame) bool { return f.Type == frame.Settings && f.Flags.Has(frame.Ack) })
		c.Reset(1, frame.Cancel)
		c.works(3)
	})
}
