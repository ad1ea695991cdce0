// Package check is what the generated checks of requests call: the errors, and the few look-ups that are more than a comparison.
//
// A check that passes allocates nothing, but for [Duplicate] on long lists. The errors are [fault.InvalidArgument] and name the field as the schema writes it,
// with the items of lists and maps: items[3].key, labels["region"]. They quote at most 64 bytes of a string, and never payloads or secrets: for those the
// generator calls [Must].
package check

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"google.golang.org/genproto/googleapis/rpc/errdetails"

	"github.com/prismgate/prism/runtime/fault"
)

// maxQuoted is how many bytes of a string an error quotes: enough to recognize it, too few to fill a log.
const maxQuoted = 64

// Must is the error of a field that does not meet a requirement ("must be set"), without what the field holds.
func Must(field, requirement string) error {
	return fault.Invalid(field, "%s", requirement)
}

// Size is the error of a field that holds too few or too many bytes, characters, items or entries.
func Size(field, requirement string, has int) error {
	return fault.Invalid(field, "%s, has %s", requirement, grouped(has))
}

// Text is the error of a string.
func Text(field, requirement, value string) error {
	return fault.Invalid(field, "%s, has %s", requirement, quote(value))
}

// Value is the error of a number, a boolean, an enum, a duration or a timestamp.
func Value(field, requirement string, value any) error {
	return fault.Invalid(field, "%s, is %v", requirement, value)
}

// At puts the path of a nested message before the field that an error of its check names. The error is the caller's own and is changed.
func At(err error, path string) error {
	var invalid *fault.Error
	if !errors.As(err, &invalid) {
		return err
	}
	invalid.Message = path + "." + invalid.Message
	for _, detail := range invalid.Details {
		request, ok := detail.(*errdetails.BadRequest)
		if !ok {
			continue
		}
		for _, violation := range request.GetFieldViolations() {
			violation.Field = path + "." + violation.GetField()
		}
	}
	return err
}

// Index is the path of an item of a repeated field: keys[3].
func Index(field string, index int) string {
	return field + "[" + strconv.Itoa(index) + "]"
}

// Key is the path of an entry of a map: labels["region"].
func Key(field string, key any) string {
	if text, ok := key.(string); ok {
		return field + "[" + quote(text) + "]"
	}
	return fmt.Sprintf("%s[%v]", field, key)
}

// quote quotes a string, and cuts it where it is long.
func quote(text string) string {
	if len(text) <= maxQuoted {
		return strconv.Quote(text)
	}
	cut := maxQuoted
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return strconv.Quote(text[:cut]) + "…"
}

// grouped writes a number that is not negative as requirements do: 1,024.
func grouped(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// Received returns a function that receives as receive does and checks what comes. After a request that the check refuses, the call is over.
func Received[M any](receive func() (M, error), check func(M) error) func() (M, error) {
	return func() (M, error) {
		request, err := receive()
		if err == nil {
			err = check(request)
		}
		if err != nil {
			var none M
			return none, err
		}
		return request, nil
	}
}
