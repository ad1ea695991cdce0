package config

import (
	"go.yaml.in/yaml/v3"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
)

// merge adds what a file holds to the configuration: the items of lists go behind those that are there, everything else may be there once.
func (l *loader) merge(f *file, config *configv1.Config) {
	whole, part := l.source.Config.ProtoReflect(), config.ProtoReflect()
	fields := part.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		name := string(field.Name())
		key, value := entryOf(f.root, name)
		if key == nil {
			continue
		}
		if !field.IsList() {
			if earlier := l.source.fileWith(name, f.order); earlier != nil {
				first, _ := entryOf(earlier.root, name)
				l.mistakes.add(f.place(key), name, "it is given at %s already, and only lists may be in several files; put the two together", earlier.place(first))
			} else if part.Has(field) {
				whole.Set(field, part.Get(field))
			}
			continue
		}
		if value.Kind == yaml.SequenceNode {
			l.counts[name] += len(value.Content)
		}
		list := whole.Mutable(field).List()
		for i := range part.Get(field).List().Len() {
			list.Append(part.Get(field).List().Get(i))
		}
	}
}

// duplicates are the names that two namespaces or two backends have.
func (s *Source) duplicates() mistakes {
	var found mistakes
	seen := make(map[string]place)
	check := func(what, field string, i int, name string) {
		path := fieldPath(indexPath(field, i), "name")
		at, exact := s.find(path)
		if !exact || name == "" {
			return
		}
		if first, ok := seen[what+name]; ok {
			found.add(at, path, "two %ss are named %s, the other at %s; names are unique", what, quote(name), first)
			return
		}
		seen[what+name] = at
	}
	for i, backend := range s.Config.GetBackends() {
		check("backend", "backends", i, backend.GetName())
	}
	for i, namespace := range s.Config.GetNamespaces() {
		check("namespace", "namespaces", i, namespace.GetName())
	}
	return found
}
