package nats

import (
	"context"
	"log/slog"
	"strings"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
	"github.com/prismgate/prism/runtime/fanout"
)

var _ fanout.Source = (*pubSub)(nil)

// Join subscribes to a topic or pattern on the server, unless this gateway has.
func (p *pubSub) Join(ctx context.Context, subject fanout.Subject, activate func()) error {
	return p.store.do(ctx, "nats.pubsub.Subscribe", false, func(ctx context.Context) error {
		if err := p.subscribe(subject); err != nil {
			return err
		}
		// The answer to a ping comes behind all messages that the server sent before it knew of the subscription.
		if err := p.store.flush(ctx); err != nil {
			return err
		}
		return p.store.receiver.mark(ctx, activate)
	})
}

func (p *pubSub) subscribe(subject fanout.Subject) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.live[subject] != nil {
		return nil
	}
	sub, err := p.store.receiver.subscribe(p.store.subject(kindLive, "*", p.token, topicTokens(subject.Name)), func(m *nats.Msg) { p.deliver(subject, m) })
	if err != nil {
		return err
	}
	if p.live == nil {
		p.live = make(map[fanout.Subject]*heard)
	}
	p.live[subject] = &heard{sub: sub}
	return nil
}

// Leave ends the subscription on the server.
func (p *pubSub) Leave(subject fanout.Subject) {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := p.live[subject]
	if left == nil {
		return
	}
	delete(p.live, subject)
	if len(p.live) == 0 {
		p.live = nil // maps never shrink
	}
	p.store.receiver.forget(left.sub)
	_ = left.sub.Unsubscribe() // fails when the connection is closed
}

// deliver gives a message that the server has sent to the live subscribers. A kept one carries what the server says of where it is kept.
func (p *pubSub) deliver(subject fanout.Subject, m *nats.Msg) {
	method, _, _ := strings.Cut(strings.TrimPrefix(m.Subject, p.store.prefix+"."+kindLive+"."), ".")
	message, err := p.received(subject, method, m)
	if err != nil {
		p.store.env.Log.Warn("a live message cannot be read; its subscribers miss it", slog.Any("error", err))
		return
	}
	p.hub.Deliver(subject, message, method == ordered)
}

func (p *pubSub) received(subject fanout.Subject, method string, m *nats.Msg) (*pubsubv1.Message, error) {
	if method == passing {
		message := new(pubsubv1.Message)
		return message, proto.Unmarshal(m.Data, message)
	}
	kept, err := stored(m)
	if err != nil {
		return nil, err
	}
	if method == ordered {
		p.note(subject, kept.Sequence)
	}
	return p.decode(method, kept.Data, kept.Sequence, kept.Time)
}

// heard is a subject that the gateway has subscribed to on the server.
type heard struct {
	sub *nats.Subscription
	// readers are told of messages of PublishOrdered.
	readers map[*orderedReader]struct{}
}

// note tells readers that a message of PublishOrdered came.
func (p *pubSub) note(subject fanout.Subject, sequence uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if is := p.live[subject]; is != nil {
		for reader := range is.readers {
			if reader.came == 0 {
				reader.came = sequence
			}
		}
	}
}

// enter lets a reader be told, from now on. Its topic is subscribed to.
func (r *orderedReader) enter() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if is := r.live[fanout.Subject{Name: r.topic}]; is != nil {
		if is.readers == nil {
			is.readers = make(map[*orderedReader]struct{})
		}
		is.readers[r] = struct{}{}
	}
}

// exit undoes enter.
func (r *orderedReader) exit() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if is := r.live[fanout.Subject{Name: r.topic}]; is != nil {
		delete(is.readers, r)
	}
}

// arrived returns the sequence of the first message that came since it was asked last; 0 when none did.
func (r *orderedReader) arrived() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	came := r.came
	r.came = 0
	return came
}
