// Package catalog describes what a Prism build knows: interfaces, backends and patterns, as data. The generated registry makes a [Catalog]; the gateway
// and the command line read it. Two registries, such as Prism's and another module's, are put together with [Merge].
package catalog

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/prismgate/prism/runtime/rpc"
)

// Kind tells where an interface belongs.
type Kind string

// The kinds of interfaces.
const (
	// Core is one of the catalog's core interfaces.
	Core Kind = "core"
	// Extension is served to clients as the core is, and not counted in it.
	Extension Kind = "extension"
	// SlotKind fills slots of patterns and is not served to clients.
	SlotKind Kind = "slot"
)

// Interface is one thin slice of a data model.
type Interface struct {
	// Name is the catalog name: "keyvalue_scan".
	Name string
	// Model is the data model: "KeyValue".
	Model string
	// Flavour is the slice of the model: "scan".
	Flavour string
	// Service is the proto service: "prism.keyvalue.v1.KeyValueScanInterface".
	Service string
	// Kind is core, extension or slot.
	Kind Kind
	// Requires names the interfaces that an implementation must offer as well.
	Requires []string
	// Alternatives tells that an implementation may answer UNIMPLEMENTED to some RPCs, though not to all.
	Alternatives bool
	// Doc is the contract that holds for all RPCs.
	Doc string
	// RPCs are in the order of the schema.
	RPCs []RPC
	// Hash is the SHA-256, in hex, of what the interface is on the wire: its service with its options, and every message and enum that it reaches, without comments. Two
	// builds that have the same one can speak to each other.
	Hash string
}

// RPC is one method of an interface or a service with its contract.
type RPC struct {
	// Name is the RPC's name: "Scan".
	Name string
	// Doc is the contract.
	Doc string
	// Args are the request fields that SDKs take by position.
	Args []string
	// Method is the entry of the rpc table.
	Method *rpc.Method
}

// Backend is code that implements interfaces on one storage or messaging system.
type Backend struct {
	// Name is the catalog name: "redis".
	Name string
	// Implements names the interfaces, sorted.
	Implements []string
	// Models are the data models of those interfaces, sorted.
	Models []string
	// Implementability is the declared score, 0 to 100.
	Implementability int
	// Doc describes the backend.
	Doc string
	// NewConfig returns an empty configuration message.
	NewConfig func() proto.Message
	// Comments returns the schema's comments on the configuration messages and their fields, by full name. It may be nil.
	Comments func() map[string]string
	// Check checks a configuration message, as NewConfig makes it, against the schema's constraints. Its error is INVALID_ARGUMENT and names the field. It is nil
	// where there are no constraints.
	Check func(proto.Message) error
}

// Pattern is code that offers interfaces on top of slots.
type Pattern struct {
	// Name is the catalog name: "claim-check".
	Name string
	// Version is the version of its behaviour: "v1".
	Version string
	// Doc describes the pattern.
	Doc string
	// Slots are in the order of the schema.
	Slots []Slot
	// Offers names the interfaces that it offers.
	Offers []string
	// OffersSlot is the slot whose interfaces it offers, decorated; or "".
	OffersSlot string
	// Services are those that it offers besides interfaces, in the order of the schema.
	Services []Service
	// NewConfig returns an empty configuration message.
	NewConfig func() proto.Message
	// Comments returns the schema's comments on the configuration messages and their fields, by full name. It may be nil.
	Comments func() map[string]string
	// Check checks a configuration message, as NewConfig makes it, against the schema's constraints. Its error is INVALID_ARGUMENT and names the field. It is nil
	// where there are no constraints.
	Check func(proto.Message) error
}

// Service is a service that a pattern offers to clients and that is no interface.
type Service struct {
	// Name is the proto service: "prism.patterns.v1.MulticastRegistryService".
	Name string
	// Doc is the contract that holds for all RPCs.
	Doc string
	// RPCs are in the order of the schema.
	RPCs []RPC
}

// Slot is a named hole of a pattern.
type Slot struct {
	// Name is the slot's name: "registry".
	Name string
	// Doc says what the slot is for.
	Doc string
	// Required names interfaces that must be there.
	Required []string
	// Optional names interfaces that are used when they are there.
	Optional []string
	// AnyOf names interfaces of which one must be there.
	AnyOf []string
	// Recommended names backends to suggest.
	Recommended []string
	// MayBeEmpty tells that the pattern works without the slot.
	MayBeEmpty bool
	// OptionalWhileEmpty names another slot: only while it is empty are the optional interfaces used. Empty: they are whenever they are there.
	OptionalWhileEmpty string
}

// Catalog is an immutable set of interfaces, backends and patterns, each sorted by name.
type Catalog struct {
	interfaces []Interface
	backends   []Backend
	patterns   []Pattern
}

// New makes a catalog. Generated code calls it with a registry's content. A name that occurs twice is an error.
func New(interfaces []Interface, backends []Backend, patterns []Pattern) (*Catalog, error) {
	c := &Catalog{slices.Clone(interfaces), slices.Clone(backends), slices.Clone(patterns)}
	if err := sortUnique("interface", c.interfaces, func(i Interface) string { return i.Name }); err != nil {
		return nil, err
	}
	if err := sortUnique("backend", c.backends, func(b Backend) string { return b.Name }); err != nil {
		return nil, err
	}
	if err := sortUnique("pattern", c.patterns, func(p Pattern) string { return p.Name }); err != nil {
		return nil, err
	}
	return c, nil
}

// Merge puts catalogs together.
func Merge(catalogs ...*Catalog) (*Catalog, error) {
	var all Catalog
	for _, c := range catalogs {
		all.interfaces = append(all.interfaces, c.interfaces...)
		all.backends = append(all.backends, c.backends...)
		all.patterns = append(all.patterns, c.patterns...)
	}
	return New(all.interfaces, all.backends, all.patterns)
}

// Interfaces returns all interfaces, sorted by name. The slice must not be changed; nor that of any method here.
func (c *Catalog) Interfaces() []Interface { return c.interfaces }

// Backends returns all backends, sorted by name.
func (c *Catalog) Backends() []Backend { return c.backends }

// Patterns returns all patterns, sorted by name.
func (c *Catalog) Patterns() []Pattern { return c.patterns }

// Interface returns the interface of that name.
func (c *Catalog) Interface(name string) (Interface, bool) {
	return find(c.interfaces, name, func(i Interface) string { return i.Name })
}

// Backend returns the backend of that name.
func (c *Catalog) Backend(name string) (Backend, bool) {
	return find(c.backends, name, func(b Backend) string { return b.Name })
}

// Pattern returns the pattern of that name.
func (c *Catalog) Pattern(name string) (Pattern, bool) {
	return find(c.patterns, name, func(p Pattern) string { return p.Name })
}

// Implementing returns the backends that implement every one of the named interfaces.
func (c *Catalog) Implementing(interfaces ...string) []Backend {
	var found []Backend
	for _, backend := range c.backends {
		if !slices.ContainsFunc(interfaces, func(name string) bool { return !slices.Contains(backend.Implements, name) }) {
			found = append(found, backend)
		}
	}
	return found
}

func sortUnique[T any](what string, all []T, name func(T) string) error {
	slices.SortFunc(all, func(a, b T) int { return strings.Compare(name(a), name(b)) })
	for i := 1; i < len(all); i++ {
		if name(all[i]) == name(all[i-1]) {
			return fmt.Errorf("catalog: two %ss are named %q; names must be unique", what, name(all[i]))
		}
	}
	return nil
}

func find[T any](all []T, wanted string, name func(T) string) (T, bool) {
	i, ok := slices.BinarySearchFunc(all, wanted, func(t T, wanted string) int { return strings.Compare(name(t), wanted) })
	if !ok {
		var none T
		return none, false
	}
	return all[i], true
}
