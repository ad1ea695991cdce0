package deployment_test

import (
	"context"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	"github.com/prismgate/prism/runtime/fault"
)

const (
	// deadline is that of each call that may fail.
	deadline = 500 * time.Millisecond
	// pause is between a call that has failed and the next one, so that those that fail at once leave time to the others.
	pause = 5 * time.Millisecond
	// lateness is how much after its deadline a call may be answered on a machine that is busy. It is far less than what a call would wait for that nobody ends.
	lateness = 5 * time.Second
	// callers are how many call each namespace at once.
	callers = 8
)

func killed(pid int) error { return syscall.Kill(pid, 0) }

// load calls a namespace until it is stopped, and judges each answer.
type load struct {
	basic keyvaluev1.Basic
	// limit is the deadline of each call.
	limit        time.Duration
	good, failed atomic.Int64
	// wrong holds the first answer that must not be.
	wrong atomic.Pointer[string]
	stop  context.CancelFunc
	done  sync.WaitGroup
}

func startLoad(t *testing.T, basic keyvaluev1.Basic, limit time.Duration) *load {
	t.Helper()
	l := &load{basic: basic, limit: limit}
	ctx, stop := context.WithCancel(t.Context())
	l.stop = stop
	for range callers {
		l.done.Go(func() {
			for ctx.Err() == nil {
				if !l.call(t) {
					<-time.After(pause)
				}
			}
		})
	}
	t.Cleanup(l.end)
	return l
}

func (l *load) end() {
	l.stop()
	l.done.Wait()
}

func (l *load) call(t *testing.T) bool {
	ctx, cancel := context.WithTimeout(t.Context(), l.limit)
	defer cancel()
	began := time.Now()
	_, err := l.basic.Set(ctx, &keyvaluev1.SetRequest{Key: "key", Value: []byte("value")})
	took := time.Since(began)
	switch code := fault.CodeOf(err); {
	case took > l.limit+lateness:
		l.tell("a call took " + took.String())
	case err == nil:
		l.good.Add(1)
	case isOneOf(code, fault.Unavailable, fault.DeadlineExceeded):
		l.failed.Add(1)
	default:
		l.tell(err.Error())
	}
	return err == nil
}

func (l *load) tell(what string) { l.wrong.CompareAndSwap(nil, &what) }

// goesOn waits until as many calls more have succeeded.
func (l *load) goesOn(t *testing.T, calls int64) {
	t.Helper()
	before := l.good.Load()
	require.Eventually(t, func() bool { return l.good.Load() >= before+calls }, patience, 5*time.Millisecond)
}

func (l *load) require(t *testing.T) {
	t.Helper()
	if wrong := l.wrong.Load(); wrong != nil {
		require.FailNow(t, "a call was answered wrongly", "%s", *wrong)
	}
}

// TestASidecarIsKilledUnderLoad kills one with a signal that it cannot see, and stops one so that it is there and does nothing.
func TestASidecarIsKilledUnderLoad(t *testing.T) {
	t.Parallel()
	for name, signal := range map[string]syscall.Signal{"SIGKILL": syscall.SIGKILL, "SIGSTOP": syscall.SIGSTOP} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := newLog(t)
			clients := gateway(t, log.logger(), &configv1.BackendInstance{Name: "broken", Deployment: "sidecar"}, &configv1.BackendInstance{Name: "sound", Deployment: "sidecar", Provider: patient()},
				&configv1.BackendInstance{Name: "here"})
			broken := startLoad(t, clients["broken"].KeyValueBasic, deadline)
			sound, here := startLoad(t, clients["sound"].KeyValueBasic, patience), startLoad(t, clients["here"].KeyValueBasic, patience)
			for _, l := range []*load{broken, sound, here} {
				l.goesOn(t, 100)
			}
			signalTo(t, log.pids(t)[0], signal) // the instances are opened in the order of their names
			require.Eventually(t, func() bool { return broken.failed.Load() > 0 }, patience, time.Millisecond)
			sound.goesOn(t, 100)
			here.goesOn(t, 100)
			broken.goesOn(t, 100)
			for _, l := range []*load{broken, sound, here} {
				l.end()
				l.require(t)
			}
			require.Zero(t, sound.failed.Load(), "another sidecar is not disturbed")
			require.Zero(t, here.failed.Load(), "the gateway is not disturbed")
			require.Len(t, log.pids(t), 3, "one that took the place of the broken one")
			require.ErrorContains(t, killed(log.pids(t)[0]), "no such process")
		})
	}
}

// patient has a provider waited for however a busy machine stalls it.
func patient() *configv1.Provider {
	return &configv1.Provider{KeepaliveTimeout: durationpb.New(patience)}
}

// TestASidecarMayBeSilentForTheKeepaliveTimeout freezes one for longer than the usual second.
func TestASidecarMayBeSilentForTheKeepaliveTimeout(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	basic := gateway(t, log.logger(), &configv1.BackendInstance{Name: "orders", Deployment: "sidecar", Provider: patient()})["orders"].KeyValueBasic
	orders := startLoad(t, basic, patience)
	orders.goesOn(t, 100)
	signalTo(t, log.pids(t)[0], syscall.SIGSTOP)
	time.Sleep(2500 * time.Millisecond) // what must not happen has its time
	signalTo(t, log.pids(t)[0], syscall.SIGCONT)
	orders.goesOn(t, 100)
	orders.end()
	orders.require(t)
	require.Zero(t, orders.failed.Load())
}

// TestASidecarThatWasFrozenGoesOn lets one go on before it is given up: what it holds is still there.
func TestASidecarThatWasFrozenGoesOn(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	basic := gateway(t, log.logger(), &configv1.BackendInstance{Name: "orders", Deployment: "sidecar"})["orders"].KeyValueBasic
	_, err := basic.Set(t.Context(), &keyvaluev1.SetRequest{Key: "kept", Value: []byte("value")})
	require.NoError(t, err)
	orders := startLoad(t, basic, deadline)
	orders.goesOn(t, 100)
	signalTo(t, log.pids(t)[0], syscall.SIGSTOP)
	require.Eventually(t, func() bool { return orders.failed.Load() > 0 }, patience, time.Millisecond)
	signalTo(t, log.pids(t)[0], syscall.SIGCONT)
	orders.goesOn(t, 100)
	orders.end()
	orders.require(t)
	response, err := basic.Get(t.Context(), &keyvaluev1.GetRequest{Key: "kept"})
	require.NoError(t, err)
	require.Equal(t, "value", string(response.GetValue()))
	require.Len(t, log.pids(t), 1)
}
