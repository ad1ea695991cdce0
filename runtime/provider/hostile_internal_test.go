package provider

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	providerv1 "github.com/prismgate/prism/gen/go/prism/provider/v1"
	"github.com/prismgate/prism/gen/go/prism/pubsub/v1/pubsubrpc"
	"github.com/prismgate/prism/runtime/fault"
)

// TestGoingAwayOfAStreamOfItsOwnLeavesTheOthers has a going-away come on a call's own stream first: what is under way on the link goes on.
func TestGoingAwayOfAStreamOfItsOwnLeavesTheOthers(t *testing.T) {
	t.Parallel()
	going := encoded(t, &providerv1.ExecuteStreamResponse{Items: []*providerv1.ResponseItem{
		{Item: &providerv1.ResponseItem_GoingAway{GoingAway: &providerv1.GoingAway{LastCall: 1}}},
		{Call: 1, Item: &providerv1.ResponseItem_Chunk{Chunk: &providerv1.Chunk{Data: []byte("a"), End: true}}},
	}})
	l := &link{ctx: t.Context(), gone: make(chan struct{})}
	own := &ownStream{link: l, method: pubsubrpc.BasicMethods()[1], stream: &deaf{frames: [][]byte{going}}, caller: t.Context(), frame: new(frame)}
	message, err := own.next()
	require.NoError(t, err)
	require.Equal(t, "a", string(message))
	select {
	case <-l.gone:
		require.FailNow(t, "the link is lost, and its calls with it")
	default:
	}
}

// TestMetadataThatTheProtocolDoesNotCarryIsLeftOut has a caller send a header that a provider would take for a broken protocol, which ends the calls of others.
func TestMetadataThatTheProtocolDoesNotCarryIsLeftOut(t *testing.T) {
	t.Parallel()
	content := metadata{{"latin", "caf\xe9"}, {"tab", "a\tb"}, {"plain", "a b"}, {"any-bin", "/wA"}}.appendTo(nil, 1)
	header := new(providerv1.ResponseHeader)
	require.NoError(t, proto.Unmarshal(content, header))
	require.Len(t, header.GetMetadata(), 2)
	require.Equal(t, "a b", string(header.GetMetadata()[0].GetValue()))
	require.Equal(t, "\xff\x00", string(header.GetMetadata()[1].GetValue()))
}

// TestAPeerThatDoesNotReadIsCutOff has a gateway start calls for ever, and read no answer.
func TestAPeerThatDoesNotReadIsCutOff(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, nil)
	opening := encoded(t, &providerv1.ExecuteStreamRequest{Items: []*providerv1.RequestItem{openItem(initialized(t, s), true, 0)}})
	var frames int
	next := uint64(0)
	receive := func() ([]byte, error) {
		frames++
		if frames == 1 {
			return opening, nil
		}
		m := new(providerv1.ExecuteStreamRequest)
		for range 1000 {
			next++
			m.Items = append(m.Items, startItem(next, "/none"))
		}
		return encoded(t, m), nil
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := s.serveStream(ctx, receive, func([]byte) error { <-ctx.Done(); return ctx.Err() })
	require.Equal(t, fault.InvalidArgument, fault.CodeOf(err), "%v", err)
}
