package memstore_test

import (
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/gen/go/prism"

	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

// benchmarkedQueue returns a namespace with a queue of so many messages of 100 bytes.
func benchmarkedQueue(b *testing.B, depth int) *prism.Interfaces {
	b.Helper()
	interfaces := namespace(b, open(b, nil), "name")
	for range depth {
		_, _ = interfaces.QueueBasic.Enqueue(b.Context(), &queuev1.EnqueueRequest{Queue: "0", Payload: make([]byte, 100)})
	}
	return interfaces
}

// BenchmarkEnqueueDequeue adds a message and takes the first one.
func BenchmarkEnqueueDequeue(b *testing.B) {
	for _, depth := range []int{0, 1000, 1_000_000} {
		b.Run(strconv.Itoa(depth), func(b *testing.B) {
			basic, ctx := benchmarkedQueue(b, depth).QueueBasic, b.Context()
			enqueuing, dequeuing := &queuev1.EnqueueRequest{Queue: "0", Payload: make([]byte, 100)}, &queuev1.DequeueRequest{Queue: "0"}
			b.ReportAllocs()
			for b.Loop() {
				_, _ = basic.Enqueue(ctx, enqueuing)
				_, _ = basic.Dequeue(ctx, dequeuing)
			}
		})
	}
}

// BenchmarkEnqueueLeaseAcknowledge adds a message, leases the first one and acknowledges it.
func BenchmarkEnqueueLeaseAcknowledge(b *testing.B) {
	interfaces, ctx := benchmarkedQueue(b, 0), b.Context()
	enqueuing := &queuev1.EnqueueRequest{Queue: "0", Payload: make([]byte, 100)}
	leasing := &queuev1.DequeueWithTimeoutRequest{Queue: "0", VisibilityTimeout: durationpb.New(time.Minute)}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = interfaces.QueueBasic.Enqueue(ctx, enqueuing)
		leased, _ := interfaces.QueueVisibility.DequeueWithTimeout(ctx, leasing)
		_, _ = interfaces.QueueVisibility.Acknowledge(ctx, &queuev1.AcknowledgeRequest{Queue: "0", Receipt: leased.GetReceipt()})
	}
}

func BenchmarkEnqueueDequeueParallel(b *testing.B) {
	basic, ctx := benchmarkedQueue(b, 0).QueueBasic, b.Context()
	b.ReportAllocs()
	var clients atomic.Int64
	b.RunParallel(func(loop *testing.PB) {
		queue := strconv.FormatInt(clients.Add(1), 10)
		enqueuing, dequeuing := &queuev1.EnqueueRequest{Queue: queue, Payload: make([]byte, 100)}, &queuev1.DequeueRequest{Queue: queue}
		for loop.Next() {
			_, _ = basic.Enqueue(ctx, enqueuing)
			_, _ = basic.Dequeue(ctx, dequeuing)
		}
	})
}

// BenchmarkEnqueueDequeueParallelOneQueue is the worst case of the locks: everybody wants the same queue.
func BenchmarkEnqueueDequeueParallelOneQueue(b *testing.B) {
	basic, ctx := benchmarkedQueue(b, 0).QueueBasic, b.Context()
	enqueuing, dequeuing := &queuev1.EnqueueRequest{Queue: "0", Payload: make([]byte, 100)}, &queuev1.DequeueRequest{Queue: "0"}
	b.ReportAllocs()
	b.RunParallel(func(loop *testing.PB) {
		for loop.Next() {
			_, _ = basic.Enqueue(ctx, enqueuing)
			_, _ = basic.Dequeue(ctx, dequeuing)
		}
	})
}

// BenchmarkWakeUp passes a message to a call that waits, and back.
func BenchmarkWakeUp(b *testing.B) {
	basic, ctx := benchmarkedQueue(b, 0).QueueBasic, b.Context()
	there, back := &queuev1.EnqueueRequest{Queue: "there"}, &queuev1.EnqueueRequest{Queue: "back"}
	go func() {
		for range b.N {
			_, _ = basic.Dequeue(ctx, &queuev1.DequeueRequest{Queue: "there", WaitTime: durationpb.New(30 * time.Second)})
			_, _ = basic.Enqueue(ctx, back)
		}
	}()
	b.ReportAllocs()
	for range b.N {
		_, _ = basic.Enqueue(ctx, there)
		_, _ = basic.Dequeue(ctx, &queuev1.DequeueRequest{Queue: "back", WaitTime: durationpb.New(30 * time.Second)})
	}
}
