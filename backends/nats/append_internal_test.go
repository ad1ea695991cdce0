package nats

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/internal/testenv"
)

// appending returns appends on a connection of the test's own, and another one that a stream's side can be played on.
func appending(t *testing.T, timeout time.Duration) (a *appends, stream *nats.Conn) {
	t.Helper()
	var conns [2]*nats.Conn
	for i := range conns {
		conn, err := nats.Connect("nats://"+testenv.Shared(t, testenv.NATS).Address(), nats.Timeout(patience))
		require.NoError(t, err)
		t.Cleanup(conn.Close)
		conns[i] = conn
	}
	a, err := newAppends(conns[0], timeout)
	require.NoError(t, err)
	return a, conns[1]
}

// play answers what is published to the subject.
func play(t *testing.T, stream *nats.Conn, subject string, answer func(*nats.Msg)) {
	t.Helper()
	_, err := stream.Subscribe(subject, answer)
	require.NoError(t, err)
	require.NoError(t, stream.Flush())
}

func requireNobodyWaits(t *testing.T, a *appends) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	require.Empty(t, a.awaited)
}

func TestEachAppendGetsItsOwnAcknowledgement(t *testing.T) {
	t.Parallel()
	a, stream := appending(t, time.Minute)
	subject := nats.NewInbox()
	var held []*nats.Msg
	play(t, stream, subject, func(m *nats.Msg) { // in the wrong order, and each twice
		if held = append(held, m); len(held) < 2 {
			return
		}
		for _, m := range []*nats.Msg{held[1], held[0], held[1]} {
			_ = m.Respond(fmt.Appendf(nil, `{"stream":"s","seq":%s}`, m.Data))
		}
		held = nil
	})
	var callers sync.WaitGroup
	for caller := range 64 {
		callers.Go(func() {
			for n := range 25 {
				var pair sync.WaitGroup // who is left behind by all others still has two
				for i := range 2 {
					pair.Go(func() {
						want := uint64(caller*1000 + 2*n + i + 1)
						got, err := a.append(t.Context(), nil, &nats.Msg{Subject: subject, Data: fmt.Append(nil, want)})
						if err != nil || got != want {
							t.Errorf("caller %d: %d, %v", caller, got, err)
						}
					})
				}
				pair.Wait()
			}
		})
	}
	callers.Wait()
	requireNobodyWaits(t, a)
}

func TestAppendGivesUp(t *testing.T) {
	t.Parallel()
	a, stream := appending(t, time.Hour)
	silent, none := nats.NewInbox(), nats.NewInbox()
	play(t, stream, silent, func(*nats.Msg) {})
	_, err := a.append(t.Context(), nil, &nats.Msg{Subject: none})
	require.ErrorIs(t, err, jetstream.ErrNoStreamResponse)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = a.append(ctx, nil, &nats.Msg{Subject: silent})
	require.ErrorIs(t, err, context.Canceled)
	_, err = a.append(t.Context(), ctx.Done(), &nats.Msg{Subject: silent})
	require.ErrorIs(t, err, nats.ErrDisconnected)
	a.conn.Close()
	_, err = a.append(t.Context(), nil, &nats.Msg{Subject: silent})
	require.ErrorIs(t, err, nats.ErrConnectionClosed)
	requireNobodyWaits(t, a)
}

func TestAnAppendThatNobodyAnswersTimesOut(t *testing.T) {
	t.Parallel()
	a, stream := appending(t, 200*time.Millisecond)
	silent := nats.NewInbox()
	play(t, stream, silent, func(*nats.Msg) {})
	for range 2 { // the timer comes again
		_, err := a.append(t.Context(), nil, &nats.Msg{Subject: silent})
		require.ErrorIs(t, err, nats.ErrTimeout)
	}
	requireNobodyWaits(t, a)
}

func TestReadAcknowledgement(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]uint64{
		`{"stream":"a","seq":1}`:                            1,
		`{"stream":"a", "seq":12, "duplicate": true}`:       12,
		`{"stream":"a","domain":"d","seq":7}`:               7,
		`{"stream":"a","seq":18446744073709551615}`:         18446744073709551615,
		`{"seq":3,"stream":"a"}`:                            3,
		`{"stream":"a\",\"seq\":9","seq":5}`:                5,
		`{"stream":"a","seq":5,"x":{"stream":"b","seq":6}}`: 5,
	} {
		got, err := readAcknowledgement([]byte(text))
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{``, `{}`, `+ACK`, `null`, `{"stream":"a","seq":0}`, `{"stream":"a","seq":-1}`, `{"stream":"a","seq":18446744073709551616}`, `{"stream":"","seq":1,"x":1}`} {
		_, err := readAcknowledgement([]byte(text))
		require.ErrorIs(t, err, errNoAcknowledgement, text)
	}
	_, err := readAcknowledgement([]byte(`{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 5"},"stream":"a","seq":0}`))
	require.True(t, isConflict(err))
}

// FuzzReadAcknowledgement holds the short way to the long one.
func FuzzReadAcknowledgement(f *testing.F) {
	f.Add([]byte(`{"stream":"a","seq":1}`))
	f.Add([]byte(`{"error":{"code":400},"stream":"a","seq":0}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		sequence, err := readAcknowledgement(data)
		if err != nil || !json.Valid(data) {
			return // a short answer that is no JSON is never the server's
		}
		var answer struct {
			Sequence uint64 `json:"seq"`
		}
		require.NoError(t, json.Unmarshal(data, &answer))
		require.Equal(t, answer.Sequence, sequence)
	})
}
