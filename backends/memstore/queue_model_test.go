package memstore_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	"github.com/prismgate/prism/backends/memstore"
	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/runtime/fault"

	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
	"github.com/prismgate/prism/runtime/backend"
)

// queueModel is the simplest namespace of queues that could be right: a list of all messages, which is searched and sorted for every question.
type queueModel struct {
	messages []*modelMessage
	places   int
	dead     map[string]modelDead // by queue
	keys     map[string]*modelMessage
	receipts []modelReceipt
}

// modelMessage is a message. One that is gone has no queue; until is when its state ends, zero for one that is visible.
type modelMessage struct {
	id, queue, payload, source, reason, lastReason string
	priority, receives                             uint32
	place                                          int
	until                                          time.Time
	scheduled                                      bool
	lease                                          string // the receipt
}

type modelDead struct {
	queue       string
	maxReceives uint32
}

type modelReceipt struct{ queue, receipt string }

// first returns the message that is taken next.
func (m *queueModel) first(queue string) *modelMessage {
	var first *modelMessage
	for _, message := range m.messages {
		if message.queue == queue && message.until.IsZero() &&
			(first == nil || message.priority > first.priority || message.priority == first.priority && message.place < first.place) {
			first = message
		}
	}
	return first
}

// show makes a message visible at the last place.
func (m *queueModel) show(message *modelMessage) {
	m.places++
	message.place, message.until, message.scheduled = m.places, time.Time{}, false
}

// endLease brings a message back at once or at a time, or moves it.
func (m *queueModel) endLease(message *modelMessage, until time.Time) {
	message.lease, message.until = "", until
	if dead, ok := m.dead[message.queue]; ok && message.receives >= dead.maxReceives {
		message.source, message.lastReason = message.queue, message.reason
		message.queue, message.reason, message.receives = dead.queue, "", 0
		m.show(message)
	}
}

// advance lets happen what is due, in the order of time.
func (m *queueModel) advance() {
	due := slices.DeleteFunc(slices.Clone(m.messages), func(message *modelMessage) bool { return message.until.IsZero() || message.until.After(time.Now()) })
	slices.SortFunc(due, func(a, b *modelMessage) int { return a.until.Compare(b.until) })
	for _, message := range due {
		switch {
		case message.scheduled:
			m.show(message)
		case message.lease != "":
			m.endLease(message, time.Time{})
		default:
			message.until = time.Time{}
		}
	}
}

// free makes a time a little later if something is due then already: what is due at the same moment has no order.
func (m *queueModel) free(lasting, step time.Duration) time.Duration {
	for slices.ContainsFunc(m.messages, func(message *modelMessage) bool { return message.until.Equal(time.Now().Add(lasting)) }) {
		lasting += step
	}
	return lasting
}

// TestRandomQueueOperationsMatchTheModel runs random operations of all queue interfaces on a store and on the model, lets time pass, and compares every answer.
func TestRandomQueueOperationsMatchTheModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Behind a type of its own: a *testing.T has a deadline, which may not be asked for where time is not real.
		rapid.Check(struct{ rapid.TB }{t}, func(rt *rapid.T) {
			store, err := memstore.Open(t.Context(), backend.Env{}, nil)
			noError(rt, err)
			defer func() { _ = store.Close(t.Context()) }()
			opened, err := store.Namespace(t.Context(), "name")
			noError(rt, err)
			machine := &queueMachine{
				interfaces: opened.Interfaces(),
				model:      &queueModel{dead: map[string]modelDead{}, keys: map[string]*modelMessage{}},
			}
			for range 6 { // what is rare, like a dead letter that is leased and redriven, needs many steps
				rt.Repeat(rapid.StateMachineActions(machine))
			}
		})
	})
}

// queueMachine has one method per operation; rapid calls them in any order.
type queueMachine struct {
	interfaces *prism.Interfaces
	model      *queueModel
	payloads   int
}

var (
	someQueues = rapid.SampledFrom([]string{"a", "b", "c"})
	someTimes  = rapid.SampledFrom([]time.Duration{100 * time.Millisecond, 250 * time.Millisecond, time.Second, time.Minute})
)

// Check compares the first message and the counts of each queue, after each operation.
func (m *queueMachine) Check(t *rapid.T) {
	m.model.advance()
	for _, queue := range []string{"a", "b", "c"} {
		got, err := m.interfaces.QueueBasic.Peek(t.Context(), &queuev1.PeekRequest{Queue: queue})
		noError(t, err)
		m.equalMessage(t, m.model.first(queue), got.GetMessage())
		var scheduled, letters uint64
		for _, message := range m.model.messages {
			if message.queue == queue && message.scheduled {
				scheduled++
			}
			if message.source == queue && message.queue != "" && message.queue == m.model.dead[queue].queue {
				letters++
			}
		}
		counted, err := m.interfaces.QueueDelayed.GetScheduledCount(t.Context(), &queuev1.GetScheduledCountRequest{Queue: queue})
		noError(t, err)
		equal(t, "scheduled in "+queue, scheduled, counted.GetCount())
		dead, err := m.interfaces.QueueDeadLetter.GetDeadLetterQueue(t.Context(), &queuev1.GetDeadLetterQueueRequest{Queue: queue})
		noError(t, err)
		equal(t, "dead letter queue of "+queue, m.model.dead[queue], modelDead{dead.GetDeadLetterQueue(), dead.GetMaxReceives()})
		equal(t, "dead letters of "+queue, letters, dead.GetMessageCount())
	}
}

func (m *queueMachine) equalMessage(t *rapid.T, want *modelMessage, got *queuev1.Message) {
	t.Helper()
	if want == nil || got == nil {
		equal(t, "found", want != nil, got != nil)
		return
	}
	equal(t, "message", want.id, got.GetMessageId())
	equal(t, "payload", want.payload, string(got.GetPayload()))
	equal(t, "priority", want.priority, got.GetPriority())
	equal(t, "receive_count", want.receives, got.GetReceiveCount())
	equal(t, "source_queue", want.source, got.GetDeadLetter().GetSourceQueue())
	equal(t, "last_release_reason", want.lastReason, got.GetDeadLetter().GetLastReleaseReason())
}

// Enqueue enqueues by any of the methods.
func (m *queueMachine) Enqueue(t *rapid.T) {
	m.model.advance()
	ctx, queue := t.Context(), someQueues.Draw(t, "queue")
	m.payloads++
	message := &modelMessage{queue: queue, payload: fmt.Sprint(m.payloads)}
	key := rapid.SampledFrom([]string{"", "", "", "key", "other"}).Draw(t, "key")
	var duplicate bool
	switch rapid.SampledFrom([]string{"now", "priority", "delayed"}).Draw(t, "how") {
	case "now":
		got, err := m.interfaces.QueueBasic.Enqueue(ctx, &queuev1.EnqueueRequest{Queue: queue, Payload: []byte(message.payload), IdempotencyKey: key})
		noError(t, err)
		message.id, duplicate = got.GetMessageId(), got.GetDuplicate()
	case "priority":
		message.priority = rapid.SampledFrom([]uint32{0, 1, 9}).Draw(t, "priority")
		got, err := m.interfaces.QueuePriority.EnqueueWithPriority(ctx, &queuev1.EnqueueWithPriorityRequest{
			Queue: queue, Payload: []byte(message.payload), Priority: message.priority, IdempotencyKey: key,
		})
		noError(t, err)
		message.id, duplicate = got.GetMessageId(), got.GetDuplicate()
	case "delayed":
		delay := m.model.free(someTimes.Draw(t, "delay"), time.Millisecond)
		got, err := m.interfaces.QueueDelayed.EnqueueDelayed(ctx, &queuev1.EnqueueDelayedRequest{
			Queue: queue, Payload: []byte(message.payload), Delay: durationpb.New(delay), IdempotencyKey: key,
		})
		noError(t, err)
		message.id, duplicate = got.GetMessageId(), got.GetDuplicate()
		message.scheduled, message.until = true, time.Now().Add(delay)
	}
	before := m.model.keys[queue+" "+key]
	equal(t, "duplicate", key != "" && before != nil, duplicate)
	if duplicate {
		equal(t, "message", before.id, message.id)
		return
	}
	if key != "" {
		m.model.keys[queue+" "+key] = message
	}
	if !message.scheduled {
		m.model.show(message)
	}
	m.model.messages = append(m.model.messages, message)
}

// Dequeue takes the first message for good.
func (m *queueMachine) Dequeue(t *rapid.T) {
	m.model.advance()
	queue := someQueues.Draw(t, "queue")
	got, err := m.interfaces.QueueBasic.Dequeue(t.Context(), &queuev1.DequeueRequest{Queue: queue})
	noError(t, err)
	want := m.model.first(queue)
	if want != nil {
		want.receives++
	}
	m.equalMessage(t, want, got.GetMessage())
	if want != nil {
		want.queue = ""
	}
}

// Lease leases the first message.
func (m *queueMachine) Lease(t *rapid.T) { m.lease(t, someQueues.Draw(t, "queue")) }

// Fail leases the first message and releases it.
func (m *queueMachine) Fail(t *rapid.T) {
	queue := someQueues.Draw(t, "queue")
	if leased := m.lease(t, queue); leased != nil {
		reason := rapid.SampledFrom([]string{"", "one", "another"}).Draw(t, "reason")
		_, err := m.interfaces.QueueVisibility.Release(t.Context(), &queuev1.ReleaseRequest{Queue: queue, Receipt: leased.lease, Reason: reason})
		noError(t, err)
		leased.reason = cmp.Or(reason, leased.reason)
		m.model.endLease(leased, time.Time{})
	}
}

func (m *queueMachine) lease(t *rapid.T, queue string) *modelMessage {
	m.model.advance()
	lasting := m.model.free(someTimes.Draw(t, "timeout"), 1)
	got, err := m.interfaces.QueueVisibility.DequeueWithTimeout(t.Context(), &queuev1.DequeueWithTimeoutRequest{Queue: queue, VisibilityTimeout: durationpb.New(lasting)})
	noError(t, err)
	want := m.model.first(queue)
	if want != nil {
		want.receives++
	}
	m.equalMessage(t, want, got.GetMessage())
	if want != nil {
		want.lease, want.until = got.GetReceipt(), time.Now().Add(lasting)
		m.model.receipts = append(m.model.receipts, modelReceipt{queue, got.GetReceipt()})
	}
	return want
}

// Receipt extends, releases or acknowledges with any receipt that was given out, most of which are stale.
func (m *queueMachine) Receipt(t *rapid.T) {
	if len(m.model.receipts) == 0 {
		t.Skip("no receipt was given out")
	}
	m.model.advance()
	drawn := m.model.receipts[max(0, len(m.model.receipts)-1-rapid.IntRange(0, 8).Draw(t, "receipt"))]
	queue, visibility := drawn.queue, m.interfaces.QueueVisibility
	if rapid.IntRange(0, 9).Draw(t, "another queue if 0") == 0 {
		queue = someQueues.Draw(t, "queue")
	}
	want := fault.FailedPrecondition
	at := slices.IndexFunc(m.model.messages, func(message *modelMessage) bool { return message.lease == drawn.receipt && message.queue == queue })
	leased := &modelMessage{}
	if at >= 0 {
		want, leased = fault.OK, m.model.messages[at]
	}
	var err error
	switch rapid.SampledFrom([]string{"extend", "release", "acknowledge"}).Draw(t, "what") {
	case "extend":
		lasting := m.model.free(someTimes.Draw(t, "timeout"), 1)
		_, err = visibility.ExtendVisibility(t.Context(), &queuev1.ExtendVisibilityRequest{Queue: queue, Receipt: drawn.receipt, VisibilityTimeout: durationpb.New(lasting)})
		leased.until = time.Now().Add(lasting)
	case "release":
		reason := rapid.SampledFrom([]string{"", "one", "another"}).Draw(t, "reason")
		var delay time.Duration
		var until time.Time
		if rapid.Bool().Draw(t, "is held back") {
			delay = m.model.free(someTimes.Draw(t, "delay"), 1)
			until = time.Now().Add(delay)
		}
		_, err = visibility.Release(t.Context(), &queuev1.ReleaseRequest{Queue: queue, Receipt: drawn.receipt, Delay: durationpb.New(delay), Reason: reason})
		leased.reason = cmp.Or(reason, leased.reason)
		m.model.endLease(leased, until)
	case "acknowledge":
		_, err = visibility.Acknowledge(t.Context(), &queuev1.AcknowledgeRequest{Queue: queue, Receipt: drawn.receipt})
		*leased = modelMessage{id: leased.id}
	}
	equal(t, "code", want, fault.CodeOf(err))
}

// Cancel cancels any message.
func (m *queueMachine) Cancel(t *rapid.T) {
	if len(m.model.messages) == 0 {
		t.Skip("there was no message")
	}
	m.model.advance()
	drawn := rapid.SampledFrom(m.model.messages).Draw(t, "message")
	queue := someQueues.Draw(t, "queue")
	got, err := m.interfaces.QueueDelayed.CancelScheduled(t.Context(), &queuev1.CancelScheduledRequest{Queue: queue, MessageId: drawn.id})
	noError(t, err)
	equal(t, "cancelled", drawn.scheduled && drawn.queue == queue, got.GetCancelled())
	if got.GetCancelled() {
		*drawn = modelMessage{id: drawn.id}
	}
}

// Configure gives a queue a dead letter queue or takes it away.
func (m *queueMachine) Configure(t *rapid.T) {
	m.model.advance()
	queue := someQueues.Draw(t, "queue")
	wanted := modelDead{rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "dead letter queue"), rapid.Uint32Range(1, 2).Draw(t, "max_receives")}
	_, err := m.interfaces.QueueDeadLetter.ConfigureDeadLetter(t.Context(), &queuev1.ConfigureDeadLetterRequest{
		Queue: queue, DeadLetterQueue: wanted.queue, MaxReceives: wanted.maxReceives,
	})
	switch wanted.queue {
	case queue:
		equal(t, "code", fault.InvalidArgument, fault.CodeOf(err))
	case "":
		noError(t, err)
		delete(m.model.dead, queue)
	default:
		noError(t, err)
		m.model.dead[queue] = wanted
	}
}

// Redrive moves dead letters back.
func (m *queueMachine) Redrive(t *rapid.T) {
	m.model.advance()
	queue, source := someQueues.Draw(t, "queue"), rapid.SampledFrom([]string{"", "", "a", "b"}).Draw(t, "source")
	most := rapid.Uint32Range(0, 3).Draw(t, "max_messages")
	got, err := m.interfaces.QueueDeadLetter.Redrive(t.Context(), &queuev1.RedriveRequest{DeadLetterQueue: queue, SourceQueue: source, MaxMessages: most})
	noError(t, err)
	var letters []*modelMessage
	for _, message := range m.model.messages {
		if message.queue == queue && message.until.IsZero() && message.source != "" && (source == "" || message.source == source) {
			letters = append(letters, message)
		}
	}
	slices.SortFunc(letters, func(a, b *modelMessage) int { return cmp.Compare(a.place, b.place) })
	if most > 0 {
		letters = letters[:min(len(letters), int(most))]
	}
	equal(t, "moved", len(letters), int(got.GetMoved()))
	for _, letter := range letters {
		letter.queue, letter.source, letter.reason, letter.lastReason, letter.receives = letter.source, "", "", "", 0
		m.model.show(letter)
	}
}

// Pass lets time pass, and what is due happen.
func (m *queueMachine) Pass(t *rapid.T) {
	time.Sleep(rapid.SampledFrom([]time.Duration{time.Millisecond, 50 * time.Millisecond, 200 * time.Millisecond, 2 * time.Second}).Draw(t, "time"))
	synctest.Wait()
}
