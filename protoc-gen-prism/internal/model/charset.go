package model

import (
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// Charset is a regular expression of the form ^[class]{min,max}$ whose class is ASCII: a table look-up for each byte decides it.
type Charset struct {
	// Text is the class as the schema writes it: "A-Za-z0-9._-".
	Text string
	// Pairs are the class's ranges, first and last byte of each: "--..09AZ__az".
	Pairs string
	// Size bounds the characters, which are bytes.
	Size Size
}

// charsetOf returns the charset that a regular expression stands for, if it is of that form.
func charsetOf(pattern string) (Charset, bool) {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil || parsed.Op != syntax.OpConcat || len(parsed.Sub) != 3 {
		return Charset{}, false
	}
	first, middle, last := parsed.Sub[0], parsed.Sub[1], parsed.Sub[2]
	if first.Op != syntax.OpBeginText || last.Op != syntax.OpEndText {
		return Charset{}, false
	}
	class, size := quantifier(middle)
	if class.Op != syntax.OpCharClass || class.Flags&syntax.FoldCase != 0 {
		return Charset{}, false
	}
	var pairs strings.Builder
	for _, r := range class.Rune {
		if r >= utf8.RuneSelf {
			return Charset{}, false
		}
		pairs.WriteByte(byte(r))
	}
	open, closed := strings.IndexByte(pattern, '['), strings.LastIndexByte(pattern, ']')
	if open < 0 || closed < open {
		return Charset{}, false
	}
	return Charset{Text: pattern[open+1 : closed], Pairs: pairs.String(), Size: size}, true
}

// quantifier takes a repetition apart.
func quantifier(r *syntax.Regexp) (*syntax.Regexp, Size) {
	switch r.Op {
	case syntax.OpStar:
		return r.Sub[0], Size{}
	case syntax.OpPlus:
		return r.Sub[0], Size{Min: 1}
	case syntax.OpQuest:
		return r.Sub[0], Size{Max: 1, Bounded: true}
	case syntax.OpRepeat:
		return r.Sub[0], Size{Min: uint64(r.Min), Max: uint64(max(r.Max, 0)), Bounded: r.Max >= 0}
	default:
		return r, Size{Min: 1, Max: 1, Bounded: true}
	}
}

// both returns the bounds that hold where two do.
func (s Size) both(other Size) Size {
	s.Min = max(s.Min, other.Min)
	switch {
	case !s.Bounded:
		s.Max, s.Bounded = other.Max, other.Bounded
	case other.Bounded:
		s.Max = min(s.Max, other.Max)
	}
	return s
}
