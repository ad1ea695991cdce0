package nats_test

import (
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
	"github.com/prismgate/prism/internal/testenv"
)

// TestWhatWasFetchedAndNotSentDoesNotCountAsSent has a stream end while it sends a message for the first time: the next delivery is not told as the second.
func TestWhatWasFetchedAndNotSentDoesNotCountAsSent(t *testing.T) {
	t.Parallel()
	i := namespace(t, open(t, at(testenv.Shared(t, testenv.NATS))), "name")
	keep(t, i, "sent", "not sent")
	for range 3 {
		err := i.PubSubPersistent.SubscribeDurable(t.Context(), durableRequest(nil), func(response *pubsubv1.SubscribeDurableResponse) error {
			if string(response.GetMessage().GetMessage().GetPayload()) == "not sent" {
				return io.ErrClosedPipe
			}
			return nil
		})
		require.ErrorIs(t, err, io.ErrClosedPipe)
	}
	counts := map[string]uint32{}
	var receipts []string
	r := read(t, func(ctx context.Context, send func(*pubsubv1.SubscribeDurableResponse) error) error {
		return i.PubSubPersistent.SubscribeDurable(ctx, durableRequest(nil), send)
	})
	require.NotNil(t, r.next(t).GetSubscribed())
	for range 2 {
		message := r.next(t).GetMessage()
		counts[string(message.GetMessage().GetPayload())] = message.GetDeliveryCount()
		receipts = append(receipts, message.GetReceipt())
	}
	require.Equal(t, map[string]uint32{"sent": 4, "not sent": 1}, counts)
	acknowledge(t, i, receipts...)
}

// A stream that says nothing of it has a thousand consumers.
func TestDurableSubscriptionsMayBeMoreThanAThousand(t *testing.T) {
	t.Parallel()
	i := namespace(t, open(t, at(testenv.Start(t, testenv.NATS))), "name")
	for n := range 1010 {
		err := i.PubSubPersistent.SubscribeDurable(t.Context(), durableRequest(func(request *pubsubv1.SubscribeDurableRequest) { request.Subscription = fmt.Sprint("s", n) }),
			func(*pubsubv1.SubscribeDurableResponse) error { return io.EOF })
		require.ErrorIs(t, err, io.EOF, "subscription %d", n)
	}
}
