package redis

import (
	"context"
	"crypto/sha1" //nolint:gosec // Redis names scripts by it
	"encoding/hex"

	"github.com/redis/go-redis/v9"
)

// script is a Lua script that runs on the server, in one step.
type script struct{ text, sha string }

func newScript(text string) script {
	sum := sha1.Sum([]byte(text)) //nolint:gosec // Redis names scripts by it
	return script{text, hex.EncodeToString(sum[:])}
}

// together returns the keys of a command that needs more of a namespace than it names, or that is not the only one of its step. In a cluster it adds one that is never there: while a slot moves to
// another node, some of its keys are on one and some on the other, and the server looks only whether the keys that a command names are all on the same. What else a script reads would seem to be
// gone, and what it writes would come to be on both. With a key that is missing on both nodes the server refuses the command, with TRYAGAIN, until all of the slot is on one.
func (s *Store) together(keys ...string) []string {
	if s.config.GetCluster() {
		keys = append(keys, keys[0]+":absent")
	}
	return keys
}

// eval runs a script. It is sent by its name, and whole when the server does not know it yet. It is never repeated by the client, which in a cluster would repeat what may have happened.
func (s *Store) eval(ctx context.Context, script script, keys []string, arguments ...any) *redis.Cmd {
	command := s.evalOnce(ctx, "evalsha", script.sha, keys, arguments)
	if redis.HasErrorPrefix(command.Err(), "NOSCRIPT") {
		command = s.evalOnce(ctx, "eval", script.text, keys, arguments)
	}
	return command
}

func (s *Store) evalOnce(ctx context.Context, name, which string, keys []string, arguments []any) *redis.Cmd {
	all := make([]any, 0, 3+len(keys)+len(arguments))
	all = append(all, name, which, len(keys))
	for _, key := range keys {
		all = append(all, key)
	}
	command := redis.NewCmd(ctx, append(all, arguments...)...)
	command.SetFirstKeyPos(3)
	_ = s.client.Process(ctx, once{command}) // the command has the error too
	return command
}

// once is a command that the client does not repeat.
type once struct{ redis.Cmder }

// NoRetry tells the client so.
func (once) NoRetry() bool { return true }
