package postgres

import (
	"context"
	"crypto/rand"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/prismgate/prism/runtime/fault"
)

const (
	// quiet is how long the listening connection may be silent before the server is asked whether it is there.
	quiet = 5 * time.Second
	// connectAgain is the pause before a listening connection that was lost is made anew.
	connectAgain = 500 * time.Millisecond
	// marker begins a notification that only tells its sender how far it has read.
	marker = "!"
)

// listener holds the one connection through which an instance hears notifications. It is made when somebody waits for the first time. What it hears comes in the order in which the
// server's transactions ended.
type listener struct {
	store    *Store
	instance string // tells this instance's notifications from others'

	mu      sync.Mutex
	spaces  map[int32]*space
	running bool
	wanted  map[string]*pubSub // channels, and who hears them
	joining []*joining         // not asked yet
	rouse   context.CancelFunc // has the connection look at what is wanted; nil while it is not waiting
}

// space is what is known here of a namespace.
type space struct {
	queue  *queue
	pubSub *pubSub
}

// joining is a subscription that is to become active.
type joining struct {
	channel  string
	activate func()
	done     chan error // has room for one
}

func newListener(store *Store) *listener {
	return &listener{store: store, instance: rand.Text()[:12], spaces: make(map[int32]*space), wanted: make(map[string]*pubSub)}
}

// register makes a model of a namespace known, for wakes.
func (l *listener) register(namespace int32, add func(*space)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.spaces[namespace] == nil {
		l.spaces[namespace] = &space{}
	}
	add(l.spaces[namespace])
}

func (l *listener) space(namespace int32) *space {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.spaces[namespace]
}

// awaitWakes makes sure that wakes are heard, sooner or later.
func (l *listener) awaitWakes() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.start()
}

// start starts to listen, unless it is under way. The lock is held.
func (l *listener) start() {
	if !l.running && l.store.ctx.Err() == nil {
		l.running = true
		l.store.wait.Go(l.run)
	}
}

// join has a channel heard, and calls activate when all is read that was sent before.
func (l *listener) join(ctx context.Context, channel string, p *pubSub, activate func()) error {
	j := &joining{channel: channel, activate: activate, done: make(chan error, 1)}
	l.mu.Lock()
	l.wanted[channel] = p
	l.joining = append(l.joining, j)
	l.start()
	if l.rouse != nil {
		l.rouse()
	}
	l.mu.Unlock()
	select {
	case err := <-j.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-l.store.ctx.Done():
		return errClosed()
	}
}

// leave has a channel not heard any more.
func (l *listener) leave(channel string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.wanted, channel)
	if l.rouse != nil {
		l.rouse()
	}
}

// run connects and listens until the instance is closed.
func (l *listener) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for said := false; ; {
		select {
		case <-timer.C:
		case <-l.store.ctx.Done():
			l.endAll()
			return
		}
		connected, err := l.connectAndListen()
		timer.Reset(connectAgain)
		if l.store.ctx.Err() != nil {
			continue
		}
		if connected || !said { // a server may be away for long
			l.store.env.Log.Warn("the connection that listens for notifications is lost; it is made anew", slog.Any("error", err))
			said = true
		}
		l.lost(err)
	}
}

// connectAndListen listens as long as it can. It tells whether it could at all.
func (l *listener) connectAndListen() (connected bool, err error) {
	connecting, cancel := context.WithTimeout(l.store.ctx, l.store.timeout)
	conn, err := l.store.dial(connecting)
	cancel()
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.PgConn().Conn().Close() }()
	s := &listening{listener: l, conn: conn, heard: make(map[string]bool), marked: make(map[string][]*joining)}
	err = s.run(l.store.ctx)
	for _, waiting := range s.marked {
		for _, j := range waiting {
			j.done <- errLost(err)
		}
	}
	return true, err
}

// lost ends what depends on the connection.
func (l *listener) lost(cause error) {
	l.mu.Lock()
	waiting := l.joining
	l.joining = nil
	heard := make([]*pubSub, 0, len(l.wanted))
	for _, p := range l.wanted {
		heard = append(heard, p)
	}
	l.mu.Unlock()
	for _, j := range waiting {
		j.done <- errLost(cause)
	}
	for _, p := range heard {
		p.hub.End(errLost(cause))
	}
}

// endAll ends all streams: the instance is closed.
func (l *listener) endAll() {
	l.mu.Lock()
	var open []*pubSub
	for _, at := range l.spaces {
		if at.pubSub != nil {
			open = append(open, at.pubSub)
		}
	}
	l.mu.Unlock()
	for _, p := range open {
		p.hub.Close(errClosed())
	}
}

// takeJoining returns what is to be asked for, and which channels are wanted and not heard, or heard and not wanted.
func (l *listener) takeJoining(heard map[string]bool) (asked []*joining, listen, unlisten []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	asked, l.joining = l.joining, nil
	for channel := range heard {
		if l.wanted[channel] == nil {
			unlisten = append(unlisten, channel)
		}
	}
	for _, j := range asked {
		if !heard[j.channel] {
			listen = append(listen, j.channel)
		}
	}
	return asked, listen, unlisten
}

// waiting returns a context that ends when there is something to ask for.
func (l *listener) waiting(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, quiet)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rouse = cancel
	if len(l.joining) > 0 {
		cancel()
	}
	return ctx, cancel
}

// listening is one listening connection.
type listening struct {
	listener *listener
	conn     *pgx.Conn
	heard    map[string]bool
	markers  uint64
	marked   map[string][]*joining // those that wait until a marker is read
}

func (s *listening) run(ctx context.Context) error {
	if err := s.exec(ctx, "listen "+pgx.Identifier{s.listener.store.wakeChannel()}.Sanitize()); err != nil {
		return err
	}
	for {
		if err := s.ask(ctx); err != nil {
			return err
		}
		waiting, cancel := s.listener.waiting(ctx)
		notification, err := s.conn.WaitForNotification(waiting)
		over := waiting.Err()
		cancel()
		switch {
		case err == nil:
			s.hear(notification)
		case ctx.Err() != nil:
			return ctx.Err()
		case over == nil || s.conn.IsClosed():
			return err
		case over == context.DeadlineExceeded:
			if err := s.exec(ctx, ""); err != nil {
				return err
			}
		}
	}
}

// ask has the server send what is wanted. A marker, which comes behind all that was sent before, tells from where on it is for those who join.
func (s *listening) ask(ctx context.Context) error {
	asked, listen, unlisten := s.listener.takeJoining(s.heard)
	var sql strings.Builder
	for _, channel := range listen {
		sql.WriteString("listen " + pgx.Identifier{channel}.Sanitize() + ";")
		s.heard[channel] = true
	}
	for _, channel := range unlisten {
		sql.WriteString("unlisten " + pgx.Identifier{channel}.Sanitize() + ";")
		delete(s.heard, channel)
	}
	if len(asked) > 0 {
		s.markers++
		text := marker + s.listener.instance + " " + strconv.FormatUint(s.markers, 10)
		s.marked[text] = asked
		sql.WriteString(withoutDiskSQL + "; notify " + pgx.Identifier{s.listener.store.wakeChannel()}.Sanitize() + ", '" + text + "'")
	}
	if sql.Len() == 0 {
		return nil
	}
	return s.exec(ctx, sql.String())
}

// exec runs statements of the listener's own making, which are one transaction.
func (s *listening) exec(ctx context.Context, sql string) error {
	bounded, cancel := context.WithTimeout(ctx, s.listener.store.timeout)
	defer cancel()
	_, err := s.conn.Exec(bounded, sql, pgx.QueryExecModeSimpleProtocol)
	return err
}

func (s *listening) hear(notification *pgconn.Notification) {
	l := s.listener
	if asked, ok := s.marked[notification.Payload]; ok {
		delete(s.marked, notification.Payload)
		for _, j := range asked {
			j.activate()
			j.done <- nil
		}
		return
	}
	if notification.Channel == l.store.wakeChannel() {
		l.woken(notification.Payload)
		return
	}
	l.mu.Lock()
	p := l.wanted[notification.Channel]
	l.mu.Unlock()
	if p != nil {
		p.hear(notification.Payload)
	}
}

func errLost(cause error) error {
	return fault.Wrap(cause, fault.Unavailable, "postgres.pubsub", "the connection to the database is lost, and messages may be lost with it; subscribe again")
}

func errClosed() error {
	return fault.New(fault.Unavailable, "the gateway stops, and messages may be lost; subscribe again").WithOp("postgres.pubsub")
}
