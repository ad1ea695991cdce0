package h2_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/runtime/h2"
	"github.com/prismgate/prism/runtime/h2/frame"
)

// readAll is a handler that reads a request to its end and tells how that was.
type readAll struct{ ended chan error }

func (r readAll) Plan(*h2.Stream) h2.Plan {
	return h2.Plan{Serve: func(s *h2.Stream) {
		for buffer := make([]byte, 16); ; {
			if _, err := s.Read(buffer); err != nil {
				r.ended <- err
				return
			}
		}
	}}
}

func TestARequestThatBreaksOffHasNoEnd(t *testing.T) {
	t.Parallel()
	handler := readAll{make(chan error, 1)}
	server := h2.NewServer(handler, h2.Options{})
	here, there := net.Pipe()
	served := make(chan struct{})
	go func() {
		defer close(served)
		server.ServeConn(there, nil)
	}()
	go func() { _, _ = io.Copy(io.Discard, here) }()
	block := []byte{0x83, 0x86, 0x84, 0x41, 1, 'a'} // POST, http, /, the authority a
	conversation := frame.AppendSettings([]byte(frame.Preface))
	conversation = frame.AppendHeaders(conversation, 1, 0, block, frame.DefaultMaxSize)
	conversation = frame.AppendData(conversation, 1, 0, []byte("half of"))
	_, err := here.Write(conversation)
	require.NoError(t, err)
	require.NoError(t, here.Close())
	select {
	case err = <-handler.ended:
	case <-time.After(patience):
		require.FailNow(t, "the handler was not told")
	}
	require.False(t, errors.Is(err, io.EOF), "%v", err)
	require.ErrorIs(t, err, context.Canceled)
	<-served
	require.NoError(t, server.Close())
}
