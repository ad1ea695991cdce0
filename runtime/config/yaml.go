package config

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"buf.build/go/protoyaml"
	"go.yaml.in/yaml/v3"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
)

// leastYAML is the least that a file must hold.
const leastYAML = `write at least "namespaces: [{name: default, backend: memstore}]"`

// parseYAML returns the node of a file's only document.
func parseYAML(f *file, data []byte) (*yaml.Node, *mistake) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, second yaml.Node
	err := decoder.Decode(&document)
	if errors.Is(err, io.EOF) || err == nil && document.Content[0].Tag == nullTag {
		return nil, &mistake{place{f, 1, 1}, Problem{Message: "there is nothing in the file; " + leastYAML}}
	}
	if err == nil {
		err = decoder.Decode(&second)
	}
	switch {
	case errors.Is(err, io.EOF):
		return document.Content[0], nil
	case err == nil:
		return nil, &mistake{f.place(&second), Problem{Message: `a second document begins here, and a file holds one; remove the line "---", or write a second file`}}
	}
	line, column, message := explainSyntax(data, err)
	return nil, &mistake{place{f, line, column}, Problem{Message: message}}
}

// decode makes the message of a text. The error is the first; with its place it would quote the line of the file.
func decode(data []byte, config *configv1.Config) error {
	err := protoyaml.Unmarshal(data, config)
	var several interface{ Unwrap() []error }
	if !errors.As(err, &several) {
		return err
	}
	first := several.Unwrap()[0]
	if cause := errors.Unwrap(first); cause != nil {
		return cause
	}
	return first
}

// explainSyntax says where a text stops being YAML, and what is likely to be wrong. The parser tells the line of some errors only, and the problem in words of its grammar.
func explainSyntax(data []byte, err error) (line, column int, message string) {
	problem := strings.TrimPrefix(err.Error(), "yaml: ")
	line = 1
	if rest, ok := strings.CutPrefix(problem, "line "); ok {
		number, what, _ := strings.Cut(rest, ": ")
		line, _ = strconv.Atoi(number)
		problem = what
	}
	anchor, isAlias := strings.CutPrefix(problem, "unknown anchor '")
	if isAlias || strings.HasPrefix(problem, "did not find expected ") || strings.HasPrefix(problem, "control characters") {
		line = lineReached(data) // the parser's line is that of the enclosing list or mapping, or missing
	}
	text := lineOf(data, line)
	column = utf8.RuneCountInString(text) - utf8.RuneCountInString(strings.TrimLeft(text, " \t")) + 1
	if isAlias {
		anchor, _, _ = strings.Cut(anchor, "'")
		if at := strings.Index(text, "*"+anchor); at >= 0 {
			column = utf8.RuneCountInString(text[:at]) + 1
		}
		return line, column, noAliases
	}
	if strings.Contains(text[:len(text)-len(strings.TrimLeft(text, " \t"))], "\t") {
		return line, column, "the line is indented with a tab, which YAML does not allow; use spaces"
	}
	return line, column, "this or what stands before it is not YAML: " + problem + remedyOf(problem)
}

// remedyOf says what mostly makes the parser say what it says.
func remedyOf(problem string) string {
	switch problem {
	case "did not find expected key", "did not find expected '-' indicator":
		return "; indent the line as the others of its list or mapping"
	case "did not find expected ',' or ']'", "did not find expected ',' or '}'", "did not find expected node content":
		return "; close the bracket, or put a comma before the next item"
	case "mapping values are not allowed in this context":
		return "; put text that has a colon and a space in it into quotes, and indent the line as the others of its mapping"
	case "could not find expected ':'":
		return "; put a colon and a space behind the key"
	case "found character that cannot start any token":
		return "; put text that begins with this character into quotes"
	case "found unexpected end of stream":
		return "; close the quote"
	}
	return ""
}

// lineReached is the line that the parser reads when it gives up.
func lineReached(data []byte) int {
	reader := &byteReader{data: data}
	_ = yaml.NewDecoder(reader).Decode(new(yaml.Node)) // the error is known
	return 1 + bytes.Count(bytes.TrimRight(data[:reader.read], " \n"), []byte("\n"))
}

// byteReader reads a byte at a time, so that what was read is what was needed.
type byteReader struct {
	data []byte
	read int
}

func (r *byteReader) Read(p []byte) (int, error) {
	n := copy(p[:min(1, len(p))], r.data[r.read:])
	r.read += n
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// lineOf is a line of a text.
func lineOf(data []byte, line int) string {
	for number := 1; ; number++ {
		text, rest, more := bytes.Cut(data, []byte("\n"))
		if number == line || !more {
			return string(text)
		}
		data = rest
	}
}
