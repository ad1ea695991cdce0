package pubsubtest

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/conformance/expect"
	"github.com/prismgate/prism/gen/go/prism"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

// Wildcards is the suite of pubsub_wildcards.
func Wildcards(t *testing.T, open Open) {
	run := func(name string, test func(t *testing.T, i *prism.Interfaces)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
	to := func(i *prism.Interfaces, pattern string, bufferSize uint32) opened {
		return subscribePattern(i.PubSubWildcards, &pubsubv1.SubscribePatternRequest{Pattern: pattern, BufferSize: bufferSize})
	}
	live(t, open, to)

	run("PatternMatchesItsTopicsAndNoOthers", func(t *testing.T, i *prism.Interfaces) {
		topics := []string{
			"orders", "Orders", "order", "orders-new", "ordersXnew", "orders.new", "orders.New", "new.orders", "orders.new.eu", "orders.new.us", "orders.old.eu",
			"orders.", ".orders", "orders..", "orders..eu", "a..b", "a.b", "a.x.b", "a.x.y.b", ".", "..", "...", "x", "-", "_._", "a.b.c.d.e.f.g",
			strings.Repeat("t", 200), strings.Repeat(".", 200), strings.Repeat("a.", 100),
		}
		patterns := []string{
			"orders", "orders.*", "orders.>", ">", "*", "*.*", "*.*.*", "*.>", "*.*.>", "*.new", "*.new.*", "orders.*.eu", "orders.new.>", "orders.new.eu", "*.orders",
			"a..b", "a.*.b", "a.*", "a.>", ".", ".*", "*.", ".>", "..", "*..*", "orders.", "x", "a.b.c.d.e.f.g", "a.*.c.*.e.>", strings.Repeat("*.", 99) + "*", strings.Repeat("t", 200),
		}
		listeners := make([]*listener, len(patterns))
		for n, pattern := range patterns {
			listeners[n] = listen(t, to(i, pattern, 0))
		}
		for _, topic := range topics {
			publish(t, i.PubSubBasic, topic, topic)
		}
		for n, pattern := range patterns {
			var want []string
			for _, topic := range topics {
				if matches(strings.Split(pattern, "."), strings.Split(topic, ".")) {
					want = append(want, topic)
				}
			}
			// Behind the last of them comes one that matches too.
			behind := strings.NewReplacer("*", "z", ">", "z").Replace(pattern)
			publish(t, i.PubSubBasic, behind, "behind "+strconv.Itoa(n))
			var got []string
			for {
				e := listeners[n].message(t)
				text := string(e.message.GetPayload())
				if text == "behind "+strconv.Itoa(n) {
					break
				}
				if !strings.HasPrefix(text, "behind ") { // of another pattern
					require.Equal(t, e.message.GetTopic(), text, "a message names its topic")
					got = append(got, text)
				}
			}
			require.ElementsMatch(t, want, got, "the topics of the pattern %.40q", pattern)
		}
	})
	run("ExamplesOfTheContract", func(t *testing.T, i *prism.Interfaces) {
		for _, example := range []struct{ pattern, yes, no string }{
			{"orders.*", "orders.new", "orders"},
			{"orders.*", "orders.new", "orders.new.eu"},
			{"orders.>", "orders.new.eu", "orders"},
			{"orders.>", "orders.new", "orders"},
			{">", "any.topic", ""},
			{"orders", "orders", "orders.new"},
			{"a.*.b", "a..b", "a.b"},
		} {
			l := listen(t, to(i, example.pattern, 0))
			if example.no != "" {
				publish(t, i.PubSubBasic, example.no, "no")
			}
			publish(t, i.PubSubBasic, example.yes, "yes")
			got := l.message(t).message
			require.Equal(t, "yes", string(got.GetPayload()), "%s matches %s and not %s", example.pattern, example.yes, example.no)
			require.Equal(t, example.yes, got.GetTopic())
			l.requireNothing(t) // it comes once
			l.stop()
		}
	})
	run("PatternThatIsNoneIsInvalid", func(t *testing.T, i *prism.Interfaces) {
		for _, pattern := range []string{
			"", "a*", "*a", "a*b", "**", "a.b*", "a.*b", "*.**", ">.a", "a.>.b", "a>", ">a", "a.>b", "a.b>", ">>", ">.>", "*>", ">*", "a.*>", "a.>.",
			" ", "a b", "a/*", "a:b", "é", "a.?", "{a}", "[a]", "#", "+", "a.#", "a\x00", "\n", "a.*\n", strings.Repeat("p", 201), strings.Repeat("*.", 101),
		} {
			err := openFails(t, to(i, pattern, 0))
			expect.Invalid(t, "pattern", err)
		}
	})
	run("TopicsThatComeToBeLaterMatch", func(t *testing.T, i *prism.Interfaces) {
		l := listen(t, to(i, "later.>", 0))
		for _, topic := range []string{"later.a", "later.b", "later.a.b"} {
			own := listen(t, subscribe(i.PubSubBasic, &pubsubv1.SubscribeRequest{Topic: topic}))
			publish(t, i.PubSubBasic, topic, topic)
			require.Equal(t, topic, string(l.message(t).message.GetPayload()))
			require.Equal(t, topic, string(own.message(t).message.GetPayload()), "it comes to subscriptions of the topic too")
			own.stop()
			publish(t, i.PubSubBasic, topic, "again")
			require.Equal(t, "again", string(l.message(t).message.GetPayload()))
		}
	})
	run("MessagesOfEveryMethodMatch", func(t *testing.T, i *prism.Interfaces) {
		l := listen(t, to(i, "*.of.>", 0))
		for name, publish := range publishers(i) {
			publish(t, "topic.from."+name, "no", nil)
			sent := publish(t, "topic.of."+name, name, nil)
			got := l.message(t).message
			require.Equal(t, name, string(got.GetPayload()))
			require.Equal(t, "topic.of."+name, got.GetTopic())
			require.Equal(t, sent.id, got.GetMessageId())
		}
	})
	run("BoundAndCountAreOfTheWholeSubscription", func(t *testing.T, i *prism.Interfaces) {
		l := listen(t, to(i, "topic.*", 1))
		topics := []string{"topic.a", "topic.b", "topic.c"}
		overflow(t, l, 9, func(n int) error {
			// What does not match is not missed either.
			for _, topic := range []string{"topic", "topic.a.b", topics[n%len(topics)]} {
				_, err := i.PubSubBasic.Publish(t.Context(), &pubsubv1.PublishRequest{Topic: topic, Payload: expect.Bytes(n, 64<<10), Metadata: map[string]string{"n": strconv.Itoa(n)}})
				if err != nil {
					return err
				}
			}
			return nil
		})
	})
	run("SubscriptionsToOnePatternAreApart", func(t *testing.T, i *prism.Interfaces) {
		var listeners []*listener
		for range 4 {
			listeners = append(listeners, listen(t, to(i, "a.*.>", 0)), listen(t, to(i, "a.b", 0)), listen(t, to(i, "a.>", 0)))
		}
		for _, gone := range []int{0, 4, 8, 1} {
			require.True(t, unsubscribe(t, i.PubSubBasic, listeners[gone].id))
			_, err := listeners[gone].ending(t)
			require.NoError(t, err)
			listeners[gone] = nil
		}
		publish(t, i.PubSubBasic, "a.b.c", "three")
		publish(t, i.PubSubBasic, "a.b", "two")
		for n, l := range listeners {
			if l == nil {
				continue
			}
			want := [][]string{{"three"}, {"two"}, {"three", "two"}}[n%3]
			require.ElementsMatch(t, want, l.payloads(t, len(want)))
		}
	})
	run("ContextThatHasEndedEndsTheCall", func(t *testing.T, i *prism.Interfaces) {
		requireContextRules(t, []call{{"SubscribePattern", func(ctx context.Context) error {
			return to(i, "a.*", 0)(ctx, func(event) error { return errSend })
		}}})
	})
	run("RequestsAreNotChanged", func(t *testing.T, i *prism.Interfaces) {
		request := &pubsubv1.SubscribePatternRequest{Pattern: "a.*"}
		expect.Unchanged(t, request, func() error {
			l := listen(t, subscribePattern(i.PubSubWildcards, request))
			publish(t, i.PubSubBasic, "a.b", "message")
			l.message(t)
			require.True(t, unsubscribe(t, i.PubSubBasic, l.id))
			_, err := l.ending(t)
			return err
		})
	})
}

// matches tells whether the tokens of a pattern match those of a topic, as the contract has it.
func matches(pattern, topic []string) bool {
	switch {
	case len(pattern) == 0 || len(topic) == 0:
		return len(pattern) == len(topic)
	case len(pattern) == 1 && pattern[0] == ">":
		return true
	case pattern[0] == "*" || pattern[0] == topic[0]:
		return matches(pattern[1:], topic[1:])
	}
	return false
}
