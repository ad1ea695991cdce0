package observe

import (
	"log/slog"
	"sync"
	"time"
)

// A second has at most maxLines lines of calls: what goes wrong with one call goes wrong with thousands, and the log of those is as much as the log of a hundred.
// The last keptLines of them are for the gateway's own errors, which a flood of refusals must not hide.
const (
	maxLines  = 100
	keptLines = 20
)

// limiter bounds how many lines a second has.
type limiter struct {
	// report is told how many lines were left out in a second that had too many.
	report func(left int)

	mu    sync.Mutex
	begin time.Time // of the second
	taken int
	left  int
	timer *time.Timer // reports; nil when nothing was left out
}

func newLimiter(report func(left int)) *limiter { return &limiter{report: report} }

// take tells whether there is room for a line.
func (l *limiter) take(level slog.Level) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if now.Sub(l.begin) >= time.Second {
		l.begin, l.taken = now, 0
	}
	most := maxLines
	if level < slog.LevelError {
		most -= keptLines
	}
	if l.taken >= most {
		l.left++
		if l.timer == nil {
			l.timer = time.AfterFunc(l.begin.Add(time.Second).Sub(now), l.tell)
		}
		return false
	}
	l.taken++
	return true
}

// tell reports what was left out.
func (l *limiter) tell() {
	l.mu.Lock()
	left := l.left
	l.left, l.timer = 0, nil
	l.mu.Unlock()
	if left > 0 {
		l.report(left)
	}
}

// close reports what nobody was told of yet.
func (l *limiter) close() {
	l.mu.Lock()
	if l.timer != nil {
		l.timer.Stop()
	}
	l.mu.Unlock()
	l.tell()
}
