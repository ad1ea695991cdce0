package fanout

import "strings"

// patterns are a hub's subjects by pattern, as a tree of tokens: what a message costs depends on the patterns that its topic's tokens meet, not on how many there are. No topic has a
// token "*" or ">", so these two need no place of their own.
type patterns struct {
	children map[string]*patterns
	subject  *subject // of the pattern that ends here
}

func (p *patterns) add(pattern string, s *subject) {
	node := p
	for token := range strings.SplitSeq(pattern, ".") {
		child, ok := node.children[token]
		if !ok {
			child = &patterns{}
			if node.children == nil {
				node.children = make(map[string]*patterns)
			}
			node.children[strings.Clone(token)] = child
		}
		node = child
	}
	node.subject = s
}

// remove removes a pattern that is there, and the nodes that it leaves empty.
func (p *patterns) remove(pattern string) {
	token, rest, more := strings.Cut(pattern, ".")
	child := p.children[token]
	if more {
		child.remove(rest)
	} else {
		child.subject = nil
	}
	if child.subject == nil && len(child.children) == 0 {
		delete(p.children, token)
		if len(p.children) == 0 {
			p.children = nil
		}
	}
}

// offer calls give for every subject whose remaining pattern matches the rest of a topic, which has at least one token.
func (p *patterns) offer(topic string, give func(*subject)) {
	if len(p.children) == 0 {
		return
	}
	p.children[">"].offerHere(give)
	token, rest, more := strings.Cut(topic, ".")
	for _, child := range [...]*patterns{p.children[token], p.children["*"]} {
		switch {
		case child == nil:
		case more:
			child.offer(rest, give)
		default:
			child.offerHere(give)
		}
	}
}

func (p *patterns) offerHere(give func(*subject)) {
	if p != nil && p.subject != nil {
		give(p.subject)
	}
}
