package queuetest_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/runtime/fault"

	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

// visibilityWith is an implementation with some calls replaced; one that is nil is the real one.
type visibilityWith struct {
	queuev1.Visibility
	dequeue     func(ctx context.Context, request *queuev1.DequeueWithTimeoutRequest) (*queuev1.DequeueWithTimeoutResponse, error)
	extend      func(ctx context.Context, request *queuev1.ExtendVisibilityRequest) (*queuev1.ExtendVisibilityResponse, error)
	release     func(ctx context.Context, request *queuev1.ReleaseRequest) (*queuev1.ReleaseResponse, error)
	acknowledge func(ctx context.Context, request *queuev1.AcknowledgeRequest) (*queuev1.AcknowledgeResponse, error)
}

func (v visibilityWith) DequeueWithTimeout(ctx context.Context, request *queuev1.DequeueWithTimeoutRequest) (*queuev1.DequeueWithTimeoutResponse, error) {
	if v.dequeue != nil {
		return v.dequeue(ctx, request)
	}
	return v.Visibility.DequeueWithTimeout(ctx, request)
}

func (v visibilityWith) ExtendVisibility(ctx context.Context, request *queuev1.ExtendVisibilityRequest) (*queuev1.ExtendVisibilityResponse, error) {
	if v.extend != nil {
		return v.extend(ctx, request)
	}
	return v.Visibility.ExtendVisibility(ctx, request)
}

func (v visibilityWith) Release(ctx context.Context, request *queuev1.ReleaseRequest) (*queuev1.ReleaseResponse, error) {
	if v.release != nil {
		return v.release(ctx, request)
	}
	return v.Visibility.Release(ctx, request)
}

func (v visibilityWith) Acknowledge(ctx context.Context, request *queuev1.AcknowledgeRequest) (*queuev1.AcknowledgeResponse, error) {
	if v.acknowledge != nil {
		return v.acknowledge(ctx, request)
	}
	return v.Visibility.Acknowledge(ctx, request)
}

// withLease changes how long every lease lasts that the request is right about.
func withLease(right queuev1.Visibility, change func(time.Duration) time.Duration) queuev1.Visibility {
	return visibilityWith{Visibility: right, dequeue: func(ctx context.Context, request *queuev1.DequeueWithTimeoutRequest) (*queuev1.DequeueWithTimeoutResponse, error) {
		request = proto.CloneOf(request)
		if lasting := request.GetVisibilityTimeout(); lasting != nil && lasting.AsDuration() >= 100*time.Millisecond && lasting.AsDuration() <= 12*time.Hour {
			request.VisibilityTimeout = durationpb.New(change(lasting.AsDuration()))
		}
		return right.DequeueWithTimeout(ctx, request)
	}}
}

// withReceipts changes queue and receipt of every call that takes one.
func withReceipts(right queuev1.Visibility, change func(queue, receipt string) (string, string)) visibilityWith {
	return visibilityWith{
		Visibility: right,
		extend: func(ctx context.Context, request *queuev1.ExtendVisibilityRequest) (*queuev1.ExtendVisibilityResponse, error) {
			request = proto.CloneOf(request)
			request.Queue, request.Receipt = change(request.GetQueue(), request.GetReceipt())
			return right.ExtendVisibility(ctx, request)
		},
		release: func(ctx context.Context, request *queuev1.ReleaseRequest) (*queuev1.ReleaseResponse, error) {
			request = proto.CloneOf(request)
			request.Queue, request.Receipt = change(request.GetQueue(), request.GetReceipt())
			return right.Release(ctx, request)
		},
		acknowledge: func(ctx context.Context, request *queuev1.AcknowledgeRequest) (*queuev1.AcknowledgeResponse, error) {
			request = proto.CloneOf(request)
			request.Queue, request.Receipt = change(request.GetQueue(), request.GetReceipt())
			return right.Acknowledge(ctx, request)
		},
	}
}

func visibilityMutants() []mutant {
	of := func(name string, mutate func(i *prism.Interfaces, right queuev1.Visibility) queuev1.Visibility) mutant {
		return mutant{Name: name, Mutate: func(i *prism.Interfaces) { i.QueueVisibility = mutate(i, i.QueueVisibility) }}
	}
	return []mutant{
		of("EmptyQueueIsAnError", func(_ *prism.Interfaces, right queuev1.Visibility) queuev1.Visibility {
			return visibilityWith{Visibility: right, dequeue: func(ctx context.Context, request *queuev1.DequeueWithTimeoutRequest) (*queuev1.DequeueWithTimeoutResponse, error) {
				response, err := right.DequeueWithTimeout(ctx, request)
				if err == nil && !response.GetFound() {
					return nil, fault.New(fault.NotFound, "the queue is empty")
				}
				return response, err
			}}
		}),
		of("LeasedMessageIsVisible", func(_ *prism.Interfaces, right queuev1.Visibility) queuev1.Visibility {
			return visibilityWith{Visibility: right, dequeue: func(ctx context.Context, request *queuev1.DequeueWithTimeoutRequest) (*queuev1.DequeueWithTimeoutResponse, error) {
				response, err := right.DequeueWithTimeout(ctx, request)
				if response.GetFound() {
					_, err = right.Release(ctx, &queuev1.ReleaseRequest{Queue: request.GetQueue(), Receipt: response.GetReceipt()})
				}
				return response, err
			}}
		}),
		of("LeaseNeverEnds", func(_ *prism.Interfaces, right queuev1.Visibility) queuev1.Visibility {
			return withLease(right, func(time.Duration) time.Duration { return 12 * time.Hour })
		}),
		of("LeaseEndsEarly", func(_ *prism.Interfaces, right queuev1.Visibility) queuev1.Visibility {
			return withLease(right, func(lasting time.Duration) time.Duration { return max(lasting*2/3, 100*time.Millisecond) })
		}),
		of("DefaultLeaseIsAnHour", func(_ *prism.Interfaces, right queuev1.Visibility) queuev1.Visibility {
			return visibilityWith{Visibility: right, dequeue: func(ctx context.Context, request *queuev1.DequeueWithTimeoutRequest) (*queuev1.DequeueWithTimeoutResponse, error) {
				request = proto.CloneOf(request)
				if request.GetVisibilityTimeout() == nil {
					request.VisibilityTimeout = durationpb.New(time.Hour)
				}
				return right.DequeueWithTimeout(ctx, request)
			}}
		}),
		of("LeaseBeginsWithTheCall", func(_ *prism.Interfaces, right queuev1.Visibility) queuev1.Visibility {
			return visibilityWith{Visibility: right, dequeue: func(ctx context.Context, request *queuev1.DequeueWithTimeoutRequest) (*queuev1.DequeueWithTimeoutResponse, error) {
				begin := time.Now()
				response, err := right.DequeueWithTimeout(ctx, request)
				if response.GetFound() && request.GetVisibilityTimeout() != nil {
					left := max(request.GetVisibilityTimeout().AsDuration()-time.Since(begin), 100*time.Millisecond)
					_, err = right.ExtendVisibility(ctx, &queuev1.ExtendVisibilityRequest{Queue: request.GetQueue(), Receipt: response.GetReceipt(), VisibilityTimeout: durationpb.New(left)})
				}
				return response, err
			}}
		}),
		of("DequeueWithTimeoutDoesNotWait", func(_ *prism.Interfaces, right queuev1.Visibility) queuev1.Visibility {
			return visibilityWith{Visibility: right, dequeue: func(ctx context.Context, request *queuev1.DequeueWithTimeoutRequest) (*queuev1.DequeueWithTimeoutResponse, error) {
				if wait := request.GetWaitTime().AsDuration(); wait > 0 && wait <= 30*time.Second {
					request = proto.CloneOf(request)
					request.WaitTime = nil
				}
				return right.DequeueWithTimeout(ctx, request)
			}}
		}),
		of("CancelledCallLeasesAMessage", func(_ *prism.Interfaces, right queuev1.Visibility) queuev1.Visibility {
			return visibilityWith{Visibility: right, dequeue: func(ctx context.Context, request *queuev1.DequeueWithTimeoutRequest) (*queuev1.DequeueWithTimeoutResponse, error) {
				if err := ctx.Err(); err != nil {
					return nil, err
				}
				type answer struct {
					response *queuev1.DequeueWithTimeoutResponse
					err      error
				}
				answers := make(chan answer, 1)
				go func() {
					response, err := right.DequeueWithTimeout(context.WithoutCancel(ctx), request)
					answers <- answer{response, err}
				}()
				select {
				case got := <-answers:
					return got.response, got.err
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}}
		}),
		of("MessageIsLeasedTwice", func(_ *prism.Interfaces, right queuev1.Visibility) queuev1.Visibility {
			var last atomic.Pointer[queuev1.DequeueWithTimeoutResponse]
			var calls atomic.Int64
			return visibilityWith{Visibility: right, dequeue: func(ctx context.Context, request *queuev1.DequeueWithTimeoutRequest) (*queuev1.DequeueWithTimeoutResponse, error) {
				response, err := right.DequeueWithTimeout(ctx, request)
				if !response.GetFound() {
					return response, err
				}
				before := last.Swap(response)
				if calls.Add(1)%7 == 0 && before != nil {
					return before, nil
				}
				return response, err
			}}
		}),
		of("ReceiveCountIsOne", func(_ *prism.Interfaces, right queuev1.Visibility) queuev1.Visibility {
			return visibilityWith{Visibility: right, dequeue: func(ctx context.Context, request *queuev1.DequeueWithTimeoutRequest) (*queuev1.DequeueWithTimeoutResponse, error) {
				response, err := right.DequeueWithTimeout(ctx, request)
				if response.GetFound() {
					response = proto.CloneOf(response)
					response.Message.ReceiveCount = 1
				}
				return response, err
			}}
		}),
		of("LeaseEndTimeIsMissing", func(_ *prism.Interfaces, right queuev1.Visibility) queuev1.Visibility {
			return visibilityWith{Visibility: right, dequeue: func(ctx context.Context, request *queuev1.DequeueWithTimeoutRequest) (*queuev1.DequeueWithTimeoutResponse, error) {
				response, err := right.DequeueWithTimeout(ctx, request)
				if response.GetFound() {
					response = proto.CloneOf(response)
					response.LeaseEndTime = nil
				}
				return response, err
			}}
		}),
		of("AcknowledgeReleases", func(_ *prism.Interfaces, right queuev1.Visibility) queuev1.Visibility {
			return visibilityWith{Visibility: right, acknowledge: func(ctx context.Context, request *queuev1.AcknowledgeRequest) (*queuev1.AcknowledgeResponse, error) {
				_, err := right.Release(ctx, &queuev1.ReleaseRequest{Queue: request.GetQueue(), Receipt: request.GetReceipt()})
				return &queuev1.AcknowledgeResponse{}, err
			}}
		}),
		of("AcknowledgeDoesNotEndTheLease", func(_ *prism.Interfaces, right queuev1.Visibility) queuev1.Visibility {
			return visibilityWith{Visibility: right, acknowledge: func(ctx context.Context, request *queuev1.AcknowledgeRequest) (*queuev1.AcknowledgeResponse, error) {
				_, err := right.ExtendVisibility(ctx, &queuev1.ExtendVisibilityRequest{Queue: request.GetQueue(), Receipt: request.GetReceipt(), VisibilityTimeout: durationpb.New(time.Hour)})
				return &queuev1.AcknowledgeResponse{}, err
			}}
		}),
		of("ReleaseRemoves", func(_ *prism.Interfaces, right queuev1.Visibility) queuev1.Visibility {
			return visibilityWith{Visibility: right, release: func(ctx context.Context, request *queuev1.ReleaseRequest) (*queuev1.ReleaseResponse, error) {
				_, err := right.Acknowledge(ctx, &queuev1.AcknowledgeRequest{Queue: request.GetQueue(), Receipt: request.GetReceipt()})
				return &queuev1.ReleaseResponse{}, err
			}}
		}),
		of("ReleasedMessageIsTheLast", func(i *prism.Interfaces, right queuev1.Visibility) queuev1.Visibility {
			var payloads sync.Map // by receipt
			basic := i.QueueBasic
			return visibilityWith{
				Visibility: right,
				dequeue: func(ctx context.Context, request *queuev1.DequeueWithTimeoutRequest) (*queuev1.DequeueWithTimeoutResponse, error) {
					response, err := right.DequeueWithTimeout(ctx, request)
					payloads.Store(response.GetReceipt(), response.GetMessage().GetPayload())
					return response, err
				},
				release: func(ctx context.Context, request *queuev1.ReleaseRequest) (*queuev1.ReleaseResponse, error) {
					payload, ok := payloads.Load(request.GetReceipt())
					if !ok || request.GetDelay() != nil {
						return right.Release(ctx, request)
					}
					if _, err := right.Acknowledge(ctx, &queuev1.AcknowledgeRequest{Queue: request.GetQueue(), Receipt: request.GetReceipt()}); err != nil {
						return nil, err
					}
					_, err := basic.Enqueue(ctx, &queuev1.EnqueueRequest{Queue: request.GetQueue(), Payload: payload.([]byte)})
					return &queuev1.ReleaseResponse{}, err
				},
			}
		}),
		of("ReleaseIgnoresTheDelay", func(_ *prism.Interfaces, right queuev1.Visibility) queuev1.Visibility {
			return visibilityWith{Visibility: right, release: func(ctx context.Context, request *queuev1.ReleaseRequest) (*queuev1.ReleaseResponse, error) {
				if delay := request.GetDelay(); delay != nil && delay.AsDuration() >= 0 && delay.AsDuration() <= 12*time.Hour {
					request = proto.CloneOf(request)
					request.Delay = nil
				}
				return right.Release(ctx, request)
			}}
		}),
		of("HeldBackMessageNeverComesBack", func(_ *prism.Interfaces, right queuev1.Visibility) queuev1.Visibility {
			return visibilityWith{Visibility: right, release: func(ctx context.Context, request *queuev1.ReleaseRequest) (*queuev1.ReleaseResponse, error) {
				if delay := request.GetDelay(); delay.AsDuration() > 0 && delay.AsDuration() <= 12*time.Hour {
					request = proto.CloneOf(request)
					request.Delay = durationpb.New(12 * time.Hour)
				}
				return right.Release(ctx, request)
			}}
		}),
		of("HeldBackMessageIsScheduled", func(i *prism.Interfaces, right queuev1.Visibility) queuev1.Visibility {
			var held atomic.Uint64
			delayed := i.QueueDelayed
			i.QueueDelayed = delayedWith{Delayed: delayed, count: func(ctx context.Context, request *queuev1.GetScheduledCountRequest) (*queuev1.GetScheduledCountResponse, error) {
				response, err := delayed.GetScheduledCount(ctx, request)
				return &queuev1.GetScheduledCountResponse{Count: response.GetCount() + held.Load()}, err
			}}
			return visibilityWith{Visibility: right, release: func(ctx context.Context, request *queuev1.ReleaseRequest) (*queuev1.ReleaseResponse, error) {
				if request.GetDelay().AsDuration() > 0 {
					held.Add(1)
				}
				return right.Release(ctx, request)
			}}
		}),
		of("RepeatedAcknowledgeIsNoError", func(_ *prism.Interfaces, right queuev1.Visibility) queuev1.Visibility {
			return visibilityWith{Visibility: right, acknowledge: func(ctx context.Context, request *queuev1.AcknowledgeRequest) (*queuev1.AcknowledgeResponse, error) {
				response, err := right.Acknowledge(ctx, request)
				if fault.CodeOf(err) == fault.FailedPrecondition {
					return &queuev1.AcknowledgeResponse{}, nil
				}
				return response, err
			}}
		}),
		of("StaleReceiptIsInvalid", func(_ *prism.Interfaces, right queuev1.Visibility) queuev1.Visibility {
			return visibilityWith{Visibility: right, release: func(ctx context.Context, request *queuev1.ReleaseRequest) (*queuev1.ReleaseResponse, error) {
				response, err := right.Release(ctx, request)
				if fault.CodeOf(err) == fault.FailedPrecondition {
					return nil, fault.Invalid("receipt", "is stale")
				}
				return response, err
			}}
		}),
		of("ReceiptIsTheMessages", func(_ *prism.Interfaces, right queuev1.Visibility) queuev1.Visibility {
			var receipts sync.Map // by message
			with := withReceipts(right, func(queue, receipt string) (string, string) {
				if current, ok := receipts.Load(receipt); ok {
					return queue, current.(string)
				}
				return queue, receipt
			})
			with.dequeue = func(ctx context.Context, request *queuev1.DequeueWithTimeoutRequest) (*queuev1.DequeueWithTimeoutResponse, error) {
				response, err := right.DequeueWithTimeout(ctx, request)
				if response.GetFound() {
					receipts.Store(response.GetMessage().GetMessageId(), response.GetReceipt())
					response = proto.CloneOf(response)
					response.Receipt = response.GetMessage().GetMessageId()
				}
				return response, err
			}
			return with
		}),
		of("ReceiptIsGoodInEveryQueue", func(_ *prism.Interfaces, right queuev1.Visibility) queuev1.Visibility {
			var queues sync.Map // by receipt
			with := withReceipts(right, func(queue, receipt string) (string, string) {
				if own, ok := queues.Load(receipt); ok {
					return own.(string), receipt
				}
				return queue, receipt
			})
			with.dequeue = func(ctx context.Context, request *queuev1.DequeueWithTimeoutRequest) (*queuev1.DequeueWithTimeoutResponse, error) {
				response, err := right.DequeueWithTimeout(ctx, request)
				queues.Store(response.GetReceipt(), request.GetQueue())
				return response, err
			}
			return with
		}),
		of("ReceiptIsTrimmed", func(_ *prism.Interfaces, right queuev1.Visibility) queuev1.Visibility {
			return withReceipts(right, func(queue, receipt string) (string, string) {
				if trimmed := strings.TrimSpace(receipt); trimmed != "" {
					return queue, trimmed
				}
				return queue, receipt
			})
		}),
		of("ExtendVisibilityDoesNothing", func(_ *prism.Interfaces, right queuev1.Visibility) queuev1.Visibility {
			return visibilityWith{Visibility: right, extend: func(ctx context.Context, request *queuev1.ExtendVisibilityRequest) (*queuev1.ExtendVisibilityResponse, error) {
				if request.GetVisibilityTimeout().AsDuration() < time.Hour {
					return right.ExtendVisibility(ctx, request)
				}
				return &queuev1.ExtendVisibilityResponse{LeaseEndTime: timestamppb.New(time.Now().Add(request.GetVisibilityTimeout().AsDuration()))}, nil
			}}
		}),
		of("ExtendVisibilityDoesNotShorten", func(_ *prism.Interfaces, right queuev1.Visibility) queuev1.Visibility {
			return visibilityWith{Visibility: right, extend: func(ctx context.Context, request *queuev1.ExtendVisibilityRequest) (*queuev1.ExtendVisibilityResponse, error) {
				if lasting := request.GetVisibilityTimeout().AsDuration(); lasting >= 100*time.Millisecond && lasting < time.Second {
					request = proto.CloneOf(request)
					request.VisibilityTimeout = durationpb.New(time.Hour)
				}
				return right.ExtendVisibility(ctx, request)
			}}
		}),
		of("LongLeaseIsCut", func(_ *prism.Interfaces, right queuev1.Visibility) queuev1.Visibility {
			return visibilityWith{Visibility: right, extend: func(ctx context.Context, request *queuev1.ExtendVisibilityRequest) (*queuev1.ExtendVisibilityResponse, error) {
				if request.GetVisibilityTimeout().AsDuration() > 12*time.Hour {
					request = proto.CloneOf(request)
					request.VisibilityTimeout = durationpb.New(12 * time.Hour)
				}
				return right.ExtendVisibility(ctx, request)
			}}
		}),
	}
}
