package emit

import (
	"strings"

	"github.com/dave/jennifer/jen"
)

// comment writes a text as a Go comment, line by line as it is; an empty line separates paragraphs. An empty text is no comment.
func comment(text string) jen.Code {
	text = strings.TrimSpace(text)
	if text == "" {
		return jen.Null()
	}
	var b strings.Builder
	for line := range strings.SplitSeq(text, "\n") {
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(strings.TrimRight("// "+line, " \t\r"))
	}
	return jen.Comment(b.String())
}

// declare adds a declaration with its comment to a file, after an empty line.
func declare(f *jen.File, doc string, declaration jen.Code) {
	f.Line()
	f.Add(comment(doc))
	f.Add(declaration)
}

// renamed is a doc comment whose first word, the proto name, is replaced by the name in Go. A comment that does not begin with the proto name is kept.
func renamed(doc, protoName, goName string) string {
	if rest, ok := strings.CutPrefix(doc, protoName); ok && (rest == "" || strings.ContainsAny(rest[:1], " \n,.:'")) {
		return goName + rest
	}
	return doc
}

// paragraphs joins texts with an empty line between them; those that are empty are left out.
func paragraphs(texts ...string) string {
	var kept []string
	for _, text := range texts {
		if text = strings.TrimSpace(text); text != "" {
			kept = append(kept, text)
		}
	}
	return strings.Join(kept, "\n\n")
}
