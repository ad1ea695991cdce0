package nats

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
	"github.com/prismgate/prism/runtime/fault"
)

const (
	// ackSlack is how much longer than the acknowledgement timeout the server waits: it begins when it gives a message to the gateway, and the timeout begins when that has sent it.
	ackSlack = 250 * time.Millisecond
	// maxStreams is how many streams may wait for a message of one durable subscription.
	maxStreams = 100_000
	// lastStart is the latest time that the server is told to start at; it counts nanoseconds in 64 bits.
	lastStart = 1 << 32
)

// durable is a durable subscription: a record in the stream of keys that all gateways read, and a consumer of the server, which has the position.
type durable struct {
	*pubSub
	hash   string // of namespace, topic and name
	topic  string
	record record
	// revision is the sequence of the record.
	revision uint64
}

// record is what is kept of a durable subscription besides the consumer's position. Times are milliseconds since 1970.
type record struct {
	// Generation tells it from another one of the same name.
	Generation uint64 `json:"generation"`
	// Timeout is the acknowledgement timeout, in milliseconds.
	Timeout int64 `json:"timeout"`
	// Start is the sequence of the first message that it may get.
	Start uint64 `json:"start"`
	// NotBefore is the least publish time of a message that it gets; 0 when it gets them all.
	NotBefore int64 `json:"not_before,omitempty"`
	// Known is a time up to which it has missed nothing.
	Known int64 `json:"known"`
	// Missed tells that messages are gone that it was to start with, and that no stream was told so.
	Missed bool `json:"missed,omitempty"`
}

func (d *durable) subject() string { return d.store.subject(kindState, "sub", d.hash) }

// consumer is the name of the consumer: another one for each generation, so that a receipt cannot settle a message of the next.
func (d *durable) consumer() string {
	return d.hash + "-" + strconv.FormatUint(d.record.Generation, 36)
}

func (d *durable) timeout() time.Duration { return time.Duration(d.record.Timeout) * time.Millisecond }

// load reads the record, and tells whether there is one.
func (d *durable) load(ctx context.Context) (bool, error) {
	found, err := d.store.last(ctx, "nats.pubsub.SubscribeDurable", d.store.keys, d.subject())
	if err != nil {
		return false, err
	}
	d.record, d.revision = record{}, 0
	if found == nil {
		return false, nil
	}
	d.revision = found.Sequence
	if len(found.Data) == 0 { // forgotten
		return false, nil
	}
	if err := json.Unmarshal(found.Data, &d.record); err != nil {
		return false, fault.Wrap(err, fault.DataLoss, "nats.pubsub", "the record of a durable subscription cannot be read")
	}
	return true, nil
}

// save writes the record, nothing for a subscription that is forgotten, unless another gateway has since it was read.
func (d *durable) save(ctx context.Context, forgotten bool) error {
	var data []byte
	ttl := removedTTL
	if !forgotten {
		data, _ = json.Marshal(d.record) // cannot fail
		ttl = 0
	}
	revision, err := d.store.keep(ctx, "nats.pubsub.SubscribeDurable", false, d.subject(), data, ttl, d.revision)
	if err == nil {
		d.revision = revision
	}
	return err
}

// durable returns a durable subscription, made if it is not there.
func (p *pubSub) durable(ctx context.Context, request *pubsubv1.SubscribeDurableRequest) (*durable, error) {
	d := &durable{pubSub: p, topic: request.GetTopic(), hash: hash(p.name, request.GetTopic(), request.GetSubscription())}
	for {
		there, err := d.load(ctx)
		if err != nil {
			return nil, err
		}
		if there {
			return d, d.consume(ctx)
		}
		if d.record, err = p.newRecord(ctx, request); err != nil {
			return nil, err
		}
		if err := d.save(ctx, false); err == nil {
			return d, d.consume(ctx)
		} else if !isConflict(err) {
			return nil, err
		}
	}
}

// newRecord makes the record of a subscription that is not there.
func (p *pubSub) newRecord(ctx context.Context, request *pubsubv1.SubscribeDurableRequest) (record, error) {
	now, err := p.store.clock.now(ctx)
	if err != nil {
		return record{}, err
	}
	made := record{Generation: rand.Uint64(), Timeout: defaultAcknowledgementTimeout.Milliseconds(), Start: 1, Known: now.UnixMilli()} //nolint:gosec // a name, no secret
	if timeout := request.GetAcknowledgementTimeout(); timeout != nil {
		made.Timeout = ceil(timeout).Milliseconds()
	}
	switch start := request.GetStart().(type) {
	case *pubsubv1.SubscribeDurableRequest_StartAfterMessageId:
		position, err := p.store.tokens.Open(start.StartAfterMessageId, p.name, "message", persistent, request.GetTopic())
		if err != nil {
			return record{}, fault.Invalid("start_after_message_id",
				"is no id of a message of PublishPersistent in this topic; pass a message_id of this topic, unchanged")
		}
		sequence := binary.BigEndian.Uint64(position)
		made.Start = sequence + 1
		at, err := p.store.timeOf(ctx, sequence)
		if err != nil {
			return record{}, err
		}
		if at != 0 {
			made.Known = at
			return made, nil
		}
		made.Missed, err = p.startGone(ctx, sequence+1)
		return made, err
	case *pubsubv1.SubscribeDurableRequest_StartTime:
		made.NotBefore = ceilMilliseconds(start.StartTime.AsTime())
		if made.NotBefore < now.Add(-p.store.retention).UnixMilli() {
			made.Missed, err = p.startGone(ctx, 1)
			return made, err
		}
	default:
		if request.GetStartPoint() == pubsubv1.StartPoint_START_POINT_EARLIEST {
			break
		}
		last, err := p.store.last(ctx, "nats.pubsub.SubscribeDurable", p.store.topics, p.kept(persistent, request.GetTopic()))
		if err != nil {
			return record{}, err
		}
		if last != nil {
			made.Start = last.Sequence + 1
		}
	}
	return made, nil
}

// startGone tells whether messages are gone that a new subscription was to start with: some from a sequence on, of whichever topic, which is all that the server tells.
func (p *pubSub) startGone(ctx context.Context, next uint64) (bool, error) {
	first, err := p.store.firstKept(ctx)
	return first > next, err
}

// timeOf returns when a message of the stream of topics was kept, in milliseconds since 1970; 0 when it is not there any more.
func (s *Store) timeOf(ctx context.Context, sequence uint64) (int64, error) {
	var at int64
	err := s.do(ctx, "nats.pubsub", true, func(ctx context.Context) error {
		message, err := s.topics.GetMsg(ctx, sequence)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		if err == nil {
			at = message.Time.UnixMilli()
		}
		return err
	})
	return at, err
}

// ceilMilliseconds returns the first whole millisecond since 1970 that is not before a time.
func ceilMilliseconds(t time.Time) int64 {
	if t.Nanosecond()%int(time.Millisecond) == 0 {
		return t.UnixMilli()
	}
	return t.UnixMilli() + 1
}

// consume makes the consumer of the record. One that is there stays as it is.
func (d *durable) consume(ctx context.Context) error {
	config := jetstream.ConsumerConfig{
		Durable: d.consumer(), FilterSubject: d.kept(persistent, d.topic), AckPolicy: jetstream.AckExplicitPolicy, AckWait: d.timeout() + ackSlack,
		MaxDeliver: -1, MaxAckPending: -1, MaxWaiting: maxStreams, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: d.record.Start,
	}
	if d.record.NotBefore != 0 {
		at := time.Unix(min(max(d.record.NotBefore/1000, 0), lastStart), 0)
		config.DeliverPolicy, config.OptStartSeq, config.OptStartTime = jetstream.DeliverByStartTimePolicy, 0, &at
	}
	return d.store.do(ctx, "nats.pubsub.SubscribeDurable", true, func(ctx context.Context) error {
		_, err := d.store.topics.CreateConsumer(ctx, config)
		if errors.Is(err, jetstream.ErrConsumerExists) {
			return nil // its configuration reads a little differently after an upgrade of the server
		}
		return err
	})
}

// still tells whether the subscription is there as it was loaded. The consumer of one that was forgotten is removed: it may have been made after that.
func (d *durable) still(ctx context.Context) (bool, error) {
	now := durable{pubSub: d.pubSub, hash: d.hash}
	there, err := now.load(ctx)
	if err != nil || there && now.record.Generation == d.record.Generation {
		return err == nil, err
	}
	return false, d.removeConsumer(ctx)
}

// forget removes the record, if it is still of this generation, and the consumer, and ends the streams on all gateways. Who repeats it finishes what was begun.
func (d *durable) forget(ctx context.Context, generation uint64) error {
	for {
		there, err := d.load(ctx)
		if err != nil {
			return err
		}
		if !there || d.record.Generation != generation {
			d.record.Generation = generation
			break
		}
		err = d.save(ctx, true)
		if err == nil {
			break
		}
		if !isConflict(err) {
			return err
		}
	}
	err := d.removeConsumer(ctx)
	d.store.endGeneration(generation)
	return errors.Join(err, d.store.tell(ctx, everyGateway, note{Forgotten: generation}))
}

// removeConsumer removes the consumer of the record's generation.
func (d *durable) removeConsumer(ctx context.Context) error {
	return d.store.do(ctx, "nats.pubsub.Unsubscribe", true, func(ctx context.Context) error {
		err := d.store.topics.DeleteConsumer(ctx, d.consumer())
		if isGone(err) {
			return nil
		}
		return err
	})
}
