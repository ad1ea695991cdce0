package backend

import (
	"log/slog"
)

// Env is what an instance is told of where it runs. The zero value is good: it discards what it is told.
type Env struct {
	// Instance is the instance's name in the configuration.
	Instance string
	// Log takes what operators should know; never a payload, a key or a secret. Nil discards.
	Log *slog.Logger
	// Status is what /readyz and the metrics show of the instance. Nil discards.
	Status *Status
}

// filled returns an Env in which nothing is nil.
func (e Env) filled() Env {
	if e.Log == nil {
		e.Log = slog.New(slog.DiscardHandler)
	}
	if e.Status == nil {
		e.Status = new(Status)
	}
	return e
}
