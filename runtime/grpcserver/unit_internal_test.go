package grpcserver

import (
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/prismgate/prism/runtime/fault"
)

func TestTimeouts(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"1H": time.Hour, "2M": 2 * time.Minute, "3S": 3 * time.Second, "4m": 4 * time.Millisecond, "5u": 5 * time.Microsecond, "6n": 6, "0n": 0, "00000001S": time.Second,
		"99999999n": 99_999_999, "99999999u": 99_999_999 * time.Microsecond, "99999999m": 99_999_999 * time.Millisecond, "99999999S": 99_999_999 * time.Second,
		"99999999M": longest, "99999999H": longest, "876000H": longest, "875999H": 875_999 * time.Hour, "876001H": longest,
	} {
		got, ok := parseTimeout(text)
		require.True(t, ok, text)
		require.Equal(t, want, got, text)
		require.True(t, time.Now().Add(got).After(time.Now().Add(-time.Second)), "%s overflows", text)
	}
	for _, text := range []string{"", "1", "S", "1s", "1h", "-1S", "+1S", "1.5S", "123456789S", "1SS", " 1S", "1S ", "0x1S", "\u0661S", "1 S", "1\xff"} {
		_, ok := parseTimeout(text)
		require.False(t, ok, "%q", text)
	}
}

func TestMessagesArePercentEncoded(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "plain": "plain", "100%": "100%25", "a b": "a b", " edge ": "%20edge%20", " ": "%20", "line\nbreak\r": "line%0Abreak%0D", "\u00fc": "%C3%BC", "\xff": "%FF", "~\x7f": "~%7F",
	} {
		require.Equal(t, want, percentEncode(text))
		decoded, err := url.PathUnescape(percentEncode(text))
		require.NoError(t, err)
		require.Equal(t, text, decoded)
	}
}

func decodeBlock(t *testing.T, block []byte) map[string][]string {
	t.Helper()
	decoded, err := hpack.NewDecoder(0, nil).DecodeFull(block)
	require.NoError(t, err)
	all := map[string][]string{}
	for _, f := range decoded {
		all[f.Name] = append(all[f.Name], f.Value)
	}
	return all
}

func TestHandlersCannotSetTheProtocolsFields(t *testing.T) {
	var f fields
	for _, name := range []string{"grpc-status", "Grpc-Message", "grpc-status-details-bin", "grpc-encoding", ":status", "content-type", "te", "connection", "Keep-Alive", "proxy-connection", "upgrade", "transfer-encoding", "x bad", "x-\u00fc", ""} {
		f.add(name, "0")
	}
	f.add("X-Line", "a\r\ngrpc-status: 0")
	f.add("x-space", " a")
	f.add("X-Good", "1")
	f.add("x-good", "2")
	f.set("x-once", "1")
	f.set("X-Once", "2")
	require.Equal(t, map[string][]string{"x-good": {"1", "2"}, "x-once": {"2"}}, decodeBlock(t, f.appendTo(nil)))
}

func TestTrailersOfAnError(t *testing.T) {
	got := decodeBlock(t, new(failures).appendTrailers(nil, fault.New(fault.NotFound, "\xff no").WithReason("GONE"), fields{{"x-more", "1"}}))
	require.Equal(t, []string{"5"}, got["grpc-status"])
	require.Equal(t, []string{"%FF no"}, got["grpc-message"])
	require.Equal(t, []string{"1"}, got["x-more"])
	s := new(status.Status)
	require.NoError(t, proto.Unmarshal(encodeDetails(fault.New(fault.NotFound, "\xff no").WithReason("GONE")), s), "invalid UTF-8 is no reason to give no details")
	require.Equal(t, int32(5), s.Code)
	require.Len(t, s.Details, 1)
	require.Nil(t, encodeDetails(fault.New(fault.NotFound, "no")))
	require.Equal(t, map[string][]string{"grpc-status": {"0"}}, decodeBlock(t, new(failures).appendTrailers(nil, nil, nil)))
}

func TestContentTypes(t *testing.T) {
	for _, value := range []string{"application/grpc", "application/grpc+proto", "application/grpc+anything", "application/grpc;a=b"} {
		require.True(t, isGRPC(value), value)
	}
	for _, value := range []string{"", "application/grpcx", "application/grpc-web", "application/grp", "application/grpc ", "Application/grpc", "text/html"} {
		require.False(t, isGRPC(value), value)
	}
	require.NotNil(t, encodingOf("application/grpc+json; charset=utf-8"))
	require.Nil(t, encodingOf("application/grpc+thrift"))
	require.Nil(t, encodingOf("application/grpc+"))
}

func TestErrorsOfDecodingDoNotRepeatThePayload(t *testing.T) {
	for _, body := range []string{"", `{"secret`, `"secret secret"`, `{"value": 5}`, strings.Repeat("[", 100_000)} {
		err := encodingOf("application/grpc+json").decode([]byte(body), new(wrapperspb.Int64Value))
		require.Error(t, err)
		require.Equal(t, fault.InvalidArgument, fault.CodeOf(err))
		require.NotContains(t, fault.Public(err).Message, "secret")
	}
}

func TestAnErrorThatComesAgainIsToldTheSame(t *testing.T) {
	f := new(failures)
	one := fault.New(fault.ResourceExhausted, "no more").WithReason("LIMIT").WithRetry(time.Second)
	other := fault.New(fault.NotFound, "none")
	want := decodeBlock(t, appendFault(nil, one))
	for i := range 4 {
		more := fields{{"x-request-id", strconv.Itoa(i)}}
		got := decodeBlock(t, f.appendTrailers(nil, one, more))
		require.Equal(t, []string{strconv.Itoa(i)}, got["x-request-id"])
		delete(got, "x-request-id")
		require.Equal(t, want, got)
		require.Equal(t, map[string][]string{"grpc-status": {"5"}, "grpc-message": {"none"}}, decodeBlock(t, f.appendTrailers(nil, other, nil)))
	}
	_ = f.appendTrailers(nil, one, nil)
	_ = f.appendTrailers(nil, one, nil)
	require.Same(t, one, f.kept.Load().fault)
	block := make([]byte, 0, 1024)
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { _ = f.appendTrailers(block, one, nil) }), 1.0, "that of errors.As")
}
