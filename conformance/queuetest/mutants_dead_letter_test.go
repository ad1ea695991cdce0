package queuetest_test

import (
	"context"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/runtime/fault"

	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

// deadLetterWith is an implementation with some calls replaced; one that is nil is the real one.
type deadLetterWith struct {
	queuev1.DeadLetter
	configure func(ctx context.Context, request *queuev1.ConfigureDeadLetterRequest) (*queuev1.ConfigureDeadLetterResponse, error)
	get       func(ctx context.Context, request *queuev1.GetDeadLetterQueueRequest) (*queuev1.GetDeadLetterQueueResponse, error)
	redrive   func(ctx context.Context, request *queuev1.RedriveRequest) (*queuev1.RedriveResponse, error)
}

func (d deadLetterWith) ConfigureDeadLetter(ctx context.Context, request *queuev1.ConfigureDeadLetterRequest) (*queuev1.ConfigureDeadLetterResponse, error) {
	if d.configure != nil {
		return d.configure(ctx, request)
	}
	return d.DeadLetter.ConfigureDeadLetter(ctx, request)
}

func (d deadLetterWith) GetDeadLetterQueue(ctx context.Context, request *queuev1.GetDeadLetterQueueRequest) (*queuev1.GetDeadLetterQueueResponse, error) {
	if d.get != nil {
		return d.get(ctx, request)
	}
	return d.DeadLetter.GetDeadLetterQueue(ctx, request)
}

func (d deadLetterWith) Redrive(ctx context.Context, request *queuev1.RedriveRequest) (*queuev1.RedriveResponse, error) {
	if d.redrive != nil {
		return d.redrive(ctx, request)
	}
	return d.DeadLetter.Redrive(ctx, request)
}

// withMaxReceives changes every max_receives on its way in, when the request is right about it, and tells what it was.
func withMaxReceives(right queuev1.DeadLetter, change func(uint32) uint32) queuev1.DeadLetter {
	var asked sync.Map // by queue
	return deadLetterWith{
		DeadLetter: right,
		configure: func(ctx context.Context, request *queuev1.ConfigureDeadLetterRequest) (*queuev1.ConfigureDeadLetterResponse, error) {
			response, err := right.ConfigureDeadLetter(ctx, request)
			if err != nil || request.GetDeadLetterQueue() == "" {
				return response, err
			}
			asked.Store(request.GetQueue(), request.GetMaxReceives())
			changed := proto.CloneOf(request)
			changed.MaxReceives = change(request.GetMaxReceives())
			return right.ConfigureDeadLetter(ctx, changed)
		},
		get: func(ctx context.Context, request *queuev1.GetDeadLetterQueueRequest) (*queuev1.GetDeadLetterQueueResponse, error) {
			response, err := right.GetDeadLetterQueue(ctx, request)
			if was, ok := asked.Load(request.GetQueue()); ok && response.GetFound() {
				response = proto.CloneOf(response)
				response.MaxReceives = was.(uint32)
			}
			return response, err
		},
	}
}

// withRedrive changes every Redrive on its way in.
func withRedrive(right queuev1.DeadLetter, change func(request *queuev1.RedriveRequest)) queuev1.DeadLetter {
	return deadLetterWith{DeadLetter: right, redrive: func(ctx context.Context, request *queuev1.RedriveRequest) (*queuev1.RedriveResponse, error) {
		request = proto.CloneOf(request)
		change(request)
		return right.Redrive(ctx, request)
	}}
}

func deadLetterMutants() []mutant {
	of := func(name string, mutate func(i *prism.Interfaces, right queuev1.DeadLetter) queuev1.DeadLetter) mutant {
		return mutant{Name: name, Mutate: func(i *prism.Interfaces) { i.QueueDeadLetter = mutate(i, i.QueueDeadLetter) }}
	}
	return []mutant{
		of("MessagesNeverMove", func(_ *prism.Interfaces, right queuev1.DeadLetter) queuev1.DeadLetter {
			return withMaxReceives(right, func(uint32) uint32 { return 1000 })
		}),
		of("MessagesMoveOneReceiveLate", func(_ *prism.Interfaces, right queuev1.DeadLetter) queuev1.DeadLetter {
			return withMaxReceives(right, func(most uint32) uint32 { return min(most+1, 1000) })
		}),
		of("MessagesMoveOneReceiveEarly", func(_ *prism.Interfaces, right queuev1.DeadLetter) queuev1.DeadLetter {
			return withMaxReceives(right, func(most uint32) uint32 { return max(most-1, 1) })
		}),
		of("OwnDeadLetterQueueIsAccepted", func(_ *prism.Interfaces, right queuev1.DeadLetter) queuev1.DeadLetter {
			return deadLetterWith{DeadLetter: right, configure: func(ctx context.Context, request *queuev1.ConfigureDeadLetterRequest) (*queuev1.ConfigureDeadLetterResponse, error) {
				if request.GetQueue() == request.GetDeadLetterQueue() && request.GetMaxReceives() > 0 {
					return &queuev1.ConfigureDeadLetterResponse{}, nil
				}
				return right.ConfigureDeadLetter(ctx, request)
			}}
		}),
		of("MaxReceives0Is1", func(_ *prism.Interfaces, right queuev1.DeadLetter) queuev1.DeadLetter {
			return deadLetterWith{DeadLetter: right, configure: func(ctx context.Context, request *queuev1.ConfigureDeadLetterRequest) (*queuev1.ConfigureDeadLetterResponse, error) {
				request = proto.CloneOf(request)
				request.MaxReceives = max(request.GetMaxReceives(), 1)
				return right.ConfigureDeadLetter(ctx, request)
			}}
		}),
		of("CyclesAreRefused", func(_ *prism.Interfaces, right queuev1.DeadLetter) queuev1.DeadLetter {
			return deadLetterWith{DeadLetter: right, configure: func(ctx context.Context, request *queuev1.ConfigureDeadLetterRequest) (*queuev1.ConfigureDeadLetterResponse, error) {
				if back, err := right.GetDeadLetterQueue(ctx, &queuev1.GetDeadLetterQueueRequest{Queue: request.GetDeadLetterQueue()}); err == nil && back.GetFound() {
					return nil, fault.Invalid("dead_letter_queue", "has a dead letter queue itself")
				}
				return right.ConfigureDeadLetter(ctx, request)
			}}
		}),
		of("ConfigurationIsNotReplaced", func(_ *prism.Interfaces, right queuev1.DeadLetter) queuev1.DeadLetter {
			return deadLetterWith{DeadLetter: right, configure: func(ctx context.Context, request *queuev1.ConfigureDeadLetterRequest) (*queuev1.ConfigureDeadLetterResponse, error) {
				if has, err := right.GetDeadLetterQueue(ctx, &queuev1.GetDeadLetterQueueRequest{Queue: request.GetQueue()}); err == nil && has.GetFound() && request.GetDeadLetterQueue() != "" {
					return &queuev1.ConfigureDeadLetterResponse{}, nil
				}
				return right.ConfigureDeadLetter(ctx, request)
			}}
		}),
		of("ConfigurationIsNotTakenAway", func(_ *prism.Interfaces, right queuev1.DeadLetter) queuev1.DeadLetter {
			return deadLetterWith{DeadLetter: right, configure: func(ctx context.Context, request *queuev1.ConfigureDeadLetterRequest) (*queuev1.ConfigureDeadLetterResponse, error) {
				if request.GetDeadLetterQueue() == "" {
					return &queuev1.ConfigureDeadLetterResponse{}, nil
				}
				return right.ConfigureDeadLetter(ctx, request)
			}}
		}),
		of("QueueWithoutADeadLetterQueueIsAnError", func(_ *prism.Interfaces, right queuev1.DeadLetter) queuev1.DeadLetter {
			return deadLetterWith{DeadLetter: right, get: func(ctx context.Context, request *queuev1.GetDeadLetterQueueRequest) (*queuev1.GetDeadLetterQueueResponse, error) {
				response, err := right.GetDeadLetterQueue(ctx, request)
				if err == nil && !response.GetFound() {
					return nil, fault.New(fault.NotFound, "there is no dead letter queue")
				}
				return response, err
			}}
		}),
		of("CountIgnoresWhatIsNotVisible", func(i *prism.Interfaces, right queuev1.DeadLetter) queuev1.DeadLetter {
			basic := i.QueueBasic
			return deadLetterWith{DeadLetter: right, get: func(ctx context.Context, request *queuev1.GetDeadLetterQueueRequest) (*queuev1.GetDeadLetterQueueResponse, error) {
				response, err := right.GetDeadLetterQueue(ctx, request)
				if !response.GetFound() {
					return response, err
				}
				if shown, err := basic.Peek(ctx, &queuev1.PeekRequest{Queue: response.GetDeadLetterQueue()}); err == nil && !shown.GetFound() {
					response = proto.CloneOf(response)
					response.MessageCount = 0
				}
				return response, err
			}}
		}),
		of("RedriveIgnoresMaxMessages", func(_ *prism.Interfaces, right queuev1.DeadLetter) queuev1.DeadLetter {
			return withRedrive(right, func(request *queuev1.RedriveRequest) {
				if request.GetMaxMessages() > 0 && request.GetMaxMessages() <= 10_000 {
					request.MaxMessages = 10_000
				}
			})
		}),
		of("RedriveMoves10000ByDefault", func(_ *prism.Interfaces, right queuev1.DeadLetter) queuev1.DeadLetter {
			return withRedrive(right, func(request *queuev1.RedriveRequest) {
				if request.GetMaxMessages() == 0 {
					request.MaxMessages = 10_000
				}
			})
		}),
		of("RedriveMoves100ByDefault", func(_ *prism.Interfaces, right queuev1.DeadLetter) queuev1.DeadLetter {
			return withRedrive(right, func(request *queuev1.RedriveRequest) {
				if request.GetMaxMessages() == 0 {
					request.MaxMessages = 100
				}
			})
		}),
		of("RedriveIgnoresTheSource", func(_ *prism.Interfaces, right queuev1.DeadLetter) queuev1.DeadLetter {
			return withRedrive(right, func(request *queuev1.RedriveRequest) {
				if len(request.GetSourceQueue()) == 1 {
					request.SourceQueue = ""
				}
			})
		}),
		of("RedriveOfNothingIsAnError", func(_ *prism.Interfaces, right queuev1.DeadLetter) queuev1.DeadLetter {
			return deadLetterWith{DeadLetter: right, redrive: func(ctx context.Context, request *queuev1.RedriveRequest) (*queuev1.RedriveResponse, error) {
				response, err := right.Redrive(ctx, request)
				if err == nil && response.GetMoved() == 0 {
					return nil, fault.New(fault.NotFound, "there is no dead letter")
				}
				return response, err
			}}
		}),
		of("RedriveIsTwoSteps", func(i *prism.Interfaces, right queuev1.DeadLetter) queuev1.DeadLetter {
			// The message is taken from the one queue and then enqueued in the other.
			basic := i.QueueBasic
			return deadLetterWith{DeadLetter: right, redrive: func(ctx context.Context, request *queuev1.RedriveRequest) (*queuev1.RedriveResponse, error) {
				shown, err := basic.Peek(ctx, &queuev1.PeekRequest{Queue: request.GetDeadLetterQueue()})
				if err != nil || shown.GetMessage().GetDeadLetter() == nil || request.GetMaxMessages() > 0 {
					return right.Redrive(ctx, request)
				}
				taken, err := basic.Dequeue(ctx, &queuev1.DequeueRequest{Queue: request.GetDeadLetterQueue()})
				if err != nil {
					return nil, err
				}
				time.Sleep(time.Millisecond)
				_, err = basic.Enqueue(ctx, &queuev1.EnqueueRequest{Queue: taken.GetMessage().GetDeadLetter().GetSourceQueue(), Payload: taken.GetMessage().GetPayload()})
				return &queuev1.RedriveResponse{Moved: 1}, err
			}}
		}),
		of("DelayHoldsADeadLetterBack", func(i *prism.Interfaces, right queuev1.DeadLetter) queuev1.DeadLetter {
			visibility := i.QueueVisibility
			i.QueueVisibility = visibilityWith{Visibility: visibility, release: func(ctx context.Context, request *queuev1.ReleaseRequest) (*queuev1.ReleaseResponse, error) {
				if request.GetDelay() == nil {
					return visibility.Release(ctx, request)
				}
				_, err := visibility.ExtendVisibility(ctx, &queuev1.ExtendVisibilityRequest{Queue: request.GetQueue(), Receipt: request.GetReceipt(), VisibilityTimeout: request.GetDelay()})
				return &queuev1.ReleaseResponse{}, err
			}}
			return right
		}),
		of("ReasonIsLost", func(i *prism.Interfaces, right queuev1.DeadLetter) queuev1.DeadLetter {
			visibility := i.QueueVisibility
			i.QueueVisibility = visibilityWith{Visibility: visibility, release: func(ctx context.Context, request *queuev1.ReleaseRequest) (*queuev1.ReleaseResponse, error) {
				return visibility.Release(ctx, &queuev1.ReleaseRequest{Queue: request.GetQueue(), Receipt: request.GetReceipt(), Delay: request.GetDelay()})
			}}
			return right
		}),
		of("DeadLetterTellsNothing", func(i *prism.Interfaces, right queuev1.DeadLetter) queuev1.DeadLetter {
			i.QueueBasic = withMessages(i.QueueBasic, func(message *queuev1.Message, _ bool) { message.DeadLetter = nil })
			return right
		}),
		of("ReceiveCountGoesOn", func(i *prism.Interfaces, right queuev1.DeadLetter) queuev1.DeadLetter {
			i.QueueBasic = withMessages(i.QueueBasic, func(message *queuev1.Message, _ bool) {
				message.ReceiveCount += message.GetDeadLetter().GetReceiveCount()
			})
			return right
		}),
	}
}
