package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/prismgate/prism/runtime/fault"
)

// usageError is a command line that cannot be carried out as it is written.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

// callError is what a gateway answered, or why it did not.
type callError struct {
	fault *fault.Error
	// advice is for people only; or "".
	advice string
}

func (e *callError) Error() string { return e.fault.Error() }

func (e *callError) Unwrap() error { return e.fault }

// toldError is a failure that the command has told already, in its own form.
type toldError struct{}

func (toldError) Error() string { return "it failed, as was told" }

// outcome is how a command ended.
type outcome struct {
	// command is the command line's path: "prism registry backends find".
	command string
	// asJSON tells that errors of calls are to be printed as JSON.
	asJSON bool
	err    error
}

// report prints what went wrong, if anything, and returns the exit code.
func (o outcome) report(w io.Writer) int {
	var (
		usage *usageError
		call  *callError
	)
	switch {
	case o.err == nil:
		return exitOK
	case errors.As(o.err, new(toldError)):
	case errors.As(o.err, &usage):
		fmt.Fprintf(w, "prism: %s\nRun '%s --help' for usage.\n", printable(usage.message), o.command)
		return exitUsage
	case errors.As(o.err, &call) && o.asJSON:
		if err := writeFault(w, call.fault); err != nil {
			fmt.Fprintln(w, "prism:", err)
		}
	case errors.As(o.err, &call):
		fmt.Fprintf(w, "prism: %s: %s\n", call.fault.Code, printable(call.fault.Message))
		if call.advice != "" {
			fmt.Fprintln(w, call.advice)
		}
	default:
		fmt.Fprintf(w, "prism: %s\n", printable(o.err.Error()))
	}
	return exitFailed
}

// printable escapes what would move a terminal's cursor or change its colours: messages repeat what others have written.
func printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
