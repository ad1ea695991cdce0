//go:build !unix

package h2

// canPoll tells that file descriptors can be read when they are ready.
const canPoll = false

func (in *input) readFD(uintptr) bool { return true }
