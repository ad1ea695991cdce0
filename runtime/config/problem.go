package config

import "strings"

// Problem is one thing that is wrong with a configuration.
type Problem struct { //nolint:errname // It is data first; the gateway and the plan collect and sort problems.
	// Path is the field, as the schema writes it: "namespaces[2].slots.registry.backend"; an entry of a map is a field by its key. Empty is the configuration itself.
	Path string
	// Message says what is wrong and what would be right.
	Message string
}

// Error is the whole sentence.
func (p Problem) Error() string {
	if p.Path == "" {
		return p.Message
	}
	return p.Path + ": " + p.Message
}

// Problems is everything that is wrong with a configuration, in the order of the file.
type Problems []Problem //nolint:errname // as Problem

// Error is one problem to a line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.Error()
	}
	return strings.Join(lines, "\n")
}
