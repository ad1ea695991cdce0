package multicastregistry

import (
	"context"
	"crypto/rand"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	patternsv1 "github.com/prismgate/prism/gen/go/prism/patterns/v1"
)

// Register registers an identity, or replaces the metadata and the time to live of one that is registered.
func (s *service) Register(ctx context.Context, request *patternsv1.RegisterRequest) (*patternsv1.RegisterResponse, error) {
	identity := request.GetIdentity()
	former, err := s.records.record(ctx, identity)
	if err != nil {
		return nil, err
	}
	now := s.now().Truncate(time.Millisecond)
	record := &patternsv1.MulticastRegistryRecord{
		Metadata:     request.GetMetadata(),
		RegisterTime: timestamppb.New(now),
		Mailbox:      rand.Text(),
		Revision:     rand.Text(),
	}
	ttl := s.defaultTTL
	if request.GetTtl() != nil {
		ttl = request.GetTtl().AsDuration()
	}
	if ttl > 0 {
		record.Ttl, record.ExpireTime = durationpb.New(ttl), timestamppb.New(now.Add(ttl))
	}
	goesOn := false
	if former != nil {
		r := &registration{identity: identity, record: former}
		if err := s.ascertain(ctx, r); err != nil {
			return nil, err
		}
		goesOn = r.alive(now)
	}
	if goesOn {
		record.RegisterTime, record.Mailbox = former.GetRegisterTime(), former.GetMailbox()
	} else if err := s.mailbox.prepare(ctx, record.GetMailbox()); err != nil {
		return nil, err
	}
	if err := s.records.putRecord(ctx, identity, record); err != nil {
		return nil, err
	}
	if former != nil && !goesOn {
		s.drop(ctx, former.GetMailbox())
	}
	return &patternsv1.RegisterResponse{ExpireTime: record.GetExpireTime()}, nil
}

// Heartbeat begins an identity's time to live anew.
func (s *service) Heartbeat(ctx context.Context, request *patternsv1.HeartbeatRequest) (*patternsv1.HeartbeatResponse, error) {
	r, err := s.registered(ctx, request.GetIdentity())
	if err != nil {
		return nil, err
	}
	expires, err := s.beat(ctx, r)
	if err != nil {
		return nil, err
	}
	return &patternsv1.HeartbeatResponse{ExpireTime: timestamp(expires)}, nil
}

// beat gives a sign of life that lasts as long as the registration's time to live, and returns when that is over.
func (s *service) beat(ctx context.Context, r *registration) (time.Time, error) {
	if r.record.GetTtl() == nil {
		return time.Time{}, nil
	}
	ttl := r.record.GetTtl().AsDuration()
	expires := s.now().Add(ttl).Truncate(time.Millisecond)
	sign := &patternsv1.MulticastRegistrySign{Revision: r.record.GetRevision(), ExpireTime: timestamppb.New(expires)}
	if err := s.records.put(ctx, heartbeatPrefix+r.identity, sign, ttl); err != nil {
		return time.Time{}, err
	}
	there, err := s.records.renewRecord(ctx, r.identity, r.record)
	if err == nil && !there {
		err = errNotRegistered(r.identity)
	}
	return expires, err
}

// Deregister ends the registration of an identity. First the record is removed, so that nothing more is sent to the mailbox; then the stream is told, and the
// mailbox is emptied.
func (s *service) Deregister(ctx context.Context, request *patternsv1.DeregisterRequest) (*patternsv1.DeregisterResponse, error) {
	record, err := s.records.record(ctx, request.GetIdentity())
	if err != nil {
		return nil, err
	}
	if record == nil {
		return &patternsv1.DeregisterResponse{}, nil
	}
	r := &registration{identity: request.GetIdentity(), record: record}
	if err := s.ascertain(ctx, r); err != nil {
		return nil, err
	}
	removed, err := s.records.remove(ctx, r.identity)
	if err != nil {
		return nil, err
	}
	s.signals.tell(ctx, record.GetMailbox(), &patternsv1.MulticastRegistrySignal{Signal: &patternsv1.MulticastRegistrySignal_Ended{Ended: true}})
	s.drop(ctx, record.GetMailbox())
	return &patternsv1.DeregisterResponse{Deregistered: removed && r.alive(s.now())}, nil
}

// drop empties the mailbox of a registration that has ended. When that fails, what is in it stays, and nobody gets it.
func (s *service) drop(ctx context.Context, mailbox string) {
	if err := s.mailbox.drop(ctx, mailbox); err != nil {
		s.env.Log.WarnContext(ctx, "messages of an identity that is no longer registered could not be dropped and stay in their slot", "mailbox", mailbox, "error", err)
	}
}
