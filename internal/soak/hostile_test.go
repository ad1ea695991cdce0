package soak

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prismgate/prism/runtime/h2/frame"
)

// hostile is a peer that does not behave.
type hostile struct {
	ctx     context.Context
	address string
	// trust is nil in clear.
	trust *tls.Config
	tally *tally
	// name is what it does.
	name string
}

// scenario is something that hostile peers do, for a few seconds at most. What it returns is a wrong answer; a connection that ends is none.
type scenario struct {
	name string
	run  func(hostile) error
}

func scenarios() []scenario {
	return []scenario{
		{"resets at random", hostile.resets},
		{"resets of waiting calls", hostile.cancelsWaiting},
		{"connections that vanish", hostile.vanishes},
		{"slow readers", hostile.readsSlowly},
		{"readers that stop", hostile.stopsReading},
		{"slow writers", hostile.writesSlowly},
		{"silent connections", hostile.staysSilent},
		{"many streams", hostile.manyStreams},
		{"big messages", hostile.bigMessages},
		{"deadlines", hostile.deadlines},
		{"garbage", hostile.garbage},
		{"requests of HTTP/1.1", hostile.oldHTTP},
		{"bidirectional streams", hostile.bidi},
	}
}

func chance(n int) bool          { return rand.IntN(n) == 0 }
func upTo(n int) int             { return rand.IntN(n + 1) }
func ms(n int) time.Duration     { return time.Duration(upTo(n)) * time.Millisecond }
func oneOf(all ...string) string { return all[rand.IntN(len(all))] }

func (h hostile) dial(window uint32, configure func(*peer)) (*peer, error) {
	p, err := dial(h.ctx, h.address, h.trust, window, configure)
	if err == nil {
		go p.read()
	}
	return p, err
}

// pause waits, but not longer than the soak goes on.
func (h hostile) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-h.ctx.Done():
	}
}

// lost tells that a connection has ended, or was not to be had: the server may do that to whoever does not behave.
func (h hostile) lost(err error) error {
	if err != nil && h.ctx.Err() == nil {
		h.tally.add("lost connections of " + h.name)
	}
	return nil
}

// resets starts calls of all shapes and resets each at a random point.
func (h hostile) resets() error {
	p, err := h.dial(1<<20, nil)
	if err != nil {
		return h.lost(err)
	}
	defer p.close(chance(2))
	for range 1 + upTo(60) {
		id, err := p.open(oneOf("Unary", "ServerStream", "ClientStream", "Bidi"), doHeader, oneOf("", "", "wait", "20x1000", "fail"))
		if err != nil {
			return h.lost(err)
		}
		body := message(upTo(3000))
		if cut := upTo(2 * len(body)); cut < len(body) {
			body = body[:cut]
		}
		if err := p.data(h.ctx, id, body, chance(2), 1+upTo(1000)); err != nil {
			return h.lost(err)
		}
		switch upTo(3) {
		case 0:
			h.pause(ms(5))
		case 1:
			_ = p.wait(h.ctx, ms(20), func() bool { return p.streams[id].header })
		}
		h.tally.add("streams reset")
		if err := p.reset(id, frame.ErrorCode(upTo(13))); err != nil {
			return h.lost(err)
		}
	}
	return nil
}

// cancelsWaiting resets calls whose handlers wait.
func (h hostile) cancelsWaiting() error {
	p, err := h.dial(1<<20, nil)
	if err != nil {
		return h.lost(err)
	}
	defer p.close(false)
	var ids []uint32
	for range 50 {
		id, err := p.open(oneOf("Unary", "ServerStream"), doHeader, "wait")
		if err != nil {
			return h.lost(err)
		}
		if err := p.data(h.ctx, id, message(50), true, frame.DefaultMaxSize); err != nil {
			return h.lost(err)
		}
		ids = append(ids, id)
	}
	h.pause(ms(200))
	for _, id := range ids {
		h.tally.add("waiting calls reset")
		if err := p.reset(id, frame.Cancel); err != nil {
			return h.lost(err)
		}
		h.pause(ms(3))
	}
	return nil
}

// vanishes drops the connection in the middle of calls.
func (h hostile) vanishes() error {
	p, err := h.dial(1<<20, nil)
	if err != nil {
		return h.lost(err)
	}
	defer p.close(chance(2))
	for range 1 + upTo(20) {
		id, err := p.open(oneOf("Unary", "ServerStream", "ClientStream", "Bidi"), doHeader, oneOf("", "wait", "1000x1000"))
		if err != nil {
			return h.lost(err)
		}
		body := message(upTo(20_000))
		if err := p.data(h.ctx, id, body[:upTo(len(body))], false, frame.DefaultMaxSize); err != nil {
			return h.lost(err)
		}
	}
	h.pause(ms(50))
	if chance(2) { // in the middle of a frame
		_ = p.send(frame.AppendHeader(nil, frame.Header{Length: 1000, Type: frame.Data, StreamID: 1})) // it goes anyway
	}
	h.tally.add("connections dropped")
	return nil
}

// readsSlowly takes a long answer bit by bit, and gets all of it, or gives up.
func (h hostile) readsSlowly() error {
	p, err := h.dial(uint32(1000+upTo(20_000)), func(p *peer) { p.lazy = ms(4) })
	if err != nil {
		return h.lost(err)
	}
	defer p.close(chance(2))
	id, err := p.open("ServerStream", doHeader, "200x1000")
	if err != nil {
		return h.lost(err)
	}
	if err := p.data(h.ctx, id, message(10), true, frame.DefaultMaxSize); err != nil {
		return h.lost(err)
	}
	if chance(3) {
		h.pause(ms(300))
		h.tally.add("slow readers that gave up")
		return nil
	}
	s, err := p.answer(h.ctx, id, time.Minute)
	if err != nil {
		return h.lost(err)
	}
	h.tally.add("slow readers that got all")
	if want := 200 * (5 + 1003); s.status != 0 || s.size != want {
		return fmt.Errorf("a slow reader got status %d and %d bytes of %d", s.status, s.size, want)
	}
	return nil
}

// stopsReading asks for much and reads nothing: what the server writes fills the socket.
func (h hostile) stopsReading() error {
	p, err := dial(h.ctx, h.address, h.trust, 1<<20, nil)
	if err != nil {
		return h.lost(err)
	}
	defer p.close(chance(2))
	for range 1 + upTo(10) {
		id, err := p.open("ServerStream", doHeader, "2000x1000")
		if err != nil {
			return h.lost(err)
		}
		if err := p.send(frame.AppendData(nil, id, frame.EndStream, message(10))); err != nil {
			return h.lost(err)
		}
		h.tally.add("answers left unread")
	}
	h.pause(ms(1500))
	return nil
}

// writesSlowly sends a request byte by byte.
func (h hostile) writesSlowly() error {
	p, err := h.dial(1<<20, func(p *peer) { p.keep = true })
	if err != nil {
		return h.lost(err)
	}
	defer p.close(false)
	id, err := p.open("Unary")
	if err != nil {
		return h.lost(err)
	}
	body := message(30 + upTo(100))
	for i := range body {
		if err := p.data(h.ctx, id, body[i:i+1], i == len(body)-1, 1); err != nil {
			return h.lost(err)
		}
		h.pause(ms(6))
		if chance(300) {
			h.tally.add("slow writers that gave up")
			return nil
		}
	}
	s, err := p.answer(h.ctx, id, 20*time.Second)
	if err != nil {
		return h.lost(err)
	}
	h.tally.add("slow writers answered")
	if s.status != 0 || !bytes.Equal(s.body, body) {
		return fmt.Errorf("a slow writer got status %d and %d bytes of %d", s.status, len(s.body), len(body))
	}
	return nil
}

// staysSilent connects and says nothing, or stops in the middle of saying something.
func (h hostile) staysSilent() error {
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(h.ctx, "tcp", h.address)
	if err != nil {
		return h.lost(err)
	}
	defer func() { _ = conn.Close() }()
	h.tally.add("connections that stay silent")
	whole := append([]byte(frame.Preface), frame.AppendSettings(nil)...)
	whole = append(whole, frame.AppendHeader(nil, frame.Header{Length: 100, Type: frame.Headers, Flags: frame.EndHeaders, StreamID: 1})...)
	if chance(4) {
		whole = []byte("POST /" + service + "/Unary HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nabc")
	}
	if _, err := conn.Write(whole[:upTo(len(whole))]); err != nil {
		return h.lost(err)
	}
	h.pause(ms(3000))
	return nil
}

// manyStreams makes as many calls at once as it may, and checks every answer.
func (h hostile) manyStreams() error {
	p, err := h.dial(1<<20, func(p *peer) { p.keep = true })
	if err != nil {
		return h.lost(err)
	}
	defer p.close(false)
	sent := map[uint32][]byte{}
	for range 200 {
		id, err := p.open("Unary")
		if err != nil {
			return h.lost(err)
		}
		sent[id] = message(upTo(2000))
		if err := p.data(h.ctx, id, sent[id], true, frame.DefaultMaxSize); err != nil {
			return h.lost(err)
		}
	}
	for id, body := range sent {
		s, err := p.answer(h.ctx, id, time.Minute)
		if errors.Is(err, errReset) {
			h.tally.add("streams refused")
			continue
		}
		if err != nil {
			return h.lost(err)
		}
		h.tally.add("streams answered")
		if s.status != 0 || !bytes.Equal(s.body, body) {
			return fmt.Errorf("one of many streams got status %d and %d bytes of %d", s.status, len(s.body), len(body))
		}
	}
	return nil
}

// bigMessages sends and gets messages of up to the limit, and more.
func (h hostile) bigMessages() error {
	p, err := h.dial(uint32(frame.DefaultWindow+upTo(4<<20)), func(p *peer) { p.keep = true })
	if err != nil {
		return h.lost(err)
	}
	defer p.close(false)
	for range 1 + upTo(3) {
		id, err := p.open(oneOf("Unary", "Bidi"))
		if err != nil {
			return h.lost(err)
		}
		n := upTo(4 << 20)
		if chance(5) {
			n = 4<<20 + 1
		}
		body := message(n)
		tooLarge := len(body)-5 > 4<<20
		if err := p.data(h.ctx, id, body, true, frame.DefaultMaxSize); err != nil {
			return h.lost(err)
		}
		s, err := p.answer(h.ctx, id, time.Minute)
		if err != nil {
			return h.lost(err)
		}
		h.tally.add("big messages")
		if tooLarge && s.status != 8 || !tooLarge && (s.status != 0 || !bytes.Equal(s.body, body)) {
			return fmt.Errorf("a message of %d bytes got status %d and %d bytes", len(body), s.status, len(s.body))
		}
	}
	return nil
}

// deadlines makes calls that wait until their deadline.
func (h hostile) deadlines() error {
	p, err := h.dial(1<<20, nil)
	if err != nil {
		return h.lost(err)
	}
	defer p.close(false)
	for range 20 {
		id, err := p.open(oneOf("Unary", "ServerStream", "Bidi"), doHeader, "wait", "grpc-timeout", fmt.Sprint(1+upTo(60), "m"))
		if err != nil {
			return h.lost(err)
		}
		if err := p.data(h.ctx, id, message(20), true, frame.DefaultMaxSize); err != nil {
			return h.lost(err)
		}
		s, err := p.answer(h.ctx, id, 20*time.Second)
		if errors.Is(err, errGone) || h.ctx.Err() != nil {
			return h.lost(err)
		}
		h.tally.add("deadlines passed")
		if s.status != 4 {
			return fmt.Errorf("a call whose deadline passed got status %d (%w)", s.status, errors.Join(err))
		}
	}
	return nil
}

// garbage sends random bytes, or frames of random types and flags.
func (h hostile) garbage() error {
	p, err := h.dial(1<<20, nil)
	if err != nil {
		return h.lost(err)
	}
	defer p.close(chance(2))
	h.tally.add("garbage")
	for range 1 + upTo(10) {
		junk := make([]byte, upTo(200))
		for i := range junk {
			junk[i] = byte(rand.Uint32())
		}
		if chance(2) {
			junk = append(frame.AppendHeader(nil, frame.Header{
				Length: uint32(len(junk)), Type: frame.Type(upTo(10)), Flags: frame.Flags(rand.Uint32()), StreamID: uint32(upTo(9)),
			}), junk...)
		}
		if err := p.send(junk); err != nil {
			return h.lost(err)
		}
	}
	_ = p.wait(h.ctx, ms(300), func() bool { return false })
	return nil
}

// oldHTTP makes Connect calls over HTTP/1.1, some of which are broken off.
func (h hostile) oldHTTP() error {
	transport := &http.Transport{}
	scheme := "http"
	if h.trust != nil {
		transport.TLSClientConfig, scheme = h.trust.Clone(), "https"
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	for range 1 + upTo(10) {
		ctx, cancel := context.WithCancel(h.ctx)
		body := `"AAEC"`
		broken := chance(3)
		var reader io.Reader = bytes.NewReader([]byte(body))
		if broken {
			pipe, w := io.Pipe()
			go func() {
				_, _ = w.Write([]byte(body[:3])) // the request may have been given up
				time.Sleep(ms(30))
				cancel()
				_ = w.Close()
			}()
			reader = pipe
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, scheme+"://"+h.address+"/"+service+"/Unary", reader)
		if err != nil {
			cancel()
			return err
		}
		request.Header.Set("Content-Type", "application/json")
		response, err := client.Do(request)
		if err == nil {
			var answer []byte
			answer, err = io.ReadAll(response.Body)
			_ = response.Body.Close()
			h.tally.add("answers over HTTP/1.1")
			if err == nil && !broken && (response.StatusCode != http.StatusOK || string(answer) != body) {
				cancel()
				return fmt.Errorf("a call over HTTP/1.1 got %s: %q", response.Status, answer)
			}
		}
		cancel()
		if err != nil && !broken {
			return h.lost(err)
		}
	}
	return nil
}

// bidi talks on several streams at once.
func (h hostile) bidi() error {
	p, err := h.dial(1<<16, func(p *peer) { p.keep = true })
	if err != nil {
		return h.lost(err)
	}
	defer p.close(false)
	var talking sync.WaitGroup
	wrong := make(chan error, 5)
	for range 5 {
		talking.Go(func() {
			id, err := p.open("Bidi")
			if err != nil {
				return
			}
			var sent []byte
			for range 1 + upTo(20) {
				next := message(upTo(5000))
				sent = append(sent, next...)
				if p.data(h.ctx, id, next, false, 1+upTo(5000)) != nil {
					return
				}
				if chance(2) && p.wait(h.ctx, 20*time.Second, func() bool { return p.streams[id].size >= len(sent) || p.streams[id].reset }) != nil {
					return
				}
			}
			if p.data(h.ctx, id, nil, true, 1) != nil {
				return
			}
			s, err := p.answer(h.ctx, id, 20*time.Second)
			if err != nil {
				_ = h.lost(err)
				return
			}
			h.tally.add("conversations")
			if s.status != 0 || !bytes.Equal(s.body, sent) {
				wrong <- fmt.Errorf("a conversation got status %d and %d bytes of %d", s.status, len(s.body), len(sent))
			}
		})
	}
	talking.Wait()
	close(wrong)
	return <-wrong
}
