package filter

import (
	"strings"
	"unicode/utf8"
)

// whiteSpace may stand between tokens.
const whiteSpace = " \t\r\n\f"

// scan checks what must be known before the parser gets the text: its limits, that each bracket is closed, and that each token is one of the subset. CEL has
// more of them, such as raw strings, bytes, hexadecimal numbers and comments, and the syntax tree does not tell them apart.
func scan(text string) *refusal {
	if len(text) > MaxBytes {
		return refuse(MaxBytes, "the filter has %d bytes and may have %d", len(text), MaxBytes)
	}
	s := scanner{text: text}
	for s.at < len(text) {
		if err := s.token(); err != nil {
			return err
		}
	}
	if n := len(s.open); n > 0 {
		return refuse(s.open[n-1].at, "this bracket is not closed")
	}
	return nil
}

// scanner walks over the tokens of a filter.
type scanner struct {
	text string
	// at is where the next token starts.
	at int
	// last is the token before it.
	last token
	// open are the brackets that are not closed yet, and groups how many of them are parentheses that group.
	open   []bracket
	groups int
	// comparisons counts the comparisons, and the functions but double().
	comparisons int
}

type token struct {
	kind tokenKind
	at   int
	text string
}

type tokenKind int

const (
	symbol tokenKind = iota // an operator, a point, a comma, a bracket that opens; and the start of the text
	name                    // an identifier
	value                   // a string, a number, a bracket that closes
)

type bracket struct {
	at    int
	char  byte
	group bool
	// comparisons is how many there were before it.
	comparisons int
}

// token steps over the next token and the white space before it.
func (s *scanner) token() *refusal {
	rest := s.text[s.at:]
	c := rest[0]
	switch {
	case strings.IndexByte(whiteSpace, c) >= 0:
		s.at++
		return nil
	case isLetter(c):
		return s.name()
	case isDigit(c), c == '.' && len(rest) > 1 && isDigit(rest[1]):
		return s.number()
	case c == '"', c == '\'':
		return s.string()
	case c == '(', c == '[':
		return s.opening()
	case c == ')', c == ']':
		return s.closing()
	}
	for _, operator := range []string{"==", "!=", "<=", ">=", "<", ">"} {
		if strings.HasPrefix(rest, operator) {
			s.step(symbol, len(operator))
			return s.comparison()
		}
	}
	if c == ',' && s.last.text == "[" {
		return refuse(s.at, "a value is missing before this comma")
	}
	for _, text := range []string{"&&", "||", "!", ".", ","} {
		if strings.HasPrefix(rest, text) {
			s.step(symbol, len(text))
			return nil
		}
	}
	if c == '-' && s.last.kind == symbol && len(rest) > 1 && (isDigit(rest[1]) || rest[1] == '.') {
		s.step(symbol, 1)
		return nil
	}
	return s.stranger()
}

// step goes behind the next token, which has n bytes.
func (s *scanner) step(kind tokenKind, n int) {
	s.last = token{kind, s.at, s.text[s.at : s.at+n]}
	s.at += n
}

// comparison counts the last token.
func (s *scanner) comparison() *refusal {
	if s.comparisons++; s.comparisons > MaxComparisons {
		return refuse(s.last.at, "this is comparison %d, and a filter may have %d", s.comparisons, MaxComparisons)
	}
	return nil
}

func (s *scanner) name() *refusal {
	n := 1
	for s.at+n < len(s.text) && (isLetter(s.text[s.at+n]) || isDigit(s.text[s.at+n])) {
		n++
	}
	text, selects := s.text[s.at:s.at+n], s.last.text == "."
	if s.at+n < len(s.text) && strings.IndexByte(`"'`, s.text[s.at+n]) >= 0 {
		return refuse(s.at, "a string has nothing before its quote; there are no raw strings and no bytes")
	}
	switch text {
	case "in", "true", "false", "null":
		if selects {
			return refuse(s.at, "%s is a word of CEL; an attribute of that name is written attributes[%q]", text, text)
		}
	}
	if text == "in" {
		s.step(symbol, n)
		return s.comparison()
	}
	s.step(name, n)
	return nil
}

func (s *scanner) number() *refusal {
	_, rest := digits(s.text[s.at:])
	if len(rest) > 1 && rest[0] == '.' && isDigit(rest[1]) {
		_, rest = digits(rest[1:])
	}
	if rest != "" && (rest[0] == 'e' || rest[0] == 'E') {
		if exponent, behind := digits(unsigned(rest[1:])); exponent != "" {
			rest = behind
		}
	}
	end := len(s.text) - len(rest)
	if rest != "" && (isLetter(rest[0]) || rest[0] == '.') {
		return refuse(end, "this is no part of a number; numbers are decimal, as 5, -0.25 and 1e6")
	}
	s.step(value, end-s.at)
	return nil
}

func (s *scanner) string() *refusal {
	quote := s.text[s.at]
	if strings.HasPrefix(s.text[s.at:], strings.Repeat(string(quote), 3)) {
		return refuse(s.at, "a string stands in one pair of quotes, not in three")
	}
	for i := s.at + 1; i < len(s.text); {
		switch c := s.text[i]; c {
		case quote:
			s.step(value, i+1-s.at)
			return nil
		case '\n', '\r':
			return refuse(i, `a string does not go over the end of a line; write \n`)
		case '\\':
			n := escape(s.text[i:])
			if n == 0 {
				return refuse(i, `this escape does not exist, or stands for no character; a backslash is written \\`)
			}
			i += n
		default:
			c, n := utf8.DecodeRuneInString(s.text[i:])
			if c == utf8.RuneError && n == 1 {
				return refuse(i, "a filter is written in UTF-8, and this byte is not")
			}
			i += n
		}
	}
	return refuse(s.at, "this string is not closed")
}

func (s *scanner) opening() *refusal {
	b := bracket{at: s.at, char: s.text[s.at], comparisons: s.comparisons}
	called := s.last
	b.group = b.char == '(' && called.kind != name
	s.step(symbol, 1)
	if b.group {
		if s.groups++; s.groups > MaxNesting {
			return refuse(b.at, "this is level %d of nesting, and a filter may have %d", s.groups, MaxNesting)
		}
	}
	if len(s.open) == MaxNesting+2 { // within the groups, double(attributes["name"]) is the deepest that a filter has
		return refuse(b.at, "no filter nests brackets as deeply as here; it may have %d levels", MaxNesting)
	}
	s.open = append(s.open, b)
	if b.char == '(' && called.kind == name && called.text != "double" {
		s.comparisons++
		if s.comparisons > MaxComparisons {
			return refuse(called.at, "this is comparison %d, and a filter may have %d", s.comparisons, MaxComparisons)
		}
	}
	return nil
}

func (s *scanner) closing() *refusal {
	n := len(s.open)
	if n == 0 {
		return refuse(s.at, "no bracket is open that this one closes")
	}
	b := s.open[n-1]
	if (b.char == '(') != (s.text[s.at] == ')') {
		return refuse(s.at, "this bracket does not close the %c of byte %d", b.char, b.at)
	}
	if b.group {
		s.groups--
		if s.comparisons == b.comparisons {
			return refuse(b.at, "these parentheses hold no comparison; they stand around comparisons only, not around attributes and values")
		}
	}
	s.open = s.open[:n-1]
	s.step(value, 1)
	return nil
}

// stranger says what to write instead of a character that no token of the subset starts with.
func (s *scanner) stranger() *refusal {
	rest := s.text[s.at:]
	operand := s.last.kind == symbol // what comes next is a value, not an operator
	switch c := rest[0]; {
	case c == '=':
		return refuse(s.at, "equality is written ==")
	case c == '&':
		return refuse(s.at, "and is written &&")
	case c == '|':
		return refuse(s.at, "or is written ||")
	case strings.HasPrefix(rest, "//"):
		return refuse(s.at, "a filter has no comments")
	case c == '+' && operand:
		return refuse(s.at, "a number has no sign but -")
	case c == '-' && operand:
		return refuse(s.at, "this sign stands before no number; it is written once and directly before its number")
	case c == '-' && s.last.kind == name:
		return refuse(s.at, `a filter has no arithmetic; an attribute whose name is no identifier is written attributes["any-name"]`)
	case strings.IndexByte("+-*/%", c) >= 0:
		return refuse(s.at, "a filter has no arithmetic; compare with the result")
	case c == '?', c == ':':
		return refuse(s.at, "a filter has no conditional; write it with &&, || and !")
	case c == '{', c == '}':
		return refuse(s.at, "a filter has no maps and no messages; a list is written [ ]")
	case c == '`':
		return refuse(s.at, `an attribute whose name is no identifier is written attributes["any-name"]`)
	case c >= utf8.RuneSelf:
		if r, n := utf8.DecodeRuneInString(rest); r == utf8.RuneError && n == 1 {
			return refuse(s.at, "a filter is written in UTF-8, and this byte is not")
		}
	}
	return refuse(s.at, `this character stands only in strings, which are written "x" or 'x'`)
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' }
