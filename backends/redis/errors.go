package redis

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/prismgate/prism/runtime/fault"
)

// mapped makes an error of the client or the server ours. What is ours already, and the end of the caller's context, stay as they are.
func mapped(caller context.Context, op string, err error) error {
	var ours *fault.Error
	if errors.As(err, &ours) {
		return err
	}
	if ended := caller.Err(); ended != nil {
		return ended
	}
	// A socket's deadline may be noticed before the context's timer.
	if deadline, ok := caller.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	var answered redis.Error
	if !errors.As(err, &answered) {
		return fault.Wrap(err, fault.Unavailable, op, "the Redis server cannot be reached, or did not answer in time").WithReason("BACKEND_UNAVAILABLE")
	}
	// An answer may repeat the arguments of the command, which are keys and values.
	text, _, _ := strings.Cut(err.Error(), ", with args")
	cause := errors.New(text)
	if _, within, ok := strings.Cut(text, ": -"); ok {
		text = within // a script's error, as servers before 7.0 have it
	}
	word, _, _ := strings.Cut(text, " ")
	switch word {
	case "LOADING", "CLUSTERDOWN", "TRYAGAIN", "MASTERDOWN", "READONLY", "NOREPLICAS", "BUSY", "MISCONF", "MOVED", "ASK":
		return fault.Wrap(cause, fault.Unavailable, op, "the Redis server cannot serve the call now").WithReason("BACKEND_UNAVAILABLE")
	case "OOM":
		return fault.Wrap(cause, fault.ResourceExhausted, op, "the Redis server's memory is full; delete something, or raise its maxmemory").WithReason("BACKEND_FULL")
	}
	if strings.HasPrefix(text, "ERR max number of clients") {
		return fault.Wrap(cause, fault.Unavailable, op, "the Redis server has as many connections as it takes").WithReason("BACKEND_UNAVAILABLE")
	}
	return fault.Wrap(cause, fault.Internal, op, "the Redis server refused the call; the gateway's log has its answer")
}

// errClosed is for a call that comes after the end of the instance.
func errClosed() error {
	return fault.New(fault.Unavailable, "the backend's instance is closed").WithReason("BACKEND_UNAVAILABLE")
}
