package grpcframes_test

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/runtime/h2/frame"
)

func TestARequestMayComeInAnyPieces(t *testing.T) { // generic 3.1
	t.Run("a byte at a time", func(t *testing.T) {
		each(t, func(c *conn) {
			c.open(1)
			whole := message(c.t, "pieces")
			for i, b := range whole {
				flags := frame.Flags(0)
				if i == len(whole)-1 {
					flags = frame.EndStream
				}
				c.Data(1, flags, []byte{b})
			}
			c.answered(1, "pieces")
		})
	})
	t.Run("ended by an empty frame", func(t *testing.T) {
		each(t, func(c *conn) {
			c.open(1)
			c.ask(1, 0, "a")
			c.Data(1, frame.EndStream, nil)
			c.answered(1, "a")
		})
	})
	t.Run("with padding", func(t *testing.T) {
		each(t, func(c *conn) {
			c.open(1)
			payload := append([]byte{200}, message(c.t, "a")...)
			c.Frame(frame.Data, frame.Padded|frame.EndStream, 1, append(payload, make([]byte, 200)...))
			c.answered(1, "a")
		})
	})
	t.Run("several requests in a frame", func(t *testing.T) {
		eachStreaming(t, func(c *conn) {
			c.open(1)
			c.Data(1, frame.EndStream, append(message(c.t, "a"), append(message(c.t, ""), message(c.t, "c")...)...))
			c.answered(1, "a", "", "c")
		})
	})
}

func TestContentLengthMayBeSaid(t *testing.T) { // 8.1.2.6
	each(t, func(c *conn) {
		c.open(1, "content-length", strconv.Itoa(len(message(c.t, "a"))))
		c.ask(1, frame.EndStream, "a")
		c.answered(1, "a")
	})
}

func TestContentLengthDoesNotCountPadding(t *testing.T) { // 8.1.2.6
	each(t, func(c *conn) {
		c.open(1, "content-length", strconv.Itoa(len(message(c.t, "a"))))
		payload := append([]byte{20}, message(c.t, "a")...)
		c.Frame(frame.Data, frame.Padded|frame.EndStream, 1, append(payload, make([]byte, 20)...))
		c.answered(1, "a")
	})
}

func TestContentLengthMustBeTrue(t *testing.T) { // 8.1.2.6/1-2
	size := len(message(t, "a"))
	for name, rule := range map[string]struct {
		length int
		send   func(c *conn)
	}{
		"one frame has more":      {1, func(c *conn) { c.ask(1, frame.EndStream, "a") }},
		"one frame has less":      {size + 1, func(c *conn) { c.ask(1, frame.EndStream, "a") }},
		"several have more":       {size + 1, func(c *conn) { c.ask(1, 0, "a"); c.Data(1, frame.EndStream, []byte{0, 0}) }},
		"several have less":       {size + 3, func(c *conn) { c.ask(1, 0, "a"); c.Data(1, frame.EndStream, []byte{0, 0}) }},
		"more, and not yet ended": {size - 1, func(c *conn) { c.ask(1, 0, "a") }},
		"ended by an empty frame": {size + 1, func(c *conn) { c.ask(1, 0, "a"); c.Data(1, frame.EndStream, nil) }},
		"ended by trailers":       {size + 1, func(c *conn) { c.ask(1, 0, "a"); c.Headers(1, frame.EndStream, "x-test", "ok") }},
		"some, and there is none": {0, func(c *conn) { c.ask(1, frame.EndStream, "a") }},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(c *conn) {
				c.open(1, "content-length", strconv.Itoa(rule.length))
				rule.send(c)
				c.streamError(1, frame.ProtocolError)
			})
		})
	}
	t.Run("ended by the header", func(t *testing.T) {
		each(t, func(c *conn) {
			c.Headers(1, frame.EndStream, c.shape.fields("content-length", "5")...)
			c.streamError(1, frame.ProtocolError)
		})
	})
}

func TestARequestThatEndsWithinAMessageIsAnError(t *testing.T) {
	for name, cut := range map[string]int{"in the prefix": 3, "after the prefix": 5, "in the message": 6} {
		t.Run(name, func(t *testing.T) {
			each(t, func(c *conn) {
				c.open(1)
				c.Data(1, frame.EndStream, message(c.t, "abc")[:cut])
				code, text := c.Response(1).GRPC(c.t)
				require.NotZero(c.t, code, text)
				c.works(3)
			})
		})
	}
}
