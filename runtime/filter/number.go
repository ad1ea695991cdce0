package filter

import (
	"strconv"
	"strings"
)

// largest is the power of ten of the largest double, 1.8e308.
const largest = 308

// number reads an attribute as double() does: a decimal number with sign, fraction and exponent if need be. One that is beyond the largest double is none,
// for there are no infinities.
func number(s string) (float64, bool) {
	magnitude, ok := decimal(s)
	if !ok || magnitude > largest {
		return 0, false // ParseFloat would refuse it too, but with an error that copies the attribute
	}
	value, err := strconv.ParseFloat(s, 64)
	return value, err == nil
}

// decimal tells whether s is a decimal number, and the power of ten of its first digit that is not 0: 2 for 123, -1 for 0.5. ParseFloat alone would not
// do, because it also takes hexadecimal numbers, underscores, "Inf" and "NaN".
func decimal(s string) (magnitude int, ok bool) {
	whole, rest := digits(unsigned(s))
	fraction := ""
	if strings.HasPrefix(rest, ".") {
		fraction, rest = digits(rest[1:])
	}
	if whole == "" && fraction == "" {
		return 0, false
	}
	if rest != "" && (rest[0] == 'e' || rest[0] == 'E') {
		var exponent string
		sign := rest[1:]
		exponent, rest = digits(unsigned(sign))
		if exponent == "" {
			return 0, false
		}
		magnitude = power(exponent)
		if sign[0] == '-' {
			magnitude = -magnitude
		}
	}
	if significant := strings.TrimLeft(whole, "0"); significant != "" {
		magnitude += len(significant) - 1
	} else if significant := strings.TrimLeft(fraction, "0"); significant != "" {
		magnitude -= len(fraction) - len(significant) + 1
	} else {
		magnitude = 0
	}
	return magnitude, rest == ""
}

// unsigned returns s without the sign that it may start with.
func unsigned(s string) string {
	if s != "" && (s[0] == '+' || s[0] == '-') {
		return s[1:]
	}
	return s
}

// digits splits s behind the decimal digits that it starts with.
func digits(s string) (start, rest string) {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return s[:n], s[n:]
}

// power reads an exponent. One with more digits than any double has does not overflow: it stays large.
func power(digits string) int {
	const enough = 1_000_000
	n := 0
	for i := range len(digits) {
		n = min(10*n+int(digits[i]-'0'), enough)
	}
	return n
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
