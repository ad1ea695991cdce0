package sidecar

import (
	"bytes"
	"log/slog"
	"slices"
	"sync"
)

const (
	// longestLine is where a line is cut.
	longestLine = 8 << 10
	// lastLines is how many lines are kept to say why a process ended.
	lastLines = 3
)

// lines writes what a process writes into a log, line by line.
type lines struct {
	log  *slog.Logger
	from string

	mu   sync.Mutex
	rest []byte
	kept []string
}

// Write never fails.
func (l *lines) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, data...)
	for {
		end := bytes.IndexByte(l.rest, '\n')
		if end < 0 && len(l.rest) < longestLine {
			return len(data), nil
		}
		if end < 0 || end > longestLine {
			l.line(l.rest[:longestLine])
			l.rest = l.rest[longestLine:]
			continue
		}
		l.line(l.rest[:end])
		l.rest = l.rest[end+1:]
	}
}

// flush writes a last line that has no end.
func (l *lines) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.line(l.rest)
	l.rest = nil
}

func (l *lines) line(text []byte) {
	text = bytes.TrimRight(text, "\r")
	if len(text) == 0 {
		return
	}
	l.log.Info(string(text), "from", l.from)
	if len(l.kept) == lastLines {
		l.kept = slices.Delete(l.kept, 0, 1)
	}
	l.kept = append(l.kept, string(text))
}

// last returns the last lines.
func (l *lines) last() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.kept)
}
