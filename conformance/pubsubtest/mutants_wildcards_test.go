package pubsubtest_test

import (
	"context"
	"regexp"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/runtime/fault"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

type patternSend = func(*pubsubv1.SubscribePatternResponse) error

// patternFunc is an implementation of pubsub_wildcards.
type patternFunc func(ctx context.Context, request *pubsubv1.SubscribePatternRequest, send func(*pubsubv1.SubscribePatternResponse) error) error

func (f patternFunc) SubscribePattern(ctx context.Context, request *pubsubv1.SubscribePatternRequest, send func(*pubsubv1.SubscribePatternResponse) error) error {
	return f(ctx, request, send)
}

// withMatch subscribes to every topic and filters by another rule. Patterns that are none are refused.
func withMatch(match func(pattern, topic string) bool) func(pubsubv1.Wildcards) pubsubv1.Wildcards {
	return func(right pubsubv1.Wildcards) pubsubv1.Wildcards {
		return patternFunc(func(ctx context.Context, request *pubsubv1.SubscribePatternRequest, send func(*pubsubv1.SubscribePatternResponse) error) error {
			pattern := request.GetPattern()
			if !regexp.MustCompile(`^(([A-Za-z0-9_-]*|[*])([.]([A-Za-z0-9_-]*|[*]))*([.]>)?|>)$`).MatchString(pattern) || pattern == "" || len(pattern) > 200 {
				return right.SubscribePattern(ctx, request, send)
			}
			request = proto.CloneOf(request)
			request.Pattern = ">"
			return right.SubscribePattern(ctx, request, func(r *pubsubv1.SubscribePatternResponse) error {
				if r.GetMessage() != nil && !match(pattern, r.GetMessage().GetTopic()) {
					return nil
				}
				return send(r)
			})
		})
	}
}

// glob makes a regular expression of a pattern.
func glob(pattern, star, tail string) *regexp.Regexp {
	quoted := regexp.QuoteMeta(pattern)
	quoted = strings.ReplaceAll(quoted, `\*`, star)
	quoted = strings.ReplaceAll(quoted, `>`, tail)
	return regexp.MustCompile("^" + quoted + "$")
}

func wildcardsMutants() []mutant {
	of := func(name string, mutate func(right pubsubv1.Wildcards) pubsubv1.Wildcards) mutant {
		return mutant{Name: name, Mutate: func(i *prism.Interfaces) { i.PubSubWildcards = mutate(i.PubSubWildcards) }}
	}
	withRequest := func(change func(*pubsubv1.SubscribePatternRequest)) func(pubsubv1.Wildcards) pubsubv1.Wildcards {
		return func(right pubsubv1.Wildcards) pubsubv1.Wildcards {
			return patternFunc(func(ctx context.Context, request *pubsubv1.SubscribePatternRequest, send func(*pubsubv1.SubscribePatternResponse) error) error {
				request = proto.CloneOf(request)
				change(request)
				return right.SubscribePattern(ctx, request, send)
			})
		}
	}
	withSend := func(change func(send patternSend) patternSend) func(pubsubv1.Wildcards) pubsubv1.Wildcards {
		return func(right pubsubv1.Wildcards) pubsubv1.Wildcards {
			return patternFunc(func(ctx context.Context, request *pubsubv1.SubscribePatternRequest, send func(*pubsubv1.SubscribePatternResponse) error) error {
				return right.SubscribePattern(ctx, request, change(send))
			})
		}
	}
	return []mutant{
		of("StarCrossesDots", withMatch(func(pattern, topic string) bool { return glob(pattern, ".*", ".+").MatchString(topic) })),
		of("StarMatchesNoEmptyToken", withMatch(func(pattern, topic string) bool { return glob(pattern, "[^.]+", ".*").MatchString(topic) })),
		of("TailMatchesNoTokenToo", withMatch(func(pattern, topic string) bool {
			return glob(pattern, "[^.]*", ".*").MatchString(topic) || glob(strings.TrimSuffix(pattern, ".>"), "[^.]*", ".*").MatchString(topic)
		})),
		of("TailMatchesOneToken", withMatch(func(pattern, topic string) bool { return glob(pattern, "[^.]*", "[^.]*").MatchString(topic) })),
		of("PatternIgnoresCase", withMatch(func(pattern, topic string) bool {
			return glob(strings.ToLower(pattern), "[^.]*", ".*").MatchString(strings.ToLower(topic))
		})),
		of("DotIsAnyCharacter", withMatch(func(pattern, topic string) bool {
			return regexp.MustCompile("^" + strings.NewReplacer("*", "[^.]*", ">", ".*").Replace(pattern) + "$").MatchString(topic)
		})),
		of("WhatDoesNotMatchTakesAPlace", withMatch(func(pattern, topic string) bool { return glob(pattern, "[^.]*", ".*").MatchString(topic) })),
		of("StarWithinATokenIsAccepted", withRequest(func(r *pubsubv1.SubscribePatternRequest) {
			if strings.Contains(r.GetPattern(), "a*") {
				r.Pattern = ">"
			}
		})),
		of("TailWithinThePatternIsAccepted", withRequest(func(r *pubsubv1.SubscribePatternRequest) { r.Pattern = strings.Replace(r.GetPattern(), ">.", "*.", 1) })),
		of("OverlongPatternIsCut", withRequest(func(r *pubsubv1.SubscribePatternRequest) {
			if len(r.GetPattern()) > 200 {
				r.Pattern = ">"
			}
		})),
		of("MessageNamesThePattern", func(right pubsubv1.Wildcards) pubsubv1.Wildcards {
			return patternFunc(func(ctx context.Context, request *pubsubv1.SubscribePatternRequest, send func(*pubsubv1.SubscribePatternResponse) error) error {
				return right.SubscribePattern(ctx, request, func(r *pubsubv1.SubscribePatternResponse) error {
					if r.GetMessage() != nil {
						r = proto.CloneOf(r)
						r.GetMessage().Topic = request.GetPattern()
					}
					return send(r)
				})
			})
		}),
		of("MessageOfANewTopicIsMissed", withSend(func(send patternSend) patternSend {
			known := make(map[string]bool)
			return func(r *pubsubv1.SubscribePatternResponse) error {
				if topic := r.GetMessage().GetTopic(); topic != "" && !known[topic] && strings.HasPrefix(topic, "later.") {
					known[topic] = true
					return nil
				}
				return send(r)
			}
		})),
		of("MessageComesForEveryWay", withSend(func(send patternSend) patternSend {
			return func(r *pubsubv1.SubscribePatternResponse) error {
				if strings.Contains(r.GetMessage().GetTopic(), ".") {
					if err := send(r); err != nil {
						return err
					}
				}
				return send(r)
			}
		})),
		of("CancelEndsWithUnavailable", func(right pubsubv1.Wildcards) pubsubv1.Wildcards {
			return patternFunc(func(ctx context.Context, request *pubsubv1.SubscribePatternRequest, send func(*pubsubv1.SubscribePatternResponse) error) error {
				err := right.SubscribePattern(ctx, request, send)
				if ctx.Err() != nil {
					return fault.New(fault.Unavailable, "the stream has ended")
				}
				return err
			})
		}),
	}
}
