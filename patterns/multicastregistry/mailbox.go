package multicastregistry

import (
	"context"

	patternsv1 "github.com/prismgate/prism/gen/go/prism/patterns/v1"
)

// mailbox is where messages wait for identities: one of the three ways that the slots allow. A box is named by a random text, and belongs to one registration.
type mailbox interface {
	// keeps tells whether messages are kept for identities that are not online.
	keeps() bool
	// prepare makes a box ready before the registration is recorded.
	prepare(ctx context.Context, box string) error
	// put sends a message. Online tells whether the box has a stream; it is asked when it matters, at the moment that makes sure that no message is missed.
	put(ctx context.Context, box string, request *patternsv1.MulticastRequest, online func() (bool, error)) (patternsv1.MulticastOutcome, error)
	// take sends what is in a box, and what comes, to a stream until the context ends, or it fails. It calls ready when no message is missed from then on.
	take(ctx context.Context, box string, to *stream, ready func() error) error
	// acknowledge settles messages and returns the receipts that settled none.
	acknowledge(ctx context.Context, box string, receipts []string) ([]string, error)
	// redrive brings dead letters back and tells how many.
	redrive(ctx context.Context, box string) (uint32, error)
	// drop empties a box for good.
	drop(ctx context.Context, box string) error
}
