// Package fanout is the gateway's side of PubSub for backends whose server sends each message once to each gateway: it gives the message to all subscribers, each with its
// bounded buffer, counts what is missed, and ends streams by their ids.
//
// A backend has one [Hub] per namespace, and implements [Source], through which the hub asks the server for the messages of a topic or pattern. Serving a stream is one call:
//
//	func (p *pubSub) SubscribeFiltered(ctx context.Context, request *pubsubv1.SubscribeFilteredRequest, send func(*pubsubv1.SubscribeFilteredResponse) error) error {
//		matches, err := filter.Compile(request.GetFilter())
//		if err != nil {
//			return err
//		}
//		subscription := fanout.Subscription{Subject: fanout.Subject{Name: request.GetTopic()}, Buffer: request.GetBufferSize(), Filter: matches}
//		return p.hub.Serve(ctx, subscription, fanout.ToFiltered(send))
//	}
//
// What the server sends is given to [Hub.Deliver], when the server sends it once for each subject that the hub has joined (NATS, Redis), or to [Hub.Publish], when it sends it once
// for them all (PostgreSQL). Both wait for nobody. When the connection to the server is lost, [Hub.End] ends every stream, because messages may be lost uncounted; streams that
// are opened later join anew. [Hub.Close] ends them for good.
//
// SubscribeOrdered is served by the same call with a Read function, which reads the ordered messages where the server keeps them, at the subscriber's pace; a delivery with
// ordered set only says that there is one to be read. SubscribeDurable opens a [Stream] by [Hub.Open] and runs it by [Follow]; its subscription id carries what the backend gives
// to Open, so that Unsubscribe knows the durable subscription on every gateway.
package fanout

import (
	"context"
	"time"

	"github.com/prismgate/prism/runtime/filter"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

const (
	// defaultBuffer is how many messages may wait for a subscriber that does not say; the contract's.
	defaultBuffer = 1024
	// maxBufferedPayload is how many bytes of payload may wait for a subscriber; the contract's.
	maxBufferedPayload = 16 << 20
	// readAgain is how long a stream that reads kept messages trusts that it would have been told of a new one.
	readAgain = time.Second
)

// Subject is what a live subscription hears: a topic, or all topics that match a pattern.
type Subject struct {
	// Name is the topic or the pattern.
	Name string
	// Pattern tells which.
	Pattern bool
}

// Source is the server, as far as a hub needs it.
type Source interface {
	// Join makes sure that the server sends the messages of a subject, and returns when the server has confirmed it. It is called for each subscriber, not only for the first,
	// because what was published before must not reach a later one either. So it calls activate at the place in the order of what the server sends from where on the messages
	// are this subscriber's: best in the goroutine that delivers, when the confirmation comes. Where the server has no such order it is called last. It is called once, when
	// Join succeeds. Calls of Join and Leave for one subject do not overlap.
	Join(ctx context.Context, subject Subject, activate func()) error
	// Leave tells that the subject's last subscriber has gone. It may come when no Join has succeeded, and must not wait long.
	Leave(subject Subject)
}

// Subscription is what a live stream asks for.
type Subscription struct {
	// Subject is the topic or pattern.
	Subject Subject
	// Buffer is how many messages may wait for the subscriber; 0 means the contract's 1,024.
	Buffer uint32
	// Filter leaves messages out; nil leaves none out.
	Filter *filter.Filter
	// Read returns the next message that the server keeps for this stream, or a Missed, if there is any. It is asked again after a delivery with ordered set, and
	// about once a second in case one was lost. Nil: there is nothing to read, and deliveries with ordered set are messages like others.
	Read func(ctx context.Context) (Event, bool, error)
}

// Event is one message of a live subscription's stream, whichever method it is of. One of the first three is set.
type Event struct {
	// Subscribed is the first message.
	Subscribed *pubsubv1.Subscribed
	// Message was published.
	Message *pubsubv1.Message
	// Missed tells of messages that should stand here.
	Missed *pubsubv1.Missed
	// Resume is where to resume behind a message of PublishOrdered.
	Resume string
}
