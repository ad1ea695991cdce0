package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// leastColumn is how wide the column with the names of interfaces is at least.
const leastColumn = 20

// printValidation prints what the architecture guide shows of it.
func (c *cli) printValidation(v validation) {
	for _, n := range v.Namespaces {
		fmt.Fprintf(c.stdout, "\nValidating namespace: %s\n", n.Name)
		if n.Backend != nil {
			fmt.Fprintf(c.stdout, "Backend: %s\n", n.Backend.title())
			c.printInterfaces("Offered interfaces", n.Backend.Type, "implements", "", offered(n.Offers))
		}
		for i, p := range n.Patterns {
			if i > 0 {
				fmt.Fprintln(c.stdout)
			}
			fmt.Fprintln(c.stdout, strings.TrimSpace("Pattern: "+p.Pattern+" "+p.Version)) // one that is not known has no version
			for _, slot := range p.Slots {
				c.printFilling(slot)
			}
		}
		if len(n.Problems) > 0 {
			fmt.Fprintln(c.stdout)
		}
		c.printCrosses("", n.Problems)
	}
	if len(v.Backends) > 0 {
		fmt.Fprintln(c.stdout, "\nBackend instances:")
		c.printDialed(v.Backends)
	}
	fmt.Fprintln(c.stdout)
	failed := 0
	for _, d := range v.Backends {
		if d.Problem != "" {
			failed++
		}
	}
	switch {
	case v.Valid:
		fmt.Fprintln(c.stdout, "✅ Configuration valid")
	case failed > 0:
		fmt.Fprintf(c.stdout, "❌ Configuration valid, and %s did not open\n", count(failed, "backend instance"))
	default:
		fmt.Fprintf(c.stdout, "❌ Configuration invalid: %s\n", count(len(v.Problems), "problem"))
	}
}

func (c *cli) printFilling(slot slotShown) {
	fmt.Fprintf(c.stdout, "\nSlot: %s\n", slot.Slot)
	who, does := "", "implements"
	switch {
	case slot.Backend != nil:
		fmt.Fprintf(c.stdout, "  Backend: %s\n", slot.Backend.title())
		who = slot.Backend.Type
	case slot.Next != "":
		fmt.Fprintf(c.stdout, "  Next pattern: %s\n", slot.Next)
		who, does = slot.Next, "offers"
	case len(slot.Problems) == 0:
		fmt.Fprintln(c.stdout, "  Backend: (none)")
	}
	anyOf := "-"
	if !slices.ContainsFunc(slot.AnyOf, func(i interfaceShown) bool { return i.Implemented }) {
		anyOf = c.cross()
	}
	if who != "" {
		c.printInterfaces("Required interfaces", who, does, c.cross(), slot.Required)
		c.printInterfaces("At least one of", who, does, anyOf, slot.AnyOf)
		// What may be missing is not told when it is: nothing is to be done about it.
		there := slices.DeleteFunc(slices.Clone(slot.Optional), func(i interfaceShown) bool { return !i.Implemented })
		c.printInterfaces("Optional interfaces", who, does, "", there)
	}
	c.printCrosses("  ", slot.Problems)
}

// printInterfaces prints a list of interfaces with who implements each. Missing marks one that nobody does.
func (c *cli) printInterfaces(title, who, does, missing string, interfaces []interfaceShown) {
	if len(interfaces) == 0 {
		return
	}
	fmt.Fprintf(c.stdout, "  %s:\n", title)
	width := leastColumn
	for _, i := range interfaces {
		width = max(width, len(i.Interface))
	}
	for _, i := range interfaces {
		mark, verb := c.tick(), does
		if !i.Implemented {
			mark, verb = missing, "does not "+strings.TrimSuffix(does, "s")
		}
		fmt.Fprintf(c.stdout, "    %s %-*s (%s %s)\n", mark, width, i.Interface, who, verb)
	}
}

func (c *cli) printCrosses(indent string, problems []string) {
	for _, problem := range problems {
		fmt.Fprintf(c.stdout, "%s%s %s\n", indent, c.cross(), printable(problem))
	}
}

func (c *cli) printDialed(all []dialed) {
	width := leastColumn
	for _, d := range all {
		width = max(width, len(d.Name))
	}
	for _, d := range all {
		what := d.Type
		if d.Deployment != "" {
			what += ", " + d.Deployment + ","
		}
		if d.Problem == "" {
			fmt.Fprintf(c.stdout, "  %s %-*s (%s opens)\n", c.tick(), width, d.Name, what)
		} else {
			fmt.Fprintf(c.stdout, "  %s %-*s (%s does not open: %s)\n", c.cross(), width, d.Name, what, printable(d.Problem))
		}
	}
}

// title is an instance by name, with its backend where that is another, and where its code runs.
func (b backendShown) title() string {
	var more []string
	if b.Type != "" && b.Type != b.Name {
		more = append(more, b.Type)
	}
	if b.Deployment != "" {
		more = append(more, b.Deployment)
	}
	if len(more) == 0 {
		return b.Name
	}
	return b.Name + " (" + strings.Join(more, ", ") + ")"
}

// offered are interfaces that are there.
func offered(names []string) []interfaceShown {
	var all []interfaceShown
	for _, name := range names {
		all = append(all, interfaceShown{name, true})
	}
	return all
}

func (c *cli) tick() string { return c.coloured("✓", "32") }

func (c *cli) cross() string { return c.coloured("✗", "31") }

// coloured gives a text a colour on a terminal, unless its user wants none.
func (c *cli) coloured(text, colour string) string {
	file, ok := c.stdout.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return text
	}
	if info, err := file.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}
