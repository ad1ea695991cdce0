package httprpc_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/prismgate/prism/runtime/compress"
	"github.com/prismgate/prism/runtime/httprpc"
)

// codecEnd is a codec as connect-go's client takes it.
type codecEnd struct {
	*compress.Codec
	reader io.Reader
	writer io.Writer
	bytes  bytes.Buffer
}

func (c *codecEnd) Read(p []byte) (int, error) {
	if c.reader != nil {
		deflated, err := io.ReadAll(c.reader)
		if err != nil {
			return 0, err
		}
		inflated, err := c.Decompress(nil, deflated, 1<<30)
		if err != nil {
			return 0, err
		}
		c.bytes.Write(inflated)
		c.reader = nil
	}
	return c.bytes.Read(p)
}

func (c *codecEnd) Write(p []byte) (int, error) { return c.bytes.Write(p) }

func (c *codecEnd) Close() error {
	if c.writer == nil {
		return nil
	}
	deflated, err := c.Compress(nil, c.bytes.Bytes())
	if err == nil {
		_, err = c.writer.Write(deflated)
	}
	return err
}

type decompressorEnd struct{ codecEnd }

func (c *decompressorEnd) Reset(r io.Reader) error { c.reader = r; c.bytes.Reset(); return nil }

type compressorEnd struct{ codecEnd }

func (c *compressorEnd) Reset(w io.Writer) { c.writer = w; c.bytes.Reset() }

// eachCompression runs a test with clients of every compression and protocol.
func eachCompression(t *testing.T, test func(t *testing.T, name, base string, options []connect.ClientOption)) {
	base := serve(t)
	for _, name := range compress.Names() {
		codec, _ := compress.Get(name)
		for protocol, option := range map[string]connect.ClientOption{
			"grpc": connect.WithGRPC(), "grpcweb": connect.WithGRPCWeb(), "connect": connect.WithClientOptions(),
		} {
			t.Run(name+"/"+protocol, func(t *testing.T) {
				test(t, name, base, []connect.ClientOption{
					option, connect.WithSendCompression(name), connect.WithAcceptCompression(name,
						func() connect.Decompressor { return &decompressorEnd{codecEnd{Codec: codec}} },
						func() connect.Compressor { return &compressorEnd{codecEnd{Codec: codec}} }),
				})
			})
		}
	}
}

func TestEveryCompressionGoesBothWays(t *testing.T) {
	eachCompression(t, func(t *testing.T, name, base string, options []connect.ClientOption) {
		client := connect.NewClient[text, text](httprpc.NewHTTPClient(false), base+unary.Procedure, options...)
		for _, size := range []int{1, 5000, 60_000, 100} {
			long := strings.Repeat("x", size)
			response, err := client.CallUnary(t.Context(), connect.NewRequest(wrapperspb.String(long)))
			require.NoError(t, err)
			require.Equal(t, "echo "+long, response.Msg.GetValue())
			if size == 5000 {
				encodings := append(response.Header().Values("Content-Encoding"), response.Header().Values("Grpc-Encoding")...)
				require.Equal(t, []string{name}, encodings)
			}
		}
		stream := connect.NewClient[text, text](httprpc.NewHTTPClient(false), base+both.Procedure, options...).CallBidiStream(t.Context())
		for _, value := range []string{"a", strings.Repeat("b", 3000)} {
			require.NoError(t, stream.Send(wrapperspb.String(value)))
			response, err := stream.Receive()
			require.NoError(t, err)
			require.Equal(t, "echo "+value, response.GetValue())
		}
		require.NoError(t, stream.CloseRequest())
		_, err := stream.Receive()
		require.ErrorIs(t, err, io.EOF)
	})
}

// What is over the limit is inflated no further than to the limit, and the refusal says what to do.
func TestACompressedMessageCountsInflated(t *testing.T) {
	const size = 32 << 20
	for _, name := range compress.Names() {
		codec, _ := compress.Get(name)
		message, err := proto.Marshal(wrapperspb.String(strings.Repeat("x", size)))
		require.NoError(t, err)
		bomb, err := codec.Compress(nil, message)
		require.NoError(t, err)
		require.Less(t, len(bomb), 200<<10)
		base := serve(t)
		post := func(procedure string, header map[string]string, body []byte) string {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+procedure, bytes.NewReader(body))
			require.NoError(t, err)
			for key, value := range header {
				request.Header.Set(key, value)
			}
			response, err := http.DefaultClient.Do(request)
			require.NoError(t, err)
			defer func() { _ = response.Body.Close() }()
			answer, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			return string(answer) + response.Header.Get("Grpc-Message") + response.Trailer.Get("Grpc-Message")
		}
		// A bomb that is small on the wire too: the limit is that of the wire as well.
		small := bomb
		if len(small) > unary.MaxMessageBytes {
			message = message[:8<<20]
			small, err = codec.Compress(nil, message)
			require.NoError(t, err)
		}
		enveloped := append([]byte{1, 0, byte(len(small) >> 16), byte(len(small) >> 8), byte(len(small))}, small...)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		answers := []string{
			post(unary.Procedure, map[string]string{"Content-Type": "application/proto", "Content-Encoding": name}, small),
			post(unary.Procedure, map[string]string{"Content-Type": "application/grpc", "Grpc-Encoding": name}, enveloped),
			post(down.Procedure, map[string]string{"Content-Type": "application/grpc", "Grpc-Encoding": name}, enveloped),
			post(up.Procedure, map[string]string{"Content-Type": "application/grpc-web", "Grpc-Encoding": name}, enveloped),
			post(both.Procedure, map[string]string{"Content-Type": "application/connect+proto", "Connect-Content-Encoding": name}, enveloped),
		}
		runtime.ReadMemStats(&after)
		for i, answer := range answers {
			require.Contains(t, strings.ReplaceAll(answer, "%20", " "), "at most 65536: split it", "%s, answer %d", name, i)
		}
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(len(answers))*(2<<20))
	}
}

func TestACorruptMessageIsInvalid(t *testing.T) {
	for _, name := range compress.Names() {
		codec, _ := compress.Get(name)
		whole, err := codec.Compress(nil, []byte(`"a longer text than others"`))
		require.NoError(t, err)
		for _, body := range [][]byte{whole[:len(whole)-3], []byte("no such thing"), {0}} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, serve(t)+unary.Procedure, bytes.NewReader(body))
			require.NoError(t, err)
			request.Header.Set("Content-Type", "application/json")
			request.Header.Set("Content-Encoding", name)
			response, err := http.DefaultClient.Do(request)
			require.NoError(t, err)
			answer, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.Equal(t, http.StatusBadRequest, response.StatusCode)
			require.Contains(t, string(answer), "not valid "+name)
		}
	}
}

func TestAnUnknownCompressionIsRefusedWithThoseThatAreKnown(t *testing.T) {
	client := connect.NewClient[text, text](http.DefaultClient, serve(t)+unary.Procedure, connect.WithSendCompression("rot13"), connect.WithAcceptCompression("rot13",
		func() connect.Decompressor { return &decompressorEnd{} }, func() connect.Compressor { return &rot13{} }))
	_, err := client.CallUnary(t.Context(), connect.NewRequest(wrapperspb.String("a")))
	require.Equal(t, connect.CodeUnimplemented, connect.CodeOf(err))
	require.Contains(t, err.Error(), "gzip,zstd")
}

type rot13 struct{ io.Writer }

func (r *rot13) Reset(w io.Writer) { r.Writer = w }
func (r *rot13) Close() error      { return nil }

// A message that is compressed to nothing is the empty message.
func TestACompressedMessageOfNoBytesIsEmpty(t *testing.T) {
	eachCompression(t, func(t *testing.T, _, base string, options []connect.ClientOption) {
		client := connect.NewClient[text, text](httprpc.NewHTTPClient(false), base+unary.Procedure, options...)
		response, err := client.CallUnary(context.Background(), connect.NewRequest(new(text)))
		require.False(t, errors.Is(err, io.EOF))
		require.NoError(t, err)
		require.Equal(t, "echo ", response.Msg.GetValue())
	})
}
