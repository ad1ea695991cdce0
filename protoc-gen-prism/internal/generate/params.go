package generate

import (
	"fmt"
	"strings"

	"github.com/prismgate/prism/protoc-gen-prism/internal/model"
)

// parseParams reads the plugin's parameters, "name=value" with commas between them. Those of the form "Mfile.proto=import/path" are for protogen.
func parseParams(parameter string) (params model.Params, forProtogen string, err error) {
	fields := map[string]*string{
		"module":      &params.Module,
		"root":        &params.Root,
		"backends":    &params.Backends,
		"patterns":    &params.Patterns,
		"conformance": &params.Conformance,
		"docs":        &params.Docs,
	}
	var rest []string
	for param := range strings.SplitSeq(parameter, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(param), "=")
		switch {
		case name == "":
		case strings.HasPrefix(name, "M"):
			rest = append(rest, param)
		case fields[name] == nil:
			return params, "", fmt.Errorf("unknown parameter %q; the parameters are module, root, backends, patterns, conformance and docs", name)
		default:
			*fields[name] = strings.TrimSuffix(value, "/")
		}
	}
	if params.Root == "" {
		return params, "", fmt.Errorf("the parameter root is missing; give the import path for the generated packages, as in root=example.org/module/gen/go")
	}
	return params, strings.Join(rest, ","), nil
}
