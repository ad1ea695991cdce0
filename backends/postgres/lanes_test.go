package postgres_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/fault"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

// TestCallsThatMeetShareAStatementAndABadOneFailsAlone: writes gather behind one that is held up; the statement that they make together is refused for the sake of one of them.
func TestCallsThatMeetShareAStatementAndABadOneFailsAlone(t *testing.T) {
	t.Parallel()
	name, status := schema(), new(backend.Status)
	i := namespace(t, openWith(t, &backendsv1.Postgres{Schema: name, Coalescing: &configv1.Coalescing{MaxInFlight: 1}}, status), "orders")
	set(t, i, "held", "before")
	holder, watcher := shared(t, name), shared(t, name)
	execute(t, watcher, `alter table kv add check (value <> 'bad')`)
	together := func() bool { // whether there was a batch of ten
		batches, _, upTo := status.Batches("write").Histogram()
		return batches > upTo[8]
	}
	for begun := time.Now(); !together(); {
		require.Less(t, time.Since(begun), patience, "no calls went together")
		execute(t, holder, `begin`)
		execute(t, holder, `select from kv where key = 'held' for update`)
		var wait sync.WaitGroup
		wait.Go(func() { set(t, i, "held", "after") })
		waitForALock(t, watcher, "kv")
		errs := make([]error, 20)
		for n := range errs {
			wait.Go(func() {
				value := "good"
				if n == 7 {
					value = "bad"
				}
				_, errs[n] = i.KeyValueBasic.Set(t.Context(), &keyvaluev1.SetRequest{Key: fmt.Sprint("key-", n), Value: []byte(value)})
			})
		}
		time.Sleep(20 * time.Millisecond) // so that they gather; if they do not, there is another round
		execute(t, holder, `commit`)
		wait.Wait()
		for n, err := range errs {
			if n == 7 {
				require.Equal(t, fault.Internal, fault.CodeOf(err), "%v", err)
				require.Equal(t, "missing", get(t, i, "key-7"))
				continue
			}
			require.NoError(t, err)
			require.Equal(t, "good", get(t, i, fmt.Sprint("key-", n)))
		}
	}
}

func TestLargeValuesTravelAlone(t *testing.T) {
	t.Parallel()
	i := namespace(t, open(t, &backendsv1.Postgres{Schema: schema(), Coalescing: &configv1.Coalescing{MaxInFlight: 1}}), "orders")
	large := strings.Repeat("v", 200<<10)
	set(t, i, "large", large)
	set(t, i, "small", "value")
	var wait sync.WaitGroup
	for n := range 64 {
		wait.Go(func() {
			ctx := t.Context()
			for range 10 {
				key, want := "small", "value"
				if n%2 == 0 {
					key, want = "large", large
				}
				response, err := i.KeyValueBasic.Get(ctx, &keyvaluev1.GetRequest{Key: key})
				if err != nil || !response.GetFound() || string(response.GetValue()) != want {
					t.Errorf("%s: %v, %d bytes", key, err, len(response.GetValue()))
				}
				there, err := i.KeyValueBasic.Exists(ctx, &keyvaluev1.ExistsRequest{Key: key})
				if err != nil || !there.GetExists() {
					t.Errorf("%s: %v", key, err)
				}
			}
		})
	}
	wait.Wait()
}

func TestCoalescingCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	i := namespace(t, open(t, &backendsv1.Postgres{Schema: schema(), Coalescing: &configv1.Coalescing{Off: true}}), "orders")
	var wait sync.WaitGroup
	for n := range 32 {
		wait.Go(func() {
			key := fmt.Sprint("key-", n)
			if _, err := i.KeyValueBasic.Set(t.Context(), &keyvaluev1.SetRequest{Key: key, Value: []byte(key)}); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	require.Equal(t, "key-7", get(t, i, "key-7"))
}

// TestCallThatIsHeldUpEndsInTime: a row is locked by somebody else, for longer than the call may take.
func TestCallThatIsHeldUpEndsInTime(t *testing.T) {
	t.Parallel()
	name := schema()
	i := namespace(t, open(t, &backendsv1.Postgres{Schema: name}), "orders")
	set(t, i, "held", "before")
	impatient := namespace(t, open(t, &backendsv1.Postgres{Schema: name, Timeout: durationpb.New(5 * time.Second)}), "orders")
	holder, watcher := shared(t, name), shared(t, name)
	execute(t, holder, `begin`)
	execute(t, holder, `select from kv where key = 'held' for update`)

	_, err := impatient.KeyValueBasic.Set(t.Context(), &keyvaluev1.SetRequest{Key: "held", Value: []byte("after")})
	require.Equal(t, fault.Unavailable, fault.CodeOf(err), "the configured timeout: %v", err)

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = i.KeyValueCAS.CompareAndSwap(ctx, &keyvaluev1.CompareAndSwapRequest{Key: "held", Expected: []byte("before"), Value: []byte("after")})
	require.Equal(t, fault.DeadlineExceeded, fault.CodeOf(err), "the caller's deadline: %v", err)

	require.Eventually(t, func() bool { return waiting(t, watcher, "kv") == 0 }, patience, 10*time.Millisecond, "the end of a call reaches the server")
	execute(t, holder, `commit`)
	require.Equal(t, "before", get(t, i, "held"))
}
