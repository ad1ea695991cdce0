package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// tree is a process with those that it has started, and they.
func tree(pid int) []int {
	pids := []int{pid}
	threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid)) // one that is gone has none
	for _, thread := range threads {
		children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, thread.Name()))
		for _, field := range strings.Fields(string(children)) {
			if child, err := strconv.Atoi(field); err == nil {
				pids = append(pids, tree(child)...)
			}
		}
	}
	return pids
}

// moveTo lets a process, and those that it has started, run on some cores only. What they start later inherits that.
func moveTo(pid int, cores ...int) error {
	var set unix.CPUSet
	for _, core := range cores {
		set.Set(core)
	}
	for _, one := range tree(pid) {
		threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", one))
		for _, thread := range threads {
			id, err := strconv.Atoi(thread.Name())
			if err != nil {
				return err
			}
			if err := unix.SchedSetaffinity(id, &set); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("cannot move process %d to the cores %v: %w", one, cores, err)
			}
		}
	}
	return nil
}

// treeCPU returns the user and system time that a process, and those that it has started, have taken. Those that have ended meanwhile are counted where they were waited for.
func treeCPU(pid int) (time.Duration, error) {
	sum := time.Duration(0)
	for i, one := range tree(pid) {
		used, err := processTime(one)
		if err != nil && i == 0 {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}

// processTime is that of one process, and of its children that it has waited for.
func processTime(pid int) (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	const user, childrensSystem = 14 - 3, 17 - 3
	if len(fields) <= childrensSystem {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	return ticks(fields[user : childrensSystem+1]...)
}

// used measures what some processes take while something is done.
func used(pids []int, do func() error) ([]time.Duration, time.Duration, error) {
	before := make([]time.Duration, len(pids))
	for i, pid := range pids {
		var err error
		if before[i], err = treeCPU(pid); err != nil {
			return nil, 0, err
		}
	}
	began := time.Now()
	if err := do(); err != nil {
		return nil, 0, err
	}
	took := time.Since(began)
	for i, pid := range pids {
		after, err := treeCPU(pid)
		if err != nil {
			return nil, 0, err
		}
		before[i] = after - before[i]
	}
	return before, took, nil
}
