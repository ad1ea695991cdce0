package nats

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/prismgate/prism/runtime/fault"
)

// askAgain is after how long a call of a cluster that has no answer is made again first; each time after twice as long.
const askAgain = 500 * time.Millisecond

const (
	// storeFailed is JetStream's code for a message that it cannot store, because a limit or the disk is full.
	storeFailed jetstream.ErrorCode = 10077
	// noCluster and noPeers are its codes for a stream of more replicas than there are servers: one that is in no cluster, and in one.
	noCluster, noPeers jetstream.ErrorCode = 10074, 10005
	// streamOffline and consumerOffline are its codes for what none of the servers has that can be reached, and notLeader is that of one that is the leader no more.
	streamOffline, consumerOffline, notLeader jetstream.ErrorCode = 10118, 10119, 10009
)

// do makes a call to the server: through the breaker, and at most as long as the configuration says. It fails at once when the connection is lost.
func (s *Store) do(ctx context.Context, op string, repeatable bool, call func(ctx context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if repeatable && !s.direct() {
		call = repeated(call)
	}
	return s.breaker.Do(ctx, repeatable, func(ctx context.Context) error { return s.once(ctx, op, call) })
}

// repeated makes a call again when it has no answer for a while. Servers of a cluster say nothing while it is not settled who is to answer, and when two ask for the same at the same time.
func repeated(call func(ctx context.Context) error) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		for again := askAgain; ; again *= 2 {
			attempt, cancel := context.WithTimeout(ctx, again+rand.N(again)) //nolint:gosec // jitter
			err := call(attempt)
			late := attempt.Err() != nil
			cancel()
			if err == nil || !late || ctx.Err() != nil {
				return err
			}
		}
	}
}

// once makes a call once.
func (s *Store) once(ctx context.Context, op string, call func(ctx context.Context) error) error {
	inner, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	defer context.AfterFunc(s.link.current(), cancel)()
	return outcome(ctx, op, call(inner))
}

// outcome maps what a call has brought, which was made in a context.
func outcome(ctx context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	if ended := ctx.Err(); ended != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return ended
	}
	return failed(op, err)
}

// failed maps what the client and the server say.
func failed(op string, err error) error {
	var known *fault.Error
	if errors.As(err, &known) {
		return err
	}
	var refused *jetstream.APIError
	if errors.As(err, &refused) {
		switch {
		case refused.ErrorCode == storeFailed:
			return fault.Wrap(err, fault.ResourceExhausted, op, "the backend's server cannot store more; its log and its limits say why")
		case refused.ErrorCode == jetstream.JSErrCodeMaximumConsumersLimit:
			return fault.Wrap(err, fault.ResourceExhausted, op, "the backend's server allows no more durable subscriptions; forget some, or raise max_consumers of the server's account")
		case refused.ErrorCode == noCluster:
			return fault.Wrap(err, fault.FailedPrecondition, op, "the server is in no cluster and keeps one replica; set replicas: 1, or name servers of a cluster in urls")
		case refused.ErrorCode == noPeers:
			return fault.Wrap(err, fault.Unavailable, op, "the cluster has fewer servers for JetStream than replicas says, or some are down; lower replicas, or start servers")
		case refused.Code == 503, refused.ErrorCode == streamOffline, refused.ErrorCode == consumerOffline, refused.ErrorCode == notLeader:
			return fault.Wrap(err, fault.Unavailable, op, "the backend's server cannot serve the call now")
		}
		return fault.Wrap(err, fault.Internal, op, "the backend's server refused the call; the gateway's log has the cause")
	}
	var network net.Error // what a write to the connection fails with
	if errors.As(err, &network) {
		return fault.Wrap(err, fault.Unavailable, op, "the connection to the backend's server is lost")
	}
	for _, lost := range []error{
		context.Canceled, context.DeadlineExceeded, nats.ErrTimeout, nats.ErrNoResponders, nats.ErrConnectionClosed, nats.ErrDisconnected, nats.ErrReconnectBufExceeded,
		nats.ErrNoServers, nats.ErrStaleConnection, nats.ErrConnectionReconnecting, jetstream.ErrNoStreamResponse, net.ErrClosed, io.EOF,
	} {
		if errors.Is(err, lost) {
			return fault.Wrap(err, fault.Unavailable, op, "the backend's server did not answer")
		}
	}
	return fault.Wrap(err, fault.Internal, op, "the backend failed; the gateway's log has the cause")
}

// errLost is what subscriptions end with when messages may have been lost.
func errLost() error {
	return fault.New(fault.Unavailable, "the connection to the backend's server was lost, and messages may be; subscribe again").WithOp("nats.pubsub")
}

// isConflict tells whether a message was refused because the last one of its subject is not the expected one.
func isConflict(err error) bool {
	var refused *jetstream.APIError
	return errors.As(err, &refused) &&
		(refused.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || refused.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

// isGone tells whether a consumer is not there.
func isGone(err error) bool { return errors.Is(err, jetstream.ErrConsumerNotFound) }
