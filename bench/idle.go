package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// idleness is a case of connections that are open and do nothing.
type idleness struct {
	name        string
	connections int
	secure      bool
	// most is the bar, in KiB of the server's memory for a connection.
	most float64
}

// idlenesses are the cases. Ten thousand are as many as a gateway takes by default.
func idlenesses() []idleness {
	return []idleness{
		{name: "idle", connections: 10_000, most: 16},
		{name: "idle-tls", connections: 2000, secure: true, most: 48},
	}
}

// kibibyte is the unit of a connection's memory.
const kibibyte = 1024

// measure starts servers afresh in every round, opens the connections, makes a Set and a Get of 16 KiB on each, and compares the memory with what it was before.
func (c idleness) measure(ctx context.Context, b *benchmark) error {
	if err := needDescriptors(c.connections); err != nil {
		return err
	}
	exchanges := []*exchange{set(16 * kibibyte), get(16 * kibibyte)}
	names := []string{gateway, grpcGo}
	grown := make([][]float64, len(names))
	for round := range b.rounds {
		for i, name := range names {
			held, err := c.grow(ctx, b, name, exchanges)
			if err != nil {
				return err
			}
			grown[i] = append(grown[i], held)
			progress("%s: round %d/%d: %-8s %.1f KiB each", c.name, round+1, b.rounds, name, held)
		}
	}
	b.report.command(c.name, fmt.Sprintf("%d connections, opened one after the other; on each Set and Get of 16 KiB; VmRSS %s later, less what it was before", c.connections, settle))
	for i, name := range names {
		f := figure{Case: c.name, Name: name + ": memory of a connection", Unit: kibibytes, Samples: grown[i]}
		if i == 0 {
			f.Bar = atMost(c.most)
		}
		b.report.add(f)
	}
	b.report.add(figure{Case: c.name, Name: "gateway / grpc-go: memory of a connection", Unit: ratio, Samples: divide(grown[0], grown[1])})
	return nil
}

// grow returns by how many KiB a server has grown for each connection.
func (c idleness) grow(ctx context.Context, b *benchmark, name string, exchanges []*exchange) (kib float64, err error) {
	servers, err := b.startAll(ctx, setting{secure: c.secure}, exchanges, name)
	defer func() { stopAll(servers) }()
	if err != nil {
		return 0, err
	}
	s := servers[0]
	time.Sleep(settle)
	before, err := s.rss()
	if err != nil {
		return 0, err
	}
	var open []caller
	defer func() {
		for _, conn := range open {
			err = errors.Join(err, conn.close())
		}
	}()
	for range c.connections {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		conn, err := s.dialIdle(ctx, exchanges)
		if err != nil {
			return 0, fmt.Errorf("%s: connection %d: %w\n%s", name, len(open)+1, err, s.log.String())
		}
		open = append(open, conn)
	}
	time.Sleep(settle)
	after, err := s.rss()
	if err != nil {
		return 0, err
	}
	// Whether they are all still there shows in a call on the first and on the last.
	if err := errors.Join(open[0].call(), open[len(open)-1].call(), s.checkCounted(ctx)); err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return (after - before) / float64(c.connections) / kibibyte, nil
}

// dialIdle opens a connection and makes one call of each kind.
func (s *server) dialIdle(ctx context.Context, exchanges []*exchange) (caller, error) {
	c, err := s.dial(ctx, exchanges[0])
	if err != nil {
		return nil, err
	}
	for _, x := range exchanges[1:] {
		c.turnTo(x)
		if err := c.call(); err != nil {
			return nil, errors.Join(err, c.close())
		}
	}
	c.rest()
	return c, nil
}

// needDescriptors makes sure that this process, and so those that it starts, may open so many connections.
func needDescriptors(connections int) error {
	const besides = 200
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	need := uint64(connections + besides)
	if limit.Cur >= need {
		return nil
	}
	limit.Cur, limit.Max = need, max(limit.Max, need)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("%d connections take as many descriptors: raise ulimit -n: %w", connections, err)
	}
	return nil
}
