package rpc

import "slices"

// Field is one interface in a set of interfaces: a struct with a field for each, of which those that are nil are not offered. Make one with [FieldOf];
// generated code does, for every field of a generated set.
type Field[Set any] struct {
	// Name is the interface's catalog name.
	Name string

	offered  func(*Set) bool
	get      func(*Set) any
	set      func(set *Set, implementation any)
	handlers func(*Set) []Handler
	connect  func(*Set, Conn)
	copy     func(to, from *Set)
}

// FieldOf describes a field by its name, its place, and how its contract is served and called. handlers is nil for an interface that is never served.
func FieldOf[Set, Contract any](name string, at func(*Set) *Contract, handlers func(Contract) []Handler, client func(Conn) Contract) Field[Set] {
	return Field[Set]{
		Name:    name,
		offered: func(set *Set) bool { return any(*at(set)) != nil },
		get:     func(set *Set) any { return *at(set) },
		set: func(set *Set, implementation any) {
			if contract, ok := implementation.(Contract); ok {
				*at(set) = contract
			}
		},
		handlers: func(set *Set) []Handler {
			if handlers == nil {
				return nil
			}
			return handlers(*at(set))
		},
		connect: func(set *Set, conn Conn) { *at(set) = client(conn) },
		copy:    func(to, from *Set) { *at(to) = *at(from) },
	}
}

// Fields are all fields of a set. They are not changed.
type Fields[Set any] []Field[Set]

// Handlers returns a handler for every method of every interface that a set offers, but for those that are never served.
func (f Fields[Set]) Handlers(set *Set) []Handler {
	var handlers []Handler
	for _, field := range f {
		if field.offered(set) {
			handlers = append(handlers, field.handlers(set)...)
		}
	}
	return handlers
}

// Names returns the names of the interfaces that a set offers, sorted.
func (f Fields[Set]) Names(set *Set) []string {
	var names []string
	for _, field := range f {
		if field.offered(set) {
			names = append(names, field.Name)
		}
	}
	slices.Sort(names)
	return names
}

// Offering gives implementations by the catalog names of their interfaces: the contract's Go value, or nil for what it does not offer. Generated sets are
// offerings. By it a set can be filled from one of another module, which is of another type, though its contracts are the same.
type Offering interface {
	// Interface returns the implementation of the interface of that catalog name; nil when it is not offered.
	Interface(name string) any
}

// Interface returns the implementation of the named interface in a set; nil when the set does not offer it.
func (f Fields[Set]) Interface(set *Set, name string) any {
	for _, field := range f {
		if field.Name == name {
			return field.get(set)
		}
	}
	return nil
}

// From returns a set of what an offering offers; nil of nil. What the set has no field for is left out.
func (f Fields[Set]) From(offering Offering) *Set {
	if offering == nil {
		return nil
	}
	set := new(Set)
	for _, field := range f {
		field.set(set, offering.Interface(field.Name))
	}
	return set
}

// Only returns a copy of a set with nothing but the named interfaces.
func (f Fields[Set]) Only(set *Set, names []string) *Set {
	only := new(Set)
	for _, field := range f {
		if slices.Contains(names, field.Name) {
			field.copy(only, set)
		}
	}
	return only
}

// Clients returns a set that offers the named interfaces by calling them on a connection. Names that are not known are ignored.
func (f Fields[Set]) Clients(conn Conn, names []string) *Set {
	clients := new(Set)
	for _, field := range f {
		if slices.Contains(names, field.Name) {
			field.connect(clients, conn)
		}
	}
	return clients
}
