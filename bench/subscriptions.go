package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

const (
	subscriptionsCase   = "subscriptions"
	subscribeProcedure  = "/prism.pubsub.v1.PubSubBasicInterface/Subscribe"
	publishProcedure    = "/prism.pubsub.v1.PubSubBasicInterface/Publish"
	subscribers         = 10 // connections
	subscriptionsOfEach = 1000
	// subscriptionsConfig lets a connection have so many streams.
	subscriptionsConfig = `server: {limits: {max_streams: 1000}}
namespaces: [{name: default, backend: memstore}]
`
)

// measureSubscriptions starts a gateway afresh in every round, opens ten thousand subscriptions that nobody publishes to, and looks at its memory. Then one message
// for each of them shows that they are alive.
func measureSubscriptions(ctx context.Context, b *benchmark) error {
	var before, held, each, delivered []float64
	for round := range b.rounds {
		s, err := b.start(ctx, gateway, setting{config: subscriptionsConfig})
		if err != nil {
			return err
		}
		got, err := subscribeAll(ctx, s)
		s.stop()
		if err != nil {
			return fmt.Errorf("%w\n%s", err, s.log)
		}
		before, held = append(before, got.before/1e6), append(held, got.held/1e6)
		each, delivered = append(each, (got.held-got.before)/(subscribers*subscriptionsOfEach)/kibibyte), append(delivered, got.delivered.Seconds()*1e3)
		progress("%s: round %d/%d: %.1f MB, %.2f KiB each; a message to each in %.0f ms", subscriptionsCase, round+1, b.rounds, held[round], each[round], delivered[round])
	}
	b.report.command(subscriptionsCase, fmt.Sprintf("%d connections of %d streams of Subscribe, each of a topic of its own; VmRSS %s after the last is active; then one Publish to each topic, one after the other",
		subscribers, subscriptionsOfEach, settle))
	b.report.add(figure{Case: subscriptionsCase, Name: "gateway: RSS with 10,000 idle subscriptions", Unit: megabytes, Samples: held, Bar: atMost(200)})
	b.report.add(figure{Case: subscriptionsCase, Name: "gateway: RSS before", Unit: megabytes, Samples: before})
	b.report.add(figure{Case: subscriptionsCase, Name: "gateway: memory of a subscription", Unit: kibibytes, Samples: each})
	b.report.add(figure{Case: subscriptionsCase, Name: "gateway: a message to each was published and has arrived", Unit: milliseconds, Samples: delivered, Note: "each arrived once, where it should"})
	return nil
}

// subscribed is what a gateway with subscriptions held, in bytes, and how long a message to each took.
type subscribed struct {
	before, held float64
	delivered    time.Duration
}

func subscribeAll(ctx context.Context, s *server) (got subscribed, err error) {
	time.Sleep(settle)
	if got.before, err = s.rss(); err != nil {
		return got, err
	}
	var followers []*follower
	defer func() {
		for _, f := range followers {
			err = errors.Join(err, f.close())
		}
	}()
	for i := range subscribers {
		if ctx.Err() != nil {
			return got, ctx.Err()
		}
		f, err := subscribeTopics(s.address, i)
		if err != nil {
			return got, fmt.Errorf("connection %d: %w", i+1, err)
		}
		followers = append(followers, f)
	}
	time.Sleep(settle)
	if got.held, err = s.rss(); err != nil {
		return got, err
	}
	began := time.Now()
	if err := publishAll(ctx, s); err != nil {
		return got, err
	}
	for i, f := range followers {
		if err := receiveAll(f, i); err != nil {
			return got, err
		}
	}
	got.delivered = time.Since(began)
	return got, s.checkCounted(ctx)
}

// topicOf names the topic of a connection's subscription.
func topicOf(connection, subscription int) string {
	return fmt.Sprintf("topic-%d-%d", connection, subscription)
}

// subscribeTopics opens a connection's subscriptions, and waits until they are active.
func subscribeTopics(address string, connection int) (*follower, error) {
	requests := make([][]byte, subscriptionsOfEach)
	for i := range requests {
		requests[i] = marshal(&pubsubv1.SubscribeRequest{Topic: topicOf(connection, i)})
	}
	f, err := follow(address, subscribeProcedure, requests)
	if err != nil {
		return nil, err
	}
	err = f.eachOnce(func(_ int, message []byte) error {
		var answer pubsubv1.SubscribeResponse
		if err := proto.Unmarshal(message, &answer); err != nil {
			return err
		}
		if answer.GetSubscribed() == nil {
			return fmt.Errorf("the first message is not Subscribed but %v", &answer)
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

// publishAll publishes a message to the topic of every subscription; its payload is the topic's name.
func publishAll(ctx context.Context, s *server) error {
	conn, err := s.dialStock()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // everything has been answered
	ctx = inNamespace(ctx, namespace)
	for connection := range subscribers {
		for i := range subscriptionsOfEach {
			topic := topicOf(connection, i)
			request := &pubsubv1.PublishRequest{Topic: topic, Payload: []byte(topic)}
			if err := conn.Invoke(ctx, publishProcedure, request, new(pubsubv1.PublishResponse), grpc.WaitForReady(true)); err != nil {
				return err
			}
		}
	}
	return nil
}

// receiveAll waits until each subscription of a connection has its message.
func receiveAll(f *follower, connection int) error {
	return f.eachOnce(func(stream int, message []byte) error {
		var answer pubsubv1.SubscribeResponse
		if err := proto.Unmarshal(message, &answer); err != nil {
			return err
		}
		topic := topicOf(connection, stream)
		if got := answer.GetMessage(); got.GetTopic() != topic || string(got.GetPayload()) != topic {
			return fmt.Errorf("the subscription of %s was sent %v", topic, &answer)
		}
		return nil
	})
}
