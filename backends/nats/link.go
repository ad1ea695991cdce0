package nats

import (
	"context"
	"sync"
)

// link is the connection as calls see it: a context that ends when the connection is lost, because no answer to a call that is under way can come then.
type link struct {
	mu     sync.Mutex
	parent context.Context //nolint:containedctx // it is what the link hands out
	ctx    context.Context //nolint:containedctx // it is what the link hands out
	cancel context.CancelFunc
}

func newLink(parent context.Context) *link {
	l := &link{parent: parent}
	l.up()
	return l
}

// current is the context of the connection that is there, or of the last one.
func (l *link) current() context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ctx
}

func (l *link) up() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx == nil || l.ctx.Err() != nil {
		l.ctx, l.cancel = context.WithCancel(l.parent)
	}
}

func (l *link) down() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cancel()
}
