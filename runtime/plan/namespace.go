package plan

import (
	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/catalog"
	"github.com/prismgate/prism/runtime/config"
)

// namespaces says what serves each namespace. A configuration without any has one.
func (m *maker) namespaces() []*Namespace {
	m.limits("namespace_limits", m.config.GetNamespaceLimits())
	if len(m.config.GetNamespaces()) == 0 {
		return []*Namespace{m.defaultNamespace()}
	}
	all := make([]*Namespace, len(m.config.GetNamespaces()))
	first := map[string]int{}
	for i, declared := range m.config.GetNamespaces() {
		path := index("namespaces", i)
		if former, twice := first[declared.GetName()]; twice {
			m.refuse(path+".name", "%s is the name of %s too; names of namespaces are unique", quote(declared.GetName()), index("namespaces", former))
		} else {
			first[declared.GetName()] = i
		}
		all[i] = m.namespace(path, declared)
	}
	return all
}

func (m *maker) defaultNamespace() *Namespace {
	return m.onBackend(&Namespace{Name: "default", Path: "namespaces", Limits: m.effective(nil)}, "namespaces", memStore)
}

func (m *maker) namespace(path string, declared *configv1.Namespace) *Namespace {
	n := &Namespace{Name: declared.GetName(), Path: path, Limits: m.effective(declared.GetLimits())}
	if declared != nil {
		m.violation(path, configv1.CheckNamespace(declared))
	}
	switch sound := m.shape(path, declared); {
	case !sound:
	case declared.GetPattern() != "":
		m.chain(n, []use{{path, &configv1.PatternUse{
			Pattern: declared.GetPattern(), Version: declared.GetVersion(), Config: declared.GetConfig(), Slots: declared.GetSlots(),
		}}})
	case len(declared.GetPatterns()) > 0:
		uses := make([]use, len(declared.GetPatterns()))
		for i, pattern := range declared.GetPatterns() {
			uses[i] = use{index(path+".patterns", i), pattern}
		}
		m.chain(n, uses)
	case declared.GetBackend() != "":
		m.onBackend(n, path+".backend", declared.GetBackend())
	default:
		m.refuse(path, "nothing serves the namespace; name a backend, a pattern, or a chain of patterns")
	}
	m.namespaceLimits(path+".limits", declared.GetLimits(), n.Limits)
	return n
}

// onBackend serves a namespace by a backend alone.
func (m *maker) onBackend(n *Namespace, path, name string) *Namespace {
	if n.Backend = m.use(path, name); n.Backend != nil {
		n.Offers = m.servable(n.Backend.Backend.Implements)
	}
	return n
}

// shape refuses fields that do not go together: one of them would be silently without effect. It tells whether it is clear what is meant to serve the namespace.
func (m *maker) shape(path string, n *configv1.Namespace) bool {
	switch {
	case n.GetPattern() != "" && len(n.GetPatterns()) > 0:
		m.refuse(path+".patterns", "cannot stand beside pattern; pattern is short for a chain of one, patterns is the whole chain")
		return false
	case n.GetBackend() != "" && n.GetPattern() != "":
		m.refuse(path+".backend", "cannot stand beside pattern; a namespace is served by a backend alone, or by patterns whose slots name backends")
	case n.GetBackend() != "" && len(n.GetPatterns()) > 0:
		m.refuse(path+".backend", "cannot stand beside patterns; a namespace is served by a backend alone, or by patterns whose slots name backends")
	}
	if n.GetPattern() != "" {
		return true
	}
	remedy := "needs pattern: the namespace names none"
	if len(n.GetPatterns()) > 0 {
		remedy = "belongs to pattern; in a chain it is written in the entry of patterns that it is for"
	}
	if n.GetVersion() != "" {
		m.refuse(path+".version", "%s", remedy)
	}
	if len(n.GetSlots()) > 0 {
		m.refuse(path+".slots", "%s", remedy)
	}
	if n.GetConfig() != nil {
		if len(n.GetPatterns()) == 0 {
			remedy += "; a backend is configured under backends"
		}
		m.refuse(path+".config", "%s", remedy)
	}
	return true
}

// use is a pattern of a chain, and where it is written.
type use struct {
	path    string
	pattern *configv1.PatternUse
}

// chain serves a namespace by patterns.
//
// A chain has no cycle, whatever is written: next names nothing, it is the following entry of a list that ends, and a backend instance is no pattern. So what a
// cycle could be written as is refused for other reasons: next in the last entry leads nowhere, and the name of a pattern or of the namespace in the place of a
// backend is no backend. What remains is that an entry is reached twice or not at all, which unreached and the slots see to.
func (m *maker) chain(n *Namespace, uses []use) {
	n.Steps = make([]*Step, len(uses))
	problems := make([]config.Problems, len(uses))
	before := m.problems
	for i := len(uses) - 1; i >= 0; i-- { // from the innermost outwards: what a step offers depends on those behind it
		var next *Step
		if i < len(uses)-1 {
			next = n.Steps[i+1]
		}
		m.problems = nil
		n.Steps[i] = m.step(uses[i], next, i == len(uses)-1)
		problems[i] = m.problems
	}
	m.problems = before
	for i := range uses {
		if i > 0 {
			m.unreached(uses[i-1], uses[i])
		}
		m.problems = append(m.problems, problems[i]...)
	}
	n.Offers = m.servable(n.Steps[0].Offers)
	n.Services = namesOf(n.Steps[0].Pattern.Services, func(s catalog.Service) string { return s.Name })
}

// unreached refuses a pattern that no call can come to.
func (m *maker) unreached(former, at use) {
	for _, slot := range former.pattern.GetSlots() {
		if _, ok := slot.GetFilling().(*configv1.Slot_Next); ok {
			return
		}
	}
	m.refuse(at.path, "nothing leads to %s: no slot of %s, the pattern before it, is filled with next: true",
		quote(at.pattern.GetPattern()), quote(former.pattern.GetPattern()))
}
