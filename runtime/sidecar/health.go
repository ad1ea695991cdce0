package sidecar

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	providerv1 "github.com/prismgate/prism/gen/go/prism/provider/v1"
	"github.com/prismgate/prism/gen/go/prism/provider/v1/providerrpc"
	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/httprpc"
)

// questions is how many questions about its health a sidecar may leave unanswered, one after another.
const questions = 4

// reachable tells that somebody listens on a socket.
func reachable(ctx context.Context, socket string) bool {
	connection, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return false
	}
	_ = connection.Close()
	return true
}

// watch asks a sidecar how it is until the context ends, and then returns nil. The error says that it does not answer: a process that is stopped, or that is stuck, does
// not end by itself.
func (s *Sidecar) watch(ctx context.Context) error {
	transport := httprpc.NewTransport(false)
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", s.socket())
	}
	defer transport.CloseIdleConnections()
	conn, err := httprpc.NewConn(&http.Client{Transport: transport}, "http://localhost", httprpc.GRPC)
	if err != nil {
		return err
	}
	client := providerrpc.NewPatternProviderClient(conn)
	pause := s.o.Silence / questions
	ticker := time.NewTicker(pause) // a question that is not answered takes all the time until the next
	defer ticker.Stop()
	unanswered := 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		err := ask(ctx, client, pause)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			unanswered = 0
		default:
			if unanswered++; unanswered == questions {
				return fmt.Errorf("it did not answer for %s and was killed: %w", s.o.Silence, err)
			}
			transport.CloseIdleConnections()
		}
	}
}

// ask asks one question. Any answer will do: that the provider's storage is not there is for the calls to tell.
func ask(ctx context.Context, client providerrpc.PatternProvider, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	_, err := client.HealthCheck(ctx, new(providerv1.HealthCheckRequest))
	if code := fault.CodeOf(err); code != fault.Unavailable && code != fault.DeadlineExceeded {
		return nil
	}
	return err
}
