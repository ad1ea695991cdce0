// Package expect holds what the suites of all data models ask in the same way: codes, bytes, what holds sooner or later, what happens at once.
package expect

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/prismgate/prism/runtime/fault"
)

// Hurry is the variable of the environment that has suites wait less long when it is set. Mutants make them wait in vain, and one that is rejected too soon is rejected all the same.
const Hurry = "PRISM_SUITES_HURRY"

// Patience is how long a suite waits for what the contract promises without a bound: long enough for a loaded machine.
var Patience = patience()

func patience() time.Duration {
	if os.Getenv(Hurry) != "" {
		return 10 * time.Second
	}
	return 30 * time.Second
}

// checkTime is how long a history may take to be checked.
const checkTime = 2 * time.Minute

// Bytes returns bytes that differ from those of other seeds, and that no compression makes smaller.
func Bytes(seed, size int) []byte {
	made := make([]byte, size)
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], uint64(seed))
	_, _ = rand.NewChaCha8(key).Read(made) // never fails
	return made
}

// Code fails unless err has a code.
func Code(t require.TestingT, want fault.Code, err error) {
	Helper(t)
	if got := fault.CodeOf(err); got != want {
		require.FailNow(t, "wrong code", "got %s, want %s; the error is: %v", got, want, err)
	}
}

// Invalid fails unless err is INVALID_ARGUMENT and names a field.
func Invalid(t require.TestingT, field string, err error) {
	Helper(t)
	Code(t, fault.InvalidArgument, err)
	require.Contains(t, err.Error(), field, "the error names the field")
}

// EqualBytes compares values, and prints little when they are large.
func EqualBytes(t require.TestingT, want, got []byte) {
	Helper(t)
	if string(want) != string(got) {
		require.FailNow(t, "wrong bytes", "got %d bytes %.40q, want %d bytes %.40q", len(got), got, len(want), want)
	}
}

// Helper marks a test helper, where the test is one.
func Helper(t require.TestingT) {
	if t, ok := t.(interface{ Helper() }); ok {
		t.Helper()
	}
}

// Ended returns a context that was canceled, and one whose deadline has passed.
func Ended(t *testing.T) (canceled, late context.Context) {
	t.Helper()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel = context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	t.Cleanup(cancel)
	return canceled, late
}

// Unchanged runs a call and fails when its request has changed afterwards.
func Unchanged(t *testing.T, request proto.Message, run func() error) {
	t.Helper()
	before := proto.Clone(request)
	require.NoError(t, run())
	require.True(t, proto.Equal(before, request), "%s was changed by the call", request.ProtoReflect().Descriptor().Name())
}

// Eventually fails when a condition does not hold before Patience ends. It is looked at on the test's own goroutine.
func Eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(Patience); !holds(); {
		require.False(t, time.Now().After(end), "%s: not within %s", what, Patience)
		Pause(t, 2*time.Millisecond)
	}
}

// Pause lets time pass: between two looks, or for what a broken implementation may do meanwhile.
func Pause(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		require.FailNow(t, "the test's context has ended")
	}
}

// Concurrently runs a function n times at once and returns when all have returned. The function reports by an error.
func Concurrently(t *testing.T, n int, run func(i int) error) {
	t.Helper()
	errs := make([]error, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { errs[i] = run(i) })
	}
	group.Wait()
	require.NoError(t, errors.Join(errs...))
}

// Linearizable fails unless there is an order of a history's operations that respects time and that a single-threaded model could have answered.
func Linearizable(t *testing.T, model porcupine.Model, history []porcupine.Operation) {
	t.Helper()
	switch porcupine.CheckOperationsTimeout(model, history, checkTime) {
	case porcupine.Ok:
	case porcupine.Unknown:
		require.FailNow(t, "the history could not be checked in time", "%d operations", len(history))
	case porcupine.Illegal:
		for _, operation := range history {
			t.Logf("%12d to %12d: %s", operation.Call, operation.Return, model.DescribeOperation(operation.Input, operation.Output))
		}
		require.FailNow(t, "the history is not linearizable", "%d operations; they are logged above", len(history))
	}
}
