package observe

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// network is a collector without a network: each test's clock is its own.
type network struct {
	t  *testing.T
	mu sync.Mutex
	// at is when requests came, sizes how many spans they had.
	at    []time.Duration
	sizes []int
	begin time.Time
	// answer answers the nth request.
	answer func(n int, r *http.Request) (*http.Response, error)
}

func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	require.NoError(n.t, err)
	var data tracepb.TracesData
	require.NoError(n.t, proto.Unmarshal(body, &data))
	spans := 0
	for _, resource := range data.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			spans += len(scope.GetSpans())
		}
	}
	n.mu.Lock()
	n.at, n.sizes = append(n.at, time.Since(n.begin)), append(n.sizes, spans)
	count := len(n.at)
	n.mu.Unlock()
	return n.answer(count, r)
}

func (n *network) seen() (at []time.Duration, sizes []int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append(at, n.at...), append(sizes, n.sizes...)
}

func answer(status int, header ...string) (*http.Response, error) {
	response := &http.Response{StatusCode: status, Status: http.StatusText(status), Header: http.Header{}, Body: http.NoBody}
	for i := 0; i < len(header); i += 2 {
		response.Header.Set(header[i], header[i+1])
	}
	return response, nil
}

// sender is an exporter with its network, which has been started.
type sender struct {
	*exporter
	*network
	log    *strings.Builder
	tracer func(n int)
}

func newSender(t *testing.T, respond func(n int, r *http.Request) (*http.Response, error)) *sender {
	s := &sender{network: &network{t: t, begin: time.Now(), answer: respond}, log: new(strings.Builder)}
	c := newCollector(target{endpoint: "http://collector.test/v1/traces"})
	c.client.Transport = s.network
	s.exporter = newExporter(c, prometheus.NewCounter(prometheus.CounterOpts{Name: "dropped"}), slog.New(slog.NewTextHandler(s.log, nil)))
	s.start(t.Context())
	tracer := newTracer(s.exporter, "prism", "")
	s.tracer = func(n int) {
		for range n {
			_, span := tracer.Start(t.Context(), "call")
			span.End()
		}
	}
	return s
}

func (s *sender) lost(t *testing.T) int {
	var m dto.Metric
	require.NoError(t, s.dropped.Write(&m))
	return int(m.GetCounter().GetValue())
}

func TestSpansWaitForOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSender(t, func(int, *http.Request) (*http.Response, error) { return answer(http.StatusOK) })
		s.tracer(3)
		synctest.Wait()
		at, _ := s.seen()
		require.Empty(t, at)
		time.Sleep(sendInterval)
		synctest.Wait()
		at, sizes := s.seen()
		require.Equal(t, []time.Duration{sendInterval}, at)
		require.Equal(t, []int{3}, sizes)

		s.tracer(maxBatch) // a whole batch does not wait
		synctest.Wait()
		_, sizes = s.seen()
		require.Equal(t, []int{3, maxBatch}, sizes)
		require.NoError(t, s.close(t.Context()))
		require.Zero(t, s.lost(t))
	})
}

func TestACollectorThatIsBusyIsAskedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSender(t, func(n int, _ *http.Request) (*http.Response, error) {
			switch n {
			case 1:
				return nil, errors.New("connection refused")
			case 2:
				return answer(http.StatusTooManyRequests, "Retry-After", "7")
			case 3:
				return answer(http.StatusServiceUnavailable, "Retry-After", "100000")
			}
			return answer(http.StatusOK)
		})
		s.tracer(1)
		time.Sleep(time.Hour)
		synctest.Wait()
		at, _ := s.seen()
		// A second of waiting for others; then pauses of 1 s, 7 s as the collector wishes, and 30 s, as long as it may wish.
		require.Equal(t, []time.Duration{1 * time.Second, 2 * time.Second, 9 * time.Second, 39 * time.Second}, at)
		require.Zero(t, s.lost(t))
		require.NoError(t, s.close(t.Context()))
	})
}

func TestACollectorThatIsAwayLosesSpansAndIsToldOfOnceAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSender(t, func(int, *http.Request) (*http.Response, error) { return nil, errors.New("connection refused") })
		for range 600 {
			s.tracer(1)
			time.Sleep(time.Second)
		}
		require.NoError(t, s.close(t.Context()))
		require.Equal(t, 600, s.lost(t), "every span is accounted for")
		warnings := strings.Count(s.log.String(), "the collector does not take spans")
		require.GreaterOrEqual(t, warnings, 8)
		require.LessOrEqual(t, warnings, 11)
		require.Contains(t, s.log.String(), "connection refused")
	})
}

func TestACollectorThatHangsHoldsABoundedQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSender(t, func(_ int, r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		s.tracer(maxBatch)
		synctest.Wait() // the first batch is on its way
		begin := time.Now()
		s.tracer(maxQueued + 1000)
		require.Equal(t, begin, time.Now(), "nobody waited")
		require.Equal(t, 1000, s.lost(t))

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, s.close(ctx), context.DeadlineExceeded)
		require.Equal(t, begin.Add(time.Second), time.Now())
		require.Equal(t, maxBatch+maxQueued+1000, s.lost(t), "every span is accounted for")
		require.NoError(t, s.close(t.Context()), "it is closed")
	})
}

func TestACloseSendsWhatWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSender(t, func(int, *http.Request) (*http.Response, error) { return answer(http.StatusOK) })
		s.tracer(maxBatch - 1)
		begin := time.Now()
		require.NoError(t, s.close(t.Context()))
		require.Equal(t, begin, time.Now())
		_, sizes := s.seen()
		require.Equal(t, []int{maxBatch - 1}, sizes)
		s.tracer(1)
		require.Equal(t, 1, s.lost(t), "what ends later is dropped")
	})
}

func TestACloseDoesNotWaitForACollectorThatIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSender(t, func(int, *http.Request) (*http.Response, error) { return nil, errors.New("connection refused") })
		s.tracer(2*maxBatch + 1)
		synctest.Wait() // it pauses before the second attempt
		begin := time.Now()
		require.NoError(t, s.close(t.Context()))
		require.Equal(t, begin, time.Now())
		require.Equal(t, 2*maxBatch+1, s.lost(t))
	})
}

var _ sdktrace.SpanProcessor = (*exporter)(nil)
