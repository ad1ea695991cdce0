package redis_test

import (
	"context"
	"strings"
	"testing"
	"time"

	client "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/backends/redis"
	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/internal/testenv"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/fault"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

// hostileNames are names of namespaces that an encoding may mistake for one another, for patterns, or for its own signs.
func hostileNames() []string {
	return []string{
		"", "a", "A", "a:", "a:queue", "a}", "{a}", "}a{", "{", "}", "*", "a*", "?", "[a]", "a.b", "a/b", "a b", "%", "%25", "a%3A", `"`, "'", `\`, "\x00", "a\x00", "\r\n", "日本語", "\xff",
	}
}

func TestQueuesOfNamespacesAreSeparateWhateverTheirNames(t *testing.T) {
	t.Parallel()
	store := open(t, &backendsv1.Redis{Address: testenv.Shared(t, testenv.Redis).Address(), Prefix: t.Name()})
	for _, name := range hostileNames() {
		put(t, namespace(t, store, name), "queue", "of "+name)
	}
	for _, name := range hostileNames() {
		require.Equal(t, "of "+name, string(takeNow(t, namespace(t, store, name), "queue").GetPayload()), "%q", name)
		require.Nil(t, takeNow(t, namespace(t, store, name), "queue"), "%q", name)
	}
}

// TestQueuesAreSharedByGateways works with one queue through two instances.
func TestQueuesAreSharedByGateways(t *testing.T) {
	t.Parallel()
	one, other := twoGateways(t)
	waiting := make(chan *queuev1.Message, 1)
	go func() {
		response, _ := other.QueueBasic.Dequeue(t.Context(), &queuev1.DequeueRequest{Queue: "woken", WaitTime: durationpb.New(30 * time.Second)})
		waiting <- response.GetMessage()
	}()
	put(t, one, "woken", "payload")
	require.Equal(t, "payload", string((<-waiting).GetPayload()))

	id := put(t, one, "queue", "leased")
	leased := lease(t, one, "queue")
	require.Equal(t, id, leased.GetMessage().GetMessageId())
	require.Nil(t, takeNow(t, other, "queue"))
	_, err := other.QueueVisibility.Release(t.Context(), &queuev1.ReleaseRequest{Queue: "queue", Receipt: leased.GetReceipt()})
	require.NoError(t, err, "a receipt is good on every gateway")
	_, err = one.QueueVisibility.Acknowledge(t.Context(), &queuev1.AcknowledgeRequest{Queue: "queue", Receipt: leased.GetReceipt()})
	require.Equal(t, fault.FailedPrecondition, fault.CodeOf(err))
	require.Equal(t, id, takeNow(t, one, "queue").GetMessageId())
}

// TestDeadLetterWakesACallThatWaits lets a lease end while a call waits for the dead letter queue, through another gateway, and nobody calls on the queue itself.
func TestDeadLetterWakesACallThatWaits(t *testing.T) {
	t.Parallel()
	one, other := twoGateways(t)
	_, err := one.QueueDeadLetter.ConfigureDeadLetter(t.Context(), &queuev1.ConfigureDeadLetterRequest{Queue: "queue", DeadLetterQueue: "dead", MaxReceives: 1})
	require.NoError(t, err)
	put(t, one, "queue", "payload")
	_, err = one.QueueVisibility.DequeueWithTimeout(t.Context(), &queuev1.DequeueWithTimeoutRequest{Queue: "queue", VisibilityTimeout: durationpb.New(200 * time.Millisecond)})
	require.NoError(t, err)
	response, err := other.QueueBasic.Dequeue(t.Context(), &queuev1.DequeueRequest{Queue: "dead", WaitTime: durationpb.New(30 * time.Second)})
	require.NoError(t, err)
	require.Equal(t, "queue", response.GetMessage().GetDeadLetter().GetSourceQueue())
}

// TestWhatIsTakenForACallThatHasEndedIsPutBack ends calls while the server, which is paused, has their scripts.
func TestWhatIsTakenForACallThatHasEndedIsPutBack(t *testing.T) {
	t.Parallel()
	server := testenv.Start(t, testenv.Redis)
	direct := dial(t, &client.Options{Addr: server.Address()})
	i := namespace(t, open(t, &backendsv1.Redis{Address: server.Address()}), "namespace")
	_, err := i.QueueDeadLetter.ConfigureDeadLetter(t.Context(), &queuev1.ConfigureDeadLetterRequest{Queue: "queue", DeadLetterQueue: "dead", MaxReceives: 1})
	require.NoError(t, err)
	put(t, i, "queue", "letter")
	_, err = i.QueueVisibility.Release(t.Context(), &queuev1.ReleaseRequest{Queue: "queue", Receipt: lease(t, i, "queue").GetReceipt(), Reason: "no use"})
	require.NoError(t, err)
	put(t, i, "dead", "behind it")

	for name, call := range map[string]func(ctx context.Context, i *prism.Interfaces) error{
		"Dequeue": func(ctx context.Context, i *prism.Interfaces) error {
			_, err := i.QueueBasic.Dequeue(ctx, &queuev1.DequeueRequest{Queue: "dead"})
			return err
		},
		"DequeueWithTimeout": func(ctx context.Context, i *prism.Interfaces) error {
			_, err := i.QueueVisibility.DequeueWithTimeout(ctx, &queuev1.DequeueWithTimeoutRequest{Queue: "dead"})
			return err
		},
	} {
		leaving, err := redis.Open(t.Context(), backend.Env{}, &backendsv1.Redis{Address: server.Address()})
		require.NoError(t, err)
		there := namespace(t, leaving, "namespace")
		endWhileHeld(t, direct, func(ctx context.Context) error { return call(ctx, there) })
		require.NoError(t, leaving.Close(t.Context())) // waits for what is under way
		response, err := i.QueueDeadLetter.GetDeadLetterQueue(t.Context(), &queuev1.GetDeadLetterQueueRequest{Queue: "queue"})
		require.NoError(t, err)
		require.EqualValues(t, 1, response.GetMessageCount(), name)
	}
	found := takeNow(t, i, "dead")
	require.Equal(t, "letter", string(found.GetPayload()))
	require.EqualValues(t, 1, found.GetReceiveCount(), "the others did not take it")
	require.Equal(t, "no use", found.GetDeadLetter().GetLastReleaseReason())
	require.EqualValues(t, 1, found.GetDeadLetter().GetReceiveCount())
	require.Equal(t, "behind it", string(takeNow(t, i, "dead").GetPayload()))
}

// TestWhatIsTakenIsPutBackThoughTheMemoryIsFull ends a Dequeue while the server, which is paused and takes nothing new, has its script.
func TestWhatIsTakenIsPutBackThoughTheMemoryIsFull(t *testing.T) {
	t.Parallel()
	server := testenv.Start(t, testenv.Redis)
	direct := dial(t, &client.Options{Addr: server.Address()})
	leaving, err := redis.Open(t.Context(), backend.Env{}, &backendsv1.Redis{Address: server.Address()})
	require.NoError(t, err)
	there := namespace(t, leaving, "namespace")
	put(t, there, "queue", "payload")
	require.NoError(t, direct.ConfigSet(t.Context(), "maxmemory", "1").Err())
	endWhileHeld(t, direct, func(ctx context.Context) error {
		_, err := there.QueueBasic.Dequeue(ctx, &queuev1.DequeueRequest{Queue: "queue"})
		return err
	})
	require.NoError(t, leaving.Close(t.Context())) // waits for what is under way
	i := namespace(t, open(t, &backendsv1.Redis{Address: server.Address()}), "namespace")
	require.Equal(t, "payload", string(takeNow(t, i, "queue").GetPayload()))
}

// endWhileHeld ends a call's context when the server, which does nothing that may write meanwhile, has got its command.
func endWhileHeld(t *testing.T, direct *client.Client, call func(ctx context.Context) error) {
	t.Helper()
	require.NoError(t, direct.Do(t.Context(), "client", "pause", time.Minute.Milliseconds(), "write").Err())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- call(ctx) }()
	require.Eventually(t, func() bool { return strings.Contains(direct.Info(t.Context(), "clients").Val(), "blocked_clients:1") }, waiting, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.NoError(t, direct.ClientUnpause(t.Context()).Err())
}

// twoGateways returns one namespace through two instances.
func twoGateways(t *testing.T) (one, other *prism.Interfaces) {
	t.Helper()
	config := &backendsv1.Redis{Address: testenv.Shared(t, testenv.Redis).Address(), Prefix: t.Name(), TopicRetention: durationpb.New(time.Hour)}
	return namespace(t, open(t, config), "namespace"), namespace(t, open(t, config), "namespace")
}

func put(t *testing.T, i *prism.Interfaces, queue, payload string) string {
	t.Helper()
	response, err := i.QueueBasic.Enqueue(t.Context(), &queuev1.EnqueueRequest{Queue: queue, Payload: []byte(payload)})
	require.NoError(t, err)
	return response.GetMessageId()
}

func takeNow(t *testing.T, i *prism.Interfaces, queue string) *queuev1.Message {
	t.Helper()
	response, err := i.QueueBasic.Dequeue(t.Context(), &queuev1.DequeueRequest{Queue: queue})
	require.NoError(t, err)
	return response.GetMessage()
}

func lease(t *testing.T, i *prism.Interfaces, queue string) *queuev1.DequeueWithTimeoutResponse {
	t.Helper()
	response, err := i.QueueVisibility.DequeueWithTimeout(t.Context(), &queuev1.DequeueWithTimeoutRequest{Queue: queue})
	require.NoError(t, err)
	require.True(t, response.GetFound())
	return response
}
