package redis

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// checkRights tells whether the user may do what is done with the server. It asks within transactions that are discarded, where the server looks at rights and does nothing.
func (s *Store) checkRights(ctx context.Context, node redis.Cmdable) error {
	// First whether transactions are allowed at all: the rest would be done without.
	if err := s.tryRights(ctx, node, [][]any{{"multi"}, {"exec"}}); err != nil {
		return err
	}
	within := [][]any{{"multi"}}
	name := s.key("", "rights")
	for line := range strings.Lines(usedCommands) {
		var command []any
		for _, word := range strings.Fields(line) {
			if word == "K" {
				word = name
			}
			command = append(command, word)
		}
		within = append(within, command)
	}
	return s.tryRights(ctx, node, append(within, []any{"discard"}))
}

// usedCommands are the commands that are used, by scripts too, with as many arguments as the server wants. K is a key, or a channel.
const usedCommands = `ping
	time
	del K
	eval - 1 K
	evalsha - 1 K
	exists K
	get K
	hdel K f
	hexists K f
	hget K f
	hgetall K
	hincrby K f 1
	hmget K f
	hset K f v
	hstrlen K f
	incr K
	mget K
	mset K v
	persist K
	pexpire K 1
	pttl K
	publish K m
	sadd K m
	scard K
	set K v
	setnx K v
	smembers K
	srem K m
	strlen K
	subscribe K
	xadd K * f v
	xinfo stream K
	xrange K - +
	xrevrange K + -
	xtrim K maxlen 1
	zadd K 0 m
	zcard K
	zcount K 0 0
	zrandmember K 1
	zrange K 0 0
	zrangebylex K - +
	zrangebyscore K 0 0
	zrem K m
	zremrangebyscore K 0 0
	zscore K m`

func (s *Store) tryRights(ctx context.Context, node redis.Cmdable, commands [][]any) error {
	pipeline := node.Pipeline()
	for _, command := range commands {
		pipeline.Do(ctx, command...)
	}
	answers, err := pipeline.Exec(ctx)
	if err := unanswered(err); err != nil {
		return s.explain(err)
	}
	for _, answer := range answers {
		if redis.HasErrorPrefix(answer.Err(), "NOPERM") {
			return s.explainRights(answer.Err().Error())
		}
	}
	return nil
}

// explainRights names the line of the access control list that would do.
func (s *Store) explainRights(text string) error {
	user := s.config.GetUsername()
	if user == "" {
		user = "default"
	}
	return fmt.Errorf("%s: user %q may not do what a backend must: %s; on the server, ACL SETUSER %s ~%s:* &%s:* %s",
		s.where(), user, text, user, s.prefix, s.prefix, neededRights)
}

// neededRights are those of the access control list beside the keys and channels. In Redis 6.2 the category of connections does not have ASKING, which only a cluster needs, while a slot moves.
const neededRights = "+@read +@write +@pubsub +@transaction +@scripting +@connection +info +time +command +cluster|slots +asking"
