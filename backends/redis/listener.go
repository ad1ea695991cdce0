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
	// inVain is the context of exchanges on a connection that is there. The client would replace a lost one before it says so, and have nobody know as long as the server does not answer; under a context
	// that has ended it tries in vain. Nothing else on a connection heeds the end of a context.
	inVain context.Context //nolint:containedctx // it has ended

	mu       sync.Mutex          // nobody waits for the server with it
	sessions map[string]*session // by the node of a cluster; of a single server there is one
}

func newListener(s *Store) *listener {
	inVain, end := context.WithCancel(s.ctx)
	end()
	return &listener{store: s, inVain: inVain, sessions: make(map[string]*session)}
}

// session is one connection.
type session struct {
	node   string
	pubsub *redis.PubSub
	asked  chan struct{} // holds a token when there are commands to send
	over   chan struct{} // closed when it is lost
	heard  atomic.Bool   // something came since the last look

	mu       sync.RWMutex
	err      error // why it is lost
	hearers  map[string]map[hearer]struct{}
	awaited  map[string][]*confirmation // in the order in which the server will confirm
	commands []command                  // to be sent, in the order of what is noted here
}

// command is what a connection has to send for a channel.
type command struct {
	leave   bool
	channel string
}

// confirmation is what the server will send for one command.
type confirmation struct {
	come     chan struct{}
	activate func() // nil when nobody waits for it any more
}

// listen lets somebody hear a channel from now on. It returns when the server has confirmed it. Before, at its place among all that comes, activate is called, if it is not nil.
func (l *listener) listen(ctx context.Context, channel string, by hearer, activate func()) error {
	if err := ctx.Err(); err != nil {
		return err
	}
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

// subscribe has the command for a channel sent on the connection to its node.
func (l *listener) subscribe(ctx context.Context, channel string, by hearer, awaited *confirmation) (*session, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, err := l.session(ctx, channel)
	if err != nil {
		return nil, err
	}
	for _, former := range l.sessions {
		if former != s {
			former.abandon(channel)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hearers[channel] == nil {
		s.hearers[channel] = make(map[hearer]struct{}, 1)
	}
	s.hearers[channel][by] = struct{}{}
	s.awaited[channel] = append(s.awaited[channel], awaited)
	s.send(command{channel: channel})
	return s, nil
}

// session returns the connection for a channel, a new one if there is none. The lock is held.
func (l *listener) session(ctx context.Context, channel string) (*session, error) {
	node, subscribe := "", l.store.client.Subscribe
	if cluster, ok := l.store.client.(*redis.ClusterClient); ok {
		master, err := cluster.MasterForKey(ctx, channel)
		if err != nil {
			return nil, err
		}
		node, subscribe = master.Options().Addr, master.Subscribe
	}
	if found := l.sessions[node]; found != nil && !found.ended() {
		return found, nil
	}
	s := &session{
		node: node, pubsub: subscribe(ctx), asked: make(chan struct{}, 1), over: make(chan struct{}),
		hearers: make(map[string]map[hearer]struct{}), awaited: make(map[string][]*confirmation),
	}
	if !l.store.later(func() { l.serve(s) }) {
		return nil, errClosed()
	}
	l.sessions[node] = s
	return s, nil
}

// serve connects and sends what the session has to send, until the connection is lost.
func (l *listener) serve(s *session) {
	connecting, cancel := context.WithTimeout(l.store.ctx, l.store.timeout)
	defer cancel()
	for ctx := connecting; ; {
		select {
		case <-s.asked:
		case <-s.over:
			return
		case <-l.store.ctx.Done():
			l.end(s, l.store.ctx.Err())
			return
		}
		for _, next := range s.unsent() {
			call := s.pubsub.Subscribe
			if next.leave {
				call = s.pubsub.Unsubscribe
			}
			if err := call(ctx, next.channel); err != nil {
				if ctx == connecting {
					err = mapped(l.store.ctx, "redis.listen", err) // nothing is lost yet
				}
				l.end(s, err)
				return
			}
			if ctx == connecting {
				ctx = l.inVain
				if !l.store.later(func() { l.receive(s) }) || !l.store.later(func() { l.watch(s) }) {
					l.end(s, l.store.ctx.Err())
					return
				}
			}
		}
	}
}

// send has commands sent. The lock is held.
func (s *session) send(next command) {
	s.commands = append(s.commands, next)
	select {
	case s.asked <- struct{}{}:
	default:
	}
}

// unsent takes the commands that are to be sent.
func (s *session) unsent() []command {
	s.mu.Lock()
	defer s.mu.Unlock()
	commands := s.commands
	s.commands = nil
	return commands
}

// ended tells whether the connection is lost.
func (s *session) ended() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.err != nil
}

// abandon ends the hearing of a channel on the connection to a node that is not the channel's any more: what is published comes there late or never, and a second time where it is heard on the
// connection to the new node. The listener's lock is held.
func (s *session) abandon(channel string) {
	s.mu.Lock()
	hearers := s.hearers[channel]
	if len(hearers) > 0 {
		delete(s.hearers, channel)
		s.send(command{leave: true, channel: channel})
	}
	s.mu.Unlock()
	for by := range hearers {
		by.lost(errMoved())
	}
}

// follow abandons the channels whose namespaces have moved to another node of a cluster.
func (l *listener) follow(s *session) {
	cluster, ok := l.store.client.(*redis.ClusterClient)
	if !ok {
		return
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
		s.abandon(channel)
		l.mu.Unlock()
	}
}

// leave lets somebody hear a channel no more.
func (l *listener) leave(channel string, by hearer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.sessions {
		if s.remove(channel, by) {
			return
		}
	}
}

// remove takes out somebody who hears a channel, and with the last one leaves it. It tells whether somebody was there.
func (s *session) remove(channel string, by hearer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, heard := s.hearers[channel][by]; !heard {
		return false
	}
	delete(s.hearers[channel], by)
	if len(s.hearers[channel]) == 0 {
		delete(s.hearers, channel)
		s.send(command{leave: true, channel: channel})
	}
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
		got, err := s.pubsub.Receive(l.inVain)
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
	var quiet silence
	for {
		select {
		case <-ticker.C:
		case <-s.over:
			return
		case <-l.store.ctx.Done():
			l.end(s, l.store.ctx.Err())
			return
		}
		l.follow(s)
		ask, dead := quiet.look(s.heard.Swap(false))
		if dead {
			l.end(s, errors.New("the server says nothing"))
			return
		}
		if ask {
			if err := s.pubsub.Ping(l.inVain); err != nil {
				l.end(s, err)
				return
			}
		}
	}
}

// silence is how often in a row nothing was heard.
type silence int

// look tells what a look at what was heard since the last one means: whether to ask for a sign of life, and whether the connection is dead. A machine may stop for a moment, this one too, and then looks before
// it has read what has come; so there must be an answer not at the next look, but at the one after it.
func (s *silence) look(heard bool) (ask, dead bool) {
	if *s++; heard {
		*s = 0
	}
	return *s == 1, *s == 3
}

// end ends a session and tells all who listened.
func (l *listener) end(s *session, cause error) {
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return
	}
	var ours *fault.Error
	var answered redis.Error
	switch {
	case errors.As(cause, &ours):
		s.err = cause
	case errors.As(cause, &answered): // it refused a command
		s.err = mapped(l.store.ctx, "redis.listen", cause)
	default:
		s.err = errConnectionLost(cause)
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
	for by := range told {
		by.lost(s.err)
	}
	_ = s.pubsub.Close() // it is lost
}

func errMoved() error {
	return fault.New(fault.Unavailable, "the namespace has moved to another node of the Redis Cluster, and messages may be lost; subscribe again").
		WithOp("redis.listen").WithReason("BACKEND_UNAVAILABLE")
}

func errConnectionLost(cause error) error {
	return fault.Wrap(cause, fault.Unavailable, "redis.listen", "the connection to the Redis server was lost, and messages may be; subscribe again").WithReason("BACKEND_UNAVAILABLE")
}
