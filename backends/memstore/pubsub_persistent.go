package memstore

import (
	"context"
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/prismgate/prism/runtime/fault"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

const (
	// publishPersistent is what the ids of kept messages are issued for.
	publishPersistent = "PublishPersistent"
	// defaultAcknowledgementTimeout is how long an acknowledgement is awaited when a subscription does not say; the contract's.
	defaultAcknowledgementTimeout = 30 * time.Second
	// defaultMaxUnacknowledged is how many messages of a stream may await acknowledgement when it does not say; the contract's.
	defaultMaxUnacknowledged = 1000
	// unknownReceipt is the reason that is given with FAILED_PRECONDITION.
	unknownReceipt = "RECEIPT_UNKNOWN"
)

// PublishPersistent keeps a message and sends it to the live subscriptions.
func (p *pubSub) PublishPersistent(ctx context.Context, request *pubsubv1.PublishPersistentRequest) (*pubsubv1.PublishPersistentResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	message := &pubsubv1.Message{Topic: request.GetTopic(), Payload: request.GetPayload(), Metadata: request.GetMetadata(), OrderingKey: request.GetOrderingKey()}
	t := p.lock(request.GetTopic())
	if t.persistent == nil {
		t.persistent = newKeptLog(p.clock)
	}
	p.keep(t.persistent, publishPersistent, message)
	p.trimTopic(t, 0, math.MaxInt)
	for _, d := range t.durables {
		d.wake()
	}
	p.unlock(t)
	p.offer(t, message, false)
	return &pubsubv1.PublishPersistentResponse{MessageId: message.GetMessageId()}, nil
}

// GetLastMessageID tells the newest kept message of a topic.
func (p *pubSub) GetLastMessageID(ctx context.Context, request *pubsubv1.GetLastMessageIDRequest) (*pubsubv1.GetLastMessageIDResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t := p.find(request.GetTopic())
	if t == nil {
		return &pubsubv1.GetLastMessageIDResponse{}, nil
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.persistent.len() == 0 {
		return &pubsubv1.GetLastMessageIDResponse{}, nil
	}
	last := t.persistent.at(t.persistent.end() - 1).message
	return &pubsubv1.GetLastMessageIDResponse{Found: true, MessageId: last.GetMessageId(), PublishTime: last.GetPublishTime()}, nil
}

// SubscribeDurable streams the messages of a durable subscription.
func (p *pubSub) SubscribeDurable(ctx context.Context, request *pubsubv1.SubscribeDurableRequest, send func(*pubsubv1.SubscribeDurableResponse) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s := &durableStream{window: int(request.GetMaxUnacknowledged())}
	if s.window == 0 {
		s.window = defaultMaxUnacknowledged
	}
	s.wake = make(chan struct{}, 1)
	d, err := p.joinDurable(request, s)
	if err != nil {
		return err
	}
	subscribed, err := p.register(&s.stream)
	if err != nil {
		s.leave()
		return err
	}
	defer p.end(s.id, nil)
	if err := send(&pubsubv1.SubscribeDurableResponse{Event: &pubsubv1.SubscribeDurableResponse_Subscribed{Subscribed: subscribed}}); err != nil {
		return err
	}
	return follow(ctx, &s.stream, func() (attempt, bool) { return d.take(s) }, func(a attempt) error {
		err := send(p.durableResponse(d, a))
		d.sent(s, a, err)
		return err
	})
}

// durableResponse is what an attempt sends.
func (p *pubSub) durableResponse(d *durable, a attempt) *pubsubv1.SubscribeDurableResponse {
	if a.delivery == nil {
		return &pubsubv1.SubscribeDurableResponse{Event: &pubsubv1.SubscribeDurableResponse_Missed{Missed: &pubsubv1.Missed{}}}
	}
	message := &pubsubv1.DurableMessage{Message: a.delivery.message, Receipt: p.receipt(d, a), DeliveryCount: a.count}
	return &pubsubv1.SubscribeDurableResponse{Event: &pubsubv1.SubscribeDurableResponse_Message{Message: message}}
}

// joinDurable adds a stream to a durable subscription, which is made if it is not there.
func (p *pubSub) joinDurable(request *pubsubv1.SubscribeDurableRequest, s *durableStream) (*durable, error) {
	t := p.lock(request.GetTopic())
	defer p.unlock(t)
	d, ok := t.durables[request.GetSubscription()]
	if !ok {
		made, err := p.newDurable(t, request)
		if err != nil {
			return nil, err
		}
		d = made
	}
	d.join(s)
	s.leave = func() {
		t.mu.Lock()
		d.leave(s)
		p.unlock(t)
	}
	return d, nil
}

// newDurable makes a durable subscription of a topic whose lock is held.
func (p *pubSub) newDurable(t *topic, request *pubsubv1.SubscribeDurableRequest) (*durable, error) {
	if t.persistent == nil {
		t.persistent = newKeptLog(p.clock)
	}
	d := &durable{clock: p.clock, topic: t, log: t.persistent, timeout: int64(defaultAcknowledgementTimeout), next: t.persistent.end(), notBefore: math.MinInt64}
	if timeout := request.GetAcknowledgementTimeout(); timeout != nil {
		d.timeout = int64(timeout.AsDuration())
	}
	switch start := request.GetStart().(type) {
	case *pubsubv1.SubscribeDurableRequest_StartPoint:
		if start.StartPoint == pubsubv1.StartPoint_START_POINT_EARLIEST {
			d.next = d.log.first
		}
	case *pubsubv1.SubscribeDurableRequest_StartAfterMessageId:
		offset, ok := p.offset(start.StartAfterMessageId, publishPersistent, t.name)
		if !ok {
			return nil, fault.Invalid("start_after_message_id",
				"is no id of a message of PublishPersistent in this topic, or was issued before the memstore was opened; pass a message_id of this topic, unchanged")
		}
		d.missed = offset+1 < d.log.first
		d.next = max(offset+1, d.log.first)
	case *pubsubv1.SubscribeDurableRequest_StartTime:
		d.notBefore = ceilMilliseconds(start.StartTime.AsTime())
		d.missed = d.log.lastRemoved >= d.notBefore
		d.next = d.log.first
	}
	if t.durables == nil {
		t.durables = make(map[string]*durable)
	}
	t.durables[request.GetSubscription()] = d
	d.name = request.GetSubscription()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last++
	d.number = p.last
	if p.durables == nil {
		p.durables = make(map[uint64]*durable)
	}
	p.durables[d.number] = d
	return d, nil
}

// ceilMilliseconds returns the first whole millisecond since 1970 that is not before a time.
func ceilMilliseconds(t time.Time) int64 {
	if t.Nanosecond()%int(time.Millisecond) == 0 {
		return t.UnixMilli()
	}
	return t.UnixMilli() + 1
}

// forget removes a durable subscription, if it is there, and ends its streams.
func (p *pubSub) forget(number uint64) {
	p.mu.Lock()
	d, ok := p.durables[number]
	delete(p.durables, number)
	p.mu.Unlock()
	if !ok {
		return
	}
	d.topic.mu.Lock()
	delete(d.topic.durables, d.name)
	streams := slices.Clone(d.streams)
	p.unlock(d.topic)
	for _, s := range streams {
		s.finish(nil) // one that is not registered yet hears it all the same
		p.end(s.id, nil)
	}
}

// Acknowledge settles deliveries.
func (p *pubSub) Acknowledge(ctx context.Context, request *pubsubv1.AcknowledgeRequest) (*pubsubv1.AcknowledgeResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d := p.findDurable(request.GetTopic(), request.GetSubscription())
	if d == nil {
		return nil, errReceipt(0)
	}
	offsets := make([]uint64, len(request.GetReceipts()))
	for i, receipt := range request.GetReceipts() {
		offset, ok := p.settles(d, receipt)
		if !ok {
			return nil, errReceipt(i)
		}
		offsets[i] = offset
	}
	d.settle(offsets)
	return &pubsubv1.AcknowledgeResponse{}, nil
}

// findDurable returns a durable subscription, or nil.
func (p *pubSub) findDurable(topic, name string) *durable {
	t := p.find(topic)
	if t == nil {
		return nil
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.durables[name]
}

// receipt makes the receipt of one delivery. It is bound to the durable subscription's number, which no other one gets.
func (p *pubSub) receipt(d *durable, a attempt) string {
	position := binary.BigEndian.AppendUint64(nil, a.delivery.offset)
	position = binary.BigEndian.AppendUint64(position, a.serial)
	return p.tokens.Seal(position, p.name, "receipt", strconv.FormatUint(d.number, 10))
}

// settles returns the offset of the message that a receipt was issued with.
func (p *pubSub) settles(d *durable, receipt string) (uint64, bool) {
	position, err := p.tokens.Open(receipt, p.name, "receipt", strconv.FormatUint(d.number, 10))
	if err != nil {
		return 0, false
	}
	return binary.BigEndian.Uint64(position), true
}

func errReceipt(i int) error {
	return fault.New(fault.FailedPrecondition, "receipts[%d]: was not issued for this topic and subscription, or was before the subscription was forgotten "+
		"or the memstore opened; none of the receipts has settled anything; pass receipts of this subscription, unchanged", i).WithReason(unknownReceipt)
}
