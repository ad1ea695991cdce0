// Package queuetest holds the conformance suites of the Queue interfaces: one function per interface, one case per sentence of its contract.
//
// A suite runs against the value that a backend or a pattern gives, and against a client of it over any transport alike: errors are compared by code, messages
// by content, and nothing is known of time but that nothing happens early. A case that needs another interface of the model runs when that is offered too.
//
// Cases run in parallel, each in a namespace of its own: what open makes is to be undone by t.Cleanup, not by defer.
package queuetest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/prismgate/prism/conformance/expect"
	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/runtime/fault"

	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

// Open returns the interfaces of a fresh, empty namespace at each call. Two namespaces of one test are of one instance.
type Open = func(t *testing.T) *prism.Interfaces

const (
	maxName    = 200
	maxPayload = 1 << 20
	// short is a time that a case waits for: a lease, a delay.
	short = 150 * time.Millisecond
	// skew is by how much the clocks of a suite and of a backend may differ.
	skew = time.Minute
)

// distinctNames are different queues that an implementation may mistake for one another, for patterns, or for its own names.
func distinctNames() []string {
	return []string{
		"a", "A", "aa", "a.b", "a-b", "a_b", "a..b", "a.", ".a", ".", "..", "-", "--", "_", "-a", "0", "00", "-1", "1e3", "null", "nil", "true", "NaN",
		"a.dlq", "a.fifo", "a-dead-letter", "DLQ", "con", "queue", "__proto__",
		strings.Repeat("q", maxName), strings.Repeat("q", maxName-1), strings.Repeat("Q", maxName),
	}
}

// distinctKeys are idempotency keys that an implementation may mistake for one another, or for none.
func distinctKeys() []string {
	return []string{
		"a", "A", "aa", "a ", " a", " ", "á", "a\u0301", "*", "a*", "?", "%", "_", `\`, `"`, `'`, "a.b", "a:b", ":", "/", "a/b", "\n", "\t", "\x01", "\x7f",
		"日本語", "😀", "ß", "SS", "0", "00", "null", "nil", "true", strings.Repeat("k", 1024), strings.Repeat("k", 1023), strings.Repeat("é", 512),
	}
}

// enqueue, dequeue and the like are for cases about something else: they fail the test when the call fails.
func enqueue(t *testing.T, basic queuev1.Basic, queue, payload string) string {
	t.Helper()
	response, err := basic.Enqueue(t.Context(), &queuev1.EnqueueRequest{Queue: queue, Payload: []byte(payload)})
	require.NoError(t, err, "Enqueue %.80q", payload)
	require.False(t, response.GetDuplicate(), "a call without an idempotency key is no duplicate")
	return response.GetMessageId()
}

func enqueueAll(t *testing.T, basic queuev1.Basic, queue string, payloads ...string) {
	t.Helper()
	for _, payload := range payloads {
		enqueue(t, basic, queue, payload)
	}
}

// dequeue returns nil when there is no message.
func dequeue(t *testing.T, basic queuev1.Basic, queue string) *queuev1.Message {
	t.Helper()
	response, err := basic.Dequeue(t.Context(), &queuev1.DequeueRequest{Queue: queue})
	require.NoError(t, err, "Dequeue")
	require.Equal(t, response.GetFound(), response.GetMessage() != nil, "there is a message when one was found")
	return response.GetMessage()
}

// await dequeues a message that comes sooner or later.
func await(t *testing.T, basic queuev1.Basic, queue string) *queuev1.Message {
	t.Helper()
	response, err := basic.Dequeue(t.Context(), &queuev1.DequeueRequest{Queue: queue, WaitTime: durationpb.New(expect.Patience)})
	require.NoError(t, err, "Dequeue")
	require.True(t, response.GetFound(), "there is no message within %s", expect.Patience)
	return response.GetMessage()
}

// peek returns nil when there is no message.
func peek(t *testing.T, basic queuev1.Basic, queue string) *queuev1.Message {
	t.Helper()
	response, err := basic.Peek(t.Context(), &queuev1.PeekRequest{Queue: queue})
	require.NoError(t, err, "Peek")
	require.Equal(t, response.GetFound(), response.GetMessage() != nil, "there is a message when one was found")
	return response.GetMessage()
}

// requireEmpty fails unless a queue has no visible message.
func requireEmpty(t *testing.T, basic queuev1.Basic, queue string) {
	t.Helper()
	require.Nil(t, peek(t, basic, queue), "%.80q has no visible message", queue)
	require.Nil(t, dequeue(t, basic, queue), "%.80q has no visible message", queue)
}

// requireFirst fails unless a payload is that of a queue's first visible message.
func requireFirst(t *testing.T, basic queuev1.Basic, queue, payload string) {
	t.Helper()
	first := peek(t, basic, queue)
	require.NotNil(t, first, "%.80q has a visible message", queue)
	expect.EqualBytes(t, []byte(payload), first.GetPayload())
}

// drain takes all visible messages and returns their payloads.
func drain(t *testing.T, basic queuev1.Basic, queue string) []string {
	t.Helper()
	var payloads []string
	for message := dequeue(t, basic, queue); message != nil; message = dequeue(t, basic, queue) {
		payloads = append(payloads, string(message.GetPayload()))
		require.Less(t, len(payloads), 1000, "%.80q has an end", queue)
	}
	return payloads
}

// requireOrder takes all visible messages and fails unless they come in this order.
func requireOrder(t *testing.T, basic queuev1.Basic, queue string, want ...string) {
	t.Helper()
	require.Equal(t, want, drain(t, basic, queue))
}

// requireAbout fails unless a time is between two others, as the backend's clock may have it.
func requireAbout(t require.TestingT, from, to time.Time, got *timestamppb.Timestamp) {
	expect.Helper(t)
	require.NotNil(t, got, "there is a time")
	require.NoError(t, got.CheckValid())
	require.WithinRange(t, got.AsTime(), from.Add(-skew), to.Add(skew))
}

// answer is what a call that runs meanwhile is answered with.
type answer struct {
	message *queuev1.Message
	err     error
}

// waitInDequeue starts a Dequeue that waits. What it is answered with comes from the channel.
func waitInDequeue(ctx context.Context, basic queuev1.Basic, queue string, wait time.Duration) <-chan answer {
	answers := make(chan answer, 1)
	go func() {
		response, err := basic.Dequeue(ctx, &queuev1.DequeueRequest{Queue: queue, WaitTime: durationpb.New(wait)})
		answers <- answer{response.GetMessage(), err}
	}()
	return answers
}

// receive waits for a call's answer.
func receive(t *testing.T, answers <-chan answer) answer {
	t.Helper()
	select {
	case got := <-answers:
		return got
	case <-time.After(expect.Patience):
		require.FailNow(t, "the call does not end", "within %s", expect.Patience)
		return answer{}
	}
}

// requireTakesNothing lets calls end that wait for a message, by end, and fails if they take one that comes after that. A backend may learn late that a call over
// a network has ended: then the case begins again, and gives it more time. They are several because one may not have come as far as to wait when it ends.
func requireTakesNothing(t *testing.T, basic queuev1.Basic, start func(ctx context.Context, queue string) <-chan answer) {
	t.Helper()
	for attempt, late := 0, time.Millisecond; late < expect.Patience; attempt, late = attempt+1, late*4 {
		ctx, cancel := context.WithCancel(t.Context())
		queues := make([]string, 8)
		answers := make([]<-chan answer, len(queues))
		for i := range queues {
			queues[i] = fmt.Sprintf("attempt-%d-%d", attempt, i)
			answers[i] = start(ctx, queues[i])
		}
		expect.Pause(t, short)
		cancel()
		for _, answers := range answers {
			expect.Code(t, fault.Canceled, receive(t, answers).err)
		}
		expect.Pause(t, late)
		taken := false
		for _, queue := range queues {
			id := enqueue(t, basic, queue, "payload")
			if message := peek(t, basic, queue); message != nil {
				require.Equal(t, id, message.GetMessageId())
				require.Zero(t, message.GetReceiveCount(), "the message was not taken by the call that had ended")
			} else {
				taken = true
			}
		}
		if taken {
			continue
		}
		expect.Pause(t, short) // a call that waits on in secret needs its time to take it
		for _, queue := range queues {
			taken = dequeue(t, basic, queue) == nil || taken
		}
		if !taken {
			return
		}
	}
	require.FailNow(t, "a call that has ended takes a message")
}

// call is one RPC of an interface with a valid request, as the cases about every RPC need it.
type call struct {
	name string
	// inQueue makes the call on a queue.
	inQueue func(ctx context.Context, queue string) error
	// field is the field that the queue is in.
	field string
	// code is what a valid call is answered with.
	code fault.Code
}

// requireNameRules checks what every RPC asks of a queue's name.
func requireNameRules(t *testing.T, calls []call) {
	t.Helper()
	for _, call := range calls {
		for name, queue := range map[string]string{
			"empty": "", "201 bytes": strings.Repeat("q", maxName+1), "slash": "a/b", "blank": "a b", "colon": "a:b", "star": "*", "letter": "ä", "NUL": "a\x00", "line": "a\n",
		} {
			err := call.inQueue(t.Context(), queue)
			require.Error(t, err, "%s accepts a name that is not allowed: %s", call.name, name)
			expect.Invalid(t, call.field, err)
		}
		for _, queue := range []string{"A", ".", "_", "-", "0", strings.Repeat("q", maxName)} {
			require.Equal(t, call.code, fault.CodeOf(call.inQueue(t.Context(), queue)), "%s in %q", call.name, queue)
		}
	}
}

// requireContextRules checks that each call tells CANCELED and DEADLINE_EXCEEDED when its context has ended.
func requireContextRules(t *testing.T, calls []call) {
	t.Helper()
	canceled, late := expect.Ended(t)
	for _, call := range calls {
		require.Equal(t, call.code, fault.CodeOf(call.inQueue(t.Context(), "queue")), "%s in a context that has not ended", call.name)
		require.Equal(t, fault.Canceled, fault.CodeOf(call.inQueue(canceled, "queue")), "%s in a canceled context", call.name)
		require.Equal(t, fault.DeadlineExceeded, fault.CodeOf(call.inQueue(late, "queue")), "%s after its deadline", call.name)
	}
}

// arrival is what every enqueueing call is asked and answers.
type arrival struct {
	queue    string
	payload  []byte
	metadata map[string]string
	key      string
}

// enqueueing is an enqueueing method, as the cases about every one of them need it.
type enqueueing func(ctx context.Context, a arrival) (id string, duplicate bool, err error)

// requireArrivalRules checks what every enqueueing method asks of payload, metadata and idempotency key.
func requireArrivalRules(t *testing.T, put enqueueing) {
	t.Helper()
	requireWrong := func(field string, a arrival) {
		t.Helper()
		a.queue = "wrong"
		_, _, err := put(t.Context(), a)
		require.Error(t, err, "%s is accepted", field)
		expect.Invalid(t, field, err)
	}
	requireRight := func(a arrival) {
		t.Helper()
		a.queue = "right"
		_, _, err := put(t.Context(), a)
		require.NoError(t, err)
	}
	pairs := func(n, size int) map[string]string {
		made := make(map[string]string, n)
		for i := range n {
			made[fmt.Sprintf("key-%02d", i)] = strings.Repeat("v", size)
		}
		return made
	}
	requireWrong("payload", arrival{payload: expect.Bytes(1, maxPayload+1)})
	requireRight(arrival{payload: expect.Bytes(1, maxPayload)})
	requireWrong("metadata", arrival{metadata: pairs(65, 1)})
	requireRight(arrival{metadata: pairs(64, 1)})
	for _, key := range []string{"", "Upper", "a b", "ä", "a/b", strings.Repeat("k", 129)} {
		requireWrong("metadata", arrival{metadata: map[string]string{key: "value"}})
	}
	requireRight(arrival{metadata: map[string]string{"a": "", "-": "é\x00\n", "0._-": "v", strings.Repeat("k", 128): strings.Repeat("v", 4096)}})
	requireWrong("metadata", arrival{metadata: map[string]string{"key": strings.Repeat("v", 4097)}})
	requireRight(arrival{metadata: pairs(4, 4090)}) // 16,384 bytes
	requireWrong("metadata", arrival{metadata: map[string]string{"1": strings.Repeat("v", 4096), "2": strings.Repeat("v", 4096), "3": strings.Repeat("v", 4096), "4": strings.Repeat("v", 4093)}})
	requireWrong("idempotency_key", arrival{key: strings.Repeat("k", 1025)})
	requireWrong("idempotency_key", arrival{key: "a\x00b"})
	requireRight(arrival{key: strings.Repeat("k", 1024)})
}
