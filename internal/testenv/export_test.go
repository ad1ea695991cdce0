package testenv

// Children are the processes that a process has started.
func Children(pid int) []int { return children(pid) }
