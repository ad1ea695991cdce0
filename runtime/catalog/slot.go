package catalog

import "slices"

// Lacks returns the interfaces that the slot requires and that are not among those offered. Where one of several would do and none is there, anyOf are those.
func (s Slot) Lacks(offered []string) (required, anyOf []string) {
	absent := func(name string) bool { return !slices.Contains(offered, name) }
	for _, name := range s.Required {
		if absent(name) {
			required = append(required, name)
		}
	}
	if !slices.ContainsFunc(s.AnyOf, func(name string) bool { return !absent(name) }) {
		anyOf = s.AnyOf
	}
	return required, anyOf
}

// Filling returns the backends that have all that a slot requires.
func (c *Catalog) Filling(s Slot) []Backend {
	var found []Backend
	for _, backend := range c.backends {
		if required, anyOf := s.Lacks(backend.Implements); len(required) == 0 && len(anyOf) == 0 {
			found = append(found, backend)
		}
	}
	return found
}
