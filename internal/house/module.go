package house

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Module is a Go module's source.
type Module struct {
	// Path is the module's path, Dir its folder.
	Path, Dir string
	// Packages are sorted by path.
	Packages []*Package
	// Fset has the positions of all files.
	Fset *token.FileSet
}

// Package is one package's source.
type Package struct {
	// Path is relative to the module: "runtime/fault"; "" is the module's root.
	Path string
	// Files are production code, also that of other platforms; TestFiles are the package's tests.
	Files, TestFiles []*File
}

// File is one parsed file.
type File struct {
	// Path is relative to the module's root, with slashes.
	Path string
	// Syntax is what the file says.
	Syntax *ast.File
	// Generated tells that a generator wrote it.
	Generated bool
}

// listed is what go list says of a package.
type listed struct {
	ImportPath, Dir                                              string
	GoFiles, CgoFiles, IgnoredGoFiles, TestGoFiles, XTestGoFiles []string
	Module                                                       struct{ Path, Dir string }
}

// Load reads the module that a folder is the root of.
func Load(ctx context.Context, dir string) (*Module, error) {
	command := exec.CommandContext(ctx, "go", "list", "-e", "-json=ImportPath,Dir,GoFiles,CgoFiles,IgnoredGoFiles,TestGoFiles,XTestGoFiles,Module", "./...")
	command.Dir = dir
	output, err := command.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		return nil, fmt.Errorf("go list: %w: %s", err, failed.Stderr)
	}
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	module := &Module{Fset: token.NewFileSet()}
	decoder := json.NewDecoder(strings.NewReader(string(output)))
	for {
		var one listed
		if err := decoder.Decode(&one); errors.Is(err, io.EOF) {
			return module, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		module.Path, module.Dir = one.Module.Path, one.Module.Dir
		if err := module.add(one); err != nil {
			return nil, err
		}
	}
}

func (m *Module) add(one listed) error {
	p := &Package{Path: strings.TrimPrefix(strings.TrimPrefix(one.ImportPath, m.Path), "/")}
	for _, name := range slices.Concat(one.GoFiles, one.CgoFiles, one.IgnoredGoFiles, one.TestGoFiles, one.XTestGoFiles) {
		file, err := m.parse(filepath.Join(one.Dir, name))
		if err != nil {
			return err
		}
		if strings.HasSuffix(name, "_test.go") {
			p.TestFiles = append(p.TestFiles, file)
		} else {
			p.Files = append(p.Files, file)
		}
	}
	m.Packages = append(m.Packages, p)
	return nil
}

func (m *Module) parse(name string) (*File, error) {
	syntax, err := parser.ParseFile(m.Fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	relative, err := filepath.Rel(m.Dir, name)
	if err != nil {
		return nil, err
	}
	return &File{Path: filepath.ToSlash(relative), Syntax: syntax, Generated: ast.IsGenerated(syntax)}, nil
}

// at is a violation at a place in a file.
func (m *Module) at(file *File, pos token.Pos, reason, wrong string, args ...any) Violation {
	return Violation{File: file.Path, Line: m.Fset.Position(pos).Line, Wrong: fmt.Sprintf(wrong, args...), Reason: reason}
}

// own is an import path relative to the module, and whether it is the module's.
func (m *Module) own(importPath string) (string, bool) {
	if importPath == m.Path {
		return "", true
	}
	return strings.CutPrefix(importPath, m.Path+"/")
}
