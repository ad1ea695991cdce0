package multicastregistry

import (
	"context"

	"github.com/prismgate/prism/runtime/fault"

	patternsv1 "github.com/prismgate/prism/gen/go/prism/patterns/v1"
	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

// liveMailbox keeps nothing: a message reaches whoever listens to the box's topic.
type liveMailbox struct{ basic pubsubv1.Basic }

func (l *liveMailbox) keeps() bool { return false }

func (l *liveMailbox) prepare(context.Context, string) error { return nil }

func (l *liveMailbox) put(
	ctx context.Context, box string, request *patternsv1.MulticastRequest, online func() (bool, error),
) (patternsv1.MulticastOutcome, error) {
	const failed = patternsv1.MulticastOutcome_MULTICAST_OUTCOME_FAILED
	isOnline, err := online()
	if err != nil {
		return failed, err
	}
	if !isOnline {
		return failed, fault.New(fault.FailedPrecondition, "it is not online, and nothing keeps messages: the slot durability is empty, and the slot messaging has no pubsub_persistent")
	}
	_, err = l.basic.Publish(ctx, &pubsubv1.PublishRequest{Topic: messageTopic(box), Payload: request.GetPayload(), Metadata: request.GetMetadata()})
	if err != nil {
		return failed, err
	}
	return patternsv1.MulticastOutcome_MULTICAST_OUTCOME_PUBLISHED, nil
}

func (l *liveMailbox) take(ctx context.Context, box string, to *stream, ready func() error) error {
	err := l.basic.Subscribe(ctx, &pubsubv1.SubscribeRequest{Topic: messageTopic(box)}, func(response *pubsubv1.SubscribeResponse) error {
		switch {
		case response.GetSubscribed() != nil:
			return ready()
		case response.GetMissed() != nil:
			return to.missed(response.GetMissed().GetCount())
		}
		return to.message(&patternsv1.MulticastMessage{Payload: response.GetMessage().GetPayload(), Metadata: response.GetMessage().GetMetadata()})
	})
	if err == nil {
		err = fault.New(fault.Unavailable, "the subscription in the slot messaging was ended; subscribe again")
	}
	return err
}

// acknowledge settles nothing: no message has a receipt.
func (l *liveMailbox) acknowledge(_ context.Context, _ string, receipts []string) ([]string, error) {
	return receipts, nil
}

func (l *liveMailbox) redrive(context.Context, string) (uint32, error) { return 0, nil }

func (l *liveMailbox) drop(context.Context, string) error { return nil }
