package filter

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// escape returns how long the escape is that s starts with; 0 if CEL has none of its kind, or if it stands for no character.
func escape(s string) int {
	if len(s) < 2 {
		return 0
	}
	switch c := s[1]; {
	case strings.IndexByte("abfnrtv\"'\\?`", c) >= 0:
		return 2
	case c == 'x', c == 'X':
		return character(s, 2, 2, 16)
	case c == 'u':
		return character(s, 2, 4, 16)
	case c == 'U':
		return character(s, 2, 8, 16)
	case '0' <= c && c <= '3':
		return character(s, 1, 3, 8)
	}
	return 0
}

// character returns where the n digits from a byte on end, if they are the number of a character, else 0.
func character(s string, from, n, base int) int {
	end := from + n
	if len(s) < end {
		return 0
	}
	c, err := strconv.ParseUint(s[from:end], base, 32)
	if err != nil || c > utf8.MaxRune || !utf8.ValidRune(rune(c)) {
		return 0
	}
	return end
}
