package main

import (
	"log/slog"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// heapFloor is how much the gateway allocates at least between two garbage collections. Its live heap is a few megabytes, and Go would collect each time that
// it has doubled: dozens of times a second under load, a tenth of the CPU per call. What a backend holds in memory comes on top, and then Go's own rule is the
// larger one.
const heapFloor = 24 << 20

// heapStretch is how much it may allocate at most in between by more than Go's own rule: a gateway of a thousand namespaces has a live heap of some 15 MB, which cost
// seven times as much to look through as that of one namespace.
const heapStretch = 64 << 20

// collectLess keeps heapFloor from now on, unless the operator has decided with GOGC.
func collectLess() {
	if os.Getenv("GOGC") == "" {
		new(collector).afterNext()
	}
}

// memoryShare is how much of a container's memory Go may use; the rest is for stacks of the system, the page cache and what Go does not count.
const memoryShare = 0.9

// limitMemory sets Go's memory limit from the container's, unless the operator has with GOMEMLIMIT. The front takes its bound on buffers from it. Outside of a
// container nothing is set.
func limitMemory(log *slog.Logger) {
	limit, err := memlimit.Set(memlimit.WithProvider(memlimit.FromCgroup), memlimit.WithRatio(memoryShare))
	switch {
	case err != nil:
		log.Debug("no memory limit taken from the container", "reason", err.Error())
	case limit > 0 && limit < math.MaxInt64:
		log.Debug("memory limit", "bytes", limit)
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

// gcPercent is the percentage that lets a heap grow by heapFloor, by three times what it has as long as that is within heapStretch, and by as much as it has at least. It
// comes in steps of 50, since changing it stops the program for a moment.
func gcPercent(live uint64) int {
	const step = 50
	live = max(live, 1<<20)
	growth := max(heapFloor, min(3*live, heapStretch), live)
	return int((growth*100/live + step - 1) / step * step)
}
