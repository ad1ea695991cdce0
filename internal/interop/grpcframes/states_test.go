package grpcframes_test

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/internal/testpeer"
	"github.com/prismgate/prism/runtime/h2/frame"
)

// sendings are the frames that a stream in the wrong state does not take.
func sendings() map[string]func(c *conn, streamID uint32) {
	return map[string]func(c *conn, streamID uint32){
		"DATA":       func(c *conn, streamID uint32) { c.ask(streamID, frame.EndStream, "late") },
		"empty DATA": func(c *conn, streamID uint32) { c.Data(streamID, 0, nil) },
		"HEADERS":    func(c *conn, streamID uint32) { c.Headers(streamID, frame.EndStream, c.shape.fields()...) },
		"trailers":   func(c *conn, streamID uint32) { c.Headers(streamID, frame.EndStream, "x-late", "1") },
		"CONTINUATION": func(c *conn, streamID uint32) {
			c.Frame(frame.Continuation, frame.EndHeaders, streamID, c.Block("x-late", "1"))
		},
	}
}

func TestAnIdleStreamTakesNothingButHeaders(t *testing.T) { // 5.1/1-4
	for name, send := range map[string]func(c *conn){
		"DATA":          func(c *conn) { c.ask(3, frame.EndStream, "a") },
		"RST_STREAM":    func(c *conn) { c.Reset(3, frame.Cancel) },
		"WINDOW_UPDATE": func(c *conn) { c.WindowUpdate(3, 100) },
		"CONTINUATION":  func(c *conn) { c.Frame(frame.Continuation, frame.EndHeaders, 3, c.Block("x", "1")) },
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(c *conn) {
				c.running(1)
				send(c)
				c.ExpectConnectionError(frame.ProtocolError)
			})
		})
	}
}

func TestAHalfClosedStreamTakesNoMoreRequests(t *testing.T) { // 5.1/5-7, 6.1/2
	for name, send := range sendings() {
		t.Run(name, func(t *testing.T) {
			each(t, func(c *conn) {
				c.halfClosed(1)
				send(c, 1)
				if name == "CONTINUATION" {
					c.ExpectConnectionError(frame.ProtocolError)
					return
				}
				c.streamError(1, frame.StreamClosed)
			})
		})
	}
}

func TestAStreamThatItsHeaderHasClosedTakesNoData(t *testing.T) { // 6.1/2
	each(t, func(c *conn) {
		c.Headers(1, frame.EndStream, c.shape.fields()...)
		c.ask(1, frame.EndStream, "late")
		c.streamError(1, frame.StreamClosed)
	})
}

func TestAHalfClosedStreamTakesWhatIsNoRequest(t *testing.T) { // generic 2/2-4
	for name, send := range map[string]func(c *conn){
		"WINDOW_UPDATE": func(c *conn) { c.WindowUpdate(1, 100) },
		"PRIORITY":      func(c *conn) { c.Frame(frame.Priority, 0, 1, dependency(0, 255)) },
		"RST_STREAM":    func(c *conn) { c.Reset(1, frame.Cancel) },
	} {
		t.Run(name, func(t *testing.T) {
			eachWith(t, testpeer.Options{Settings: []frame.Setting{{ID: frame.InitialWindowSize, Value: 0}}}, func(c *conn) {
				c.open(1)
				c.ask(1, frame.EndStream, "a")
				c.ExpectType(frame.Headers, 1)
				send(c)
				c.Alive()
				c.WindowUpdate(1, 1<<20)
				if name == "RST_STREAM" {
					c.Alive()
					require.Empty(c.t, dataOn(c, 1), "what was reset is not answered")
					return
				}
				c.answered(1, "a")
			})
		})
	}
}

func TestAStreamThatWasResetTakesNoMore(t *testing.T) { // 5.1/8-10
	for name, send := range sendings() {
		t.Run(name, func(t *testing.T) {
			each(t, func(c *conn) {
				c.running(1)
				c.Reset(1, frame.Cancel)
				send(c, 1)
				if name == "CONTINUATION" {
					c.ExpectConnectionError(frame.ProtocolError, frame.StreamClosed)
					return
				}
				c.streamError(1, frame.StreamClosed)
			})
		})
	}
}

func TestAStreamThatBothHaveEndedTakesNoMore(t *testing.T) { // 5.1/11-13
	for name, send := range sendings() {
		t.Run(name, func(t *testing.T) {
			each(t, func(c *conn) {
				c.works(1)
				send(c, 1)
				switch name {
				case "CONTINUATION":
					c.ExpectConnectionError(frame.ProtocolError, frame.StreamClosed)
				case "HEADERS", "trailers":
					c.ExpectConnectionError(frame.StreamClosed)
				default:
					c.streamError(1, frame.StreamClosed)
				}
			})
		})
	}
}

func TestAStreamThatBothHaveEndedTakesPriority(t *testing.T) { // generic 2/5
	each(t, func(c *conn) {
		c.works(1)
		c.Frame(frame.Priority, 0, 1, dependency(0, 255))
		c.works(3)
	})
}

func TestStreamIdentifiersAreOddAndGrow(t *testing.T) { // 5.1.1
	t.Run("even", func(t *testing.T) {
		each(t, func(c *conn) {
			c.running(1)
			c.open(2)
			c.ExpectConnectionError(frame.ProtocolError)
		})
	})
	t.Run("smaller than one before", func(t *testing.T) {
		each(t, func(c *conn) {
			c.running(5)
			c.open(3)
			c.ExpectConnectionError(frame.ProtocolError, frame.StreamClosed)
		})
	})
}

func TestTooManyStreamsAreRefused(t *testing.T) { // 5.1.2
	each(t, func(c *conn) {
		var limit uint32
		for _, f := range c.Frames() {
			for _, setting := range f.Settings() {
				if setting.ID == frame.MaxConcurrentStreams {
					limit = setting.Value
				}
			}
		}
		require.NotZero(c.t, limit, "the server says how many streams it takes")
		for i := range limit + 1 {
			c.open(2*i + 1)
			c.ask(2*i+1, frame.EndStream, hold)
		}
		c.ExpectReset(2*limit+1, frame.RefusedStream)
		for i := range limit {
			c.Reset(2*i+1, frame.Cancel)
		}
		// A handler that was cancelled counts until it has returned.
		deadline := time.Now().Add(testpeer.DefaultTimeout)
		id := 2*limit + 101
		for {
			c.open(id)
			c.ask(id, frame.EndStream, "a")
			if reset := c.Response(id).Reset; reset == nil || *reset != frame.RefusedStream {
				break
			}
			require.Less(c.t, time.Now(), deadline, "streams that were reset count still")
			id += 2
		}
		c.answered(id, "a")
	})
}

func TestAStreamThatDependsOnItselfIsAnError(t *testing.T) { // 5.3.1
	t.Run("HEADERS", func(t *testing.T) {
		each(t, func(c *conn) {
			block := append(dependency(1, 255), c.Block(c.shape.fields()...)...)
			c.Frame(frame.Headers, frame.HasPriority|frame.EndHeaders, 1, block)
			c.streamError(1, frame.ProtocolError)
		})
	})
	t.Run("PRIORITY", func(t *testing.T) {
		each(t, func(c *conn) {
			c.running(1)
			c.Frame(frame.Priority, 0, 1, dependency(1, 255))
			c.streamError(1, frame.ProtocolError)
		})
	})
}

func TestPriorityOfTheWrongSizeIsAnError(t *testing.T) { // 6.3/2
	each(t, func(c *conn) {
		c.running(1)
		c.Frame(frame.Priority, 0, 1, binary.BigEndian.AppendUint32(nil, 0))
		c.streamError(1, frame.FrameSizeError)
	})
}

func TestACallThatIsResetIsNotAnswered(t *testing.T) { // generic 3.4/1
	each(t, func(c *conn) {
		c.open(1)
		c.ask(1, 0, hold)
		c.Reset(1, frame.Cancel)
		c.works(3)
		for _, f := range c.Frames() {
			require.False(c.t, f.StreamID == 1 && f.Type == frame.RSTStream, "RST_STREAM is not answered with RST_STREAM")
		}
	})
}

// dataOn is what came as DATA on a stream.
func dataOn(c *conn, streamID uint32) []byte {
	var data []byte
	for _, f := range c.Frames() {
		if f.Type == frame.Data && f.StreamID == streamID {
			data = append(data, f.Payload...)
		}
	}
	return data
}
