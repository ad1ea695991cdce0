package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/prismgate/prism/runtime/h2/frame"
)

const (
	// fairConnections and fairStreams make a thousand streams.
	fairConnections = 10
	fairStreams     = 100
	// fairMessages are in one stream: more than a stream is likely to deliver in time. One that ends begins anew.
	fairMessages = 100_000
)

// measureFairness measures how evenly a thousand streams are served, which each have more to deliver than there is time for.
func measureFairness(ctx context.Context, b *benchmark) error {
	const name = "fairness"
	x := scan(fairMessages)
	duration := 5 * b.duration
	servers, err := b.startAll(ctx, setting{}, []*exchange{x}, gateway, grpcGo)
	defer func() { stopAll(servers) }()
	if err != nil {
		return err
	}
	evenness, rates := make([][]float64, len(servers)), make([][]float64, len(servers))
	for round := range b.rounds {
		for i := range servers {
			i = (i + round) % len(servers)
			delivered, err := streamAll(ctx, servers[i], x, duration)
			if err != nil {
				return fmt.Errorf("%s: %w\n%s", servers[i].name, err, servers[i].log.String())
			}
			slices.Sort(delivered)
			sum := 0.0
			for _, messages := range delivered {
				sum += messages
			}
			middle := median(delivered)
			if middle == 0 {
				return fmt.Errorf("%s: half of the streams delivered nothing", servers[i].name)
			}
			evenness[i], rates[i] = append(evenness[i], delivered[0]/middle), append(rates[i], sum/duration.Seconds())
			progress("%s: round %d/%d: %-8s %.0f messages/s; of a stream at least %.0f, median %.0f, at most %.0f",
				name, round+1, b.rounds, servers[i].name, sum/duration.Seconds(), delivered[0], middle, delivered[len(delivered)-1])
		}
	}
	b.report.command(name, fmt.Sprintf("%d connections of %d streams of Scan with the default windows of 64 KiB, credited when half is used, for %s", fairConnections, fairStreams, duration))
	for i, s := range servers {
		f := figure{Case: name, Name: s.name + ": slowest stream / median stream", Unit: ratio, Samples: evenness[i]}
		if i == 0 {
			f.Bar = atLeast(0.5)
		}
		b.report.add(f)
		b.report.add(figure{Case: name, Name: s.name + ": messages", Unit: perSecond, Samples: rates[i]})
	}
	return servers[0].checkCounted(ctx)
}

// streamAll keeps the streams open for a time, and returns how many messages each of them delivered.
func streamAll(ctx context.Context, s *server, x *exchange, duration time.Duration) ([]float64, error) {
	until := time.Now().Add(duration)
	type outcome struct {
		delivered []int
		err       error
	}
	outcomes := make(chan outcome)
	for range fairConnections {
		go func() {
			c, err := openStreams(ctx, s.address, x)
			if err != nil {
				outcomes <- outcome{err: err}
				return
			}
			err = c.receive(until)
			_ = c.conn.Close() // with streams on it, which the server sees
			outcomes <- outcome{c.delivered, err}
		}()
	}
	var messages []float64
	var errs []error
	for range fairConnections {
		o := <-outcomes
		errs = append(errs, o.err)
		for _, bytes := range o.delivered {
			messages = append(messages, float64(bytes)/float64(len(framed(x.responses[0]))))
		}
	}
	return messages, errors.Join(errs...)
}

// streamer is a connection that is full of streams, as many at any time.
type streamer struct {
	conn    net.Conn
	blocks  requestBlocks
	request []byte
	length  int // of a whole stream
	next    uint32
	// slots are the streams by their identifiers: a stream that ends leaves its slot to the one that replaces it.
	slots map[uint32]int
	// delivered are the bytes of each slot, ofStream those of the stream that is in it, uncredited those that no window was opened for, yet.
	delivered, ofStream, uncredited []int
	uncreditedAll                   int
	decoder                         *hpack.Decoder
	result                          string
	send                            []byte
}

func openStreams(ctx context.Context, address string, x *exchange) (*streamer, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	c := &streamer{
		conn: conn, blocks: newRequestBlocks("http", address, x.procedure), request: framed(x.request), length: x.grpcLength(), next: 1, slots: map[uint32]int{},
		delivered: make([]int, fairStreams), ofStream: make([]int, fairStreams), uncredited: make([]int, fairStreams),
	}
	c.decoder = hpack.NewDecoder(4096, func(f hpack.HeaderField) {
		if f.Name == "grpc-status" {
			c.result = f.Value
		}
	})
	c.send = frame.AppendSettings([]byte(frame.Preface))
	for slot := range fairStreams {
		c.open(slot)
	}
	if err := c.flush(); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return c, nil
}

// open begins a stream in a slot.
func (c *streamer) open(slot int) {
	block := c.blocks.next
	if c.next == 1 {
		block = c.blocks.first
	}
	c.send = frame.AppendHeaders(c.send, c.next, 0, block, frame.DefaultMaxSize)
	c.send = frame.AppendData(c.send, c.next, frame.EndStream, c.request)
	c.slots[c.next], c.ofStream[slot], c.uncredited[slot] = slot, 0, 0
	c.next += 2
}

func (c *streamer) flush() error {
	_, err := c.conn.Write(c.send)
	c.send = c.send[:0]
	return err
}

// receive counts what the streams deliver until a time.
func (c *streamer) receive(until time.Time) error {
	if err := c.conn.SetDeadline(until.Add(5 * time.Second)); err != nil { // beyond the end: a server that stops sending is at fault, not out of time
		return err
	}
	r := frameReader{from: c.conn, buffer: make([]byte, 128<<10)}
	for i := 0; i%64 != 0 || time.Now().Before(until); i++ {
		h, payload, err := r.next()
		if err != nil {
			return err
		}
		if err := c.take(h, payload); err != nil {
			return err
		}
		if len(c.send) > 0 {
			if err := c.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *streamer) take(h frame.Header, payload []byte) error {
	switch h.Type {
	case frame.Data:
		c.data(h.StreamID, len(payload))
	case frame.Headers:
		if h.Flags&^frame.EndStream != frame.EndHeaders {
			return fmt.Errorf("a HEADERS frame has flags %#x; this client reads unpadded, whole ones", h.Flags)
		}
		_, err := c.decoder.Write(payload)
		if err := errors.Join(err, c.decoder.Close()); err != nil || !h.Flags.Has(frame.EndStream) {
			return err
		}
		slot := c.slots[h.StreamID]
		if c.result != "0" || c.ofStream[slot] != c.length {
			return fmt.Errorf("a stream of %d bytes ended after %d, with grpc-status %s", c.length, c.ofStream[slot], c.result)
		}
		delete(c.slots, h.StreamID)
		c.open(slot)
	case frame.RSTStream, frame.GoAway:
		return fmt.Errorf("the server gave up: frame type %d, %q", h.Type, payload)
	default:
		c.send = append(c.send, controlAnswer(h, payload)...)
	}
	return nil
}

// data counts what a stream has delivered, and opens windows when half of them is used.
func (c *streamer) data(id uint32, n int) {
	slot := c.slots[id]
	c.delivered[slot] += n
	c.ofStream[slot] += n
	if c.uncredited[slot] += n; c.uncredited[slot] > frame.DefaultWindow/2 {
		c.send = frame.AppendWindowUpdate(c.send, id, uint32(c.uncredited[slot]))
		c.uncredited[slot] = 0
	}
	if c.uncreditedAll += n; c.uncreditedAll > frame.DefaultWindow/2 {
		c.send = frame.AppendWindowUpdate(c.send, 0, uint32(c.uncreditedAll))
		c.uncreditedAll = 0
	}
}
