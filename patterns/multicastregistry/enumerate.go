package multicastregistry

import (
	"context"
	"time"

	"github.com/prismgate/prism/runtime/filter"

	patternsv1 "github.com/prismgate/prism/gen/go/prism/patterns/v1"
)

const (
	// sweepAfter is for how long a registration has expired before it is removed, so that gateways' clocks may differ by as much.
	sweepAfter = time.Minute
	// sweepMost is how many of them one call removes.
	sweepMost = 100
)

// Enumerate streams the identities whose metadata satisfies a filter.
func (s *service) Enumerate(ctx context.Context, request *patternsv1.EnumerateRequest, send func(*patternsv1.EnumerateResponse) error) error {
	matches, err := filter.Compile(request.GetFilter())
	if err != nil {
		return err
	}
	var expired []*registration
	err = s.records.scan(ctx, func(page []*registration) error {
		page, dead, err := s.sift(ctx, page, matches)
		expired = append(expired, dead[:min(len(dead), sweepMost-len(expired))]...)
		if err != nil {
			return err
		}
		if err := s.calls.each(ctx, len(page), func(ctx context.Context, i int) error { return s.complete(ctx, page[i]) }); err != nil {
			return err
		}
		now := s.now()
		for _, r := range page {
			err := send(&patternsv1.EnumerateResponse{
				Identity: r.identity, Metadata: r.record.GetMetadata(), RegisterTime: r.record.GetRegisterTime(), ExpireTime: timestamp(r.expires()), Online: r.online(now),
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.sweep(ctx, expired)
	return nil
}

// complete looks for the signs of life that have not been looked for.
func (s *service) complete(ctx context.Context, r *registration) error {
	if r.stream == nil {
		if err := s.lookForStream(ctx, r); err != nil {
			return err
		}
	}
	if r.heartbeat == nil && r.record.GetTtl() != nil {
		return s.lookForHeartbeat(ctx, r)
	}
	return nil
}

// sift keeps the registrations that live and satisfy a filter. dead are those that expired a while ago, whatever the filter says.
func (s *service) sift(ctx context.Context, page []*registration, matches *filter.Filter) (kept, dead []*registration, err error) {
	now := s.now()
	var doubtful []*registration
	for _, r := range page {
		switch {
		case !r.alive(now):
			doubtful = append(doubtful, r)
		case matches.Matches(r.record.GetMetadata()):
			kept = append(kept, r)
		}
	}
	err = s.calls.each(ctx, len(doubtful), func(ctx context.Context, i int) error { return s.ascertain(ctx, doubtful[i]) })
	if err != nil {
		return nil, nil, err
	}
	for _, r := range doubtful {
		switch {
		case !r.alive(now.Add(-sweepAfter)):
			dead = append(dead, r)
		case r.alive(now) && matches.Matches(r.record.GetMetadata()):
			kept = append(kept, r)
		}
	}
	return kept, dead, nil
}

// sweep removes registrations that have expired, with what was kept for them. What fails is left for the next call.
func (s *service) sweep(ctx context.Context, expired []*registration) {
	_ = s.calls.each(ctx, len(expired), func(ctx context.Context, i int) error {
		r := expired[i]
		if record, err := s.records.record(ctx, r.identity); err != nil || record.GetRevision() != r.record.GetRevision() {
			return nil //nolint:nilerr // it was registered again, or the next call tries
		}
		if _, err := s.records.remove(ctx, r.identity); err == nil {
			s.drop(ctx, r.record.GetMailbox())
		}
		return nil
	})
}
