package backend_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/runtime/backend"
)

func TestStatusIsReadyUntilSomebodyKnowsBetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s backend.Status
		state := func(wantWhy string, wantSince time.Time) {
			t.Helper()
			why, since := s.State()
			require.Equal(t, wantWhy, why)
			require.Equal(t, wantSince, since)
		}
		state("", time.Time{})
		s.Ready()
		state("", time.Time{})
		broke := time.Now()
		s.Unavailable("its server does not answer")
		time.Sleep(time.Second)
		s.Unavailable("its server reads its data")
		state("its server reads its data", broke)
		s.Ready()
		state("", broke.Add(time.Second))
		time.Sleep(time.Second)
		s.Ready()
		state("", broke.Add(time.Second))
	})
}

func TestBatchesAreCountedBySize(t *testing.T) {
	t.Parallel()
	var s backend.Status
	require.Same(t, s.Batches("read"), s.Batches("read"), "a lane has one")
	for _, size := range []int{1, 1, 2, 3, 4, 5, 256, 257, 1 << 13, 1<<13 + 1, 1 << 20} {
		s.Batches("read").Observe(size)
	}
	s.Batches("write").Observe(1)
	lanes := map[string]uint64{}
	s.EachBatches(func(lane string, sizes *backend.Batches) {
		batches, _, _ := sizes.Histogram()
		lanes[lane] = batches
	})
	require.Equal(t, map[string]uint64{"read": 11, "write": 1}, lanes)

	batches, calls, buckets := s.Batches("read").Histogram()
	require.EqualValues(t, 11, batches)
	require.EqualValues(t, 1+1+2+3+4+5+256+257+1<<13+1<<13+1+1<<20, calls)
	require.Len(t, buckets, 14)
	for most, want := range map[float64]uint64{1: 2, 2: 3, 4: 5, 8: 6, 128: 6, 256: 7, 512: 8, 4096: 8, 8192: 9} {
		require.Equal(t, want, buckets[most], "at most %v", most)
	}
}

func TestAnInstanceIsOpenedInAnEnvironmentWithoutHoles(t *testing.T) {
	t.Parallel()
	status := new(backend.Status)
	for _, given := range []backend.Env{{}, {Instance: "orders-db", Status: status}} {
		opened := backend.Of("clock", func(_ context.Context, env backend.Env, _ *durationpb.Duration) (*store, error) {
			require.Equal(t, given.Instance, env.Instance)
			require.NotNil(t, env.Status)
			if given.Status != nil {
				require.Same(t, given.Status, env.Status)
			}
			env.Log.Warn("nobody listens")
			return new(store), nil
		})
		_, err := opened.Open(t.Context(), given, new(durationpb.Duration))
		require.NoError(t, err)
	}
}
