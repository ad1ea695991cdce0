//go:build !unix

package load

import (
	"errors"
	"fmt"
	"net"
	"time"
)

var errNoSockets = fmt.Errorf("a load generator needs the sockets of Unix: %w", errors.ErrUnsupported)

func adopt(net.Conn) (int, error) { return -1, errNoSockets }

func readSocket(int, []byte) (int, error) { return 0, errNoSockets }

func writeSocket(int, []byte) (int, error) { return 0, errNoSockets }

func closeSocket(int) {}

func ownCPU() int64 { return 0 }

// poller is there on Unix.
type poller struct{}

func newPoller(bool) (*poller, error) { return nil, errNoSockets }

func (*poller) add(int) error { return errNoSockets }

func (*poller) wantWrite(int, bool) error { return errNoSockets }

func (*poller) remove(int) {}

func (*poller) wait(time.Duration, bool) ([]event, error) { return nil, errNoSockets }

func (*poller) wake() {}

func (*poller) close() {}
