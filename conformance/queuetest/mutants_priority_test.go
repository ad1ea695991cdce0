package queuetest_test

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/prismgate/prism/gen/go/prism"

	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

// priorityWith is an implementation with some calls replaced; one that is nil is the real one.
type priorityWith struct {
	queuev1.Priority
	enqueue func(ctx context.Context, request *queuev1.EnqueueWithPriorityRequest) (*queuev1.EnqueueWithPriorityResponse, error)
}

func (p priorityWith) EnqueueWithPriority(ctx context.Context, request *queuev1.EnqueueWithPriorityRequest) (*queuev1.EnqueueWithPriorityResponse, error) {
	if p.enqueue != nil {
		return p.enqueue(ctx, request)
	}
	return p.Priority.EnqueueWithPriority(ctx, request)
}

// withEnqueueWithPriority changes every EnqueueWithPriority on its way in.
func withEnqueueWithPriority(right queuev1.Priority, change func(request *queuev1.EnqueueWithPriorityRequest)) queuev1.Priority {
	return priorityWith{Priority: right, enqueue: func(ctx context.Context, request *queuev1.EnqueueWithPriorityRequest) (*queuev1.EnqueueWithPriorityResponse, error) {
		request = proto.CloneOf(request)
		change(request)
		return right.EnqueueWithPriority(ctx, request)
	}}
}

func priorityMutants() []mutant {
	of := func(name string, mutate func(i *prism.Interfaces, right queuev1.Priority) queuev1.Priority) mutant {
		return mutant{Name: name, Mutate: func(i *prism.Interfaces) { i.QueuePriority = mutate(i, i.QueuePriority) }}
	}
	return []mutant{
		of("PriorityIsIgnored", func(_ *prism.Interfaces, right queuev1.Priority) queuev1.Priority {
			return withEnqueueWithPriority(right, func(request *queuev1.EnqueueWithPriorityRequest) {
				if request.GetPriority() <= 9 {
					request.Priority = 0
				}
			})
		}),
		of("LowestGoesFirst", func(_ *prism.Interfaces, right queuev1.Priority) queuev1.Priority {
			return withEnqueueWithPriority(right, func(request *queuev1.EnqueueWithPriorityRequest) {
				if request.GetPriority() <= 9 {
					request.Priority = 9 - request.GetPriority()
				}
			})
		}),
		of("ThereAreTwoPriorities", func(_ *prism.Interfaces, right queuev1.Priority) queuev1.Priority {
			return withEnqueueWithPriority(right, func(request *queuev1.EnqueueWithPriorityRequest) {
				if request.GetPriority() <= 9 {
					request.Priority = request.GetPriority() / 5 * 9
				}
			})
		}),
		of("HighPriorityIsCut", func(_ *prism.Interfaces, right queuev1.Priority) queuev1.Priority {
			return withEnqueueWithPriority(right, func(request *queuev1.EnqueueWithPriorityRequest) {
				request.Priority = min(request.GetPriority(), 9)
			})
		}),
		of("KeyIsIgnored", func(_ *prism.Interfaces, right queuev1.Priority) queuev1.Priority {
			return withEnqueueWithPriority(right, func(request *queuev1.EnqueueWithPriorityRequest) {
				if len(request.GetIdempotencyKey()) < 100 {
					request.IdempotencyKey = ""
				}
			})
		}),
		of("KeyComparesThePriority", func(_ *prism.Interfaces, right queuev1.Priority) queuev1.Priority {
			return withEnqueueWithPriority(right, func(request *queuev1.EnqueueWithPriorityRequest) {
				if key := request.GetIdempotencyKey(); key != "" && len(key) < 1000 && request.GetPriority() > 0 {
					request.IdempotencyKey = fmt.Sprint(key, " ", request.GetPriority())
				}
			})
		}),
		of("MetadataIsLost", func(_ *prism.Interfaces, right queuev1.Priority) queuev1.Priority {
			return withEnqueueWithPriority(right, func(request *queuev1.EnqueueWithPriorityRequest) {
				if len(request.GetMetadata()) == 1 {
					request.Metadata = nil
				}
			})
		}),
		of("DuplicateIsNotTold", func(_ *prism.Interfaces, right queuev1.Priority) queuev1.Priority {
			return priorityWith{Priority: right, enqueue: func(ctx context.Context, request *queuev1.EnqueueWithPriorityRequest) (*queuev1.EnqueueWithPriorityResponse, error) {
				response, err := right.EnqueueWithPriority(ctx, request)
				return &queuev1.EnqueueWithPriorityResponse{MessageId: response.GetMessageId()}, err
			}}
		}),
		of("PriorityIsNotTold", func(i *prism.Interfaces, right queuev1.Priority) queuev1.Priority {
			i.QueueBasic = withMessages(i.QueueBasic, func(message *queuev1.Message, _ bool) { message.Priority = 0 })
			return right
		}),
		of("PriorityGivesAnotherEnqueueTime", func(i *prism.Interfaces, right queuev1.Priority) queuev1.Priority {
			i.QueueBasic = withMessages(i.QueueBasic, func(message *queuev1.Message, _ bool) { message.EnqueueTime = &timestamppb.Timestamp{} })
			return right
		}),
		of("ReleasedMessageIsTheFirst", func(i *prism.Interfaces, right queuev1.Priority) queuev1.Priority {
			// A release gives the message the highest priority: by a copy of it.
			visibility, payloads := i.QueueVisibility, make(map[string][]byte)
			i.QueueVisibility = visibilityWith{
				Visibility: visibility,
				dequeue: func(ctx context.Context, request *queuev1.DequeueWithTimeoutRequest) (*queuev1.DequeueWithTimeoutResponse, error) {
					response, err := visibility.DequeueWithTimeout(ctx, request)
					payloads[response.GetReceipt()] = response.GetMessage().GetPayload()
					return response, err
				},
				release: func(ctx context.Context, request *queuev1.ReleaseRequest) (*queuev1.ReleaseResponse, error) {
					if _, err := visibility.Acknowledge(ctx, &queuev1.AcknowledgeRequest{Queue: request.GetQueue(), Receipt: request.GetReceipt()}); err != nil {
						return nil, err
					}
					_, err := right.EnqueueWithPriority(ctx, &queuev1.EnqueueWithPriorityRequest{Queue: request.GetQueue(), Payload: payloads[request.GetReceipt()], Priority: 9})
					return &queuev1.ReleaseResponse{}, err
				},
			}
			return right
		}),
	}
}
