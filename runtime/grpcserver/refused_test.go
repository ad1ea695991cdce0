package grpcserver_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/internal/testpeer"
	"github.com/prismgate/prism/runtime/h2"
)

func TestRequestsThatAreNoCallsAreCounted(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	p := f.connect(t)
	id := uint32(1)
	for _, c := range []struct {
		name   string
		fields []string
		want   string
	}{
		{"GET", testpeer.With(testpeer.GRPC("/"+service+"/Unary"), ":method", "GET"), "grpc http_method"},
		{"an unknown encoding", testpeer.With(testpeer.GRPC("/"+service+"/Unary"), "content-type", "application/grpc+thrift"), "grpc content_type"},
		{"an unknown method", testpeer.GRPC("/" + service + "/Nothing"), "grpc unknown_procedure"},
		{"a timeout of nonsense", testpeer.GRPC("/"+service+"/Unary", "grpc-timeout", "soon"), "grpc malformed"},
	} {
		one(t, p, id, c.fields, message(t, []byte("a")))
		require.Equal(t, c.want, <-f.refused, c.name)
		id += 2
	}
	// What is a call is the pipeline's to count, however it ends.
	one(t, p, id, testpeer.GRPC("/"+service+"/Unary", "x-do", "fail"), message(t, []byte("a")))
	one(t, p, id+2, testpeer.GRPC("/"+service+"/Unary"), message(t, []byte("a"))[:3])
	one(t, p, id+4, testpeer.With(testpeer.GRPC("/"+service+"/Unary"), "content-type", "application/json"), nil)
	require.Empty(t, f.refused)
}
