package provider

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/backends/memstore"
	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	providerv1 "github.com/prismgate/prism/gen/go/prism/provider/v1"
	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
	"github.com/prismgate/prism/gen/go/registry"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/fault"
)

const (
	get       = "/prism.keyvalue.v1.KeyValueBasicInterface/Get"
	set       = "/prism.keyvalue.v1.KeyValueBasicInterface/Set"
	dequeue   = "/prism.queue.v1.QueueBasicInterface/Dequeue"
	subscribe = "/prism.pubsub.v1.PubSubBasicInterface/Subscribe"
)

func newTestServer(t testing.TB, exit func()) *Server {
	t.Helper()
	known, err := registry.Catalog()
	require.NoError(t, err)
	s := NewServer(ServerOptions{Catalog: known, Backends: []backend.Type{backend.Of("memstore", memstore.Open)}, Version: "prism test", Exit: exit})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Millisecond)
		defer cancel()
		require.NoError(t, s.Close(ctx))
	})
	return s
}

func initializeRequest(t testing.TB, s *Server) *providerv1.InitializeRequest {
	t.Helper()
	config, err := anypb.New(new(backendsv1.MemStore))
	require.NoError(t, err)
	request := &providerv1.InitializeRequest{ProtocolVersion: Version, InstanceName: "m", Backend: "memstore", Config: config, Gateway: "test", Interfaces: map[string][]byte{}}
	for _, known := range s.options.Catalog.Interfaces() {
		request.Interfaces[known.Name] = hashOf(known)
	}
	return request
}

// initialized returns the handle of an instance.
func initialized(t testing.TB, s *Server) string {
	t.Helper()
	response, err := s.Initialize(t.Context(), initializeRequest(t, s))
	require.NoError(t, err)
	return response.GetInstance()
}

// peer is a gateway that says what it is told to.
type peer struct {
	t      testing.TB
	in     chan []byte
	out    chan *providerv1.ExecuteStreamResponse
	items  []*providerv1.ResponseItem
	result chan error
	cancel context.CancelFunc
}

func connect(t testing.TB, s *Server) *peer {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	p := &peer{t: t, in: make(chan []byte), out: make(chan *providerv1.ExecuteStreamResponse, 1000), result: make(chan error, 1), cancel: cancel}
	t.Cleanup(cancel)
	receive := func() ([]byte, error) {
		select {
		case b, ok := <-p.in:
			if !ok {
				return nil, io.EOF
			}
			return b, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	send := func(b []byte) error {
		m := new(providerv1.ExecuteStreamResponse)
		if len(b) > maxFrame {
			t.Errorf("a frame of %d bytes", len(b))
		}
		if err := proto.Unmarshal(b, m); err != nil {
			return err
		}
		p.out <- m
		return nil
	}
	go func() { p.result <- s.serveStream(ctx, receive, send) }()
	return p
}

func (p *peer) sendRaw(b []byte) {
	p.t.Helper()
	select {
	case p.in <- b:
	case err := <-p.result:
		p.result <- err // the stream is over; ended shows why
	case <-time.After(10 * time.Second):
		p.t.Fatal("the provider does not read")
	}
}

func (p *peer) send(items ...*providerv1.RequestItem) {
	p.t.Helper()
	b, err := proto.Marshal(&providerv1.ExecuteStreamRequest{Items: items})
	require.NoError(p.t, err)
	p.sendRaw(b)
}

// next returns the provider's next item.
func (p *peer) next() *providerv1.ResponseItem {
	p.t.Helper()
	for len(p.items) == 0 {
		select {
		case m := <-p.out:
			p.items = m.GetItems()
		case <-time.After(10 * time.Second):
			p.t.Fatal("the provider says nothing")
		}
	}
	one := p.items[0]
	p.items = p.items[1:]
	return one
}

// answer returns how a call ended, and its messages.
func (p *peer) answer(call uint64) (*providerv1.CallResponse, [][]byte) {
	p.t.Helper()
	var messages [][]byte
	var message []byte
	for {
		one := p.next()
		require.Equal(p.t, call, one.GetCall())
		if chunk := one.GetChunk(); chunk != nil {
			message = append(message, chunk.GetData()...)
			if chunk.GetEnd() {
				messages, message = append(messages, message), nil
			}
		}
		if response := one.GetResponse(); response != nil {
			return response, messages
		}
	}
}

// ended returns how the stream ended.
func (p *peer) ended() error {
	p.t.Helper()
	select {
	case err := <-p.result:
		return err
	case <-time.After(10 * time.Second):
		p.t.Fatal("the stream does not end")
		return nil
	}
}

func openItem(handle string, shared bool, credit uint64) *providerv1.RequestItem {
	return &providerv1.RequestItem{Item: &providerv1.RequestItem_Open{Open: &providerv1.Open{Instance: handle, Shared: shared, InitialCredit: credit}}}
}

func startItem(call uint64, procedure string) *providerv1.RequestItem {
	return &providerv1.RequestItem{Call: call, Item: &providerv1.RequestItem_Start{Start: &providerv1.CallStart{Namespace: "n", Procedure: procedure}}}
}

func chunkItem(call uint64, end bool, data []byte) *providerv1.RequestItem {
	return &providerv1.RequestItem{Call: call, Item: &providerv1.RequestItem_Chunk{Chunk: &providerv1.Chunk{Data: data, End: end}}}
}

func cancelItem(call uint64) *providerv1.RequestItem {
	return &providerv1.RequestItem{Call: call, Item: &providerv1.RequestItem_Cancel{Cancel: new(providerv1.Cancel)}}
}

func pingItem(call, nonce uint64) *providerv1.RequestItem {
	return &providerv1.RequestItem{Call: call, Item: &providerv1.RequestItem_Ping{Ping: &providerv1.Ping{Nonce: nonce}}}
}

func creditItem(call, bytes uint64) *providerv1.RequestItem {
	return &providerv1.RequestItem{Call: call, Item: &providerv1.RequestItem_Credit{Credit: &providerv1.Credit{Bytes: bytes}}}
}

func encoded(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	require.NoError(t, err)
	return b
}

func getRequest(t testing.TB) []byte { return encoded(t, &keyvaluev1.GetRequest{Key: "key"}) }

func waiting(t testing.TB) []byte {
	return encoded(t, &queuev1.DequeueRequest{Queue: "q", WaitTime: durationpb.New(30 * time.Second)})
}

func TestAPeerThatBreaksTheProtocolLearnsHow(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, nil)
	handle := initialized(t, s)
	open := openItem(handle, true, 0)
	own := openItem(handle, false, 0)
	raw := func(items ...*providerv1.RequestItem) []byte {
		return encoded(t, &providerv1.ExecuteStreamRequest{Items: items})
	}
	for name, c := range map[string]struct {
		frames [][]byte
		says   string
	}{
		"no item":                      {[][]byte{{}}, "at least one"},
		"no open":                      {[][]byte{raw(startItem(1, get))}, "the first item"},
		"open of a call":               {[][]byte{raw(&providerv1.RequestItem{Call: 1, Item: open.GetItem()})}, "the first item"},
		"open twice":                   {[][]byte{raw(open), raw(open)}, "opened once"},
		"a call without an id":         {[][]byte{raw(open), raw(startItem(0, get))}, "begin at 1"},
		"an id twice":                  {[][]byte{raw(open), raw(startItem(3, get), startItem(3, get))}, "rise"},
		"an id that falls":             {[][]byte{raw(open), raw(startItem(3, get)), raw(startItem(2, get))}, "rise"},
		"a chunk before its start":     {[][]byte{raw(open), raw(chunkItem(1, true, nil))}, "not started"},
		"a cancel before its start":    {[][]byte{raw(open), raw(cancelItem(9))}, "not started"},
		"a chunk of no call":           {[][]byte{raw(open), raw(chunkItem(0, true, nil))}, "not started"},
		"an empty chunk":               {[][]byte{raw(open), raw(startItem(1, get), chunkItem(1, false, nil))}, "no bytes"},
		"a chunk after the end":        {[][]byte{raw(open), raw(startItem(1, dequeue), chunkItem(1, true, waiting(t)), chunkItem(1, true, nil))}, "after the one that ended"},
		"a ping of a call":             {[][]byte{raw(open), raw(pingItem(1, 1))}, "about the stream"},
		"a second call on its own":     {[][]byte{raw(own), raw(startItem(1, subscribe)), raw(startItem(2, subscribe))}, "second call"},
		"an item that says nothing":    {[][]byte{raw(open), raw(&providerv1.RequestItem{Call: 1})}, "says nothing"},
		"an item that is not known":    {[][]byte{raw(open), {0x0a, 0x04, 0x08, 1, 0x4a, 0}}, "not known"},
		"an item that says two things": {[][]byte{raw(open), {0x0a, 0x06, 0x08, 1, 0x2a, 0, 0x3a, 0}}, "two things"},
		"rubbish":                      {[][]byte{raw(open), []byte("GET / HTTP/1.1\r\n\r\n")}, "broken"},
		"half an item":                 {[][]byte{raw(open), {0x0a, 0x7f}}, "decode"},
		"a frame that is too large":    {[][]byte{raw(open), raw(startItem(1, get), chunkItem(1, false, make([]byte, maxFrame)))}, "at most 65536"},
		"too much credit":              {[][]byte{raw(own), raw(startItem(1, subscribe)), raw(creditItem(1, 1<<63), creditItem(1, 1<<63))}, "credit"},
		"a name that is not UTF-8":     {[][]byte{raw(open), {0x0a, 0x08, 0x08, 1, 0x1a, 4, 0x0a, 2, 0xff, 0xfe}}, "UTF-8"},
		"metadata in upper case": {[][]byte{raw(open), raw(&providerv1.RequestItem{Call: 1, Item: &providerv1.RequestItem_Start{Start: &providerv1.CallStart{
			Namespace: "n", Procedure: get, Header: []*providerv1.Metadata{{Key: "Key", Value: []byte("v")}},
		}}})}, "lower case"},
	} {
		t.Run(name, func(t *testing.T) {
			p := connect(t, s)
			for _, frame := range c.frames {
				p.sendRaw(frame)
			}
			err := p.ended()
			require.Equal(t, fault.InvalidArgument, fault.CodeOf(err), "%v", err)
			require.ErrorContains(t, err, c.says)
		})
	}
	t.Run("an end without an open", func(t *testing.T) {
		p := connect(t, s)
		close(p.in)
		require.Equal(t, fault.InvalidArgument, fault.CodeOf(p.ended()))
	})
	t.Run("an end within a request", func(t *testing.T) {
		p := connect(t, s)
		p.send(openItem(handle, true, 0), startItem(1, get))
		close(p.in)
		require.Equal(t, fault.InvalidArgument, fault.CodeOf(p.ended()))
	})
	t.Run("a handle that is not known", func(t *testing.T) {
		p := connect(t, s)
		p.send(openItem("other", true, 0))
		require.Equal(t, fault.FailedPrecondition, fault.CodeOf(p.ended()))
	})
	require.Eventually(t, func() bool { return s.instances[handle].active.Load() == 0 }, 10*time.Second, time.Millisecond, "calls of broken streams do not stay")
}

func TestHowCallsAreAnswered(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, nil)
	handle := initialized(t, s)
	timed := func(timeout time.Duration) *providerv1.RequestItem {
		item := startItem(1, dequeue)
		item.GetStart().Timeout = durationpb.New(timeout)
		return item
	}
	for name, c := range map[string]struct {
		shared bool
		items  []*providerv1.RequestItem
		code   fault.Code
	}{
		"a call":                      {true, []*providerv1.RequestItem{startItem(1, get), chunkItem(1, true, getRequest(t))}, fault.OK},
		"a request in pieces":         {true, []*providerv1.RequestItem{startItem(1, get), chunkItem(1, false, getRequest(t)[:2]), chunkItem(1, false, getRequest(t)[2:]), chunkItem(1, true, nil)}, fault.OK},
		"a request that is not right": {true, []*providerv1.RequestItem{startItem(1, get), chunkItem(1, true, nil)}, fault.InvalidArgument},
		"a request that is none":      {true, []*providerv1.RequestItem{startItem(1, get), chunkItem(1, true, []byte("rubbish"))}, fault.InvalidArgument},
		"what is not offered":         {true, []*providerv1.RequestItem{startItem(1, "/prism.graph.v1.GraphBasicInterface/AddNode"), chunkItem(1, true, nil)}, fault.Unimplemented},
		"what there is not":           {true, []*providerv1.RequestItem{startItem(1, "")}, fault.Unimplemented},
		"a stream on a shared one":    {true, []*providerv1.RequestItem{startItem(1, subscribe), chunkItem(1, true, nil)}, fault.Unimplemented},
		"a call on a stream of its own": {
			false, []*providerv1.RequestItem{startItem(1, get), chunkItem(1, true, getRequest(t))}, fault.Unimplemented,
		},
		"a deadline that has passed": {true, []*providerv1.RequestItem{timed(0), chunkItem(1, true, waiting(t))}, fault.DeadlineExceeded},
		"a deadline before now":      {true, []*providerv1.RequestItem{timed(-time.Hour), chunkItem(1, true, waiting(t))}, fault.DeadlineExceeded},
		"a deadline that passes":     {true, []*providerv1.RequestItem{timed(10 * time.Millisecond), chunkItem(1, true, waiting(t))}, fault.DeadlineExceeded},
		"a cancel of what runs":      {true, []*providerv1.RequestItem{startItem(1, dequeue), chunkItem(1, true, waiting(t)), cancelItem(1)}, fault.Canceled},
		"a cancel of what begins":    {true, []*providerv1.RequestItem{startItem(1, dequeue), cancelItem(1)}, fault.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			p := connect(t, s)
			p.send(append([]*providerv1.RequestItem{openItem(handle, c.shared, 0)}, c.items...)...)
			response, messages := p.answer(1)
			require.Equal(t, c.code, fault.Code(response.GetCode()), response.GetMessage())
			if c.code == fault.OK {
				require.Len(t, messages, 1)
			} else {
				require.Empty(t, messages)
				require.NotEmpty(t, response.GetMessage())
			}
			p.send(chunkItem(1, true, nil), cancelItem(1), creditItem(1, 1)) // of a call that has ended: ignored
			close(p.in)
			require.NoError(t, p.ended())
		})
	}
}

func TestARequestThatIsTooLargeEndsItsCallOnly(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, nil)
	p := connect(t, s)
	p.send(openItem(initialized(t, s), true, 0), startItem(1, get))
	for range (4<<20)/(60<<10) + 1 {
		p.send(chunkItem(1, false, make([]byte, 60<<10)))
	}
	response, _ := p.answer(1)
	require.Equal(t, fault.ResourceExhausted, fault.Code(response.GetCode()))
	p.send(startItem(2, get), chunkItem(2, true, getRequest(t)))
	response, _ = p.answer(2)
	require.Equal(t, int32(0), response.GetCode())
}

func TestSlowCallsHoldUpNobody(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, nil)
	p := connect(t, s)
	p.send(openItem(initialized(t, s), true, 0))
	for call := range uint64(100) {
		p.send(startItem(call+1, dequeue), chunkItem(call+1, true, waiting(t)))
	}
	p.send(startItem(101, get), chunkItem(101, true, getRequest(t)), pingItem(0, 7))
	ponged, answered := false, false
	for !ponged || !answered {
		one := p.next()
		ponged = ponged || one.GetPong().GetNonce() == 7
		answered = answered || one.GetCall() == 101 && one.GetResponse() != nil
	}
}

func TestCreditBoundsAStream(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, nil)
	handle := initialized(t, s)
	shared := connect(t, s)
	shared.send(openItem(handle, true, 0))

	p := connect(t, s)
	p.send(openItem(handle, false, 100), startItem(1, subscribe), chunkItem(1, true, encoded(t, &pubsubv1.SubscribeRequest{Topic: "topic"})))
	received := 0
	take := func() bool {
		one := p.next()
		received += len(one.GetChunk().GetData())
		return one.GetChunk().GetEnd()
	}
	require.True(t, take(), "subscribed")
	shared.send(startItem(1, "/prism.pubsub.v1.PubSubBasicInterface/Publish"),
		chunkItem(1, true, encoded(t, &pubsubv1.PublishRequest{Topic: "topic", Payload: make([]byte, 1000)})))
	response, _ := shared.answer(1)
	require.Equal(t, int32(0), response.GetCode(), response.GetMessage())
	for received < 100 {
		require.False(t, take(), "a message of more than the credit is cut")
	}
	require.Equal(t, 100, received)
	p.send(pingItem(0, 5))
	require.Equal(t, uint64(5), p.next().GetPong().GetNonce(), "nothing but the pong comes without credit")
	p.send(creditItem(1, 10), creditItem(1, 20))
	for received < 130 {
		require.False(t, take())
	}
	require.Equal(t, 130, received)
	p.send(creditItem(1, 10_000))
	for !take() {
	}
	p.send(cancelItem(1))
	response, _ = p.answer(1)
	require.Equal(t, fault.Canceled, fault.Code(response.GetCode()))
	require.NoError(t, p.ended(), "the stream ends with its call")
}
