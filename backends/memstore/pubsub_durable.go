package memstore

import (
	"container/list"
	"slices"
	"time"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

// durable is a durable subscription: a place in what its topic keeps, and the messages before it that were sent and are not settled. The topic's lock guards
// it, its streams and its deliveries.
type durable struct {
	name    string
	number  uint64 // another one for each, also of the same name
	clock   clock
	topic   *topic
	log     *keptLog
	timeout int64

	// next is the offset of the first message that was sent to no stream yet.
	next uint64
	// notBefore is the least publish time of a message that it gets, in milliseconds since 1970; long ago when it gets them all.
	notBefore int64
	// missed tells that messages were removed which it should have got, and no stream was told so.
	missed  bool
	pending map[uint64]*delivery // by offset: sent, not settled
	// awaiting are the deliveries whose acknowledgement is awaited, by deadline; again are those that are to be sent again.
	awaiting, again list.List
	streams         []*durableStream
	turn            int    // which stream is asked first
	serial          uint64 // of the last attempt to send a message
	timer           *time.Timer
	armed           bool // the timer will fire
}

// durableStream is one stream of a durable subscription.
type durableStream struct {
	stream
	window         int       // how many messages may await acknowledgement
	unacknowledged int       // how many do
	sending        *delivery // what is being sent, or was last
	idle           bool      // it has found nothing to send
	left           bool      // it is inactive
}

// delivery is a message that was sent and is not settled. It is being sent, or awaits its acknowledgement, or is to be sent again.
type delivery struct {
	offset   uint64
	message  *pubsubv1.Message
	count    uint32 // how often it was sent
	serial   uint64 // of the last attempt to send it
	stream   *durableStream
	deadline int64
	element  *list.Element // in awaiting when there is a stream, else in again; nil while it is being sent
}

// attempt is one sending of a message; without a delivery, of a Missed.
type attempt struct {
	delivery *delivery
	count    uint32
	serial   uint64
}

func (d *durable) join(s *durableStream) {
	s.durable = d.number
	d.streams = append(d.streams, s)
}

// leave takes a stream out. What it had not acknowledged goes to the others.
func (d *durable) leave(s *durableStream) {
	s.left = true
	d.streams = slices.DeleteFunc(d.streams, func(other *durableStream) bool { return other == s })
	for element := d.awaiting.Front(); element != nil; {
		next := element.Next()
		if waiting := element.Value.(*delivery); waiting.stream == s {
			d.sendAgain(waiting)
		}
		element = next
	}
	if s.sending != nil && s.sending.stream == s {
		d.sendAgain(s.sending)
	}
	if len(d.streams) == 0 && d.timer != nil {
		d.timer.Stop()
		d.armed = false
	}
	d.wake()
}

// take returns what a stream is to send next, if anything.
func (d *durable) take(s *durableStream) (attempt, bool) {
	d.topic.mu.Lock()
	defer d.topic.mu.Unlock()
	if s.left {
		return attempt{}, false
	}
	if s.idle = !d.has(s); s.idle {
		return attempt{}, false
	}
	if d.missed {
		d.missed = false
		d.wake()
		return attempt{}, true
	}
	taken := d.nextDelivery()
	taken.stream, taken.element = s, nil
	d.serial++
	taken.serial = d.serial
	s.sending = taken
	s.unacknowledged++
	d.wake()
	return attempt{delivery: taken, count: taken.count + 1, serial: taken.serial}, true
}

// nextDelivery returns what is to be sent again, or else the next message of the log.
func (d *durable) nextDelivery() *delivery {
	if front := d.again.Front(); front != nil {
		return d.again.Remove(front).(*delivery)
	}
	made := &delivery{offset: d.next, message: d.log.at(d.next).message}
	d.next++
	if d.pending == nil {
		d.pending = make(map[uint64]*delivery)
	}
	d.pending[made.offset] = made
	return made
}

// has tells whether there is something to send for a stream.
func (d *durable) has(s *durableStream) bool {
	if d.missed {
		return true
	}
	if s.unacknowledged >= s.window {
		return false
	}
	for d.next < d.log.end() && d.log.at(d.next).published < d.notBefore {
		d.next++
	}
	return d.again.Len() > 0 || d.next < d.log.end()
}

// wake wakes a stream that has found nothing to send and would find something now. It wakes another one when it has taken it, if there is more.
func (d *durable) wake() {
	for range d.streams {
		d.turn = (d.turn + 1) % len(d.streams)
		if s := d.streams[d.turn]; s.idle && d.has(s) {
			s.idle = false
			s.signal()
			return
		}
	}
}

// sent begins to await the acknowledgement of a message that was sent, unless it came while it was sent. A Missed that could not be sent is for another stream.
func (d *durable) sent(s *durableStream, a attempt, err error) {
	d.topic.mu.Lock()
	defer d.topic.mu.Unlock()
	sent := a.delivery
	switch {
	case sent == nil && err != nil:
		d.missed = true
		d.wake()
	case sent != nil && err == nil && sent.stream == s && sent.serial == a.serial:
		sent.count = a.count
		sent.deadline = d.clock.now() + d.timeout
		sent.element = d.awaiting.PushBack(sent)
		d.arm()
	}
}

// settle ends the deliveries of offsets.
func (d *durable) settle(offsets []uint64) {
	d.topic.mu.Lock()
	defer d.topic.mu.Unlock()
	for _, offset := range offsets {
		if pending, ok := d.pending[offset]; ok {
			d.drop(pending)
		}
	}
	d.wake()
}

// drop forgets a delivery.
func (d *durable) drop(dropped *delivery) {
	delete(d.pending, dropped.offset)
	if len(d.pending) == 0 {
		d.pending = nil
	}
	switch {
	case dropped.stream == nil:
		d.again.Remove(dropped.element)
		return
	case dropped.element != nil:
		d.awaiting.Remove(dropped.element)
	}
	dropped.stream.unacknowledged--
	dropped.stream = nil
}

// sendAgain takes a delivery from its stream.
func (d *durable) sendAgain(returned *delivery) {
	if returned.element != nil {
		d.awaiting.Remove(returned.element)
	}
	returned.stream.unacknowledged--
	returned.stream = nil
	returned.element = d.again.PushBack(returned)
}

// lose notes that the topic does not keep a message any more. Whoever was to get it is to be told.
func (d *durable) lose(offset uint64, published int64) {
	if offset >= d.next {
		d.next = offset + 1
		d.missed = d.missed || published >= d.notBefore
	} else if pending, ok := d.pending[offset]; ok {
		d.drop(pending)
		d.missed = true
	}
	d.wake()
}

// arm makes sure that what is not acknowledged in time is sent again.
func (d *durable) arm() {
	front := d.awaiting.Front()
	if d.armed || front == nil {
		return
	}
	d.armed = true
	wait := time.Duration(front.Value.(*delivery).deadline - d.clock.now())
	if d.timer == nil {
		d.timer = time.AfterFunc(wait, d.expire)
	} else {
		d.timer.Reset(wait)
	}
}

// expire lets what was not acknowledged in time be sent again.
func (d *durable) expire() {
	d.topic.mu.Lock()
	defer d.topic.mu.Unlock()
	d.armed = false
	now := d.clock.now()
	for front := d.awaiting.Front(); front != nil && front.Value.(*delivery).deadline <= now; front = d.awaiting.Front() {
		d.sendAgain(front.Value.(*delivery))
	}
	d.arm()
	d.wake()
}
