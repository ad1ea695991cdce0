package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"buf.build/go/protoyaml"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/fault"
)

// maxConfigBytes bounds a configuration file: what --config names may be a device that never ends. A namespace takes some 60 bytes, and there are at most 100,000.
const maxConfigBytes = 32 << 20

// readConfig reads a configuration file.
func readConfig(file string) (*configv1.Config, error) {
	data, err := readAtMost(file, maxConfigBytes)
	if err != nil {
		return nil, fmt.Errorf("--config: %w", err)
	}
	return parseConfig(file, data)
}

func readAtMost(file string, most int) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	data, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	if err == nil && len(data) > most {
		err = fmt.Errorf("%s has more than %d MiB, which no configuration needs", file, most>>20)
	}
	return data, err
}

// parseConfig parses a configuration and checks what the schema says of it. Errors say where: file, line and column. They show no line of the file, since
// somebody may have written a secret where none belongs.
func parseConfig(file string, data []byte) (*configv1.Config, error) {
	if !utf8.Valid(data) {
		return nil, fmt.Errorf("%s: it is not UTF-8 text", file)
	}
	checked := &configChecker{}
	config := new(configv1.Config)
	err := protoyaml.UnmarshalOptions{Path: file, Validator: checked}.Unmarshal([]byte(lineBreaks().Replace(string(data))), config)
	if err == nil {
		return config, nil
	}
	var several interface{ Unwrap() []error }
	if !errors.As(err, &several) {
		// Not a node's: the text is no YAML, and the message begins with "yaml: line 3: ".
		return nil, fmt.Errorf("%s:%s", file, strings.TrimPrefix(strings.TrimPrefix(err.Error(), "yaml:"), " line "))
	}
	errs := several.Unwrap()
	if len(errs) > 1 && checked.failed != "" {
		errs = errs[:len(errs)-1] // what was not understood is checked as if it were absent
	}
	var located []error
	for _, at := range errs {
		text, _, _ := strings.Cut(at.Error(), "\n") // then comes the line of the file
		position, what, _ := strings.Cut(strings.TrimPrefix(text, file), " ")
		if len(errs) == 1 && checked.failed != "" {
			what = checked.failed
		}
		located = append(located, fmt.Errorf("%s%s: %s", file, position, what))
	}
	return nil, errors.Join(located...)
}

// lineBreaks makes every line break that YAML knows one that protoyaml counts.
func lineBreaks() *strings.Replacer {
	return strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n")
}

// configChecker runs the schema's checks in the place of protovalidate, so that a file is refused with the words that everything else is refused with.
type configChecker struct {
	// failed is what the check that failed says; "" when all passed.
	failed string
}

var _ protoyaml.Validator = (*configChecker)(nil)

// Validate is part of [protoyaml.Validator]. It returns what protoyaml finds the line of.
func (c *configChecker) Validate(message proto.Message) error {
	config, ok := message.(*configv1.Config)
	if !ok {
		return fmt.Errorf("not a configuration but a %s", message.ProtoReflect().Descriptor().FullName())
	}
	err := configv1.CheckConfig(config)
	var invalid *fault.Error
	if !errors.As(err, &invalid) {
		return err
	}
	for _, detail := range invalid.Details {
		request, ok := detail.(*errdetails.BadRequest)
		if !ok || len(request.GetFieldViolations()) == 0 {
			continue
		}
		c.failed = invalid.Message
		// protoyaml joins the elements of a path and parses what comes out: one element with the whole path will do.
		path := validate.FieldPath_builder{Elements: []*validate.FieldPathElement{
			validate.FieldPathElement_builder{FieldName: proto.String(request.GetFieldViolations()[0].GetField())}.Build(),
		}}.Build()
		return &protovalidate.ValidationError{Violations: []*protovalidate.Violation{{Proto: validate.Violation_builder{Field: path}.Build()}}}
	}
	return err
}
