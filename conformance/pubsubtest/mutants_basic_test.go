package pubsubtest_test

import (
	"context"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/runtime/fault"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

type (
	publishCall     = func(ctx context.Context, request *pubsubv1.PublishRequest) (*pubsubv1.PublishResponse, error)
	subscribeCall   = func(ctx context.Context, request *pubsubv1.SubscribeRequest, send func(*pubsubv1.SubscribeResponse) error) error
	unsubscribeCall = func(ctx context.Context, request *pubsubv1.UnsubscribeRequest) (*pubsubv1.UnsubscribeResponse, error)
)

// basicWith is an implementation with some calls replaced; one that is nil is the real one.
type basicWith struct {
	pubsubv1.Basic
	publish     publishCall
	subscribe   subscribeCall
	unsubscribe unsubscribeCall
}

func (b basicWith) Publish(ctx context.Context, request *pubsubv1.PublishRequest) (*pubsubv1.PublishResponse, error) {
	if b.publish != nil {
		return b.publish(ctx, request)
	}
	return b.Basic.Publish(ctx, request)
}

func (b basicWith) Subscribe(ctx context.Context, request *pubsubv1.SubscribeRequest, send func(*pubsubv1.SubscribeResponse) error) error {
	if b.subscribe != nil {
		return b.subscribe(ctx, request, send)
	}
	return b.Basic.Subscribe(ctx, request, send)
}

func (b basicWith) Unsubscribe(ctx context.Context, request *pubsubv1.UnsubscribeRequest) (*pubsubv1.UnsubscribeResponse, error) {
	if b.unsubscribe != nil {
		return b.unsubscribe(ctx, request)
	}
	return b.Basic.Unsubscribe(ctx, request)
}

// sendFunc sends a message of a stream of Subscribe.
type sendFunc = func(*pubsubv1.SubscribeResponse) error

// withPublish changes requests of Publish.
func withPublish(change func(*pubsubv1.PublishRequest)) func(pubsubv1.Basic) pubsubv1.Basic {
	return func(right pubsubv1.Basic) pubsubv1.Basic {
		return basicWith{Basic: right, publish: func(ctx context.Context, request *pubsubv1.PublishRequest) (*pubsubv1.PublishResponse, error) {
			request = proto.CloneOf(request)
			change(request)
			return right.Publish(ctx, request)
		}}
	}
}

// withStream changes what a stream sends. The change is made anew for each stream.
func withStream(change func(send sendFunc) sendFunc) func(pubsubv1.Basic) pubsubv1.Basic {
	return func(right pubsubv1.Basic) pubsubv1.Basic {
		return basicWith{Basic: right, subscribe: func(ctx context.Context, request *pubsubv1.SubscribeRequest, send func(*pubsubv1.SubscribeResponse) error) error {
			return right.Subscribe(ctx, request, change(send))
		}}
	}
}

// withUnsubscribe changes what Unsubscribe answers.
func withUnsubscribe(change func(response *pubsubv1.UnsubscribeResponse, err error) (*pubsubv1.UnsubscribeResponse, error)) func(pubsubv1.Basic) pubsubv1.Basic {
	return func(right pubsubv1.Basic) pubsubv1.Basic {
		return basicWith{Basic: right, unsubscribe: func(ctx context.Context, request *pubsubv1.UnsubscribeRequest) (*pubsubv1.UnsubscribeResponse, error) {
			return change(right.Unsubscribe(ctx, request))
		}}
	}
}

func basicMutants() []mutant {
	of := func(name string, mutate func(right pubsubv1.Basic) pubsubv1.Basic) mutant {
		return mutant{Name: name, Mutate: func(i *prism.Interfaces) { i.PubSubBasic = mutate(i.PubSubBasic) }}
	}
	return []mutant{
		of("StreamBeginsWithoutSubscribed", withStream(func(send sendFunc) sendFunc {
			return func(r *pubsubv1.SubscribeResponse) error {
				if r.GetSubscribed() != nil {
					return nil
				}
				return send(r)
			}
		})),
		of("SubscriptionIsActiveAfterItsFirstMessage", withStream(func(send sendFunc) sendFunc {
			first := true
			return func(r *pubsubv1.SubscribeResponse) error {
				if r.GetMessage() != nil && first {
					first = false
					return nil
				}
				return send(r)
			}
		})),
		of("MessageComesTwiceNowAndThen", withStream(func(send sendFunc) sendFunc {
			n := 0
			return func(r *pubsubv1.SubscribeResponse) error {
				if n++; n == 20 {
					if err := send(r); err != nil {
						return err
					}
				}
				return send(r)
			}
		})),
		of("MissedIsNotTold", withStream(func(send sendFunc) sendFunc {
			return func(r *pubsubv1.SubscribeResponse) error {
				if r.GetMissed() != nil {
					return nil
				}
				return send(r)
			}
		})),
		of("MissedCountsOccasions", withStream(func(send sendFunc) sendFunc {
			return func(r *pubsubv1.SubscribeResponse) error {
				if r.GetMissed() != nil {
					r = &pubsubv1.SubscribeResponse{Event: &pubsubv1.SubscribeResponse_Missed{Missed: &pubsubv1.Missed{Count: 1}}}
				}
				return send(r)
			}
		})),
		of("MissedIsToldWithTheNextMessage", withStream(func(send sendFunc) sendFunc {
			var held *pubsubv1.SubscribeResponse
			return func(r *pubsubv1.SubscribeResponse) error {
				if r.GetMissed() != nil {
					held = r
					return nil
				}
				if held != nil {
					missed := held
					held = nil
					if err := send(missed); err != nil {
						return err
					}
				}
				return send(r)
			}
		})),
		of("BufferIsHalfAsLarge", func(right pubsubv1.Basic) pubsubv1.Basic {
			return basicWith{Basic: right, subscribe: func(ctx context.Context, request *pubsubv1.SubscribeRequest, send func(*pubsubv1.SubscribeResponse) error) error {
				request = proto.CloneOf(request)
				request.BufferSize = max(request.GetBufferSize(), 1024*(1-min(1, request.GetBufferSize())))/2 + 1
				return right.Subscribe(ctx, request, send)
			}}
		}),
		of("BufferHasNoBound", func(right pubsubv1.Basic) pubsubv1.Basic {
			return basicWith{Basic: right, subscribe: func(ctx context.Context, request *pubsubv1.SubscribeRequest, send func(*pubsubv1.SubscribeResponse) error) error {
				ctx, cancel := context.WithCancel(ctx)
				defer cancel()
				request = proto.CloneOf(request)
				request.BufferSize = max(request.GetBufferSize(), 65536)
				q := newQueue()
				failed := make(chan error, 1)
				go func() {
					for r := q.take(ctx); r != nil; r = q.take(ctx) {
						if err := send(r); err != nil {
							failed <- err
							cancel()
							return
						}
					}
					failed <- nil
				}()
				err := right.Subscribe(ctx, request, q.put)
				q.close()
				if sent := <-failed; sent != nil {
					return sent
				}
				return err
			}}
		}),
		of("PublisherWaitsForSubscribers", func(right pubsubv1.Basic) pubsubv1.Basic {
			turn := make(chan struct{}, 1)
			return basicWith{
				Basic: right,
				publish: func(ctx context.Context, request *pubsubv1.PublishRequest) (*pubsubv1.PublishResponse, error) {
					select {
					case turn <- struct{}{}:
						defer func() { <-turn }()
						return right.Publish(ctx, request)
					case <-ctx.Done():
						return nil, ctx.Err()
					}
				},
				subscribe: func(ctx context.Context, request *pubsubv1.SubscribeRequest, send func(*pubsubv1.SubscribeResponse) error) error {
					return right.Subscribe(ctx, request, func(r *pubsubv1.SubscribeResponse) error {
						if r.GetMessage() == nil {
							return send(r)
						}
						select {
						case turn <- struct{}{}:
							defer func() { <-turn }()
							return send(r)
						case <-ctx.Done():
							return ctx.Err()
						}
					})
				},
			}
		}),
		of("TopicsIgnoreCase", func(right pubsubv1.Basic) pubsubv1.Basic {
			return basicWith{
				Basic: right,
				publish: func(ctx context.Context, request *pubsubv1.PublishRequest) (*pubsubv1.PublishResponse, error) {
					request = proto.CloneOf(request)
					request.Topic = strings.ToLower(request.GetTopic())
					return right.Publish(ctx, request)
				},
				subscribe: func(ctx context.Context, request *pubsubv1.SubscribeRequest, send func(*pubsubv1.SubscribeResponse) error) error {
					request = proto.CloneOf(request)
					request.Topic = strings.ToLower(request.GetTopic())
					return right.Subscribe(ctx, request, send)
				},
			}
		}),
		of("PayloadIsCutAt1MiB", withPublish(func(r *pubsubv1.PublishRequest) { r.Payload = r.GetPayload()[:min(len(r.GetPayload()), 1<<20)] })),
		of("MetadataAreLost", withPublish(func(r *pubsubv1.PublishRequest) { r.Metadata = nil })),
		of("EmptyMetadataValuesAreLost", withPublish(func(r *pubsubv1.PublishRequest) {
			for key, value := range r.GetMetadata() {
				if value == "" {
					delete(r.Metadata, key)
				}
			}
		})),
		of("RepeatedMessageIsDropped", func(right pubsubv1.Basic) pubsubv1.Basic {
			var mu sync.Mutex
			last := make(map[string]string)
			return basicWith{Basic: right, publish: func(ctx context.Context, request *pubsubv1.PublishRequest) (*pubsubv1.PublishResponse, error) {
				mu.Lock()
				same := last[request.GetTopic()] == string(request.GetPayload())
				last[request.GetTopic()] = string(request.GetPayload())
				mu.Unlock()
				if same {
					return &pubsubv1.PublishResponse{}, nil
				}
				return right.Publish(ctx, request)
			}}
		}),
		of("PublishIgnoresTheContext", func(right pubsubv1.Basic) pubsubv1.Basic {
			return basicWith{Basic: right, publish: func(ctx context.Context, request *pubsubv1.PublishRequest) (*pubsubv1.PublishResponse, error) {
				return right.Publish(context.WithoutCancel(ctx), request)
			}}
		}),
		of("UnsubscribeAlwaysSaysUnsubscribed", withUnsubscribe(func(_ *pubsubv1.UnsubscribeResponse, err error) (*pubsubv1.UnsubscribeResponse, error) {
			return &pubsubv1.UnsubscribeResponse{Unsubscribed: true}, err
		})),
		of("UnsubscribeOfAnUnknownIdIsOK", withUnsubscribe(func(response *pubsubv1.UnsubscribeResponse, err error) (*pubsubv1.UnsubscribeResponse, error) {
			if fault.CodeOf(err) == fault.FailedPrecondition {
				return &pubsubv1.UnsubscribeResponse{}, nil
			}
			return response, err
		})),
		of("UnsubscribedStreamEndsWithAnError", func(right pubsubv1.Basic) pubsubv1.Basic {
			return basicWith{Basic: right, subscribe: func(ctx context.Context, request *pubsubv1.SubscribeRequest, send func(*pubsubv1.SubscribeResponse) error) error {
				if err := right.Subscribe(ctx, request, send); err != nil {
					return err
				}
				return fault.New(fault.Unavailable, "the subscription has ended")
			}}
		}),
		of("SendErrorIsSwallowed", func(right pubsubv1.Basic) pubsubv1.Basic {
			return basicWith{Basic: right, subscribe: func(ctx context.Context, request *pubsubv1.SubscribeRequest, send func(*pubsubv1.SubscribeResponse) error) error {
				err := right.Subscribe(ctx, request, send)
				if fault.CodeOf(err) == fault.Unknown || fault.CodeOf(err) == fault.Internal {
					return nil
				}
				return err
			}}
		}),
	}
}

// queue is a queue without a bound.
type queue struct {
	mu     sync.Mutex
	items  []*pubsubv1.SubscribeResponse
	closed bool
	wake   chan struct{}
}

func newQueue() *queue { return &queue{wake: make(chan struct{}, 1)} }

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *queue) put(r *pubsubv1.SubscribeResponse) error {
	q.mu.Lock()
	q.items = append(q.items, r)
	q.mu.Unlock()
	q.signal()
	return nil
}

func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.signal()
}

// take returns the next item, or nil when there will be none.
func (q *queue) take(ctx context.Context) *pubsubv1.SubscribeResponse {
	for {
		q.mu.Lock()
		if len(q.items) > 0 {
			first := q.items[0]
			q.items = q.items[1:]
			q.mu.Unlock()
			return first
		}
		closed := q.closed
		q.mu.Unlock()
		if closed {
			return nil
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
			return nil
		}
	}
}
