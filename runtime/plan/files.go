package plan

import "github.com/prismgate/prism/runtime/config"

// ResolveFiles makes relative paths in what backends and patterns are configured with begin at the folder of the file that has them. Call it once, before what is
// planned is opened or compared.
func (p *Plan) ResolveFiles(source *config.Source) {
	for _, i := range p.Instances {
		source.ResolveFiles(i.Path+".config", i.Config)
	}
	for _, n := range p.Namespaces {
		for _, step := range n.Steps {
			source.ResolveFiles(step.Path+".config", step.Config)
		}
	}
}
