package observe_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collectorServer is a collector of OTLP over HTTP, which keeps what it gets.
type collectorServer struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*http.Request
	bodies   [][]byte
	// status is what it answers, and answer with what; 0 is 200.
	status int
	answer []byte
	header map[string]string
}

func newCollectorServer(t *testing.T) *collectorServer {
	c := &collectorServer{}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *collectorServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests, c.bodies = append(c.requests, r), append(c.bodies, body)
	for name, value := range c.header {
		w.Header().Set(name, value)
	}
	if c.status != 0 {
		w.WriteHeader(c.status)
	}
	_, _ = w.Write(c.answer)
}

// received returns the requests that came.
func (c *collectorServer) received() []*http.Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.requests)
}

// exported is one span with what it came with.
type exported struct {
	*tracepb.Span
	resource, scope string
}

// spans decodes all that came. An ExportTraceServiceRequest and a TracesData have the same fields; only the package of the first links grpc-gateway.
func (c *collectorServer) spans(t *testing.T) []exported {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []exported
	for _, body := range c.bodies {
		var data tracepb.TracesData
		require.NoError(t, proto.Unmarshal(body, &data))
		for _, resource := range data.GetResourceSpans() {
			for _, scope := range resource.GetScopeSpans() {
				for _, span := range scope.GetSpans() {
					all = append(all, exported{span, attributes(resource.GetResource().GetAttributes()), scope.GetScope().GetName()})
				}
			}
		}
	}
	return all
}

// await waits for so many spans.
func (c *collectorServer) await(t *testing.T, n int) []exported {
	t.Helper()
	require.Eventually(t, func() bool { return len(c.spans(t)) >= n }, 30*time.Second, 5*time.Millisecond, "%d spans", n)
	return c.spans(t)
}

// attributes are name=value, sorted, on one line.
func attributes(pairs []*commonpb.KeyValue) string {
	var all []string
	for _, pair := range pairs {
		value := pair.GetValue().GetStringValue()
		if _, ok := pair.GetValue().GetValue().(*commonpb.AnyValue_IntValue); ok {
			value = fmt.Sprint(pair.GetValue().GetIntValue())
		}
		all = append(all, pair.GetKey()+"="+value)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}
