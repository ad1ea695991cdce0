package observe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

const (
	// maxQueued is how many spans wait for a collector, some kilobytes each; more are dropped. maxBatch is how many are sent at once: both are OpenTelemetry's defaults.
	maxQueued = 2048
	maxBatch  = 512
	// sendInterval is how long a span waits for others.
	sendInterval = time.Second
	// sendTimeout bounds one attempt, and maxAttempts what is tried with one batch: later ones are worth more.
	sendTimeout = 10 * time.Second
	maxAttempts = 5
	// warnInterval is how often the log hears of a collector that takes no spans.
	warnInterval = time.Minute
)

// exporter sends spans that have ended to a collector, in the background. A collector that is away or slow costs calls nothing: the queue is bounded, and what has no
// room is dropped and counted. It stands in the place of OpenTelemetry's batch processor, which does not tell what it drops and reports to a global.
type exporter struct {
	collector *collector
	convert   *otlptrace.Exporter // to OTLP, and to the collector with it
	dropped   prometheus.Counter
	log       *slog.Logger

	mu     sync.Mutex
	spans  []sdktrace.ReadOnlySpan
	closed bool

	// some tells that there are spans, many that there is a batch of them.
	some, many chan struct{}
	closing    chan struct{}
	done       chan struct{}
	abort      context.CancelFunc

	// warned is when the log was last told.
	warned time.Time
}

var _ sdktrace.SpanProcessor = (*exporter)(nil)

func newExporter(c *collector, dropped prometheus.Counter, log *slog.Logger) *exporter {
	return &exporter{
		collector: c, convert: otlptrace.NewUnstarted(c), dropped: dropped, log: log,
		some: make(chan struct{}, 1), many: make(chan struct{}, 1), closing: make(chan struct{}), done: make(chan struct{}),
	}
}

// start begins to send.
func (e *exporter) start(ctx context.Context) {
	ctx, e.abort = context.WithCancel(ctx)
	go e.run(ctx)
}

// OnStart is part of [sdktrace.SpanProcessor].
func (e *exporter) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd takes a span.
func (e *exporter) OnEnd(span sdktrace.ReadOnlySpan) {
	e.mu.Lock()
	waiting := len(e.spans)
	if e.closed || waiting == maxQueued {
		e.mu.Unlock()
		e.dropped.Inc()
		return
	}
	e.spans = append(e.spans, span)
	e.mu.Unlock()
	switch waiting + 1 {
	case 1:
		signal(e.some)
	case maxBatch:
		signal(e.many)
	}
}

// Shutdown is part of [sdktrace.SpanProcessor].
func (e *exporter) Shutdown(ctx context.Context) error { return e.close(ctx) }

// ForceFlush is part of [sdktrace.SpanProcessor].
func (e *exporter) ForceFlush(context.Context) error { return nil }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run sends what there is, until it is closed.
func (e *exporter) run(ctx context.Context) {
	defer close(e.done)
	defer e.collector.client.CloseIdleConnections()
	for {
		select {
		case <-e.some:
			wait := time.NewTimer(sendInterval)
			select {
			case <-wait.C:
			case <-e.many:
			case <-e.closing:
			}
			wait.Stop()
			e.sendAll(ctx)
		case <-e.closing:
			e.sendAll(ctx)
			return
		}
	}
}

// sendAll sends until nothing waits.
func (e *exporter) sendAll(ctx context.Context) {
	for {
		e.mu.Lock()
		n := min(len(e.spans), maxBatch)
		batch := e.spans[:n:n]
		e.spans = e.spans[n:]
		if len(e.spans) == 0 {
			e.spans = nil
		}
		e.mu.Unlock()
		if n == 0 {
			return
		}
		e.send(ctx, batch)
	}
}

// send sends a batch, more than once when that may help.
func (e *exporter) send(ctx context.Context, batch []sdktrace.ReadOnlySpan) {
	pause := time.Second
	for attempt := 1; ; attempt++ {
		err := e.attempt(ctx, batch)
		if err == nil {
			return
		}
		e.warn(ctx, err)
		lost, again := len(batch), true
		var refused *refusedError
		if errors.As(err, &refused) {
			pause, again = max(pause, refused.after), refused.again
			if refused.spans > 0 {
				lost = min(refused.spans, lost)
			}
		}
		if !again || attempt == maxAttempts || !e.pause(pause) {
			e.dropped.Add(float64(lost))
			return
		}
		pause *= 2
	}
}

func (e *exporter) attempt(ctx context.Context, batch []sdktrace.ReadOnlySpan) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	return e.convert.ExportSpans(ctx, batch)
}

// warn tells of a collector that does not take spans, now and then.
func (e *exporter) warn(ctx context.Context, err error) {
	if now := time.Now(); e.warned.IsZero() || now.Sub(e.warned) >= warnInterval {
		e.warned = now
		e.log.LogAttrs(ctx, slog.LevelWarn, "the collector does not take spans; prism_traces_dropped_total counts those that are lost", slog.String("error", err.Error()))
	}
}

// pause waits, and tells whether it is worth another attempt: not when it is time to close.
func (e *exporter) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-e.closing:
		return false
	}
}

// close sends what waits, for as long as the context allows, and ends an exporter that was started. Spans that end later are dropped.
func (e *exporter) close(ctx context.Context) error {
	e.mu.Lock()
	if !e.closed {
		e.closed = true
		close(e.closing)
	}
	e.mu.Unlock()
	select {
	case <-e.done:
		return nil
	case <-ctx.Done():
	}
	e.abort()
	<-e.done
	return fmt.Errorf("the last spans were not sent: %w", ctx.Err())
}
