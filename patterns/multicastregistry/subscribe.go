package multicastregistry

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/prismgate/prism/runtime/fault"

	patternsv1 "github.com/prismgate/prism/gen/go/prism/patterns/v1"
)

const (
	// nothingKeeps is the reason that is given with FAILED_PRECONDITION, replaced that with ABORTED.
	nothingKeeps = "NOTHING_KEEPS_MESSAGES"
	replaced     = "SUBSCRIPTION_REPLACED"
)

// What a client that acknowledges gets when it does not say; the contract's.
const (
	defaultAcknowledgementTimeout = 30 * time.Second
	defaultMaxUnacknowledged      = 100
)

// Subscribe streams the messages of an identity.
func (s *service) Subscribe(ctx context.Context, request *patternsv1.SubscribeRequest, send func(*patternsv1.SubscribeResponse) error) error {
	if request.GetAcknowledge() && !s.mailbox.keeps() {
		return fault.New(fault.FailedPrecondition, "acknowledge: nothing keeps messages here, so that none can come again; subscribe without acknowledge, or fill the slot durability").
			WithReason(nothingKeeps)
	}
	r, err := s.registered(ctx, request.GetIdentity())
	if err != nil {
		return err
	}
	to := newStream(s, r, request, send)
	streamCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	to.cancel, to.cause = cancel, func() error { return context.Cause(streamCtx) }
	return to.outcome(ctx, to.run(streamCtx))
}

// newStream is a stream that has not begun.
func newStream(s *service, r *registration, request *patternsv1.SubscribeRequest, send func(*patternsv1.SubscribeResponse) error) *stream {
	to := &stream{
		service: s, registration: r, id: rand.Text(), send: send,
		acknowledge: request.GetAcknowledge(), timeout: defaultAcknowledgementTimeout,
		wake: make(chan struct{}, 1),
	}
	if request.GetAcknowledgementTimeout() != nil {
		to.timeout = request.GetAcknowledgementTimeout().AsDuration()
	}
	to.window.size = int(or(request.GetMaxUnacknowledged(), defaultMaxUnacknowledged))
	return to
}

// Acknowledge settles messages.
func (s *service) Acknowledge(ctx context.Context, request *patternsv1.AcknowledgeRequest) (*patternsv1.AcknowledgeResponse, error) {
	r, err := s.registered(ctx, request.GetIdentity())
	if err != nil {
		return nil, err
	}
	unsettled, err := s.mailbox.acknowledge(ctx, r.record.GetMailbox(), unique(request.GetReceipts()))
	if err != nil {
		return nil, err
	}
	return &patternsv1.AcknowledgeResponse{Unsettled: unsettled}, nil
}

// unique are texts in their order, each once.
func unique(texts []string) []string {
	seen := make(map[string]bool, len(texts))
	var once []string
	for _, text := range texts {
		if !seen[text] {
			seen[text] = true
			once = append(once, text)
		}
	}
	return once
}

// Redrive brings dead letters back.
func (s *service) Redrive(ctx context.Context, request *patternsv1.RedriveRequest) (*patternsv1.RedriveResponse, error) {
	r, err := s.registered(ctx, request.GetIdentity())
	if err != nil {
		return nil, err
	}
	moved, err := s.mailbox.redrive(ctx, r.record.GetMailbox())
	if err != nil {
		return nil, err
	}
	return &patternsv1.RedriveResponse{Moved: moved}, nil
}
