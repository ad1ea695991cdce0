package memstore

import (
	"encoding/binary"
	"math"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
	"github.com/prismgate/prism/runtime/ring"
)

// keptOverhead is what a kept message counts besides its payload, metadata and ordering key: about what it takes.
const keptOverhead = 256

// keptLog holds the messages of a topic that are kept, in the order of their publication. Its topic's lock guards it; a nil one is empty.
type keptLog struct {
	// first is the offset of the oldest message that is kept, and of the next one when none is.
	first   uint64
	entries ring.Ring[kept]
	bytes   uint64
	// lastRemoved is the latest publish time of a message that was removed, in milliseconds since 1970; long ago when none was.
	lastRemoved int64
}

// kept is a message that is kept.
type kept struct {
	message   *pubsubv1.Message
	published int64 // in milliseconds since 1970
	deadline  int64 // on the store's clock
}

// newKeptLog returns an empty log. The topic may have had one before, which was freed, and whose ids must not come again: offsets begin with the clock's
// nanoseconds, because nobody publishes more than one message in each.
func newKeptLog(clock clock) *keptLog {
	return &keptLog{first: uint64(clock.now()), lastRemoved: math.MinInt64}
}

func (l *keptLog) len() int {
	if l == nil {
		return 0
	}
	return l.entries.Len()
}

// end returns the offset of the next message.
func (l *keptLog) end() uint64 { return l.first + uint64(l.len()) }

// at returns the message of an offset, which must be kept.
func (l *keptLog) at(offset uint64) *kept { return l.entries.At(int(offset - l.first)) }

// keep gives a message its place at the end of a log, an id and a time.
func (p *pubSub) keep(log *keptLog, procedure string, message *pubsubv1.Message) {
	now := time.Now().UnixMilli()
	message.MessageId = p.position(procedure, message.GetTopic(), log.end())
	message.PublishTime = timestamppb.New(time.UnixMilli(now))
	deadline := p.clock.now() + p.retention
	log.entries.Push(kept{message: message, published: now, deadline: deadline})
	log.bytes += size(message)
	p.sweeper.wake(deadline)
}

// size returns what a message counts.
func size(message *pubsubv1.Message) uint64 {
	n := keptOverhead + len(message.GetPayload()) + len(message.GetOrderingKey())
	for key, value := range message.GetMetadata() {
		n += len(key) + len(value)
	}
	return uint64(n)
}

// trim removes the oldest message of a log if it has to go, and returns it. At the time 0 none is too old.
func (p *pubSub) trim(log *keptLog, now int64) (kept, bool) {
	if log.len() == 0 || log.at(log.first).deadline > now && (log.bytes <= p.maxBytes || log.len() == 1) {
		return kept{}, false
	}
	removed := log.entries.Pop()
	log.first++
	log.bytes -= size(removed.message)
	log.lastRemoved = max(log.lastRemoved, removed.published)
	return removed, true
}

// trimTopic removes what a topic may not keep any more, at most so many messages of each kind, and tells its durable subscriptions. It returns when it is to be
// called again: never, or a time that may have come.
func (p *pubSub) trimTopic(t *topic, now int64, limit int) int64 {
	next := int64(never)
	for range limit {
		if _, ok := p.trim(t.ordered, now); !ok {
			break
		}
	}
	for range limit {
		removed, ok := p.trim(t.persistent, now)
		if !ok {
			break
		}
		for _, d := range t.durables {
			d.lose(t.persistent.first-1, removed.published)
		}
	}
	for _, log := range []*keptLog{t.ordered, t.persistent} {
		if log.len() > 0 {
			next = min(next, log.at(log.first).deadline)
		}
	}
	return next
}

// sweep removes every kept message whose time is over and returns when the next one's is.
func (p *pubSub) sweep() int64 {
	next := int64(never)
	for _, found := range p.topics.Range {
		next = min(next, p.sweepTopic(found.(*topic)))
	}
	return next
}

// sweepTopic removes a topic's messages, a bite at a time so that nobody waits long.
func (p *pubSub) sweepTopic(t *topic) int64 {
	for {
		t.mu.Lock()
		now := p.clock.now()
		next := p.trimTopic(t, now, sweepBite)
		p.unlock(t)
		if next > now {
			return next
		}
	}
}

// position makes an id of an offset. It is good for one topic of one namespace and for what it was issued for.
func (p *pubSub) position(procedure, topic string, offset uint64) string {
	return p.tokens.Seal(binary.BigEndian.AppendUint64(nil, offset), p.name, procedure, topic)
}

// offset returns what position made an id of.
func (p *pubSub) offset(id, procedure, topic string) (uint64, bool) {
	position, err := p.tokens.Open(id, p.name, procedure, topic)
	if err != nil {
		return 0, false
	}
	return binary.BigEndian.Uint64(position), true
}
