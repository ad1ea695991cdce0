package testmachine

import (
	"fmt"
	"maps"

	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	"github.com/prismgate/prism/gen/go/prism"

	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

// Queue runs the machine of the Queue interfaces.
func Queue(t rapid.TB, subject, oracle *prism.Interfaces) {
	t.Helper()
	var all runs
	rapid.Check(t, func(t *rapid.T) {
		m := &queue{subject: subject, oracle: oracle, prefix: all.prefix()}
		t.Repeat(m.actions())
	})
}

// queue is one run. Its queues have a prefix.
type queue struct {
	subject, oracle *prism.Interfaces
	prefix          string
	payloads        int
	messages        []pair
	leases          []lease
}

// pair is what the two call the same message.
type pair struct{ subject, oracle string }

// lease is one that was given out, and may have ended.
type lease struct {
	queue string
	pair
}

func (m *queue) actions() map[string]func(*rapid.T) {
	actions := map[string]func(*rapid.T){"enqueue": m.enqueue, "dequeue": m.dequeue, "": m.check}
	if m.subject.QueueVisibility != nil {
		maps.Copy(actions, map[string]func(*rapid.T){"lease": m.lease, "fail": m.fail, "receipt": m.receipt})
	}
	if m.subject.QueueDelayed != nil {
		actions["cancel"] = m.cancel
	}
	if m.subject.QueueDeadLetter != nil {
		maps.Copy(actions, map[string]func(*rapid.T){"configure": m.configure, "redrive": m.redrive})
	}
	return actions
}

func (m *queue) queue(t *rapid.T) string {
	return m.prefix + rapid.SampledFrom([]string{"a", "b", "A"}).Draw(t, "queue")
}

// blankMessage takes out what the two call otherwise, and when.
func blankMessage(message *queuev1.Message) {
	if message == nil {
		return
	}
	message.MessageId, message.EnqueueTime = "", nil
	if message.GetDeadLetter() != nil {
		message.DeadLetter.MoveTime = nil
	}
}

// enqueue enqueues by any of the methods.
func (m *queue) enqueue(t *rapid.T) {
	name := m.queue(t)
	m.payloads++
	payload, key := []byte(fmt.Sprint(m.payloads)), rapid.SampledFrom([]string{"", "", "", "key", "other"}).Draw(t, "key")
	metadata := map[string]string{"number": fmt.Sprint(m.payloads), "line": "a\r\nb"}
	ways := []string{"now"}
	if m.subject.QueuePriority != nil {
		ways = append(ways, "priority")
	}
	if m.subject.QueueDelayed != nil {
		ways = append(ways, "delayed")
	}
	var ids pair
	switch rapid.SampledFrom(ways).Draw(t, "how") {
	case "now":
		got, want := same(t, "Enqueue", &queuev1.EnqueueRequest{Queue: name, Payload: payload, Metadata: metadata, IdempotencyKey: key},
			func(r *queuev1.EnqueueResponse) { r.MessageId = "" }, m.subject.QueueBasic.Enqueue, m.oracle.QueueBasic.Enqueue)
		ids = pair{got.GetMessageId(), want.GetMessageId()}
	case "priority":
		request := &queuev1.EnqueueWithPriorityRequest{Queue: name, Payload: payload, Metadata: metadata, IdempotencyKey: key}
		request.Priority = rapid.SampledFrom([]uint32{0, 1, 9}).Draw(t, "priority")
		got, want := same(t, "EnqueueWithPriority", request,
			func(r *queuev1.EnqueueWithPriorityResponse) { r.MessageId = "" }, m.subject.QueuePriority.EnqueueWithPriority, m.oracle.QueuePriority.EnqueueWithPriority)
		ids = pair{got.GetMessageId(), want.GetMessageId()}
	case "delayed":
		request := &queuev1.EnqueueDelayedRequest{Queue: name, Payload: payload, Metadata: metadata, IdempotencyKey: key, Delay: durationpb.New(anHour)}
		got, want := same(t, "EnqueueDelayed", request,
			func(r *queuev1.EnqueueDelayedResponse) {
				if r.MessageId = ""; r.GetDueTime() != nil {
					r.DueTime.Seconds, r.DueTime.Nanos = 0, 0
				}
			}, m.subject.QueueDelayed.EnqueueDelayed, m.oracle.QueueDelayed.EnqueueDelayed)
		ids = pair{got.GetMessageId(), want.GetMessageId()}
	}
	m.messages = append(m.messages, ids)
	for _, former := range m.messages {
		if (former.subject == ids.subject) != (former.oracle == ids.oracle) {
			t.Fatalf("one of the two has answered with the id of a former message: %v, %v", former, ids)
		}
	}
}

func (m *queue) dequeue(t *rapid.T) {
	same(t, "Dequeue", &queuev1.DequeueRequest{Queue: m.queue(t)},
		func(r *queuev1.DequeueResponse) { blankMessage(r.GetMessage()) }, m.subject.QueueBasic.Dequeue, m.oracle.QueueBasic.Dequeue)
}

func (m *queue) lease(t *rapid.T) { m.take(t, m.queue(t)) }

func (m *queue) take(t *rapid.T, name string) (lease, bool) {
	got, want := same(t, "DequeueWithTimeout", &queuev1.DequeueWithTimeoutRequest{Queue: name, VisibilityTimeout: durationpb.New(anHour)},
		func(r *queuev1.DequeueWithTimeoutResponse) {
			r.Receipt, r.LeaseEndTime = "", nil
			blankMessage(r.GetMessage())
		}, m.subject.QueueVisibility.DequeueWithTimeout, m.oracle.QueueVisibility.DequeueWithTimeout)
	if !want.GetFound() {
		return lease{}, false
	}
	taken := lease{name, pair{got.GetReceipt(), want.GetReceipt()}}
	m.leases = append(m.leases, taken)
	return taken, true
}

// fail leases the first message and releases it, which is how messages become dead letters.
func (m *queue) fail(t *rapid.T) {
	if taken, ok := m.take(t, m.queue(t)); ok {
		m.release(t, taken.queue, taken, 0)
	}
}

func (m *queue) release(t *rapid.T, name string, taken lease, delay int) {
	reason := rapid.SampledFrom([]string{"", "one", "another"}).Draw(t, "reason")
	request := func(receipt string) *queuev1.ReleaseRequest {
		r := &queuev1.ReleaseRequest{Queue: name, Receipt: receipt, Reason: reason}
		if delay > 0 {
			r.Delay = durationpb.New(anHour)
		}
		return r
	}
	sameOf(t, "Release", request(taken.subject), request(taken.oracle), nil, m.subject.QueueVisibility.Release, m.oracle.QueueVisibility.Release)
}

// receipt extends, releases or acknowledges with any receipt that was given out, most of which are stale.
func (m *queue) receipt(t *rapid.T) {
	if len(m.leases) == 0 {
		t.Skip("no receipt was given out")
	}
	drawn := m.leases[max(0, len(m.leases)-1-rapid.IntRange(0, 8).Draw(t, "receipt"))]
	name := drawn.queue
	if rapid.IntRange(0, 9).Draw(t, "another queue if 0") == 0 {
		name = m.queue(t)
	}
	subject, oracle := m.subject.QueueVisibility, m.oracle.QueueVisibility
	switch rapid.SampledFrom([]string{"extend", "release", "hold back", "acknowledge"}).Draw(t, "what") {
	case "extend":
		request := func(receipt string) *queuev1.ExtendVisibilityRequest {
			return &queuev1.ExtendVisibilityRequest{Queue: name, Receipt: receipt, VisibilityTimeout: durationpb.New(anHour)}
		}
		sameOf(t, "ExtendVisibility", request(drawn.subject), request(drawn.oracle), func(r *queuev1.ExtendVisibilityResponse) { r.LeaseEndTime = nil },
			subject.ExtendVisibility, oracle.ExtendVisibility)
	case "release":
		m.release(t, name, drawn, 0)
	case "hold back":
		m.release(t, name, drawn, 1)
	case "acknowledge":
		request := func(receipt string) *queuev1.AcknowledgeRequest {
			return &queuev1.AcknowledgeRequest{Queue: name, Receipt: receipt}
		}
		sameOf(t, "Acknowledge", request(drawn.subject), request(drawn.oracle), nil, subject.Acknowledge, oracle.Acknowledge)
	}
}

// cancel cancels any message.
func (m *queue) cancel(t *rapid.T) {
	if len(m.messages) == 0 {
		t.Skip("there was no message")
	}
	ids, name := rapid.SampledFrom(m.messages).Draw(t, "message"), m.queue(t)
	request := func(id string) *queuev1.CancelScheduledRequest {
		return &queuev1.CancelScheduledRequest{Queue: name, MessageId: id}
	}
	sameOf(t, "CancelScheduled", request(ids.subject), request(ids.oracle), nil, m.subject.QueueDelayed.CancelScheduled, m.oracle.QueueDelayed.CancelScheduled)
}

// configure gives a queue a dead letter queue or takes it away.
func (m *queue) configure(t *rapid.T) {
	request := &queuev1.ConfigureDeadLetterRequest{Queue: m.queue(t), MaxReceives: rapid.Uint32Range(1, 2).Draw(t, "max_receives")}
	if rapid.IntRange(0, 3).Draw(t, "none if 0") > 0 {
		request.DeadLetterQueue = m.queue(t)
	}
	same(t, "ConfigureDeadLetter", request, nil, m.subject.QueueDeadLetter.ConfigureDeadLetter, m.oracle.QueueDeadLetter.ConfigureDeadLetter)
}

// redrive moves dead letters back.
func (m *queue) redrive(t *rapid.T) {
	request := &queuev1.RedriveRequest{DeadLetterQueue: m.queue(t), MaxMessages: rapid.Uint32Range(0, 3).Draw(t, "max_messages")}
	if rapid.Bool().Draw(t, "of one source") {
		request.SourceQueue = m.queue(t)
	}
	same(t, "Redrive", request, nil, m.subject.QueueDeadLetter.Redrive, m.oracle.QueueDeadLetter.Redrive)
}

// check compares the first message and the counts of each queue, after each operation.
func (m *queue) check(t *rapid.T) {
	for _, name := range []string{"a", "b", "A"} {
		name = m.prefix + name
		same(t, "Peek", &queuev1.PeekRequest{Queue: name}, func(r *queuev1.PeekResponse) { blankMessage(r.GetMessage()) }, m.subject.QueueBasic.Peek, m.oracle.QueueBasic.Peek)
		if m.subject.QueueDelayed != nil {
			same(t, "GetScheduledCount", &queuev1.GetScheduledCountRequest{Queue: name}, nil, m.subject.QueueDelayed.GetScheduledCount, m.oracle.QueueDelayed.GetScheduledCount)
		}
		if m.subject.QueueDeadLetter != nil {
			same(t, "GetDeadLetterQueue", &queuev1.GetDeadLetterQueueRequest{Queue: name}, nil,
				m.subject.QueueDeadLetter.GetDeadLetterQueue, m.oracle.QueueDeadLetter.GetDeadLetterQueue)
		}
	}
}
