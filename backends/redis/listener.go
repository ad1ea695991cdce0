package redis

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/prismgate/prism/runtime/fault"
)

// longestSilence is how long a connection that is listened on may say nothing before it is asked for a sign of life.
const longestSilence = 2 * time.Second

// hearer is somebody who listens, a value that can be compared. Its methods wait for nobody and do not call the listener: the connection is everybody's.
type hearer interface {
	// hear takes what was published on a channel.
	hear(channel, payload string)
	// lost tells that the connection was lost, and that nothing is heard any more.
	lost(err error)
}

// listener is what the instance hears from the server by itself: one connection, from the first time that somebody listens. The client would replace a lost one in silence; here its end
// is told to all who listened, because what was published meanwhile is lost. In a cluster it is one for each node, because what is published reaches other nodes than the namespace's
// some time later, and behind what was published after it.
type listener struct {
	store *Store

	mu       sync.Mutex          // held while commands are sent, so that they are sent in the order of what is noted here
	sessions map[string]*session // by the node of a cluster; of a single server there is one
}

// session is one connection.
type session struct {
	node   string
	pubsub *redis.PubSub
	over   chan struct{} // closed when it is lost
	heard  atomic.Bool   // something came since the last look

	mu      sync.RWMutex
	err     error // why it is lost
	hearers map[string]map[hearer]struct{}
	awaited map[string][]*confirmation // in the order in which the server will confirm
}

// confirmation is what the server will send for one command.
type confirmation struct {
	come     chan struct{}
	activate func() // nil when nobody waits for it any more
}

// listen lets somebody hear a channel from now on. It returns when the server has confirmed it. Before, at its place among all that comes, activate is called, if it is not nil.
func (l *listener) listen(ctx context.Context, channel string, by hearer, activate func()) error {
	awaited := &confirmation{come: make(chan struct{}), activate: activate}
	s, err := l.subscribe(ctx, channel, by, awaited)
	if err != nil {
		return err
	}
	select {
	case <-awaited.come:
		return nil
	case <-s.over:
		return s.err
	case <-ctx.Done():
		s.mu.Lock()
		awaited.activate = nil
		s.mu.Unlock()
		return ctx.Err()
	}
}

// subscribe sends the command for a channel.
func (l *listener) subscribe(ctx context.Context, channel string, by hearer, awaited *confirmation) (*session, error) {
	l.mu.Lock()
	if l.store.ctx.Err() != nil {
		l.mu.Unlock()
		return nil, errConnectionLost(errors.New("the instance is closed"))
	}
	if err := ctx.Err(); err != nil { // the lock may have been long in coming
		l.mu.Unlock()
		return nil, err
	}
	s, err := l.session(ctx, channel)
	if err != nil {
		l.mu.Unlock()
		return nil, err
	}
	failures := make(map[*session]error)
	for _, former := range l.sessions {
		if former != s {
			if err := l.abandon(former, channel); err != nil {
				failures[former] = err
			}
		}
	}
	s.mu.Lock()
	if s.hearers[channel] == nil {
		s.hearers[channel] = make(map[hearer]struct{}, 1)
	}
	s.hearers[channel][by] = struct{}{}
	s.awaited[channel] = append(s.awaited[channel], awaited)
	s.mu.Unlock()
	if l.sessions[s.node] != nil { // a command that fails ends it for all who listen, so the time of one of them must not be what fails it
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(l.store.ctx, l.store.timeout)
		defer cancel()
	}
	err = s.pubsub.Subscribe(ctx, channel)
	if err == nil && l.sessions[s.node] == nil {
		l.sessions[s.node] = s
		l.store.background.Go(func() { l.receive(s) })
		l.store.background.Go(func() { l.watch(s) })
	}
	l.mu.Unlock()
	for former, err := range failures {
		l.end(former, err)
	}
	if err != nil {
		l.end(s, err)
		return nil, err
	}
	return s, nil
}

// abandon ends the hearing of a channel on the connection to a node that is not the channel's any more: what is published comes there late or never, and a second time where it is heard on the
// connection to the new node. The lock is held. When the error is not nil, the connection is to be ended.
func (l *listener) abandon(s *session, channel string) error {
	s.mu.Lock()
	hearers := s.hearers[channel]
	delete(s.hearers, channel)
	s.mu.Unlock()
	if len(hearers) == 0 {
		return nil
	}
	moved := fault.New(fault.Unavailable, "the namespace has moved to another node of the Redis Cluster, and messages may be lost; subscribe again").
		WithOp("redis.listen").WithReason("BACKEND_UNAVAILABLE")
	for by := range hearers {
		by.lost(moved)
	}
	ctx, cancel := context.WithTimeout(l.store.ctx, l.store.timeout)
	defer cancel()
	return s.pubsub.Unsubscribe(ctx, channel)
}

// follow abandons the channels whose namespaces have moved to another node of a cluster.
func (l *listener) follow(s *session) error {
	cluster, ok := l.store.client.(*redis.ClusterClient)
	if !ok {
		return nil
	}
	s.mu.RLock()
	channels := slices.Collect(maps.Keys(s.hearers))
	s.mu.RUnlock()
	for _, channel := range channels {
		master, err := cluster.MasterForKey(l.store.ctx, channel)
		if err != nil || master.Options().Addr == s.node {
			continue
		}
		l.mu.Lock()
		err = l.abandon(s, channel)
		l.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// session returns the connection for a channel. A new one is not among the sessions yet.
func (l *listener) session(ctx context.Context, channel string) (*session, error) {
	node, subscribe := "", l.store.client.Subscribe
	if cluster, ok := l.store.client.(*redis.ClusterClient); ok {
		master, err := cluster.MasterForKey(ctx, channel)
		if err != nil {
			return nil, err
		}
		node, subscribe = master.Options().Addr, master.Subscribe
	}
	if found := l.sessions[node]; found != nil {
		return found, nil
	}
	return &session{
		node: node, pubsub: subscribe(ctx), over: make(chan struct{}), hearers: make(map[string]map[hearer]struct{}), awaited: make(map[string][]*confirmation),
	}, nil
}

// leave lets somebody hear a channel no more.
func (l *listener) leave(channel string, by hearer) {
	ctx, cancel := context.WithTimeout(l.store.ctx, l.store.timeout)
	defer cancel()
	l.mu.Lock()
	var failed *session
	var err error
	for _, s := range l.sessions {
		if s.remove(channel, by) {
			if err = s.pubsub.Unsubscribe(ctx, channel); err != nil {
				failed = s
			}
			break
		}
	}
	l.mu.Unlock()
	if failed != nil {
		l.end(failed, err)
	}
}

// remove takes out somebody who hears a channel. It tells whether that was the last one.
func (s *session) remove(channel string, by hearer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, heard := s.hearers[channel][by]; !heard {
		return false
	}
	delete(s.hearers[channel], by)
	if len(s.hearers[channel]) > 0 {
		return false
	}
	delete(s.hearers, channel)
	return true
}

// hears tells whether somebody hears a channel, and the server has confirmed it.
func (l *listener) hears(channel string, by hearer) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.sessions {
		if s.hears(channel, by) {
			return true
		}
	}
	return false
}

func (s *session) hears(channel string, by hearer) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, heard := s.hearers[channel][by]
	return s.err == nil && heard && len(s.awaited[channel]) == 0
}

// receive takes what comes until the connection is lost.
func (l *listener) receive(s *session) {
	for {
		got, err := s.pubsub.Receive(l.store.ctx)
		if err != nil {
			l.end(s, err)
			return
		}
		s.heard.Store(true)
		switch got := got.(type) {
		case *redis.Subscription:
			if got.Kind == "subscribe" {
				s.confirm(got.Channel)
			}
		case *redis.Message:
			s.tell(got.Channel, got.Payload)
		}
	}
}

// tell gives what was published to all who hear it.
func (s *session) tell(channel, payload string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for by := range s.hearers[channel] {
		by.hear(channel, payload)
	}
}

// confirm tells who waits for the server's next confirmation of a channel.
func (s *session) confirm(channel string) {
	s.mu.Lock()
	queue := s.awaited[channel]
	if len(queue) == 0 {
		s.mu.Unlock()
		return
	}
	first := queue[0]
	if len(queue) == 1 {
		delete(s.awaited, channel)
	} else {
		s.awaited[channel] = queue[1:]
	}
	activate := first.activate
	s.mu.Unlock()
	if activate != nil {
		activate()
	}
	close(first.come)
}

// watch finds out about a connection that is dead without a sign, and about one that is to the wrong node by now.
func (l *listener) watch(s *session) {
	ticker := time.NewTicker(min(l.store.timeout, longestSilence))
	defer ticker.Stop()
	for asked := false; ; {
		select {
		case <-ticker.C:
		case <-s.over:
			return
		case <-l.store.ctx.Done():
			l.end(s, l.store.ctx.Err())
			return
		}
		if err := l.follow(s); err != nil {
			l.end(s, err)
			return
		}
		if s.heard.Swap(false) {
			asked = false
			continue
		}
		if asked {
			l.end(s, errors.New("the server says nothing"))
			return
		}
		asked = true
		ctx, cancel := context.WithTimeout(l.store.ctx, l.store.timeout)
		err := s.pubsub.Ping(ctx)
		cancel()
		if err != nil {
			l.end(s, err)
			return
		}
	}
}

// end ends a session and tells all who listened.
func (l *listener) end(s *session, cause error) {
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return
	}
	s.err = errConnectionLost(cause)
	var answered redis.Error
	if errors.As(cause, &answered) { // it refused a command
		s.err = mapped(l.store.ctx, "redis.listen", cause)
	}
	told := make(map[hearer]bool, len(s.hearers))
	for _, hearers := range s.hearers {
		for by := range hearers {
			told[by] = true
		}
	}
	close(s.over)
	s.mu.Unlock()

	l.mu.Lock()
	if l.sessions[s.node] == s {
		delete(l.sessions, s.node)
	}
	l.mu.Unlock()
	_ = s.pubsub.Close() // it is lost
	for by := range told {
		by.lost(s.err)
	}
}

func errConnectionLost(cause error) error {
	return fault.Wrap(cause, fault.Unavailable, "redis.listen", "the connection to the Redis server was lost, and messages may be; subscribe again").WithReason("BACKEND_UNAVAILABLE")
}
