package filter

import (
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/parser"
)

// parse lets cel-go parse a text that scan has accepted.
func parse(text string) (*ast.AST, *refusal) {
	// No macros: has() stays a call, and the others are functions that a filter does not have. The first error is enough, so none is recovered from.
	p, err := parser.NewParser(parser.EnableVariadicOperatorASTs(true), parser.ErrorReportingLimit(1), parser.ErrorRecoveryLimit(1))
	if err != nil {
		return nil, refuse(0, "the parser does not start: %v", err)
	}
	tree, errs := p.Parse(common.NewTextSource(text))
	found := errs.GetErrors()
	if len(found) == 0 {
		return tree, nil
	}
	line, column := found[0].Location.Line(), found[0].Location.Column()
	if line < 1 { // scan has bounded everything else that makes the parser recurse
		return nil, refuse(0, `a chain of names is too long; an attribute is attributes.name or attributes["any-name"]`)
	}
	at := byteAt(text, tree.SourceInfo().ComputeOffset(int32(line), int32(column)))
	switch message := found[0].Message; {
	case strings.HasPrefix(message, "invalid int"):
		return nil, refuse(at, "a number without fraction and exponent is one of 64 bits; write .0 behind it")
	case strings.HasPrefix(message, "invalid double"):
		return nil, refuse(at, "no double is as large as this number")
	case strings.HasPrefix(message, "reserved"):
		return nil, refuse(at, unknownName)
	}
	return nil, misplaced(text, at)
}

// misplaced says what is missing before the token at a byte.
func misplaced(text string, at int) *refusal {
	s := scanner{text: text}
	for s.at < at && s.token() == nil { // scan has found no fault with any token
	}
	switch {
	case s.last.text == ".":
		return refuse(at, `a name is missing here, behind the point; one that is no identifier is written attributes["any-name"]`)
	case s.last.kind == symbol:
		return refuse(at, "an attribute, a value or a comparison is missing here")
	}
	return refuse(at, "an operator is missing here; == != < <= > >= and in compare, && and || join comparisons, ! negates one")
}

// byteAt returns the byte of the text's n-th character, which is how cel-go counts.
func byteAt(text string, n int32) int {
	at := 0
	for ; n > 0 && at < len(text); n-- {
		_, size := utf8.DecodeRuneInString(text[at:])
		at += size
	}
	return at
}
