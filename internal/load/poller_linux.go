package load

import (
	"errors"
	"fmt"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// poller waits for sockets of one thread. Only wake may be called by others.
type poller struct {
	epoll, waker int
	ready        []unix.EpollEvent
	events       []event
	polled       [1]unix.PollFd
	interval     unix.Timespec
	// keep tells that the thread keeps its place among those that run Go while it waits. To give it up and to get it back takes 10 to 20 us of each answer
	// that is waited for alone. Go's scheduler still interrupts the wait when it wants all threads to stop, since signals end both system calls.
	keep bool
}

// newPoller makes a poller for the calling thread, which the goroutine must be locked to. keep is for when other threads are left to run the rest of the program.
func newPoller(keep bool) (*poller, error) {
	// The kernel may wake a thread 50 us late by default, to save power.
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("cannot set the timer slack: %w", err)
	}
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	waker, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("eventfd: %w", err), unix.Close(epoll))
	}
	p := &poller{epoll: epoll, waker: waker, keep: keep, ready: make([]unix.EpollEvent, 256)}
	if err := p.add(waker); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// add watches for what can be read.
func (p *poller) add(fd int) error {
	return unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

// wantWrite watches, or no longer watches, for room to write.
func (p *poller) wantWrite(fd int, want bool) error {
	events := uint32(unix.EPOLLIN)
	if want {
		events |= unix.EPOLLOUT
	}
	return unix.EpollCtl(p.epoll, unix.EPOLL_CTL_MOD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
}

func (p *poller) remove(fd int) {
	_ = unix.EpollCtl(p.epoll, unix.EPOLL_CTL_DEL, fd, nil) // it is closed next
}

// wait returns what is ready, after at most a time. To the nanosecond, it takes a second system call: epoll counts in milliseconds.
func (p *poller) wait(timeout time.Duration, exact bool) ([]event, error) {
	milliseconds := int((timeout + time.Millisecond - 1) / time.Millisecond)
	if exact && timeout > 0 {
		p.interval = unix.NsecToTimespec(int64(timeout))
		p.polled = [1]unix.PollFd{{Fd: int32(p.epoll), Events: unix.POLLIN}}
		n, err := p.call(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&p.polled)), 1, uintptr(unsafe.Pointer(&p.interval)), 0)
		if n == 0 || errors.Is(err, syscall.EINTR) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("ppoll: %w", err)
		}
		milliseconds = 0
	}
	n, err := p.call(unix.SYS_EPOLL_PWAIT, uintptr(p.epoll), uintptr(unsafe.Pointer(&p.ready[0])), uintptr(len(p.ready)), uintptr(milliseconds))
	switch {
	case errors.Is(err, syscall.EINTR):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("epoll: %w", err)
	}
	p.events = p.events[:0]
	for _, e := range p.ready[:n] {
		if int(e.Fd) == p.waker {
			var count [8]byte
			_, _ = unix.Read(p.waker, count[:]) // being woken is all
			continue
		}
		const gone = unix.EPOLLERR | unix.EPOLLHUP
		p.events = append(p.events, event{int(e.Fd), e.Events&(unix.EPOLLIN|gone) != 0, e.Events&unix.EPOLLOUT != 0})
	}
	return p.events, nil
}

// call makes a system call that may wait. Its pointers are into the poller, which lives on the heap and does not move.
func (p *poller) call(trap, a, b, c, d uintptr) (int, error) {
	invoke := unix.Syscall6
	if p.keep {
		invoke = unix.RawSyscall6
	}
	n, _, errno := invoke(trap, a, b, c, d, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// wake ends the wait of the thread, or its next one.
func (p *poller) wake() {
	one := [8]byte{7: 1, 0: 1} // not 0 in either order of bytes
	_, _ = unix.Write(p.waker, one[:])
}

func (p *poller) close() {
	_ = unix.Close(p.waker)
	_ = unix.Close(p.epoll)
}
