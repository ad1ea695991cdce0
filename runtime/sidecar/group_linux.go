package sidecar

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// attributes put a process into a group of its own, so that a signal of the terminal ends the gateway only, which ends the sidecar when its calls are done. The process
// is killed when the gateway ends.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

func terminate(p *os.Process) { _ = p.Signal(syscall.SIGTERM) } // it may be gone already

// killGroup kills a process and what it has started.
func killGroup(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGKILL) } // it may be gone already

// awaitEnd waits until a process has ended, and leaves its number to it, which stands for its group too. It tells whether it did.
func awaitEnd(p *os.Process) bool {
	for {
		if err := unix.Waitid(unix.P_PID, p.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil); !errors.Is(err, syscall.EINTR) {
			return err == nil
		}
	}
}
