package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// place is where a process runs.
type place struct {
	// cores are those that it may run on.
	cores []int
	// yields lets everybody else go first: for a load that must not hold up the thread which measures.
	yields bool
}

// start starts a process at a place. A child inherits the affinity and the policy of the thread that made it.
func (p place) start(command *exec.Cmd) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with what was changed of it
		err := pin(p.cores...)
		if err == nil && p.yields {
			err = yield()
		}
		if err == nil {
			err = command.Start()
		}
		result <- err
	}()
	return <-result
}

// pin pins the calling thread to some cores.
func pin(cores ...int) error {
	var set unix.CPUSet
	for _, core := range cores {
		set.Set(core)
	}
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("cannot pin to the cores %v: %w", cores, err)
	}
	return nil
}

// yield lets the calling thread run when nobody else wants its core. Whoever wakes up takes the core from it at once.
func yield() error {
	if err := unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}, 0); err != nil {
		return fmt.Errorf("cannot lower the priority: %w", err)
	}
	return nil
}

// pinSelf pins every thread that this process has, and so every one that it will have.
func pinSelf(core int) error {
	var pinned []string
	for {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		found := len(pinned)
		for _, thread := range threads {
			if slices.Contains(pinned, thread.Name()) {
				continue
			}
			id, err := strconv.Atoi(thread.Name())
			if err != nil {
				return err
			}
			var set unix.CPUSet
			set.Set(core)
			if err := unix.SchedSetaffinity(id, &set); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("cannot pin to core %d: %w", core, err)
			}
			pinned = append(pinned, thread.Name())
		}
		if len(pinned) == found {
			return nil
		}
	}
}

// allowedCores are the cores that this process may run on.
func allowedCores() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, err
	}
	var cores []int
	for core := range len(set) * strconv.IntSize {
		if set.IsSet(core) {
			cores = append(cores, core)
		}
	}
	return cores, nil
}

// clockTick is the unit of the times in /proc/PID/stat: Linux reports them in hundredths of a second on every architecture that Go runs on.
const clockTick = 10 * time.Millisecond

// coreBusy returns the time that a core has spent on processes and on other machines (steal), but not on interrupts.
func coreBusy(core int) (time.Duration, error) {
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) > 8 && fields[0] == "cpu"+strconv.Itoa(core) {
			return ticks(fields[1], fields[2], fields[3], fields[8]) // user, nice, system, steal
		}
	}
	return 0, fmt.Errorf("/proc/stat has no cpu%d; choose --server-core", core)
}

func ticks(fields ...string) (time.Duration, error) {
	sum := 0
	for _, field := range fields {
		n, err := strconv.Atoi(field)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return time.Duration(sum) * clockTick, nil
}
