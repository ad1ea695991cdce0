package provider

import (
	"context"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"
)

// start is what begins a call: a CallStart.
type start struct {
	namespace, procedure string
	header               metadata
	// timed tells that the call has a deadline, after timeout.
	timed   bool
	timeout time.Duration
}

// appendStart appends a CallStart without its frame.
func appendStart(message []byte, ctx context.Context, namespace string, m *rpc.Method) ([]byte, error) { //nolint:revive // the message comes first, as in every append
	message = appendBytes(message, 1, namespace)
	message = appendBytes(message, 2, m.Procedure)
	var header metadata
	for name, value := range rpc.CallFrom(ctx).Header.All() {
		if !ofTransport(name) {
			header = append(header, entry{name, value})
		}
	}
	if len(header) > 0 {
		message = header.appendTo(message, 3)
	}
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		if left <= 0 {
			return nil, context.DeadlineExceeded
		}
		seconds, nanos := uint64(left/time.Second), uint64(left%time.Second) //nolint:gosec // it is positive
		size := 0
		if seconds > 0 {
			size += 1 + protowire.SizeVarint(seconds)
		}
		if nanos > 0 {
			size += 1 + protowire.SizeVarint(nanos)
		}
		message = protowire.AppendVarint(appendTag(message, 4, protowire.BytesType), uint64(size)) //nolint:gosec // it is a length
		message = appendNumber(appendNumber(message, 1, seconds), 2, nanos)
	}
	return appendNumber(message, 6, uint64(m.Idempotency)), nil
}

// readStart reads a CallStart.
func readStart(message []byte) (s start, err error) {
	err = eachField(message, func(n number, value field) (err error) {
		switch n {
		case 1:
			s.namespace, err = text("the namespace", value)
		case 2:
			s.procedure, err = text("the procedure", value)
		case 3:
			err = s.header.read(value.bytes)
		case 4:
			s.timed = true
			s.timeout, err = readDuration(value.bytes)
		}
		return err
	})
	return s, err
}

// longest is the longest timeout that is kept to: no process runs longer.
const longest = 100 * 365 * 24 * time.Hour

func readDuration(message []byte) (time.Duration, error) {
	var seconds, nanos int64
	err := eachField(message, func(n number, value field) error {
		switch n {
		case 1:
			seconds = int64(value.number) //nolint:gosec // that is how it is encoded
		case 2:
			nanos = int64(value.number) //nolint:gosec // as above
		}
		return nil
	})
	switch {
	case err != nil:
		return 0, err
	case nanos <= -int64(time.Second) || nanos >= int64(time.Second):
		return 0, broken("a timeout has %d nanoseconds beside its seconds", nanos)
	case seconds > int64(longest/time.Second):
		return longest, nil
	case seconds < 0:
		return -1, nil
	}
	return time.Duration(seconds)*time.Second + time.Duration(nanos), nil
}

// outcome is how a call ended: a CallResponse.
type outcome struct {
	err     error
	trailer metadata
}

// appendOutcome appends a CallResponse without its frame.
func appendOutcome(message []byte, err error, trailer metadata) []byte {
	if err != nil {
		public := fault.Public(err)
		message = appendNumber(message, 1, uint64(public.Code))
		message = appendBytes(message, 2, validText(public.Message, maxMetadata/4))
		if details := encodeDetails(public); len(details) <= maxMetadata/2 {
			message = appendBytes(message, 3, details)
		}
	}
	return trailer.appendTo(message, 4)
}

// readOutcome reads a CallResponse.
func readOutcome(message []byte) (o outcome, err error) {
	if len(message) == 0 {
		return o, nil
	}
	var code uint64
	var what string
	var details []byte
	err = eachField(message, func(n number, value field) (err error) {
		switch n {
		case 1:
			code = value.number
		case 2:
			what, err = text("an error's message", value)
		case 3:
			details = value.bytes
		case 4:
			err = o.trailer.read(value.bytes)
		}
		return err
	})
	if err == nil && code != uint64(fault.OK) {
		o.err = decodeFault(code, what, details)
	}
	return o, err
}
