// Package testmachine compares an implementation with MemStore, the reading copy of the contracts: it makes the same random operations on both, and compares every answer. There is one
// machine per data model. A sequence that tells them apart is made shorter until it cannot be, and printed.
//
// All operations of a machine are made one after another; conformance has the concurrent ones, whose histories porcupine checks. No time that matters passes: times to live, leases and delays
// are an hour.
package testmachine

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/prismgate/prism/backends/memstore"
	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/fault"
)

// Machine compares a subject with an oracle.
type Machine struct {
	// Model is the data model, as the catalog names of its interfaces begin.
	Model string
	// Run makes random operations on both, and fails when they answer differently.
	Run func(t rapid.TB, subject, oracle *prism.Interfaces)
}

// Machines are those that there are.
func Machines() []Machine {
	return []Machine{{"keyvalue", KeyValue}, {"pubsub", PubSub}, {"queue", Queue}}
}

// Oracle returns a fresh namespace of MemStore.
func Oracle(t *testing.T) *prism.Interfaces {
	t.Helper()
	store, err := memstore.Open(t.Context(), backend.Env{}, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close(context.WithoutCancel(t.Context())) })
	namespace, err := store.Namespace(t.Context(), "oracle")
	require.NoError(t, err)
	return namespace.Interfaces()
}

// runs numbers the runs of a machine: each has keys and names of its own, since they share a namespace.
type runs struct{ n atomic.Int64 }

func (r *runs) prefix() string { return fmt.Sprintf("r%d-", r.n.Add(1)) }

// same makes a call on both, and fails unless they answer alike. Blank takes out of an answer what may differ; nil takes nothing.
func same[Request, Response proto.Message](t *rapid.T, what string, request Request, blank func(Response),
	subject, oracle func(context.Context, Request) (Response, error),
) (got, want Response) {
	t.Helper()
	return sameOf(t, what, request, request, blank, subject, oracle)
}

// sameOf is [same] for requests that name what each of the two has called otherwise: receipts, ids.
func sameOf[Request, Response proto.Message](t *rapid.T, what string, ofSubject, ofOracle Request, blank func(Response),
	subject, oracle func(context.Context, Request) (Response, error),
) (got, want Response) {
	t.Helper()
	got, err := subject(t.Context(), proto.CloneOf(ofSubject))
	want, wanted := oracle(t.Context(), proto.CloneOf(ofOracle))
	if fault.CodeOf(err) != fault.CodeOf(wanted) {
		t.Fatalf("%s %s: got %v, want %v", what, prototext.Format(ofOracle), err, wanted)
	}
	if wanted != nil {
		return got, want
	}
	seen, expected := proto.CloneOf(got), proto.CloneOf(want)
	if blank != nil {
		blank(seen)
		blank(expected)
	}
	if !proto.Equal(seen, expected) {
		t.Fatalf("%s %s: got\n%s\nwant\n%s", what, prototext.Format(ofOracle), prototext.Format(got), prototext.Format(want))
	}
	return got, want
}
