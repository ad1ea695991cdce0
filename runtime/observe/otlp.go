package observe

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

const (
	// maxAnswer bounds what is read of a collector's answer, and maxRetryAfter how long one can make us wait.
	maxAnswer     = 64 << 10
	maxRetryAfter = 30 * time.Second
)

// collector speaks OTLP over HTTP, in protobuf. OpenTelemetry's own client takes settings from the environment, follows redirects with the headers, and tells a global
// of the spans that a collector has refused; it also links grpc-gateway.
type collector struct {
	target target
	client *http.Client
}

var _ otlptrace.Client = (*collector)(nil)

func newCollector(to target) *collector {
	return &collector{target: to, client: &http.Client{
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			ForceAttemptHTTP2:   true,
			MaxIdleConnsPerHost: 1,
			IdleConnTimeout:     time.Minute,
			TLSHandshakeTimeout: sendTimeout,
		},
		// A redirect would carry the headers, and so the collector's key, to somebody else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// refusedError is what a collector does not take.
type refusedError struct {
	text string
	// again tells that another attempt may help, and after how long the collector wants it.
	again bool
	after time.Duration
	// spans is how many were refused when the others were taken; 0 when all were refused.
	spans int
}

// Error says what the collector answered.
func (e *refusedError) Error() string { return e.text }

// Start is part of [otlptrace.Client]; a connection is made when there is something to send.
func (c *collector) Start(context.Context) error { return nil }

// Stop is part of [otlptrace.Client]; the exporter closes what is idle.
func (c *collector) Stop(context.Context) error { return nil }

// UploadTraces sends spans once.
func (c *collector) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	// On the wire it is an ExportTraceServiceRequest, whose package links grpc-gateway.
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.target.endpoint, bytes.NewReader(body))
	if err != nil {
		return err
	}
	for name, value := range c.target.header {
		request.Header.Set(name, value)
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	response, err := c.client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // it was read
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return err
	}
	return judge(response, answer)
}

// judge makes an error of an answer that says that spans were refused.
func judge(response *http.Response, answer []byte) error {
	switch response.StatusCode {
	case http.StatusOK:
		if n := rejected(answer); n > 0 {
			return &refusedError{text: fmt.Sprintf("the collector refused %d spans of a batch", n), spans: n}
		}
		return nil
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		seconds, _ := strconv.ParseUint(response.Header.Get("Retry-After"), 10, 16)
		return &refusedError{text: "the collector answered " + response.Status, again: true, after: min(time.Duration(seconds)*time.Second, maxRetryAfter)}
	case http.StatusUnauthorized, http.StatusForbidden:
		return &refusedError{text: "the collector answered " + response.Status + "; see observability.tracing.headers"}
	default:
		return &refusedError{text: "the collector answered " + response.Status + "; see observability.tracing.endpoint"}
	}
}

// rejected is how many spans an answer says were refused: partial_success.rejected_spans of an ExportTraceServiceResponse.
func rejected(answer []byte) int {
	const partialSuccess, rejectedSpans = 1, 1
	inner, _ := field(answer, partialSuccess, protowire.BytesType)
	_, n := field(inner, rejectedSpans, protowire.VarintType)
	return int(min(n, maxBatch))
}

// field is the last field of a number and a type, which is bytes or a number.
func field(message []byte, number protowire.Number, kind protowire.Type) (data []byte, value uint64) {
	for len(message) > 0 {
		n, k, size := protowire.ConsumeTag(message)
		if size < 0 {
			return nil, 0
		}
		content := message[size:]
		length := protowire.ConsumeFieldValue(n, k, content)
		if length < 0 {
			return nil, 0
		}
		if n == number && k == kind {
			if kind == protowire.BytesType {
				data, _ = protowire.ConsumeBytes(content)
			} else {
				value, _ = protowire.ConsumeVarint(content)
			}
		}
		message = content[length:]
	}
	return data, value
}
