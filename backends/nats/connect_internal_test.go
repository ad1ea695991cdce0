package nats

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	"github.com/prismgate/prism/internal/testenv"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/fault"
)

func TestWhatTheNetworkSaysIsUnavailable(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		&net.OpError{Op: "write", Net: "tcp", Err: os.NewSyscallError("write", syscall.EPIPE)},
		&net.OpError{Op: "write", Net: "tcp", Err: os.ErrDeadlineExceeded},
		&net.OpError{Op: "write", Net: "tcp", Err: net.ErrClosed},
		nats.ErrDisconnected, io.EOF,
	} {
		require.Equal(t, fault.Unavailable, fault.CodeOf(failed("op", err)), "%v", err)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		require.Contains(t, []fault.Code{fault.Unavailable, fault.Canceled}, fault.CodeOf(outcome(ended, "op", err)), "%v", err)
	}
}

// A server of a cluster answers so for one that is gone: the code is 500, as of what is wrong for ever.
func TestWhatNoServerOfAClusterHasIsUnavailable(t *testing.T) {
	t.Parallel()
	for _, code := range []jetstream.ErrorCode{streamOffline, consumerOffline, notLeader, noPeers} {
		require.Equal(t, fault.Unavailable, fault.CodeOf(failed("op", &jetstream.APIError{Code: 500, ErrorCode: code})), "%d", code)
	}
}

// A server that reads nothing more makes the client's writes wait, which know no deadline of a caller.
func TestCallsReturnThoughTheServerReadsNothing(t *testing.T) {
	t.Parallel()
	server := testenv.Start(t, testenv.NATS)
	s, err := Open(t.Context(), backend.Env{}, &backendsv1.Nats{Urls: []string{"nats://" + server.Address()}, Timeout: durationpb.New(5 * time.Second)})
	require.NoError(t, err)
	found, err := s.Namespace(t.Context(), "name")
	require.NoError(t, err)
	require.NoError(t, server.Freeze())
	t.Cleanup(func() {
		require.NoError(t, server.Thaw())
		require.NoError(t, s.Close(context.WithoutCancel(t.Context())))
	})
	var callers sync.WaitGroup
	for range 32 {
		callers.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			_, err := found.Interfaces().KeyValueBasic.Set(ctx, &keyvaluev1.SetRequest{Key: "key", Value: make([]byte, 1<<20)})
			if code := fault.CodeOf(err); code != fault.Unavailable && code != fault.DeadlineExceeded {
				t.Errorf("%v", err)
			}
		})
	}
	returned := make(chan struct{})
	go func() { callers.Wait(); close(returned) }()
	select {
	case <-returned:
	case <-time.After(patience):
		require.Fail(t, "calls hang")
	}
}

// What was sent may come to the server long after its caller was told that it failed, and after a repetition too: it would replace what others have written since then.
func TestASetIsNotRepeated(t *testing.T) {
	t.Parallel()
	server := testenv.Start(t, testenv.NATS)
	status := new(backend.Status)
	config := &backendsv1.Nats{Urls: []string{"nats://" + server.Address()}, Timeout: busy}
	s, err := Open(t.Context(), backend.Env{Status: status}, config)
	require.NoError(t, err)
	found, err := s.Namespace(t.Context(), "name")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close(context.WithoutCancel(t.Context()))) })
	require.NoError(t, server.Kill())
	_, err = found.Interfaces().KeyValueBasic.Set(t.Context(), &keyvaluev1.SetRequest{Key: "key"})
	require.Equal(t, fault.Unavailable, fault.CodeOf(err))
	_, err = found.Interfaces().KeyValueTTL.SetWithTTL(t.Context(), &keyvaluev1.SetWithTTLRequest{Key: "key", Ttl: durationpb.New(time.Hour)})
	require.Equal(t, fault.Unavailable, fault.CodeOf(err))
	require.Zero(t, status.Retries.Load())
}

func TestAnotherConnectionDoesNotConfirmWhatThisOneSent(t *testing.T) {
	t.Parallel()
	s := namespace(t, nil).store
	s.conn.SetDisconnectErrHandler(func(*nats.Conn, error) {}) // it comes late
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	sent := func() error { return s.conn.Publish(s.subject(kindLive, "nobody"), nil) }
	require.NoError(t, s.confirmed(ctx, sent))
	require.ErrorIs(t, s.confirmed(ctx, func() error {
		err := sent()
		require.NoError(t, s.conn.ForceReconnect())
		require.Eventually(t, func() bool { return s.conn.Stats().Reconnects > 0 && s.conn.IsConnected() }, patience, time.Millisecond)
		return err
	}), nats.ErrDisconnected)
	require.NoError(t, s.confirmed(ctx, sent))
}

func TestAStreamThatWouldLoseMessagesIsRefused(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(*jetstream.StreamConfig){
		"storage":      func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage },
		"no_ack":       func(c *jetstream.StreamConfig) { c.NoAck = true },
		"max_msg_size": func(c *jetstream.StreamConfig) { c.MaxMsgSize = 1 << 10 },
	} {
		config := &backendsv1.Nats{Urls: []string{"nats://" + testenv.Shared(t, testenv.NATS).Address()}, Prefix: "refused_" + what}
		s, err := Open(t.Context(), backend.Env{}, config)
		require.NoError(t, err)
		is := s.keysConfig()
		change(&is)
		_, err = s.js.CreateStream(t.Context(), is)
		require.NoError(t, err)
		_, err = s.Namespace(t.Context(), "name")
		require.Equal(t, fault.FailedPrecondition, fault.CodeOf(err), what)
		require.ErrorContains(t, err, what)
		require.NoError(t, s.Close(t.Context()))
	}
}
