package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"time"

	"github.com/prismgate/prism/runtime/h2/frame"
)

// flood is a way to make a server work for nothing.
type flood struct {
	name string
	// begin is what is sent first, on stream 1.
	begin func(blocks requestBlocks) []byte
	// batch is what is sent after it, again and again. Streams are new ones from next on; how many are used is returned.
	batch func(blocks requestBlocks, next uint32) (b []byte, used uint32)
}

const (
	// floodBatch is how many frames, or pairs of frames, are written at once.
	floodBatch = 500
	// floodPatience is how long a server is flooded that does not close the connection.
	floodPatience = 3 * time.Second
)

func floods() []flood {
	nothing := func(requestBlocks) []byte { return nil }
	// repeated sends the same frame on no stream, or on the one that begin has opened.
	repeated := func(one []byte) func(requestBlocks, uint32) ([]byte, uint32) {
		batch := []byte(strings.Repeat(string(one), floodBatch))
		return func(requestBlocks, uint32) ([]byte, uint32) { return batch, 0 }
	}
	return []flood{
		{"rapid reset", nothing, func(blocks requestBlocks, next uint32) (b []byte, used uint32) {
			for i := range uint32(floodBatch) {
				block := blocks.next
				if next+2*i == 1 {
					block = blocks.first
				}
				b = frame.AppendHeaders(b, next+2*i, 0, block, frame.DefaultMaxSize)
				b = frame.AppendRSTStream(b, next+2*i, frame.Cancel)
			}
			return b, floodBatch
		}},
		{"PING", nothing, repeated(frame.AppendPing(nil, false, [8]byte{}))},
		{"SETTINGS", nothing, repeated(frame.AppendSettings(nil, frame.Setting{ID: frame.EnablePush}))},
		{"PRIORITY", nothing, repeated(append(frame.AppendHeader(nil, frame.Header{Type: frame.Priority, Length: 5, StreamID: 3}), 0, 0, 0, 0, 1))},
		{"empty DATA", func(blocks requestBlocks) []byte {
			return frame.AppendHeaders(nil, 1, 0, blocks.first, frame.DefaultMaxSize)
		}, repeated(frame.AppendData(nil, 1, 0, nil))},
		{"CONTINUATION", func(blocks requestBlocks) []byte {
			return append(frame.AppendHeader(nil, frame.Header{Type: frame.Headers, Length: uint32(len(blocks.first)), StreamID: 1}), blocks.first...)
		}, repeated(append(frame.AppendHeader(nil, frame.Header{Type: frame.Continuation, Length: 1, StreamID: 1}), 0x80|2))}, // one more :method
	}
}

// attack floods a server on one connection. It returns how long the server took to close the connection, and with what error code in GOAWAY.
func (f flood) attack(ctx context.Context, s *server, x *exchange) (took time.Duration, code string, err error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.address)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = conn.Close() }() // the server has, or shall not be asked
	blocks := newRequestBlocks("http", s.address, x.procedure)
	if _, err := conn.Write(append(frame.AppendSettings([]byte(frame.Preface)), f.begin(blocks)...)); err != nil {
		return 0, "", err
	}
	codes := make(chan string, 1)
	go func() { codes <- lastCode(conn) }()
	began := time.Now()
	if err := conn.SetDeadline(began.Add(floodPatience)); err != nil {
		return 0, "", err
	}
	for next := uint32(1); ; {
		batch, used := f.batch(blocks, next)
		next += 2 * used
		if _, err := conn.Write(batch); err != nil { // that it was closed, or that time is over
			took = time.Since(began)
			return took, <-codes, nil
		}
	}
}

// lastCode reads until a connection is closed, and returns the error code of GOAWAY.
func lastCode(conn net.Conn) string {
	code := "no GOAWAY seen"
	r := frameReader{from: conn, buffer: make([]byte, 64<<10)}
	for {
		h, payload, err := r.next()
		if err != nil {
			return code
		}
		if h.Type == frame.GoAway && len(payload) >= 8 {
			code = frame.ErrorCode(uint32(payload[4])<<24 | uint32(payload[5])<<16 | uint32(payload[6])<<8 | uint32(payload[7])).String()
		}
	}
}

// measureFlood measures how long the gateway lets floods go on, and the time of other clients' calls before, meanwhile and afterwards.
func measureFlood(ctx context.Context, b *benchmark) error {
	const name = "flood"
	x := get(100)
	servers, err := b.startAll(ctx, setting{}, []*exchange{x}, gateway)
	defer func() { stopAll(servers) }()
	if err != nil {
		return err
	}
	kinds := floods()
	closed, codes := make([][]float64, len(kinds)), make([]string, len(kinds))
	var before, meanwhile, after []pacedRun
	others := pacer{"beside floods", servers[0], x, dialGRPC}
	for round := range b.rounds {
		first, err := others.run(ctx, b.loadCore, b.duration)
		if err != nil {
			return err
		}
		took := make([]time.Duration, len(kinds))
		for i, kind := range kinds {
			if took[i], codes[i], err = kind.attack(ctx, servers[0], x); err != nil {
				return fmt.Errorf("%s: %w", kind.name, err)
			}
			closed[i] = append(closed[i], took[i].Seconds()*1e3)
		}
		flooding := attackUntilCalled(ctx, kinds, servers[0], x)
		second, err := others.run(ctx, b.loadCore, b.duration)
		if err := errors.Join(err, flooding()); err != nil {
			return err
		}
		third, err := others.run(ctx, b.loadCore, b.duration)
		if err != nil {
			return err
		}
		before, meanwhile, after = append(before, first), append(meanwhile, second), append(after, third)
		progress("%s: round %d/%d: P99 before %.3f ms, meanwhile %.3f ms, afterwards %.3f ms; closed after %v", name, round+1, b.rounds, first.p99, second.p99, third.p99, took)
	}
	b.report.command(name, pacedCommand(b.loadCore, b.duration)+"; meanwhile one connection after another floods, of the policy SCHED_IDLE")
	for i, kind := range kinds {
		b.report.add(figure{Case: name, Name: kind.name + ": closed after", Unit: milliseconds, Samples: closed[i], Bar: atMost(1000), Note: codes[i]})
	}
	b.report.add(figure{Case: name, Name: "others' P99 before", Unit: milliseconds, Samples: column(before, pacedRun.atP99)})
	b.report.add(figure{Case: name, Name: "others' P99 meanwhile", Unit: milliseconds, Samples: column(meanwhile, pacedRun.atP99), Note: lateness(meanwhile)})
	b.report.add(figure{Case: name, Name: "others' P99 afterwards", Unit: milliseconds, Samples: column(after, pacedRun.atP99)})
	b.report.add(figure{
		Case: name, Name: "others' P99, afterwards / before", Unit: ratio, Bar: atMost(1.25),
		Samples: divide(column(after, pacedRun.atP99), column(before, pacedRun.atP99)),
	})
	return servers[0].checkCounted(ctx)
}

// attackUntilCalled floods a server in every way, in turn, on a thread that yields to the one that measures. The function that it returns ends that.
func attackUntilCalled(ctx context.Context, kinds []flood, s *server, x *exchange) func() error {
	ctx, stop := context.WithCancel(ctx)
	failed := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its policy
		err := yield()
		for i := 0; err == nil && ctx.Err() == nil; i++ {
			_, _, err = kinds[i%len(kinds)].attack(ctx, s, x)
		}
		if ctx.Err() != nil {
			err = nil
		}
		failed <- err
	}()
	return func() error {
		stop()
		return <-failed
	}
}
