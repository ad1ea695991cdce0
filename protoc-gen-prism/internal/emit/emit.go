// Package emit writes what the schema says as Go and documentation. Each output has a file here, and each file one exported emitter.
//
// An emitter of something that belongs to a proto file has the signature func(*model.Schema, *model.File) []Output; one of something that belongs to the
// whole schema func(*model.Schema) []Output. An emitter with nothing to say returns nothing. Emitters write declarations; what they do is in Prism's runtime.
package emit

import (
	"bytes"
	"fmt"
	"path"
	"strings"

	"github.com/dave/jennifer/jen"

	"github.com/prismgate/prism/protoc-gen-prism/internal/model"
)

// Output is one generated file: Code or Text is set.
type Output struct {
	// Path is relative to the plugin's output folder.
	Path string
	// Code is a Go file.
	Code *jen.File
	// Text is any other file.
	Text string
}

// Content renders the file.
func (o Output) Content() (string, error) {
	if o.Code == nil {
		return o.Text, nil
	}
	var code bytes.Buffer
	if err := o.Code.Render(&code); err != nil {
		return "", fmt.Errorf("%s: %w", o.Path, err)
	}
	return groupImports(code.String()), nil
}

// goOutput is the output of one Go file.
func goOutput(schema *model.Schema, pkg model.GoPackage, name string, code *jen.File) Output {
	return Output{Path: outputPath(schema.Params, pkg.Path, name), Code: code}
}

// outputPath is where a file of a Go package is written: the package's path without the module's.
func outputPath(params model.Params, packagePath, name string) string {
	if params.Module != "" {
		if packagePath == params.Module {
			return name
		}
		packagePath = strings.TrimPrefix(packagePath, params.Module+"/")
	}
	return path.Join(packagePath, name)
}

// baseName is the name of the Go file that is generated from a proto file: "keyvalue_scan" + suffix, as in ".prism.go".
func baseName(file *model.File, suffix string) string {
	return path.Base(file.Path) + suffix
}
