package load

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// http1 is the client side of an HTTP/1.1 connection (RFC 9112), with a call at a time.
type http1 struct {
	c *conn
	// heads are what stands before the body of a request, by procedure.
	heads [][]byte
	busy  bool
	call  call
	// heard is when something of the response arrived.
	heard int64
	// left is how much of the body is missing, or of the current chunk.
	answer  answer
	phase   phase
	left    int64
	chunked bool
	last    bool
}

// phase is where in a response the connection is.
type phase int

const (
	inHead phase = iota
	inBody
	inChunkSize
	inChunkEnd
	inTrailer
)

func newHTTP1(c *conn) *http1 {
	h := &http1{c: c}
	for _, p := range c.w.run.procedures {
		var head bytes.Buffer
		fmt.Fprintf(&head, "POST %s HTTP/1.1\r\nhost: %s\r\n", p.path, c.w.run.target.Address.Authority)
		for _, f := range p.header {
			fmt.Fprintf(&head, "%s: %s\r\n", f.Name, f.Value)
		}
		fmt.Fprintf(&head, "content-length: %d\r\n\r\n", len(p.body))
		h.heads = append(h.heads, head.Bytes())
	}
	return h
}

func (h *http1) room() int { return 1 - h.active() }

func (h *http1) active() int {
	if h.busy {
		return 1
	}
	return 0
}

func (h *http1) open(c *call) {
	h.call, h.busy, h.heard, h.phase = *c, true, c.sent, inHead
	h.answer.reset()
	p := c.procedure
	h.c.out = append(h.c.out, h.heads[p.index]...)
	h.c.out = appendPatched(h.c.out, p.body, p.patches, c.key, c.sequence)
}

func (h *http1) pump() {}

func (h *http1) consume(data []byte) (int, error) {
	used := 0
	for used < len(data) {
		if !h.busy {
			return used, broken(0, "the server sent what nobody has asked for")
		}
		n, err := h.part(data[used:])
		if err != nil {
			return used, err
		}
		if n == 0 {
			break
		}
		used += n
	}
	return used, nil
}

// part reads one part of a response, and returns its size; 0 when it is not whole.
func (h *http1) part(data []byte) (int, error) {
	h.heard = h.c.w.now
	h.c.w.heard(false, 0)
	if h.phase == inBody {
		n := int(min(int64(len(data)), h.left))
		h.answer.take(h.call.procedure, data[:n])
		if h.left -= int64(n); h.left == 0 {
			if h.chunked {
				h.phase = inChunkEnd
			} else {
				h.finish()
			}
		}
		return n, nil
	}
	separator := []byte("\r\n")
	if h.phase == inHead {
		separator = []byte("\r\n\r\n")
	}
	end := bytes.Index(data, separator)
	if end < 0 {
		if len(data) > maxHeaderBlock {
			return 0, broken(0, "the server sent a header of more than %d bytes", maxHeaderBlock)
		}
		return 0, nil
	}
	text := string(data[:end])
	var err error
	switch h.phase {
	case inHead:
		err = h.head(text)
	case inChunkSize:
		err = h.chunk(text)
	case inChunkEnd:
		if h.phase = inChunkSize; text != "" {
			err = broken(0, "a chunk of the response is longer than it says")
		}
	case inTrailer:
		if text == "" {
			h.finish()
		}
	case inBody:
	}
	return end + len(separator), err
}

func (h *http1) head(text string) error {
	line, rest, _ := strings.Cut(text, "\r\n")
	version, status, _ := strings.Cut(line, " ")
	status, _, _ = strings.Cut(status, " ")
	code, err := strconv.Atoi(status)
	if err != nil || !strings.HasPrefix(version, "HTTP/1.") || code < 100 || code > 999 {
		return broken(0, "the server does not speak HTTP/1.1: %.40q", line)
	}
	if code < 200 {
		return nil // another head is to come
	}
	content, encoding := "", ""
	h.left, h.chunked, h.last = -1, false, version != "HTTP/1.1"
	for field := range strings.SplitSeq(rest, "\r\n") {
		name, value, _ := strings.Cut(field, ":")
		value = strings.TrimSpace(value)
		switch strings.ToLower(name) {
		case "content-length":
			if h.left, err = strconv.ParseInt(value, 10, 64); err != nil || h.left < 0 {
				return broken(0, "the content-length of the response is %.40q", value)
			}
		case "transfer-encoding":
			h.chunked = strings.EqualFold(value, "chunked")
		case "connection":
			h.last = h.last || strings.EqualFold(value, "close")
		case "content-encoding":
			encoding = value
		case "content-type":
			content = value
		}
	}
	h.answer.head(h.call.procedure, code, content, encoding)
	switch {
	case h.chunked:
		h.phase = inChunkSize
	case h.left > 0:
		h.phase = inBody
	case h.left == 0 || code == http.StatusNoContent || code == http.StatusNotModified:
		h.finish()
	default:
		return errors.New("the response does not say how long it is")
	}
	return nil
}

func (h *http1) chunk(text string) error {
	digits, _, _ := strings.Cut(text, ";")
	size, err := strconv.ParseUint(strings.TrimSpace(digits), 16, 62)
	if err != nil {
		return broken(0, "a chunk of the response has the size %.40q", digits)
	}
	h.left, h.phase = int64(size), inBody
	if size == 0 {
		h.phase = inTrailer
	}
	return nil
}

func (h *http1) finish() {
	code, message := h.answer.result(h.call.procedure)
	if code == "" {
		h.c.w.heard(h.call.measured, 1)
	}
	h.end(code, message)
	if h.last {
		h.c.drain("CLOSED", "the server closes connections after a call")
	}
}

func (h *http1) end(code, message string) {
	h.busy = false
	h.c.ended(&h.call, code, message, h.answer.size)
}

// expire ends a call by closing its connection: there is no other way in HTTP/1.1.
func (h *http1) expire(since int64) {
	if h.busy && h.heard < since {
		h.end(failTimeout, "no answer in time")
		h.c.lost(errors.New("a call was given up"))
	}
}

func (h *http1) cut(which func(*call) bool) {
	if h.busy && which(&h.call) {
		h.busy = false
		h.c.unfinished(&h.call)
		h.c.lost(errors.New("a call was given up"))
	}
}

func (h *http1) lose(code, message string) {
	if h.busy {
		h.end(code, message)
	}
}

func (h *http1) farewell(error) {}
