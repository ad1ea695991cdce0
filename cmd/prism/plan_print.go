package main

import (
	"fmt"
	"strings"
)

// tree is a text with others below it.
type tree struct {
	text  string
	below []tree
}

// printTree prints what is below a text, which is printed already.
func (c *cli) printTree(below []tree, indent string) {
	for i, t := range below {
		branch, deeper := "├── ", "│   "
		if i == len(below)-1 {
			branch, deeper = "└── ", "    "
		}
		fmt.Fprintf(c.stdout, "%s%s%s\n", indent, branch, t.text)
		c.printTree(t.below, indent+deeper)
	}
}

func (c *cli) printPlan(p planned) {
	for _, n := range p.Namespaces {
		fmt.Fprintf(c.stdout, "namespace %s\n", n.Name)
		c.printTree(n.tree(), "")
		fmt.Fprintln(c.stdout)
	}
	at := p.Running
	if at.Problem != "" {
		fmt.Fprintf(c.stdout, "Compared with nothing, since at %s %s\n", at.Address, printable(at.Problem))
	} else {
		fmt.Fprintf(c.stdout, "Compared with the gateway at %s, %s, which serves its configuration since %s:\n", at.Address, printable(at.Version), printable(at.Since))
	}
	if at.ReloadProblem != "" {
		fmt.Fprintf(c.stdout, "Its last reload failed: %s\n", printable(at.ReloadProblem))
	}
	d := p.Difference
	if d.Namespaces.empty() && d.Backends.empty() && len(d.Restart) == 0 {
		fmt.Fprintln(c.stdout, "\nNothing would change.")
		return
	}
	c.printChanges("Namespaces", d.Namespaces, changeWords{added: "served", removed: "served no more", changed: "served anew", same: "not changed"})
	c.printChanges("Backend instances", d.Backends, changeWords{added: "opened", removed: "closed", changed: "closed and opened anew", same: "carried over"})
	if len(d.Lost) > 0 {
		fmt.Fprintf(c.stdout, "\nData in memory would be lost: %s\n", strings.Join(d.Lost, ", "))
	}
	if len(d.Restart) > 0 {
		fmt.Fprintf(c.stdout, "\nA reload would be refused, since these need a restart: %s\n", strings.Join(d.Restart, ", "))
	}
}

func (c changesShown) empty() bool { return len(c.Added)+len(c.Removed)+len(c.Changed) == 0 }

// tree is what serves a namespace.
func (n namespaceShown) tree() []tree {
	var all []tree
	if len(n.Limits) > 0 {
		all = append(all, tree{text: "limits: " + n.Limits.String()})
	}
	if n.Backend != nil {
		return append(all, tree{"backend " + n.Backend.title(), []tree{{text: "offers " + strings.Join(n.Offers, ", ")}}})
	}
	if len(n.Offers)+len(n.Services) > 0 {
		all = append(all, tree{text: "offers " + strings.Join(append(n.Offers, n.Services...), ", ")})
	}
	// The innermost first, so that it can be put below the slot that leads to it.
	var next []tree
	for i := len(n.Patterns) - 1; i >= 0; i-- {
		p := n.Patterns[i]
		var slots []tree
		for _, slot := range p.Slots {
			slots = append(slots, slot.tree(next))
		}
		next = []tree{{"pattern " + p.Pattern + " " + p.Version, slots}}
	}
	return append(all, next...)
}

func (s slotShown) tree(next []tree) tree {
	switch {
	case s.Backend != nil:
		return tree{text: fmt.Sprintf("%s: %s (%s)", s.Slot, s.Backend.title(), strings.Join(s.used(), ", "))}
	case s.Next != "":
		return tree{fmt.Sprintf("%s: next (%s)", s.Slot, strings.Join(s.used(), ", ")), next}
	}
	return tree{text: s.Slot + ": none"}
}

// used are the interfaces of what fills a slot that the pattern uses.
func (s slotShown) used() []string {
	var names []string
	for _, list := range [][]interfaceShown{s.Required, s.AnyOf, s.Optional} {
		for _, i := range list {
			if i.Implemented {
				names = append(names, i.Interface)
			}
		}
	}
	return names
}

// changeWords say what becomes of a thing.
type changeWords struct{ added, removed, changed, same string }

func (c *cli) printChanges(title string, changes changesShown, words changeWords) {
	fmt.Fprintf(c.stdout, "\n%s:\n", title)
	width := 0
	for _, name := range append(append([]string{}, changes.Added...), changes.Removed...) {
		width = max(width, len(name))
	}
	for _, change := range changes.Changed {
		width = max(width, len(change.Name))
	}
	for _, name := range changes.Added {
		fmt.Fprintf(c.stdout, "  %s %-*s  %s\n", c.coloured("+", "32"), width, name, words.added)
	}
	for _, change := range changes.Changed {
		fmt.Fprintf(c.stdout, "  %s %-*s  %s: %s\n", c.coloured("~", "33"), width, change.Name, words.changed, strings.Join(change.What, "; "))
	}
	for _, name := range changes.Removed {
		fmt.Fprintf(c.stdout, "  %s %-*s  %s\n", c.coloured("-", "31"), width, name, words.removed)
	}
	if len(changes.Same) > 0 {
		fmt.Fprintf(c.stdout, "  %d %s\n", len(changes.Same), words.same)
	}
}
