package postgres

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"google.golang.org/protobuf/types/known/timestamppb"

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

// Where a durable subscription starts, unless it is behind a position.
const (
	startAtEnd       = -1
	startAtBeginning = -2
)

// GetLastMessageID tells the newest kept message of a topic.
func (p *pubSub) GetLastMessageID(ctx context.Context, request *pubsubv1.GetLastMessageIDRequest) (*pubsubv1.GetLastMessageIDResponse, error) {
	var position int64
	var published time.Time
	err := p.store.do(ctx, "postgres.pubsub.GetLastMessageID", true, func(ctx context.Context) error {
		position = 0
		err := p.store.pool.QueryRow(ctx, newestSQL, p.namespace, request.GetTopic()).Scan(&position, &published)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if position == 0 {
		return &pubsubv1.GetLastMessageIDResponse{}, nil
	}
	return &pubsubv1.GetLastMessageIDResponse{Found: true, MessageId: p.messageID(request.GetTopic(), false, position), PublishTime: timestamppb.New(published)}, nil
}

// SubscribeDurable streams the messages of a durable subscription.
func (p *pubSub) SubscribeDurable(ctx context.Context, request *pubsubv1.SubscribeDurableRequest, send func(*pubsubv1.SubscribeDurableResponse) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s := &durableStream{pubSub: p, name: rand.Text(), topic: request.GetTopic(), subscription: request.GetSubscription(), window: int(request.GetMaxUnacknowledged())}
	if s.window == 0 {
		s.window = defaultMaxUnacknowledged
	}
	if err := s.find(ctx, request); err != nil {
		return err
	}
	p.store.listener.awaitWakes()
	durable := append(binary.BigEndian.AppendUint64(nil, uint64(s.id)), p.store.listener.instance...) //nolint:gosec // it is positive
	stream, err := p.hub.Open(durable)
	if err != nil {
		return err
	}
	defer stream.End(nil)
	s.stream = stream
	p.addDurable(s)
	defer s.leave(ctx)
	if err := send(&pubsubv1.SubscribeDurableResponse{Event: &pubsubv1.SubscribeDurableResponse_Subscribed{
		Subscribed: &pubsubv1.Subscribed{SubscriptionId: stream.ID()},
	}}); err != nil {
		return err
	}
	return fanout.Follow(ctx, stream, s.next, func(d *delivery) error { return s.send(d, send) })
}

// find finds the durable subscription, which is made if it is not there.
func (s *durableStream) find(ctx context.Context, request *pubsubv1.SubscribeDurableRequest) error {
	p := s.pubSub
	timeout := defaultAcknowledgementTimeout
	if request.GetAcknowledgementTimeout() != nil {
		timeout = request.GetAcknowledgementTimeout().AsDuration()
	}
	start, notBefore, err := p.start(request)
	if err != nil {
		return err
	}
	return p.store.do(ctx, "postgres.pubsub.SubscribeDurable", false, func(ctx context.Context) error {
		for {
			var kept int64
			err := p.store.pool.QueryRow(ctx, subscribeSQL, p.namespace, request.GetTopic(), false, request.GetSubscription(), microseconds(timeout), start, notBefore).Scan(&s.id, &kept)
			s.timeout = time.Duration(kept) * time.Microsecond
			if !errors.Is(err, pgx.ErrNoRows) { // else somebody makes it just now
				return err
			}
		}
	})
}

// start tells where a new durable subscription starts.
func (p *pubSub) start(request *pubsubv1.SubscribeDurableRequest) (position int64, notBefore pgtype.Timestamptz, err error) {
	notBefore = pgtype.Timestamptz{InfinityModifier: pgtype.NegativeInfinity, Valid: true}
	switch start := request.GetStart().(type) {
	case *pubsubv1.SubscribeDurableRequest_StartPoint:
		if start.StartPoint == pubsubv1.StartPoint_START_POINT_EARLIEST {
			return startAtBeginning, notBefore, nil
		}
	case *pubsubv1.SubscribeDurableRequest_StartAfterMessageId:
		position, ok := p.position(request.GetTopic(), false, start.StartAfterMessageId)
		if !ok {
			return 0, notBefore, fault.Invalid("start_after_message_id", "is no id of a message of PublishPersistent in this topic; pass a message_id of this topic, unchanged")
		}
		return position, notBefore, nil
	case *pubsubv1.SubscribeDurableRequest_StartTime:
		// Publish times are in whole milliseconds.
		at := start.StartTime.AsTime().Add(time.Millisecond - 1).Truncate(time.Millisecond)
		return startAtBeginning, pgtype.Timestamptz{Time: at, Valid: true}, nil
	}
	return startAtEnd, notBefore, nil
}

func (p *pubSub) addDurable(s *durableStream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.durables == nil {
		p.durables = make(map[string]map[*durableStream]struct{})
	}
	if p.durables[s.topic] == nil {
		p.durables[s.topic] = make(map[*durableStream]struct{})
	}
	p.durables[s.topic][s] = struct{}{}
}

func (p *pubSub) removeDurable(s *durableStream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.durables[s.topic], s)
	if len(p.durables[s.topic]) == 0 {
		delete(p.durables, s.topic)
	}
	if len(p.durables) == 0 {
		p.durables = nil // maps never shrink
	}
}

// Acknowledge settles deliveries.
func (p *pubSub) Acknowledge(ctx context.Context, request *pubsubv1.AcknowledgeRequest) (*pubsubv1.AcknowledgeResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var id int64
	positions := make([]int64, len(request.GetReceipts()))
	for i, receipt := range request.GetReceipts() {
		of, position, ok := p.openReceipt(request.GetTopic(), request.GetSubscription(), receipt)
		if !ok || i > 0 && of != id {
			return nil, errReceipt(i)
		}
		id, positions[i] = of, position
	}
	var there bool
	err := p.store.do(ctx, "postgres.pubsub.Acknowledge", true, func(ctx context.Context) error {
		return p.store.pool.QueryRow(ctx, settleSQL, id, p.namespace, request.GetTopic(), request.GetSubscription(), positions).Scan(&there)
	})
	if err != nil {
		return nil, err
	}
	if !there {
		return nil, errReceipt(0)
	}
	p.announceTopic(request.GetTopic())
	return &pubsubv1.AcknowledgeResponse{}, nil
}

// receipt makes the receipt of one delivery: of which durable subscription, of which message, and a number that tells it from other deliveries.
func (s *durableStream) receipt(position int64) string {
	content := binary.BigEndian.AppendUint64(nil, uint64(s.id))        //nolint:gosec // it is positive
	content = binary.BigEndian.AppendUint64(content, uint64(position)) //nolint:gosec // it is positive
	content = append(content, rand.Text()[:12]...)
	return s.pubSub.store.tokens.Seal(content, s.pubSub.name, "receipt", s.topic, s.subscription)
}

func (p *pubSub) openReceipt(topic, subscription, receipt string) (id, position int64, ok bool) {
	content, err := p.store.tokens.Open(receipt, p.name, "receipt", topic, subscription)
	if err != nil || len(content) < 16 {
		return 0, 0, false
	}
	id, position = int64(binary.BigEndian.Uint64(content)&math.MaxInt64), int64(binary.BigEndian.Uint64(content[8:])&math.MaxInt64)
	return id, position, true
}

func errReceipt(i int) error {
	return fault.New(fault.FailedPrecondition, "receipts[%d]: was not issued for this topic and subscription, or was before the subscription was forgotten; "+
		"none of the receipts has settled anything; pass receipts of this subscription, unchanged", i).WithReason(unknownReceipt)
}
