package multicastregistry

import (
	"context"
	"slices"
	"unicode/utf8"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/filter"

	patternsv1 "github.com/prismgate/prism/gen/go/prism/patterns/v1"
)

const (
	// tooManyRecipients is the reason that is given with RESOURCE_EXHAUSTED.
	tooManyRecipients = "MAX_RECIPIENTS_EXCEEDED"
	// maxReason is how many bytes say why a recipient has failed; the contract's.
	maxReason = 200
)

// Multicast sends a message to the identities whose metadata satisfies a filter.
func (s *service) Multicast(ctx context.Context, request *patternsv1.MulticastRequest) (*patternsv1.MulticastResponse, error) {
	matches, err := filter.Compile(request.GetFilter())
	if err != nil {
		return nil, err
	}
	var to recipients
	if len(request.GetIdentities()) > 0 {
		to, err = s.listed(ctx, request.GetIdentities(), matches)
	} else {
		to, err = s.matching(ctx, matches)
	}
	if err != nil {
		return nil, err
	}
	outcomes := make([]*patternsv1.MulticastRecipient, len(to.registered), len(to.registered)+len(to.missing))
	err = s.calls.each(ctx, len(to.registered), func(ctx context.Context, i int) error {
		outcomes[i] = s.send(ctx, to.registered[i], request)
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	for _, identity := range to.missing {
		outcomes = append(outcomes, failed(identity, errNotRegistered(identity)))
	}
	s.sweep(ctx, to.expired)
	return counted(outcomes), nil
}

// recipients are whom a message is sent to.
type recipients struct {
	registered []*registration
	// missing were listed and are not registered.
	missing []string
	// expired were come across, and are to be removed.
	expired []*registration
}

func (s *service) check(to recipients) error {
	if len(to.registered)+len(to.missing) <= s.maxRecipients {
		return nil
	}
	return fault.New(fault.ResourceExhausted, "there are more than %d recipients, which is max_recipients in the configuration of the pattern; narrow the filter, or list fewer identities at once",
		s.maxRecipients).WithReason(tooManyRecipients)
}

// matching finds all identities that satisfy a filter. A scan may come across one twice.
func (s *service) matching(ctx context.Context, matches *filter.Filter) (recipients, error) {
	var to recipients
	seen := make(map[string]bool)
	err := s.records.scan(ctx, func(page []*registration) error {
		kept, dead, err := s.sift(ctx, page, matches)
		if err != nil {
			return err
		}
		to.expired = append(to.expired, dead[:min(len(dead), sweepMost-len(to.expired))]...)
		for _, r := range kept {
			if !seen[r.identity] {
				seen[r.identity] = true
				to.registered = append(to.registered, r)
			}
		}
		return s.check(to)
	})
	return to, err
}

// listed finds those of a list of identities that satisfy a filter.
func (s *service) listed(ctx context.Context, identities []string, matches *filter.Filter) (recipients, error) {
	identities = slices.Compact(slices.Sorted(slices.Values(identities)))
	found := make([]*registration, len(identities))
	err := s.calls.each(ctx, len(identities), func(ctx context.Context, i int) (err error) {
		found[i], err = s.find(ctx, identities[i])
		return err
	})
	if err != nil {
		return recipients{}, err
	}
	var to recipients
	for i, r := range found {
		switch {
		case r == nil:
			to.missing = append(to.missing, identities[i])
		case matches.Matches(r.record.GetMetadata()):
			to.registered = append(to.registered, r)
		}
	}
	return to, s.check(to)
}

// send sends a message to one identity.
func (s *service) send(ctx context.Context, r *registration, request *patternsv1.MulticastRequest) *patternsv1.MulticastRecipient {
	outcome, err := s.mailbox.put(ctx, r.record.GetMailbox(), request, func() (bool, error) {
		err := s.lookForStream(ctx, r)
		return r.online(s.now()), err
	})
	if err != nil {
		return failed(r.identity, err)
	}
	return &patternsv1.MulticastRecipient{Identity: r.identity, Outcome: outcome}
}

func failed(identity string, err error) *patternsv1.MulticastRecipient {
	public := fault.Public(err)
	reason := public.Message
	if public.Code != fault.FailedPrecondition && public.Code != fault.NotFound {
		reason = public.Code.String() + ": " + reason
	}
	if len(reason) > maxReason {
		end := maxReason
		for !utf8.RuneStart(reason[end]) {
			end--
		}
		reason = reason[:end]
	}
	return &patternsv1.MulticastRecipient{Identity: identity, Outcome: patternsv1.MulticastOutcome_MULTICAST_OUTCOME_FAILED, Reason: reason}
}

// counted adds the outcomes up.
func counted(outcomes []*patternsv1.MulticastRecipient) *patternsv1.MulticastResponse {
	response := &patternsv1.MulticastResponse{Matched: uint32(len(outcomes)), Recipients: outcomes}
	for _, recipient := range outcomes {
		switch recipient.GetOutcome() {
		case patternsv1.MulticastOutcome_MULTICAST_OUTCOME_PUBLISHED:
			response.Published++
		case patternsv1.MulticastOutcome_MULTICAST_OUTCOME_QUEUED:
			response.Queued++
		default:
			response.Failed++
		}
	}
	return response
}
