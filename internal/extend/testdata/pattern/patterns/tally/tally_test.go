package tally_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/prismgate/prism/gen/go/prism/patterns/v1/patternsrpc"
	"github.com/prismgate/prism/internal/testgateway"
	"github.com/prismgate/prism/runtime/fault"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	patternsv1 "github.com/prismgate/prism/gen/go/prism/patterns/v1"
)

func TestAClientCallsItThroughAGateway(t *testing.T) {
	config, err := structpb.NewStruct(map[string]any{"first": 5})
	require.NoError(t, err)
	client := testgateway.Dial(t, testgateway.Start(t, &configv1.Config{Namespaces: []*configv1.Namespace{{
		Name: "n", Pattern: "tally", Config: config,
		Slots: map[string]*configv1.Slot{"target": {Filling: &configv1.Slot_Backend{Backend: "memstore"}}},
	}}}))
	_, err = client.Namespace("n").KeyValue().Set(t.Context(), "a", []byte("1"))
	require.NoError(t, err)
	exists, err := client.Namespace("n").KeyValue().Exists(t.Context(), "a")
	require.NoError(t, err)
	require.True(t, exists.GetExists())
	ttl, err := client.Namespace("n").KeyValue().GetTTL(t.Context(), "a")
	require.NoError(t, err)
	require.True(t, ttl.GetFound(), "what it does not decorate is offered as it is")

	tally := patternsrpc.NewTallyServiceClient(client.Conn("n"))
	answer, err := tally.Tell(t.Context(), &patternsv1.TellRequest{Times: 2})
	require.NoError(t, err)
	require.Equal(t, uint32(12), answer.GetCount())
	_, err = tally.Tell(t.Context(), &patternsv1.TellRequest{})
	require.Equal(t, fault.InvalidArgument, fault.CodeOf(err))
}
