//go:build !linux

package sidecar

import (
	"os"
	"syscall"
)

// attributes are none: what Linux does when the gateway ends is left to the process, whose input ends.
func attributes() *syscall.SysProcAttr { return nil }

func terminate(p *os.Process) { _ = p.Signal(syscall.SIGTERM) } // it may be gone already

func killGroup(p *os.Process) { _ = p.Kill() } // it may be gone already

func awaitEnd(*os.Process) bool { return false } // there is no group whose number must not be another's
