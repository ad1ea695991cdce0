package load

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of the times in /proc/PID/stat: Linux reports them in hundredths of a second on every architecture that Go runs on.
const clockTick = 10 * time.Millisecond

// processCPU returns the user and system time that a process on this machine has taken.
func processCPU(pid int) (time.Duration, error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		if _, none := os.Stat("/proc/self/stat"); none != nil {
			return 0, errors.New("the processor time of a process is read in /proc, which this system does not have; leave the pid out")
		}
		if errors.Is(err, os.ErrNotExist) {
			return 0, fmt.Errorf("there is no process %d on this machine", pid)
		}
		return 0, err
	}
	return parseStat(data)
}

// parseStat reads the contents of /proc/PID/stat.
func parseStat(data []byte) (time.Duration, error) {
	// The name in parentheses may hold anything; behind it the fields are counted from the third one, the state.
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	const user, system = 14 - 3, 15 - 3
	if len(fields) <= system {
		return 0, fmt.Errorf("/proc/PID/stat has %d fields", len(fields))
	}
	sum := int64(0)
	for _, field := range []string{fields[user], fields[system]} {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/PID/stat: %w", err)
		}
		sum += n
	}
	return time.Duration(sum) * clockTick, nil
}

// processesCPU returns the time of several processes together.
func processesCPU(pids []int) (time.Duration, error) {
	sum := time.Duration(0)
	for _, pid := range pids {
		used, err := processCPU(pid)
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}
