package redis

import (
	"context"
	"crypto/rand"
	"strconv"
	"strings"
	"time"

	"github.com/prismgate/prism/runtime/fanout"
	"github.com/prismgate/prism/runtime/fault"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

const (
	// defaultAcknowledgementTimeout is how long an acknowledgement is awaited when a subscription does not say; the contract's.
	defaultAcknowledgementTimeout = 30 * time.Second
	// defaultMaxUnacknowledged is how many messages of a stream may await acknowledgement when it does not say; the contract's.
	defaultMaxUnacknowledged = 1000
	// unknownReceipt is the reason that is given with FAILED_PRECONDITION.
	unknownReceipt = "RECEIPT_UNKNOWN"
)

// PublishPersistent keeps a message and sends it to the live subscriptions.
func (p *pubSub) PublishPersistent(ctx context.Context, request *pubsubv1.PublishPersistentRequest) (*pubsubv1.PublishPersistentResponse, error) {
	id, err := p.keep(ctx, "redis.pubsub.PublishPersistent", persistent, request.GetTopic(), &pubsubv1.Message{
		Payload: request.GetPayload(), Metadata: request.GetMetadata(), OrderingKey: request.GetOrderingKey(),
	})
	if err != nil {
		return nil, err
	}
	return &pubsubv1.PublishPersistentResponse{MessageId: id}, nil
}

// GetLastMessageID tells the newest kept message of a topic.
func (p *pubSub) GetLastMessageID(ctx context.Context, request *pubsubv1.GetLastMessageIDRequest) (*pubsubv1.GetLastMessageIDResponse, error) {
	if _, err := p.place.tokens(ctx); err != nil {
		return nil, err
	}
	answer, err := p.run(ctx, "redis.pubsub.GetLastMessageID", true, pubsubLast, request.GetTopic())
	id := asText(answer)
	if err != nil || id == "" {
		return &pubsubv1.GetLastMessageIDResponse{}, err
	}
	return &pubsubv1.GetLastMessageIDResponse{Found: true, MessageId: p.messageID(persistent, request.GetTopic(), id), PublishTime: publishTime(id)}, nil
}

// SubscribeDurable streams the messages of a durable subscription.
func (p *pubSub) SubscribeDurable(ctx context.Context, request *pubsubv1.SubscribeDurableRequest, send func(*pubsubv1.SubscribeDurableResponse) error) error {
	hub, err := p.streams(ctx)
	if err != nil {
		return err
	}
	s, err := p.openDurable(ctx, request)
	if err != nil {
		return err
	}
	defer s.close(ctx)
	if s.stream, err = hub.Open([]byte(s.number + " " + s.key)); err != nil {
		return err
	}
	defer s.stream.End(nil)
	on := p.prefix + "w:" + s.topic
	defer p.place.listener.leave(on, s) // it may be listening also when it has not come to know
	err = p.place.do(ctx, "redis.pubsub.SubscribeDurable", true, func(ctx context.Context) error { return p.place.listener.listen(ctx, on, s, nil) })
	if err != nil {
		return err
	}
	subscribed := &pubsubv1.Subscribed{SubscriptionId: s.stream.ID()}
	if err := send(&pubsubv1.SubscribeDurableResponse{Event: &pubsubv1.SubscribeDurableResponse_Subscribed{Subscribed: subscribed}}); err != nil {
		return err
	}
	return fanout.Follow(ctx, s.stream, s.next, func(d delivery) error { return s.send(d, send) })
}

// openDurable opens a stream of a durable subscription on the server, which makes the subscription if it is not there.
func (p *pubSub) openDurable(ctx context.Context, request *pubsubv1.SubscribeDurableRequest) (*durableStream, error) {
	how, start := "latest", ""
	switch from := request.GetStart().(type) {
	case *pubsubv1.SubscribeDurableRequest_StartPoint:
		if from.StartPoint == pubsubv1.StartPoint_START_POINT_EARLIEST {
			how = "earliest"
		}
	case *pubsubv1.SubscribeDurableRequest_StartAfterMessageId:
		id, ok, err := p.serverID(ctx, persistent, request.GetTopic(), from.StartAfterMessageId)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, fault.Invalid("start_after_message_id",
				"is no id of a message of PublishPersistent in this topic; pass a message_id of this topic, unchanged")
		}
		how, start = "behind", id
	case *pubsubv1.SubscribeDurableRequest_StartTime:
		how, start = "time", strconv.FormatInt(ceilMilliseconds(from.StartTime.AsTime()), 10)
	}
	timeout := defaultAcknowledgementTimeout
	if request.GetAcknowledgementTimeout() != nil {
		timeout = request.GetAcknowledgementTimeout().AsDuration()
	}
	s := &durableStream{pubSub: p, topic: request.GetTopic(), name: request.GetSubscription(), key: rand.Text(), window: int(request.GetMaxUnacknowledged()), batch: 1}
	if s.window == 0 {
		s.window = defaultMaxUnacknowledged
	}
	number, err := p.run(ctx, "redis.pubsub.SubscribeDurable", true, pubsubSubscribe, s.topic, s.name, s.key, how, start, microseconds(timeout))
	s.number = asText(number)
	return s, err
}

// ceilMilliseconds returns the first whole millisecond since 1970 that is not before a time, and 0 for a time before 1970.
func ceilMilliseconds(t time.Time) int64 {
	milliseconds := t.UnixMilli()
	if t.Nanosecond()%int(time.Millisecond) != 0 {
		milliseconds++
	}
	return max(0, milliseconds)
}

// endDurable ends a stream of a durable subscription on the server, and may forget the subscription. It tells whether the stream was there.
func (p *pubSub) endDurable(ctx context.Context, op, number, stream string, forget, missed bool, sent string) (bool, error) {
	forgets, misses := "", "0"
	if forget {
		forgets = "forget"
	}
	if missed {
		misses = "1"
	}
	was, err := p.run(ctx, op, false, pubsubEnd, number, stream, forgets, misses, sent)
	return asNumber(was) == 1, err
}

// Acknowledge settles deliveries.
func (p *pubSub) Acknowledge(ctx context.Context, request *pubsubv1.AcknowledgeRequest) (*pubsubv1.AcknowledgeResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	arguments := []any{request.GetTopic(), request.GetSubscription(), ""}
	for i, receipt := range request.GetReceipts() {
		number, id, ok, err := p.openReceipt(ctx, request.GetTopic(), request.GetSubscription(), receipt)
		if err != nil {
			return nil, err
		}
		if !ok || i > 0 && number != arguments[2] {
			return nil, errReceipt(i)
		}
		arguments[2] = number
		arguments = append(arguments, id)
	}
	settled, err := p.run(ctx, "redis.pubsub.Acknowledge", true, pubsubAcknowledge, arguments...)
	if err != nil {
		return nil, err
	}
	if asNumber(settled) != 1 {
		return nil, errReceipt(0)
	}
	return &pubsubv1.AcknowledgeResponse{}, nil
}

// receipt makes the receipt of one delivery. It holds the durable subscription's number, which no other one gets.
func (p *pubSub) receipt(s *durableStream, d delivery) string {
	return p.seal([]byte(s.number+" "+d.id+" "+d.serial), p.name, "receipt", s.topic, s.name)
}

// openReceipt returns the number of the durable subscription and the id of the message that a receipt was issued for.
func (p *pubSub) openReceipt(ctx context.Context, topic, name, receipt string) (number, id string, ok bool, err error) {
	opened, err := p.place.open(ctx, receipt, p.name, "receipt", topic, name)
	if fault.CodeOf(err) == fault.InvalidArgument {
		return "", "", false, nil
	}
	if err != nil {
		return "", "", false, err
	}
	number, rest, _ := strings.Cut(string(opened), " ")
	id, _, _ = strings.Cut(rest, " ")
	return number, id, true, nil
}

func errReceipt(i int) error {
	return fault.New(fault.FailedPrecondition, "receipts[%d]: was not issued for this topic and subscription, or was before the subscription was forgotten; "+
		"none of the receipts has settled anything; pass receipts of this subscription, unchanged", i).WithReason(unknownReceipt)
}
