package house

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Layer is a set of packages that may import the same things.
type Layer struct {
	// Name is what other layers call it.
	Name string
	// Packages are patterns of paths in the module. A package belongs to the first layer that has one for it.
	Packages []string
	// May names the layers whose packages may be imported, besides other modules' packages. The layer itself is among them only when it is named.
	May []string
	// Reason says why the line is drawn there.
	Reason string
}

// Layers are Prism's, from the most special pattern to the most general one.
var Layers = []Layer{
	{
		"options",
		[]string{"gen/go/prism/options/v1"},
		nil,
		"the plugin imports the options, and must start when nothing else compiles",
	},
	{
		"typed",
		[]string{"gen/go/prism/backends/v1", "gen/go/prism/patterns/v1", "gen/go/prism/patterns/v1/*rpc"},
		[]string{"options", "configuration", "contracts", "tables", "typed", "fault", "foundation"},
		"typed model sets and slots join contracts and guards, and have the checks of their configuration; they know no implementation",
	},
	{
		"configuration",
		[]string{"gen/go/prism/config/v1", "gen/go/prism/admin/v1"},
		[]string{"options", "fault", "foundation"},
		"configuration is held by backends, patterns and the gateway; it has its checks beside it and knows none of them",
	},
	{
		"contracts",
		[]string{"gen/go/prism/*/v1"},
		[]string{"options", "contracts"},
		"messages and contracts are free of transport, so that a backend is too",
	},
	{
		"tables",
		[]string{"gen/go/prism/*/v1/*rpc", "gen/go/prism"},
		[]string{"options", "configuration", "contracts", "tables", "fault", "foundation"},
		"rpc tables, clients and checks join contracts with the runtime's lowest packages",
	},
	{
		"registry",
		[]string{"gen/go/registry"},
		[]string{"options", "contracts", "tables", "typed", "fault", "foundation"},
		"the registry is data: whoever reads it must not link what it describes",
	},
	{
		"sdk",
		[]string{"gen/go/sdk"},
		[]string{"options", "contracts", "tables", "fault", "foundation"},
		"an application that calls Prism links no gateway and no backend",
	},
	{
		"suites",
		[]string{"gen/go/suites"},
		[]string{"contracts", "tables", "conformance"},
		"the list of suites is for tests and joins them with what is tested",
	},
	{
		"wiring",
		[]string{"gen/go/wiring"},
		[]string{"typed", "support", "backends", "patterns"},
		"the only generated code that imports hand-written leaves",
	},

	{
		"fault",
		[]string{"runtime/fault"},
		nil,
		"everything returns errors, so the error type imports nothing",
	},
	{
		"foundation",
		[]string{"runtime/rpc", "runtime/check", "runtime/catalog", "runtime/suggest", "runtime/compress", "runtime/h2", "runtime/h2/...", "runtime/grpcserver", "runtime/listen"},
		[]string{"fault", "foundation"},
		"the lowest packages know no schema, so that generated code can import them",
	},
	{
		"support",
		[]string{"runtime/backend", "runtime/ring", "runtime/fanout", "runtime/pattern", "runtime/filter"},
		[]string{"options", "configuration", "contracts", "tables", "typed", "fault", "foundation", "support"},
		"what backends and patterns are written against must not drag the gateway in",
	},
	{
		"transport",
		[]string{"runtime/httprpc"},
		[]string{"fault", "foundation"},
		"gateway and client share the transport, so it knows neither",
	},
	{
		"runtime",
		[]string{"runtime/..."},
		[]string{"options", "configuration", "contracts", "tables", "typed", "fault", "foundation", "support", "transport", "runtime"},
		"the gateway's logic gets the catalog, backends and patterns passed in; it works with any build's",
	},
	{
		"client",
		[]string{"client/..."},
		[]string{"options", "contracts", "tables", "sdk", "fault", "foundation", "transport", "client"},
		"an application that calls Prism links no gateway and no backend",
	},

	{
		"backends",
		[]string{"backends/..."},
		[]string{"options", "configuration", "contracts", "typed", "fault", "support"},
		"a backend knows contracts and messages, no transport, no gateway and no other backend",
	},
	{
		"patterns",
		[]string{"patterns/..."},
		[]string{"options", "configuration", "contracts", "tables", "typed", "fault", "support"},
		"a pattern's backends come in through its slots; it knows no other pattern",
	},
	{
		"expectations",
		[]string{"conformance/expect"},
		[]string{"fault"},
		"what all suites ask in the same way knows no data model",
	},
	{
		"conformance",
		[]string{"conformance/..."},
		[]string{"options", "contracts", "tables", "fault", "support", "expectations"},
		"a suite tests contracts, whoever implements them; suites do not lean on each other",
	},

	{
		"generated for tests",
		[]string{"protoc-gen-prism/internal/checktest/..."},
		[]string{"generated for tests", "options", "contracts", "tables", "fault", "foundation"},
		"the plugin's output on a schema of its own, which its tests run; nothing else imports it",
	},
	{
		"plugin",
		[]string{"protoc-gen-prism/..."},
		[]string{"options", "plugin"},
		"a broken runtime or broken generated code must not stop generation",
	},
	{
		"servers",
		[]string{"internal/testenv"},
		nil,
		"real servers are started for tests, benchmarks and the demo alike, which have nothing else in common",
	},
	{
		"aids",
		[]string{"internal/test*/...", "internal/house/..."},
		[]string{
			"options", "configuration", "typed", "contracts", "tables", "registry", "sdk", "suites", "wiring", "fault", "foundation", "support", "transport", "runtime", "client",
			"backends", "patterns", "conformance", "expectations", "servers", "aids",
		},
		"aids of tests may import everything but programs, and are imported by tests only",
	},
	{
		"top",
		[]string{"", "cmd/...", "examples/...", "bench/...", "internal/..."},
		[]string{"options", "configuration", "typed", "contracts", "tables", "registry", "sdk", "wiring", "fault", "foundation", "support", "transport", "runtime", "client", "backends", "patterns", "servers", "top"},
		"programs may import everything but what is for tests",
	},
}

// familyOf is the folder below which packages of a layer are one thing: a backend, a pattern, a data model's suites. Packages of one family may import each
// other though their layer does not name itself.
func familyOf(path string) string {
	parts := strings.Split(path, "/")
	return strings.Join(parts[:min(2, len(parts))], "/")
}

func layerOf(layers []Layer, path string) *Layer {
	n := slices.IndexFunc(layers, func(l Layer) bool { return matchesAny(l.Packages, path) })
	if n < 0 {
		return nil
	}
	return &layers[n]
}

// ImportLayers demands that production code imports only what its layer may import. Tests may import everything.
func ImportLayers(m *Module, layers []Layer) []Violation {
	var violations []Violation
	for _, p := range m.Packages {
		if len(p.Files) == 0 {
			continue
		}
		layer := layerOf(layers, p.Path)
		if layer == nil {
			violations = append(violations, m.at(p.Files[0], p.Files[0].Syntax.Package,
				"a package without a layer may import anything; add it to Layers in internal/house/layers.go", "package %s is in no layer", p.Path))
			continue
		}
		for _, file := range p.Files {
			violations = append(violations, m.fileImports(layers, layer, p, file)...)
		}
	}
	return violations
}

func (m *Module) fileImports(layers []Layer, layer *Layer, p *Package, file *File) []Violation {
	var violations []Violation
	for _, spec := range file.Syntax.Imports {
		importPath, _ := strconv.Unquote(spec.Path.Value)
		path, ours := m.own(importPath)
		if !ours {
			continue
		}
		imported := layerOf(layers, path)
		if imported == nil || slices.Contains(layer.May, imported.Name) || imported == layer && familyOf(path) == familyOf(p.Path) {
			continue
		}
		wrong := fmt.Sprintf("%s (layer %s) imports %s (layer %s)", p.Path, layer.Name, path, imported.Name)
		violations = append(violations, m.at(file, spec.Pos(), layer.Reason, "%s", wrong))
	}
	return violations
}
