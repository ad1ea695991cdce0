package house

import (
	"go/ast"
	"path"
	"strconv"
)

// Forbidden is something that production code must not use.
type Forbidden struct {
	// Package is the import path; empty for what the language has itself. Name is the name in it.
	Package, Name string
	// Reason says why, and what to use instead.
	Reason string
	// Allowed are the exceptions.
	Allowed []Allowed
}

// Allowed is an exception to a rule.
type Allowed struct {
	// Path is a pattern of packages or files in the module.
	Path string
	// Reason says why it is one.
	Reason string
}

// ForbiddenCalls are what production code must not call.
var ForbiddenCalls = []Forbidden{
	{Package: "", Name: "panic", Reason: "a panic takes the whole gateway down; return an error"},
	{Package: "context", Name: "Background", Reason: "work that no caller can end outlives it; take a ctx", Allowed: []Allowed{
		{"cmd/prism", "main makes the context that everything else gets"},
		{"examples/...", "main makes the context that everything else gets"},
		{"internal/tour", "main makes the context that everything else gets"},
		{"internal/testcells", "main makes the context that everything else gets"},
		{"internal/demo", "main makes the context that everything else gets"},
		{"internal/interop/...", "main makes the context that everything else gets"},
	}},
	{Package: "context", Name: "TODO", Reason: "work that no caller can end outlives it; take a ctx"},
	{Package: "time", Name: "Sleep", Reason: "a sleep ignores the context; wait for what shall happen, or for a timer and ctx.Done()"},
}

// notProduction are packages that no user of Prism runs.
var notProduction = []Allowed{
	{"bench/...", "a benchmark serves nobody; it may stop at the first thing that goes wrong"},
	{"internal/testenv", "the servers that the tests of a process share are the process's, and Go gives tests of several packages no other place"},
}

// Calls demands that production code uses nothing that is forbidden.
func Calls(m *Module, forbidden []Forbidden) []Violation {
	var violations []Violation
	m.eachProductionFile(func(p *Package, file *File) {
		names := importedAs(file)
		ast.Inspect(file.Syntax, func(node ast.Node) bool {
			for _, f := range forbidden {
				if f.usedBy(node, names) && !excepted(f.Allowed, p, file) {
					violations = append(violations, m.at(file, node.Pos(), f.Reason, "%s is used", f.name()))
				}
			}
			return true
		})
	})
	return violations
}

func (f Forbidden) name() string {
	if f.Package == "" {
		return f.Name
	}
	return path.Base(f.Package) + "." + f.Name
}

func (f Forbidden) usedBy(node ast.Node, names map[string]string) bool {
	switch node := node.(type) {
	case *ast.CallExpr:
		called, ok := node.Fun.(*ast.Ident)
		return ok && f.Package == "" && called.Name == f.Name
	case *ast.SelectorExpr:
		x, ok := node.X.(*ast.Ident)
		return ok && f.Package != "" && names[x.Name] == f.Package && node.Sel.Name == f.Name
	}
	return false
}

func excepted(allowed []Allowed, p *Package, file *File) bool {
	for _, a := range allowed {
		if matches(a.Path, p.Path) || matches(a.Path, file.Path) {
			return true
		}
	}
	return false
}

// importedAs are a file's imports by the names that they have in it.
func importedAs(file *File) map[string]string {
	names := map[string]string{}
	for _, spec := range file.Syntax.Imports {
		importPath, _ := strconv.Unquote(spec.Path.Value)
		name := path.Base(importPath)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = importPath
	}
	return names
}

// eachProductionFile visits the files that run in production, but for what protoc-gen-go wrote, which is not ours to change.
func (m *Module) eachProductionFile(visit func(*Package, *File)) {
	for _, p := range m.Packages {
		for _, file := range p.Files {
			if !matches("*.pb.go", path.Base(file.Path)) && !excepted(notProduction, p, file) {
				visit(p, file)
			}
		}
	}
}
