package testmachine_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/internal/testmachine"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

// witness is told what a machine finds, in the place of a test.
type witness struct {
	testing.TB
	found string
}

func (w *witness) Helper()                           {}
func (w *witness) Name() string                      { return "witness" }
func (w *witness) Logf(string, ...any)               {}
func (w *witness) Log(...any)                        {}
func (w *witness) Errorf(format string, args ...any) { w.found = fmt.Sprintf(format, args...) }
func (w *witness) Fatalf(format string, args ...any) { w.Errorf(format, args...); w.FailNow() }
func (w *witness) Fail()                             {}
func (w *witness) FailNow()                          { runtime.Goexit() }
func (w *witness) Failed() bool                      { return w.found != "" }

// forgetful answers a CompareAndSwap that expects nothing as if the key were missing.
type forgetful struct{ keyvaluev1.CAS }

func (f forgetful) CompareAndSwap(ctx context.Context, request *keyvaluev1.CompareAndSwapRequest) (*keyvaluev1.CompareAndSwapResponse, error) {
	response, err := f.CAS.CompareAndSwap(ctx, request)
	if request.Expected == nil && err == nil && !response.GetSwapped() {
		response = proto.CloneOf(response)
		response.Current = nil
	}
	return response, err
}

// lenient releases with a stale receipt without complaint.
type lenient struct{ queuev1.Visibility }

func (l lenient) Release(ctx context.Context, request *queuev1.ReleaseRequest) (*queuev1.ReleaseResponse, error) {
	_, _ = l.Visibility.Release(ctx, request)
	return &queuev1.ReleaseResponse{}, nil
}

// vague says of every subscription that it has just ended it.
type vague struct{ pubsubv1.Basic }

func (v vague) Unsubscribe(ctx context.Context, request *pubsubv1.UnsubscribeRequest) (*pubsubv1.UnsubscribeResponse, error) {
	_, err := v.Basic.Unsubscribe(ctx, request)
	return &pubsubv1.UnsubscribeResponse{Unsubscribed: true}, err
}

// A machine that finds nothing wrong with what is wrong would prove nothing.
func TestMachinesTellMutantsFromTheOracle(t *testing.T) {
	t.Parallel()
	for name, mutant := range map[string]struct {
		machine func(rapid.TB, *prism.Interfaces, *prism.Interfaces)
		mutate  func(*prism.Interfaces)
	}{
		"CompareAndSwap tells nothing":    {testmachine.KeyValue, func(i *prism.Interfaces) { i.KeyValueCAS = forgetful{i.KeyValueCAS} }},
		"Release takes any receipt":       {testmachine.Queue, func(i *prism.Interfaces) { i.QueueVisibility = lenient{i.QueueVisibility} }},
		"Unsubscribe ends what has ended": {testmachine.PubSub, func(i *prism.Interfaces) { i.PubSubBasic = vague{i.PubSubBasic} }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			subject := testmachine.Oracle(t)
			mutant.mutate(subject)
			w, done := &witness{TB: t}, make(chan struct{})
			go func() {
				defer close(done)
				mutant.machine(w, subject, testmachine.Oracle(t))
			}()
			<-done
			require.NotEmpty(t, w.found)
		})
	}
}
