package nats

import (
	"bytes"
	"context"
	"encoding/binary"
	"strconv"
	"strings"
	"sync"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
	"github.com/prismgate/prism/runtime/fault"
)

const (
	// maxSettling is how many acknowledgements of one call are under way at once.
	maxSettling = 64
	// unknownReceipt is the reason that is given with FAILED_PRECONDITION.
	unknownReceipt = "RECEIPT_UNKNOWN"
)

// receipt is what a receipt carries.
type receipt struct {
	generation, number uint64
	gateway, reply     string
}

// receipt makes the receipt of one delivery.
func (p *pubSub) receipt(subscription, topic string, r receipt) string {
	position := binary.BigEndian.AppendUint64(nil, r.generation)
	position = binary.BigEndian.AppendUint64(position, r.number)
	position = append(append(append(position, r.gateway...), 0), r.reply...)
	return p.store.tokens.Seal(position, p.name, "receipt", topic, subscription)
}

func (p *pubSub) openReceipt(subscription, topic, sealed string) (receipt, bool) {
	position, err := p.store.tokens.Open(sealed, p.name, "receipt", topic, subscription)
	if err != nil {
		return receipt{}, false
	}
	gateway, reply, _ := bytes.Cut(position[16:], []byte{0})
	return receipt{binary.BigEndian.Uint64(position), binary.BigEndian.Uint64(position[8:]), string(gateway), string(reply)}, true
}

// sequence is which message of the stream a receipt is of: $JS.ACK.<stream>.<consumer>.<count>.<sequence>. and so on, or with two tokens more behind $JS.ACK.
func (r receipt) sequence() uint64 {
	tokens := strings.Split(r.reply, ".")
	at := 5
	if len(tokens) > 9 {
		at = 7
	}
	if len(tokens) <= at {
		return 0
	}
	sequence, _ := strconv.ParseUint(tokens[at], 10, 64) // what is none is 0, which no message has
	return sequence
}

// Acknowledge settles deliveries: the consumer is told, and answers, and the streams that they were sent on are told that there is room.
func (p *pubSub) Acknowledge(ctx context.Context, request *pubsubv1.AcknowledgeRequest) (*pubsubv1.AcknowledgeResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	receipts := make([]receipt, len(request.GetReceipts()))
	for i, sealed := range request.GetReceipts() {
		opened, ok := p.openReceipt(request.GetSubscription(), request.GetTopic(), sealed)
		if !ok {
			return nil, errReceipt(i)
		}
		receipts[i] = opened
	}
	d := &durable{pubSub: p, hash: hash(p.name, request.GetTopic(), request.GetSubscription())}
	if _, err := d.load(ctx); err != nil {
		return nil, err
	}
	if err := d.issued(receipts); err != nil {
		return nil, err
	}
	if err := p.store.settle(ctx, receipts); err != nil {
		// No consumer answers when the subscription was forgotten meanwhile, and while the server starts.
		if _, unknown := d.load(ctx); unknown == nil {
			if forgotten := d.issued(receipts); forgotten != nil {
				return nil, forgotten
			}
		}
		return nil, err
	}
	return &pubsubv1.AcknowledgeResponse{}, nil
}

// issued returns an error when a receipt was not issued for the subscription as it is now.
func (d *durable) issued(receipts []receipt) error {
	for i, r := range receipts {
		if r.generation != d.record.Generation {
			return errReceipt(i)
		}
	}
	return nil
}

// settle acknowledges to the consumer, many at once.
func (s *Store) settle(ctx context.Context, receipts []receipt) error {
	var group sync.WaitGroup
	errs := make([]error, min(len(receipts), maxSettling))
	for worker := range errs {
		group.Go(func() {
			for i := worker; i < len(receipts) && errs[worker] == nil; i += len(errs) {
				errs[worker] = s.acknowledge(ctx, receipts[i])
			}
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	s.makeRoom(ctx, receipts)
	return nil
}

// acknowledge acknowledges to the consumer. With several replicas it answers only the last of those who acknowledge a message at the same time: here they wait for each other, and who overlaps with
// another gateway is not answered and repeats it.
func (s *Store) acknowledge(ctx context.Context, r receipt) error {
	if !s.direct() {
		end, err := s.alone(ctx, sent{r.generation, r.sequence()})
		if err != nil {
			return err
		}
		defer end()
	}
	return s.do(ctx, "nats.pubsub.Acknowledge", true, func(ctx context.Context) error {
		_, err := s.conn.RequestWithContext(ctx, r.reply, nil)
		return err
	})
}

// alone returns when nobody else on this gateway acknowledges a message, until end is called.
func (s *Store) alone(ctx context.Context, message sent) (end func(), err error) {
	done := make(chan struct{})
	for {
		s.mu.Lock()
		other := s.settling[message]
		if other == nil {
			if s.settling == nil {
				s.settling = make(map[sent]chan struct{})
			}
			s.settling[message] = done
		}
		s.mu.Unlock()
		if other == nil {
			break
		}
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return func() {
		s.mu.Lock()
		if delete(s.settling, message); len(s.settling) == 0 {
			s.settling = nil // maps never shrink
		}
		s.mu.Unlock()
		close(done)
	}, nil
}

// makeRoom tells the streams, wherever they are. A stream that does not hear of it makes room when the acknowledgement timeout has passed.
func (s *Store) makeRoom(ctx context.Context, receipts []receipt) {
	type stream struct {
		gateway string
		number  uint64
	}
	settled := make(map[stream][]uint64)
	for _, r := range receipts {
		key := stream{r.gateway, r.number}
		settled[key] = append(settled[key], r.sequence())
	}
	for of, sequences := range settled {
		if of.gateway != s.gateway {
			_ = s.tell(context.WithoutCancel(ctx), of.gateway, note{Settled: of.number, Sequences: sequences}) // see above
		} else if open := s.durable(of.number); open != nil {
			open.settle(sequences)
		}
	}
	for _, r := range receipts { // the stream may be another gateway's, or have ended
		s.sends.settled(sent{r.generation, r.sequence()})
	}
}

func errReceipt(i int) error {
	return fault.New(fault.FailedPrecondition, "receipts[%d]: was not issued for this topic and subscription, or was before the subscription was forgotten; "+
		"none of the receipts has settled anything; pass receipts of this subscription, unchanged", i).WithReason(unknownReceipt)
}
