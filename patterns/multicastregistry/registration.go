package multicastregistry

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/prismgate/prism/runtime/fault"

	patternsv1 "github.com/prismgate/prism/gen/go/prism/patterns/v1"
)

// notRegistered is the reason that is given with NOT_FOUND.
const notRegistered = "IDENTITY_NOT_REGISTERED"

func errNotRegistered(identity string) error {
	return fault.New(fault.NotFound, "identity %q is not registered, or not any more; register it", identity).WithReason(notRegistered, "identity", identity)
}

// registration is what is known of an identity at some moment.
type registration struct {
	identity string
	record   *patternsv1.MulticastRegistryRecord
	// heartbeat and stream are the signs of life, as far as they were looked for; nil when there is none.
	heartbeat, stream *patternsv1.MulticastRegistrySign
}

// expires is when the registration ends, by all that is known; the zero time when it does not end by itself.
func (r *registration) expires() time.Time {
	if r.record.GetExpireTime() == nil {
		return time.Time{}
	}
	last := r.record.GetExpireTime().AsTime()
	for _, sign := range []*patternsv1.MulticastRegistrySign{r.heartbeat, r.stream} {
		if sign.GetRevision() == r.record.GetRevision() && sign.GetExpireTime() != nil {
			if until := sign.GetExpireTime().AsTime(); until.After(last) {
				last = until
			}
		}
	}
	return last
}

// alive tells whether the registration has not ended, by all that is known.
func (r *registration) alive(now time.Time) bool {
	expires := r.expires()
	return expires.IsZero() || expires.After(now)
}

// online tells whether the identity's stream has given a sign.
func (r *registration) online(now time.Time) bool {
	return r.stream.GetMailbox() == r.record.GetMailbox() && r.stream.GetOnlineTime().AsTime().After(now)
}

// find returns the registration of an identity; nil when there is none. Where the record alone shows that it lives, the signs were not looked for.
func (s *service) find(ctx context.Context, identity string) (*registration, error) {
	record, err := s.records.record(ctx, identity)
	if record == nil || err != nil {
		return nil, err
	}
	r := &registration{identity: identity, record: record}
	if err := s.ascertain(ctx, r); err != nil {
		return nil, err
	}
	if !r.alive(s.now()) {
		return nil, nil
	}
	return r, nil
}

// registered is find for calls that need a registration.
func (s *service) registered(ctx context.Context, identity string) (*registration, error) {
	r, err := s.find(ctx, identity)
	if err == nil && r == nil {
		err = errNotRegistered(identity)
	}
	return r, err
}

// ascertain looks for signs of life as far as needed to tell whether a registration has ended.
func (s *service) ascertain(ctx context.Context, r *registration) error {
	if r.alive(s.now()) {
		return nil
	}
	if err := s.lookForStream(ctx, r); err != nil || r.alive(s.now()) {
		return err
	}
	return s.lookForHeartbeat(ctx, r)
}

func (s *service) lookForStream(ctx context.Context, r *registration) (err error) {
	r.stream, err = s.records.sign(ctx, streamPrefix, r.identity)
	return err
}

func (s *service) lookForHeartbeat(ctx context.Context, r *registration) (err error) {
	r.heartbeat, err = s.records.sign(ctx, heartbeatPrefix, r.identity)
	return err
}

// timestamp is a time as messages have it; absent for the zero time.
func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
