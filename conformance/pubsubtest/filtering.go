package pubsubtest

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/conformance/expect"
	"github.com/prismgate/prism/gen/go/prism"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

// Filtering is the suite of pubsub_filtering.
func Filtering(t *testing.T, open Open) {
	run := func(name string, test func(t *testing.T, i *prism.Interfaces)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
	to := func(i *prism.Interfaces, filter string, bufferSize uint32) opened {
		return subscribeFiltered(i.PubSubFiltering, &pubsubv1.SubscribeFilteredRequest{Topic: "topic", Filter: filter, BufferSize: bufferSize})
	}
	live(t, open, func(i *prism.Interfaces, topic string, bufferSize uint32) opened {
		return subscribeFiltered(i.PubSubFiltering, &pubsubv1.SubscribeFilteredRequest{Topic: topic, BufferSize: bufferSize})
	})

	for group, cases := range filterCases() {
		run("FilterHolds/"+group, func(t *testing.T, i *prism.Interfaces) {
			for n, c := range cases {
				requireFilter(t, i.PubSubFiltering, fmt.Sprint("topic-", n), c)
			}
		})
	}
	run("FilterThatIsNoneIsInvalidAndTellsTheByte", func(t *testing.T, i *prism.Interfaces) {
		for _, refused := range refusedFilters() {
			filter := refused.right + refused.wrong
			err := openFails(t, to(i, filter, 0))
			expect.Invalid(t, "filter", err)
			require.Regexp(t, fmt.Sprintf(`\bbyte %d\b`, len(refused.right)), err.Error(), "the place where %q is wrong", filter)
		}
	})
	run("FilterHas4096Bytes100ComparisonsAnd50LevelsAtMost", func(t *testing.T, i *prism.Interfaces) {
		sized := func(n int) string {
			return `attributes.x == "` + strings.Repeat("a", n-len(`attributes.x == ""`)) + `"`
		}
		joined := func(n int) string { return strings.Repeat(`has(attributes.x) || `, n-1) + `attributes.y == "b"` }
		nested := func(n int) string { return strings.Repeat("(", n) + `has(attributes.x)` + strings.Repeat(")", n) }
		for _, filter := range []string{sized(4096), joined(100), nested(50)} {
			listen(t, to(i, filter, 0)).stop()
		}
		for _, filter := range []string{joined(101), nested(51)} {
			err := openFails(t, to(i, filter, 0))
			expect.Invalid(t, "filter", err)
			require.Regexp(t, `\bbyte \d+\b`, err.Error())
		}
		for _, filter := range []string{sized(4097), "attributes.x == \"\x00\""} {
			expect.Invalid(t, "filter", openFails(t, to(i, filter, 0)))
		}
	})
	run("MetadataOfEveryMethodAreAttributes", func(t *testing.T, i *prism.Interfaces) {
		l := listen(t, to(i, `attributes.wanted == "yes" && attributes["any-name"] != "b"`, 0))
		for name, publish := range publishers(i) {
			publish(t, "topic", "no", map[string]string{"wanted": "no", "any-name": "a"})
			publish(t, "topic", "no", map[string]string{"wanted": "yes", "any-name": "b"})
			publish(t, "topic", "no", nil)
			publish(t, "topic", name, map[string]string{"wanted": "yes", "any-name": "a"})
			require.Equal(t, name, string(l.message(t).message.GetPayload()))
		}
	})
	run("MessageThatIsFilteredOutTakesNoPlaceAndIsNotMissed", func(t *testing.T, i *prism.Interfaces) {
		l := listen(t, to(i, `attributes.wanted == "yes"`, 1))
		large := expect.Bytes(1, 64<<10)
		publishSome := func(wanted string, n int) error {
			attributes := map[string]string{"wanted": wanted, "n": strconv.Itoa(n)}
			_, err := i.PubSubFiltering.PublishWithAttributes(t.Context(), &pubsubv1.PublishWithAttributesRequest{Topic: "topic", Payload: large, Attributes: attributes})
			return err
		}
		for n := range 300 {
			require.NoError(t, publishSome("no", n))
		}
		require.NoError(t, publishSome("yes", 0))
		require.Equal(t, "yes", l.message(t).message.GetMetadata()["wanted"])
		overflow(t, l, 8, func(n int) error {
			if err := publishSome("no", n); err != nil {
				return err
			}
			return publishSome("yes", n)
		})
	})
	run("FilteredAndOtherSubscriptionsAreApart", func(t *testing.T, i *prism.Interfaces) {
		all := listen(t, subscribe(i.PubSubBasic, &pubsubv1.SubscribeRequest{Topic: "topic"}))
		odd, even := listen(t, to(i, `attributes.n in ["1", "3"]`, 0)), listen(t, to(i, `!(attributes.n in ["1", "3"])`, 0))
		for n := range 5 {
			_, err := i.PubSubFiltering.PublishWithAttributes(t.Context(), &pubsubv1.PublishWithAttributesRequest{
				Topic: "topic", Payload: []byte(strconv.Itoa(n)), Attributes: map[string]string{"n": strconv.Itoa(n)},
			})
			require.NoError(t, err)
		}
		require.ElementsMatch(t, []string{"0", "1", "2", "3", "4"}, all.payloads(t, 5))
		require.ElementsMatch(t, []string{"1", "3"}, odd.payloads(t, 2))
		require.ElementsMatch(t, []string{"0", "2", "4"}, even.payloads(t, 3))
	})
	run("RepeatedPublishIsAnotherMessage", func(t *testing.T, i *prism.Interfaces) {
		l := listen(t, to(i, "", 0))
		for range 3 {
			_, err := i.PubSubFiltering.PublishWithAttributes(t.Context(), &pubsubv1.PublishWithAttributesRequest{Topic: "topic", Payload: []byte("same")})
			require.NoError(t, err)
		}
		require.Equal(t, []string{"same", "same", "same"}, l.payloads(t, 3))
	})
	run("PayloadAndAttributesArriveWholeOrAreInvalid", func(t *testing.T, i *prism.Interfaces) {
		l := listen(t, to(i, "", 0))
		requirePublishRules(t, l, "attributes", func(ctx context.Context, payload []byte, metadata map[string]string) error {
			_, err := i.PubSubFiltering.PublishWithAttributes(ctx, &pubsubv1.PublishWithAttributesRequest{Topic: "topic", Payload: payload, Attributes: metadata})
			return err
		})
	})
	run("TopicIs1To200CharactersOfAName", func(t *testing.T, i *prism.Interfaces) {
		requireNameRules(t, "topic", func(ctx context.Context, name string) error {
			_, err := i.PubSubFiltering.PublishWithAttributes(ctx, &pubsubv1.PublishWithAttributesRequest{Topic: name})
			return err
		})
		requireNameRules(t, "topic", func(_ context.Context, name string) error {
			return openFails(t, subscribeFiltered(i.PubSubFiltering, &pubsubv1.SubscribeFilteredRequest{Topic: name}))
		})
	})
	run("ContextThatHasEndedEndsTheCall", func(t *testing.T, i *prism.Interfaces) {
		requireContextRules(t, []call{
			{"PublishWithAttributes", func(ctx context.Context) error {
				_, err := i.PubSubFiltering.PublishWithAttributes(ctx, &pubsubv1.PublishWithAttributesRequest{Topic: "topic"})
				return err
			}},
			{"SubscribeFiltered", func(ctx context.Context) error { return to(i, "", 0)(ctx, func(event) error { return errSend }) }},
		})
	})
	run("RequestsAreNotChanged", func(t *testing.T, i *prism.Interfaces) {
		subscribing := &pubsubv1.SubscribeFilteredRequest{Topic: "topic", Filter: `attributes.a == "b"`}
		publishing := &pubsubv1.PublishWithAttributesRequest{Topic: "topic", Payload: []byte("payload"), Attributes: map[string]string{"a": "b"}}
		expect.Unchanged(t, subscribing, func() error {
			l := listen(t, subscribeFiltered(i.PubSubFiltering, subscribing))
			expect.Unchanged(t, publishing, func() error { _, err := i.PubSubFiltering.PublishWithAttributes(t.Context(), publishing); return err })
			l.message(t)
			require.True(t, unsubscribe(t, i.PubSubBasic, l.id))
			_, err := l.ending(t)
			return err
		})
	})
}

// requireFilter fails unless a filter holds for just those messages for which it is to hold. Behind them comes one that is let through in any case, so that it
// is known that no other follows; what holds is also asked of the filter as it stands.
func requireFilter(t *testing.T, filtering pubsubv1.Filtering, topic string, c filterCase) {
	t.Helper()
	alone := listen(t, subscribeFiltered(filtering, &pubsubv1.SubscribeFilteredRequest{Topic: topic, Filter: c.filter}))
	let := `has(attributes.behind)`
	if c.filter != "" {
		let = "(" + c.filter + ") || " + let
	} else {
		let = ""
	}
	listening := listen(t, subscribeFiltered(filtering, &pubsubv1.SubscribeFilteredRequest{Topic: topic, Filter: let}))
	send := func(name string, attributes map[string]string) {
		_, err := filtering.PublishWithAttributes(t.Context(), &pubsubv1.PublishWithAttributesRequest{Topic: topic, Payload: []byte(name), Attributes: attributes})
		require.NoError(t, err)
	}
	var want, names []string
	for _, attributes := range c.fails {
		send(fmt.Sprint("fails for ", attributes), attributes)
	}
	for _, attributes := range c.holds {
		name := fmt.Sprint("holds for ", attributes)
		send(name, attributes)
		want = append(want, name)
	}
	send("behind", map[string]string{"behind": ""})
	for {
		name := string(listening.message(t).message.GetPayload())
		if name == "behind" {
			break
		}
		names = append(names, name)
	}
	require.ElementsMatch(t, want, names, "the filter %s", c.filter)
	require.ElementsMatch(t, want, alone.payloads(t, len(want)), "the filter %s", c.filter)
	alone.stop()
	listening.stop()
}
