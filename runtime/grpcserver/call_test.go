package grpcserver_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/prismgate/prism/internal/testpeer"
	"github.com/prismgate/prism/runtime/compress"
	"github.com/prismgate/prism/runtime/h2"
	"github.com/prismgate/prism/runtime/h2/frame"
)

// one sends a whole request and returns what came back.
func one(t *testing.T, p *testpeer.Peer, id uint32, fields []string, body []byte) testpeer.Response {
	t.Helper()
	p.Headers(id, 0, fields...)
	for len(body) > frame.DefaultMaxSize {
		p.Data(id, 0, body[:frame.DefaultMaxSize])
		body = body[frame.DefaultMaxSize:]
	}
	p.Data(id, frame.EndStream, body)
	return p.Response(id)
}

func TestEveryShapeIsServed(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	f.neighbour(t)
	p := f.connect(t)
	two := append(message(t, []byte("a")), message(t, []byte("b"))...)
	id := uint32(1)
	for _, c := range []struct {
		method string
		body   []byte
		want   []string
	}{
		{"Unary", message(t, []byte("a")), []string{"a"}},
		{"Unary", testpeer.Message(nil), []string{""}},
		{"Unary", message(t, bytes.Repeat([]byte("x"), 99_000)), []string{strings.Repeat("x", 99_000)}},
		{"ServerStream", message(t, []byte("a")), []string{"a", "a", "a"}},
		{"ClientStream", two, []string{"ab"}},
		{"ClientStream", nil, []string{""}},
		{"Bidi", two, []string{"a", "b"}},
		{"Bidi", nil, nil},
	} {
		r := one(t, p, id, testpeer.GRPC("/"+service+"/"+c.method), c.body)
		code, text := r.GRPC(t)
		require.Zero(t, code, text)
		require.Equal(t, c.want, values(t, r))
		require.Equal(t, "application/grpc", testpeer.Field(r.Header, "content-type"))
		id += 2
	}
}

func TestEveryShapeIsServedInPieces(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	p := f.connect(t)
	body := append(message(t, []byte("first")), message(t, []byte("second"))...)
	p.Headers(1, 0, testpeer.GRPC("/"+service+"/Bidi")...)
	for _, b := range body {
		p.Data(1, 0, []byte{b})
	}
	p.Headers(1, frame.EndStream, "x-trailer", "ends it too")
	r := p.Response(1)
	require.Equal(t, []string{"first", "second"}, values(t, r))
}

func TestWhatIsNoCallIsRefused(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	f.neighbour(t)
	p := f.connect(t)
	body := message(t, []byte("a"))
	flagged := func(flags byte) []byte { return append([]byte{flags}, body[1:]...) }
	prefix := func(size uint32) []byte { return binary.BigEndian.AppendUint32([]byte{0}, size) }
	two := append(bytes.Clone(body), body...)
	id := uint32(1)
	for name, c := range map[string]struct {
		fields []string
		body   []byte
		code   codes.Code
	}{
		"no message":               {testpeer.GRPC("/" + service + "/Unary"), nil, codes.Unimplemented},
		"two messages":             {testpeer.GRPC("/" + service + "/Unary"), two, codes.Unimplemented},
		"no message to stream":     {testpeer.GRPC("/" + service + "/ServerStream"), nil, codes.Unimplemented},
		"half a prefix":            {testpeer.GRPC("/" + service + "/Unary"), body[:3], codes.InvalidArgument},
		"half a message":           {testpeer.GRPC("/" + service + "/Unary"), body[:len(body)-1], codes.InvalidArgument},
		"half a prefix streamed":   {testpeer.GRPC("/" + service + "/ClientStream"), body[:3], codes.InvalidArgument},
		"half a message streamed":  {testpeer.GRPC("/" + service + "/ClientStream"), body[:len(body)-1], codes.InvalidArgument},
		"a prefix alone, streamed": {testpeer.GRPC("/" + service + "/Bidi"), prefix(7), codes.InvalidArgument},
		"a prefix of 4 GiB":        {testpeer.GRPC("/" + service + "/Unary"), prefix(1<<32 - 1), codes.ResourceExhausted},
		"the same, streamed":       {testpeer.GRPC("/" + service + "/Bidi"), prefix(1<<32 - 1), codes.ResourceExhausted},
		"one byte too many":        {testpeer.GRPC("/" + service + "/Unary"), prefix(limit + 1), codes.ResourceExhausted},
		"no protobuf":              {testpeer.GRPC("/" + service + "/Unary"), testpeer.Message([]byte{0xff}), codes.InvalidArgument},
		"no protobuf, streamed":    {testpeer.GRPC("/" + service + "/Bidi"), testpeer.Message([]byte{0xff}), codes.InvalidArgument},
		"a flag of tomorrow":       {testpeer.GRPC("/" + service + "/Unary"), flagged(2), codes.Internal},
		"all flags, streamed":      {testpeer.GRPC("/" + service + "/Bidi"), flagged(255), codes.Internal},
		"compressed, it says":      {testpeer.GRPC("/" + service + "/Unary"), flagged(1), codes.Internal},
		"an unknown compression":   {testpeer.GRPC("/"+service+"/Unary", "grpc-encoding", "lzma"), body, codes.Unimplemented},
		"unknown, and streamed":    {testpeer.GRPC("/"+service+"/Bidi", "grpc-encoding", "lzma"), body, codes.Unimplemented},
		"gzip that is none":        {testpeer.GRPC("/"+service+"/Unary", "grpc-encoding", "gzip"), flagged(1), codes.InvalidArgument},
		"an unknown method":        {testpeer.GRPC("/" + service + "/Nothing"), body, codes.Unimplemented},
		"an unknown service":       {testpeer.GRPC("/nothing"), body, codes.Unimplemented},
		"a timeout of nonsense":    {testpeer.GRPC("/"+service+"/Unary", "grpc-timeout", "soon"), body, codes.InvalidArgument},
		"a timeout of zero":        {testpeer.GRPC("/"+service+"/Unary", "grpc-timeout", "0n", "x-do", "wait"), body, codes.DeadlineExceeded},
		"an error of the handler":  {testpeer.GRPC("/"+service+"/Unary", "x-do", "fail"), body, codes.NotFound},
		"an error without a code":  {testpeer.GRPC("/"+service+"/Unary", "x-do", "plain"), body, codes.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			r := one(t, p, id, c.fields, c.body)
			code, text := r.GRPC(t)
			require.Equal(t, int(c.code), code, text)
			require.Empty(t, values(t, r))
			require.NotContains(t, text, "secret")
			require.Equal(t, "200", r.HTTP())
		})
		id += 2
	}
	for name, c := range map[string]struct {
		fields []string
		status string
	}{
		"GET":                     {testpeer.With(testpeer.GRPC("/"+service+"/Unary"), ":method", "GET"), "405"},
		"an unknown encoding":     {testpeer.With(testpeer.GRPC("/"+service+"/Unary"), "content-type", "application/grpc+thrift"), "415"},
		"something else":          {testpeer.With(testpeer.GRPC("/"+service+"/Unary"), "content-type", "application/grpc-web"), "200"},
		"something like it":       {testpeer.With(testpeer.GRPC("/"+service+"/Unary"), "content-type", "application/grpcx"), "200"},
		"no content type at all":  {testpeer.Without(testpeer.GRPC("/"+service+"/Unary"), "content-type"), "200"},
		"in upper case, it's not": {testpeer.With(testpeer.GRPC("/"+service+"/Unary"), "content-type", "Application/gRPC"), "200"},
	} {
		t.Run(name, func(t *testing.T) {
			r := one(t, p, id, c.fields, body)
			require.Equal(t, c.status, r.HTTP())
		})
		id += 2
	}
	for _, content := range []string{"application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8", "application/grpc+proto ; a=b"} {
		r := one(t, p, id, testpeer.With(testpeer.GRPC("/"+service+"/Unary"), "content-type", content), body)
		require.Equal(t, []string{"a"}, values(t, r), content)
		id += 2
	}
}

func TestAPanicEndsItsCallOnly(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	f.neighbour(t)
	p := f.connect(t)
	p.Headers(1, 0, testpeer.GRPC("/"+service+"/Panic")...)
	p.Data(1, frame.EndStream, message(t, nil))
	p.ExpectReset(1, frame.InternalError)
	require.Equal(t, []string{"a"}, values(t, one(t, p, 3, testpeer.GRPC("/"+service+"/Unary"), message(t, []byte("a")))))
}

func TestMessagesBeyondTheLimit(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	f.neighbour(t)
	conn := f.dial(t)
	for _, method := range []string{"Unary", "ServerStream", "ClientStream", "Bidi"} {
		for size, want := range map[int]codes.Code{limit - 4: codes.OK, limit - 3: codes.ResourceExhausted, 5 * limit: codes.ResourceExhausted} {
			stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/"+service+"/"+method)
			require.NoError(t, err)
			if err := stream.SendMsg(wrapperspb.Bytes(make([]byte, size))); !errors.Is(err, io.EOF) {
				require.NoError(t, err)
			}
			_ = stream.CloseSend()
			for err = nil; err == nil; {
				err = stream.RecvMsg(new(value))
			}
			if errors.Is(err, io.EOF) {
				err = nil
			}
			require.Equal(t, want, status.Code(err), "%s of %d: %v", method, size, err)
		}
	}
}

func TestBombsAreTooLarge(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	f.neighbour(t)
	p := f.connect(t)
	id := uint32(1)
	for _, name := range compress.Names() {
		codec, ok := compress.Get(name)
		require.True(t, ok)
		bomb, err := codec.Compress(nil, make([]byte, 64<<20))
		require.NoError(t, err)
		require.Less(t, len(bomb), limit)
		body := append(binary.BigEndian.AppendUint32([]byte{1}, uint32(len(bomb))), bomb...)
		for _, method := range []string{"Unary", "ServerStream", "ClientStream", "Bidi"} {
			for range 5 {
				r := one(t, p, id, testpeer.GRPC("/"+service+"/"+method, "grpc-encoding", name), body)
				code, text := r.GRPC(t)
				require.Equal(t, int(codes.ResourceExhausted), code, text)
				id += 2
			}
		}
	}
}

func TestFailuresKeepTheirWords(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	p := f.connect(t)
	r := one(t, p, 1, testpeer.GRPC("/"+service+"/Unary", "x-do", "fail"), message(t, nil))
	require.Nil(t, r.Data)
	_, text := r.GRPC(t)
	require.Equal(t, "no such thing: 100 %25 of %E2%82%AC%0A", text)
	conn := f.dial(t)
	err := conn.Invoke(metadata.AppendToOutgoingContext(t.Context(), "x-do", "fail"), "/"+service+"/Unary", new(value), new(value))
	require.Equal(t, "no such thing: 100 % of \u20ac\n", status.Convert(err).Message())
	err = conn.Invoke(metadata.AppendToOutgoingContext(t.Context(), "x-do", "detail"), "/"+service+"/Unary", new(value), new(value))
	details := status.Convert(err).Details()
	require.Len(t, details, 1)
	require.Equal(t, "QUOTA", details[0].(*errdetails.ErrorInfo).Reason)
}

func TestStockClientsCallEveryShape(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	for name, options := range map[string][]grpc.DialOption{
		"plain": nil, "gzip": {grpc.WithDefaultCallOptions(grpc.UseCompressor(gzip.Name))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := f.dial(t, options...)
			for _, size := range []int{0, 1, 1000, 5000, 90_000} {
				payload := bytes.Repeat([]byte{byte(size)}, size)
				got := new(value)
				var header, trailer metadata.MD
				ctx := metadata.AppendToOutgoingContext(t.Context(), "x-a", "1", "x-a", "2", "x-b-bin", "\x00\xff")
				require.NoError(t, conn.Invoke(ctx, "/"+service+"/Unary", wrapperspb.Bytes(payload), got, grpc.Header(&header), grpc.Trailer(&trailer)))
				require.True(t, bytes.Equal(payload, got.Value))
				require.Equal(t, []string{"1", "2"}, header.Get("x-a"))
				require.Equal(t, []string{"\x00\xff"}, header.Get("x-b-bin"))
				require.Equal(t, []string{"1", "2"}, trailer.Get("x-a-t"))

				stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/"+service+"/Bidi")
				require.NoError(t, err)
				for range 20 {
					require.NoError(t, stream.SendMsg(wrapperspb.Bytes(payload)))
					require.NoError(t, stream.RecvMsg(got))
					require.True(t, bytes.Equal(payload, got.Value))
				}
				require.NoError(t, stream.CloseSend())
				require.ErrorIs(t, stream.RecvMsg(got), io.EOF)
			}
		})
	}
}

func TestDeadlinesAndCancels(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	f.neighbour(t)
	conn := f.dial(t)
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), "x-do", "wait"), 20*time.Millisecond)
	defer cancel()
	require.Equal(t, codes.DeadlineExceeded, status.Code(conn.Invoke(ctx, "/"+service+"/Unary", new(value), new(value))))
	ctx, cancel = context.WithCancel(metadata.AppendToOutgoingContext(t.Context(), "x-do", "wait"))
	time.AfterFunc(20*time.Millisecond, cancel)
	require.Equal(t, codes.Canceled, status.Code(conn.Invoke(ctx, "/"+service+"/Unary", new(value), new(value))))
	require.Eventually(t, func() bool { return f.server.Stats().Streams <= 1 }, patience, time.Millisecond)
	// The server keeps deadlines by itself, whatever the client does.
	p := f.connect(t)
	r := one(t, p, 1, testpeer.GRPC("/"+service+"/Unary", "grpc-timeout", "30m", "x-do", "wait"), message(t, nil))
	code, _ := r.GRPC(t)
	require.Equal(t, int(codes.DeadlineExceeded), code)
	p.Headers(3, 0, testpeer.GRPC("/"+service+"/Bidi", "grpc-timeout", "30m")...)
	code, _ = p.Response(3).GRPC(t)
	require.Equal(t, int(codes.DeadlineExceeded), code)
	p.Headers(5, 0, testpeer.GRPC("/"+service+"/Unary", "grpc-timeout", "30m")...) // a body that does not come
	code, _ = p.Response(5).GRPC(t)
	require.Equal(t, int(codes.DeadlineExceeded), code)
}

// What ends within a message has not ended well: a handler must not take it for the end of the stream.
func TestARequestThatEndsWithinAMessageIsNoEnd(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	p := f.connect(t)
	body := message(t, []byte("abc"))
	id := uint32(1)
	for n := range body {
		for _, method := range []string{"ClientStream", "Bidi"} {
			r := one(t, p, id, testpeer.GRPC("/"+service+"/"+method), append(message(t, []byte("whole")), body[:n]...))
			code, text := r.GRPC(t)
			if n == 0 {
				require.Zero(t, code)
			} else {
				require.Equal(t, int(codes.InvalidArgument), code, "%s, %d bytes: %s", method, n, text)
			}
			id += 2
		}
	}
}

// A message that was sent in part must not be followed by anything: the client would take it for the rest.
func TestAMessageThatWasTornEndsItsStream(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	p := testpeer.Connect(t, f.address, testpeer.Options{Settings: []frame.Setting{{ID: frame.InitialWindowSize, Value: 10}}})
	p.Headers(1, 0, testpeer.GRPC("/"+service+"/ServerStream", "grpc-timeout", "50m")...)
	p.Data(1, frame.EndStream, message(t, make([]byte, 1000)))
	p.ExpectReset(1, frame.Cancel, frame.InternalError)
	r := p.Response(1)
	require.Nil(t, r.Trailer, "no status: it would say that the messages are whole")
	require.Len(t, r.Data, 10)
	p.Headers(3, 0, testpeer.GRPC("/"+service+"/Unary", "grpc-timeout", "50m")...)
	p.Data(3, frame.EndStream, message(t, make([]byte, 1000)))
	p.ExpectReset(3, frame.Cancel, frame.InternalError)
	require.Nil(t, p.Response(3).Trailer)
}

func TestManyCallsAtOnce(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	conn := f.dial(t)
	failed := make(chan error, 64)
	for caller := range 64 {
		go func() {
			for i := range 50 {
				sent, got := wrapperspb.Bytes(bytes.Repeat([]byte{byte(caller)}, (caller*i*37)%20_000)), new(value)
				if err := conn.Invoke(t.Context(), "/"+service+"/Unary", sent, got); err != nil {
					failed <- err
					return
				}
				if !bytes.Equal(sent.Value, got.Value) {
					failed <- fmt.Errorf("caller %d got %d bytes that are not its own", caller, len(got.Value))
					return
				}
			}
			failed <- nil
		}()
	}
	for range 64 {
		require.NoError(t, <-failed)
	}
}
