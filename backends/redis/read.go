package redis

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// read is a call that reads one key, and its outcome.
type read struct {
	key  string
	what readWhat

	found bool
	value string
	left  int64 // milliseconds to live; less than 0 is for ever
	err   error
}

// readWhat is what a read is after.
type readWhat uint8

const (
	readValue readWhat = iota
	readExistence
	readTTL
)

// read makes the calls of a batch, in one exchange.
func (p *place) read(ctx context.Context, batch []*read) error {
	return p.do(ctx, "redis.keyvalue.read", false, func(bounded context.Context) error {
		values := make([]*read, 0, len(batch))
		var others []*read
		var commands []redis.Cmder
		for _, r := range batch {
			r.err = nil
			if r.what == readValue {
				values = append(values, r)
				continue
			}
			others = append(others, r)
			commands = append(commands, redis.NewIntCmd(bounded, r.what.command(), r.key))
		}
		if len(values) > 0 {
			commands = append(commands, getMany(bounded, values))
		}
		if err := p.exchange(bounded, "", commands); err != nil {
			return err
		}
		for i, r := range others {
			r.answered(ctx, commands[i].(*redis.IntCmd))
		}
		if len(values) > 0 {
			p.answerValues(ctx, values, commands[len(others)].(*redis.SliceCmd))
		}
		return nil
	})
}

func (w readWhat) command() string {
	if w == readExistence {
		return "exists"
	}
	return "pttl"
}

// getMany asks for the values of several keys: MGET is the cheapest for both sides.
func getMany(ctx context.Context, values []*read) *redis.SliceCmd {
	arguments := make([]any, 1, 1+len(values))
	arguments[0] = "mget"
	for _, r := range values {
		arguments = append(arguments, &r.key)
	}
	arguments[1] = values[0].key // the client looks here for the slot, and does not look through pointers, which save an allocation for each of the others
	return redis.NewSliceCmd(ctx, arguments...)
}

// answerValues takes what MGET has answered.
func (p *place) answerValues(ctx context.Context, values []*read, got *redis.SliceCmd) {
	switch err := got.Err(); {
	case err == nil:
		for i, value := range got.Val() {
			values[i].value, values[i].found = value.(string)
		}
	case len(values) == 1:
		values[0].err = mapped(ctx, "redis.keyvalue.Get", err)
	default:
		// The server refuses one key, and so all of them. Each gets an answer of its own.
		for _, r := range values {
			if err := p.read(ctx, []*read{r}); err != nil {
				r.err = err
			}
		}
	}
}

// answered takes what EXISTS or PTTL has answered.
func (r *read) answered(ctx context.Context, answer *redis.IntCmd) {
	if err := answer.Err(); err != nil {
		r.err = mapped(ctx, "redis.keyvalue.read", err)
		return
	}
	if r.what == readExistence {
		r.found = answer.Val() == 1
		return
	}
	// -2 is a missing key, -1 one that does not expire.
	r.found, r.left = answer.Val() != -2, answer.Val()
}
