package nats

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/fault"
)

// keySize is the size of the key that tokens are sealed under.
const keySize = 32

func (s *Store) keysName() string { return s.prefix + "_kv" }

func (s *Store) topicsName() string { return s.prefix + "_topics" }

// keysConfig is the stream of keys: the last message of each subject is kept, and is the key's value.
func (s *Store) keysConfig() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: s.keysName(), Description: "Prism: keys and values", Subjects: []string{s.subject(kindKeys, ">"), s.subject(kindState, ">")},
		MaxMsgsPerSubject: 1, AllowMsgTTL: true, Replicas: s.replicas, AllowDirect: s.direct(), Duplicates: time.Second,
	}
}

// mostConsumers is how many durable subscriptions all namespaces of an instance may have. Without a number of its own a stream of newer servers has a thousand.
const mostConsumers = 100_000

// topicsConfig is the stream of topics. What is kept is sent to live subscribers by the server, once it is kept.
func (s *Store) topicsConfig() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: s.topicsName(), Description: "Prism: the kept messages of topics", Subjects: []string{s.subject(kindKept, ">")},
		MaxAge: s.retention, Replicas: s.replicas, AllowDirect: s.direct(), Duplicates: min(time.Second, s.retention), MaxConsumers: mostConsumers,
		RePublish: &jetstream.RePublish{Source: s.subject(kindKept, ">"), Destination: s.subject(kindLive, ">")},
	}
}

// direct tells whether whoever keeps a stream may be asked for its messages. Where there are several only their leader has all that was answered.
func (s *Store) direct() bool { return s.replicas == 1 }

// provision makes the streams and what gateways share, once. Several gateways may do so at once.
func (s *Store) provision(ctx context.Context) error {
	s.provisioning.Lock()
	defer s.provisioning.Unlock()
	if s.tokens != nil {
		return nil
	}
	var err error
	if s.keys, err = s.stream(ctx, s.keysConfig()); err != nil {
		return err
	}
	if s.topics, err = s.stream(ctx, s.topicsConfig()); err != nil {
		return err
	}
	key, err := s.sharedKey(ctx)
	if err != nil {
		return err
	}
	if err := s.hear(ctx); err != nil {
		return err
	}
	s.tokens = backend.NewTokens(key)
	return nil
}

// stream returns a stream, made if it is not there. One that is there must be as it would be made, but for what does not matter here.
func (s *Store) stream(ctx context.Context, want jetstream.StreamConfig) (jetstream.Stream, error) {
	var found jetstream.Stream
	err := s.do(ctx, "nats.provision", true, func(ctx context.Context) error {
		made, err := s.js.CreateStream(ctx, want)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			made, err = s.js.Stream(ctx, want.Name)
		}
		found = made
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("the stream %s: %w", want.Name, err)
	}
	is := found.CachedInfo().Config
	for _, same := range []struct {
		what string
		same bool
	}{
		{"subjects", slices.Equal(is.Subjects, want.Subjects)},
		{"max_msgs_per_subject", is.MaxMsgsPerSubject == want.MaxMsgsPerSubject || is.MaxMsgsPerSubject <= 0 && want.MaxMsgsPerSubject == 0},
		{"max_age (topic_retention)", is.MaxAge == want.MaxAge},
		{"max_msgs and max_bytes", is.MaxMsgs <= 0 && (is.MaxBytes <= 0 || is.Discard == jetstream.DiscardNew)},
		{"num_replicas (replicas)", is.Replicas == max(want.Replicas, 1)},
		{"storage", is.Storage == want.Storage},
		{"no_ack", is.NoAck == want.NoAck},
		{"max_msg_size", is.MaxMsgSize <= 0 || is.MaxMsgSize >= leastPayload},
		{"subject_transform", is.SubjectTransform == nil},
		{"subject_delete_marker_ttl", is.SubjectDeleteMarkerTTL == 0},
		{"retention", is.Retention == want.Retention},
		{"allow_msg_ttl", is.AllowMsgTTL == want.AllowMsgTTL},
		{"allow_direct", is.AllowDirect == want.AllowDirect},
		{"republish", (is.RePublish == nil) == (want.RePublish == nil) && (is.RePublish == nil || *is.RePublish == *want.RePublish)},
	} {
		if !same.same {
			return nil, fault.New(fault.FailedPrecondition,
				"the server has a stream %s whose %s is not what this configuration asks for; set another prefix, or make the stream as configured (nats stream edit), or delete it with its data",
				want.Name, same.what)
		}
	}
	return found, nil
}

// sharedKey returns the key that tokens are sealed under; the first gateway makes it.
func (s *Store) sharedKey(ctx context.Context) ([]byte, error) {
	subject := s.subject(kindState, "key")
	for {
		found, err := s.last(ctx, "nats.provision", s.keys, subject)
		if err != nil {
			return nil, err
		}
		if found != nil {
			return found.Data, nil
		}
		key := make([]byte, keySize)
		_, _ = rand.Read(key) // never fails
		if _, err := s.keep(ctx, "nats.provision", true, subject, key, 0, 0); err != nil && !isConflict(err) {
			return nil, err
		}
	}
}

// wherever is what keep is told when the last message of the subject may be any.
const wherever = math.MaxUint64

// keep appends a message to the stream of its subject and returns its sequence. The sequence of the subject's last message must be the expected one then, 0 being that there is none. A time to
// live that is not 0 lets the server remove it later.
func (s *Store) keep(ctx context.Context, op string, repeatable bool, subject string, data []byte, ttl time.Duration, expected uint64) (sequence uint64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	err = s.breaker.Do(ctx, repeatable, func(ctx context.Context) error {
		message := &nats.Msg{Subject: subject, Data: data}
		if ttl > 0 || expected != wherever {
			message.Header = make(nats.Header, 2)
		}
		if ttl > 0 {
			message.Header[jetstream.MsgTTLHeader] = []string{(ttl.Truncate(time.Second) + 2*time.Second).String()}
		}
		if expected != wherever {
			message.Header[jetstream.ExpectedLastSubjSeqHeader] = []string{strconv.FormatUint(expected, 10)}
		}
		sequence, err = s.appends.append(ctx, s.link.current().Done(), message)
		return outcome(ctx, op, err)
	})
	return sequence, err
}
