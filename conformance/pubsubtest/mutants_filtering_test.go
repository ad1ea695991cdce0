package pubsubtest_test

import (
	"context"
	"regexp"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/filter"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

// filteringWith is an implementation with some calls replaced; one that is nil is the real one.
type filteringWith struct {
	pubsubv1.Filtering
	publish   func(ctx context.Context, request *pubsubv1.PublishWithAttributesRequest) (*pubsubv1.PublishWithAttributesResponse, error)
	subscribe func(ctx context.Context, request *pubsubv1.SubscribeFilteredRequest, send func(*pubsubv1.SubscribeFilteredResponse) error) error
}

func (f filteringWith) PublishWithAttributes(ctx context.Context, request *pubsubv1.PublishWithAttributesRequest) (*pubsubv1.PublishWithAttributesResponse, error) {
	if f.publish != nil {
		return f.publish(ctx, request)
	}
	return f.Filtering.PublishWithAttributes(ctx, request)
}

func (f filteringWith) SubscribeFiltered(ctx context.Context, request *pubsubv1.SubscribeFilteredRequest, send func(*pubsubv1.SubscribeFilteredResponse) error) error {
	if f.subscribe != nil {
		return f.subscribe(ctx, request, send)
	}
	return f.Filtering.SubscribeFiltered(ctx, request, send)
}

// withFilter changes the text of every filter.
func withFilter(change func(string) string) func(pubsubv1.Filtering) pubsubv1.Filtering {
	return func(right pubsubv1.Filtering) pubsubv1.Filtering {
		return filteringWith{Filtering: right, subscribe: func(ctx context.Context, request *pubsubv1.SubscribeFilteredRequest, send func(*pubsubv1.SubscribeFilteredResponse) error) error {
			request = proto.CloneOf(request)
			request.Filter = change(request.GetFilter())
			return right.SubscribeFiltered(ctx, request, send)
		}}
	}
}

// withPattern replaces what a regular expression matches in every filter.
func withPattern(pattern, instead string) func(pubsubv1.Filtering) pubsubv1.Filtering {
	expression := regexp.MustCompile(pattern)
	return withFilter(func(text string) string { return expression.ReplaceAllString(text, instead) })
}

// withRefusal changes the error of a filter that is none.
func withRefusal(change func(filter string, err error) error) func(pubsubv1.Filtering) pubsubv1.Filtering {
	return func(right pubsubv1.Filtering) pubsubv1.Filtering {
		return filteringWith{Filtering: right, subscribe: func(ctx context.Context, request *pubsubv1.SubscribeFilteredRequest, send func(*pubsubv1.SubscribeFilteredResponse) error) error {
			err := right.SubscribeFiltered(ctx, request, send)
			if fault.CodeOf(err) == fault.InvalidArgument {
				return change(request.GetFilter(), err)
			}
			return err
		}}
	}
}

func filteringMutants() []mutant {
	of := func(name string, mutate func(right pubsubv1.Filtering) pubsubv1.Filtering) mutant {
		return mutant{Name: name, Mutate: func(i *prism.Interfaces) { i.PubSubFiltering = mutate(i.PubSubFiltering) }}
	}
	place := regexp.MustCompile(`byte (\d+)`)
	return []mutant{
		of("FilterIsIgnoredWhenItIsValid", withFilter(func(text string) string {
			if _, err := filter.Compile(text); err != nil {
				return text
			}
			return ""
		})),
		of("FilterIgnoresCase", withFilter(strings.ToLower)),
		of("UnequalHoldsForMissingAttributes", withPattern(`(attributes\S*) != ("[^"]*")`, `!($1 == $2)`)),
		of("StartsWithIsContains", withPattern(`\.startsWith\(`, `.contains(`)),
		of("LessIsLessOrEqual", withPattern(` < `, ` <= `)),
		of("NegationOfOneComparisonIsLost", withPattern(`!attributes`, `attributes`)),
		of("OrBindsTighterThanAnd", withPattern(`^(attributes.a == "1" \|\| attributes.b == "1") && `, `($1) && `)),
		of("NumbersAreComparedAsStrings", withPattern(`double\((attributes[^)]*)\) (<|==|>) (\d+)$`, `$1 $2 "$3"`)),
		of("MissingAttributesAreEmpty", func(right pubsubv1.Filtering) pubsubv1.Filtering {
			return filteringWith{Filtering: right, publish: func(ctx context.Context, request *pubsubv1.PublishWithAttributesRequest) (*pubsubv1.PublishWithAttributesResponse, error) {
				request = proto.CloneOf(request)
				if _, ok := request.GetAttributes()["x"]; !ok && len(request.GetAttributes()) < 64 {
					if request.Attributes == nil {
						request.Attributes = make(map[string]string)
					}
					request.Attributes["x"] = ""
				}
				return right.PublishWithAttributes(ctx, request)
			}}
		}),
		of("FilterIsEvaluatedBehindTheBuffer", func(right pubsubv1.Filtering) pubsubv1.Filtering {
			return filteringWith{Filtering: right, subscribe: func(ctx context.Context, request *pubsubv1.SubscribeFilteredRequest, send func(*pubsubv1.SubscribeFilteredResponse) error) error {
				matches, err := filter.Compile(request.GetFilter())
				if err != nil {
					return err
				}
				request = proto.CloneOf(request)
				request.Filter = ""
				return right.SubscribeFiltered(ctx, request, func(r *pubsubv1.SubscribeFilteredResponse) error {
					if r.GetMessage() != nil && !matches.Matches(r.GetMessage().GetMetadata()) {
						return nil
					}
					return send(r)
				})
			}}
		}),
		of("RefusalTellsNoByte", withRefusal(func(string, error) error { return fault.Invalid("filter", "is no filter") })),
		of("RefusalCountsFromOne", withRefusal(func(_ string, err error) error {
			return fault.Invalid("filter", "%s", place.ReplaceAllString(err.Error(), "byte ${1}1"))
		})),
		of("FilterThatIsNoneIsRefusedAfterSubscribed", func(right pubsubv1.Filtering) pubsubv1.Filtering {
			return filteringWith{Filtering: right, subscribe: func(ctx context.Context, request *pubsubv1.SubscribeFilteredRequest, send func(*pubsubv1.SubscribeFilteredResponse) error) error {
				err := right.SubscribeFiltered(ctx, request, send)
				if fault.CodeOf(err) == fault.InvalidArgument {
					_ = send(&pubsubv1.SubscribeFilteredResponse{Event: &pubsubv1.SubscribeFilteredResponse_Subscribed{Subscribed: &pubsubv1.Subscribed{SubscriptionId: "id"}}})
				}
				return err
			}}
		}),
		of("FilterThatIsNoneHoldsForNothing", func(right pubsubv1.Filtering) pubsubv1.Filtering {
			return withFilter(func(text string) string {
				if _, err := filter.Compile(text); err != nil {
					return `has(attributes.never)`
				}
				return text
			})(right)
		}),
		of("AttributesAreTrimmed", func(right pubsubv1.Filtering) pubsubv1.Filtering {
			return filteringWith{Filtering: right, publish: func(ctx context.Context, request *pubsubv1.PublishWithAttributesRequest) (*pubsubv1.PublishWithAttributesResponse, error) {
				request = proto.CloneOf(request)
				for key, value := range request.GetAttributes() {
					request.Attributes[key] = strings.TrimSpace(value)
				}
				return right.PublishWithAttributes(ctx, request)
			}}
		}),
	}
}
