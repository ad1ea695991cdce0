package memstore

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

// SubscribePattern streams the messages of all topics that match a pattern.
func (p *pubSub) SubscribePattern(ctx context.Context, request *pubsubv1.SubscribePatternRequest, send func(*pubsubv1.SubscribePatternResponse) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s := newSubscription(request.GetBufferSize(), nil)
	p.patterns.add(request.GetPattern(), s)
	s.leave = func() { p.patterns.remove(request.GetPattern(), s) }
	return p.serve(ctx, s, s.take, func(e event) error {
		switch {
		case e.subscribed != nil:
			return send(&pubsubv1.SubscribePatternResponse{Event: &pubsubv1.SubscribePatternResponse_Subscribed{Subscribed: e.subscribed}})
		case e.missed != nil:
			return send(&pubsubv1.SubscribePatternResponse{Event: &pubsubv1.SubscribePatternResponse_Missed{Missed: e.missed}})
		}
		return send(&pubsubv1.SubscribePatternResponse{Event: &pubsubv1.SubscribePatternResponse_Message{Message: e.message}})
	})
}

// patterns are a namespace's subscriptions by pattern, as a tree of tokens: what a message costs depends on the patterns that its topic's tokens meet, not on
// how many there are.
type patterns struct {
	count atomic.Int64 // of subscriptions; lets a publisher that meets none leave without the lock
	mu    sync.RWMutex
	root  patternNode
}

// patternNode is what patterns with the same first tokens have in common. No topic has a token "*" or ">", so these two need no place of their own.
type patternNode struct {
	children map[string]*patternNode
	members  members // of the pattern that ends here
}

func (p *patterns) none() bool { return p.count.Load() == 0 }

func (p *patterns) add(pattern string, s *subscription) {
	p.mu.Lock()
	defer p.mu.Unlock()
	node := &p.root
	for token := range strings.SplitSeq(pattern, ".") {
		child, ok := node.children[token]
		if !ok {
			child = &patternNode{}
			if node.children == nil {
				node.children = make(map[string]*patternNode)
			}
			node.children[strings.Clone(token)] = child
		}
		node = child
	}
	node.members.add(s)
	p.count.Add(1)
}

func (p *patterns) remove(pattern string, s *subscription) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.root.remove(pattern, s)
	p.count.Add(-1)
}

// remove removes a subscription, and the nodes that it leaves empty.
func (n *patternNode) remove(pattern string, s *subscription) {
	token, rest, more := strings.Cut(pattern, ".")
	child := n.children[token]
	if more {
		child.remove(rest, s)
	} else {
		child.members.remove(s)
	}
	if len(child.members) == 0 && len(child.children) == 0 {
		delete(n.children, token)
		if len(n.children) == 0 {
			n.children = nil
		}
	}
}

// offer gives a message to every subscription whose pattern its topic matches.
func (p *patterns) offer(message *pubsubv1.Message) {
	if p.none() {
		return
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	p.root.offer(message.GetTopic(), message)
}

// offer gives a message to the subscriptions whose remaining pattern matches the rest of a topic, which has at least one token.
func (n *patternNode) offer(topic string, message *pubsubv1.Message) {
	if len(n.children) == 0 {
		return
	}
	n.children[">"].offerHere(message)
	token, rest, more := strings.Cut(topic, ".")
	for _, child := range [...]*patternNode{n.children[token], n.children["*"]} {
		switch {
		case child == nil:
		case more:
			child.offer(rest, message)
		default:
			child.offerHere(message)
		}
	}
}

func (n *patternNode) offerHere(message *pubsubv1.Message) {
	if n == nil {
		return
	}
	for _, s := range n.members {
		s.offer(message)
	}
}
