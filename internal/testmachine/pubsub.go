package testmachine

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/prismgate/prism/gen/go/prism"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

// PubSub runs the machine of the PubSub interfaces. What is published comes to subscriptions in its own time, so both are compared until they agree, for as long as patience.
func PubSub(t rapid.TB, subject, oracle *prism.Interfaces) {
	t.Helper()
	var all runs
	rapid.Check(t, func(t *rapid.T) {
		m := &pubSub{subject: subject, oracle: oracle, prefix: all.prefix(), durable: map[string]*durable{}}
		defer m.close()
		t.Repeat(m.actions())
		m.finish(t)
		m.leaveNothing(t)
	})
}

const (
	// patience is how long a subject may take to deliver what MemStore has delivered.
	patience = 20 * time.Second
	// mostLive bounds the live subscriptions of a run.
	mostLive = 5
)

// pubSub is one run. Its topics have a prefix.
type pubSub struct {
	subject, oracle *prism.Interfaces
	prefix          string
	payloads        int
	live            []*live
	durable         map[string]*durable
}

// live is a live subscription on both. Marker publishes a message that it must get.
type live struct {
	subject, oracle *feed
	topic           string
}

func (m *pubSub) actions() map[string]func(*rapid.T) {
	actions := map[string]func(*rapid.T){"subscribe": m.subscribe, "publish": m.publish, "unsubscribe": m.unsubscribe, "": m.check}
	if m.subject.PubSubPersistent != nil {
		maps.Copy(actions, map[string]func(*rapid.T){"open durable": m.open, "close durable": m.closeDurable, "acknowledge": m.acknowledge, "forget": m.forget})
	}
	return actions
}

func topics() []string { return []string{"a", "A", "a.b", "a..b", "b"} }

func (m *pubSub) topic(t *rapid.T) string {
	return m.prefix + "." + rapid.SampledFrom(topics()).Draw(t, "topic")
}

// attribute is what filters look at; a message of "yes" satisfies every one that is drawn.
const attribute = "wanted"

// publish publishes by any of the methods.
func (m *pubSub) publish(t *rapid.T) {
	ways := []string{"basic"}
	if m.subject.PubSubFiltering != nil {
		ways = append(ways, "attributes")
	}
	if m.subject.PubSubOrdering != nil {
		ways = append(ways, "ordered")
	}
	if m.subject.PubSubPersistent != nil {
		ways = append(ways, "persistent", "persistent")
	}
	wanted := rapid.SampledFrom([]string{"yes", "no"}).Draw(t, attribute)
	m.publishTo(t, m.topic(t), rapid.SampledFrom(ways).Draw(t, "how"), wanted)
}

func (m *pubSub) publishTo(t *rapid.T, topic, how, wanted string) string {
	m.payloads++
	payload := fmt.Sprint(m.payloads)
	metadata := map[string]string{attribute: wanted, "line": "a\r\nb"}
	switch how {
	case "basic":
		same(t, "Publish", &pubsubv1.PublishRequest{Topic: topic, Payload: []byte(payload), Metadata: metadata}, nil, m.subject.PubSubBasic.Publish, m.oracle.PubSubBasic.Publish)
	case "attributes":
		same(t, "PublishWithAttributes", &pubsubv1.PublishWithAttributesRequest{Topic: topic, Payload: []byte(payload), Attributes: metadata}, nil,
			m.subject.PubSubFiltering.PublishWithAttributes, m.oracle.PubSubFiltering.PublishWithAttributes)
	case "ordered":
		same(t, "PublishOrdered", &pubsubv1.PublishOrderedRequest{Topic: topic, Payload: []byte(payload), Metadata: metadata, OrderingKey: "key"},
			func(r *pubsubv1.PublishOrderedResponse) { r.MessageId = "" }, m.subject.PubSubOrdering.PublishOrdered, m.oracle.PubSubOrdering.PublishOrdered)
	case "persistent":
		same(t, "PublishPersistent", &pubsubv1.PublishPersistentRequest{Topic: topic, Payload: []byte(payload), Metadata: metadata, OrderingKey: "key"},
			func(r *pubsubv1.PublishPersistentResponse) { r.MessageId = "" }, m.subject.PubSubPersistent.PublishPersistent, m.oracle.PubSubPersistent.PublishPersistent)
		same(t, "GetLastMessageID", &pubsubv1.GetLastMessageIDRequest{Topic: topic},
			func(r *pubsubv1.GetLastMessageIDResponse) { r.MessageId, r.PublishTime = "", nil }, m.subject.PubSubPersistent.GetLastMessageID, m.oracle.PubSubPersistent.GetLastMessageID)
	}
	return payload
}

// subscribe begins a live subscription of any kind.
func (m *pubSub) subscribe(t *rapid.T) {
	if len(m.live) == mostLive {
		t.Skip("there are enough")
	}
	kinds := []string{"topic"}
	if m.subject.PubSubWildcards != nil {
		kinds = append(kinds, "pattern")
	}
	if m.subject.PubSubFiltering != nil {
		kinds = append(kinds, "filter")
	}
	if m.subject.PubSubOrdering != nil {
		kinds = append(kinds, "ordered")
	}
	topic := m.topic(t)
	var begin func(*prism.Interfaces) *feed
	switch rapid.SampledFrom(kinds).Draw(t, "kind") {
	case "topic":
		begin = func(i *prism.Interfaces) *feed {
			return follow(t, &pubsubv1.SubscribeRequest{Topic: topic}, i.PubSubBasic.Subscribe)
		}
	case "pattern":
		pattern := m.prefix + "." + rapid.SampledFrom([]string{"*", ">", "a.*", "a.>", "*.b", "a..b", "a.*.b"}).Draw(t, "pattern")
		topic = m.prefix + "." + map[string]string{"*": "a", ">": "a", "a.*": "a.b", "a.>": "a.b", "*.b": "a.b", "a..b": "a..b", "a.*.b": "a..b"}[pattern[len(m.prefix)+1:]]
		begin = func(i *prism.Interfaces) *feed {
			return follow(t, &pubsubv1.SubscribePatternRequest{Pattern: pattern}, i.PubSubWildcards.SubscribePattern)
		}
	case "filter":
		filter := rapid.SampledFrom([]string{"", `attributes.wanted == "yes"`, `attributes.wanted in ["yes", "maybe"]`}).Draw(t, "filter")
		begin = func(i *prism.Interfaces) *feed {
			return follow(t, &pubsubv1.SubscribeFilteredRequest{Topic: topic, Filter: filter}, i.PubSubFiltering.SubscribeFiltered)
		}
	case "ordered":
		begin = func(i *prism.Interfaces) *feed {
			return follow(t, &pubsubv1.SubscribeOrderedRequest{Topic: topic}, i.PubSubOrdering.SubscribeOrdered)
		}
	}
	m.live = append(m.live, &live{begin(m.subject), begin(m.oracle), topic})
}

// unsubscribe ends a live subscription by its id.
func (m *pubSub) unsubscribe(t *rapid.T) {
	if len(m.live) == 0 {
		t.Skip("there is none")
	}
	at := rapid.IntRange(0, len(m.live)-1).Draw(t, "subscription")
	ended := m.live[at]
	ended.agree(t)
	m.live = slices.Delete(m.live, at, at+1)
	for range 2 {
		sameOf(t, "Unsubscribe", &pubsubv1.UnsubscribeRequest{SubscriptionId: ended.subject.id}, &pubsubv1.UnsubscribeRequest{SubscriptionId: ended.oracle.id}, nil,
			m.subject.PubSubBasic.Unsubscribe, m.oracle.PubSubBasic.Unsubscribe)
	}
	for _, f := range []*feed{ended.subject, ended.oracle} {
		if err := f.end(); err != nil {
			t.Fatalf("a stream that was unsubscribed has ended with %v", err)
		}
	}
}

// agree waits until both have got the same messages, each as often.
func (l *live) agree(t *rapid.T) {
	eventually(t, func() error {
		got, want := l.subject.counts(), l.oracle.counts()
		if !maps.Equal(got, want) {
			return fmt.Errorf("the subscription to %s got %v, want %v", l.topic, got, want)
		}
		return nil
	})
}

// durable is a durable subscription on both, with one stream at most.
type durable struct {
	topic, name     string
	subject, oracle *feed // nil while no stream is open
	acknowledged    map[string]bool
	before          map[string]bool // acknowledged before the stream began: these may come again
}

func (m *pubSub) draw(t *rapid.T, open bool) *durable {
	var names []string
	for name, d := range m.durable {
		if (d.oracle != nil) == open {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		t.Skip("there is none")
	}
	slices.Sort(names)
	return m.durable[rapid.SampledFrom(names).Draw(t, "durable subscription")]
}

// open opens the stream of a durable subscription, which may be new.
func (m *pubSub) open(t *rapid.T) {
	topic, name := m.topic(t), rapid.SampledFrom([]string{"s", "S"}).Draw(t, "name")
	d := m.durable[topic+" "+name]
	if d == nil {
		d = &durable{topic: topic, name: name, acknowledged: map[string]bool{}}
		m.durable[topic+" "+name] = d
	}
	if d.oracle != nil {
		t.Skip("it is open")
	}
	start := rapid.SampledFrom([]pubsubv1.StartPoint{pubsubv1.StartPoint_START_POINT_EARLIEST, pubsubv1.StartPoint_START_POINT_LATEST}).Draw(t, "start")
	request := &pubsubv1.SubscribeDurableRequest{Topic: topic, Subscription: name, Start: &pubsubv1.SubscribeDurableRequest_StartPoint{StartPoint: start}}
	d.before = maps.Clone(d.acknowledged)
	d.subject = follow(t, request, m.subject.PubSubPersistent.SubscribeDurable)
	d.oracle = follow(t, request, m.oracle.PubSubPersistent.SubscribeDurable)
}

// closeDurable ends the stream of a durable subscription.
func (m *pubSub) closeDurable(t *rapid.T) {
	d := m.draw(t, true)
	d.agree(t)
	d.close()
}

func (d *durable) close() {
	if d.oracle != nil {
		d.subject.stop()
		d.oracle.stop()
		d.subject, d.oracle = nil, nil
	}
}

// acknowledge acknowledges a message that both have got.
func (m *pubSub) acknowledge(t *rapid.T) {
	d := m.draw(t, true)
	d.agree(t)
	var pending []string
	for payload := range d.oracle.counts() {
		if !d.acknowledged[payload] {
			pending = append(pending, payload)
		}
	}
	if len(pending) == 0 {
		t.Skip("nothing awaits it")
	}
	slices.Sort(pending)
	payload := rapid.SampledFrom(pending).Draw(t, "message")
	request := func(f *feed) *pubsubv1.AcknowledgeRequest {
		return &pubsubv1.AcknowledgeRequest{Topic: d.topic, Subscription: d.name, Receipts: []string{f.receipt(payload)}}
	}
	sameOf(t, "Acknowledge", request(d.subject), request(d.oracle), nil, m.subject.PubSubPersistent.Acknowledge, m.oracle.PubSubPersistent.Acknowledge)
	d.acknowledged[payload] = true
}

// forget removes a durable subscription by the id of its stream.
func (m *pubSub) forget(t *rapid.T) {
	d := m.draw(t, true)
	d.agree(t)
	sameOf(t, "Unsubscribe", &pubsubv1.UnsubscribeRequest{SubscriptionId: d.subject.id, Forget: true}, &pubsubv1.UnsubscribeRequest{SubscriptionId: d.oracle.id, Forget: true}, nil,
		m.subject.PubSubBasic.Unsubscribe, m.oracle.PubSubBasic.Unsubscribe)
	for _, f := range []*feed{d.subject, d.oracle} {
		if err := f.end(); err != nil {
			t.Fatalf("a stream that was forgotten has ended with %v", err)
		}
	}
	delete(m.durable, d.topic+" "+d.name)
}

// agree waits until both streams have brought the same messages, but for what may come again.
func (d *durable) agree(t *rapid.T) {
	eventually(t, func() error {
		got, want := d.subject.counts(), d.oracle.counts()
		for payload := range want {
			if got[payload] == 0 {
				return fmt.Errorf("durable subscription %s of %s: %s is missing; got %v, want %v", d.name, d.topic, payload, got, want)
			}
		}
		for payload := range got {
			if want[payload] == 0 && !d.before[payload] {
				return fmt.Errorf("durable subscription %s of %s: %s came; got %v, want %v", d.name, d.topic, payload, got, want)
			}
		}
		return nil
	})
}

// check compares all subscriptions, after each operation.
func (m *pubSub) check(t *rapid.T) {
	for _, l := range m.live {
		l.agree(t)
	}
	for _, d := range m.durable {
		if d.oracle != nil {
			d.agree(t)
		}
	}
}

// finish publishes a last message to every subscription. When it has come, so has what was published before.
func (m *pubSub) finish(t *rapid.T) {
	for _, l := range m.live {
		last := m.publishTo(t, l.topic, "basic", "yes")
		eventually(t, func() error {
			if l.oracle.counts()[last] == 0 || l.subject.counts()[last] == 0 {
				return fmt.Errorf("the last message to %s has not come", l.topic)
			}
			return nil
		})
	}
	for _, d := range m.durable {
		if d.oracle == nil {
			continue
		}
		last := m.publishTo(t, d.topic, "persistent", "yes")
		eventually(t, func() error {
			if d.oracle.counts()[last] == 0 || d.subject.counts()[last] == 0 {
				return fmt.Errorf("the last message to %s has not come", d.topic)
			}
			return nil
		})
	}
	m.check(t)
}

func (m *pubSub) close() {
	for _, l := range m.live {
		l.subject.stop()
		l.oracle.stop()
	}
	for _, d := range m.durable {
		d.close()
	}
}

// leaveNothing forgets the durable subscriptions that have a stream: a server has room for so many.
func (m *pubSub) leaveNothing(t *rapid.T) {
	for _, d := range m.durable {
		if d.oracle == nil {
			continue
		}
		sameOf(t, "Unsubscribe", &pubsubv1.UnsubscribeRequest{SubscriptionId: d.subject.id, Forget: true}, &pubsubv1.UnsubscribeRequest{SubscriptionId: d.oracle.id, Forget: true}, nil,
			m.subject.PubSubBasic.Unsubscribe, m.oracle.PubSubBasic.Unsubscribe)
	}
}
