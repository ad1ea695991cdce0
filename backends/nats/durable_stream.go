package nats

import (
	"context"
	"encoding/json"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
	"github.com/prismgate/prism/runtime/fanout"
	"github.com/prismgate/prism/runtime/fault"
)

const (
	// pullExpires is how long the server keeps a question for the next message.
	pullExpires = 30 * time.Second
	// pullHeartbeat is how often the server says that it has the question: one that dies in a cluster takes it along, and the connection to another one stays.
	pullHeartbeat = 5 * time.Second
	// pullSilent is how long the server may be silent. The stream ends then: were the server asked again it could answer both, and one of two messages would wait unsent.
	pullSilent = 3 * pullHeartbeat
	// pullAgain is after how long a question that the server has refused is asked again.
	pullAgain = 100 * time.Millisecond
	// sendingMost is longer than a message is ever being sent.
	sendingMost = 10_000 * time.Hour
	// leaveTimeout bounds how long the end of a stream waits for the server.
	leaveTimeout = 5 * time.Second
)

// pullAtOnce asks for a message that is there already.
var pullAtOnce = []byte(`{"batch":1,"no_wait":true}`)

// What a consumer is told of a message; "+ACK" is empty.
var (
	ackNak      = []byte("-NAK")
	ackProgress = []byte("+WPI")
)

// delivery is a message that the server has given to a stream.
type delivery struct {
	sequence uint64
	reply    string    // where the consumer listens
	given    time.Time // when the server may have begun to wait for its acknowledgement, at the latest known
	deadline time.Time // when it awaits its acknowledgement no more; zero while it is being sent
}

// arrival is what the server has sent: a message, or why there is none.
type arrival struct {
	*nats.Msg
	at time.Time
}

// sending is what a stream sends next.
type sending struct {
	response *pubsubv1.SubscribeDurableResponse
	delivery *delivery // nil for a Missed
}

// durableStream is one stream of a durable subscription on this gateway. It asks the server for one message at a time, when it can send it: what waits in a gateway would be neither sent
// nor given to others.
type durableStream struct {
	*durable
	subscription string
	number       uint64
	max          int
	stream       *fanout.Stream
	sub          *nats.Subscription // of the answers to all its questions
	inbox        string             // where those go, before the number
	pull         []byte
	watch        lossWatch

	mu       sync.Mutex
	window   map[uint64]*delivery // by sequence: sent, not settled
	pulling  time.Time            // until when the server may be silent; zero when it has no question
	unserved time.Time            // since when nobody takes questions; zero when somebody does
	asked    int                  // how many questions the server was asked
	drained  bool                 // the server has answered that no message is there
	answered chan struct{}        // is closed when the questions of a stream that was left are answered; nil when nobody waits for it
	owed     int                  // how many messages may come to them
	arrived  *arrival
	returned []*arrival // what came after the stream was left
	left     bool
	progress *time.Timer
	working  *delivery // what is being sent
	leaving  sync.Once
}

// SubscribeDurable streams the messages of a durable subscription.
func (p *pubSub) SubscribeDurable(ctx context.Context, request *pubsubv1.SubscribeDurableRequest, send func(*pubsubv1.SubscribeDurableResponse) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s, err := p.openDurable(ctx, request)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.watch.look(ctx, s.durable); err != nil {
		return err
	}
	subscribed := &pubsubv1.Subscribed{SubscriptionId: s.stream.ID()}
	if err := send(&pubsubv1.SubscribeDurableResponse{Event: &pubsubv1.SubscribeDurableResponse_Subscribed{Subscribed: subscribed}}); err != nil {
		return err
	}
	return fanout.Follow(ctx, s.stream, s.next, func(next sending) error {
		if !s.begin(next.delivery) {
			return nil
		}
		err := send(next.response)
		s.sent(next.delivery, err)
		if err == nil && next.delivery == nil {
			s.watch.told()
		}
		return err
	})
}

// openDurable opens a stream of a durable subscription. When that was forgotten meanwhile it begins again; from here on the stream hears when it is.
func (p *pubSub) openDurable(ctx context.Context, request *pubsubv1.SubscribeDurableRequest) (*durableStream, error) {
	for {
		d, err := p.durable(ctx, request)
		if err != nil {
			return nil, err
		}
		s, err := d.open(request)
		if err != nil {
			return nil, err
		}
		there, err := d.still(ctx)
		if there {
			return s, nil
		}
		s.close()
		if err != nil {
			return nil, err
		}
	}
}

func (s *durableStream) close() {
	s.stream.End(nil)
	s.leave()
}

// open opens a stream.
func (d *durable) open(request *pubsubv1.SubscribeDurableRequest) (*durableStream, error) {
	s := &durableStream{
		durable: d, subscription: request.GetSubscription(), number: d.store.lastDurable.Add(1), max: int(request.GetMaxUnacknowledged()), window: make(map[uint64]*delivery),
	}
	if s.max == 0 {
		s.max = defaultMaxUnacknowledged
	}
	s.pull, _ = json.Marshal(map[string]any{"batch": 1, "expires": pullExpires, "idle_heartbeat": pullHeartbeat}) // cannot fail
	s.progress = time.AfterFunc(time.Hour, s.keepWorking)
	s.progress.Stop()
	var err error
	if s.stream, err = d.hub.Open(streamID{d.record.Generation, s.number, d.hash, d.store.gateway}.encode()); err != nil {
		return nil, err
	}
	s.inbox = d.store.conn.NewInbox() + "."
	if s.sub, err = d.store.receiver.subscribe(s.inbox+"*", s.came); err != nil {
		s.stream.End(nil)
		return nil, failed("nats.pubsub.SubscribeDurable", err)
	}
	d.store.mu.Lock()
	defer d.store.mu.Unlock()
	if d.store.durables == nil {
		d.store.durables = make(map[uint64]*durableStream)
	}
	d.store.durables[s.number] = s
	return s, nil
}

// came takes what the server sends. It does not wait.
func (s *durableStream) came(message *nats.Msg) {
	m := &arrival{message, time.Now()}
	s.mu.Lock()
	defer s.mu.Unlock()
	status := m.Header.Get("Status")
	switch {
	case status != "" && (message.Subject != s.question() || s.pulling.IsZero() || s.arrived != nil): // a new leader refuses also what the former one has answered
		return
	case status == "100":
		s.pulling = m.at.Add(pullSilent)
		return
	case s.left:
		s.returned = append(s.returned, m)
		s.settleQuestion(status != "")
		return
	}
	s.arrived = m
	s.stream.Signal()
}

// nextSubject is where the consumer is asked for its next message.
func (s *durableStream) nextSubject() string {
	return "$JS.API.CONSUMER.MSG.NEXT." + s.store.topicsName() + "." + s.consumer()
}

// question is where the answer to the last question goes. The lock is held.
func (s *durableStream) question() string { return s.inbox + strconv.Itoa(s.asked) }

// next returns what is to be sent next, asks the server for more if there is room, or tells when to look again.
func (s *durableStream) next(ctx context.Context) (sending, bool, time.Duration, error) {
	if missed, err := s.watch.again(ctx, s.durable); err != nil || missed {
		response := &pubsubv1.SubscribeDurableResponse{Event: &pubsubv1.SubscribeDurableResponse_Missed{Missed: &pubsubv1.Missed{}}}
		return sending{response: response}, missed && err == nil, 0, err
	}
	for {
		m := s.take()
		if m == nil {
			again, err := s.ask()
			return sending{}, false, min(again, s.watch.every(s.store.retention)), err
		}
		if status := m.Header.Get("Status"); status != "" {
			again, err := s.refused(ctx, status)
			if err != nil || again > 0 {
				return sending{}, false, again, err
			}
			continue
		}
		found, err := s.received(m)
		if err != nil || found.response != nil {
			return found, found.response != nil, 0, err
		}
	}
}

// take returns what has arrived, if anything.
func (s *durableStream) take() *arrival {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.arrived
	if m != nil {
		s.arrived, s.pulling = nil, time.Time{}
		status := m.Header.Get("Status")
		s.drained = status == "404"
		if status != "503" {
			s.unserved = time.Time{}
		}
	}
	return m
}

// ask asks for a message, if there is room for one, and tells when to look again at the latest.
func (s *durableStream) ask() (time.Duration, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if len(s.window) >= s.max {
		if first := s.expire(now); len(s.window) >= s.max {
			return max(first.Sub(now), time.Millisecond), nil
		}
	}
	if s.left || s.arrived != nil {
		return time.Millisecond, nil
	}
	switch {
	case s.pulling.IsZero():
		s.asked++
		pull := s.pull
		if s.atOnce() {
			pull = pullAtOnce
		}
		if err := s.store.conn.PublishRequest(s.nextSubject(), s.question(), pull); err != nil {
			return 0, failed("nats.pubsub.SubscribeDurable", err)
		}
		s.pulling = now.Add(pullSilent)
	case now.After(s.pulling):
		return 0, errNotServed()
	}
	return s.pulling.Sub(now), nil
}

// atOnce tells whether the server is asked for what is there, before it is asked to wait. With several replicas it sends a message only when the others have noted that, and does not look again
// whether the stream that had asked is still there: so a stream that ends waits for the answer. The lock is held.
func (s *durableStream) atOnce() bool { return !s.store.direct() && !s.drained }

// expire makes room: it forgets what awaits its acknowledgement no more, and tells when the next does. The lock is held.
func (s *durableStream) expire(now time.Time) (first time.Time) {
	for sequence, waiting := range s.window {
		if !waiting.deadline.After(now) {
			delete(s.window, sequence)
		} else if first.IsZero() || waiting.deadline.Before(first) {
			first = waiting.deadline
		}
	}
	return first
}

// refused looks what it means that the server had no message: that it has waited long enough, that the subscription was forgotten, or that something is wrong. It tells when to ask again.
func (s *durableStream) refused(ctx context.Context, status string) (time.Duration, error) {
	if status == "408" || status == "404" {
		return 0, nil
	}
	now := durable{pubSub: s.pubSub, hash: s.hash}
	there, err := now.load(ctx)
	if err != nil {
		return 0, err
	}
	if !there || now.record.Generation != s.record.Generation {
		s.stream.End(nil)
		return pullAgain, nil
	}
	if status == "503" && (s.store.direct() || s.unservedFor() >= pullSilent) {
		return 0, errNotServed()
	}
	return pullAgain, nil
}

// unservedFor tells for how long nobody has taken a question. In a cluster that passes: the servers have still to agree on who serves the consumer, or to tell each other.
func (s *durableStream) unservedFor() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unserved.IsZero() {
		s.unserved = time.Now()
	}
	return time.Since(s.unserved)
}

func errNotServed() error {
	return fault.New(fault.Unavailable, "the backend's server does not serve the subscription now; subscribe again").WithOp("nats.pubsub.SubscribeDurable")
}

// received makes a delivery of a message, or settles it when the subscription is not to get it. One that has waited for so long that another stream may have it already is left out.
func (s *durableStream) received(m *arrival) (sending, error) {
	kept, err := m.Metadata()
	if err != nil {
		return sending{}, failed("nats.pubsub.SubscribeDurable", err)
	}
	if s.record.NotBefore != 0 && kept.Timestamp.UnixMilli() < s.record.NotBefore {
		return sending{}, s.store.conn.Publish(m.Reply, nil)
	}
	if time.Since(m.at) >= s.timeout() {
		return sending{}, nil
	}
	message, err := s.decode(persistent, m.Data, kept.Sequence.Stream, kept.Timestamp)
	if err != nil {
		return sending{}, err
	}
	made := &delivery{sequence: kept.Sequence.Stream, reply: m.Reply, given: m.at}
	return sending{delivery: made, response: &pubsubv1.SubscribeDurableResponse{Event: &pubsubv1.SubscribeDurableResponse_Message{Message: &pubsubv1.DurableMessage{
		Message: message, DeliveryCount: s.store.sends.of(s.counted(made)) + 1,
		Receipt: s.receipt(s.subscription, s.topic, receipt{s.record.Generation, s.number, s.store.gateway, m.Reply}),
	}}}}, nil
}

// begin notes that a message is being sent. As long as that takes the server does not count. It tells false when the stream was left, and gives the message back.
func (s *durableStream) begin(d *delivery) bool {
	s.mu.Lock()
	left := s.left
	if !left && d != nil {
		d.deadline = d.given.Add(sendingMost)
		s.window[d.sequence], s.working = d, d
		s.prolong(d)
		s.progress.Reset(s.timeout() / 2)
	}
	s.mu.Unlock()
	if left && d != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(s.store.ctx), leaveTimeout)
		defer cancel()
		s.giveBack(ctx, []*delivery{d})
	}
	return !left
}

// counted is what a delivery counts for.
func (s *durableStream) counted(d *delivery) sent { return sent{s.record.Generation, d.sequence} }

// sent begins to await the acknowledgement of a message, unless it has come already. One that could not be sent is not counted.
func (s *durableStream) sent(d *delivery, err error) {
	if d == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.progress.Stop()
	s.working = nil
	if s.window[d.sequence] != d {
		return
	}
	if err == nil {
		s.store.sends.add(s.counted(d))
	}
	if s.left { // it was given back
		return
	}
	s.prolong(d)
	d.deadline = time.Now().Add(s.timeout())
}

// keepWorking tells the server that a message is still being sent.
func (s *durableStream) keepWorking() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.working == nil || s.left {
		return
	}
	s.prolong(s.working)
	s.progress.Reset(s.timeout() / 2)
}

// prolong lets the server wait for an acknowledgement from now on, unless it has just begun to. Else the message would come again a little early. The lock is held.
func (s *durableStream) prolong(d *delivery) {
	if now := time.Now(); now.Sub(d.given) > ackSlack/2 {
		d.given = now
		_ = s.store.conn.Publish(d.reply, ackProgress) // when it is lost, so is the connection, and the stream ends
	}
}

// settle makes room: messages were acknowledged.
func (s *durableStream) settle(sequences []uint64) {
	s.mu.Lock()
	for _, sequence := range sequences {
		delete(s.window, sequence)
		s.store.sends.settled(sent{s.record.Generation, sequence})
	}
	s.mu.Unlock()
	s.stream.Signal()
}
