// Package fault is Prism's one error type: a gRPC code, a sentence for the caller, and what only the log may know.
//
// An implementation returns a [*Error], or a context error, or whatever its send function gave it, untouched. A wrapped cause is for the log: it is in
// [Error.Error] and never travels to a client, because drivers put addresses, statements and sometimes credentials into their messages.
package fault

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Domain is the domain of every reason that Prism itself gives (google.rpc.ErrorInfo).
const Domain = "prism"

// Error is an error with a code. Its fields are set before it is returned and not changed afterwards.
type Error struct {
	// Code says what kind of error it is; never OK.
	Code Code
	// Op is the operation that failed, for the log: "redis.keyvalue.Get".
	Op string
	// Message tells the caller what is wrong and what would be right. It goes over the wire.
	Message string
	// Cause is the error behind this one. It stays on this side of the wire.
	Cause error
	// Details travel with the message: google.rpc.ErrorInfo, RetryInfo, BadRequest.
	Details []proto.Message
}

// New returns an error whose message goes to the caller.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Wrap returns an error with a cause that goes to the log only.
func Wrap(cause error, code Code, op, format string, args ...any) *Error {
	return &Error{Code: code, Op: op, Message: fmt.Sprintf(format, args...), Cause: cause}
}

// Invalid returns an INVALID_ARGUMENT error about one field of a request; field is its path as the schema writes it ("items[3].key").
func Invalid(field, format string, args ...any) *Error {
	description := fmt.Sprintf(format, args...)
	return &Error{
		Code:    InvalidArgument,
		Message: field + ": " + description,
		Details: []proto.Message{&errdetails.BadRequest{
			FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: field, Description: description}},
		}},
	}
}

// WithReason adds a machine-readable reason (google.rpc.ErrorInfo), as pairs of metadata keys and values, and returns e.
func (e *Error) WithReason(reason string, pairs ...string) *Error {
	info := &errdetails.ErrorInfo{Reason: reason, Domain: Domain}
	valid := func(s string) string { return strings.ToValidUTF8(s, "?") } // else the detail could not be encoded
	for i := 0; i+1 < len(pairs); i += 2 {
		if info.Metadata == nil {
			info.Metadata = make(map[string]string, len(pairs)/2)
		}
		info.Metadata[valid(pairs[i])] = valid(pairs[i+1])
	}
	e.Details = append(e.Details, info)
	return e
}

// WithRetry tells the caller after how long a retry may succeed (google.rpc.RetryInfo), and returns e.
func (e *Error) WithRetry(after time.Duration) *Error {
	e.Details = append(e.Details, &errdetails.RetryInfo{RetryDelay: durationpb.New(after)})
	return e
}

// WithOp names the operation that failed, for the log, and returns e.
func (e *Error) WithOp(op string) *Error {
	e.Op = op
	return e
}

// Error is the error as the log shows it: operation, code, message and cause.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Op != "" {
		b.WriteString(e.Op)
		b.WriteString(": ")
	}
	b.WriteString(e.Code.String())
	if e.Message != "" {
		b.WriteString(": ")
		b.WriteString(e.Message)
	}
	if e.Cause != nil {
		b.WriteString(": ")
		b.WriteString(e.Cause.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Reason returns the reason that the error gives, or "".
func (e *Error) Reason() string {
	for _, detail := range e.Details {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}

// CodeOf returns an error's code: OK for nil, else the code that [Public] gives it.
func CodeOf(err error) Code {
	if err == nil {
		return OK
	}
	return Public(err).Code
}

// ReasonOf returns the reason that an error gives, or "".
func ReasonOf(err error) string {
	var fault *Error
	if errors.As(err, &fault) {
		return fault.Reason()
	}
	return ""
}

// Public returns what a client may see of an error, which must not be nil: the outermost [*Error] of it, and CANCELED or DEADLINE_EXCEEDED for the context's
// errors. Any other error is a defect of the implementation, as is a fault whose code is none: the client learns INTERNAL and nothing else, and the cause is kept
// for the log.
func Public(err error) *Error {
	var fault *Error
	switch {
	case errors.As(err, &fault) && fault.Code != OK && fault.Code <= MaxCode:
		return fault
	case errors.Is(err, context.Canceled):
		return &Error{Code: Canceled, Message: "the call was canceled", Cause: err}
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Code: DeadlineExceeded, Message: "the call's deadline has passed", Cause: err}
	}
	return &Error{Code: Internal, Message: "internal error; the gateway's log has the cause", Cause: err}
}
