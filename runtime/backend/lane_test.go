package backend_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/fault"
)

// op is a call of the tests: the n-th of a caller, on a key.
type op struct {
	caller, n int
	key       string
	answer    int
	err       error
}

func keyOf(o *op) string { return o.key }

// exchanges is what a lane runs: it keeps what every batch was, and holds batches until the test lets them go.
type exchanges struct {
	mu      sync.Mutex
	batches [][]op
	hold    chan struct{} // nil lets all go at once
}

func (e *exchanges) run(ctx context.Context, batch []*op) error {
	e.mu.Lock()
	made := make([]op, len(batch))
	for i, o := range batch {
		made[i] = *o
	}
	e.batches = append(e.batches, made)
	e.mu.Unlock()
	if e.hold != nil {
		select {
		case <-e.hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for _, o := range batch {
		o.answer = o.n * 10
	}
	return nil
}

// sizes returns how many calls each batch had.
func (e *exchanges) sizes() []int {
	e.mu.Lock()
	defer e.mu.Unlock()
	var sizes []int
	for _, batch := range e.batches {
		sizes = append(sizes, len(batch))
	}
	return sizes
}

// begin makes a call in a goroutine of its own, and returns where its error will be, when it has come as far as it gets by itself.
func begin(ctx context.Context, l *backend.Lane[op], o *op) <-chan error {
	outcome := make(chan error, 1)
	go func() { outcome <- l.Do(ctx, o) }()
	synctest.Wait()
	return outcome
}

func TestLaneMakesALoneCallAtOnceAsItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, "the caller's"), time.Minute)
		defer cancel()
		status := new(backend.Status)
		failure := errors.New("no")
		l := backend.NewLane(t.Context(), backend.Env{Status: status}, "read", nil, nil, func(got context.Context, batch []*op) error {
			require.Equal(t, ctx, got, "it runs in the caller's context")
			require.Len(t, batch, 1)
			if batch[0].n == 2 {
				return failure
			}
			batch[0].answer = 7
			return nil
		})
		began := time.Now()
		one := &op{n: 1}
		require.NoError(t, l.Do(ctx, one))
		require.Equal(t, 7, one.answer)
		require.Same(t, failure, l.Do(ctx, &op{n: 2}))
		require.Zero(t, time.Since(began), "it waits for nobody")
		batches, calls, buckets := status.Batches("read").Histogram()
		require.EqualValues(t, 2, batches)
		require.EqualValues(t, 2, calls)
		require.EqualValues(t, 2, buckets[1])
	})
}

func TestLaneGathersWhatComesWhileBatchesAreUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &exchanges{hold: make(chan struct{})}
		status := new(backend.Status)
		l := backend.NewLane(t.Context(), backend.Env{Status: status}, "write", &configv1.Coalescing{MaxBatch: 4}, keyOf, e.run)
		var ops []*op
		var outcomes []<-chan error
		for n := range 12 {
			ops = append(ops, &op{n: n, key: strconv.Itoa(n)})
			outcomes = append(outcomes, begin(t.Context(), l, ops[n]))
		}
		require.Equal(t, []int{1, 4}, e.sizes(), "one began alone, and one when a batch was full; seven wait")
		for range 4 {
			e.hold <- struct{}{}
			synctest.Wait()
		}
		require.Equal(t, []int{1, 4, 4, 3}, e.sizes())
		for n, outcome := range outcomes {
			require.NoError(t, <-outcome)
			require.Equal(t, n*10, ops[n].answer)
		}
		var order []int
		for _, batch := range e.batches {
			for _, o := range batch {
				order = append(order, o.n)
			}
		}
		require.Equal(t, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, order, "in the order in which they came")
		batches, calls, buckets := status.Batches("write").Histogram()
		require.EqualValues(t, 4, batches)
		require.EqualValues(t, 12, calls)
		require.Equal(t, []uint64{1, 1, 4, 4}, []uint64{buckets[1], buckets[2], buckets[4], buckets[8]})

		// When all is quiet again a call is alone again.
		lone := begin(t.Context(), l, &op{n: 100})
		e.hold <- struct{}{}
		require.NoError(t, <-lone)
		require.Equal(t, []int{1, 4, 4, 3, 1}, e.sizes())
	})
}

// Whoever comes while a batch is under way waits for it, but not for one that turns slow. Nobody else need come for that.
func TestLaneLetsThoseWhoWaitPastABatchThatTurnsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &exchanges{hold: make(chan struct{})}
		l := backend.NewLane(t.Context(), backend.Env{}, "write", &configv1.Coalescing{MaxInFlight: 3}, keyOf, e.run)
		outcomes := []<-chan error{begin(t.Context(), l, &op{n: 1}), begin(t.Context(), l, &op{n: 2, key: "a"}), begin(t.Context(), l, &op{n: 3, key: "a"})}
		require.Equal(t, []int{1}, e.sizes())
		time.Sleep(3 * time.Millisecond)
		require.Equal(t, []int{1, 1}, e.sizes())
		time.Sleep(3 * time.Millisecond)
		require.Equal(t, []int{1, 1, 1}, e.sizes(), "nor what was left over")
		close(e.hold)
		for _, outcome := range outcomes {
			require.NoError(t, <-outcome)
		}
	})
}

// Nor for one that is slow already.
func TestLaneLetsCallsPastASlowBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &exchanges{hold: make(chan struct{})}
		l := backend.NewLane(t.Context(), backend.Env{}, "read", nil, nil, e.run)
		outcomes := []<-chan error{begin(t.Context(), l, &op{n: 1})}
		time.Sleep(10 * time.Millisecond)
		require.Equal(t, []int{1}, e.sizes())
		outcomes = append(outcomes, begin(t.Context(), l, &op{n: 2}))
		require.Equal(t, []int{1, 1}, e.sizes())
		close(e.hold)
		for _, outcome := range outcomes {
			require.NoError(t, <-outcome)
		}
	})
}

func TestLaneHasAsManyBatchesUnderWayAsConfigured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &exchanges{hold: make(chan struct{})}
		l := backend.NewLane(t.Context(), backend.Env{}, "read", &configv1.Coalescing{MaxInFlight: 3, MaxBatch: 2}, nil, e.run)
		var outcomes []<-chan error
		for n := range 20 {
			outcomes = append(outcomes, begin(t.Context(), l, &op{n: n}))
		}
		require.Len(t, e.sizes(), 3)
		for finished := range 8 {
			e.hold <- struct{}{}
			synctest.Wait()
			require.Len(t, e.sizes(), 4+finished, "the next begins when one has ended, and three are under way")
		}
		close(e.hold)
		for _, outcome := range outcomes {
			require.NoError(t, <-outcome)
		}
	})
}

// Calls without a key, the empty one, may share a batch.
func TestLaneEndsABatchAtAKeyThatItHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, keys := range []struct {
			key  func(*op) string
			want []int
		}{{keyOf, []int{1, 4, 1, 3}}, {nil, []int{1, 8}}} {
			e := &exchanges{hold: make(chan struct{})}
			l := backend.NewLane(t.Context(), backend.Env{}, "write", &configv1.Coalescing{MaxInFlight: 1}, keys.key, e.run)
			var outcomes []<-chan error
			for n, key := range []string{"first", "a", "", "b", "", "b", "b", "a", "c"} {
				outcomes = append(outcomes, begin(t.Context(), l, &op{n: n, key: key}))
			}
			close(e.hold)
			for _, outcome := range outcomes {
				require.NoError(t, <-outcome)
			}
			require.Equal(t, keys.want, e.sizes())
		}
	})
}

func TestLaneSwitchedOffMakesEveryCallAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &exchanges{hold: make(chan struct{})}
		l := backend.NewLane(t.Context(), backend.Env{}, "read", &configv1.Coalescing{Off: true}, keyOf, e.run)
		var outcomes []<-chan error
		for n := range 10 {
			outcomes = append(outcomes, begin(t.Context(), l, &op{n: n, key: "same"}))
		}
		require.Equal(t, []int{1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, e.sizes(), "all at once")
		close(e.hold)
		for _, outcome := range outcomes {
			require.NoError(t, <-outcome)
		}
	})
}

func TestLaneLetsACallerLeaveAndServesTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &exchanges{hold: make(chan struct{})}
		l := backend.NewLane(t.Context(), backend.Env{}, "write", &configv1.Coalescing{MaxInFlight: 1}, nil, e.run)
		first := begin(t.Context(), l, &op{n: 1})
		ctx, cancel := context.WithCancel(t.Context())
		leaves, stays := begin(ctx, l, &op{n: 2}), &op{n: 3}
		outcome := begin(t.Context(), l, stays)
		cancel()
		synctest.Wait()
		require.ErrorIs(t, <-leaves, context.Canceled, "who leaves while waiting leaves at once")
		e.hold <- struct{}{}
		require.NoError(t, <-first)
		synctest.Wait()

		// And who leaves while the batch is under way.
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		late := begin(ctx, l, &op{n: 4})
		began := time.Now()
		require.ErrorIs(t, <-late, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(began))
		close(e.hold)
		require.NoError(t, <-outcome)
		require.Equal(t, 30, stays.answer)
		synctest.Wait()

		// Nothing of theirs is left in the lane: seats are used again.
		for n := range 100 {
			o := &op{n: n}
			require.NoError(t, l.Do(t.Context(), o))
			require.Equal(t, n*10, o.answer)
		}
	})
}

// A call whose caller has left before its batch was made is not made: a server that is slow for a while would else do, long after, what nobody waits for, and what waits would have no bound.
func TestLaneForgetsCallersWhoLeaveBeforeTheirBatchIsMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &exchanges{hold: make(chan struct{})}
		l := backend.NewLane(t.Context(), backend.Env{}, "write", &configv1.Coalescing{MaxInFlight: 1}, nil, e.run)
		first := begin(t.Context(), l, &op{n: 1})
		before := begin(t.Context(), l, &op{n: 2})
		ctx, cancel := context.WithCancel(t.Context())
		var left []<-chan error
		for range 10 {
			left = append(left, begin(ctx, l, &op{n: 3}))
		}
		behind := begin(t.Context(), l, &op{n: 4})
		cancel()
		for _, outcome := range left {
			require.ErrorIs(t, <-outcome, context.Canceled)
		}
		close(e.hold)
		for _, outcome := range []<-chan error{first, before, behind} {
			require.NoError(t, <-outcome)
		}
		require.Equal(t, []int{1, 2}, e.sizes())
	})
}

func TestLaneGivesABatchsErrorToAllOfItAndToNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		failure := errors.New("the connection broke")
		l := backend.NewLane(t.Context(), backend.Env{}, "write", &configv1.Coalescing{MaxInFlight: 1, MaxBatch: 3}, nil, func(_ context.Context, batch []*op) error {
			<-hold
			if len(batch) == 3 {
				return failure
			}
			for _, o := range batch {
				o.err = fmt.Errorf("only %d fails", o.n)
			}
			return nil
		})
		var outcomes []<-chan error
		ops := make([]op, 6)
		for n := range ops {
			ops[n].n = n
			outcomes = append(outcomes, begin(t.Context(), l, &ops[n]))
		}
		close(hold)
		for n, outcome := range outcomes {
			if n == 0 || n > 3 {
				require.NoError(t, <-outcome)
				require.EqualError(t, ops[n].err, fmt.Sprintf("only %d fails", n), "a call's own outcome is in the call")
			} else {
				require.Same(t, failure, <-outcome)
			}
		}
	})
}

func TestLaneSurvivesAPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		var log bytes.Buffer
		env := backend.Env{Log: slog.New(slog.NewTextHandler(&log, nil))}
		l := backend.NewLane(t.Context(), env, "write", &configv1.Coalescing{MaxInFlight: 1}, nil, func(_ context.Context, batch []*op) error {
			<-hold
			if batch[0].key == "panic" {
				panic("hunter2")
			}
			return nil
		})
		first := begin(t.Context(), l, &op{})
		second, third := begin(t.Context(), l, &op{key: "panic"}), begin(t.Context(), l, &op{})
		close(hold)
		require.NoError(t, <-first)
		for _, outcome := range []<-chan error{second, third} {
			require.Equal(t, fault.Internal, fault.CodeOf(<-outcome), "a batch of several has no caller to panic in")
		}
		require.Contains(t, log.String(), "a batch panicked")
		require.NotContains(t, log.String(), "hunter2", "what a panic says may be a payload")

		// A lone caller's panic is its caller's, who is guarded as every call is; the lane goes on.
		synctest.Wait()
		require.Panics(t, func() { _ = l.Do(t.Context(), &op{key: "panic"}) })
		require.NoError(t, l.Do(t.Context(), &op{}))
	})
}

// A batch of several is nobody's own: it does not end with the caller whose call began it, and it does with the instance.
func TestLaneRunsBatchesInTheInstancesContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		instance, end := context.WithCancel(t.Context())
		e := &exchanges{hold: make(chan struct{})}
		l := backend.NewLane(instance, backend.Env{}, "read", &configv1.Coalescing{MaxInFlight: 1}, nil, e.run)
		ctx, cancel := context.WithCancel(t.Context())
		first := begin(ctx, l, &op{})
		other, leave := context.WithCancel(t.Context())
		second := begin(other, l, &op{})
		third := begin(t.Context(), l, &op{n: 3})
		cancel()
		require.ErrorIs(t, <-first, context.Canceled)
		synctest.Wait()
		require.Equal(t, []int{1, 2}, e.sizes(), "the batch is under way")
		leave()
		require.ErrorIs(t, <-second, context.Canceled)
		synctest.Wait()
		select {
		case err := <-third:
			require.Fail(t, "the other's end ended it", "%v", err)
		default:
		}
		end()
		require.ErrorIs(t, <-third, context.Canceled)
	})
}

// What no test above thought of: many callers who come, leave and repeat, in real time. Each caller's calls take effect in its order, and each answer is its own.
func TestLaneUnderLoad(t *testing.T) {
	t.Parallel()
	var under, most atomic.Int64
	var mu sync.Mutex
	last := map[string]int{} // the last call of each caller that took effect
	status := new(backend.Status)
	l := backend.NewLane(t.Context(), backend.Env{Status: status}, "write", &configv1.Coalescing{MaxBatch: 16, MaxInFlight: 3}, keyOf, func(_ context.Context, batch []*op) error {
		now := under.Add(1)
		defer under.Add(-1)
		runtime.Gosched() // a batch takes its time: others come meanwhile, also where few run at once
		mu.Lock()
		defer mu.Unlock()
		most.Store(max(most.Load(), now))
		seen := map[string]bool{}
		for _, o := range batch {
			caller := strconv.Itoa(o.caller)
			switch {
			case seen[o.key]:
				o.err = errors.New("a batch has a key twice")
			case o.n <= last[caller]:
				o.err = errors.New("a later call was overtaken")
			}
			seen[o.key], last[caller], o.answer = true, o.n, o.n*10
		}
		return nil
	})
	const callers, calls = 64, 300
	errs := make([]error, callers)
	var group sync.WaitGroup
	for caller := range callers {
		group.Go(func() {
			for n := 1; n <= calls; n++ {
				o := &op{caller: caller, n: n, key: strconv.Itoa(rand.N(20))}
				if err := errors.Join(l.Do(t.Context(), o), o.err); err != nil || o.answer != n*10 {
					errs[caller] = errors.Join(err, fmt.Errorf("call %d of caller %d has the answer %d", n, caller, o.answer))
					return
				}
			}
		})
	}
	group.Go(func() { // these leave, before or after their call took effect
		for n := range 1000 {
			ctx, cancel := context.WithCancel(t.Context())
			go cancel()
			_ = l.Do(ctx, &op{caller: callers + n, n: 1, key: strconv.Itoa(rand.N(20))})
		}
	})
	group.Wait()
	require.NoError(t, errors.Join(errs...))
	require.LessOrEqual(t, most.Load(), int64(3))
	batches, made, buckets := status.Batches("write").Histogram()
	require.GreaterOrEqual(t, made, uint64(callers*calls))
	require.Less(t, batches, made, "they go together")
	require.Equal(t, batches, buckets[16], "and not more than may")
}
