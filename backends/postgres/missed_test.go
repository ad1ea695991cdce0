package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

// removeNewest does what retention does to the newest message of all.
const removeNewest = `with gone as (
	delete from pubsub_messages where position = (select max(position) from pubsub_messages) returning *
) insert into pubsub_removed select namespace, topic, ordered, position, published from gone
on conflict (namespace, topic, ordered) do update set position = excluded.position, published = excluded.published`

// TestMissedOfAStreamThatDiesIsToldAnother: its gateway is gone before the Missed is sent, which shows after the acknowledgement timeout.
func TestMissedOfAStreamThatDiesIsToldAnother(t *testing.T) {
	t.Parallel()
	name := schema()
	one, other := namespace(t, open(t, &backendsv1.Postgres{Schema: name}), "topics"), namespace(t, open(t, &backendsv1.Postgres{Schema: name}), "topics")
	ctx, stop := context.WithCancel(t.Context())
	_, _, end := durableStream(t, ctx, one, time.Second)
	stop()
	require.Error(t, receive(t, end))
	keep(t, one, "never sent")
	conn := shared(t, name)
	execute(t, conn, removeNewest)

	dying, dead := make(chan struct{}), make(chan struct{})
	defer close(dead)
	go func() {
		_ = one.PubSubPersistent.SubscribeDurable(t.Context(), &pubsubv1.SubscribeDurableRequest{Topic: "topic", Subscription: "name"}, func(r *pubsubv1.SubscribeDurableResponse) error {
			if r.GetMissed() != nil {
				close(dying)
				<-dead
			}
			return nil
		})
	}()
	receive(t, dying)
	_, responses, _ := durableStream(t, t.Context(), other, time.Second)
	require.NotNil(t, receive(t, responses).GetMissed())
	require.Eventually(t, func() bool {
		return number(t, conn, `select (select count(*) from pubsub_deliveries) + (select count(*) from pubsub_subscriptions where missed)`) == 0
	}, within, 10*time.Millisecond, "it is told once")
}

// TestMissedIsToldOfWhatIsRemovedDuringALook: retention removes messages while a stream looks for some.
func TestMissedIsToldOfWhatIsRemovedDuringALook(t *testing.T) {
	t.Parallel()
	name := schema()
	i := namespace(t, open(t, &backendsv1.Postgres{Schema: name, Timeout: durationpb.New(time.Minute)}), "topics")
	ctx, stop := context.WithCancel(t.Context())
	_, responses, end := durableStream(t, ctx, i, time.Hour)
	keep(t, i, "sent and not acknowledged")
	require.NotNil(t, receive(t, responses).GetMessage())
	stop()
	require.Error(t, receive(t, end))
	keep(t, i, "never sent")

	holder, watcher := shared(t, name), shared(t, name)
	execute(t, holder, `begin`)
	execute(t, holder, `select from pubsub_deliveries for update`)
	_, responses, _ = durableStream(t, t.Context(), i, time.Hour)
	waitForALock(t, watcher, "pubsub_deliveries")
	execute(t, watcher, removeNewest)
	keep(t, i, "next")
	execute(t, holder, `commit`)
	for missed := false; ; {
		r := receive(t, responses)
		missed = missed || r.GetMissed() != nil
		if string(r.GetMessage().GetMessage().GetPayload()) == "next" {
			require.True(t, missed)
			return
		}
	}
}
