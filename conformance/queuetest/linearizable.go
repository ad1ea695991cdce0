package queuetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/conformance/expect"
	"github.com/prismgate/prism/runtime/fault"

	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

// kind is an operation on a queue.
type kind string

const (
	kindEnqueue     kind = "Enqueue"
	kindDequeue     kind = "Dequeue"
	kindPeek        kind = "Peek"
	kindLease       kind = "DequeueWithTimeout"
	kindExtend      kind = "ExtendVisibility"
	kindRelease     kind = "Release"
	kindAcknowledge kind = "Acknowledge"
)

// operation is an operation on a queue and its argument: the message to enqueue, or the lease that a receipt stands for.
type operation struct {
	kind kind
	on   string
}

// queueModel is the sequential model of one queue, for queue_basic and queue_visibility. The state is the messages in their order, each as its payload and how
// often it was taken, "a.0"; one that is leased ends with an asterisk. A lease is named by its message and the count: "a.1". An output is the message taken or
// shown, or whether a receipt was good.
func queueModel() porcupine.Model {
	first := func(messages []string) int {
		return slices.IndexFunc(messages, func(message string) bool { return !strings.HasSuffix(message, "*") })
	}
	take := func(message string) string {
		payload, count, _ := strings.Cut(message, ".")
		var receives int
		_, _ = fmt.Sscan(count, &receives)
		return fmt.Sprintf("%s.%d", payload, receives+1)
	}
	return porcupine.Model{
		Init: func() any { return "" },
		Step: func(state, input, output any) (bool, any) {
			messages, in, out := strings.Fields(state.(string)), input.(operation), output.(string)
			at, lease := first(messages), slices.Index(messages, in.on+"*")
			want := ""
			switch {
			case in.kind == kindEnqueue:
				messages = append(messages, in.on+".0")
			case in.kind == kindPeek && at >= 0:
				want = messages[at]
			case in.kind == kindDequeue && at >= 0:
				want = take(messages[at])
				messages = slices.Delete(messages, at, at+1)
			case in.kind == kindLease && at >= 0:
				want = take(messages[at])
				messages[at] = want + "*"
			case in.kind == kindExtend && lease >= 0:
				want = "OK"
			case in.kind == kindRelease && lease >= 0:
				want, messages[lease] = "OK", in.on
			case in.kind == kindAcknowledge && lease >= 0:
				want = "OK"
				messages = slices.Delete(messages, lease, lease+1)
			}
			return out == want, strings.Join(messages, " ")
		},
		DescribeOperation: func(input, output any) string { return fmt.Sprintf("%v -> %q", input, output) },
	}
}

// recorder takes down what clients do, with the times between which each operation had its effect.
type recorder struct {
	start   time.Time
	mu      sync.Mutex
	history []porcupine.Operation
}

func (r *recorder) record(client int, in operation, run func() (string, error)) (string, error) {
	call := time.Since(r.start)
	out, err := run()
	end := time.Since(r.start)
	if err != nil {
		return "", err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history = append(r.history, porcupine.Operation{ClientId: client, Input: in, Call: int64(call), Output: out, Return: int64(end)})
	return out, nil
}

// recordQueue lets some clients work on a queue and returns what they saw. visibility may be nil.
func recordQueue(t *testing.T, basic queuev1.Basic, visibility queuev1.Visibility) []porcupine.Operation {
	t.Helper()
	const clients, operations = 4, 50
	recorder := &recorder{start: time.Now()}
	expect.Concurrently(t, clients, func(client int) error {
		random := rand.New(rand.NewPCG(uint64(client), 4))
		c := recordedClient{t: t, basic: basic, visibility: visibility, receipts: make(map[string]string)}
		for n := range operations {
			in := c.next(random, fmt.Sprint(client, "-", n))
			out, err := recorder.record(client, in, func() (string, error) { return c.do(in) })
			if err != nil {
				return fmt.Errorf("%v: %w", in, err)
			}
			if in.kind == kindLease && out != "" {
				c.leases = append(c.leases, out)
			}
		}
		return nil
	})
	return recorder.history
}

// recordedClient is one client of a history.
type recordedClient struct {
	t          *testing.T
	basic      queuev1.Basic
	visibility queuev1.Visibility
	leases     []string          // that it was given, those that have ended too
	receipts   map[string]string // by lease
}

// next draws an operation.
func (c *recordedClient) next(random *rand.Rand, payload string) operation {
	// More is taken than is enqueued: while a queue is long, nothing tells the order of what is behind, and all orders are to be tried.
	kinds := []kind{kindEnqueue, kindEnqueue, kindDequeue, kindDequeue, kindDequeue, kindPeek}
	if c.visibility != nil {
		kinds = []kind{kindEnqueue, kindEnqueue, kindEnqueue, kindPeek, kindDequeue, kindLease, kindLease, kindLease, kindRelease, kindRelease, kindAcknowledge, kindExtend}
	}
	in := operation{kind: kinds[random.IntN(len(kinds))]}
	switch in.kind {
	case kindEnqueue:
		in.on = payload
	case kindRelease, kindAcknowledge, kindExtend:
		if len(c.leases) == 0 {
			return operation{kind: kindLease}
		}
		in.on = c.leases[max(0, len(c.leases)-1-random.IntN(3))] // most often one that lasts
	default:
	}
	return in
}

// do makes the call and returns its output in the model's terms.
func (c *recordedClient) do(in operation) (string, error) {
	ctx := c.t.Context()
	name := func(message *queuev1.Message) string {
		if message == nil {
			return ""
		}
		return fmt.Sprintf("%s.%d", message.GetPayload(), message.GetReceiveCount())
	}
	var err error
	switch in.kind {
	case kindEnqueue:
		_, err = c.basic.Enqueue(ctx, &queuev1.EnqueueRequest{Queue: "queue", Payload: []byte(in.on)})
		return "", err
	case kindDequeue:
		response, err := c.basic.Dequeue(ctx, &queuev1.DequeueRequest{Queue: "queue"})
		return name(response.GetMessage()), err
	case kindPeek:
		response, err := c.basic.Peek(ctx, &queuev1.PeekRequest{Queue: "queue"})
		return name(response.GetMessage()), err
	case kindLease:
		response, err := c.visibility.DequeueWithTimeout(ctx, &queuev1.DequeueWithTimeoutRequest{Queue: "queue", VisibilityTimeout: durationpb.New(time.Hour)})
		lease := name(response.GetMessage())
		c.receipts[lease] = response.GetReceipt()
		return lease, err
	case kindExtend:
		_, err = c.visibility.ExtendVisibility(ctx, &queuev1.ExtendVisibilityRequest{Queue: "queue", Receipt: c.receipts[in.on], VisibilityTimeout: durationpb.New(time.Hour)})
	case kindRelease:
		_, err = c.visibility.Release(ctx, &queuev1.ReleaseRequest{Queue: "queue", Receipt: c.receipts[in.on]})
	case kindAcknowledge:
		_, err = c.visibility.Acknowledge(ctx, &queuev1.AcknowledgeRequest{Queue: "queue", Receipt: c.receipts[in.on]})
	}
	switch fault.CodeOf(err) {
	case fault.OK:
		return "OK", nil
	case fault.FailedPrecondition:
		return "", nil
	default:
		return "", err
	}
}
