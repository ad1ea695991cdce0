package emit

import (
	"strings"

	"github.com/prismgate/prism/protoc-gen-prism/internal/model"
)

// page is a Markdown page that is being written.
type page struct{ strings.Builder }

// paragraph writes a block of text and the empty line that ends it. An empty one is not written.
func (p *page) paragraph(text string) {
	if text != "" {
		p.WriteString(text + "\n\n")
	}
}

// heading writes a heading.
func (p *page) heading(level int, title string) {
	p.paragraph(strings.Repeat("#", level) + " " + title)
}

// table writes a table. A column whose cells are all empty is left out.
func (p *page) table(header []string, rows [][]string) {
	used := make([]bool, len(header))
	for _, row := range rows {
		for n, cell := range row {
			used[n] = used[n] || cell != ""
		}
	}
	rules := make([]string, len(header))
	for n := range rules {
		rules[n] = "---"
	}
	for _, row := range append([][]string{header, rules}, rows...) {
		p.WriteByte('|')
		for n, cell := range row {
			if used[n] {
				p.WriteString(strings.TrimRight(" "+cell, " ") + " |")
			}
		}
		p.WriteByte('\n')
	}
	p.WriteByte('\n')
}

// prose is a comment of the schema as Markdown: what would be taken for HTML or emphasis is escaped, but for what stands in backquotes.
func prose(text string) string {
	var b strings.Builder
	code := false
	for _, r := range strings.TrimSpace(text) {
		switch {
		case r == '`':
			code = !code
		case code:
		case r == '<':
			b.WriteString("&lt;")
			continue
		case r == '*':
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// cell is a comment of the schema as one cell of a table.
func cell(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(prose(text)), " "), "|", `\|`)
}

// capital is a sentence with a capital letter.
func capital(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

// code is a text as it is.
func code(text string) string { return "`" + text + "`" }

// codes lists names as they are.
func codes(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return "`" + strings.Join(names, "`, `") + "`"
}

// bold is a comment whose first word, the name, is bold. A comment that begins otherwise gets the name in front.
func bold(name, doc string) string {
	doc = prose(doc)
	if rest, ok := strings.CutPrefix(doc, name+" "); ok {
		return "**" + name + "** " + rest
	}
	return strings.TrimSpace("**" + name + "** " + doc)
}

// fields writes the table of a message's fields.
func (p *page) fields(message *model.Message) {
	var rows [][]string
	for _, field := range message.Fields {
		rows = append(rows, []string{
			code(field.Name), cell(code(fieldType(field))), roleWords(field.Role), oneofWords(field), cell(mustWords(field)), cell(field.Doc),
		})
	}
	if len(rows) > 0 {
		p.table([]string{"field", "type", "role", "one of", "must", "meaning"}, rows)
	}
}

// written are the messages and enums that a page has already, by full name.
type written map[string]bool

// add notes one, and tells whether it is still to be written. What is protobuf's own is not.
func (w written) add(fullName string) bool {
	if w[fullName] || strings.HasPrefix(fullName, "google.protobuf.") {
		return false
	}
	w[fullName] = true
	return true
}

// types writes what the messages and enums that a message's fields hold are, but for those that were written before.
func (p *page) types(message *model.Message, before written) {
	for _, field := range message.Fields {
		if held := field.Message; held != nil && before.add(held.FullName) {
			p.paragraph(bold(held.Name, held.Doc))
			p.fields(held)
			p.types(held, before)
		}
		if held := field.Enum; held != nil && before.add(held.FullName) {
			p.paragraph(bold(held.Name, held.Doc))
			p.values(held)
		}
	}
}

// values writes the table of an enum's values.
func (p *page) values(enum *model.Enum) {
	var rows [][]string
	for _, value := range enum.Values {
		rows = append(rows, []string{code(value.Name), cell(value.Doc)})
	}
	p.table([]string{"value", "meaning"}, rows)
}
