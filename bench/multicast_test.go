package main

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	patternsv1 "github.com/prismgate/prism/gen/go/prism/patterns/v1"
)

func TestAudienceTakesOnlyAnswersThatReachAll(t *testing.T) {
	t.Parallel()
	queued := &patternsv1.MulticastResponse{Matched: identities, Queued: identities}
	published := &patternsv1.MulticastResponse{Matched: identities, Published: identities}
	less := &patternsv1.MulticastResponse{Matched: identities, Queued: identities - 1, Failed: 1}
	for _, a := range audiences() {
		accepts := a.exchange().accepts
		right, wrong := queued, published
		if a.online {
			right, wrong = published, queued
		}
		require.NoError(t, accepts(marshal(right)), a.name)
		require.Error(t, accepts(marshal(wrong)), a.name)
		require.Error(t, accepts(marshal(less)), a.name)
		require.Error(t, accepts([]byte{0xff}), a.name)
	}
}

func TestAwaitCountWantsExactlySoMany(t *testing.T) {
	t.Parallel()
	var count atomic.Int64
	count.Store(3)
	require.NoError(t, awaitCount(t.Context(), &count, 3, nil))
	require.ErrorContains(t, awaitCount(t.Context(), &count, 2, nil), "3 messages have arrived, want 2")
	errLost := errors.New("lost")
	failed := make(chan error, 1)
	failed <- errLost
	require.ErrorIs(t, awaitCount(t.Context(), &count, 4, failed), errLost)
}
