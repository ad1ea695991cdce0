package h2

import (
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// responseBuffer is how much of a body is kept before the header is sent: a body that fits has its length said, and goes out in one piece.
const responseBuffer = 4 << 10

// responseWriter is net/http's view of a response.
type responseWriter struct {
	stream *Stream
	header http.Header
	head   bool

	// mu is for handlers that leave something running: after end, all of it fails.
	mu sync.Mutex
	// wroteHeader tells that the handler has decided on status and header, sentHeader that they are on their way.
	wroteHeader, sentHeader bool
	status                  int
	snapshot                http.Header
	declared, written       int64
	body                    *buffer
	ended                   bool
}

// Header returns the header, for the handler to set.
func (w *responseWriter) Header() http.Header { return w.header }

// WriteHeader decides on the status. What is set in the header afterwards is for trailers.
func (w *responseWriter) WriteHeader(status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writeHeader(status)
}

func (w *responseWriter) writeHeader(status int) {
	if w.wroteHeader || w.ended {
		return
	}
	if status < 100 || status > 999 {
		// A defect of the handler; net/http panics, which would cut the stream without a word.
		w.stream.conn.server.log.Error("http/2 handler gave an invalid status", slog.Int("status", status), slog.String("path", w.stream.Header.Path))
		status = http.StatusInternalServerError
	}
	if status < 200 {
		if status != http.StatusSwitchingProtocols {
			w.stream.sendInterim(appendHTTP(AppendStatus(nil, status), w.header))
		}
		return
	}
	w.wroteHeader, w.status = true, status
	w.snapshot = w.header.Clone()
	if length := w.header.Get("Content-Length"); length != "" {
		declared, err := strconv.ParseInt(length, 10, 64)
		if err != nil || declared < 0 {
			w.snapshot.Del("Content-Length")
		} else {
			w.declared = declared
		}
	}
}

// Write writes some of the body.
func (w *responseWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return 0, errEnded
	}
	w.writeHeader(http.StatusOK)
	switch {
	case !bodyAllowed(w.status):
		return 0, http.ErrBodyNotAllowed
	case w.declared >= 0 && w.written+int64(len(p)) > w.declared:
		return 0, http.ErrContentLength
	}
	w.written += int64(len(p))
	if w.head || len(p) == 0 {
		return len(p), nil
	}
	if w.buffered()+len(p) <= responseBuffer {
		w.body = w.body.grown(len(p))
		w.body.b = append(w.body.b, p...)
		return len(p), nil
	}
	if err := w.flush(p); err != nil {
		return 0, err
	}
	return len(p), w.stream.SendData(p)
}

func (w *responseWriter) buffered() int {
	if w.body == nil {
		return 0
	}
	return len(w.body.b)
}

// Flush sends what there is.
func (w *responseWriter) Flush() { _ = w.FlushError() }

// FlushError sends what there is, and is for [http.ResponseController].
func (w *responseWriter) FlushError() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return errEnded
	}
	w.writeHeader(http.StatusOK)
	return w.flush(nil)
}

// flush sends the header and what is buffered; next is what will follow.
func (w *responseWriter) flush(next []byte) error {
	if !w.sentHeader {
		w.sentHeader = true
		sniffed := next
		if w.buffered() > 0 {
			sniffed = w.body.b
		}
		if err := w.stream.SendHeader(w.block(sniffed)); err != nil {
			return err
		}
	}
	if w.buffered() == 0 {
		return nil
	}
	err := w.stream.SendData(w.body.b)
	w.body.b = w.body.b[:0]
	return err
}

// block is the header block. sniffed is the begin of the body, to tell its type by when the handler does not.
func (w *responseWriter) block(sniffed []byte) []byte {
	block := AppendStatus(make([]byte, 0, 256), w.status)
	_, typed := w.snapshot["Content-Type"]
	if !typed && bodyAllowed(w.status) && len(sniffed) > 0 && w.snapshot.Get("Content-Encoding") == "" {
		block = AppendField(block, "content-type", http.DetectContentType(sniffed))
	}
	if _, dated := w.snapshot["Date"]; !dated {
		block = AppendField(block, "date", *w.stream.conn.server.date.Load())
	}
	return appendHTTP(block, w.snapshot)
}

// end sends what is left when the handler has returned.
func (w *responseWriter) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writeHeader(http.StatusOK)
	w.ended = true
	trailers := w.trailers()
	defer func() {
		w.body.put()
		w.body = nil
	}()
	var body []byte
	if w.body != nil {
		body = w.body.b
	}
	if w.sentHeader {
		if len(body) > 0 && w.stream.SendData(body) != nil {
			return
		}
		if w.declared > w.written && !w.head {
			return // the stream is reset: the body is shorter than was said
		}
		_ = w.stream.SendTrailers(trailers) // a peer that is gone does not read it
		return
	}
	if _, said := w.snapshot["Content-Length"]; !said && bodyAllowed(w.status) && (!w.head || w.written > 0) && trailers == nil {
		w.snapshot.Set("Content-Length", strconv.FormatInt(w.written, 10))
	} else if said && !w.head && w.declared > w.written && bodyAllowed(w.status) {
		return // as above
	}
	_ = w.stream.Respond(w.block(body), body, trailers) // as above
}

// trailers is the block of trailers, or nil: fields that were announced by Trailer, and those with [http.TrailerPrefix].
func (w *responseWriter) trailers() []byte {
	var block []byte
	for _, announced := range w.snapshot["Trailer"] {
		for name := range strings.SplitSeq(announced, ",") {
			name = canonical(strings.TrimSpace(name))
			block = appendValues(block, name, w.header[name])
		}
	}
	var prefixed []string
	for name := range w.header {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			prefixed = append(prefixed, name)
		}
	}
	slices.Sort(prefixed)
	for _, name := range prefixed {
		block = appendValues(block, strings.TrimPrefix(name, http.TrailerPrefix), w.header[name])
	}
	return block
}

func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// appendHTTP appends a header of net/http.
func appendHTTP(block []byte, header http.Header) []byte {
	for name, values := range header {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			continue
		}
		switch name {
		case "Connection", "Proxy-Connection", "Keep-Alive", "Upgrade", "Transfer-Encoding": // they belong to a connection of HTTP/1
			continue
		}
		block = appendValues(block, name, values)
	}
	return block
}

// appendValues appends a field for each value that can be sent.
func appendValues(block []byte, name string, values []string) []byte {
	if len(values) == 0 {
		return block
	}
	lower := strings.ToLower(name)
	for _, value := range values {
		if value = strings.Trim(value, " \t"); ValidField(lower, value) {
			block = AppendField(block, lower, value)
		}
	}
	return block
}
