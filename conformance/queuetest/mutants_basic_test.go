package queuetest_test

import (
	"context"
	"fmt"
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

// basicWith is an implementation with some calls replaced; one that is nil is the real one.
type basicWith struct {
	queuev1.Basic
	enqueue func(ctx context.Context, request *queuev1.EnqueueRequest) (*queuev1.EnqueueResponse, error)
	dequeue func(ctx context.Context, request *queuev1.DequeueRequest) (*queuev1.DequeueResponse, error)
	peek    func(ctx context.Context, request *queuev1.PeekRequest) (*queuev1.PeekResponse, error)
}

func (b basicWith) Enqueue(ctx context.Context, request *queuev1.EnqueueRequest) (*queuev1.EnqueueResponse, error) {
	if b.enqueue != nil {
		return b.enqueue(ctx, request)
	}
	return b.Basic.Enqueue(ctx, request)
}

func (b basicWith) Dequeue(ctx context.Context, request *queuev1.DequeueRequest) (*queuev1.DequeueResponse, error) {
	if b.dequeue != nil {
		return b.dequeue(ctx, request)
	}
	return b.Basic.Dequeue(ctx, request)
}

func (b basicWith) Peek(ctx context.Context, request *queuev1.PeekRequest) (*queuev1.PeekResponse, error) {
	if b.peek != nil {
		return b.peek(ctx, request)
	}
	return b.Basic.Peek(ctx, request)
}

// withMessages changes every message on its way out.
func withMessages(right queuev1.Basic, change func(message *queuev1.Message, peeked bool)) queuev1.Basic {
	return basicWith{
		Basic: right,
		dequeue: func(ctx context.Context, request *queuev1.DequeueRequest) (*queuev1.DequeueResponse, error) {
			response, err := right.Dequeue(ctx, request)
			if err == nil && response.GetFound() {
				response = proto.CloneOf(response)
				change(response.GetMessage(), false)
			}
			return response, err
		},
		peek: func(ctx context.Context, request *queuev1.PeekRequest) (*queuev1.PeekResponse, error) {
			response, err := right.Peek(ctx, request)
			if err == nil && response.GetFound() {
				response = proto.CloneOf(response)
				change(response.GetMessage(), true)
			}
			return response, err
		},
	}
}

// withQueues changes every queue's name on its way in.
func withQueues(right queuev1.Basic, change func(string) string) queuev1.Basic {
	return basicWith{
		enqueue: func(ctx context.Context, request *queuev1.EnqueueRequest) (*queuev1.EnqueueResponse, error) {
			request = proto.CloneOf(request)
			request.Queue = change(request.GetQueue())
			return right.Enqueue(ctx, request)
		},
		dequeue: func(ctx context.Context, request *queuev1.DequeueRequest) (*queuev1.DequeueResponse, error) {
			return right.Dequeue(ctx, &queuev1.DequeueRequest{Queue: change(request.GetQueue()), WaitTime: request.GetWaitTime()})
		},
		peek: func(ctx context.Context, request *queuev1.PeekRequest) (*queuev1.PeekResponse, error) {
			return right.Peek(ctx, &queuev1.PeekRequest{Queue: change(request.GetQueue())})
		},
	}
}

// withEnqueue changes every Enqueue on its way in.
func withEnqueue(right queuev1.Basic, change func(request *queuev1.EnqueueRequest)) queuev1.Basic {
	return basicWith{Basic: right, enqueue: func(ctx context.Context, request *queuev1.EnqueueRequest) (*queuev1.EnqueueResponse, error) {
		request = proto.CloneOf(request)
		change(request)
		return right.Enqueue(ctx, request)
	}}
}

// withWait changes how long every Dequeue waits.
func withWait(right queuev1.Basic, change func(time.Duration) time.Duration) queuev1.Basic {
	return basicWith{Basic: right, dequeue: func(ctx context.Context, request *queuev1.DequeueRequest) (*queuev1.DequeueResponse, error) {
		request = proto.CloneOf(request)
		if request.GetWaitTime() != nil {
			request.WaitTime = durationpb.New(change(request.GetWaitTime().AsDuration()))
		}
		return right.Dequeue(ctx, request)
	}}
}

func basicMutants() []mutant {
	of := func(name string, mutate func(i *prism.Interfaces, right queuev1.Basic) queuev1.Basic) mutant {
		return mutant{Name: name, Mutate: func(i *prism.Interfaces) { i.QueueBasic = mutate(i, i.QueueBasic) }}
	}
	return []mutant{
		of("EmptyQueueIsAnError", func(_ *prism.Interfaces, right queuev1.Basic) queuev1.Basic {
			return basicWith{Basic: right, dequeue: func(ctx context.Context, request *queuev1.DequeueRequest) (*queuev1.DequeueResponse, error) {
				response, err := right.Dequeue(ctx, request)
				if err == nil && !response.GetFound() {
					return nil, fault.New(fault.NotFound, "the queue is empty")
				}
				return response, err
			}}
		}),
		of("SecondGoesFirst", func(_ *prism.Interfaces, right queuev1.Basic) queuev1.Basic {
			return basicWith{Basic: right, dequeue: func(ctx context.Context, request *queuev1.DequeueRequest) (*queuev1.DequeueResponse, error) {
				first, err := right.Dequeue(ctx, request)
				if err != nil || !first.GetFound() {
					return first, err
				}
				second, err := right.Dequeue(ctx, &queuev1.DequeueRequest{Queue: request.GetQueue()})
				if err != nil || !second.GetFound() {
					return first, err
				}
				_, err = right.Enqueue(ctx, &queuev1.EnqueueRequest{Queue: request.GetQueue(), Payload: first.GetMessage().GetPayload()})
				return second, err
			}}
		}),
		of("DequeueLeavesTheMessage", func(_ *prism.Interfaces, right queuev1.Basic) queuev1.Basic {
			return basicWith{Basic: right, dequeue: func(ctx context.Context, request *queuev1.DequeueRequest) (*queuev1.DequeueResponse, error) {
				response, err := right.Peek(ctx, &queuev1.PeekRequest{Queue: request.GetQueue()})
				return &queuev1.DequeueResponse{Found: response.GetFound(), Message: response.GetMessage()}, err
			}}
		}),
		of("PeekTakes", func(_ *prism.Interfaces, right queuev1.Basic) queuev1.Basic {
			return basicWith{Basic: right, peek: func(ctx context.Context, request *queuev1.PeekRequest) (*queuev1.PeekResponse, error) {
				response, err := right.Dequeue(ctx, &queuev1.DequeueRequest{Queue: request.GetQueue()})
				return &queuev1.PeekResponse{Found: response.GetFound(), Message: response.GetMessage()}, err
			}}
		}),
		of("PeekCounts", func(_ *prism.Interfaces, right queuev1.Basic) queuev1.Basic {
			return withMessages(right, func(message *queuev1.Message, peeked bool) {
				if peeked {
					message.ReceiveCount++
				}
			})
		}),
		of("ReceiveCountIsZero", func(_ *prism.Interfaces, right queuev1.Basic) queuev1.Basic {
			return withMessages(right, func(message *queuev1.Message, _ bool) { message.ReceiveCount = 0 })
		}),
		of("EnqueueTimeIsMissing", func(_ *prism.Interfaces, right queuev1.Basic) queuev1.Basic {
			return withMessages(right, func(message *queuev1.Message, _ bool) { message.EnqueueTime = nil })
		}),
		of("EnqueueTimeIsInNanoseconds", func(_ *prism.Interfaces, right queuev1.Basic) queuev1.Basic {
			return withMessages(right, func(message *queuev1.Message, _ bool) {
				message.EnqueueTime = timestamppb.New(message.GetEnqueueTime().AsTime().Add(1))
			})
		}),
		of("EmptyMetadataIsDropped", func(_ *prism.Interfaces, right queuev1.Basic) queuev1.Basic {
			return withMessages(right, func(message *queuev1.Message, _ bool) {
				for key, value := range message.GetMetadata() {
					if value == "" {
						delete(message.GetMetadata(), key)
					}
				}
			})
		}),
		of("PayloadIsText", func(_ *prism.Interfaces, right queuev1.Basic) queuev1.Basic {
			return withMessages(right, func(message *queuev1.Message, _ bool) {
				message.Payload = []byte(strings.ToValidUTF8(string(message.GetPayload()), "?"))
			})
		}),
		of("MessageIdIsThePayloads", func(_ *prism.Interfaces, right queuev1.Basic) queuev1.Basic {
			return basicWith{Basic: right, enqueue: func(ctx context.Context, request *queuev1.EnqueueRequest) (*queuev1.EnqueueResponse, error) {
				response, err := right.Enqueue(ctx, request)
				if err == nil {
					response = &queuev1.EnqueueResponse{MessageId: fmt.Sprintf("%.20x", request.GetPayload()), Duplicate: response.GetDuplicate()}
				}
				return response, err
			}}
		}),
		of("DequeueDoesNotWait", func(_ *prism.Interfaces, right queuev1.Basic) queuev1.Basic {
			return withWait(right, func(time.Duration) time.Duration { return 0 })
		}),
		of("DequeueWaitsHalfAsLong", func(_ *prism.Interfaces, right queuev1.Basic) queuev1.Basic {
			return withWait(right, func(wait time.Duration) time.Duration { return wait / 2 })
		}),
		of("LongWaitIsCut", func(_ *prism.Interfaces, right queuev1.Basic) queuev1.Basic {
			return withWait(right, func(wait time.Duration) time.Duration { return min(wait, 30*time.Second) })
		}),
		of("DequeueDoesNotNoticeWhatComes", func(_ *prism.Interfaces, right queuev1.Basic) queuev1.Basic {
			return basicWith{Basic: right, dequeue: func(ctx context.Context, request *queuev1.DequeueRequest) (*queuev1.DequeueResponse, error) {
				response, err := right.Dequeue(ctx, &queuev1.DequeueRequest{Queue: request.GetQueue()})
				if err != nil || response.GetFound() || request.GetWaitTime().AsDuration() > 30*time.Second {
					return right.Dequeue(ctx, request)
				}
				select {
				case <-ctx.Done():
				case <-time.After(request.GetWaitTime().AsDuration()):
				}
				return right.Dequeue(ctx, &queuev1.DequeueRequest{Queue: request.GetQueue()})
			}}
		}),
		of("MessageIsTakenByTwoAtOnce", func(_ *prism.Interfaces, right queuev1.Basic) queuev1.Basic {
			return basicWith{Basic: right, dequeue: func(ctx context.Context, request *queuev1.DequeueRequest) (*queuev1.DequeueResponse, error) {
				shown, err := right.Peek(ctx, &queuev1.PeekRequest{Queue: request.GetQueue()})
				if err != nil || !shown.GetFound() {
					return right.Dequeue(ctx, request)
				}
				time.Sleep(time.Millisecond) // so that others come between, however busy the machine is
				response, err := right.Dequeue(ctx, request)
				if err == nil && response.GetFound() {
					response = proto.CloneOf(response)
					response.Message = proto.CloneOf(shown.GetMessage())
					response.Message.ReceiveCount++
				}
				return response, err
			}}
		}),
		of("CancelledCallTakesAMessage", func(_ *prism.Interfaces, right queuev1.Basic) queuev1.Basic {
			return basicWith{Basic: right, dequeue: func(ctx context.Context, request *queuev1.DequeueRequest) (*queuev1.DequeueResponse, error) {
				if err := ctx.Err(); err != nil {
					return nil, err
				}
				type answer struct {
					response *queuev1.DequeueResponse
					err      error
				}
				answers := make(chan answer, 1)
				go func() {
					response, err := right.Dequeue(context.WithoutCancel(ctx), request)
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
		of("EnqueueIsVisibleLater", func(i *prism.Interfaces, right queuev1.Basic) queuev1.Basic {
			return basicWith{Basic: right, enqueue: func(ctx context.Context, request *queuev1.EnqueueRequest) (*queuev1.EnqueueResponse, error) {
				response, err := i.QueueDelayed.EnqueueDelayed(ctx, &queuev1.EnqueueDelayedRequest{
					Queue: request.GetQueue(), Payload: request.GetPayload(), Metadata: request.GetMetadata(), IdempotencyKey: request.GetIdempotencyKey(),
					Delay: durationpb.New(5 * time.Millisecond),
				})
				return &queuev1.EnqueueResponse{MessageId: response.GetMessageId(), Duplicate: response.GetDuplicate()}, err
			}}
		}),
		of("KeyIsIgnored", func(_ *prism.Interfaces, right queuev1.Basic) queuev1.Basic {
			return withEnqueue(right, func(request *queuev1.EnqueueRequest) { request.IdempotencyKey = "" })
		}),
		of("KeysIgnoreCase", func(_ *prism.Interfaces, right queuev1.Basic) queuev1.Basic {
			return withEnqueue(right, func(request *queuev1.EnqueueRequest) {
				request.IdempotencyKey = strings.ToLower(request.GetIdempotencyKey())
			})
		}),
		of("KeysAreTrimmed", func(_ *prism.Interfaces, right queuev1.Basic) queuev1.Basic {
			return withEnqueue(right, func(request *queuev1.EnqueueRequest) {
				request.IdempotencyKey = strings.TrimSpace(request.GetIdempotencyKey())
			})
		}),
		of("KeyComparesThePayload", func(_ *prism.Interfaces, right queuev1.Basic) queuev1.Basic {
			return withEnqueue(right, func(request *queuev1.EnqueueRequest) {
				if key := request.GetIdempotencyKey(); key != "" && len(key) < 1000 {
					request.IdempotencyKey = fmt.Sprintf("%s %.20x", key, request.GetPayload())
				}
			})
		}),
		of("KeyIsForgottenWhenTheMessageIsGone", func(_ *prism.Interfaces, right queuev1.Basic) queuev1.Basic {
			var gone atomic.Int64
			with := withEnqueue(right, func(request *queuev1.EnqueueRequest) {
				if key := request.GetIdempotencyKey(); key != "" && len(key) < 1000 {
					request.IdempotencyKey = fmt.Sprint(key, " ", gone.Load())
				}
			}).(basicWith)
			with.dequeue = func(ctx context.Context, request *queuev1.DequeueRequest) (*queuev1.DequeueResponse, error) {
				response, err := right.Dequeue(ctx, request)
				if response.GetFound() {
					gone.Add(1)
				}
				return response, err
			}
			return with
		}),
		of("KeyIsTheNamespaces", func(_ *prism.Interfaces, right queuev1.Basic) queuev1.Basic {
			var mu sync.Mutex
			ids := make(map[string]string)
			return basicWith{Basic: right, enqueue: func(ctx context.Context, request *queuev1.EnqueueRequest) (*queuev1.EnqueueResponse, error) {
				mu.Lock()
				defer mu.Unlock()
				if id, ok := ids[request.GetIdempotencyKey()]; ok {
					return &queuev1.EnqueueResponse{MessageId: id, Duplicate: true}, nil
				}
				response, err := right.Enqueue(ctx, request)
				if err == nil && request.GetIdempotencyKey() != "" {
					ids[request.GetIdempotencyKey()] = response.GetMessageId()
				}
				return response, err
			}}
		}),
		of("DuplicateIsNotTold", func(_ *prism.Interfaces, right queuev1.Basic) queuev1.Basic {
			return basicWith{Basic: right, enqueue: func(ctx context.Context, request *queuev1.EnqueueRequest) (*queuev1.EnqueueResponse, error) {
				response, err := right.Enqueue(ctx, request)
				return &queuev1.EnqueueResponse{MessageId: response.GetMessageId()}, err
			}}
		}),
		of("QueuesIgnoreCase", func(_ *prism.Interfaces, right queuev1.Basic) queuev1.Basic {
			return withQueues(right, strings.ToLower)
		}),
		of("LongNameIsCut", func(_ *prism.Interfaces, right queuev1.Basic) queuev1.Basic {
			return withQueues(right, func(name string) string { return name[:min(len(name), 200)] })
		}),
		of("DotsAndDashesAreOne", func(_ *prism.Interfaces, right queuev1.Basic) queuev1.Basic {
			return withQueues(right, func(name string) string { return strings.ReplaceAll(name, ".", "-") })
		}),
		of("RequestIsChanged", func(_ *prism.Interfaces, right queuev1.Basic) queuev1.Basic {
			return basicWith{Basic: right, enqueue: func(ctx context.Context, request *queuev1.EnqueueRequest) (*queuev1.EnqueueResponse, error) {
				response, err := right.Enqueue(ctx, request)
				request.IdempotencyKey = ""
				return response, err
			}}
		}),
	}
}
