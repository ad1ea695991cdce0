package pubsubtest_test

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/runtime/fault"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

// persistentWith is an implementation with some calls replaced; one that is nil is the real one.
type persistentWith struct {
	pubsubv1.Persistent
	publish     func(ctx context.Context, request *pubsubv1.PublishPersistentRequest) (*pubsubv1.PublishPersistentResponse, error)
	subscribe   func(ctx context.Context, request *pubsubv1.SubscribeDurableRequest, send func(*pubsubv1.SubscribeDurableResponse) error) error
	last        func(ctx context.Context, request *pubsubv1.GetLastMessageIDRequest) (*pubsubv1.GetLastMessageIDResponse, error)
	acknowledge func(ctx context.Context, request *pubsubv1.AcknowledgeRequest) (*pubsubv1.AcknowledgeResponse, error)
}

func (p persistentWith) PublishPersistent(ctx context.Context, request *pubsubv1.PublishPersistentRequest) (*pubsubv1.PublishPersistentResponse, error) {
	if p.publish != nil {
		return p.publish(ctx, request)
	}
	return p.Persistent.PublishPersistent(ctx, request)
}

func (p persistentWith) SubscribeDurable(ctx context.Context, request *pubsubv1.SubscribeDurableRequest, send func(*pubsubv1.SubscribeDurableResponse) error) error {
	if p.subscribe != nil {
		return p.subscribe(ctx, request, send)
	}
	return p.Persistent.SubscribeDurable(ctx, request, send)
}

func (p persistentWith) GetLastMessageID(ctx context.Context, request *pubsubv1.GetLastMessageIDRequest) (*pubsubv1.GetLastMessageIDResponse, error) {
	if p.last != nil {
		return p.last(ctx, request)
	}
	return p.Persistent.GetLastMessageID(ctx, request)
}

func (p persistentWith) Acknowledge(ctx context.Context, request *pubsubv1.AcknowledgeRequest) (*pubsubv1.AcknowledgeResponse, error) {
	if p.acknowledge != nil {
		return p.acknowledge(ctx, request)
	}
	return p.Persistent.Acknowledge(ctx, request)
}

type durableSend = func(*pubsubv1.SubscribeDurableResponse) error

func persistentMutants() []mutant {
	of := func(name string, mutate func(right pubsubv1.Persistent) pubsubv1.Persistent) mutant {
		return mutant{Name: name, Mutate: func(i *prism.Interfaces) { i.PubSubPersistent = mutate(i.PubSubPersistent) }}
	}
	withRequest := func(change func(*pubsubv1.SubscribeDurableRequest)) func(pubsubv1.Persistent) pubsubv1.Persistent {
		return func(right pubsubv1.Persistent) pubsubv1.Persistent {
			return persistentWith{Persistent: right, subscribe: func(ctx context.Context, request *pubsubv1.SubscribeDurableRequest, send func(*pubsubv1.SubscribeDurableResponse) error) error {
				request = proto.CloneOf(request)
				change(request)
				return right.SubscribeDurable(ctx, request, send)
			}}
		}
	}
	withSend := func(change func(right pubsubv1.Persistent, ctx context.Context, request *pubsubv1.SubscribeDurableRequest, send durableSend) durableSend) func(pubsubv1.Persistent) pubsubv1.Persistent {
		return func(right pubsubv1.Persistent) pubsubv1.Persistent {
			return persistentWith{Persistent: right, subscribe: func(ctx context.Context, request *pubsubv1.SubscribeDurableRequest, send func(*pubsubv1.SubscribeDurableResponse) error) error {
				return right.SubscribeDurable(ctx, request, change(right, ctx, request, send))
			}}
		}
	}
	withAcknowledge := func(change func(ctx context.Context, right pubsubv1.Persistent, request *pubsubv1.AcknowledgeRequest) (*pubsubv1.AcknowledgeResponse, error)) func(pubsubv1.Persistent) pubsubv1.Persistent {
		return func(right pubsubv1.Persistent) pubsubv1.Persistent {
			return persistentWith{Persistent: right, acknowledge: func(ctx context.Context, request *pubsubv1.AcknowledgeRequest) (*pubsubv1.AcknowledgeResponse, error) {
				return change(ctx, right, request)
			}}
		}
	}
	withUnsubscribe := func(name string, change func(*pubsubv1.UnsubscribeRequest)) mutant {
		return mutant{Name: name, Mutate: func(i *prism.Interfaces) {
			right := i.PubSubBasic
			i.PubSubBasic = basicWith{Basic: right, unsubscribe: func(ctx context.Context, request *pubsubv1.UnsubscribeRequest) (*pubsubv1.UnsubscribeResponse, error) {
				request = proto.CloneOf(request)
				change(request)
				return right.Unsubscribe(ctx, request)
			}}
		}}
	}
	var streams atomic.Int64
	return []mutant{
		of("StartsAtTheEarliestUnlessSaid", withRequest(func(r *pubsubv1.SubscribeDurableRequest) {
			if r.GetStart() == nil {
				r.Start = &pubsubv1.SubscribeDurableRequest_StartPoint{StartPoint: pubsubv1.StartPoint_START_POINT_EARLIEST}
			}
		})),
		of("StartTimeIsIgnored", withRequest(func(r *pubsubv1.SubscribeDurableRequest) {
			if r.GetStartTime() != nil {
				r.Start = &pubsubv1.SubscribeDurableRequest_StartPoint{StartPoint: pubsubv1.StartPoint_START_POINT_EARLIEST}
			}
		})),
		of("StartTimeIsCutToMilliseconds", withRequest(func(r *pubsubv1.SubscribeDurableRequest) {
			if r.GetStartTime() != nil {
				r.GetStartTime().Nanos -= r.GetStartTime().GetNanos() % 1e6
			}
		})),
		of("StartTimeInTheFutureIsTheLatest", withRequest(func(r *pubsubv1.SubscribeDurableRequest) {
			if r.GetStartTime().AsTime().After(time.Now()) {
				r.Start = nil
			}
		})),
		of("StartOfOneThatIsThereCounts", func(right pubsubv1.Persistent) pubsubv1.Persistent {
			return persistentWith{Persistent: right, subscribe: func(ctx context.Context, request *pubsubv1.SubscribeDurableRequest, send func(*pubsubv1.SubscribeDurableResponse) error) error {
				if request.GetStart() == nil {
					return right.SubscribeDurable(ctx, request, send)
				}
				request = proto.CloneOf(request)
				request.Subscription += "." + strconv.Itoa(len(request.GetStartAfterMessageId())) + request.GetStartPoint().String()
				return right.SubscribeDurable(ctx, request, send)
			}}
		}),
		of("StreamsDoNotShare", withRequest(func(r *pubsubv1.SubscribeDurableRequest) {
			r.Subscription += "." + strconv.FormatInt(streams.Add(1), 10)
		})),
		of("MaxUnacknowledgedIsIgnored", withRequest(func(r *pubsubv1.SubscribeDurableRequest) { r.MaxUnacknowledged = 10_000 })),
		of("AcknowledgementTimeoutIsIgnored", withRequest(func(r *pubsubv1.SubscribeDurableRequest) { r.AcknowledgementTimeout = durationpb.New(12 * time.Hour) })),
		of("MessageComesAgainWhileItIsAwaited", withSend(func(_ pubsubv1.Persistent, _ context.Context, _ *pubsubv1.SubscribeDurableRequest, send durableSend) durableSend {
			n := 0
			return func(r *pubsubv1.SubscribeDurableResponse) error {
				if n++; r.GetMessage() != nil && n%7 == 0 {
					if err := send(r); err != nil {
						return err
					}
				}
				return send(r)
			}
		})),
		of("SentMessagesAreSettled", withSend(func(right pubsubv1.Persistent, ctx context.Context, request *pubsubv1.SubscribeDurableRequest, send durableSend) durableSend {
			return func(r *pubsubv1.SubscribeDurableResponse) error {
				if r.GetMessage() != nil {
					_, _ = right.Acknowledge(ctx, &pubsubv1.AcknowledgeRequest{Topic: request.GetTopic(), Subscription: request.GetSubscription(), Receipts: []string{r.GetMessage().GetReceipt()}})
				}
				return send(r)
			}
		})),
		of("DeliveryCountIsOneTooMany", withSend(func(_ pubsubv1.Persistent, _ context.Context, _ *pubsubv1.SubscribeDurableRequest, send durableSend) durableSend {
			return func(r *pubsubv1.SubscribeDurableResponse) error {
				if r.GetMessage() != nil {
					r.GetMessage().DeliveryCount++
				}
				return send(r)
			}
		})),
		of("DeliveryCountIsZero", withSend(func(_ pubsubv1.Persistent, _ context.Context, _ *pubsubv1.SubscribeDurableRequest, send durableSend) durableSend {
			return func(r *pubsubv1.SubscribeDurableResponse) error {
				if r.GetMessage() != nil {
					r.GetMessage().DeliveryCount = 0
				}
				return send(r)
			}
		})),
		of("NeighboursChangePlaces", func(right pubsubv1.Persistent) pubsubv1.Persistent {
			return persistentWith{Persistent: right, subscribe: func(ctx context.Context, request *pubsubv1.SubscribeDurableRequest, send func(*pubsubv1.SubscribeDurableResponse) error) error {
				return swapping(ctx, func(ctx context.Context, put durableSend) error { return right.SubscribeDurable(ctx, request, put) }, send)
			}}
		}),
		of("AcknowledgeDoesNothing", withAcknowledge(func(_ context.Context, _ pubsubv1.Persistent, request *pubsubv1.AcknowledgeRequest) (*pubsubv1.AcknowledgeResponse, error) {
			if len(request.GetReceipts()[0]) < 30 {
				return nil, fault.New(fault.FailedPrecondition, "receipts[0]: is none")
			}
			return &pubsubv1.AcknowledgeResponse{}, nil
		})),
		of("AcknowledgeSettlesWhatCameBefore", func(right pubsubv1.Persistent) pubsubv1.Persistent {
			var mu sync.Mutex
			var receipts []string // in the order in which they were sent
			return persistentWith{
				Persistent: right,
				subscribe: func(ctx context.Context, request *pubsubv1.SubscribeDurableRequest, send func(*pubsubv1.SubscribeDurableResponse) error) error {
					return right.SubscribeDurable(ctx, request, func(r *pubsubv1.SubscribeDurableResponse) error {
						mu.Lock()
						receipts = append(receipts, r.GetMessage().GetReceipt())
						mu.Unlock()
						return send(r)
					})
				},
				acknowledge: func(ctx context.Context, request *pubsubv1.AcknowledgeRequest) (*pubsubv1.AcknowledgeResponse, error) {
					response, err := right.Acknowledge(ctx, request)
					mu.Lock()
					defer mu.Unlock()
					for n, receipt := range receipts {
						if receipt == request.GetReceipts()[0] && err == nil {
							for _, before := range receipts[:n] {
								one := proto.CloneOf(request)
								one.Receipts = []string{before}
								_, _ = right.Acknowledge(ctx, one)
							}
						}
					}
					return response, err
				},
			}
		}),
		of("ReceiptsAreSettledOneByOne", withAcknowledge(func(ctx context.Context, right pubsubv1.Persistent, request *pubsubv1.AcknowledgeRequest) (*pubsubv1.AcknowledgeResponse, error) {
			if len(request.GetReceipts()) < 2 {
				return right.Acknowledge(ctx, request)
			}
			for _, receipt := range request.GetReceipts() {
				one := proto.CloneOf(request)
				one.Receipts = []string{receipt}
				if _, err := right.Acknowledge(ctx, one); err != nil {
					return nil, err
				}
			}
			return &pubsubv1.AcknowledgeResponse{}, nil
		})),
		of("UnknownReceiptIsOK", withAcknowledge(func(ctx context.Context, right pubsubv1.Persistent, request *pubsubv1.AcknowledgeRequest) (*pubsubv1.AcknowledgeResponse, error) {
			response, err := right.Acknowledge(ctx, request)
			if fault.CodeOf(err) == fault.FailedPrecondition {
				return &pubsubv1.AcknowledgeResponse{}, nil
			}
			return response, err
		})),
		of("SecondAcknowledgementIsRefused", func(right pubsubv1.Persistent) pubsubv1.Persistent {
			var settled sync.Map
			return persistentWith{Persistent: right, acknowledge: func(ctx context.Context, request *pubsubv1.AcknowledgeRequest) (*pubsubv1.AcknowledgeResponse, error) {
				for _, receipt := range request.GetReceipts() {
					if _, again := settled.LoadOrStore(receipt, true); again {
						return nil, fault.New(fault.FailedPrecondition, "receipts: one is used up")
					}
				}
				return right.Acknowledge(ctx, request)
			}}
		}),
		withUnsubscribe("ForgetIsIgnored", func(r *pubsubv1.UnsubscribeRequest) { r.Forget = false }),
		withUnsubscribe("UnsubscribeForgets", func(r *pubsubv1.UnsubscribeRequest) { r.Forget = true }),
		of("MessageIdOfElsewhereStartsAtTheEarliest", func(right pubsubv1.Persistent) pubsubv1.Persistent {
			return persistentWith{Persistent: right, subscribe: func(ctx context.Context, request *pubsubv1.SubscribeDurableRequest, send func(*pubsubv1.SubscribeDurableResponse) error) error {
				err := right.SubscribeDurable(ctx, request, send)
				if fault.CodeOf(err) != fault.InvalidArgument || !strings.Contains(err.Error(), "start_after_message_id") {
					return err
				}
				request = proto.CloneOf(request)
				request.Start = &pubsubv1.SubscribeDurableRequest_StartPoint{StartPoint: pubsubv1.StartPoint_START_POINT_EARLIEST}
				return right.SubscribeDurable(ctx, request, send)
			}}
		}),
		of("LastMessageIsTheFirst", func(right pubsubv1.Persistent) pubsubv1.Persistent {
			var mu sync.Mutex
			var first *pubsubv1.GetLastMessageIDResponse
			return persistentWith{Persistent: right, last: func(ctx context.Context, request *pubsubv1.GetLastMessageIDRequest) (*pubsubv1.GetLastMessageIDResponse, error) {
				mu.Lock()
				defer mu.Unlock()
				response, err := right.GetLastMessageID(ctx, request)
				if first == nil && response.GetFound() {
					first = response
				}
				if first != nil {
					return first, err
				}
				return response, err
			}}
		}),
		of("LastMessageOfAnEmptyTopicIsNotFound", func(right pubsubv1.Persistent) pubsubv1.Persistent {
			return persistentWith{Persistent: right, last: func(ctx context.Context, request *pubsubv1.GetLastMessageIDRequest) (*pubsubv1.GetLastMessageIDResponse, error) {
				response, err := right.GetLastMessageID(ctx, request)
				if err == nil && !response.GetFound() {
					return nil, fault.New(fault.NotFound, "the topic is empty")
				}
				return response, err
			}}
		}),
		of("RepeatedMessageIsKeptOnce", func(right pubsubv1.Persistent) pubsubv1.Persistent {
			var mu sync.Mutex
			known := make(map[string]*pubsubv1.PublishPersistentResponse)
			return persistentWith{Persistent: right, publish: func(ctx context.Context, request *pubsubv1.PublishPersistentRequest) (*pubsubv1.PublishPersistentResponse, error) {
				mu.Lock()
				defer mu.Unlock()
				if response, ok := known[string(request.GetPayload())]; ok {
					return response, nil
				}
				response, err := right.PublishPersistent(ctx, request)
				if err == nil && len(request.GetPayload()) > 0 {
					known[string(request.GetPayload())] = response
				}
				return response, err
			}}
		}),
	}
}
