package multicastregistry

import (
	"context"
	"errors"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/runtime/fault"

	patternsv1 "github.com/prismgate/prism/gen/go/prism/patterns/v1"
	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

// identitySubscription is the name of a box's durable subscription within its topic.
const identitySubscription = "identity"

// durableMailbox keeps messages in a topic of the slot messaging, of which each box has one with a durable subscription.
type durableMailbox struct {
	basic   pubsubv1.Basic
	durable pubsubv1.Persistent
}

func messageTopic(box string) string { return box + ".messages" }

func (d *durableMailbox) keeps() bool { return true }

// prepare does nothing: the subscription begins with the oldest message of a topic that nobody else has.
func (d *durableMailbox) prepare(context.Context, string) error { return nil }

func (d *durableMailbox) put(
	ctx context.Context, box string, request *patternsv1.MulticastRequest, online func() (bool, error),
) (patternsv1.MulticastOutcome, error) {
	_, err := d.durable.PublishPersistent(ctx, &pubsubv1.PublishPersistentRequest{Topic: messageTopic(box), Payload: request.GetPayload(), Metadata: request.GetMetadata()})
	if err != nil {
		return patternsv1.MulticastOutcome_MULTICAST_OUTCOME_FAILED, err
	}
	if isOnline, err := online(); isOnline && err == nil {
		return patternsv1.MulticastOutcome_MULTICAST_OUTCOME_PUBLISHED, nil
	}
	return patternsv1.MulticastOutcome_MULTICAST_OUTCOME_QUEUED, nil
}

func (d *durableMailbox) take(ctx context.Context, box string, to *stream, ready func() error) error {
	request := &pubsubv1.SubscribeDurableRequest{
		Topic: messageTopic(box), Subscription: identitySubscription,
		Start: &pubsubv1.SubscribeDurableRequest_StartPoint{StartPoint: pubsubv1.StartPoint_START_POINT_EARLIEST},
	}
	if to.acknowledge {
		request.AcknowledgementTimeout, request.MaxUnacknowledged = durationpb.New(to.timeout), uint32(to.window.size)
	}
	return d.durable.SubscribeDurable(ctx, request, func(response *pubsubv1.SubscribeDurableResponse) error {
		switch {
		case response.GetSubscribed() != nil:
			return ready()
		case response.GetMissed() != nil:
			return to.missed(response.GetMissed().GetCount())
		}
		m := response.GetMessage()
		message := &patternsv1.MulticastMessage{
			Payload: m.GetMessage().GetPayload(), Metadata: m.GetMessage().GetMetadata(), MessageId: m.GetMessage().GetMessageId(),
			PublishTime: m.GetMessage().GetPublishTime(), DeliveryCount: m.GetDeliveryCount(),
		}
		if to.acknowledge {
			message.Receipt = m.GetReceipt()
			return to.message(message)
		}
		if err := to.message(message); err != nil {
			return err
		}
		after, cancel := afterwards(ctx)
		defer cancel()
		_, err := d.acknowledge(after, box, []string{m.GetReceipt()})
		return err
	})
}

// acknowledge settles receipts all at once; when one of them is none, each alone.
func (d *durableMailbox) acknowledge(ctx context.Context, box string, receipts []string) ([]string, error) {
	_, err := d.durable.Acknowledge(ctx, &pubsubv1.AcknowledgeRequest{Topic: messageTopic(box), Subscription: identitySubscription, Receipts: receipts})
	if fault.CodeOf(err) != fault.FailedPrecondition {
		return nil, err
	}
	if len(receipts) == 1 {
		return receipts, nil
	}
	var unsettled []string
	for i := range receipts {
		stale, err := d.acknowledge(ctx, box, receipts[i:i+1])
		if err != nil {
			return nil, err
		}
		unsettled = append(unsettled, stale...)
	}
	return unsettled, nil
}

// redrive has nothing to bring back: such messages come again until they are acknowledged.
func (d *durableMailbox) redrive(context.Context, string) (uint32, error) { return 0, nil }

// drop forgets the subscription, which takes the id of a stream; the messages go with their retention.
func (d *durableMailbox) drop(ctx context.Context, box string) error {
	forgotten := errors.New("forgotten")
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	err := d.durable.SubscribeDurable(ctx, &pubsubv1.SubscribeDurableRequest{Topic: messageTopic(box), Subscription: identitySubscription, MaxUnacknowledged: 1},
		func(response *pubsubv1.SubscribeDurableResponse) error {
			if response.GetSubscribed() == nil {
				return nil
			}
			_, err := d.basic.Unsubscribe(ctx, &pubsubv1.UnsubscribeRequest{SubscriptionId: response.GetSubscribed().GetSubscriptionId(), Forget: true})
			cancel(forgotten)
			return err
		})
	if errors.Is(context.Cause(ctx), forgotten) && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
