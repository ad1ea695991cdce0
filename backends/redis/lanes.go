package redis

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/prismgate/prism/runtime/backend"
)

// maxShared is the most bytes of a value that shares an exchange with others: a larger one would hold them up.
const maxShared = 64 << 10

// lanes make exchanges with the server of concurrent calls, whose keys must be in one slot when it is a cluster.
type lanes struct {
	reads  *backend.Lane[read]
	writes *backend.Lane[write]
}

func newLanes(p *place) *lanes {
	return &lanes{
		reads:  backend.NewLane(p.ctx, p.env, "read", p.config.GetCoalescing(), nil, p.read),
		writes: backend.NewLane(p.ctx, p.env, "write", p.config.GetCoalescing(), func(w *write) string { return w.key }, p.write),
	}
}

// coalesced makes a call in a lane, where nothing is repeated; one that may be is repeated here, while there is time.
func (p *place) coalesced(ctx context.Context, repeatable bool, call func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	begun := time.Now()
	var failed error
	return p.breaker.Do(ctx, repeatable, func(context.Context) error {
		if failed == nil || time.Since(begun) < p.timeout {
			failed = call()
		}
		return failed
	})
}

// exchange sends commands together, in one step when there are several and index is set, which is the index of a namespace with which they are in one slot. Each command has its own outcome; the
// error is that of them all: the server was not reached, or did not do any of them.
func (s *Store) exchange(ctx context.Context, index string, commands []redis.Cmder) error {
	if len(commands) == 1 {
		_ = s.client.Process(ctx, once{commands[0]})
		return unanswered(commands[0].Err())
	}
	pipeline := s.client.Pipeline()
	if index != "" {
		pipeline = s.client.TxPipeline()
		if s.config.GetCluster() {
			// It has the others done where all of the namespace is, or not at all.
			commands = append(commands, redis.NewIntCmd(ctx, "exists", index, s.together(index)[1]))
		}
	}
	if err := pipeline.BatchProcess(ctx, commands...); err != nil {
		return err
	}
	_, err := pipeline.Exec(ctx)
	if err == nil {
		return nil
	}
	failed, refused := 0, err
	for _, command := range commands {
		err := command.Err()
		if err == nil || isNil(err) {
			continue
		}
		if unanswered(err) != nil {
			return err
		}
		if failed++; redis.HasErrorPrefix(refused, "EXECABORT") {
			refused = err
		}
	}
	if index != "" && failed == len(commands) {
		return refusal{refused}
	}
	return nil
}

// refusal says that the server did nothing of what it was sent in one step, since it refuses a part of it.
type refusal struct{ error }

// Unwrap returns the server's answer.
func (r refusal) Unwrap() error { return r.error }

// unanswered returns an error that is not the server's answer to a command.
func unanswered(err error) error {
	var answered redis.Error
	if err == nil || errors.As(err, &answered) {
		return nil
	}
	return err
}
