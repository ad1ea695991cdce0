package main

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"
)

// journal is what a server writes to its standard error while it runs.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write appends, for the process.
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

// String is everything that was written.
func (j *journal) String() string { return j.since(0) }

// length is how much was written until now.
func (j *journal) length() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Len()
}

// since is what was written after the first so many bytes.
func (j *journal) since(length int) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return string(j.text.Bytes()[length:])
}

// await waits until a text was written after the first so many bytes, and returns its line. It looks twice a millisecond.
func (j *journal) await(ctx context.Context, length int, text string, patience time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		written := []byte(j.since(length))
		if at := bytes.Index(written, []byte(text)); at >= 0 {
			if end := bytes.IndexByte(written[at:], '\n'); end >= 0 {
				return string(written[bytes.LastIndexByte(written[:at], '\n')+1 : at+end]), nil
			}
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("the server has not said %q; it said: %s", text, written)
		case <-time.After(500 * time.Microsecond):
		}
	}
}
