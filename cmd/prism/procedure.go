package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/prismgate/prism/runtime/catalog"
	"github.com/prismgate/prism/runtime/rpc"
	"github.com/prismgate/prism/runtime/suggest"
)

// procedure finds the method that a name stands for: keyvalue_basic.Get, keyvalue_basic/Get, prism.keyvalue.v1.KeyValueBasicInterface/Get.
func (c *cli) procedure(name string) (*rpc.Method, error) {
	owner, method, ok := cutProcedure(name)
	if !ok {
		return nil, usagef("%q names no RPC; one is INTERFACE.RPC, such as keyvalue_basic.Get", name)
	}
	i, ok := c.owner(owner)
	switch {
	case !ok:
		return nil, unknownName("interface", owner, c.interfaceNames())
	case i.Kind == catalog.SlotKind:
		return nil, fmt.Errorf("%s fills slots of patterns and is not served to clients", i.Name)
	}
	for _, r := range i.RPCs {
		if r.Name != method {
			continue
		}
		if shape := r.Method.Shape; shape == rpc.ShapeClientStream || shape == rpc.ShapeBidi {
			return nil, fmt.Errorf("%s.%s is a %s; prism call makes calls with one request", i.Name, r.Name, shape)
		}
		return r.Method, nil
	}
	return nil, fmt.Errorf("%s has no RPC %q%s\nIts RPCs: %s", i.Name, method, suggest.DidYouMean(method, rpcNames(i)), strings.Join(rpcNames(i), ", "))
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

// owner finds an interface by its name or its service.
func (c *cli) owner(name string) (catalog.Interface, bool) {
	for _, i := range c.catalog.Interfaces() {
		if i.Name == name || i.Service == name {
			return i, true
		}
	}
	return catalog.Interface{}, false
}

// completeProcedures completes an interface first, and then its RPCs.
func (c *cli) completeProcedures(_ *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var completions []cobra.Completion
	if owner, _, ok := strings.Cut(typed, "."); ok {
		i, _ := c.catalog.Interface(owner)
		for _, r := range i.RPCs {
			completions = append(completions, cobra.CompletionWithDesc(i.Name+"."+r.Name, firstSentence(r.Doc)))
		}
		return beginning(completions, typed), cobra.ShellCompDirectiveNoFileComp
	}
	for _, i := range c.catalog.Interfaces() {
		if i.Kind != catalog.SlotKind {
			completions = append(completions, cobra.CompletionWithDesc(i.Name+".", firstSentence(i.Doc)))
		}
	}
	return beginning(completions, typed), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}
