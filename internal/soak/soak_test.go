package soak

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	// defaultSoak is how long it takes when SOAK does not say: long enough to have done everything a few times.
	defaultSoak = 5 * time.Second
	// round is how long peers work before what was done is printed.
	round = 10 * time.Second
	// hostilePeers are at work at a time.
	hostilePeers = 24
	// settleTime is how long the server may take to give everything back. It is more than net/http waits before it closes a connection that was in error.
	settleTime = time.Minute
)

// tally counts what was done.
type tally struct {
	mu     sync.Mutex
	counts map[string]int
}

func (c *tally) add(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[what]++
}

func (c *tally) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(c.counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", c.counts[what], what))
	}
	return strings.Join(parts, ", ")
}

// TestSoak wears a front out and looks at what is left.
func TestSoak(t *testing.T) {
	duration := defaultSoak
	if text := os.Getenv("SOAK"); text != "" {
		var err error
		duration, err = time.ParseDuration(text)
		require.NoError(t, err, "SOAK is a duration, such as 60s")
	}
	fronts := map[string]bool{"own": false, "standard": true}
	if front := os.Getenv("FRONT"); front != "" {
		require.Contains(t, fronts, front, "FRONT is own or standard")
		fronts = map[string]bool{front: fronts[front]}
	}
	for _, name := range slices.Sorted(maps.Keys(fronts)) {
		t.Run(name, func(t *testing.T) { soak(t, fronts[name], duration) })
	}
}

func soak(t *testing.T, standard bool, duration time.Duration) {
	t.Helper()
	server := startChild(t, childSettings{Standard: standard})
	done := &tally{counts: map[string]int{}}

	// What is made once and kept, such as pools and idle workers, is there after a first round.
	wrong := hammer(t.Context(), server, done, min(duration/2, round))
	base := rest(t, server, level{})
	t.Logf("after the first round: %s", base)

	begun := time.Now()
	for left := duration; left > 0 && len(wrong) == 0; left = duration - time.Since(begun) {
		wrong = hammer(t.Context(), server, done, min(left, round))
		t.Logf("%s: %s", time.Since(begun).Round(time.Second), done)
	}
	end := rest(t, server, base)
	t.Logf("at the end: %s", end)
	require.Empty(t, wrong)
	if problems := end.above(base); len(problems) > 0 {
		dump, err := server.get("/goroutines")
		t.Errorf("the server holds more than before: %s\nbefore: %s\nnow:    %s\n%s %v", strings.Join(problems, ", "), base, end, dump, err)
	}
	for _, s := range scenarios() {
		require.NotZero(t, done.counts[s.name], "no peer has done this: %s", s.name)
	}
}

// TestTheSoakNotices proves that a server that leaks, or answers wrongly, does not pass.
func TestTheSoakNotices(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a while; `make soak` does it")
	}
	const long, mostRounds = 1500 * time.Millisecond, 10
	for _, leak := range []string{"goroutines", "heap", "descriptors"} {
		t.Run(leak, func(t *testing.T) {
			server := startChild(t, childSettings{Standard: true, Defect: leak})
			done := &tally{counts: map[string]int{}}
			base := server.level(t)
			for round := 1; ; round++ { // a busy machine may need several for as many calls as it takes
				require.Empty(t, hammer(t.Context(), server, done, long))
				end := rest(t, server, level{})
				if strings.Contains(strings.Join(end.above(base), ", "), leak) {
					return
				}
				require.Less(t, round, mostRounds, "before: %s, now: %s", base, end)
			}
		})
	}
	t.Run("wrong answers", func(t *testing.T) {
		server := startChild(t, childSettings{Standard: true, Defect: "answers"})
		for round := 1; len(hammer(t.Context(), server, &tally{counts: map[string]int{}}, long)) == 0; round++ {
			require.Less(t, round, mostRounds)
		}
	})
}

// above tells what a level has more of than another one, beyond what is normal. Memory is not given back at once, and fragments; a leak shows in a soak of minutes.
func (l level) above(base level) []string {
	const spare = 48 << 20
	var problems []string
	for _, c := range []struct {
		what      string
		now, most int64
	}{
		{"connections", int64(l.connections), int64(base.connections)},
		{"goroutines", int64(l.goroutines), int64(base.goroutines) + 4},
		{"descriptors", int64(l.descriptors), int64(base.descriptors) + 2},
		{"bytes of heap", l.heap, base.heap + base.heap/2 + spare/4},
		{"bytes of resident memory", l.resident, base.resident + base.resident/2 + spare},
	} {
		if c.now > c.most {
			problems = append(problems, fmt.Sprintf("%d %s, at most %d", c.now, c.what, c.most))
		}
	}
	return problems
}

// rest waits until the server has given everything back: until it is at a level, or at any that does not change.
func rest(t *testing.T, server *child, base level) level {
	t.Helper()
	deadline := time.Now().Add(settleTime)
	last := server.level(t)
	for quiet := 0; time.Now().Before(deadline); {
		time.Sleep(250 * time.Millisecond)
		now := server.level(t)
		if base != (level{}) && len(now.above(base)) == 0 {
			return now
		}
		if quiet++; now.connections != 0 || now.goroutines != last.goroutines || now.descriptors != last.descriptors {
			quiet = 0
		}
		last = now
		if base == (level{}) && quiet >= 8 {
			return now
		}
	}
	return last
}

// hammer lets all peers work for a while, and returns what was wrong. Then all connections are closed.
func hammer(ctx context.Context, server *child, done *tally, duration time.Duration) (wrong []error) {
	ctx, cancel := context.WithTimeout(ctx, duration)
	defer cancel()
	var working sync.WaitGroup
	var mu sync.Mutex
	note := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		wrong = append(wrong, err)
		cancel()
	}
	all := scenarios()
	for n := range hostilePeers {
		working.Go(func() {
			for i := n; ctx.Err() == nil; i++ { // in turns, so that all have theirs, whatever else is drawn
				s := all[i%len(all)]
				h := hostile{ctx: ctx, address: server.Clear, tally: done, name: s.name}
				if chance(2) {
					h.address, h.trust = server.TLS, server.trust
				}
				if err := s.run(h); err != nil {
					note(fmt.Errorf("%s: %w", s.name, err))
				}
				done.add(s.name)
			}
		})
	}
	for _, secure := range []bool{false, true} {
		working.Go(func() {
			if err := behave(ctx, server, secure, done); err != nil {
				note(fmt.Errorf("a client that behaves (TLS: %v): %w", secure, err))
			}
		})
	}
	working.Wait()
	return wrong
}

// behave calls all the time, as a stock client does, and demands right answers in time.
func behave(ctx context.Context, server *child, secure bool, done *tally) error {
	address, transport := server.Clear, insecure.NewCredentials()
	if secure {
		config := server.trust.Clone()
		config.ServerName, config.MinVersion = "localhost", tls.VersionTLS12
		address, transport = server.TLS, credentials.NewTLS(config)
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(transport))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	for ctx.Err() == nil {
		for _, call := range []func(context.Context, *grpc.ClientConn) error{callUnary, callStream} {
			// The call's own context: the end of the soak is not a wrong answer.
			callCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
			begun := time.Now()
			err := call(callCtx, conn)
			cancel()
			if err != nil {
				return fmt.Errorf("after %s: %w", time.Since(begun).Round(time.Millisecond), err)
			}
			done.add("right answers to clients that behave")
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}

func callUnary(ctx context.Context, conn *grpc.ClientConn) error {
	request, response := randomValue(), new(wrapperspb.BytesValue)
	if err := conn.Invoke(ctx, methodOf(0).Procedure, request, response); err != nil {
		return err
	}
	if !bytes.Equal(request.GetValue(), response.GetValue()) {
		return fmt.Errorf("%d bytes came back as %d", len(request.GetValue()), len(response.GetValue()))
	}
	return nil
}

func callStream(ctx context.Context, conn *grpc.ClientConn) error {
	s, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/"+service+"/Bidi")
	if err != nil {
		return err
	}
	for range 3 {
		request, response := randomValue(), new(wrapperspb.BytesValue)
		if err := s.SendMsg(request); err != nil {
			return err
		}
		if err := s.RecvMsg(response); err != nil {
			return err
		}
		if !bytes.Equal(request.GetValue(), response.GetValue()) {
			return fmt.Errorf("in a stream, %d bytes came back as %d", len(request.GetValue()), len(response.GetValue()))
		}
	}
	if err := s.CloseSend(); err != nil {
		return err
	}
	if err := s.RecvMsg(new(wrapperspb.BytesValue)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("a stream ended with %w", errors.Join(err))
	}
	return nil
}

func randomValue() *wrapperspb.BytesValue {
	content := make([]byte, rand.IntN(5000))
	for i := range content {
		content[i] = byte(rand.Uint32())
	}
	return wrapperspb.Bytes(content)
}
