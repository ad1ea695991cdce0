package queuetest_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/runtime/fault"

	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

// delayedWith is an implementation with some calls replaced; one that is nil is the real one.
type delayedWith struct {
	queuev1.Delayed
	enqueue func(ctx context.Context, request *queuev1.EnqueueDelayedRequest) (*queuev1.EnqueueDelayedResponse, error)
	count   func(ctx context.Context, request *queuev1.GetScheduledCountRequest) (*queuev1.GetScheduledCountResponse, error)
	cancel  func(ctx context.Context, request *queuev1.CancelScheduledRequest) (*queuev1.CancelScheduledResponse, error)
}

func (d delayedWith) EnqueueDelayed(ctx context.Context, request *queuev1.EnqueueDelayedRequest) (*queuev1.EnqueueDelayedResponse, error) {
	if d.enqueue != nil {
		return d.enqueue(ctx, request)
	}
	return d.Delayed.EnqueueDelayed(ctx, request)
}

func (d delayedWith) GetScheduledCount(ctx context.Context, request *queuev1.GetScheduledCountRequest) (*queuev1.GetScheduledCountResponse, error) {
	if d.count != nil {
		return d.count(ctx, request)
	}
	return d.Delayed.GetScheduledCount(ctx, request)
}

func (d delayedWith) CancelScheduled(ctx context.Context, request *queuev1.CancelScheduledRequest) (*queuev1.CancelScheduledResponse, error) {
	if d.cancel != nil {
		return d.cancel(ctx, request)
	}
	return d.Delayed.CancelScheduled(ctx, request)
}

// withDelay changes every delay that the request is right about.
func withDelay(right queuev1.Delayed, change func(time.Duration) time.Duration) queuev1.Delayed {
	return withEnqueueDelayed(right, func(request *queuev1.EnqueueDelayedRequest) {
		if delay := request.GetDelay().AsDuration(); delay >= time.Millisecond && delay <= 365*24*time.Hour {
			request.Delay = durationpb.New(change(delay))
		}
	})
}

// withEnqueueDelayed changes every EnqueueDelayed on its way in.
func withEnqueueDelayed(right queuev1.Delayed, change func(request *queuev1.EnqueueDelayedRequest)) delayedWith {
	return delayedWith{Delayed: right, enqueue: func(ctx context.Context, request *queuev1.EnqueueDelayedRequest) (*queuev1.EnqueueDelayedResponse, error) {
		request = proto.CloneOf(request)
		change(request)
		return right.EnqueueDelayed(ctx, request)
	}}
}

func delayedMutants() []mutant {
	of := func(name string, mutate func(i *prism.Interfaces, right queuev1.Delayed) queuev1.Delayed) mutant {
		return mutant{Name: name, Mutate: func(i *prism.Interfaces) { i.QueueDelayed = mutate(i, i.QueueDelayed) }}
	}
	return []mutant{
		of("VisibleAtOnce", func(_ *prism.Interfaces, right queuev1.Delayed) queuev1.Delayed {
			return withDelay(right, func(time.Duration) time.Duration { return time.Millisecond })
		}),
		of("VisibleEarly", func(_ *prism.Interfaces, right queuev1.Delayed) queuev1.Delayed {
			return withDelay(right, func(delay time.Duration) time.Duration { return max(delay/2, time.Millisecond) })
		}),
		of("NeverVisible", func(_ *prism.Interfaces, right queuev1.Delayed) queuev1.Delayed {
			return withDelay(right, func(delay time.Duration) time.Duration { return max(delay, 24*time.Hour) })
		}),
		of("DelaysAreRoundedUp", func(_ *prism.Interfaces, right queuev1.Delayed) queuev1.Delayed {
			return withDelay(right, func(delay time.Duration) time.Duration {
				return (delay + 249*time.Millisecond).Truncate(250 * time.Millisecond)
			})
		}),
		of("LongDelayIsCut", func(_ *prism.Interfaces, right queuev1.Delayed) queuev1.Delayed {
			return withEnqueueDelayed(right, func(request *queuev1.EnqueueDelayedRequest) {
				if request.GetDelay().AsDuration() > 365*24*time.Hour {
					request.Delay = durationpb.New(365 * 24 * time.Hour)
				}
			})
		}),
		of("DelayMayBeMissing", func(_ *prism.Interfaces, right queuev1.Delayed) queuev1.Delayed {
			return withEnqueueDelayed(right, func(request *queuev1.EnqueueDelayedRequest) {
				if request.GetDelay() == nil {
					request.Delay = durationpb.New(time.Hour)
				}
			})
		}),
		of("MetadataIsLost", func(_ *prism.Interfaces, right queuev1.Delayed) queuev1.Delayed {
			return withEnqueueDelayed(right, func(request *queuev1.EnqueueDelayedRequest) {
				if len(request.GetMetadata()) == 1 {
					request.Metadata = nil
				}
			})
		}),
		of("KeyIsIgnored", func(_ *prism.Interfaces, right queuev1.Delayed) queuev1.Delayed {
			return withEnqueueDelayed(right, func(request *queuev1.EnqueueDelayedRequest) {
				if len(request.GetIdempotencyKey()) < 100 {
					request.IdempotencyKey = ""
				}
			})
		}),
		of("RepeatedCallHasADueTimeOfItsOwn", func(_ *prism.Interfaces, right queuev1.Delayed) queuev1.Delayed {
			return delayedWith{Delayed: right, enqueue: func(ctx context.Context, request *queuev1.EnqueueDelayedRequest) (*queuev1.EnqueueDelayedResponse, error) {
				response, err := right.EnqueueDelayed(ctx, request)
				if response.GetDuplicate() {
					response = proto.CloneOf(response)
					response.DueTime = timestamppb.New(time.Now().Add(request.GetDelay().AsDuration()))
				}
				return response, err
			}}
		}),
		of("RepeatedCallHasNoDueTime", func(_ *prism.Interfaces, right queuev1.Delayed) queuev1.Delayed {
			return delayedWith{Delayed: right, enqueue: func(ctx context.Context, request *queuev1.EnqueueDelayedRequest) (*queuev1.EnqueueDelayedResponse, error) {
				response, err := right.EnqueueDelayed(ctx, request)
				if response.GetDuplicate() {
					response = &queuev1.EnqueueDelayedResponse{MessageId: response.GetMessageId(), Duplicate: true}
				}
				return response, err
			}}
		}),
		of("KeyIsForgottenByCancelScheduled", func(_ *prism.Interfaces, right queuev1.Delayed) queuev1.Delayed {
			var cancelled atomic.Int64
			with := withEnqueueDelayed(right, func(request *queuev1.EnqueueDelayedRequest) {
				if key := request.GetIdempotencyKey(); key != "" && len(key) < 1000 && cancelled.Load() > 0 {
					request.IdempotencyKey = fmt.Sprint(key, " ", cancelled.Load())
				}
			})
			with.cancel = func(ctx context.Context, request *queuev1.CancelScheduledRequest) (*queuev1.CancelScheduledResponse, error) {
				response, err := right.CancelScheduled(ctx, request)
				if response.GetCancelled() {
					cancelled.Add(1)
				}
				return response, err
			}
			return with
		}),
		of("ScheduledMessageHasAPriority", func(i *prism.Interfaces, right queuev1.Delayed) queuev1.Delayed {
			priority := i.QueuePriority
			return delayedWith{Delayed: right, enqueue: func(ctx context.Context, request *queuev1.EnqueueDelayedRequest) (*queuev1.EnqueueDelayedResponse, error) {
				if request.GetDelay().AsDuration() != time.Millisecond {
					return right.EnqueueDelayed(ctx, request)
				}
				response, err := priority.EnqueueWithPriority(ctx, &queuev1.EnqueueWithPriorityRequest{
					Queue: request.GetQueue(), Payload: request.GetPayload(), IdempotencyKey: request.GetIdempotencyKey(), Priority: 9,
				})
				return &queuev1.EnqueueDelayedResponse{MessageId: response.GetMessageId(), Duplicate: response.GetDuplicate()}, err
			}}
		}),
		of("CountCountsVisibleMessages", func(i *prism.Interfaces, right queuev1.Delayed) queuev1.Delayed {
			basic := i.QueueBasic
			return delayedWith{Delayed: right, count: func(ctx context.Context, request *queuev1.GetScheduledCountRequest) (*queuev1.GetScheduledCountResponse, error) {
				response, err := right.GetScheduledCount(ctx, request)
				if err != nil {
					return nil, err
				}
				shown, err := basic.Peek(ctx, &queuev1.PeekRequest{Queue: request.GetQueue()})
				if shown.GetFound() {
					return &queuev1.GetScheduledCountResponse{Count: response.GetCount() + 1}, nil
				}
				return response, err
			}}
		}),
		of("CountIsAtMostOne", func(_ *prism.Interfaces, right queuev1.Delayed) queuev1.Delayed {
			return delayedWith{Delayed: right, count: func(ctx context.Context, request *queuev1.GetScheduledCountRequest) (*queuev1.GetScheduledCountResponse, error) {
				response, err := right.GetScheduledCount(ctx, request)
				return &queuev1.GetScheduledCountResponse{Count: min(response.GetCount(), 1)}, err
			}}
		}),
		of("CancelScheduledAlwaysSaysCancelled", func(_ *prism.Interfaces, right queuev1.Delayed) queuev1.Delayed {
			return delayedWith{Delayed: right, cancel: func(ctx context.Context, request *queuev1.CancelScheduledRequest) (*queuev1.CancelScheduledResponse, error) {
				_, err := right.CancelScheduled(ctx, request)
				return &queuev1.CancelScheduledResponse{Cancelled: true}, err
			}}
		}),
		of("CancelScheduledCancelsNothing", func(_ *prism.Interfaces, right queuev1.Delayed) queuev1.Delayed {
			return delayedWith{Delayed: right, cancel: func(ctx context.Context, request *queuev1.CancelScheduledRequest) (*queuev1.CancelScheduledResponse, error) {
				if len(request.GetMessageId()) == 0 || len(request.GetMessageId()) > 256 || ctx.Err() != nil {
					return right.CancelScheduled(ctx, request)
				}
				count, err := right.GetScheduledCount(ctx, &queuev1.GetScheduledCountRequest{Queue: request.GetQueue()})
				return &queuev1.CancelScheduledResponse{Cancelled: count.GetCount() > 0}, err
			}}
		}),
		of("CancelScheduledOfAMissingMessageIsAnError", func(_ *prism.Interfaces, right queuev1.Delayed) queuev1.Delayed {
			return delayedWith{Delayed: right, cancel: func(ctx context.Context, request *queuev1.CancelScheduledRequest) (*queuev1.CancelScheduledResponse, error) {
				response, err := right.CancelScheduled(ctx, request)
				if err == nil && !response.GetCancelled() {
					return nil, fault.New(fault.NotFound, "no such message")
				}
				return response, err
			}}
		}),
		of("CancelScheduledRemovesVisibleMessages", func(i *prism.Interfaces, right queuev1.Delayed) queuev1.Delayed {
			basic := i.QueueBasic
			return delayedWith{Delayed: right, cancel: func(ctx context.Context, request *queuev1.CancelScheduledRequest) (*queuev1.CancelScheduledResponse, error) {
				response, err := right.CancelScheduled(ctx, request)
				if err != nil || response.GetCancelled() {
					return response, err
				}
				if shown, err := basic.Peek(ctx, &queuev1.PeekRequest{Queue: request.GetQueue()}); err != nil || shown.GetMessage().GetMessageId() != request.GetMessageId() {
					return response, err
				}
				_, err = basic.Dequeue(ctx, &queuev1.DequeueRequest{Queue: request.GetQueue()})
				return &queuev1.CancelScheduledResponse{Cancelled: true}, err
			}}
		}),
	}
}
