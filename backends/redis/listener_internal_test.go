package redis

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/internal/testenv"
	"github.com/prismgate/prism/runtime/backend"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
)

// listening is somebody who listens and hears nothing.
type listening struct{ name string }

func (listening) hear(string, string) {}
func (listening) lost(error)          {}

// TestOneWhoseTimeIsOverDoesNotEndTheConnectionOfOthers comes late to the connection that all share: a command on it that times out ends it.
func TestOneWhoseTimeIsOverDoesNotEndTheConnectionOfOthers(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), backend.Env{}, &backendsv1.Redis{Address: testenv.Shared(t, testenv.Redis).Address()})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close(t.Context())) }()
	require.NoError(t, s.listener.listen(t.Context(), "one", listening{"one"}, nil))
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	require.ErrorIs(t, s.listener.listen(late, "other", listening{"other"}, nil), context.DeadlineExceeded)
	require.True(t, s.listener.hears("one", listening{"one"}))
}

func TestAConnectionIsDeadWhenAnAnswerHadTimeTwice(t *testing.T) {
	t.Parallel()
	var quiet silence
	looks := func(heard bool) string {
		ask, dead := quiet.look(heard)
		return map[[2]bool]string{{}: "wait", {true}: "ask", {false, true}: "dead"}[[2]bool{ask, dead}]
	}
	for _, step := range []struct {
		heard bool
		want  string
	}{{true, "wait"}, {false, "ask"}, {false, "wait"}, {true, "wait"}, {false, "ask"}, {true, "wait"}, {false, "ask"}, {false, "wait"}, {false, "dead"}} {
		require.Equal(t, step.want, looks(step.heard))
	}
}
