package redis

import (
	"context"
	_ "embed"
	"errors"

	"github.com/redis/go-redis/v9"

	"github.com/prismgate/prism/runtime/fault"
)

// write is a call that changes one key, and its outcome.
type write struct {
	key    string // on the server
	index  string // the namespace's index of keys, and
	member string // the key in it, which is the key as the caller has it
	what   writeWhat
	value  []byte
	ttl    int64 // in milliseconds; 0 is none

	commands  []*redis.Cmd // what it becomes, alone or with others
	found     bool         // the key was there
	persisted bool
	err       error
}

// writeWhat is what a write does.
type writeWhat uint8

const (
	writeSet writeWhat = iota
	writeDelete
	writeExpire
	writePersist
)

var (
	//go:embed lua/keyvalue_delete.lua
	deleteText string
	//go:embed lua/keyvalue_persist.lua
	persistText string

	deleteScript  = newScript(deleteText)
	persistScript = newScript(persistText)
)

// write makes the calls of a batch in one exchange and one step, since the index of keys changes with the keys. No key is in a batch twice.
func (p *place) write(ctx context.Context, batch []*write) error {
	return p.do(ctx, "redis.keyvalue.write", false, func(bounded context.Context) error {
		if len(batch) == 1 && (batch[0].what == writeDelete || batch[0].what == writePersist) {
			return p.writeByScript(bounded, batch[0])
		}
		err := p.exchange(bounded, batch[0].index, writeCommands(bounded, batch))
		if errors.As(err, &refusal{}) && len(batch) > 1 {
			if all := mapped(ctx, "redis.keyvalue.write", err); fault.CodeOf(all) == fault.Unavailable {
				return all // the server would refuse each of them as well
			}
			// The server refuses one call, and so all of them. Each gets an answer of its own.
			for _, w := range batch {
				if err := p.write(ctx, []*write{w}); err != nil {
					w.err = err
				}
			}
			return nil
		}
		if err != nil {
			return err
		}
		for _, w := range batch {
			w.answered(ctx)
		}
		return nil
	})
}

// writeByScript makes a call that must succeed also when the server's memory is full, and is more than one command: the server refuses to begin a transaction of its own then.
func (p *place) writeByScript(ctx context.Context, w *write) error {
	script, keys, arguments := persistScript, []string{w.key}, []any(nil)
	if w.what == writeDelete {
		script, keys, arguments = deleteScript, []string{w.key, w.index}, []any{w.member}
	}
	number, err := p.eval(ctx, script, keys, arguments...).Int64()
	w.found, w.persisted, w.err = number > 0, number == 2, nil
	return err
}

// writeCommands is what a batch becomes: one MSET for all that only set, one ZADD and one ZREM for each index, and commands of their own for the others.
func writeCommands(ctx context.Context, batch []*write) []redis.Cmder {
	commands := make([]redis.Cmder, 0, len(batch)+2)
	shared := make(map[[2]string]*sharedCommand)
	for _, w := range batch {
		w.commands, w.err = w.commands[:0], nil
		own := func(arguments ...any) {
			command := redis.NewCmd(ctx, arguments...)
			w.commands = append(w.commands, command)
			commands = append(commands, command)
		}
		switch {
		case w.what == writeSet && w.ttl == 0:
			share(shared, w, "mset", "", w.key, w.value)
			share(shared, w, "zadd", w.index, 0, w.member)
		case w.what == writeSet:
			own("set", w.key, w.value, "px", w.ttl)
			share(shared, w, "zadd", w.index, 0, w.member)
		case w.what == writeDelete:
			own("del", w.key)
			share(shared, w, "zrem", w.index, w.member)
		case w.what == writeExpire:
			own("pexpire", w.key, w.ttl)
		case w.what == writePersist:
			own("exists", w.key)
			own("persist", w.key)
		}
	}
	for _, s := range shared {
		command := redis.NewCmd(ctx, s.arguments...)
		for _, w := range s.writes {
			w.commands = append(w.commands, command)
		}
		commands = append(commands, command)
	}
	return commands
}

// sharedCommand is one command for several writes.
type sharedCommand struct {
	arguments []any
	writes    []*write
}

// share adds a write's arguments to the command of that name and first argument, if it has one.
func share(shared map[[2]string]*sharedCommand, w *write, name, first string, arguments ...any) {
	s := shared[[2]string{name, first}]
	if s == nil {
		s = &sharedCommand{arguments: []any{name}}
		if first != "" {
			s.arguments = append(s.arguments, first)
		}
		shared[[2]string{name, first}] = s
	}
	s.arguments = append(s.arguments, arguments...)
	s.writes = append(s.writes, w)
}

// answered takes what the server has answered to the write's commands.
func (w *write) answered(ctx context.Context) {
	for _, command := range w.commands {
		if err := command.Err(); err != nil {
			w.err = mapped(ctx, "redis.keyvalue.write", err)
			return
		}
	}
	w.found = w.commands[0].Val() == int64(1)
	w.persisted = w.what == writePersist && w.commands[1].Val() == int64(1)
}
