package rpc_test

import (
	"context"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/runtime/rpc"
)

// ending is a context as a transport has it: not one of package context, but with AfterFunc.
type ending struct {
	context.Context
	after []func()
}

func (e *ending) Done() <-chan struct{} { return make(chan struct{}) }

func (e *ending) AfterFunc(f func()) func() bool {
	e.after = append(e.after, f)
	return func() bool { return true }
}

func TestContextsMadeFromACallsCostNoGoroutine(t *testing.T) {
	transport := &ending{Context: context.Background()}
	call := &rpc.CallContext{Context: transport}
	before := runtime.NumGoroutine()
	for range 100 {
		_, cancel := context.WithCancel(call)
		defer cancel()
	}
	require.Less(t, runtime.NumGoroutine(), before+10)
	require.Len(t, transport.after, 100)
}
