package multicastregistry

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/prismgate/prism/runtime/fault"

	patternsv1 "github.com/prismgate/prism/gen/go/prism/patterns/v1"
	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

// afterTimeout is how long a stream that is over may take to leave things in order.
const afterTimeout = 5 * time.Second

// errEnded is why a stream ends whose registration has.
var errEnded = errors.New("the registration has ended")

// stream is the stream of one Subscribe.
type stream struct {
	service      *service
	registration *registration
	id           string
	send         func(*patternsv1.SubscribeResponse) error
	acknowledge  bool
	timeout      time.Duration
	window       window
	// cancel ends the stream for a reason, which cause returns then.
	cancel context.CancelCauseFunc
	cause  func() error
	// sending is the message that the client is being sent, when the gateway acknowledges.
	sending atomic.Pointer[queuev1.DequeueWithTimeoutResponse]
	// wake holds a token when there may be something to do.
	wake chan struct{}
	// timer is wait's.
	timer *time.Timer
	// sendErr is what send failed with.
	sendErr error
}

// run serves the stream until the context ends.
func (t *stream) run(ctx context.Context) error {
	active, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		t.cancel(t.service.signals.listen(ctx, t.box(), func() { close(active) }, t.look, func(signal *patternsv1.MulticastRegistrySignal) { t.hear(ctx, signal) }))
	}()
	defer func() {
		t.cancel(nil)
		<-over
	}()
	select {
	case <-active:
	case <-over:
		return t.cause()
	}
	var renewing *ticking
	err := t.service.mailbox.take(ctx, t.box(), t, func() error {
		if err := t.claim(ctx); err != nil {
			return err
		}
		renewing = tick(t.service.presence/3, func() { t.renew(ctx) })
		return t.respond(&patternsv1.SubscribeResponse{Event: &patternsv1.SubscribeResponse_Subscribed{Subscribed: &patternsv1.MulticastSubscribed{}}})
	})
	t.cancel(err)
	if renewing != nil {
		renewing.stop()
		t.leave(ctx)
	}
	return err
}

func (t *stream) box() string { return t.registration.record.GetMailbox() }

// outcome is what Subscribe returns: the error of send, or of the caller's context, or why the stream was ended, or else the error of the slot.
func (t *stream) outcome(ctx context.Context, err error) error {
	if t.sendErr != nil {
		return t.sendErr
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if cause := t.cause(); cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	if errors.Is(err, errEnded) {
		return nil
	}
	return err
}

// ended tells whether the stream ends because the registration has.
func (t *stream) ended() bool { return errors.Is(t.cause(), errEnded) }

// claim makes the stream the identity's only one: it signs for it, and tells the others.
func (t *stream) claim(ctx context.Context) error {
	if err := t.refresh(ctx, true); err != nil {
		if errors.Is(err, errEnded) {
			err = errNotRegistered(t.registration.identity)
		}
		return err
	}
	t.service.signals.tell(ctx, t.box(), &patternsv1.MulticastRegistrySignal{Signal: &patternsv1.MulticastRegistrySignal_TakenOver{TakenOver: t.id}})
	return nil
}

// renew refreshes, and ends the stream when it is not the identity's any more. When the slot fails, the next one may succeed.
func (t *stream) renew(ctx context.Context) {
	if err := t.refresh(ctx, false); errors.Is(err, errEnded) || fault.ReasonOf(err) == replaced {
		t.cancel(err)
	}
}

// refresh gives a sign of life, if the registration is there and the stream is still the identity's; a claim makes it so.
func (t *stream) refresh(ctx context.Context, claim bool) error {
	s := t.service
	r, err := s.find(ctx, t.registration.identity)
	if err != nil {
		return err
	}
	if r == nil || r.record.GetMailbox() != t.box() {
		return errEnded
	}
	if !claim {
		if err := t.checkClaim(ctx, r); err != nil {
			return err
		}
	}
	now := s.now()
	sign := &patternsv1.MulticastRegistrySign{
		Revision: r.record.GetRevision(), Mailbox: t.box(), Stream: t.id, OnlineTime: timestamppb.New(now.Add(s.presence)),
	}
	lives := s.presence
	if r.record.GetTtl() != nil {
		ttl := r.record.GetTtl().AsDuration()
		sign.ExpireTime = timestamppb.New(now.Add(ttl).Truncate(time.Millisecond))
		lives = max(lives, ttl)
	}
	if err := s.records.put(ctx, streamPrefix+r.identity, sign, lives); err != nil {
		return err
	}
	there, err := s.records.renewRecord(ctx, r.identity, r.record)
	if err == nil && !there {
		err = errEnded
	}
	return err
}

// checkClaim fails when another stream has signed for the identity.
func (t *stream) checkClaim(ctx context.Context, r *registration) error {
	if err := t.service.lookForStream(ctx, r); err != nil {
		return err
	}
	if r.stream.GetStream() == t.id || !r.online(t.service.now()) {
		return nil
	}
	return errReplaced(r.identity)
}

func errReplaced(identity string) error {
	return fault.New(fault.Aborted, "another stream of identity %q has taken over; do not subscribe again where this one was", identity).WithReason(replaced)
}

// hear acts on a signal of another gateway, or of this one.
func (t *stream) hear(ctx context.Context, signal *patternsv1.MulticastRegistrySignal) {
	switch what := signal.GetSignal().(type) {
	case *patternsv1.MulticastRegistrySignal_Ended:
		t.cancel(errEnded)
	case *patternsv1.MulticastRegistrySignal_Settled:
		t.window.remove(what.Settled.GetReceipts())
		t.look()
	case *patternsv1.MulticastRegistrySignal_TakenOver:
		// Of two that claim at the same moment, the one stays whose sign was written last.
		if what.TakenOver == t.id {
			return
		}
		r := &registration{identity: t.registration.identity}
		if err := t.service.lookForStream(ctx, r); err == nil && r.stream.GetStream() != t.id {
			t.cancel(errReplaced(r.identity))
		}
	}
}

// look lets the stream look into its mailbox.
func (t *stream) look() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// wait waits until the stream is woken, until a message that was sent may have come back, or for so long.
func (t *stream) wait(ctx context.Context, atMost time.Duration) error {
	if back, ok := t.window.next(); ok {
		atMost = min(atMost, max(0, time.Until(back)))
	}
	if t.timer == nil {
		t.timer = time.NewTimer(atMost)
	} else {
		t.timer.Reset(atMost)
	}
	defer t.timer.Stop()
	select {
	case <-t.wake:
	case <-t.timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	t.window.expire(time.Now())
	return nil
}

// leave leaves things in order: the identity is not online any more, and its time to live begins now.
func (t *stream) leave(ctx context.Context) {
	ctx, cancel := afterwards(ctx)
	defer cancel()
	s, r := t.service, &registration{identity: t.registration.identity, record: t.registration.record}
	if err := s.lookForStream(ctx, r); err != nil || r.stream.GetStream() != t.id {
		return // Another stream has taken over, or the sign ends by itself.
	}
	if current, err := s.find(ctx, r.identity); err == nil && current != nil && current.record.GetMailbox() == t.box() {
		if _, err := s.beat(ctx, current); err != nil {
			return
		}
	}
	_ = s.records.removeSign(ctx, streamPrefix, r.identity)
}

func (t *stream) message(message *patternsv1.MulticastMessage) error {
	return t.respond(&patternsv1.SubscribeResponse{Event: &patternsv1.SubscribeResponse_Message{Message: message}})
}

func (t *stream) missed(count uint64) error {
	return t.respond(&patternsv1.SubscribeResponse{Event: &patternsv1.SubscribeResponse_Missed{Missed: &patternsv1.MulticastMissed{Count: count}}})
}

// respond sends, and remembers when that fails: what it fails with is what the call returns.
func (t *stream) respond(response *patternsv1.SubscribeResponse) error {
	err := t.send(response)
	if err != nil {
		t.sendErr = err
	}
	return err
}

// afterwards is a context for what is to be done though the call is over.
func afterwards(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), afterTimeout)
}
