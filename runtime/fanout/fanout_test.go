package fanout_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/fanout"
	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/filter"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

var topic = fanout.Subject{Name: "topic"}

func TestDeliversFromActivationOn(t *testing.T) {
	t.Parallel()
	source := &source{confirm: make(chan struct{})}
	hub := newHub(source)
	listening := make(chan *listener)
	go func() { listening <- listen(t, hub, fanout.Subscription{Subject: topic}) }()
	source.await(t, "join topic")
	hub.Deliver(topic, message("before"), false)
	source.confirm <- struct{}{}
	l := <-listening
	hub.Deliver(topic, message("behind"), false)
	hub.Deliver(fanout.Subject{Name: "other"}, message("elsewhere"), false)
	hub.Deliver(fanout.Subject{Name: "topic", Pattern: true}, message("elsewhere"), false)
	hub.Publish(message("published"), false)
	require.Equal(t, "behind", l.payload(t))
	require.Equal(t, "published", l.payload(t))
}

func TestCountsWhatASlowSubscriberMisses(t *testing.T) {
	t.Parallel()
	hub := newHub(&source{})
	matches, err := filter.Compile(`attributes.n == "1"`)
	require.NoError(t, err)
	l := listen(t, hub, fanout.Subscription{Subject: topic, Buffer: 2, Filter: matches})
	matching := func(payload string) *pubsubv1.Message {
		return &pubsubv1.Message{Topic: "topic", Payload: []byte(payload), Metadata: map[string]string{"n": "1"}}
	}
	hub.Publish(matching("in send"), false)
	l.reading(t) // it has been taken out of the buffer, and nobody reads it
	for n := range 5 {
		hub.Publish(matching(strconv.Itoa(n)), false)
		hub.Publish(message("left out"), false)
	}
	require.Equal(t, []string{"in send", "0", "1"}, []string{l.payload(t), l.payload(t), l.payload(t)})
	require.EqualValues(t, 3, l.next(t).Missed.GetCount())
	hub.Publish(matching("last"), false)
	require.Equal(t, "last", l.payload(t))
}

func TestBuffersAtMost16MiB(t *testing.T) {
	t.Parallel()
	hub := newHub(&source{})
	l := listen(t, hub, fanout.Subscription{Subject: topic, Buffer: 100})
	hub.Publish(message("in send"), false)
	l.reading(t)
	large := &pubsubv1.Message{Topic: "topic", Payload: make([]byte, 1<<20)}
	for range 20 {
		hub.Publish(large, false)
	}
	require.Equal(t, "in send", l.payload(t))
	for range 16 {
		require.NotNil(t, l.next(t).Message)
	}
	require.EqualValues(t, 4, l.next(t).Missed.GetCount())
}

func TestLeavesWhenTheLastHasGone(t *testing.T) {
	t.Parallel()
	source := &source{}
	hub := newHub(source)
	one, other := listen(t, hub, fanout.Subscription{Subject: topic}), listen(t, hub, fanout.Subscription{Subject: topic})
	one.stop()
	hub.Publish(message("payload"), false)
	require.Equal(t, "payload", other.payload(t))
	other.stop()
	listen(t, hub, fanout.Subscription{Subject: topic}).stop()
	require.Equal(t, []string{"join topic", "join topic", "leave topic", "join topic", "leave topic"}, source.seen())
}

func TestJoinThatFailsEndsTheCall(t *testing.T) {
	t.Parallel()
	hub := newHub(&source{fails: errors.New("no connection")})
	err := hub.Serve(t.Context(), fanout.Subscription{Subject: topic}, func(fanout.Event) error { return nil })
	require.EqualError(t, err, "no connection")
}

func TestUnsubscribeEndsAStreamOnce(t *testing.T) {
	t.Parallel()
	hub := newHub(&source{})
	one, other := listen(t, hub, fanout.Subscription{Subject: topic}), listen(t, hub, fanout.Subscription{Subject: topic})
	ended, durable, err := hub.Unsubscribe(one.id)
	require.NoError(t, err)
	require.True(t, ended)
	require.Empty(t, durable)
	require.NoError(t, one.end(t))
	ended, _, err = hub.Unsubscribe(one.id)
	require.NoError(t, err)
	require.False(t, ended)
	hub.Publish(message("payload"), false)
	require.Equal(t, "payload", other.payload(t))

	// Ids of another namespace, and of live subscriptions of another gateway, are refused; those of durable ones say what they are of.
	elsewhere := newHub(&source{})
	for _, id := range []string{"", "x", other.id + "A"} {
		_, _, err = hub.Unsubscribe(id)
		require.Equal(t, fault.FailedPrecondition, fault.CodeOf(err), "%q", id)
	}
	_, _, err = elsewhere.Unsubscribe(other.id)
	require.Equal(t, fault.FailedPrecondition, fault.CodeOf(err))
	_, _, err = fanout.New("other", tokens(), &source{}).Unsubscribe(other.id)
	require.Equal(t, fault.FailedPrecondition, fault.CodeOf(err))
	stream, err := hub.Open(bytes.Repeat([]byte("d"), fanout.MaxDurable))
	require.NoError(t, err)
	require.LessOrEqual(t, len(stream.ID()), 256)
	ended, durable, err = elsewhere.Unsubscribe(stream.ID())
	require.NoError(t, err)
	require.False(t, ended)
	require.Len(t, durable, fanout.MaxDurable)
	ended, _, err = hub.Unsubscribe(stream.ID())
	require.NoError(t, err)
	require.True(t, ended)
}

func TestEndEndsStreamsAndCloseOpensNoMore(t *testing.T) {
	t.Parallel()
	hub := newHub(&source{})
	lost, closed := errors.New("lost"), errors.New("closed")
	one := listen(t, hub, fanout.Subscription{Subject: topic})
	hub.End(lost)
	require.Equal(t, lost, one.end(t))
	other := listen(t, hub, fanout.Subscription{Subject: topic})
	hub.Close(closed)
	require.Equal(t, closed, other.end(t))
	require.Equal(t, closed, hub.Serve(t.Context(), fanout.Subscription{Subject: topic}, func(fanout.Event) error { return nil }))
}

func TestReadsWhatIsKept(t *testing.T) {
	t.Parallel()
	hub := newHub(&source{})
	var mu sync.Mutex
	var kept []string
	l := listen(t, hub, fanout.Subscription{Subject: topic, Read: func(context.Context) (fanout.Event, bool, error) {
		mu.Lock()
		defer mu.Unlock()
		if len(kept) == 0 {
			return fanout.Event{}, false, nil
		}
		first := kept[0]
		kept = kept[1:]
		if first == "broken" {
			return fanout.Event{}, false, errors.New("cannot be read")
		}
		return fanout.Event{Message: message(first), Resume: first}, true, nil
	}})
	add := func(payload string) {
		mu.Lock()
		kept = append(kept, payload)
		mu.Unlock()
		hub.Publish(message(payload), true)
	}
	add("a")
	e := l.next(t)
	require.Equal(t, "a", e.Resume)
	hub.Publish(message("in passing"), false)
	require.Equal(t, "in passing", l.payload(t))
	add("b")
	require.Equal(t, "b", l.next(t).Resume)
	add("broken")
	require.EqualError(t, l.end(t), "cannot be read")
}

func TestMatchAndPublishGoByTheGrammar(t *testing.T) {
	t.Parallel()
	topics := []string{"orders", "orders.new", "orders.new.eu", "orders.", ".", "", "..", "a..b", "x.new", "Orders.new"}
	for pattern, want := range map[string][]string{
		"orders":   {"orders"},
		"orders.*": {"orders.new", "orders."},
		"orders.>": {"orders.new", "orders.new.eu", "orders."},
		"*":        {"orders", ""},
		"*.new":    {"orders.new", "x.new", "Orders.new"},
		">":        topics,
		"*.>":      {"orders.new", "orders.new.eu", "orders.", ".", "..", "a..b", "x.new", "Orders.new"},
		"a..b":     {"a..b"},
		"a.*.b":    {"a..b"},
		".":        {"."},
	} {
		hub := newHub(&source{})
		l := listen(t, hub, fanout.Subscription{Subject: fanout.Subject{Name: pattern, Pattern: true}})
		var matched, delivered []string
		for _, topic := range topics {
			if fanout.Match(pattern, topic) {
				matched = append(matched, topic)
			}
			hub.Publish(&pubsubv1.Message{Topic: topic}, false)
		}
		require.Equal(t, want, matched, pattern)
		for range want {
			delivered = append(delivered, l.next(t).Message.GetTopic())
		}
		require.Equal(t, want, delivered, pattern)
		hub.Deliver(fanout.Subject{Name: pattern, Pattern: true}, &pubsubv1.Message{Topic: "no.such.topic.at.all!"}, false)
		hub.Deliver(fanout.Subject{Name: pattern, Pattern: true}, &pubsubv1.Message{Topic: want[0], Payload: []byte("last")}, false)
		for e := l.next(t); string(e.Message.GetPayload()) != "last"; e = l.next(t) {
			require.Contains(t, []string{">", "*.>"}, pattern, "a topic that does not match")
		}
		l.stop()
		hub.Publish(&pubsubv1.Message{Topic: want[0]}, false) // nobody is there
	}
}

// TestSubscribersComeAndGo runs everything at once, for the race detector.
func TestSubscribersComeAndGo(t *testing.T) {
	t.Parallel()
	hub := newHub(&source{})
	stays := listen(t, hub, fanout.Subscription{Subject: topic, Buffer: 65536})
	var group sync.WaitGroup
	for n := range 8 {
		group.Go(func() {
			subject := fanout.Subject{Name: []string{"topic", "*", ">"}[n%3], Pattern: n%3 > 0}
			for range 100 {
				ctx, cancel := context.WithCancel(t.Context())
				_ = hub.Serve(ctx, fanout.Subscription{Subject: subject}, func(e fanout.Event) error {
					if e.Subscribed != nil && n%2 == 0 {
						_, _, err := hub.Unsubscribe(e.Subscribed.GetSubscriptionId())
						return err
					}
					cancel()
					return nil
				})
				cancel()
			}
		})
	}
	const published = 1000
	for n := range published {
		hub.Publish(message(strconv.Itoa(n)), false)
	}
	for n := range published {
		require.Equal(t, strconv.Itoa(n), stays.payload(t))
	}
	group.Wait()
}

// source is a server that confirms at once, or when it is told to.
type source struct {
	confirm chan struct{}
	fails   error

	mu    sync.Mutex
	calls []string
}

func (s *source) Join(ctx context.Context, subject fanout.Subject, activate func()) error {
	s.note("join " + subject.Name)
	if s.fails != nil {
		return s.fails
	}
	if s.confirm != nil {
		select {
		case <-s.confirm:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	activate()
	return nil
}

func (s *source) Leave(subject fanout.Subject) { s.note("leave " + subject.Name) }

func (s *source) note(call string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, call)
}

func (s *source) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

func (s *source) await(t *testing.T, call string) {
	t.Helper()
	require.Eventually(t, func() bool { return fmt.Sprint(s.seen()) == "["+call+"]" }, patience, time.Millisecond)
}

func tokens() *backend.Tokens { return backend.NewTokens(bytes.Repeat([]byte{7}, 32)) }

func newHub(source fanout.Source) *fanout.Hub { return fanout.New("namespace", tokens(), source) }

func message(payload string) *pubsubv1.Message {
	return &pubsubv1.Message{Topic: "topic", Payload: []byte(payload)}
}

// listener is a subscriber that reads what the test asks it for.
type listener struct {
	id     string
	cancel context.CancelFunc
	sends  chan struct{} // a token for each event that is to be read
	events chan fanout.Event
	done   chan struct{}
	err    error
}

func listen(t *testing.T, hub *fanout.Hub, subscription fanout.Subscription) *listener {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &listener{cancel: cancel, sends: make(chan struct{}, 100_000), events: make(chan fanout.Event), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		l.err = hub.Serve(ctx, subscription, func(e fanout.Event) error {
			l.sends <- struct{}{}
			select {
			case l.events <- e:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	t.Cleanup(l.stop)
	l.id = l.next(t).Subscribed.GetSubscriptionId()
	require.NotEmpty(t, l.id)
	return l
}

func (l *listener) stop() {
	l.cancel()
	<-l.done
}

// reading returns when an event is about to be read.
func (l *listener) reading(t *testing.T) {
	t.Helper()
	select {
	case <-l.sends:
		l.sends <- struct{}{}
	case <-time.After(patience):
		require.FailNow(t, "nothing comes")
	}
}

func (l *listener) next(t *testing.T) fanout.Event {
	t.Helper()
	select {
	case e := <-l.events:
		<-l.sends
		return e
	case <-l.done:
		require.FailNow(t, "the stream has ended", "with: %v", l.err)
	case <-time.After(patience):
		require.FailNow(t, "nothing comes")
	}
	return fanout.Event{}
}

func (l *listener) payload(t *testing.T) string {
	t.Helper()
	e := l.next(t)
	require.NotNil(t, e.Message, "%v", e)
	return string(e.Message.GetPayload())
}

func (l *listener) end(t *testing.T) error {
	t.Helper()
	for patient := time.After(patience); ; {
		select {
		case <-l.events:
		case <-l.done:
			return l.err
		case <-patient:
			require.FailNow(t, "the stream does not end")
		}
	}
}
