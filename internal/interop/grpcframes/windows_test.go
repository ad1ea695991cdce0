package grpcframes_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/internal/testpeer"
	"github.com/prismgate/prism/runtime/h2/frame"
)

// settle sends SETTINGS and waits until the server has taken them in.
func (c *conn) settle(settings ...frame.Setting) {
	c.t.Helper()
	c.Send(frame.AppendSettings(nil, settings...))
	c.Expect("the acknowledgement of SETTINGS", func(f testpeer.Frame) bool { return f.Type == frame.Settings && f.Flags.Has(frame.Ack) })
}

func window(size uint32) frame.Setting {
	return frame.Setting{ID: frame.InitialWindowSize, Value: size}
}

// nextData waits for DATA on a stream, and returns how much it is.
func (c *conn) nextData(streamID uint32) int {
	c.t.Helper()
	return len(c.ExpectType(frame.Data, streamID).Payload)
}

func TestAResponseKeepsToTheWindow(t *testing.T) { // 6.9.1/1
	each(t, func(c *conn) {
		c.settle(window(1))
		c.open(1)
		c.ask(1, frame.EndStream, "window")
		size := 0
		for _, answer := range c.shape.answer("window") {
			size += len(message(c.t, answer))
		}
		for i := range size {
			require.Equal(c.t, 1, c.nextData(1), "byte %d", i)
			c.WindowUpdate(1, 1)
		}
		c.answered(1, "window")
	})
}

func TestAResponseKeepsToTheConnectionsWindow(t *testing.T) {
	const size = 50_000 // two of them do not fit
	eachWith(t, testpeer.Options{Settings: []frame.Setting{window(frame.MaxWindow)}}, func(c *conn) {
		for _, id := range []uint32{1, 3} {
			c.open(id)
			c.Data(id, 0, message(c.t, filler(size))[:10_000])
			c.sendAll(id, message(c.t, filler(size))[10_000:])
		}
		c.Until("a window of data", func([]testpeer.Frame) bool { return len(dataOn(c, 1))+len(dataOn(c, 3)) >= frame.DefaultWindow })
		c.Alive()
		require.Len(c.t, append(dataOn(c, 1), dataOn(c, 3)...), frame.DefaultWindow)
		c.WindowUpdate(0, 1<<20)
		c.answered(1, filler(size))
		c.answered(3, filler(size))
	})
}

// sendAll sends the rest of a request in frames that are not too large, and ends it. It must fit into the windows.
func (c *conn) sendAll(streamID uint32, data []byte) {
	for len(data) > frame.DefaultMaxSize {
		c.Data(streamID, 0, data[:frame.DefaultMaxSize])
		data = data[frame.DefaultMaxSize:]
	}
	c.Data(streamID, frame.EndStream, data)
}

func TestAWindowThatChangesMidwayCounts(t *testing.T) { // 6.9.2/1
	each(t, func(c *conn) {
		c.settle(window(0))
		c.open(1)
		c.ask(1, frame.EndStream, "window")
		c.ExpectType(frame.Headers, 1)
		c.Alive()
		require.Empty(c.t, dataOn(c, 1))
		c.settle(window(1))
		require.Equal(c.t, 1, c.nextData(1))
		c.settle(window(1 << 20))
		c.answered(1, "window")
	})
}

func TestTheLastOfSeveralValuesCounts(t *testing.T) { // 6.5.3/1
	each(t, func(c *conn) {
		c.settle(window(100), window(1))
		c.open(1)
		c.ask(1, frame.EndStream, "window")
		require.Equal(c.t, 1, c.nextData(1))
		c.settle(window(1<<20), window(1<<19))
		c.answered(1, "window")
	})
}

func TestAWindowMayBecomeNegative(t *testing.T) { // 6.9.2/2
	each(t, func(c *conn) {
		c.settle(window(3))
		c.open(1)
		c.ask(1, frame.EndStream, "window")
		require.Equal(c.t, 3, c.nextData(1))
		c.settle(window(2)) // there are -1 left
		c.WindowUpdate(1, 2)
		require.Equal(c.t, 1, c.nextData(1))
		c.WindowUpdate(1, 1<<20)
		c.answered(1, "window")
	})
}

func TestWindowsThatGrowTooLargeAreAnError(t *testing.T) {
	t.Run("6.9.1/2: the connection's", func(t *testing.T) {
		each(t, func(c *conn) {
			c.running(1)
			c.WindowUpdate(0, frame.MaxWindow)
			c.WindowUpdate(0, frame.MaxWindow)
			c.ExpectConnectionError(frame.FlowControlError)
		})
	})
	t.Run("6.9.1/3: a stream's", func(t *testing.T) {
		each(t, func(c *conn) {
			c.running(1)
			c.WindowUpdate(1, frame.MaxWindow)
			c.WindowUpdate(1, frame.MaxWindow)
			c.ExpectReset(1, frame.FlowControlError)
			c.works(3)
		})
	})
	t.Run("6.9.2/3: by a setting that is too large", func(t *testing.T) {
		each(t, func(c *conn) {
			c.running(1)
			c.Send(frame.AppendSettings(nil, window(frame.MaxWindow+1)))
			c.ExpectConnectionError(frame.FlowControlError)
		})
	})
	t.Run("6.9.2: by a setting, of a stream that was given credit", func(t *testing.T) {
		eachWith(t, testpeer.Options{Settings: []frame.Setting{window(0)}}, func(c *conn) {
			c.running(1)
			c.WindowUpdate(1, 100)
			c.Send(frame.AppendSettings(nil, window(frame.MaxWindow)))
			c.ExpectConnectionError(frame.FlowControlError)
		})
	})
}

func TestAStreamsWindowUpdateOfNothingIsAnError(t *testing.T) { // 6.9/2
	each(t, func(c *conn) {
		c.running(1)
		c.WindowUpdate(1, 0)
		c.streamError(1, frame.ProtocolError)
	})
}

// windows are how much the server has said that it takes in, altogether, on the connection and on a stream.
func windows(received []testpeer.Frame, streamID uint32) (connection, stream int) {
	connection, stream = frame.DefaultWindow, frame.DefaultWindow
	for _, f := range received {
		switch {
		case f.Type == frame.WindowUpdate && f.StreamID == 0:
			connection += int(f.Increment())
		case f.Type == frame.WindowUpdate && f.StreamID == streamID:
			stream += int(f.Increment())
		case f.Type == frame.Settings:
			for _, setting := range f.Settings() {
				if setting.ID == frame.InitialWindowSize {
					stream = int(setting.Value)
				}
			}
		}
	}
	return connection, stream
}

func TestWhatIsTakenInIsCredited(t *testing.T) {
	// Padding counts: it is nearly all that is sent.
	request := append([]byte{255}, message(t, "a")...)
	request = append(request, make([]byte, 255)...)
	eachStreaming(t, func(c *conn) {
		c.open(1)
		connection, stream := windows(c.Frames(), 1)
		total, room := 2*max(connection, stream), min(connection, stream)
		var requests []string
		for sent := 0; sent < total; sent += len(request) {
			if sent+len(request) > room {
				c.Until(fmt.Sprintf("credit after %d of %d bytes", sent, total), func(received []testpeer.Frame) bool {
					connection, stream := windows(received, 1)
					room = min(connection, stream)
					return sent+len(request) <= room
				})
			}
			c.Frame(frame.Data, frame.Padded, 1, request)
			requests = append(requests, "a")
		}
		c.Data(1, frame.EndStream, nil)
		c.answered(1, requests...)
	})
}

func TestDataOnStreamsThatAreOverIsCreditedToTheConnection(t *testing.T) {
	each(t, func(c *conn) {
		for id := uint32(1); id < 401; id += 2 {
			c.open(id)
			c.Reset(id, frame.Cancel)
			c.Frame(frame.Data, 0, id, make([]byte, 10_000)) // crossed the reset, as it may
		}
		c.works(1001)
	})
}

func TestMoreThanTheStreamsWindowIsAnError(t *testing.T) { // 6.9.1, the other way round
	// A request that is taken in whole has no handler that could leave it unread.
	eachStreaming(t, func(c *conn) {
		c.running(1) // its handler reads no more
		sent := len(message(c.t, hold))
		over := func(f testpeer.Frame) bool { return f.Type == frame.RSTStream || f.Type == frame.GoAway }
		for excess := 0; excess < 2*frame.DefaultMaxSize; {
			c.Until("credit of the connection, or the error", func(received []testpeer.Frame) bool {
				connection, stream := windows(received, 1)
				excess = sent - stream
				return connection-sent >= frame.DefaultMaxSize || slices.ContainsFunc(received, over)
			})
			c.Data(1, 0, make([]byte, frame.DefaultMaxSize))
			sent += frame.DefaultMaxSize
		}
		require.Equal(c.t, frame.FlowControlError, c.Expect("RST_STREAM or GOAWAY", over).Code())
	})
}
