package pubsubtest_test

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/runtime/fault"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

// orderingWith is an implementation with some calls replaced; one that is nil is the real one.
type orderingWith struct {
	pubsubv1.Ordering
	publish   func(ctx context.Context, request *pubsubv1.PublishOrderedRequest) (*pubsubv1.PublishOrderedResponse, error)
	subscribe func(ctx context.Context, request *pubsubv1.SubscribeOrderedRequest, send func(*pubsubv1.SubscribeOrderedResponse) error) error
}

func (o orderingWith) PublishOrdered(ctx context.Context, request *pubsubv1.PublishOrderedRequest) (*pubsubv1.PublishOrderedResponse, error) {
	if o.publish != nil {
		return o.publish(ctx, request)
	}
	return o.Ordering.PublishOrdered(ctx, request)
}

func (o orderingWith) SubscribeOrdered(ctx context.Context, request *pubsubv1.SubscribeOrderedRequest, send func(*pubsubv1.SubscribeOrderedResponse) error) error {
	if o.subscribe != nil {
		return o.subscribe(ctx, request, send)
	}
	return o.Ordering.SubscribeOrdered(ctx, request, send)
}

type orderedSend = func(*pubsubv1.SubscribeOrderedResponse) error

func orderingMutants() []mutant {
	of := func(name string, mutate func(right pubsubv1.Ordering) pubsubv1.Ordering) mutant {
		return mutant{Name: name, Mutate: func(i *prism.Interfaces) { i.PubSubOrdering = mutate(i.PubSubOrdering) }}
	}
	// withSend changes what a stream sends, and may look at its request.
	withSend := func(change func(request *pubsubv1.SubscribeOrderedRequest, send orderedSend) orderedSend) func(pubsubv1.Ordering) pubsubv1.Ordering {
		return func(right pubsubv1.Ordering) pubsubv1.Ordering {
			return orderingWith{Ordering: right, subscribe: func(ctx context.Context, request *pubsubv1.SubscribeOrderedRequest, send func(*pubsubv1.SubscribeOrderedResponse) error) error {
				return right.SubscribeOrdered(ctx, request, change(request, send))
			}}
		}
	}
	// withMessages changes every message.
	withMessages := func(change func(*pubsubv1.OrderedMessage)) func(pubsubv1.Ordering) pubsubv1.Ordering {
		return withSend(func(_ *pubsubv1.SubscribeOrderedRequest, send orderedSend) orderedSend {
			return func(r *pubsubv1.SubscribeOrderedResponse) error {
				if r.GetMessage() != nil {
					r = proto.CloneOf(r)
					change(r.GetMessage())
				}
				return send(r)
			}
		})
	}
	withRequest := func(change func(*pubsubv1.SubscribeOrderedRequest)) func(pubsubv1.Ordering) pubsubv1.Ordering {
		return func(right pubsubv1.Ordering) pubsubv1.Ordering {
			return orderingWith{Ordering: right, subscribe: func(ctx context.Context, request *pubsubv1.SubscribeOrderedRequest, send func(*pubsubv1.SubscribeOrderedResponse) error) error {
				request = proto.CloneOf(request)
				change(request)
				return right.SubscribeOrdered(ctx, request, send)
			}}
		}
	}
	withPublish := func(change func(*pubsubv1.PublishOrderedRequest)) func(pubsubv1.Ordering) pubsubv1.Ordering {
		return func(right pubsubv1.Ordering) pubsubv1.Ordering {
			return orderingWith{Ordering: right, publish: func(ctx context.Context, request *pubsubv1.PublishOrderedRequest) (*pubsubv1.PublishOrderedResponse, error) {
				request = proto.CloneOf(request)
				change(request)
				return right.PublishOrdered(ctx, request)
			}}
		}
	}
	at := func(point pubsubv1.StartPoint) *pubsubv1.SubscribeOrderedRequest_StartPoint {
		return &pubsubv1.SubscribeOrderedRequest_StartPoint{StartPoint: point}
	}
	return []mutant{
		of("StartsAtTheEarliestUnlessSaid", withRequest(func(r *pubsubv1.SubscribeOrderedRequest) {
			if r.GetStart() == nil {
				r.Start = at(pubsubv1.StartPoint_START_POINT_EARLIEST)
			}
		})),
		of("EarliestIsLatest", withRequest(func(r *pubsubv1.SubscribeOrderedRequest) {
			if r.GetStartPoint() == pubsubv1.StartPoint_START_POINT_EARLIEST {
				r.Start = nil
			}
		})),
		of("ResumeRepeatsTheMessage", func(right pubsubv1.Ordering) pubsubv1.Ordering {
			var mu sync.Mutex
			before := make(map[string]string) // resume id to the one before
			return orderingWith{Ordering: right, subscribe: func(ctx context.Context, request *pubsubv1.SubscribeOrderedRequest, send func(*pubsubv1.SubscribeOrderedResponse) error) error {
				mu.Lock()
				former, known := before[request.GetStartAfterResumeId()]
				mu.Unlock()
				if known {
					request = &pubsubv1.SubscribeOrderedRequest{Topic: request.GetTopic(), Start: &pubsubv1.SubscribeOrderedRequest_StartAfterResumeId{StartAfterResumeId: former}}
				}
				last := ""
				return right.SubscribeOrdered(ctx, request, func(r *pubsubv1.SubscribeOrderedResponse) error {
					if id := r.GetMessage().GetResumeId(); id != "" {
						if last != "" {
							mu.Lock()
							before[id] = last
							mu.Unlock()
						}
						last = id
					}
					return send(r)
				})
			}}
		}),
		of("ResumeSkipsAMessage", withSend(func(request *pubsubv1.SubscribeOrderedRequest, send orderedSend) orderedSend {
			skip := request.GetStartAfterResumeId() != ""
			return func(r *pubsubv1.SubscribeOrderedResponse) error {
				if skip && r.GetMessage() != nil {
					skip = false
					return nil
				}
				return send(r)
			}
		})),
		of("ResumeIdOfElsewhereStartsAtTheEarliest", func(right pubsubv1.Ordering) pubsubv1.Ordering {
			return orderingWith{Ordering: right, subscribe: func(ctx context.Context, request *pubsubv1.SubscribeOrderedRequest, send func(*pubsubv1.SubscribeOrderedResponse) error) error {
				err := right.SubscribeOrdered(ctx, request, send)
				if fault.CodeOf(err) == fault.InvalidArgument && strings.Contains(err.Error(), "start_after_resume_id") {
					return right.SubscribeOrdered(ctx, &pubsubv1.SubscribeOrderedRequest{Topic: request.GetTopic(), Start: at(pubsubv1.StartPoint_START_POINT_EARLIEST)}, send)
				}
				return err
			}}
		}),
		of("NeighboursChangePlaces", func(right pubsubv1.Ordering) pubsubv1.Ordering {
			return orderingWith{Ordering: right, subscribe: func(ctx context.Context, request *pubsubv1.SubscribeOrderedRequest, send func(*pubsubv1.SubscribeOrderedResponse) error) error {
				return swapping(ctx, func(ctx context.Context, put orderedSend) error { return right.SubscribeOrdered(ctx, request, put) }, send)
			}}
		}),
		of("PublishIsAnsweredBeforeTheMessageIsKept", func(right pubsubv1.Ordering) pubsubv1.Ordering {
			return orderingWith{Ordering: right, publish: func(ctx context.Context, request *pubsubv1.PublishOrderedRequest) (*pubsubv1.PublishOrderedResponse, error) {
				go func() {
					time.Sleep(rand.N(2 * time.Millisecond))
					_, _ = right.PublishOrdered(ctx, request)
				}()
				return &pubsubv1.PublishOrderedResponse{MessageId: "id"}, nil
			}}
		}),
		of("SubscribersHaveOrdersOfTheirOwn", withSend(func(_ *pubsubv1.SubscribeOrderedRequest, send orderedSend) orderedSend {
			var held *pubsubv1.SubscribeOrderedResponse // now and then a message of one key is overtaken by the next
			return func(r *pubsubv1.SubscribeOrderedResponse) error {
				if held == nil && r.GetMessage().GetMessage().GetOrderingKey() == "shared" && rand.N(10) == 0 {
					held = r
					return nil
				}
				if err := send(r); err != nil || held == nil {
					return err
				}
				overtaken := held
				held = nil
				return send(overtaken)
			}
		})),
		of("SlowSubscriberMissesOrderedMessages", withSend(func(_ *pubsubv1.SubscribeOrderedRequest, send orderedSend) orderedSend {
			return func(r *pubsubv1.SubscribeOrderedResponse) error {
				if len(r.GetMessage().GetMessage().GetPayload()) > 60<<10 && r.GetMessage().GetResumeId() != "" && rand.N(20) == 0 {
					r = &pubsubv1.SubscribeOrderedResponse{Event: &pubsubv1.SubscribeOrderedResponse_Missed{Missed: &pubsubv1.Missed{Count: 1}}}
				}
				return send(r)
			}
		})),
		of("MissedHasNoCount", withSend(func(_ *pubsubv1.SubscribeOrderedRequest, send orderedSend) orderedSend {
			return func(r *pubsubv1.SubscribeOrderedResponse) error {
				if r.GetMissed() != nil {
					r = &pubsubv1.SubscribeOrderedResponse{Event: &pubsubv1.SubscribeOrderedResponse_Missed{Missed: &pubsubv1.Missed{}}}
				}
				return send(r)
			}
		})),
		of("EveryMessageHasAResumeId", withMessages(func(m *pubsubv1.OrderedMessage) {
			if m.GetResumeId() == "" {
				m.ResumeId = "resume"
			}
		})),
		of("OrderingKeyIsNotTold", withMessages(func(m *pubsubv1.OrderedMessage) { m.GetMessage().OrderingKey = "" })),
		of("PublishTimeIsNotTold", withMessages(func(m *pubsubv1.OrderedMessage) { m.GetMessage().PublishTime = nil })),
		of("PublishTimeHasNanoseconds", withMessages(func(m *pubsubv1.OrderedMessage) {
			if m.GetMessage().GetPublishTime() != nil {
				m.GetMessage().PublishTime.Nanos++
			}
		})),
		of("KeysIgnoreCase", withPublish(func(r *pubsubv1.PublishOrderedRequest) {
			if lower := strings.ToLower(r.GetOrderingKey()); len(lower) == len(r.GetOrderingKey()) {
				r.OrderingKey = lower
			}
		})),
		of("EmptyKeyIsAccepted", withPublish(func(r *pubsubv1.PublishOrderedRequest) {
			if r.GetOrderingKey() == "" {
				r.OrderingKey = "none"
			}
		})),
	}
}

// swapping passes on what a call sends, two that come at once in the wrong order.
func swapping[Response any](ctx context.Context, call func(ctx context.Context, put func(Response) error) error, send func(Response) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	items, done := make(chan Response, 1<<16), make(chan struct{})
	go func() {
		defer close(done)
		for first := range items {
			pair := []Response{first}
			select {
			case second, ok := <-items:
				if ok {
					pair = []Response{second, first}
				}
			case <-time.After(2 * time.Millisecond):
			}
			for _, item := range pair {
				if err := send(item); err != nil {
					cancel(err)
					return
				}
			}
		}
	}()
	err := call(ctx, func(item Response) error {
		items <- item
		return nil
	})
	close(items)
	<-done
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}
