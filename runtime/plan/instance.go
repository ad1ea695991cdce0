package plan

import (
	"maps"
	"slices"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/catalog"
)

// memStore is the backend that needs nothing: it serves a gateway that is told of no namespaces. What it holds ends with its instance.
const memStore = "memstore"

// backends checks the configured instances, those too that no namespace uses.
func (m *maker) backends() {
	first := map[string]int{}
	for i, declared := range m.config.GetBackends() {
		path := index("backends", i)
		if declared != nil {
			m.violation(path, configv1.CheckBackendInstance(declared))
		}
		if former, twice := first[declared.GetName()]; twice {
			m.refuse(path+".name", "%s is the name of %s too; names of backend instances are unique", quote(declared.GetName()), index("backends", former))
			continue
		}
		first[declared.GetName()] = i
		m.declared[declared.GetName()] = m.declare(path, declared)
	}
}

// declare is a configured instance; nil when there is no such backend.
func (m *maker) declare(path string, declared *configv1.BackendInstance) *Instance {
	name, at := declared.GetType(), path+".type"
	if name == "" {
		name, at = declared.GetName(), path+".name"
	}
	known, ok := m.catalog.Backend(name)
	if !ok {
		m.refuse(at, "%s", m.unknownBackend(name, declared.GetType() == ""))
		return nil
	}
	instance := &Instance{Name: declared.GetName(), Backend: known, Config: known.NewConfig(), Path: path}
	m.deployment(path, declared, instance)
	m.settings(path+".config", declared.GetConfig(), instance.Config, known.Check)
	return instance
}

func (m *maker) unknownBackend(name string, untyped bool) string {
	names := backendNames(m.catalog.Backends())
	text := "no backend " + quote(name) + " in this build" + m.didYouMean(name, names)
	if untyped {
		text += "; type says which backend an instance with a name of its own is"
	}
	return text + "; this build has " + orNone(names)
}

// use returns the instance that a namespace names at a path; nil when there is none.
func (m *maker) use(path, name string) *Instance {
	if instance := m.used[name]; instance != nil {
		return instance
	}
	instance, declared := m.declared[name]
	if !declared {
		instance = m.undeclared(path, name)
	}
	if instance != nil {
		m.used[name] = instance
	}
	return instance
}

// undeclared is an instance without an entry of its own: the backend of that name, with its defaults.
func (m *maker) undeclared(path, name string) *Instance {
	known, ok := m.catalog.Backend(name)
	if !ok {
		m.refuse(path, "%s", m.unknownInstance(name))
		return nil
	}
	instance := &Instance{Name: name, Backend: known, Config: known.NewConfig(), Deployment: InProcess, Path: path}
	if known.Check != nil {
		if err := known.Check(instance.Config); err != nil {
			m.refuse(path, "%s has to be configured under backends: %s", name, messageOf(err))
		}
	}
	return instance
}

// unknownInstance says what can be named instead.
func (m *maker) unknownInstance(name string) string {
	if _, ok := m.catalog.Pattern(name); ok {
		return name + " is a pattern and no backend; a chain of patterns is written under patterns, and a slot is filled by the next one with next: true"
	}
	var names []string
	for _, declared := range slices.Sorted(maps.Keys(m.declared)) {
		if m.declared[declared] != nil {
			names = append(names, declared)
		}
	}
	for _, known := range backendNames(m.catalog.Backends()) {
		if _, ok := m.declared[known]; !ok {
			names = append(names, known)
		}
	}
	return "no backend instance " + quote(name) + " is configured, and no backend of this build has that name" + m.didYouMean(name, names) + "; there is " + orNone(names)
}

// title is an instance by name, and its backend where that is another.
func (i *Instance) title() string {
	if i.Name == i.Backend.Name {
		return i.Name
	}
	return i.Name + " (" + i.Backend.Name + ")"
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return list(names, "and")
}

// servable are those interfaces that clients can call, sorted.
func (m *maker) servable(interfaces []string) []string {
	kept := slices.DeleteFunc(slices.Clone(interfaces), func(name string) bool {
		known, ok := m.catalog.Interface(name)
		return ok && known.Kind == catalog.SlotKind
	})
	return slices.Sorted(slices.Values(kept))
}
