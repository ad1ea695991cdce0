package nats

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prismgate/prism/runtime/fault"
)

// mostUnanswered bounds the messages whose acknowledgements are awaited.
const mostUnanswered = 65_536

// appends are the messages that streams have not acknowledged yet. All acknowledgements come by one subscription, and one timer sees to those that do not come. The client's own asynchronous
// publication has a timer, two channels and a JSON decoder for each message; it costs a fifth of a whole call.
type appends struct {
	conn    *nats.Conn
	timeout time.Duration
	inbox   string // where acknowledgements go, before the number

	mu      sync.Mutex
	awaited map[uint64]*appended
	last    uint64
	armed   bool // expire will come
}

// appended is one message that is not acknowledged yet. Whoever takes it out of the map fills it.
type appended struct {
	until    time.Time
	sequence uint64
	err      error
	done     chan struct{} // gets a value when it is filled
}

var appendeds = sync.Pool{New: func() any { return &appended{done: make(chan struct{}, 1)} }}

// newAppends begins to listen for acknowledgements, until the connection is closed.
func newAppends(conn *nats.Conn, timeout time.Duration) (*appends, error) {
	a := &appends{conn: conn, timeout: timeout, inbox: nats.NewInbox() + ".", awaited: make(map[uint64]*appended)}
	_, err := conn.Subscribe(a.inbox+"*", a.acknowledged)
	return a, err
}

// append publishes a message and waits until its stream has acknowledged it. It gives up when the connection is lost.
func (a *appends) append(ctx context.Context, lost <-chan struct{}, message *nats.Msg) (uint64, error) {
	one := appendeds.Get().(*appended)
	number, err := a.await(one)
	if err != nil {
		appendeds.Put(one)
		return 0, err
	}
	message.Reply = a.inbox + strconv.FormatUint(number, 10)
	if err := a.conn.PublishMsg(message); err != nil {
		a.fill(number, 0, err)
	}
	select {
	case <-one.done:
	case <-ctx.Done():
		a.fill(number, 0, ctx.Err())
		<-one.done
	case <-lost:
		a.fill(number, 0, nats.ErrDisconnected)
		<-one.done
	}
	sequence, err := one.sequence, one.err
	one.sequence, one.err = 0, nil
	appendeds.Put(one)
	return sequence, err
}

// await notes that an acknowledgement is awaited, and under which number.
func (a *appends) await(one *appended) (uint64, error) {
	one.until = time.Now().Add(a.timeout)
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.awaited) >= mostUnanswered {
		return 0, fault.New(fault.ResourceExhausted, "the backend's server has %d messages to acknowledge; try again", mostUnanswered).WithReason("BACKEND_BUSY")
	}
	if !a.armed {
		a.armed = true
		time.AfterFunc(a.timeout, a.expire)
	}
	a.last++
	a.awaited[a.last] = one
	return a.last, nil
}

// fill ends the wait for an acknowledgement, if it has not ended.
func (a *appends) fill(number, sequence uint64, err error) {
	a.mu.Lock()
	one := a.awaited[number]
	delete(a.awaited, number)
	a.mu.Unlock()
	if one != nil {
		one.sequence, one.err = sequence, err
		one.done <- struct{}{}
	}
}

// acknowledged takes an acknowledgement.
func (a *appends) acknowledged(message *nats.Msg) {
	number, err := strconv.ParseUint(strings.TrimPrefix(message.Subject, a.inbox), 10, 64)
	if err != nil {
		return // nobody has asked for it
	}
	if len(message.Data) == 0 && message.Header.Get("Status") == "503" {
		a.fill(number, 0, jetstream.ErrNoStreamResponse)
		return
	}
	sequence, err := readAcknowledgement(message.Data)
	a.fill(number, sequence, err)
}

// expire ends the waits that have lasted too long, and comes again for the others.
func (a *appends) expire() {
	now, late := time.Now(), []uint64(nil)
	a.mu.Lock()
	next := now.Add(a.timeout)
	for number, one := range a.awaited {
		switch {
		case !one.until.After(now):
			late = append(late, number)
		case one.until.Before(next):
			next = one.until
		}
	}
	a.armed = len(late) < len(a.awaited)
	if a.armed {
		time.AfterFunc(max(next.Sub(now), a.timeout/16), a.expire)
	}
	a.mu.Unlock()
	for _, number := range late {
		a.fill(number, 0, nats.ErrTimeout)
	}
}

// errNoAcknowledgement is what a stream's answer is that cannot be read.
var errNoAcknowledgement = errors.New("the stream's answer to a message is not an acknowledgement")

// readAcknowledgement reads the sequence of an acknowledgement, or the error of a refusal. What the server writes in the usual case, {"stream":"NAME","seq":1}, needs no JSON decoder.
func readAcknowledgement(data []byte) (uint64, error) {
	if rest, ok := bytes.CutPrefix(data, []byte(`{"stream":"`)); ok {
		if _, rest, ok = bytes.Cut(rest, []byte(`","seq":`)); ok {
			if digits, ok := bytes.CutSuffix(rest, []byte("}")); ok {
				if sequence, err := strconv.ParseUint(string(digits), 10, 64); err == nil && sequence > 0 {
					return sequence, nil
				}
			}
		}
	}
	var answer struct {
		Error    *jetstream.APIError `json:"error"`
		Stream   string              `json:"stream"`
		Sequence uint64              `json:"seq"`
	}
	switch err := json.Unmarshal(data, &answer); {
	case err == nil && answer.Error != nil:
		return 0, answer.Error
	case err != nil || answer.Stream == "" || answer.Sequence == 0:
		return 0, errNoAcknowledgement
	}
	return answer.Sequence, nil
}
