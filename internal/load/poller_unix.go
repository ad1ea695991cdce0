//go:build unix && !linux

package load

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// poller waits for sockets of one thread, with poll(2), which every Unix has. Only wake may be called by others.
type poller struct {
	waker  [2]int
	polled []unix.PollFd
	events []event
}

func newPoller(bool) (*poller, error) {
	p := new(poller)
	if err := unix.Pipe(p.waker[:]); err != nil {
		return nil, fmt.Errorf("pipe: %w", err)
	}
	if err := errors.Join(unix.SetNonblock(p.waker[0], true), unix.SetNonblock(p.waker[1], true)); err != nil {
		p.close()
		return nil, fmt.Errorf("pipe: %w", err)
	}
	return p, p.add(p.waker[0])
}

func (p *poller) add(fd int) error {
	p.polled = append(p.polled, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	return nil
}

func (p *poller) wantWrite(fd int, want bool) error {
	for i := range p.polled {
		if p.polled[i].Fd == int32(fd) {
			p.polled[i].Events = unix.POLLIN
			if want {
				p.polled[i].Events |= unix.POLLOUT
			}
		}
	}
	return nil
}

func (p *poller) remove(fd int) {
	for i := range p.polled {
		if p.polled[i].Fd == int32(fd) {
			p.polled = append(p.polled[:i], p.polled[i+1:]...)
			return
		}
	}
}

// wait returns what is ready, after at most a time. poll counts in milliseconds, so that when it has to be exact the last of them is spent on asking again and again.
func (p *poller) wait(timeout time.Duration, exact bool) ([]event, error) {
	milliseconds := int((timeout + time.Millisecond - 1) / time.Millisecond)
	if exact {
		milliseconds = int(timeout / time.Millisecond)
	}
	if _, err := unix.Poll(p.polled, milliseconds); err != nil {
		if errors.Is(err, syscall.EINTR) {
			return nil, nil
		}
		return nil, fmt.Errorf("poll: %w", err)
	}
	p.events = p.events[:0]
	for _, polled := range p.polled {
		switch {
		case polled.Revents == 0:
		case int(polled.Fd) == p.waker[0]:
			var taken [64]byte
			_, _ = unix.Read(p.waker[0], taken[:]) // being woken is all
		default:
			const gone = unix.POLLERR | unix.POLLHUP | unix.POLLNVAL
			p.events = append(p.events, event{int(polled.Fd), polled.Revents&(unix.POLLIN|gone) != 0, polled.Revents&unix.POLLOUT != 0})
		}
	}
	return p.events, nil
}

func (p *poller) wake() { _, _ = unix.Write(p.waker[1], []byte{1}) }

func (p *poller) close() {
	_ = unix.Close(p.waker[0])
	_ = unix.Close(p.waker[1])
}
