// Package rpc uses what it must not.
package rpc

import (
	"context"
	clock "time"
)

// Run does everything wrong.
func Run() context.Context {
	sleep := clock.Sleep
	sleep(1)
	if ctx := context.TODO(); ctx == nil {
		panic("no context")
	}
	return context.Background()
}
