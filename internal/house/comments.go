package house

import (
	"go/ast"
	"go/token"
)

const (
	packageReason  = "a reader begins with the package's comment; say in one sentence what the package is"
	exportedReason = "an exported name is a promise; say what it is in a comment that begins with the name"
)

// Comments demands a comment of every package that is written by hand, and of every exported name in it.
func Comments(m *Module) []Violation {
	var violations []Violation
	for _, p := range m.Packages {
		documented := false
		var first *File
		for _, file := range p.Files {
			documented = documented || file.Syntax.Doc != nil
			if !file.Generated {
				if first == nil {
					first = file
				}
				violations = append(violations, m.undocumented(file)...)
			}
		}
		if first != nil && !documented {
			violations = append(violations, m.at(first, first.Syntax.Package, packageReason, "package %s has no comment", p.Path))
		}
	}
	return violations
}

func (m *Module) undocumented(file *File) []Violation {
	var violations []Violation
	missing := func(pos token.Pos, kind, name string) {
		violations = append(violations, m.at(file, pos, exportedReason, "%s %s has no comment", kind, name))
	}
	for _, declaration := range file.Syntax.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			if d.Doc == nil && d.Name.IsExported() && exportedReceiver(d) {
				missing(d.Pos(), "func", d.Name.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				m.undocumentedSpec(d, spec, missing)
			}
		}
	}
	return violations
}

// undocumentedSpec looks at a type, or at constants or variables; the comment of a group is a comment of each of its members.
func (m *Module) undocumentedSpec(d *ast.GenDecl, spec ast.Spec, missing func(token.Pos, string, string)) {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		if !s.Name.IsExported() {
			return
		}
		if d.Doc == nil && s.Doc == nil {
			missing(s.Pos(), "type", s.Name.Name)
		}
		m.undocumentedMembers(s, missing)
	case *ast.ValueSpec:
		for _, name := range s.Names {
			if name.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
				missing(name.Pos(), d.Tok.String(), name.Name)
			}
		}
	}
}

// undocumentedMembers looks at the exported fields of a struct and the methods of an interface. A comment holds for the members below it, up to the
// next comment or empty line.
func (m *Module) undocumentedMembers(s *ast.TypeSpec, missing func(token.Pos, string, string)) {
	var members *ast.FieldList
	switch t := s.Type.(type) {
	case *ast.StructType:
		members = t.Fields
	case *ast.InterfaceType:
		members = t.Methods
	default:
		return
	}
	documented, end := false, 0
	for _, member := range members.List {
		follows := m.Fset.Position(member.Pos()).Line == end+1
		documented = member.Doc != nil || member.Comment != nil || documented && follows
		end = m.Fset.Position(member.End()).Line
		for _, name := range member.Names {
			if name.IsExported() && !documented {
				missing(name.Pos(), "member", s.Name.Name+"."+name.Name)
			}
		}
	}
}

// exportedReceiver tells whether a function can be seen from outside: it has no receiver, or one of an exported type.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	receiver := d.Recv.List[0].Type
	for {
		switch t := receiver.(type) {
		case *ast.StarExpr:
			receiver = t.X
		case *ast.IndexExpr:
			receiver = t.X
		case *ast.IndexListExpr:
			receiver = t.X
		case *ast.Ident:
			return t.IsExported()
		default:
			return false
		}
	}
}
