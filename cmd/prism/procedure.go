package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/prismgate/prism/runtime/catalog"
	"github.com/prismgate/prism/runtime/rpc"
	"github.com/prismgate/prism/runtime/suggest"
)

// callable is something with RPCs that clients may call: an interface, or a service of a pattern.
type callable struct {
	// name is what people call it: the catalog name of the interface, or of the pattern when that has one service.
	name string
	// service is the proto service.
	service string
	doc     string
	rpcs    []catalog.RPC
}

// callables are everything that clients may call.
func (c *cli) callables() []callable {
	var all []callable
	for _, i := range c.catalog.Interfaces() {
		if i.Kind != catalog.SlotKind {
			all = append(all, callable{i.Name, i.Service, i.Doc, i.RPCs})
		}
	}
	for _, p := range c.catalog.Patterns() {
		for _, s := range p.Services {
			all = append(all, callable{serviceOwner(p, s.Name), s.Name, s.Doc, s.RPCs})
		}
	}
	return all
}

// procedure finds the method that a name stands for: keyvalue_basic.Get, keyvalue_basic/Get, prism.keyvalue.v1.KeyValueBasicInterface/Get, multicast-registry.Register.
func (c *cli) procedure(name string) (*rpc.Method, error) {
	owner, method, ok := cutProcedure(name)
	if !ok {
		return nil, usagef("%q names no RPC; one is INTERFACE.RPC, such as keyvalue_basic.Get", name)
	}
	all := c.callables()
	at := slices.IndexFunc(all, func(i callable) bool { return i.name == owner || i.service == owner })
	if at < 0 {
		if i, known := c.catalog.Interface(owner); known {
			return nil, fmt.Errorf("%s fills slots of patterns and is not served to clients", i.Name)
		}
		return nil, unknownName("interface", owner, namesOf(all, func(i callable) string { return i.name }))
	}
	i := all[at]
	for _, r := range i.rpcs {
		if r.Name != method {
			continue
		}
		if shape := r.Method.Shape; shape == rpc.ShapeClientStream || shape == rpc.ShapeBidi {
			return nil, fmt.Errorf("%s.%s is a %s; prism call makes calls with one request", i.name, r.Name, shape)
		}
		return r.Method, nil
	}
	names := rpcNames(i.rpcs)
	return nil, fmt.Errorf("%s has no RPC %q%s\nIts RPCs: %s", i.name, method, suggest.DidYouMean(method, names), strings.Join(names, ", "))
}

// cutProcedure cuts a name at its slash, or else at its last dot: services have dots of their own.
func cutProcedure(name string) (owner, method string, ok bool) {
	name = strings.TrimPrefix(name, "/")
	at := strings.IndexByte(name, '/')
	if at < 0 {
		at = strings.LastIndexByte(name, '.')
	}
	if at <= 0 || at == len(name)-1 {
		return "", "", false
	}
	return name[:at], name[at+1:], true
}

// completeProcedures completes an interface first, and then its RPCs.
func (c *cli) completeProcedures(_ *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var completions []cobra.Completion
	owner, _, named := strings.Cut(typed, ".")
	for _, i := range c.callables() {
		switch {
		case !named:
			completions = append(completions, cobra.CompletionWithDesc(i.name+".", firstSentence(i.doc)))
		case i.name == owner:
			for _, r := range i.rpcs {
				completions = append(completions, cobra.CompletionWithDesc(i.name+"."+r.Name, firstSentence(r.Doc)))
			}
		}
	}
	directive := cobra.ShellCompDirectiveNoFileComp
	if !named {
		directive |= cobra.ShellCompDirectiveNoSpace
	}
	return beginning(completions, typed), directive
}
