package multicastregistry

import (
	"bytes"
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/prismgate/prism/runtime/fault"

	patternsv1 "github.com/prismgate/prism/gen/go/prism/patterns/v1"
	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

// signals is how gateways tell each other about a mailbox. One that is lost is made up for: streams look into their queues and at their records from time to time.
type signals struct {
	pubsub pubsubv1.Basic
	// kept is the signal of that name, encoded.
	kept []byte
}

func newSignals(pubsub pubsubv1.Basic) (signals, error) {
	kept, err := proto.Marshal(&patternsv1.MulticastRegistrySignal{Signal: &patternsv1.MulticastRegistrySignal_Kept{Kept: true}})
	return signals{pubsub, kept}, err
}

func signalTopic(mailbox string) string { return mailbox + ".signals" }

// tell sends a signal to whoever has the mailbox's stream.
func (s signals) tell(ctx context.Context, mailbox string, signal *patternsv1.MulticastRegistrySignal) {
	if payload, err := proto.Marshal(signal); err == nil {
		s.publish(ctx, mailbox, payload)
	}
}

// tellKept signals that a message was put into the mailbox's queue. There are as many of these as messages, so that they are not made one by one.
func (s signals) tellKept(ctx context.Context, mailbox string) { s.publish(ctx, mailbox, s.kept) }

func (s signals) publish(ctx context.Context, mailbox string, payload []byte) {
	_, _ = s.pubsub.Publish(ctx, &pubsubv1.PublishRequest{Topic: signalTopic(mailbox), Payload: payload})
}

// listen hears the signals of a mailbox until the context ends or the slot fails. It calls active when no signal is lost from then on, and kept for that signal and
// also when some were lost.
func (s signals) listen(ctx context.Context, mailbox string, active, kept func(), heard func(*patternsv1.MulticastRegistrySignal)) error {
	err := s.pubsub.Subscribe(ctx, &pubsubv1.SubscribeRequest{Topic: signalTopic(mailbox)}, func(response *pubsubv1.SubscribeResponse) error {
		switch {
		case response.GetSubscribed() != nil:
			active()
		case response.GetMissed() != nil || bytes.Equal(response.GetMessage().GetPayload(), s.kept):
			kept()
		default:
			signal := new(patternsv1.MulticastRegistrySignal)
			if err := proto.Unmarshal(response.GetMessage().GetPayload(), signal); err == nil {
				heard(signal)
			}
		}
		return nil
	})
	if err == nil {
		err = fault.New(fault.Unavailable, "the subscription in the slot messaging was ended; subscribe again")
	}
	return err
}
