package observe

import (
	"context"
	"iter"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

type testHeader http.Header

func (h testHeader) Get(name string) string         { return http.Header(h).Get(name) }
func (h testHeader) Values(name string) []string    { return http.Header(h).Values(name) }
func (h testHeader) All() iter.Seq2[string, string] { return func(func(string, string) bool) {} }

// FuzzTraceParent holds our reader of trace contexts to OpenTelemetry's.
func FuzzTraceParent(f *testing.F) {
	const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for _, parent := range []string{
		good, good[:54] + "0", good[:54] + "2", good[:54] + "3", good[:53] + "ff", good[:53] + "04", good[:54], good + "-", good + "-x", good + "x", "", "00",
		"ff" + good[2:], "fe" + good[2:], "01" + good[2:], "01" + good[2:] + "-x", "01" + good[2:] + "x", "cc" + good[2:53] + "ff", "0x" + good[2:],
		strings.ToUpper(good), strings.Replace(good, "-", "_", 1), "00-" + strings.Repeat("0", 32) + good[35:], good[:36] + strings.Repeat("0", 16) + good[52:],
		strings.Replace(good, "0af", "0zf", 1), strings.Replace(good, "b7ad", "b7aZ", 1),
	} {
		f.Add(parent, "")
		f.Add(parent, "a=1,b=2")
	}
	f.Add(good, "a=1,a=1")
	f.Add(good, "=")
	f.Add(good, strings.Repeat("k=v,", 40))
	f.Fuzz(func(t *testing.T, parent, state string) {
		header := http.Header{"Traceparent": {parent}, "Tracestate": {state}}
		want := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), propagation.HeaderCarrier(header)))
		got := callerOf(testHeader(header))
		if strings.HasPrefix(parent, "00-") && strings.HasSuffix(parent, "-") {
			require.False(t, got.IsValid(), "version 00 ends with its flags; OpenTelemetry lets a dash follow")
			return
		}
		require.Equal(t, want.IsValid(), got.IsValid())
		require.True(t, !want.IsValid() || want.Equal(got), "got %v, want %v", got, want)
	})
}
