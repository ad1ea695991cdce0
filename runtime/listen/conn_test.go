package listen

import (
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// pair returns the two ends of a connection, the first one lazy.
func pair(t *testing.T) (lazy, peer net.Conn) {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	peer, err = net.Dial("tcp", inner.Addr().String())
	require.NoError(t, err)
	accepted, err := inner.Accept()
	require.NoError(t, err)
	lazy = &conn{Conn: accepted, closed: func() {}}
	t.Cleanup(func() { _, _, _ = inner.Close(), peer.Close(), lazy.Close() })
	return lazy, peer
}

// far is when what must not happen first would happen.
const far = time.Minute

// readAfter writes to the peer after a while, and returns what Read says.
func readAfter(t *testing.T, lazy, peer net.Conn, wait time.Duration) error {
	t.Helper()
	timer := time.AfterFunc(wait, func() { _, _ = peer.Write([]byte("a")) })
	defer timer.Stop()
	_, err := lazy.Read(make([]byte, 1))
	return err
}

func TestADeadlineEndsARead(t *testing.T) {
	lazy, peer := pair(t)
	require.NoError(t, lazy.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
	require.ErrorIs(t, readAfter(t, lazy, peer, far), os.ErrDeadlineExceeded)
}

func TestADeadlineThatIsTakenBackOrPutOffDoesNotEndARead(t *testing.T) {
	for _, later := range []time.Time{{}, time.Now().Add(far)} {
		lazy, peer := pair(t)
		require.NoError(t, lazy.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
		require.NoError(t, lazy.SetReadDeadline(later))
		require.NoError(t, readAfter(t, lazy, peer, 100*time.Millisecond))
	}
}

func TestANearerDeadlineCounts(t *testing.T) {
	lazy, peer := pair(t)
	require.NoError(t, lazy.SetReadDeadline(time.Now().Add(far)))
	require.NoError(t, lazy.SetReadDeadline(time.Time{}))
	require.NoError(t, lazy.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
	require.ErrorIs(t, readAfter(t, lazy, peer, far), os.ErrDeadlineExceeded)
}

func TestADeadlineInThePastEndsAReadThatWaits(t *testing.T) {
	lazy, peer := pair(t)
	time.AfterFunc(20*time.Millisecond, func() { _ = lazy.SetDeadline(time.Unix(1, 0)) })
	require.ErrorIs(t, readAfter(t, lazy, peer, far), os.ErrDeadlineExceeded)
	require.NoError(t, lazy.SetReadDeadline(time.Time{}))
	require.NoError(t, readAfter(t, lazy, peer, 0))
}

func TestAPutOffDeadlineStillCounts(t *testing.T) {
	lazy, peer := pair(t)
	require.NoError(t, lazy.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
	deadline := time.Now().Add(60 * time.Millisecond)
	require.NoError(t, lazy.SetReadDeadline(deadline))
	require.ErrorIs(t, readAfter(t, lazy, peer, far), os.ErrDeadlineExceeded)
	require.False(t, time.Now().Before(deadline))
}
