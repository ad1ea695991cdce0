package nats

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestTokensOfDifferentNamesDiffer(t *testing.T) {
	t.Parallel()
	names := rapid.OneOf(rapid.String(), rapid.StringMatching(`[th]?[A-Za-z0-9_.* >-]{0,50}`))
	rapid.Check(t, func(t *rapid.T) {
		a, b := names.Draw(t, "a"), names.Draw(t, "b")
		require.Equal(t, a == b, token(a) == token(b))
		require.Regexp(t, `^[th][A-Za-z0-9_-]{0,43}$`, token(a))
	})
}

func TestTokensOfATopicKeepItsShape(t *testing.T) {
	t.Parallel()
	for topic, want := range map[string]string{"a": "a", "a.b": "a.b", ".": "=.=", "a..b": "a.=.b", "a.*": "a.*", "*..>": "*.=.>"} {
		require.Equal(t, want, topicTokens(topic))
	}
}

func TestClockIsNeverAheadOfTheServers(t *testing.T) {
	t.Parallel()
	behind := time.Hour // the server's clock is that much behind
	c := clock{ask: func(context.Context) (time.Time, error) { return time.Now().Add(-behind), nil }}
	var last time.Time
	for range 1000 {
		told, err := c.now(t.Context())
		require.NoError(t, err)
		require.False(t, told.After(time.Now().Add(-behind)))
		require.False(t, told.Before(last), "it does not go back")
		last = told
	}
	// The server's clock was set back: what was told before does not count.
	behind = 2 * time.Hour
	c.since = c.since.Add(-clockAgain)
	told, err := c.now(t.Context())
	require.NoError(t, err)
	require.False(t, told.After(time.Now().Add(-behind)))
}

func TestWhoWaitsForTheServersTimeReturnsAtHisDeadline(t *testing.T) {
	t.Parallel()
	asked, answer := make(chan struct{}), make(chan struct{})
	c := clock{ask: func(context.Context) (time.Time, error) {
		close(asked)
		<-answer
		return time.Now(), nil
	}}
	first := make(chan error)
	go func() {
		_, err := c.now(t.Context())
		first <- err
	}()
	<-asked
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	second := make(chan error, 1)
	go func() {
		_, err := c.now(ctx)
		second <- err
	}()
	select {
	case err := <-second:
		require.ErrorIs(t, err, context.Canceled)
	case <-time.After(patience):
		require.Fail(t, "it waits for somebody else's question")
	}
	close(answer)
	require.NoError(t, <-first)
	_, err := c.now(t.Context())
	require.NoError(t, err)
}
