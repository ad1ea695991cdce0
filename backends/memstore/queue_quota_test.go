package memstore

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/fault"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

// inBoundedQueues runs a test with a namespace whose queues may hold some messages' overhead and 100 bytes.
func inBoundedQueues(t *testing.T, messages uint64, test func(t *testing.T, q queueTester)) {
	t.Helper()
	inQueueBubble(t, &backendsv1.MemStore{MaxQueueBytes: messages*queueOverhead + 100}, test)
}

func (q queueTester) tryPut(name string, size int) error {
	_, err := q.Enqueue(q.t.Context(), &queuev1.EnqueueRequest{Queue: name, Payload: make([]byte, size)})
	return err
}

// requireRoom fails unless there is room for one message of just so many bytes. It leaves the queues as they were.
func (q queueTester) requireRoom(size int) {
	q.t.Helper()
	q.requireFull(q.tryPut("?", size+1))
	if size >= 0 {
		require.NoError(q.t, q.tryPut("?", size))
		require.NotEqual(q.t, "none", q.get("?"))
	}
}

func (q queueTester) requireFull(err error) {
	q.t.Helper()
	require.Equal(q.t, fault.ResourceExhausted, fault.CodeOf(err), "%v", err)
	require.Contains(q.t, err.Error(), "max_queue_bytes")
}

func TestMaxQueueBytesCountsPayloadsMetadataAndKeys(t *testing.T) {
	inBoundedQueues(t, 1, func(t *testing.T, q queueTester) { q.requireRoom(100) })
	inBoundedQueues(t, 2, func(t *testing.T, q queueTester) {
		require.NoError(t, q.tryPut("queue", 30))
		q.requireRoom(70)
		require.Equal(t, strings.Repeat("\x00", 30), q.get("queue"))
		_, err := q.EnqueueWithPriority(t.Context(), &queuev1.EnqueueWithPriorityRequest{Queue: "queue", Metadata: map[string]string{"key": "value", "k": ""}})
		require.NoError(t, err)
		q.requireRoom(91)
	})
	inBoundedQueues(t, 3, func(t *testing.T, q queueTester) {
		first := q.putKey("queue", "0123456789")
		q.requireRoom(90)
		require.NoError(t, q.tryPut("queue", 90))
		again := q.putKey("queue", "0123456789")
		require.True(t, again.GetDuplicate(), "a repeated call needs no room")
		require.Equal(t, first.GetMessageId(), again.GetMessageId())
		_, err := q.Enqueue(t.Context(), &queuev1.EnqueueRequest{Queue: "queue", IdempotencyKey: "other"})
		q.requireFull(err)
		require.Empty(t, q.get("queue"))
		require.False(t, q.putKey("elsewhere", "").GetDuplicate())
		require.Len(t, q.get("queue"), 90)
		require.Equal(t, "none", q.get("queue"), "a refused call adds nothing")
		pass(keyLife)
		q.requireRoom(100 + queueOverhead)
	})
}

func TestMaxQueueBytesIsGivenBack(t *testing.T) {
	inBoundedQueues(t, 1, func(t *testing.T, q queueTester) {
		for _, end := range []func(){
			func() { require.Len(t, q.get("queue"), 100) },
			func() { require.NoError(t, q.tryAcknowledge("queue", q.lease("queue", time.Minute))) },
		} {
			require.NoError(t, q.tryPut("queue", 100))
			q.requireRoom(-1)
			end()
			q.requireRoom(100)
		}
		id := q.schedule("queue", strings.Repeat("x", 100), time.Hour)
		q.requireRoom(-1)
		_, err := q.CancelScheduled(t.Context(), &queuev1.CancelScheduledRequest{Queue: "queue", MessageId: id})
		require.NoError(t, err)
		q.requireRoom(100)
	})
}

func TestMaxQueueBytesCountsConfigurationsAndReasons(t *testing.T) {
	inBoundedQueues(t, 2, func(t *testing.T, q queueTester) {
		q.configure("queue", "dead", 1)
		q.requireRoom(100)
		q.configure("queue", "other", 1)
		q.requireRoom(100)
		q.configure("other", "dead", 1)
		q.requireRoom(-1)
		_, err := q.ConfigureDeadLetter(t.Context(), &queuev1.ConfigureDeadLetterRequest{Queue: "third", DeadLetterQueue: "dead", MaxReceives: 1})
		q.requireFull(err)
		q.configure("other", "", 0)
		q.requireRoom(100)

		require.NoError(t, q.tryPut("queue", 60))
		_, err = q.Release(t.Context(), &queuev1.ReleaseRequest{Queue: "queue", Receipt: q.lease("queue", time.Minute), Reason: strings.Repeat("r", 500)})
		require.NoError(t, err, "nothing is refused for a reason's sake")
		require.EqualValues(t, 2*queueOverhead+560, q.quota.used.Load())
		redriven, err := q.Redrive(t.Context(), &queuev1.RedriveRequest{DeadLetterQueue: "other"})
		require.NoError(t, err)
		require.EqualValues(t, 1, redriven.GetMoved())
		require.EqualValues(t, 2*queueOverhead+60, q.quota.used.Load())
		require.Len(t, q.get("queue"), 60)
		q.requireRoom(100)
	})
}

func TestMaxQueueBytesIsExactUnderConcurrency(t *testing.T) {
	const messages = 50
	store, err := Open(t.Context(), backend.Env{}, &backendsv1.MemStore{MaxQueueBytes: messages * queueOverhead})
	require.NoError(t, err)
	defer func() { require.NoError(t, store.Close(t.Context())) }()
	space, err := store.space("name")
	require.NoError(t, err)
	q := queueTester{t, space.queue}
	var enqueued, refused atomic.Int64
	var group sync.WaitGroup
	for client := range 8 {
		group.Go(func() {
			for range 20 {
				switch err := q.tryPut([]string{"a", "b", "c"}[client%3], 0); fault.CodeOf(err) {
				case fault.OK:
					enqueued.Add(1)
				case fault.ResourceExhausted:
					refused.Add(1)
				default:
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	require.EqualValues(t, messages, enqueued.Load())
	require.EqualValues(t, 8*20-messages, refused.Load())
	other, err := store.space("other")
	require.NoError(t, err)
	require.NoError(t, queueTester{t, other.queue}.tryPut("queue", messages*queueOverhead-queueOverhead), "each namespace has its own bound")
}

func TestScheduledAndHeldBackMessagesCount(t *testing.T) {
	inBoundedQueues(t, 1, func(t *testing.T, q queueTester) {
		q.schedule("queue", "payload", time.Minute)
		q.requireRoom(-1)
		pass(time.Minute)
		q.requireRoom(-1)
		receipt := q.lease("queue", time.Minute)
		q.requireRoom(-1)
		_, err := q.Release(t.Context(), &queuev1.ReleaseRequest{Queue: "queue", Receipt: receipt, Delay: durationpb.New(time.Minute)})
		require.NoError(t, err)
		q.requireRoom(-1)
		pass(time.Minute)
		require.Equal(t, "payload", q.get("queue"))
		q.requireRoom(100)
	})
}
