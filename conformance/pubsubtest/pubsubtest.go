// Package pubsubtest holds the conformance suites of the PubSub interfaces: one function per interface, one case per sentence of its contract.
//
// A suite runs against the value that a backend or a pattern gives, and against a client of it over any transport alike. Messages may be buffered on their
// way to a subscriber, by nobody knows how much, so that a case about a slow one publishes more and more until it shows. That a message does not come is
// told by another one that was published behind it; where even that is not to come, by a short wait. So an implementation that is right never fails, and one
// that is wrong may pass now and then.
//
// Cases run in parallel, each in a namespace of its own: what open makes is to be undone by t.Cleanup, not by defer.
package pubsubtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/prismgate/prism/conformance/expect"
	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/runtime/fault"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

// Open returns the interfaces of a fresh, empty namespace at each call. Two namespaces of one test are of one instance.
type Open = func(t *testing.T) *prism.Interfaces

const (
	maxPayload = 1 << 20
	// moment is how long a suite waits for what must not come, where nothing else tells that it did not.
	moment = 60 * time.Millisecond
)

// errSend is what a case's send function fails with.
var errSend = errors.New("pubsubtest: send fails")

// patiently returns a context for streams that would last for ever if something were wrong. It leaves time for many steps, each of which patience is meant for.
func patiently(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 6*expect.Patience)
	t.Cleanup(cancel)
	return ctx
}

// event is one message of a subscription's stream, of whichever interface. One of the first three is set.
type event struct {
	subscribed *pubsubv1.Subscribed
	message    *pubsubv1.Message
	missed     *pubsubv1.Missed
	resume     string // of an OrderedMessage
	receipt    string // of a DurableMessage
	count      uint32 // of a DurableMessage
	response   proto.Message
}

// opened is a call that answers with the stream of a subscription.
type opened func(ctx context.Context, send func(event) error) error

func subscribe(basic pubsubv1.Basic, request *pubsubv1.SubscribeRequest) opened {
	return func(ctx context.Context, send func(event) error) error {
		return basic.Subscribe(ctx, request, func(r *pubsubv1.SubscribeResponse) error {
			return send(event{subscribed: r.GetSubscribed(), message: r.GetMessage(), missed: r.GetMissed(), response: r})
		})
	}
}

func subscribePattern(wildcards pubsubv1.Wildcards, request *pubsubv1.SubscribePatternRequest) opened {
	return func(ctx context.Context, send func(event) error) error {
		return wildcards.SubscribePattern(ctx, request, func(r *pubsubv1.SubscribePatternResponse) error {
			return send(event{subscribed: r.GetSubscribed(), message: r.GetMessage(), missed: r.GetMissed(), response: r})
		})
	}
}

func subscribeFiltered(filtering pubsubv1.Filtering, request *pubsubv1.SubscribeFilteredRequest) opened {
	return func(ctx context.Context, send func(event) error) error {
		return filtering.SubscribeFiltered(ctx, request, func(r *pubsubv1.SubscribeFilteredResponse) error {
			return send(event{subscribed: r.GetSubscribed(), message: r.GetMessage(), missed: r.GetMissed(), response: r})
		})
	}
}

func subscribeOrdered(ordering pubsubv1.Ordering, request *pubsubv1.SubscribeOrderedRequest) opened {
	return func(ctx context.Context, send func(event) error) error {
		return ordering.SubscribeOrdered(ctx, request, func(r *pubsubv1.SubscribeOrderedResponse) error {
			return send(event{
				subscribed: r.GetSubscribed(), message: r.GetMessage().GetMessage(), missed: r.GetMissed(),
				resume: r.GetMessage().GetResumeId(), response: r,
			})
		})
	}
}

func subscribeDurable(persistent pubsubv1.Persistent, request *pubsubv1.SubscribeDurableRequest) opened {
	return func(ctx context.Context, send func(event) error) error {
		return persistent.SubscribeDurable(ctx, request, func(r *pubsubv1.SubscribeDurableResponse) error {
			return send(event{
				subscribed: r.GetSubscribed(), message: r.GetMessage().GetMessage(), missed: r.GetMissed(),
				receipt: r.GetMessage().GetReceipt(), count: r.GetMessage().GetDeliveryCount(), response: r,
			})
		})
	}
}

// listener is a subscriber that reads what the test asks it for and nothing ahead: one that is not asked is a slow one.
type listener struct {
	id     string
	cancel context.CancelFunc
	events chan event
	done   chan struct{}
	err    error // why the stream has ended; set when done is closed
}

// listen opens a stream and returns when its subscription is active. The stream ends with the test.
func listen(t *testing.T, open opened) *listener {
	t.Helper()
	l := start(t, t.Context(), open)
	first := l.next(t)
	require.NotNil(t, first.subscribed, "the first message is Subscribed, not %v", first.response)
	l.id = first.subscribed.GetSubscriptionId()
	return l
}

// start opens a stream in a context.
func start(t *testing.T, ctx context.Context, open opened) *listener {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	l := &listener{cancel: cancel, events: make(chan event), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		l.err = open(ctx, func(e event) error {
			select {
			case l.events <- e:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	t.Cleanup(func() { cancel(); <-l.done })
	return l
}

// next returns the stream's next message.
func (l *listener) next(t *testing.T) event {
	t.Helper()
	select {
	case e := <-l.events:
		requireOneOf(t, e)
		return e
	case <-l.done:
		require.FailNow(t, "the stream has ended", "with: %v", l.err)
	case <-time.After(expect.Patience):
		require.FailNow(t, "no message comes", "within %s", expect.Patience)
	}
	return event{}
}

// requireOneOf fails unless just one kind of message is set.
func requireOneOf(t *testing.T, e event) {
	t.Helper()
	set := 0
	for _, is := range []bool{e.subscribed != nil, e.message != nil, e.missed != nil} {
		if is {
			set++
		}
	}
	require.Equal(t, 1, set, "a message of the stream is one thing: %v", e.response)
}

// message returns the stream's next message, which must be a published one.
func (l *listener) message(t *testing.T) event {
	t.Helper()
	e := l.next(t)
	require.NotNil(t, e.message, "a published message comes, not %v", e.response)
	return e
}

// messages returns the next n messages of the stream.
func (l *listener) messages(t *testing.T, n int) []event {
	t.Helper()
	found := make([]event, n)
	for i := range found {
		found[i] = l.message(t)
	}
	return found
}

// payloads returns the payloads of the next n messages of the stream.
func (l *listener) payloads(t *testing.T, n int) []string {
	t.Helper()
	found := make([]string, n)
	for i, e := range l.messages(t, n) {
		found[i] = string(e.message.GetPayload())
	}
	return found
}

// requireNothing fails when a message comes within a moment.
func (l *listener) requireNothing(t *testing.T) {
	t.Helper()
	select {
	case e := <-l.events:
		require.FailNow(t, "a message comes", "%v", e.response)
	case <-l.done:
		require.FailNow(t, "the stream has ended", "with: %v", l.err)
	case <-time.After(moment):
	}
}

// ending reads the stream to its end and returns how many messages came before, and the error.
func (l *listener) ending(t *testing.T) (int, error) {
	t.Helper()
	patient := time.After(expect.Patience)
	for n := 0; ; n++ {
		select {
		case <-l.events:
		case <-l.done:
			return n, l.err
		case <-patient:
			require.FailNow(t, "the stream does not end", "within %s", expect.Patience)
		}
	}
}

// stop cancels the stream and returns when the call has returned.
func (l *listener) stop() {
	l.cancel()
	<-l.done
}

// publish and the like are for cases about something else: they fail the test when the call fails.
func publish(t *testing.T, basic pubsubv1.Basic, topic, payload string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), expect.Patience)
	defer cancel()
	_, err := basic.Publish(ctx, &pubsubv1.PublishRequest{Topic: topic, Payload: []byte(payload)})
	require.NoError(t, err, "Publish to %s", topic)
}

// publishAll publishes payloads one after the other.
func publishAll(t *testing.T, basic pubsubv1.Basic, topic string, payloads []string) {
	t.Helper()
	for _, p := range payloads {
		publish(t, basic, topic, p)
	}
}

func unsubscribe(t *testing.T, basic pubsubv1.Basic, id string) bool {
	t.Helper()
	response, err := basic.Unsubscribe(t.Context(), &pubsubv1.UnsubscribeRequest{SubscriptionId: id})
	require.NoError(t, err, "Unsubscribe")
	return response.GetUnsubscribed()
}

func forget(t *testing.T, basic pubsubv1.Basic, id string) bool {
	t.Helper()
	response, err := basic.Unsubscribe(t.Context(), &pubsubv1.UnsubscribeRequest{SubscriptionId: id, Forget: true})
	require.NoError(t, err, "Unsubscribe with forget")
	return response.GetUnsubscribed()
}

// numbers returns n different payloads.
func numbers(prefix string, n int) []string {
	made := make([]string, n)
	for i := range made {
		made[i] = fmt.Sprintf("%s%d", prefix, i)
	}
	return made
}

// requireASCII fails unless an id has 1 to limit bytes of ASCII.
func requireASCII(t *testing.T, id string, limit int) {
	t.Helper()
	require.NotEmpty(t, id)
	require.LessOrEqual(t, len(id), limit, "an id is at most %d bytes", limit)
	require.Equal(t, -1, strings.IndexFunc(id, func(r rune) bool { return r >= 0x80 }), "the id is ASCII: %q", id)
}

// tampered returns strings that look like an id and are none.
func tampered(id string) []string {
	other := byte('A')
	if id[0] == other {
		other = 'B'
	}
	return []string{"x", "0", "not an id", strings.Repeat("z", 200), string(other) + id[1:], id + "A", id[:len(id)-1], id + " ", strings.ToUpper(id) + "a"}
}

// call is one RPC of an interface with a valid request, as the cases about every RPC need it.
type call struct {
	name string
	call func(ctx context.Context) error
}

// requireContextRules checks that each call tells CANCELED and DEADLINE_EXCEEDED when its context has ended.
func requireContextRules(t *testing.T, calls []call) {
	t.Helper()
	canceled, late := expect.Ended(t)
	for _, call := range calls {
		if got := fault.CodeOf(call.call(canceled)); got != fault.Canceled {
			require.FailNow(t, "wrong code", "%s in a canceled context: got %s, want CANCELED", call.name, got)
		}
		if got := fault.CodeOf(call.call(late)); got != fault.DeadlineExceeded {
			require.FailNow(t, "wrong code", "%s after its deadline: got %s, want DEADLINE_EXCEEDED", call.name, got)
		}
	}
}

// requireNameRules checks what every RPC asks of a topic's or a subscription's name.
func requireNameRules(t *testing.T, field string, with func(ctx context.Context, name string) error) {
	t.Helper()
	for _, name := range []string{"", strings.Repeat("n", 201), "a b", "a/b", "a*", "*", ">", "a:b", "é", "a\x00", "a\n", "a,b", "{a}", "a%"} {
		err := with(t.Context(), name)
		require.Error(t, err, "the %s %.20q is accepted", field, name)
		expect.Invalid(t, field, err)
	}
}

// requirePublishRules checks what every publishing RPC asks of a payload and of metadata, and that what is just allowed arrives whole.
func requirePublishRules(t *testing.T, l *listener, metadataField string, publish func(ctx context.Context, payload []byte, metadata map[string]string) error) {
	t.Helper()
	many := make(map[string]string)
	for i := range 64 {
		many[fmt.Sprint("key-", i)] = fmt.Sprint("value-", i)
	}
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for _, valid := range []struct {
		payload  []byte
		metadata map[string]string
	}{
		{nil, nil},
		{every, map[string]string{"a": ""}},
		{[]byte("\xff\xfe"), map[string]string{"a-b_c.d": "日本語 \x00 \" ' \r\n", "0": "\u2028"}},
		{expect.Bytes(1, maxPayload), many},
		{nil, map[string]string{strings.Repeat("k", 128): strings.Repeat("v", 4096), "b": strings.Repeat("é", 2048), "c": strings.Repeat("v", 4096), "d": strings.Repeat("v", 3965)}},
	} {
		require.NoError(t, publish(t.Context(), valid.payload, valid.metadata))
		got := l.message(t).message
		expect.EqualBytes(t, valid.payload, got.GetPayload())
		require.Len(t, got.GetMetadata(), len(valid.metadata))
		for key, want := range valid.metadata {
			expect.EqualBytes(t, []byte(want), []byte(got.GetMetadata()[key]))
		}
	}
	expect.Invalid(t, "payload", publish(t.Context(), expect.Bytes(1, maxPayload+1), nil))
	many["one-more"] = ""
	for name, metadata := range map[string]map[string]string{
		"65 entries":             many,
		"an upper-case key":      {"Key": ""},
		"an empty key":           {"": "value"},
		"a key with a blank":     {"a b": ""},
		"a key beyond ASCII":     {"é": ""},
		"a key of 129 bytes":     {strings.Repeat("k", 129): ""},
		"a value of 4,097 bytes": {"a": strings.Repeat("v", 4097)},
		"2,049 times 2 bytes":    {"a": strings.Repeat("é", 2049)},
		"16,385 bytes in all":    {"a": strings.Repeat("v", 4096), "b": strings.Repeat("v", 4096), "c": strings.Repeat("v", 4096), "d": strings.Repeat("v", 4093)},
	} {
		err := publish(t.Context(), nil, metadata)
		require.Error(t, err, "metadata is accepted that is not allowed: %s", name)
		expect.Invalid(t, metadataField, err)
	}
	require.NoError(t, publish(t.Context(), []byte("behind"), nil))
	require.Equal(t, "behind", string(l.message(t).message.GetPayload()), "a refused message is not delivered")
}
