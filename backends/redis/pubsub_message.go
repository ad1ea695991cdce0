package redis

import (
	"context"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/prismgate/prism/runtime/fault"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

// What a published message begins with: how it is kept. Then come its topic and a blank, the id and a blank of one that is kept, and the message.
const (
	passing    = 'b'
	persistent = 'k'
	ordered    = 'o'
)

// encodeMessage appends a message as it is on the server, without what is known from where it is.
func encodeMessage(to []byte, message *pubsubv1.Message) ([]byte, error) {
	encoded, err := proto.MarshalOptions{}.MarshalAppend(to, message)
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "redis.pubsub", "the message cannot be encoded")
	}
	return encoded, nil
}

// publishedTopic returns the topic of a message that was published.
func publishedTopic(payload string) string {
	topic, _, _ := strings.Cut(payload, " ")
	return topic[min(1, len(topic)):]
}

// decodePublished returns a message that was published.
func (p *pubSub) decodePublished(payload string) (_ *pubsubv1.Message, isOrdered, ok bool) {
	head, rest, whole := strings.Cut(payload, " ")
	if !whole || head == "" {
		return nil, false, false
	}
	kind, topic := head[0], head[1:]
	message := &pubsubv1.Message{}
	switch kind {
	case passing:
		ok = proto.Unmarshal([]byte(rest), message) == nil
		message.Topic = topic
	case persistent, ordered:
		id, encoded, _ := strings.Cut(rest, " ")
		message, ok = p.decodeKept(kind, topic, id, encoded)
	}
	return message, kind == ordered, ok
}

// decodeKept returns a message that a topic keeps.
func (p *pubSub) decodeKept(kind byte, topic, id, encoded string) (*pubsubv1.Message, bool) {
	message := &pubsubv1.Message{}
	if err := proto.Unmarshal([]byte(encoded), message); err != nil {
		return nil, false
	}
	message.Topic, message.MessageId, message.PublishTime = topic, p.messageID(kind, topic, id), publishTime(id)
	return message, true
}

// publishTime is the time in an id of the server.
func publishTime(id string) *timestamppb.Timestamp {
	milliseconds, _, _ := strings.Cut(id, "-")
	number, _ := strconv.ParseInt(milliseconds, 10, 64)
	return timestamppb.New(time.UnixMilli(number))
}

// messageID makes a message id, or a resume id, of an id of the server. It is the same on every gateway.
func (p *pubSub) messageID(kind byte, topic, id string) string {
	return p.seal([]byte(id), p.name, "message", string(kind), topic)
}

// serverID undoes messageID.
func (p *pubSub) serverID(ctx context.Context, kind byte, topic, id string) (_ string, ok bool, err error) {
	opened, err := p.place.open(ctx, id, p.name, "message", string(kind), topic)
	if fault.CodeOf(err) == fault.InvalidArgument {
		return "", false, nil
	}
	return string(opened), err == nil, err
}

// seal makes a token. The key is known: who has something to seal has asked for it before.
func (p *pubSub) seal(position []byte, binding ...string) string {
	return p.place.sealing.Load().Seal(position, binding...)
}

func errForeignMessage(op string) error {
	return fault.New(fault.DataLoss, "a message on the server is not one that Prism has written; nobody else may change the keys of a namespace").WithOp(op)
}
