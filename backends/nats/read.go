package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// readBatch and readBytes bound what is read from a stream at once.
	readBatch, readBytes = 256, 4 << 20
	// leaderBatch is how many messages are read before they are looked at, where each of them is a question of its own.
	leaderBatch = 16
)

// last returns the last message of a subject, nil when there is none.
func (s *Store) last(ctx context.Context, op string, stream jetstream.Stream, subject string) (*jetstream.RawStreamMsg, error) {
	var found *jetstream.RawStreamMsg
	err := s.do(ctx, op, true, func(ctx context.Context) error {
		message, err := stream.GetLastMsgForSubject(ctx, subject)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			message, err = nil, nil
		}
		found = message
		return err
	})
	return found, err
}

// read returns messages that match a subject, from a sequence on, in the stream's order, and whether there were more behind them. There are more only when there are some.
func (s *Store) read(ctx context.Context, op string, stream jetstream.Stream, subject string, from uint64) ([]*jetstream.RawStreamMsg, bool, error) {
	var found []*jetstream.RawStreamMsg
	more := false
	err := s.do(ctx, op, true, func(ctx context.Context) (err error) {
		if s.direct() {
			found, more, err = s.readBatch(ctx, stream.CachedInfo().Config.Name, subject, max(from, 1))
		} else {
			found, more, err = readLeader(ctx, stream, subject, max(from, 1))
		}
		return err
	})
	return found, more, err
}

// readLeader asks the stream's leader for one message after the other.
func readLeader(ctx context.Context, stream jetstream.Stream, subject string, from uint64) ([]*jetstream.RawStreamMsg, bool, error) {
	var found []*jetstream.RawStreamMsg
	for len(found) < leaderBatch {
		message, err := stream.GetMsg(ctx, from, jetstream.WithGetMsgSubject(subject))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return found, false, nil
		}
		if err != nil {
			return nil, false, err
		}
		found = append(found, message)
		from = message.Sequence + 1
	}
	return found, true, nil
}

// readBatch asks for many messages by one question (ADR-31 of NATS).
func (s *Store) readBatch(ctx context.Context, stream, subject string, from uint64) ([]*jetstream.RawStreamMsg, bool, error) {
	question, err := json.Marshal(map[string]any{"seq": from, "next_by_subj": subject, "batch": readBatch, "max_bytes": readBytes})
	if err != nil {
		return nil, false, err
	}
	inbox := s.conn.NewInbox()
	sub, err := s.conn.SubscribeSync(inbox)
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := s.conn.PublishRequest("$JS.API.DIRECT.GET."+stream, inbox, question); err != nil {
		return nil, false, err
	}
	var found []*jetstream.RawStreamMsg
	for {
		answer, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return nil, false, err
		}
		switch status := answer.Header.Get("Status"); status {
		case "":
			message, err := stored(answer)
			if err != nil {
				return nil, false, err
			}
			found = append(found, message)
		case "204": // the end of the batch
			pending, err := strconv.ParseUint(answer.Header.Get("Nats-Num-Pending"), 10, 64)
			return found, pending > 0 && len(found) > 0, err
		case "404":
			return nil, false, nil
		case "503":
			return nil, false, nats.ErrNoResponders
		default:
			return nil, false, fmt.Errorf("reading from stream %s: status %s", stream, status)
		}
	}
}

// stored is a message as it came, with what the server says of where it is kept.
func stored(message *nats.Msg) (*jetstream.RawStreamMsg, error) {
	sequence, err := strconv.ParseUint(message.Header.Get(jetstream.SequenceHeader), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("the sequence of a message: %w", err)
	}
	at, err := time.Parse(time.RFC3339Nano, message.Header.Get(jetstream.TimeStampHeaer))
	if err != nil {
		return nil, fmt.Errorf("the time of a message: %w", err)
	}
	return &jetstream.RawStreamMsg{Subject: message.Header.Get(jetstream.SubjectHeader), Sequence: sequence, Header: message.Header, Data: message.Data, Time: at}, nil
}
