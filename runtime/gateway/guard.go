package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
)

// guard does what opens or closes a backend or a pattern. A panic is an error, and the log has the stack: a defect in one must not end the process, which serves others.
func guard(log *slog.Logger, do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			// Go's own text is told. Any other may have a secret of the configuration in it.
			what := fmt.Sprintf("a %T", r)
			var own runtime.Error
			if is, ok := r.(error); ok && errors.As(is, &own) {
				what = own.Error()
			}
			log.Error("a backend or a pattern panicked", "panic", what, "stack", string(debug.Stack()))
			err = fmt.Errorf("it panicked with %s; the log has the stack", what)
		}
	}()
	return do()
}
