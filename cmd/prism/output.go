package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/doc/comment"
	"io"
	"strings"
	"text/tabwriter"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/prismgate/prism/runtime/fault"
)

// The values of --output.
const (
	outputText = "text"
	outputJSON = "json"
)

// docWidth is how wide contracts are set: two columns of prose are hard to read, and terminals have a hundred characters.
const docWidth = 100

func (c *cli) asJSON() bool { return c.output.value == outputJSON }

// printJSON prints a value for programs.
func (c *cli) printJSON(value any) error {
	encoder := json.NewEncoder(c.stdout)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// printTable prints rows in columns, under a heading when there is one.
func (c *cli) printTable(heading []string, rows ...[]string) error {
	table := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	if heading != nil {
		rows = append([][]string{heading}, rows...)
	}
	for _, row := range rows {
		fmt.Fprintln(table, strings.Join(row, "\t"))
	}
	return table.Flush()
}

// printDoc prints the text of a schema comment under an empty line.
func (c *cli) printDoc(doc, indent string) {
	if strings.TrimSpace(doc) != "" {
		fmt.Fprintln(c.stdout)
		c.printProse(doc, indent)
	}
}

// printProse prints the text of a schema comment, set anew for the terminal.
func (c *cli) printProse(doc, indent string) {
	if strings.TrimSpace(doc) == "" {
		return
	}
	printer := comment.Printer{TextPrefix: indent, TextWidth: docWidth - len(indent)}
	text := printer.Text(new(comment.Parser).Parse(doc))
	// The printer's blank lines carry the prefix; nobody wants that in a pipe.
	for line := range strings.Lines(string(text)) {
		fmt.Fprintln(c.stdout, strings.TrimRight(line, " \n"))
	}
}

// messageJSON returns a message as JSON whose spaces are stable: protojson varies them on purpose. Fields without presence are there even when they are
// zero, because "found": false is an answer.
func messageJSON(message proto.Message, indent string) ([]byte, error) {
	data, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(message)
	if err != nil {
		return nil, err
	}
	var formatted bytes.Buffer
	if indent == "" {
		err = json.Compact(&formatted, data)
	} else {
		err = json.Indent(&formatted, data, "", indent)
	}
	return formatted.Bytes(), err
}

// writeFault writes an error as one line of JSON.
func writeFault(w io.Writer, f *fault.Error) error {
	details := []json.RawMessage{}
	for _, detail := range f.Details {
		packed, err := anypb.New(detail)
		if err != nil {
			return err
		}
		data, err := messageJSON(packed, "")
		if err != nil {
			return err
		}
		details = append(details, data)
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(struct {
		Code    string            `json:"code"`
		Message string            `json:"message"`
		Reason  string            `json:"reason"`
		Details []json.RawMessage `json:"details"`
	}{f.Code.String(), f.Message, f.Reason(), details})
}

// present makes an empty list of a missing one: JSON's [] instead of null.
func present[T any](all []T) []T {
	if all == nil {
		return []T{}
	}
	return all
}

// count names a number of things: "1 backend", "2 backends".
func count(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// firstSentence is what a list has room for.
func firstSentence(doc string) string {
	doc, _, _ = strings.Cut(strings.Join(strings.Fields(doc), " "), ". ")
	return strings.TrimSuffix(doc, ".")
}
