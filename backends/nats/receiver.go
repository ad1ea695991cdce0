package nats

import (
	"context"
	"sync"

	"github.com/nats-io/nats.go"
)

// receiverRoom is how many messages may wait for the receiver, which waits for nobody. Beyond that the client drops messages and says so, and then the streams end.
const receiverRoom = 1 << 16

// receiver takes the messages of all subscriptions of an instance, in the order in which the server has sent them, in one goroutine.
type receiver struct {
	conn *nats.Conn
	came chan *nats.Msg
	end  chan struct{}
	done chan struct{}

	mu    sync.RWMutex
	heard map[*nats.Subscription]func(*nats.Msg)
	marks map[*nats.Msg]func()
}

func newReceiver(conn *nats.Conn) *receiver {
	r := &receiver{
		conn: conn, came: make(chan *nats.Msg, receiverRoom), end: make(chan struct{}), done: make(chan struct{}),
		heard: make(map[*nats.Subscription]func(*nats.Msg)), marks: make(map[*nats.Msg]func()),
	}
	go r.run()
	return r
}

func (r *receiver) run() {
	defer close(r.done)
	for {
		select {
		case message := <-r.came:
			r.handle(message)
		case <-r.end:
			return
		}
	}
}

func (r *receiver) handle(message *nats.Msg) {
	if message.Sub == nil {
		r.mu.Lock()
		reached := r.marks[message]
		delete(r.marks, message)
		r.mu.Unlock()
		if reached != nil {
			reached()
		}
		return
	}
	r.mu.RLock()
	hear := r.heard[message.Sub]
	r.mu.RUnlock()
	if hear != nil {
		hear(message)
	}
}

// subscribe asks the server for the messages of a subject. They are given to hear, which must not wait.
func (r *receiver) subscribe(subject string, hear func(*nats.Msg)) (*nats.Subscription, error) {
	r.mu.Lock() // a message may come before it is known who hears it
	defer r.mu.Unlock()
	sub, err := r.conn.ChanSubscribe(subject, r.came)
	if err != nil {
		return nil, err
	}
	r.heard[sub] = hear
	return sub, nil
}

// forget gives messages of a subscription to nobody any more.
func (r *receiver) forget(sub *nats.Subscription) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.heard, sub)
}

// mark calls a function at the place in the order of messages that this call is made at. It returns when that was called.
func (r *receiver) mark(ctx context.Context, reached func()) error {
	called := make(chan struct{})
	message := new(nats.Msg)
	r.mu.Lock()
	r.marks[message] = func() { reached(); close(called) }
	r.mu.Unlock()
	select {
	case r.came <- message:
	case <-ctx.Done():
	case <-r.end:
	}
	select {
	case <-called:
		return nil
	case <-ctx.Done():
	case <-r.end:
	}
	r.mu.Lock()
	_, waits := r.marks[message]
	delete(r.marks, message)
	r.mu.Unlock()
	if !waits {
		<-called
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return nats.ErrConnectionClosed
}

func (r *receiver) close() {
	close(r.end)
	<-r.done
}
