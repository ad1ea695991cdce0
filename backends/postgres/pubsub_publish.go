package postgres

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/prismgate/prism/runtime/backend"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

const (
	// partSize is how many bytes of a message one notification carries: under 8,000 with what goes before, in base64.
	partSize = 5800
	// partHeader is about what goes between the message's name and the part.
	partHeader = 16
)

// publication is a call that publishes.
type publication struct {
	message *pubsubv1.Message
	ordered bool
}

// publish makes a call, with others when it is small.
func (p *pubSub) publish(ctx context.Context, lane *backend.Lane[publication], run func(context.Context, []*publication) error, c *publication) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(c.message.GetPayload()) > smallCall {
		return run(ctx, []*publication{c})
	}
	return lane.Do(ctx, c)
}

// sendAll sends messages to all gateways that listen to the namespace.
func (p *pubSub) sendAll(ctx context.Context, batch []*publication) error {
	var texts []string
	for _, c := range batch {
		parts, err := p.parts(c)
		if err != nil {
			return err
		}
		texts = append(texts, parts...)
	}
	return p.store.do(ctx, "postgres.pubsub.Publish", false, func(ctx context.Context) error { return p.store.notify(ctx, p.channel, texts) })
}

// parts is a message as notifications: which message of which gateway, which part of how many, whether it is ordered, and the part. No two are the same, because the server
// leaves out the second of two equal ones.
func (p *pubSub) parts(c *publication) ([]string, error) {
	content, err := proto.Marshal(c.message)
	if err != nil {
		return nil, err
	}
	message := p.store.listener.instance + "." + strconv.FormatUint(p.published.Add(1), 10)
	texts := make([]string, len(content)/partSize+1)
	for n := range texts {
		data := content[n*partSize : min((n+1)*partSize, len(content))]
		text := make([]byte, 0, len(message)+partHeader+base64.RawStdEncoding.EncodedLen(len(data)))
		text = append(append(text, message...), ' ')
		text = append(strconv.AppendInt(text, int64(n), 10), ' ')
		text = append(strconv.AppendInt(text, int64(len(texts)), 10), ' ')
		text = append(strconv.AppendBool(text, c.ordered), ' ')
		texts[n] = string(base64.RawStdEncoding.AppendEncode(text, data))
	}
	return texts, nil
}

// part is a part of a message as it was notified.
type part struct {
	message  string // which
	n, count int
	ordered  bool
	data     string
}

// readPart reads what parts has made.
func readPart(text string) (part, bool) {
	fields := strings.SplitN(text, " ", 5)
	if len(fields) != 5 {
		return part{}, false
	}
	n, noNumber := strconv.Atoi(fields[1])
	count, noCount := strconv.Atoi(fields[2])
	return part{message: fields[0], n: n, count: count, ordered: fields[3] == "true", data: fields[4]}, noNumber == nil && noCount == nil
}

// assembly is a message whose parts come one after the other.
type assembly struct {
	message string // which
	next    int    // part
	content []byte
}

// hear gives a message that was sent to the namespace to the subscribers here, when its last part is there. Parts without their beginning are of a message that was sent before
// anybody listened here.
func (p *pubSub) hear(text string) {
	heard, ok := readPart(text)
	if !ok {
		return
	}
	a := &p.assembling
	if heard.n == 0 {
		*a = assembly{message: heard.message}
	}
	content, err := base64.RawStdEncoding.AppendDecode(a.content, []byte(heard.data))
	if err != nil || a.message != heard.message || a.next != heard.n {
		*a = assembly{}
		return
	}
	if a.next++; a.next < heard.count {
		a.content = content
		return
	}
	*a = assembly{}
	decoded := &pubsubv1.Message{}
	if proto.Unmarshal(content, decoded) == nil {
		p.hub.Publish(decoded, heard.ordered)
	}
}

// PublishPersistent keeps a message and sends it to the live subscriptions.
func (p *pubSub) PublishPersistent(ctx context.Context, request *pubsubv1.PublishPersistentRequest) (*pubsubv1.PublishPersistentResponse, error) {
	message := &pubsubv1.Message{Topic: request.GetTopic(), Payload: request.GetPayload(), Metadata: request.GetMetadata(), OrderingKey: request.GetOrderingKey()}
	if err := p.publish(ctx, p.kept, p.keepAll, &publication{message: message}); err != nil {
		return nil, err
	}
	return &pubsubv1.PublishPersistentResponse{MessageId: message.GetMessageId()}, nil
}

// PublishOrdered appends a message to its topic's order, which is one for all keys.
func (p *pubSub) PublishOrdered(ctx context.Context, request *pubsubv1.PublishOrderedRequest) (*pubsubv1.PublishOrderedResponse, error) {
	message := &pubsubv1.Message{Topic: request.GetTopic(), Payload: request.GetPayload(), Metadata: request.GetMetadata(), OrderingKey: request.GetOrderingKey()}
	if err := p.publish(ctx, p.kept, p.keepAll, &publication{message: message, ordered: true}); err != nil {
		return nil, err
	}
	return &pubsubv1.PublishOrderedResponse{MessageId: message.GetMessageId()}, nil
}

// keepAll keeps messages in one transaction, and then sends them to those who listen, in another one: a notification makes all others of the server wait until its transaction's end.
func (p *pubSub) keepAll(ctx context.Context, batch []*publication) error {
	topics, orders, contents := make([]string, len(batch)), make([]bool, len(batch)), make([][]byte, len(batch))
	for i, c := range batch {
		content, err := proto.Marshal(&pubsubv1.Message{Payload: c.message.GetPayload(), Metadata: c.message.GetMetadata(), OrderingKey: c.message.GetOrderingKey()})
		if err != nil {
			return err
		}
		topics[i], orders[i], contents[i] = c.message.GetTopic(), c.ordered, content
	}
	var life string
	err := p.store.do(ctx, "postgres.pubsub.PublishPersistent", false, func(ctx context.Context) error {
		return p.store.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) (err error) {
			if life, err = lifeOf(ctx, conn); err != nil {
				return err
			}
			return conn.SendBatch(ctx, p.keeping(batch, topics, orders, contents)).Close()
		})
	})
	if err == nil {
		err = p.store.disk.await(ctx, life)
	}
	if err != nil {
		return err
	}
	told := make(map[string]struct{})
	for _, c := range batch {
		topic := c.message.GetTopic()
		if _, done := told[topic]; !done && !c.ordered {
			told[topic] = struct{}{}
			p.announceTopic(topic)
		}
	}
	return p.sendAll(ctx, batch)
}

// keeping are the statements of a transaction that keeps messages.
func (p *pubSub) keeping(batch []*publication, topics []string, orders []bool, contents [][]byte) *pgx.Batch {
	statements := &pgx.Batch{}
	statements.Queue("begin")
	statements.Queue(lockSQL, p.lock)
	statements.Queue(keepSQL, p.namespace, topics, orders, contents).Query(func(rows pgx.Rows) error {
		var position int64
		var published time.Time
		_, err := pgx.ForEachRow(rows, []any{&position, &published}, func() error {
			c := batch[position&0xffff-1] // the position ends with the place in the batch
			c.message.MessageId, c.message.PublishTime = p.messageID(c.message.GetTopic(), c.ordered, position), timestamppb.New(published)
			return nil
		})
		return err
	})
	statements.Queue("commit")
	return statements
}

// The kinds of positions, which are not good for one another.
const (
	persistentID = "PublishPersistent"
	orderedID    = "PublishOrdered"
)

func idKind(ordered bool) string {
	if ordered {
		return orderedID
	}
	return persistentID
}

// messageID is the id of a kept message, bound to its topic. That of an ordered one is its resume id too.
func (p *pubSub) messageID(topic string, ordered bool, position int64) string {
	return p.store.tokens.Seal(binary.BigEndian.AppendUint64(nil, uint64(position)), p.name, idKind(ordered), topic) //nolint:gosec // it is positive
}

// position is what an id was made of.
func (p *pubSub) position(topic string, ordered bool, id string) (int64, bool) {
	opened, err := p.store.tokens.Open(id, p.name, idKind(ordered), topic)
	if err != nil || len(opened) != 8 {
		return 0, false
	}
	return int64(binary.BigEndian.Uint64(opened)), true //nolint:gosec // it was one
}
