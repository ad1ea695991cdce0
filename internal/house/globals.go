package house

import (
	"errors"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
)

const (
	initReason   = "what init does happens to everyone who imports the package, in an order that nobody sees; make a value and pass it"
	globalReason = "state of a package is shared by all tests and all gateways of a process; make it a field of a value and pass that"
)

// Globals demands that there are no init functions, and that package variables are never written after their declaration.
func Globals(m *Module) []Violation {
	var violations []Violation
	for _, p := range m.Packages {
		info := m.resolve(p)
		m.eachFileOf(p, func(file *File) {
			for _, declaration := range file.Syntax.Decls {
				switch d := declaration.(type) {
				case *ast.FuncDecl:
					if d.Recv == nil && d.Name.Name == "init" {
						violations = append(violations, m.at(file, d.Pos(), initReason, "func init"))
					}
				case *ast.GenDecl:
					violations = append(violations, m.mutableTypes(file, d)...)
				}
			}
			violations = append(violations, m.writes(file, info)...)
		})
	}
	return violations
}

func (m *Module) eachFileOf(p *Package, visit func(*File)) {
	m.eachProductionFile(func(of *Package, file *File) {
		if of == p {
			visit(file)
		}
	})
}

// noImports makes imported packages empty: to know what a name in this package is, theirs are not needed.
type noImports struct{}

func (noImports) Import(string) (*types.Package, error) { return nil, errors.New("not needed") }

// resolve finds out what each name in a package's production code stands for.
func (m *Module) resolve(p *Package) *types.Info {
	var files []*ast.File
	for _, file := range p.Files {
		files = append(files, file.Syntax)
	}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: noImports{}, Error: func(error) {}}
	// The errors are those of the missing imports; what is left unresolved is not a package variable of ours.
	_, _ = config.Check(p.Path, m.Fset, files, info)
	return info
}

// writes finds assignments to package variables.
func (m *Module) writes(file *File, info *types.Info) []Violation {
	var violations []Violation
	written := func(target ast.Expr) {
		if name := packageVariable(target, info); name != "" {
			violations = append(violations, m.at(file, target.Pos(), globalReason, "package variable %s is written", name))
		}
	}
	ast.Inspect(file.Syntax, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				for _, target := range n.Lhs {
					written(target)
				}
			}
		case *ast.IncDecStmt:
			written(n.X)
		case *ast.RangeStmt:
			if n.Tok == token.ASSIGN {
				written(n.Key)
				if n.Value != nil {
					written(n.Value)
				}
			}
		case *ast.CallExpr:
			if called, ok := n.Fun.(*ast.Ident); ok && (called.Name == "delete" || called.Name == "clear") && len(n.Args) > 0 {
				written(n.Args[0])
			}
		}
		return true
	})
	return violations
}

// packageVariable is the name of the package variable that an assignment to a target changes, or "".
func packageVariable(target ast.Expr, info *types.Info) string {
	for {
		switch t := target.(type) {
		case *ast.ParenExpr:
			target = t.X
		case *ast.IndexExpr:
			target = t.X
		case *ast.StarExpr:
			target = t.X
		case *ast.SelectorExpr:
			if x, ok := t.X.(*ast.Ident); ok {
				if _, ok := info.Uses[x].(*types.PkgName); ok {
					return x.Name + "." + t.Sel.Name
				}
			}
			target = t.X
		case *ast.Ident:
			if variable, ok := info.Uses[t].(*types.Var); ok && variable.Pkg() != nil && variable.Parent() == variable.Pkg().Scope() {
				return t.Name
			}
			return ""
		default:
			return ""
		}
	}
}

// changing are the types that are there to be changed. sync.Pool and the functions of sync.Once's kind change nothing that a caller can see.
var changing = []string{
	"sync.Mutex", "sync.RWMutex", "sync.Map", "sync.Once", "sync.WaitGroup", "atomic.Bool", "atomic.Int32", "atomic.Int64",
	"atomic.Uint32", "atomic.Uint64", "atomic.Pointer", "atomic.Value",
}

// mutableTypes finds package variables of types that are there to be changed.
func (m *Module) mutableTypes(file *File, declaration *ast.GenDecl) []Violation {
	var violations []Violation
	for _, spec := range declaration.Specs {
		value, ok := spec.(*ast.ValueSpec)
		if !ok || declaration.Tok != token.VAR {
			continue
		}
		if name := typeName(value.Type); slices.Contains(changing, name) {
			violations = append(violations, m.at(file, spec.Pos(), globalReason, "package variable %s is a %s", value.Names[0].Name, name))
		}
	}
	return violations
}

func typeName(expression ast.Expr) string {
	if generic, ok := expression.(*ast.IndexExpr); ok {
		expression = generic.X
	}
	if selector, ok := expression.(*ast.SelectorExpr); ok {
		if x, ok := selector.X.(*ast.Ident); ok {
			return x.Name + "." + selector.Sel.Name
		}
	}
	return ""
}
