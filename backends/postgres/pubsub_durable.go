package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/prismgate/prism/runtime/fanout"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

// durableStream is one stream of a durable subscription. The server knows which messages were given to it; it takes some ahead, and sends them one after the other.
type durableStream struct {
	pubSub       *pubSub
	stream       *fanout.Stream
	name         string // among all streams
	topic        string
	subscription string
	id           int64 // of the durable subscription
	timeout      time.Duration
	window       int // how many messages may await acknowledgement

	missed     bool        // a Missed is to be sent
	missedSent bool        // one was sent, and the server does not know of it yet
	ahead      []*delivery // taken and not sent
	sent       []int64     // sent, and the server does not know of it yet
	stamped    time.Time   // from when on the timeout of those counts
}

// delivery is a message that was given to a stream; without one it is a Missed.
type delivery struct {
	keptMessage
	count uint32 // how often it was sent before
	again bool   // it was given to a stream before
}

// next returns what is to be sent next, if anything. What has waited here for long is asked about first: others may have settled or taken it.
func (s *durableStream) next(ctx context.Context) (*delivery, bool, time.Duration, error) {
	late := time.Since(s.stamped) > s.timeout/4
	if len(s.ahead) > 0 && (late || s.ahead[0].again && len(s.sent) > 0) || len(s.sent) > 0 && late {
		if err := s.stamp(ctx); err != nil {
			return nil, false, 0, err
		}
	}
	if len(s.ahead) == 0 && !s.missed {
		there, err := s.look(ctx)
		if err != nil {
			return nil, false, 0, err
		}
		if !there {
			s.stream.End(nil) // it was forgotten
		}
	}
	switch {
	case s.missed:
		return &delivery{}, true, 0, nil
	case len(s.ahead) > 0:
		return s.ahead[0], true, 0, nil
	}
	return nil, false, pollAgain, nil
}

// look takes messages ahead. It tells whether the durable subscription is still there.
func (s *durableStream) look(ctx context.Context) (there bool, err error) {
	s.stamped = time.Now() // the server stamps what it gives later than this
	// The end of the stream does not break this off: what the server gives afterwards would be nobody's until the timeout. What the server has undone for the sake of an acknowledgement
	// is done anew.
	err = s.pubSub.store.do(context.WithoutCancel(ctx), "postgres.pubsub.SubscribeDurable", false, func(ctx context.Context) error {
		there, s.ahead, s.missed = false, nil, false
		return s.pubSub.store.pool.SendBatch(ctx, s.statements(&there)).Close()
	})
	if err == nil {
		s.sent, s.missedSent = nil, false
	}
	return there, err
}

// statements are those of a look, which tell whether the durable subscription is there.
func (s *durableStream) statements(there *bool) *pgx.Batch {
	statements := &pgx.Batch{}
	statements.Queue(withoutDiskSQL) // what a crash undoes comes again
	statements.Queue(holdSubscriptionSQL, s.id).Query(func(rows pgx.Rows) error {
		*there = rows.Next()
		rows.Close()
		return rows.Err()
	})
	if len(s.sent) > 0 {
		statements.Queue(countSentSQL, s.id, s.name, s.sent)
	}
	if s.missedSent {
		statements.Queue(missedSentSQL, s.id, s.name)
	}
	statements.Queue(takeAgainSQL, s.id, s.name, s.window).Query(func(rows pgx.Rows) error { return s.taken(rows, true) })
	statements.Queue(takeNextSQL, s.id, s.name, s.window).Query(func(rows pgx.Rows) error { return s.taken(rows, false) })
	statements.Queue(takeMissedSQL, s.id, s.name).Query(func(rows pgx.Rows) error {
		s.missed = rows.Next()
		rows.Close()
		return rows.Err()
	})
	return statements
}

func (s *durableStream) taken(rows pgx.Rows, again bool) error {
	var m keptMessage
	var sent int32
	_, err := pgx.ForEachRow(rows, []any{&m.position, &m.published, &m.content, &sent}, func() error {
		s.ahead = append(s.ahead, &delivery{keptMessage: m, count: uint32(sent), again: again}) //nolint:gosec // it is never negative
		return nil
	})
	return err
}

// stamp has the timeout of what is to be sent, and was sent since, count from now on. What is no longer this stream's is not sent.
func (s *durableStream) stamp(ctx context.Context) error {
	positions := slices.Clone(s.sent)
	for _, d := range s.ahead {
		positions = append(positions, d.position)
	}
	mine := make(map[int64]bool)
	at := time.Now()
	err := s.pubSub.store.do(ctx, "postgres.pubsub.SubscribeDurable", true, func(ctx context.Context) error {
		statements := &pgx.Batch{}
		statements.Queue(withoutDiskSQL)
		statements.Queue(stampSQL, s.id, s.name, positions).Query(func(rows pgx.Rows) error {
			var position int64
			_, err := pgx.ForEachRow(rows, []any{&position}, func() error { mine[position] = true; return nil })
			return err
		})
		if s.missedSent {
			statements.Queue(missedSentSQL, s.id, s.name)
		}
		return s.pubSub.store.pool.SendBatch(ctx, statements).Close()
	})
	s.missedSent = s.missedSent && err != nil
	s.stamped = at
	s.ahead = slices.DeleteFunc(s.ahead, func(d *delivery) bool { return !mine[d.position] })
	return err
}

// send sends a delivery.
func (s *durableStream) send(d *delivery, send func(*pubsubv1.SubscribeDurableResponse) error) error {
	if s.missed {
		err := send(&pubsubv1.SubscribeDurableResponse{Event: &pubsubv1.SubscribeDurableResponse_Missed{Missed: &pubsubv1.Missed{}}})
		s.missed, s.missedSent = err != nil, err == nil
		return err
	}
	message, err := d.message(s.pubSub, s.topic, false)
	if err != nil {
		return err
	}
	err = send(&pubsubv1.SubscribeDurableResponse{Event: &pubsubv1.SubscribeDurableResponse_Message{
		Message: &pubsubv1.DurableMessage{Message: message, Receipt: s.receipt(d.position), DeliveryCount: d.count + 1},
	}})
	if err == nil {
		s.ahead = s.ahead[1:]
		s.sent = append(s.sent, d.position)
	}
	return err
}

// leave gives what is not acknowledged to the other streams. When the server is not there, they get it after its timeout.
func (s *durableStream) leave(ctx context.Context) {
	p := s.pubSub
	p.removeDurable(s)
	_ = p.store.do(context.WithoutCancel(ctx), "postgres.pubsub.SubscribeDurable", true, func(ctx context.Context) error {
		statements := &pgx.Batch{}
		if s.missedSent {
			statements.Queue(missedSentSQL, s.id, s.name)
		}
		statements.Queue(giveBackSQL, s.id, s.name, s.sent)
		return p.store.pool.SendBatch(ctx, statements).Close()
	})
	p.announceTopic(s.topic)
}
