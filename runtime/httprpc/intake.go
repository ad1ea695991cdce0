package httprpc

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/http"
	"strconv"
	"time"
)

// keptBuffer is the largest buffer that is kept for the next request.
const keptBuffer = 64 << 10

// intake takes in the body of a request that has one message, and is that body afterwards. It is reused, because it stands on the way of every call.
type intake struct {
	message bytes.Buffer
	rest    io.LimitedReader
	reply   []byte // of a plain call, encoded
	// timer ends the reading of the body of answer.
	timer  *time.Timer
	answer http.ResponseWriter
	// spent tells that the timer has fired, and fired is sent to when its function has returned.
	spent bool
	fired chan struct{}
}

func newIntake() *intake {
	in := &intake{fired: make(chan struct{}, 1)}
	in.timer = time.AfterFunc(time.Hour, func() {
		_ = http.NewResponseController(in.answer).SetReadDeadline(time.Unix(1, 0)) // what is being read fails now
		in.fired <- struct{}{}
	})
	in.timer.Stop()
	return in
}

// reset makes an intake ready for the next request, or tells that it is not worth keeping.
func (in *intake) reset() bool {
	if in.spent {
		return false
	}
	in.message.Reset()
	in.rest.R, in.answer = nil, nil
	return in.message.Cap() <= keptBuffer && cap(in.reply) <= keptBuffer
}

// take reads the body, and returns the size of its message, and whether it arrived in time. It stops when the message is over the limit, or says that it will be.
func (in *intake) take(w http.ResponseWriter, r *http.Request, wire wire, limit int64) (size int64, inTime bool, err error) {
	in.answer = w
	in.timer.Reset(timeoutOf(r.Header))
	size, err = in.read(r, wire, limit)
	if in.spent = !in.timer.Stop(); in.spent {
		<-in.fired // net/http's writer is nobody's once the handler has returned
	}
	return size, !in.spent, err
}

func (in *intake) read(r *http.Request, wire wire, limit int64) (int64, error) {
	in.rest.R = r.Body
	if wire.enveloped {
		in.rest.N = prefixSize
		if n, err := in.message.ReadFrom(&in.rest); err != nil || n < prefixSize {
			return 0, err
		}
		if size := int64(binary.BigEndian.Uint32(in.message.Bytes()[1:])); size > limit {
			return size, nil
		}
	} else if r.ContentLength > limit {
		return r.ContentLength, nil
	}
	in.rest.N = limit + 1
	return in.message.ReadFrom(&in.rest)
}

// Read reads what was taken in.
func (in *intake) Read(p []byte) (int, error) { return in.message.Read(p) }

// Close does nothing: net/http closes the body that was taken in.
func (in *intake) Close() error { return nil }

// timeoutOf returns how long a call may take by its header, or bodyTimeout when it does not say. What is malformed is left to connect-go.
func timeoutOf(header http.Header) time.Duration {
	if text := header.Get("Connect-Timeout-Ms"); text != "" {
		return timeoutIn(text, time.Millisecond)
	}
	text := header.Get("Grpc-Timeout")
	if text == "" {
		return bodyTimeout
	}
	units := map[byte]time.Duration{'n': time.Nanosecond, 'u': time.Microsecond, 'm': time.Millisecond, 'S': time.Second, 'M': time.Minute, 'H': time.Hour}
	return timeoutIn(text[:len(text)-1], units[text[len(text)-1]])
}

func timeoutIn(text string, unit time.Duration) time.Duration {
	count, err := strconv.ParseInt(text, 10, 64)
	if err != nil || count < 0 || unit == 0 || count > int64(bodyTimeout/unit) {
		return bodyTimeout
	}
	return time.Duration(count) * unit
}
