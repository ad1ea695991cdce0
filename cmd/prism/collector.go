package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// heapFloor is how much the gateway allocates at least between two garbage collections. Its live heap is a few megabytes, and Go would collect each time that
// it has doubled: dozens of times a second under load, a tenth of the CPU per call. What a backend holds in memory comes on top, and then Go's own rule is the
// larger one.
const heapFloor = 24 << 20

// collectLess keeps heapFloor from now on, unless the operator has decided with GOGC.
func collectLess() {
	if os.Getenv("GOGC") == "" {
		new(collector).afterNext()
	}
}

// collector sets the collector's percentage after each collection.
type collector struct{ percent int }

// sentinel is garbage as soon as it is made: its cleanup runs after the next collection.
type sentinel struct{ _ [64]byte }

func (c *collector) afterNext() {
	runtime.AddCleanup(new(sentinel), func(c *collector) {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		if percent := gcPercent(live[0].Value.Uint64()); percent != c.percent {
			c.percent = percent
			debug.SetGCPercent(percent)
		}
		c.afterNext()
	}, c)
}

// gcPercent is the percentage that lets a heap grow by heapFloor, and by as much as it has at least. It comes in steps of 50, since changing it stops the
// program for a moment.
func gcPercent(live uint64) int {
	const step = 50
	percent := heapFloor * 100 / max(live, 1<<20)
	return max(100, int(percent/step*step))
}
