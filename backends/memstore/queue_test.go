package memstore

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/fault"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

// inQueueBubble runs a test with a namespace whose clock jumps to the next timer whenever everybody waits.
func inQueueBubble(t *testing.T, config *backendsv1.MemStore, test func(t *testing.T, q queueTester)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		store, err := Open(t.Context(), backend.Env{}, config)
		require.NoError(t, err)
		space, err := store.space("name")
		require.NoError(t, err)
		test(t, queueTester{t, space.queue})
		require.NoError(t, store.Close(t.Context()))
	})
}

// queueTester is a queue whose calls must succeed.
type queueTester struct {
	t testing.TB
	*queue
}

func (q queueTester) put(name, payload string) string {
	q.t.Helper()
	response, err := q.Enqueue(q.t.Context(), &queuev1.EnqueueRequest{Queue: name, Payload: []byte(payload)})
	require.NoError(q.t, err)
	return response.GetMessageId()
}

func (q queueTester) putKey(name, key string) *queuev1.EnqueueResponse {
	q.t.Helper()
	response, err := q.Enqueue(q.t.Context(), &queuev1.EnqueueRequest{Queue: name, IdempotencyKey: key})
	require.NoError(q.t, err)
	return response
}

func (q queueTester) schedule(name, payload string, delay time.Duration) string {
	q.t.Helper()
	response, err := q.EnqueueDelayed(q.t.Context(), &queuev1.EnqueueDelayedRequest{Queue: name, Payload: []byte(payload), Delay: durationpb.New(delay)})
	require.NoError(q.t, err)
	return response.GetMessageId()
}

// get returns a message's payload, or "none".
func (q queueTester) get(name string) string {
	q.t.Helper()
	response, err := q.Dequeue(q.t.Context(), &queuev1.DequeueRequest{Queue: name})
	require.NoError(q.t, err)
	if !response.GetFound() {
		return "none"
	}
	return string(response.GetMessage().GetPayload())
}

// lease returns the receipt, or "" when there is no message.
func (q queueTester) lease(name string, lasting time.Duration) string {
	q.t.Helper()
	response, err := q.DequeueWithTimeout(q.t.Context(), &queuev1.DequeueWithTimeoutRequest{Queue: name, VisibilityTimeout: durationpb.New(lasting)})
	require.NoError(q.t, err)
	return response.GetReceipt()
}

func (q queueTester) tryAcknowledge(name, receipt string) error {
	_, err := q.Acknowledge(q.t.Context(), &queuev1.AcknowledgeRequest{Queue: name, Receipt: receipt})
	return err
}

func (q queueTester) configure(name, dead string, maxReceives uint32) {
	q.t.Helper()
	_, err := q.ConfigureDeadLetter(q.t.Context(), &queuev1.ConfigureDeadLetterRequest{Queue: name, DeadLetterQueue: dead, MaxReceives: maxReceives})
	require.NoError(q.t, err)
}

// wait starts a Dequeue that waits. What it is answered with comes from the channel: a payload, "none", or a code.
func (q queueTester) wait(ctx context.Context, name string, lasting time.Duration) <-chan string {
	answers := make(chan string, 1)
	go func() {
		response, err := q.Dequeue(ctx, &queuev1.DequeueRequest{Queue: name, WaitTime: durationpb.New(lasting)})
		switch {
		case err != nil:
			answers <- fault.CodeOf(err).String()
		case !response.GetFound():
			answers <- "none"
		default:
			answers <- string(response.GetMessage().GetPayload())
		}
	}()
	return answers
}

// held returns how many queues are in memory.
func (q queueTester) held() (lines int) {
	for range q.lines.Range {
		lines++
	}
	return lines
}

// sleepers returns how many calls wait that no message woke yet.
func (l *line) sleepers() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asleep.Len()
}

// line returns a queue that is in memory. It takes no lock: nothing else runs.
func (q queueTester) line(name string) *line {
	q.t.Helper()
	found, ok := q.lines.Load(name)
	require.True(q.t, ok, "%s is in memory", name)
	return found.(*line)
}

func TestEmptyQueueIsFreed(t *testing.T) {
	inQueueBubble(t, nil, func(t *testing.T, q queueTester) {
		for i := range 1000 {
			name := strconv.Itoa(i)
			q.put(name, "payload")
			switch i % 4 {
			case 0:
				require.Equal(t, "payload", q.get(name))
			case 1:
				require.NoError(t, q.tryAcknowledge(name, q.lease(name, time.Hour)))
			case 2:
				require.Equal(t, "payload", q.get(name))
				cancelled, err := q.CancelScheduled(t.Context(), &queuev1.CancelScheduledRequest{Queue: name, MessageId: q.schedule(name, "payload", time.Hour)})
				require.NoError(t, err)
				require.True(t, cancelled.GetCancelled())
			case 3:
				require.Equal(t, "payload", q.get(name))
				q.configure(name, "dead", 1)
				q.configure(name, "", 0)
			}
		}
		require.Equal(t, 1000, q.held(), "a queue is kept for the next message a while")
		pass(idleTime)
		require.Zero(t, q.held())
	})
}

func TestQueuesThatHoldNothingAreNotMade(t *testing.T) {
	inQueueBubble(t, nil, func(t *testing.T, q queueTester) {
		ctx := t.Context()
		require.Equal(t, "none", q.get("queue"))
		require.Empty(t, q.lease("queue", time.Minute))
		_, err := q.Peek(ctx, &queuev1.PeekRequest{Queue: "queue"})
		require.NoError(t, err)
		_, err = q.GetScheduledCount(ctx, &queuev1.GetScheduledCountRequest{Queue: "queue"})
		require.NoError(t, err)
		_, err = q.GetDeadLetterQueue(ctx, &queuev1.GetDeadLetterQueueRequest{Queue: "queue"})
		require.NoError(t, err)
		_, err = q.Redrive(ctx, &queuev1.RedriveRequest{DeadLetterQueue: "queue"})
		require.NoError(t, err)
		q.configure("queue", "", 0)
		require.Error(t, q.tryAcknowledge("queue", "receipt"))
		require.Zero(t, q.held())
		require.Equal(t, "none", <-q.wait(ctx, "queue", time.Second))
		pass(2 * idleTime)
		require.Zero(t, q.held())
	})
}

func TestQueueThatHoldsSomethingStays(t *testing.T) {
	inQueueBubble(t, nil, func(t *testing.T, q queueTester) {
		q.put("visible", "payload")
		q.put("leased", "payload")
		q.lease("leased", 12*time.Hour)
		q.schedule("scheduled", "payload", 12*time.Hour)
		q.configure("configured", "dead", 3)
		pass(11 * time.Hour)
		require.Equal(t, 4, q.held())
		pass(2 * time.Hour)
		require.Equal(t, "payload", q.get("visible"))
		require.Equal(t, "payload", q.get("leased"))
		require.Equal(t, "payload", q.get("scheduled"))
		pass(time.Hour)
		require.Equal(t, 1, q.held())
	})
}

func TestVisibleMessagesNeedNoTimer(t *testing.T) {
	inQueueBubble(t, nil, func(t *testing.T, q queueTester) {
		for range 100 {
			q.put("queue", "payload")
		}
		pass(time.Hour)
		require.Nil(t, q.line("queue").timer)
		require.EqualValues(t, never, q.line("queue").due)
	})
}

func TestLeaseEndsAtItsTimeAndNotBefore(t *testing.T) {
	inQueueBubble(t, nil, func(t *testing.T, q queueTester) {
		q.put("queue", "payload")
		receipt := q.lease("queue", time.Second)
		time.Sleep(time.Second - 1)
		require.Equal(t, "none", q.get("queue"))
		_, err := q.ExtendVisibility(t.Context(), &queuev1.ExtendVisibilityRequest{Queue: "queue", Receipt: receipt, VisibilityTimeout: durationpb.New(time.Minute)})
		require.NoError(t, err)
		time.Sleep(time.Minute)
		require.Equal(t, fault.FailedPrecondition, fault.CodeOf(q.tryAcknowledge("queue", receipt)))
		require.Equal(t, "LEASE_ENDED", fault.ReasonOf(q.tryAcknowledge("queue", receipt)))
		require.Equal(t, "payload", q.get("queue"))
	})
}

func TestScheduledMessageIsVisibleAtItsTimeAndNotBefore(t *testing.T) {
	inQueueBubble(t, nil, func(t *testing.T, q queueTester) {
		time.Sleep(123456 * time.Nanosecond)
		begin := time.Now()
		answers := q.wait(t.Context(), "queue", 30*time.Second)
		q.schedule("queue", "payload", time.Second+1)
		require.Equal(t, "payload", <-answers)
		require.Equal(t, time.Second+time.Millisecond, time.Since(begin), "the delay is rounded up to whole milliseconds")
	})
}

// TestMoreThanOneBiteIsDue stops a queue's timer, so that the next call finds more that is due than it looks after.
func TestMoreThanOneBiteIsDue(t *testing.T) {
	inQueueBubble(t, nil, func(t *testing.T, q queueTester) {
		const messages = 3 * advanceBite
		overdue := func(name string) (last string) {
			for i := range messages {
				q.put(name, strconv.Itoa(i))
				last = q.lease(name, time.Minute)
			}
			q.line(name).timer.Stop()
			pass(time.Minute)
			return last
		}
		last := overdue("stale")
		require.Equal(t, fault.FailedPrecondition, fault.CodeOf(q.tryAcknowledge("stale", last)), "its lease is over, and the message is not back yet")

		overdue("configured")
		q.configure("configured", "dead", 1)
		require.Equal(t, "none", q.get("dead"), "leases that ended before the configuration came are not its")
		for i := range messages {
			require.Equal(t, strconv.Itoa(i), q.get("configured"))
		}
	})
}

func TestTimesAreToldByTheWallClock(t *testing.T) {
	inQueueBubble(t, nil, func(t *testing.T, q queueTester) {
		time.Sleep(1234567 * time.Nanosecond)
		scheduled, err := q.EnqueueDelayed(t.Context(), &queuev1.EnqueueDelayedRequest{Queue: "queue", Delay: durationpb.New(time.Second)})
		require.NoError(t, err)
		require.True(t, time.Now().Add(time.Second).Equal(scheduled.GetDueTime().AsTime()))
		enqueued := time.Now()
		time.Sleep(time.Minute)
		leased, err := q.DequeueWithTimeout(t.Context(), &queuev1.DequeueWithTimeoutRequest{Queue: "queue"})
		require.NoError(t, err)
		require.True(t, time.Now().Add(30*time.Second).Equal(leased.GetLeaseEndTime().AsTime()))
		require.Equal(t, enqueued.UnixMilli(), leased.GetMessage().GetEnqueueTime().AsTime().UnixMilli())
		require.Zero(t, leased.GetMessage().GetEnqueueTime().GetNanos()%1_000_000)
	})
}

func TestManyThatAreDueAtOnceComeInOrder(t *testing.T) {
	inQueueBubble(t, nil, func(t *testing.T, q queueTester) {
		const messages = 10*advanceBite + 1
		for i := range messages {
			q.schedule("queue", strconv.Itoa(i), time.Minute)
		}
		pass(time.Minute)
		require.Zero(t, q.line("queue").scheduled.size())
		for i := range messages {
			require.Equal(t, strconv.Itoa(i), q.get("queue"))
		}
		pass(idleTime)
		require.Zero(t, q.held())
	})
}

func TestIdempotencyKeyCountsAtLeast5MinutesAndIsFreed(t *testing.T) {
	inQueueBubble(t, nil, func(t *testing.T, q queueTester) {
		first := q.putKey("queue", "key")
		require.Equal(t, "", q.get("queue"))
		for range 10 { // each call with the key is answered, and counts anew
			pass(5*time.Minute + time.Second)
			again := q.putKey("queue", "key")
			require.True(t, again.GetDuplicate())
			require.Equal(t, first.GetMessageId(), again.GetMessageId())
		}
		q.putKey("queue", "other")
		require.Equal(t, "", q.get("queue"))
		pass(keyLife + idleTime)
		require.Zero(t, q.held(), "nothing is kept of a key that does not count any more")
		require.False(t, q.putKey("queue", "key").GetDuplicate())
	})
}

func TestKeyIsFreedThoughAnOlderOneIsUsedAgain(t *testing.T) {
	inQueueBubble(t, nil, func(t *testing.T, q queueTester) {
		q.putKey("queue", "older")
		q.putKey("queue", "key")
		pass(keyLife - time.Second)
		require.True(t, q.putKey("queue", "older").GetDuplicate())
		pass(time.Second)
		require.Equal(t, 1, q.line("queue").keys.byName.size())
		require.True(t, q.putKey("queue", "older").GetDuplicate())
	})
}

func TestManyKeysAreFreed(t *testing.T) {
	inQueueBubble(t, nil, func(t *testing.T, q queueTester) {
		q.put("queue", "stays")
		for i := range 5000 {
			q.putKey("queue", strconv.Itoa(i))
		}
		pass(keyLife)
		require.Zero(t, q.line("queue").keys.byName.size())
		require.Nil(t, q.line("queue").keys.byName.entries, "a large map's memory is given back")
	})
}

func TestMemoryOfManyLeasesIsGivenBack(t *testing.T) {
	inQueueBubble(t, nil, func(t *testing.T, q queueTester) {
		for range 5000 {
			q.put("queue", "payload")
			q.lease("queue", time.Minute)
		}
		l := q.line("queue")
		pass(time.Minute) // all come back
		for range 5000 {
			require.NoError(t, q.tryAcknowledge("queue", q.lease("queue", time.Minute)))
		}
		require.LessOrEqual(t, cap(l.agenda.items), keptMapSize)
		require.LessOrEqual(t, cap(l.ready.returned.items), keptMapSize)
		require.LessOrEqual(t, l.leases.largest, keptMapSize)
	})
}

func TestOneCallIsWokenForEachMessage(t *testing.T) {
	inQueueBubble(t, nil, func(t *testing.T, q queueTester) {
		const callers = 100
		answers := make(chan string, callers)
		for range callers {
			go func() { answers <- <-q.wait(t.Context(), "queue", 30*time.Second) }()
		}
		synctest.Wait()
		l := q.line("queue")
		require.Equal(t, callers, l.sleepers())
		l.mu.Lock() // those that are woken cannot go to sleep again meanwhile
		l.at, l.now = q.clock.now(), time.Now()
		for range 3 {
			l.arrive(&item{index: outside, payload: []byte("payload")})
		}
		require.Equal(t, callers-3, l.asleep.Len(), "three messages wake three calls")
		l.unlock()
		for range 3 {
			require.Equal(t, "payload", <-answers)
		}
		synctest.Wait()
		require.Equal(t, callers-3, l.sleepers(), "the others sleep on")
		require.Empty(t, answers)
		pass(30 * time.Second)
		for range callers - 3 {
			require.Equal(t, "none", <-answers)
		}
		pass(idleTime)
		require.Zero(t, q.held())
	})
}

func TestCallThatEndsAsItIsWokenLeavesTheMessageToAnother(t *testing.T) {
	inQueueBubble(t, nil, func(t *testing.T, q queueTester) {
		ctx, cancel := context.WithCancel(t.Context())
		ends := q.wait(ctx, "queue", 30*time.Second)
		synctest.Wait()
		stays := q.wait(t.Context(), "queue", 30*time.Second)
		synctest.Wait()
		l := q.line("queue")
		l.mu.Lock()
		l.at, l.now = q.clock.now(), time.Now()
		l.arrive(&item{index: outside, payload: []byte("payload")}) // wakes the first
		cancel()
		l.unlock()
		begin := time.Now()
		require.Equal(t, "CANCELED", <-ends)
		require.Equal(t, "payload", <-stays)
		require.Zero(t, time.Since(begin), "it is woken at once")
	})
}

func TestWaitingEndsJustInTime(t *testing.T) {
	inQueueBubble(t, nil, func(t *testing.T, q queueTester) {
		begin := time.Now()
		require.Equal(t, "none", <-q.wait(t.Context(), "queue", 7*time.Second))
		require.Equal(t, 7*time.Second, time.Since(begin))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.Equal(t, "DEADLINE_EXCEEDED", <-q.wait(ctx, "queue", 7*time.Second))
		require.Equal(t, 8*time.Second, time.Since(begin))
	})
}

func TestCloseEndsCallsThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, err := Open(t.Context(), backend.Env{}, nil)
		require.NoError(t, err)
		space, err := store.space("name")
		require.NoError(t, err)
		q := queueTester{t, space.queue}
		q.put("other", "payload")
		q.lease("other", time.Hour)
		q.schedule("other", "payload", time.Second)
		var waiting []<-chan string
		for i := range 10 {
			waiting = append(waiting, q.wait(t.Context(), strconv.Itoa(i%3), 30*time.Second))
		}
		synctest.Wait()
		require.NoError(t, store.Close(t.Context()))
		for _, answers := range waiting {
			require.Equal(t, "UNAVAILABLE", <-answers)
		}
		require.Zero(t, q.held())
		for _, wait := range []time.Duration{0, time.Second} {
			require.Equal(t, "UNAVAILABLE", <-q.wait(t.Context(), "queue", wait))
		}
		_, err = q.Enqueue(t.Context(), &queuev1.EnqueueRequest{Queue: "queue"})
		require.Equal(t, fault.Unavailable, fault.CodeOf(err))
		_, err = q.Redrive(t.Context(), &queuev1.RedriveRequest{DeadLetterQueue: "queue"})
		require.Equal(t, fault.Unavailable, fault.CodeOf(err))
		pass(2 * time.Hour)
		require.Zero(t, q.held())
	})
}

func TestDeadLettersMoveByThemselvesAlongAChain(t *testing.T) {
	inQueueBubble(t, nil, func(t *testing.T, q queueTester) {
		const messages = 3*advanceBite + 1
		q.configure("a", "b", 1)
		for i := range messages {
			q.put("a", strconv.Itoa(i))
			q.lease("a", 50*time.Second)
		}
		answers := q.wait(t.Context(), "b", 30*time.Second) // too short
		require.Equal(t, "none", <-answers)
		answers = q.wait(t.Context(), "b", 30*time.Second)
		require.NotEqual(t, "none", <-answers)
		synctest.Wait()
		got, err := q.GetDeadLetterQueue(t.Context(), &queuev1.GetDeadLetterQueueRequest{Queue: "a"})
		require.NoError(t, err)
		require.EqualValues(t, messages-1, got.GetMessageCount())
		seen := make(map[string]bool)
		for range messages - 1 {
			seen[q.get("b")] = true
		}
		require.Len(t, seen, messages-1)
		require.Equal(t, "none", q.get("b"))
		require.Empty(t, q.line("b").letters)
	})
}

func TestQueuesWithOneMessageAreCheap(t *testing.T) {
	store, err := Open(t.Context(), backend.Env{}, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, store.Close(t.Context())) }()
	space, err := store.space("name")
	require.NoError(t, err)
	q := queueTester{t, space.queue}
	heap := func() int64 { // what other tests leave behind may go meanwhile, so it may shrink
		var stats runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return int64(stats.HeapAlloc)
	}
	before, goroutines := heap(), runtime.NumGoroutine()
	const queues = 1000
	for i := range queues {
		q.put(strconv.Itoa(i), "payload")
	}
	each := (heap() - before) / queues
	t.Logf("a queue with a message takes %d bytes", each)
	require.Less(t, each, int64(3<<10))
	for i := range queues {
		q.lease(strconv.Itoa(i), time.Hour)
	}
	each = (heap() - before) / queues
	t.Logf("a queue with a leased message takes %d bytes", each)
	require.Less(t, each, int64(3<<10))
	require.LessOrEqual(t, runtime.NumGoroutine(), goroutines, "there is no goroutine per queue or message")
	runtime.KeepAlive(store)
}

func TestReadyIsInOrderWhateverComesBack(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		r := newReady()
		var want []*item
		for place := range uint64(60) {
			added := &item{index: outside, place: place, priority: uint8(random.IntN(priorities))}
			r.join(added)
			want = append(want, added)
		}
		slices.SortFunc(want, func(a, b *item) int {
			return cmp.Or(cmp.Compare(b.priority, a.priority), cmp.Compare(a.place, b.place))
		})
		for range 100 {
			at := random.IntN(len(want))
			r.remove(want[at])
			r.rejoin(want[at])
		}
		for len(want) > 0 {
			require.Same(t, want[0], r.first())
			at := random.IntN(len(want))
			r.remove(want[at])
			want = slices.Delete(want, at, at+1)
		}
		require.Nil(t, r.first())
	}
}

// TestEverythingAtOnce lets all calls work on a few queues that are each other's dead letter queues. It looks for races and deadlocks, and at the end nothing may be
// lost: what was enqueued was taken once or is there once.
func TestEverythingAtOnce(t *testing.T) {
	store, err := Open(t.Context(), backend.Env{}, &backendsv1.MemStore{MaxQueueBytes: 1 << 20})
	require.NoError(t, err)
	space, err := store.space("name")
	require.NoError(t, err)
	q := queueTester{t, space.queue}
	names := []string{"a", "b", "c"}
	for i, name := range names {
		q.configure(name, names[(i+1)%len(names)], 1+uint32(i))
	}
	var enqueued, taken sync.Map
	var sum atomic.Int64
	var group sync.WaitGroup
	for client := range 8 {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(client), 6))
			for n := range 600 {
				if err := q.anything(random, names[random.IntN(len(names))], fmt.Sprint(client, " ", n), &enqueued, &taken, &sum); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	left := sum.Load()
	for end := time.Now().Add(10 * time.Second); left > 0; {
		require.False(t, time.Now().After(end), "%d messages are lost", left)
		for _, name := range names {
			response, err := q.Dequeue(t.Context(), &queuev1.DequeueRequest{Queue: name, WaitTime: durationpb.New(10 * time.Millisecond)})
			require.NoError(t, err)
			if response.GetFound() {
				_, twice := taken.LoadOrStore(response.GetMessage().GetMessageId(), true)
				require.False(t, twice, "a message came twice")
				left--
			}
		}
	}
	for id := range taken.Range {
		_, ok := enqueued.Load(id)
		require.True(t, ok)
	}
	for _, name := range names {
		require.Equal(t, "none", q.get(name))
		q.configure(name, "", 0)
	}
	require.Zero(t, q.quota.used.Load(), "max_queue_bytes counts nothing that is not there")
	require.NoError(t, store.Close(t.Context()))
}

// anything makes a random call. sum counts the messages that are there.
func (q queueTester) anything(random *rand.Rand, name, payload string, enqueued, taken *sync.Map, sum *atomic.Int64) error {
	ctx := q.t.Context()
	note := func(id string) {
		enqueued.Store(id, true)
		sum.Add(1)
	}
	gone := func(id string) error {
		if _, twice := taken.LoadOrStore(id, true); twice {
			return fmt.Errorf("%s was taken twice", id)
		}
		sum.Add(-1)
		return nil
	}
	switch random.IntN(10) {
	case 0, 1:
		response, err := q.EnqueueWithPriority(ctx, &queuev1.EnqueueWithPriorityRequest{Queue: name, Payload: []byte(payload), Priority: random.Uint32N(10)})
		if err == nil {
			note(response.GetMessageId())
		}
		return err
	case 2:
		response, err := q.EnqueueDelayed(ctx, &queuev1.EnqueueDelayedRequest{Queue: name, Payload: []byte(payload), Delay: durationpb.New(time.Millisecond)})
		if err != nil {
			return err
		}
		note(response.GetMessageId())
		if random.IntN(2) == 0 {
			cancelled, err := q.CancelScheduled(ctx, &queuev1.CancelScheduledRequest{Queue: name, MessageId: response.GetMessageId()})
			if err == nil && cancelled.GetCancelled() {
				return gone(response.GetMessageId())
			}
			return err
		}
		return nil
	case 3:
		response, err := q.Dequeue(ctx, &queuev1.DequeueRequest{Queue: name, WaitTime: durationpb.New(time.Duration(random.IntN(2)) * time.Millisecond)})
		if err == nil && response.GetFound() {
			return gone(response.GetMessage().GetMessageId())
		}
		return err
	case 4:
		_, err := q.Redrive(ctx, &queuev1.RedriveRequest{DeadLetterQueue: name, MaxMessages: 1 + random.Uint32N(10)})
		return err
	case 5:
		_, err := q.GetDeadLetterQueue(ctx, &queuev1.GetDeadLetterQueueRequest{Queue: name})
		return err
	}
	leased, err := q.DequeueWithTimeout(ctx, &queuev1.DequeueWithTimeoutRequest{Queue: name, VisibilityTimeout: durationpb.New(time.Duration(1+random.IntN(5)) * time.Millisecond)})
	if err != nil || !leased.GetFound() {
		return err
	}
	switch random.IntN(3) {
	case 0:
		_, err = q.Acknowledge(ctx, &queuev1.AcknowledgeRequest{Queue: name, Receipt: leased.GetReceipt()})
		if err == nil {
			return gone(leased.GetMessage().GetMessageId())
		}
	case 1:
		_, err = q.Release(ctx, &queuev1.ReleaseRequest{
			Queue: name, Receipt: leased.GetReceipt(), Delay: durationpb.New(time.Duration(random.IntN(3)) * time.Millisecond), Reason: strings.Repeat("r", random.IntN(10)),
		})
	}
	if fault.CodeOf(err) == fault.FailedPrecondition {
		return nil // its time was over
	}
	return err
}

func TestTwoQueuesAreLockedWithoutDeadlock(t *testing.T) {
	store, err := Open(t.Context(), backend.Env{}, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, store.Close(t.Context())) }()
	space, err := store.space("name")
	require.NoError(t, err)
	q := queueTester{t, space.queue}
	names := []string{"a", "b"}
	q.configure("a", "b", 1)
	q.configure("b", "a", 1)
	for i := range 100 {
		q.put(names[i%2], "payload")
	}
	var group sync.WaitGroup
	for client := range 4 {
		group.Go(func() {
			name := names[client%2]
			for range 300 {
				leased, err := q.DequeueWithTimeout(t.Context(), &queuev1.DequeueWithTimeoutRequest{Queue: name})
				if err == nil && leased.GetFound() {
					_, err = q.Release(t.Context(), &queuev1.ReleaseRequest{Queue: name, Receipt: leased.GetReceipt()})
				}
				if err == nil {
					_, err = q.Redrive(t.Context(), &queuev1.RedriveRequest{DeadLetterQueue: name, MaxMessages: 5})
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	left := 0
	for _, name := range names {
		for q.get(name) != "none" {
			left++
		}
	}
	require.Equal(t, 100, left)
}
