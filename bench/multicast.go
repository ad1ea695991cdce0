package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	patternsv1 "github.com/prismgate/prism/gen/go/prism/patterns/v1"
)

const (
	multicastCase = "multicast"
	registryOwner = "/prism.patterns.v1.MulticastRegistryService/"
	// identities are those that are registered, and that get every message.
	identities = 1000
	// followers are the connections that identities are online by.
	followers = 4
	// multicastPause is the time between two calls of Multicast.
	multicastPause = 20 * time.Millisecond
	// arrivalPatience is how long messages may take to arrive at the end of a round before the case fails.
	arrivalPatience = 20 * time.Second
	// multicastConfig has MemStore in all slots.
	multicastConfig = `server: {limits: {max_streams: 1000}}
namespaces:
  - name: default
    pattern: multicast-registry
    slots: {registry: {backend: memstore}, messaging: {backend: memstore}, durability: {backend: memstore}}
`
)

// audience is who a message is sent to.
type audience struct {
	name string
	// online tells that each identity has a stream.
	online bool
	filter string
}

func audiences() []audience {
	return []audience{
		{name: "nobody online"},
		{name: "nobody online, by a filter", filter: `attributes.region == "eu"`},
		{name: "all online", online: true},
	}
}

// measureMulticast starts a gateway afresh for every audience of every round, registers a thousand identities, and sends messages to all of them.
func measureMulticast(ctx context.Context, b *benchmark) error {
	all := audiences()
	medians, longest := make([][]float64, len(all)), make([][]float64, len(all))
	for round := range b.rounds {
		for i := range all {
			i = (i + round) % len(all)
			took, err := all[i].measure(ctx, b)
			if err != nil {
				return fmt.Errorf("%s: %w", all[i].name, err)
			}
			slices.Sort(took)
			medians[i], longest[i] = append(medians[i], median(took)), append(longest[i], percentile(took, 100))
			progress("%s: round %d/%d: %s: median %.2f ms, at most %.2f ms", multicastCase, round+1, b.rounds, all[i].name, medians[i][round], longest[i][round])
		}
	}
	b.report.command(multicastCase, fmt.Sprintf("one connection of a blocking socket, Multicast of 100 bytes to %d identities each %s for %s, sent by a thread of core %d in nanosleep; "+
		"who is online has a stream of one of %d connections, read by threads of the policy SCHED_IDLE", identities, multicastPause, b.duration, b.loadCore, followers))
	for i, a := range all {
		b.report.add(figure{Case: multicastCase, Name: a.name + ": median time of a call", Unit: milliseconds, Samples: medians[i], Bar: atMost(5)})
		b.report.add(figure{Case: multicastCase, Name: a.name + ": longest", Unit: milliseconds, Samples: longest[i]})
	}
	return nil
}

// measure returns what calls have taken, in milliseconds.
func (a audience) measure(ctx context.Context, b *benchmark) (took []float64, err error) {
	s, err := b.start(ctx, gateway, setting{config: multicastConfig})
	if err != nil {
		return nil, err
	}
	defer s.stop()
	if err := registerAll(ctx, s); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, s.log)
	}
	var arrived func(messages int) error
	if a.online {
		if arrived, err = followAll(ctx, s); err != nil {
			return nil, fmt.Errorf("%w\n%s", err, s.log)
		}
	}
	var calls int
	err = steadily(b.loadCore, func() (err error) {
		took, calls, err = a.send(ctx, s, b.duration)
		return err
	})
	if a.online {
		err = errors.Join(err, arrived(calls*identities))
	}
	if err = errors.Join(err, s.checkCounted(ctx)); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, s.log)
	}
	return took, nil
}

// send sends messages for a time. It returns what they have taken, but for the first ones, and how many there were in all.
func (a audience) send(ctx context.Context, s *server, duration time.Duration) (took []float64, calls int, err error) {
	const warm = 5
	c, err := dialGRPC(s.address, a.exchange())
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = c.close() }() // everything has been read
	asker := c.(*grpcCaller)
	calls = 1 // that of dialing
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for count := warm + int(duration/multicastPause); calls < count; calls++ {
		if ctx.Err() != nil {
			return nil, calls, ctx.Err()
		}
		began := time.Now()
		if err := asker.ask(); err != nil {
			return nil, calls, err
		}
		if calls >= warm {
			took = append(took, time.Since(began).Seconds()*1e3)
		}
		if err := asker.check(); err != nil {
			return nil, calls, err
		}
		sleepUntil(began.Add(multicastPause))
	}
	return took, calls, nil
}

// exchange sends 100 bytes to all, and takes an answer that says so.
func (a audience) exchange() *exchange {
	return &exchange{
		procedure: registryOwner + "Multicast",
		request:   marshal(&patternsv1.MulticastRequest{Filter: a.filter, Payload: make([]byte, 100)}),
		accepts: func(message []byte) error {
			var answer patternsv1.MulticastResponse
			if err := proto.Unmarshal(message, &answer); err != nil {
				return err
			}
			sent := answer.GetQueued()
			if a.online {
				sent = answer.GetPublished()
			}
			if answer.GetMatched() != identities || sent != identities {
				return fmt.Errorf("of %d identities, %d were found; published to %d, queued for %d, failed %d",
					identities, answer.GetMatched(), answer.GetPublished(), answer.GetQueued(), answer.GetFailed())
			}
			return nil
		},
	}
}

func identity(i int) string { return fmt.Sprintf("device-%04d", i) }

// registerAll registers the identities.
func registerAll(ctx context.Context, s *server) error {
	conn, err := s.dialStock()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // everything has been answered
	ctx = inNamespace(ctx, namespace)
	for i := range identities {
		request := &patternsv1.RegisterRequest{Identity: identity(i), Metadata: map[string]string{"region": "eu", "model": fmt.Sprintf("m%d", i%10)}}
		if err := conn.Invoke(ctx, registryOwner+"Register", request, new(patternsv1.RegisterResponse)); err != nil {
			return err
		}
	}
	return nil
}

// followAll brings the identities online. The function that it returns waits until so many messages have arrived in all, and closes the streams; call it once.
func followAll(ctx context.Context, s *server) (arrived func(messages int) error, err error) {
	const each = identities / followers
	var open []*follower
	closeAll := func() error {
		var errs []error
		for _, f := range open {
			errs = append(errs, f.close())
		}
		return errors.Join(errs...)
	}
	for n := range followers {
		requests := make([][]byte, each)
		for i := range requests {
			requests[i] = marshal(&patternsv1.SubscribeRequest{Identity: identity(n*each + i)})
		}
		f, err := follow(s.address, registryOwner+"Subscribe", requests)
		if err == nil {
			open = append(open, f)
			err = f.eachOnce(isSubscribed)
		}
		if err != nil {
			return nil, errors.Join(err, closeAll())
		}
	}
	var count atomic.Int64
	failed := make(chan error, followers)
	for _, f := range open {
		go func() {
			runtime.LockOSThread() // and never unlocked: the thread ends with its policy
			err := yield()
			for err == nil {
				if _, err = f.next(); err == nil {
					count.Add(1)
				}
			}
			failed <- err
		}()
	}
	return func(messages int) error {
		err := awaitCount(ctx, &count, messages, failed)
		return errors.Join(err, closeAll())
	}, nil
}

func isSubscribed(_ int, message []byte) error {
	var answer patternsv1.SubscribeResponse
	if err := proto.Unmarshal(message, &answer); err != nil {
		return err
	}
	if answer.GetSubscribed() == nil {
		return fmt.Errorf("the first message is not Subscribed but %v", &answer)
	}
	return nil
}

// awaitCount waits until so many messages have arrived, and no more of them.
func awaitCount(ctx context.Context, count *atomic.Int64, messages int, failed <-chan error) error {
	ctx, cancel := context.WithTimeout(ctx, arrivalPatience)
	defer cancel()
	for count.Load() < int64(messages) {
		select {
		case err := <-failed:
			return err
		case <-ctx.Done():
			return fmt.Errorf("%d messages have arrived, want %d", count.Load(), messages)
		case <-time.After(time.Millisecond):
		}
	}
	if got := count.Load(); got > int64(messages) {
		return fmt.Errorf("%d messages have arrived, want %d", got, messages)
	}
	return nil
}
