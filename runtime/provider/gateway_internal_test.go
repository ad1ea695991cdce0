package provider

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/prismgate/prism/gen/go/prism/keyvalue/v1/keyvaluerpc"
	providerv1 "github.com/prismgate/prism/gen/go/prism/provider/v1"
	"github.com/prismgate/prism/runtime/fault"
)

// deaf is a stream whose other side says what a test has it say.
type deaf struct {
	grpc.ClientStream
	frames [][]byte
	sent   [][]byte
}

func (d *deaf) SendMsg(m any) error {
	d.sent = append(d.sent, bytes.Clone(m.(*frame).b))
	return nil
}

func (d *deaf) RecvMsg(m any) error {
	if len(d.frames) == 0 {
		return fault.New(fault.Unavailable, "over")
	}
	m.(*frame).b = append(m.(*frame).b[:0], d.frames[0]...)
	d.frames = d.frames[1:]
	return nil
}

func testStream(most int) *sharedStream {
	s := &sharedStream{stream: new(deaf), lost: func(error) {}, most: most, calls: make(map[uint64]*pending), greeted: make(chan struct{})}
	s.out.init(requestChunk, func([]byte) error { return nil })
	return s
}

func TestMoreCallsThanTheProviderTakesAreRefused(t *testing.T) {
	t.Parallel()
	m := keyvaluerpc.BasicMethods()[0]
	s := testStream(1)
	p := pendings.Get().(*pending)
	require.NoError(t, s.begin(p, nil))
	_, err := s.call(t.Context(), "n", m, nil)
	require.Equal(t, fault.ResourceExhausted, fault.CodeOf(err))
	require.True(t, s.leave(p))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = s.call(ctx, "n", m, nil)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Empty(t, s.calls)
}

// TestFramesShare holds what is built to the rules: a frame has at most 64 KiB, a large message lets small ones pass, and what arrives is what was sent.
func TestFramesShare(t *testing.T) {
	t.Parallel()
	var o outbox
	o.init(requestChunk, func([]byte) error { return nil })
	o.flushing = true // the test builds
	large := bytes.Repeat([]byte("0123456789"), 100_000)
	lead := func(call uint64) []byte { return appendItem(nil, call, requestStart, 0) }
	o.put(&parcel{call: 1, lead: lead(1), message: large, hasMessage: true})
	o.put(&parcel{call: 2, lead: lead(2), message: []byte("small"), hasMessage: true})
	o.put(&parcel{call: 3, lead: lead(3), message: nil, hasMessage: true})
	o.put(&parcel{call: 4, lead: lead(4), message: large[:200_000], hasMessage: true})
	got := make(map[uint64][]byte)
	ended := make(map[uint64]int)
	for n := 1; ; n++ {
		b := o.build(nil)
		if len(b) == 0 {
			break
		}
		require.LessOrEqual(t, len(b), maxFrame)
		m := new(providerv1.ExecuteStreamRequest)
		require.NoError(t, proto.Unmarshal(b, m))
		for _, item := range m.GetItems() {
			got[item.GetCall()] = append(got[item.GetCall()], item.GetChunk().GetData()...)
			if item.GetChunk().GetEnd() {
				ended[item.GetCall()] = n
			}
		}
	}
	require.Len(t, ended, 4)
	require.Equal(t, 1, ended[2], "a small message is in the first frame")
	require.Equal(t, 1, ended[3])
	require.Less(t, ended[4], ended[1])
	require.True(t, bytes.Equal(large, got[1]))
	require.True(t, bytes.Equal(large[:200_000], got[4]))
	require.Equal(t, "small", string(got[2]))
}

// FuzzGatewayFrames has a gateway read whatever comes on its streams.
func FuzzGatewayFrames(f *testing.F) {
	response := func(items ...*providerv1.ResponseItem) []byte {
		return encoded(f, &providerv1.ExecuteStreamResponse{Items: items})
	}
	chunk := &providerv1.ResponseItem{Call: 1, Item: &providerv1.ResponseItem_Chunk{Chunk: &providerv1.Chunk{Data: []byte("a"), End: true}}}
	end := &providerv1.ResponseItem{Call: 1, Item: &providerv1.ResponseItem_Response{Response: &providerv1.CallResponse{Code: 3, Message: "m", Details: []byte{8, 3}}}}
	header := &providerv1.ResponseItem{Call: 1, Item: &providerv1.ResponseItem_Header{Header: &providerv1.ResponseHeader{Metadata: []*providerv1.Metadata{{Key: "k-bin", Value: []byte{0}}}}}}
	going := &providerv1.ResponseItem{Item: &providerv1.ResponseItem_GoingAway{GoingAway: &providerv1.GoingAway{LastCall: 1, Reason: "r"}}}
	f.Add(response(header, chunk, end))
	f.Add(response(going, chunk))
	f.Add(encoded(f, &providerv1.ExecuteResponse{Payload: []byte("p"), Response: new(providerv1.CallResponse)}))
	m := keyvaluerpc.BasicMethods()[0]
	f.Fuzz(func(t *testing.T, data []byte) {
		s := testStream(0)
		waiting := []*pending{{done: make(chan struct{}, 1), limit: 1000}, {done: make(chan struct{}, 1), limit: 1000}}
		for _, p := range waiting {
			require.NoError(t, s.begin(p, nil))
		}
		if err := s.receive(data); err != nil {
			require.Equal(t, fault.InvalidArgument, fault.CodeOf(err))
			s.over(err)
			for _, p := range waiting {
				<-p.done
			}
		}
		own := &ownStream{
			link: &link{ctx: t.Context(), gone: make(chan struct{})}, method: m, stream: &deaf{frames: [][]byte{data}}, caller: t.Context(), frame: new(frame),
		}
		for {
			if _, err := own.next(); err != nil {
				break
			}
		}
		_ = readExecuted(data, new(pending))
	})
}
