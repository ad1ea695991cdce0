// Package plan says what a configuration comes to: which backends are opened, and what serves each namespace. It is pure: it opens and reads nothing.
package plan

import (
	"google.golang.org/protobuf/proto"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/catalog"
	"github.com/prismgate/prism/runtime/config"
)

// Plan is what a configuration comes to.
type Plan struct {
	// Config is the configuration.
	Config *configv1.Config
	// Instances are the backend instances that namespaces use, sorted by name.
	Instances []*Instance
	// Namespaces are in the order of the configuration.
	Namespaces []*Namespace
}

// Instance is a backend instance that is to be opened.
type Instance struct {
	// Name is the instance's name.
	Name string
	// Backend is what the catalog says of it.
	Backend catalog.Backend
	// Config is its configuration, as the backend's own message, checked.
	Config proto.Message
	// Deployment is where its code runs.
	Deployment Deployment
	// Provider says how the process is reached in which its code runs; nil when that is the gateway's.
	Provider *configv1.Provider
	// Path is where the configuration has it, or where it is named when it has no entry of its own.
	Path string
}

// Namespace is what serves a namespace.
type Namespace struct {
	// Name is the namespace's name.
	Name string
	// Backend serves it when Steps is empty.
	Backend *Instance
	// Steps are its patterns, outermost first.
	Steps []*Step
	// Offers are the interfaces that clients can call, sorted, and Services the full names of the services that the outermost pattern has of its own.
	Offers, Services []string
	// Limits are the namespace's own over those of the configuration; a zero field means its default.
	Limits *configv1.NamespaceLimits
	// Path is where the configuration has it.
	Path string
}

// Step is one pattern of a chain.
type Step struct {
	// Pattern is what the catalog says of it.
	Pattern catalog.Pattern
	// Config is its configuration, as the pattern's own message, checked; its slots are not set.
	Config proto.Message
	// Slots say what fills each slot, in the order of the schema; one that is empty is not among them.
	Slots []Filling
	// Offers are the interfaces that the pattern offers to what is before it, sorted: those that it declares, or else those of the slot that it decorates.
	Offers []string
	// Path is where the configuration has it.
	Path string
	// decided tells that Offers is all that there is, and not what is known so far.
	decided bool
}

// Filling is what fills a slot.
type Filling struct {
	// Slot is what the catalog says of it.
	Slot catalog.Slot
	// Backend is the name of the instance that fills it; "" when the next step does.
	Backend string
	// Instance fills it; nil when the next step does.
	Instance *Instance
	// Offers are the interfaces of what fills it, sorted.
	Offers []string
	// Path is where the configuration has it.
	Path string
}

// Make says what a configuration comes to. An error is a [config.Problems] that names every mistake, not the first only.
func Make(c *configv1.Config, known *catalog.Catalog) (*Plan, error) {
	p, problems := Examine(c, known)
	if len(problems) > 0 {
		return nil, problems
	}
	return p, nil
}

// Examine is [Make] for those who show mistakes in their place: the plan is there as far as the configuration makes sense, and is for reading only when there are
// problems. Then a namespace, a step or a filling may be without what could not be found; a pattern that is not known has nothing but its name.
func Examine(c *configv1.Config, known *catalog.Catalog) (*Plan, config.Problems) {
	m := newMaker(c, known)
	m.server()
	m.backends()
	p := &Plan{Config: c, Namespaces: m.namespaces()}
	m.observability()
	m.checkWhole()
	p.Instances = m.instances()
	return p, m.problems
}
