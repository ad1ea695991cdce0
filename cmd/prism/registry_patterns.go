package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/prismgate/prism/runtime/catalog"
	"github.com/prismgate/prism/runtime/suggest"
)

func (c *cli) patternsCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "patterns",
		Short: "Show patterns: what they offer on top of which slots",
	},
		&cobra.Command{
			Use:   "list",
			Short: "List the patterns",
			Example: `  prism registry patterns list
  prism registry patterns list --output json`,
			Args: noArgs,
			RunE: func(*cobra.Command, []string) error { return c.listPatterns() },
		},
		&cobra.Command{
			Use:   "describe NAME",
			Short: "Show pattern requirements",
			Long:  "Show pattern requirements: for each slot the interfaces that whatever fills it must implement, and the backends that do.",
			Example: `  # Show pattern requirements
  prism registry patterns describe multicast-registry`,
			Args:              oneArg("the NAME of a pattern"),
			RunE:              func(_ *cobra.Command, args []string) error { return c.describePattern(args[0]) },
			ValidArgsFunction: completeNames(c.completePatterns),
		},
	)
}

func (c *cli) completePatterns() []cobra.Completion {
	return namesOf(c.catalog.Patterns(), func(p catalog.Pattern) string {
		return cobra.CompletionWithDesc(p.Name, firstSentence(p.Doc))
	})
}

// patternSummary is a pattern in JSON.
type patternSummary struct {
	Name       string        `json:"name"`
	Version    string        `json:"version"`
	Slots      []slotSummary `json:"slots"`
	Offers     []string      `json:"offers"`
	OffersSlot string        `json:"offers_slot"`
	Services   []string      `json:"services"`
}

type slotSummary struct {
	Name               string   `json:"name"`
	Required           []string `json:"required"`
	Optional           []string `json:"optional"`
	AnyOf              []string `json:"any_of"`
	RecommendedBackend []string `json:"recommended_backends"`
	MayBeEmpty         bool     `json:"may_be_empty"`
	OptionalWhileEmpty string   `json:"optional_while_empty,omitempty"`
}

// patternDetail is a pattern in JSON with its description; its slots and services stand in for those of the summary.
type patternDetail struct {
	patternSummary
	Doc      string          `json:"doc"`
	Slots    []slotDetail    `json:"slots"`
	Services []serviceDetail `json:"services"`
	Config   messageDetail   `json:"config"`
}

// serviceDetail is a service of a pattern with its contract.
type serviceDetail struct {
	Name string      `json:"name"`
	Doc  string      `json:"doc"`
	RPCs []rpcDetail `json:"rpcs"`
}

type slotDetail struct {
	slotSummary
	Doc string `json:"doc"`
	// FilledBy are the backends of this build that have what the slot requires.
	FilledBy []string `json:"filled_by"`
}

func summarizePattern(p catalog.Pattern) patternSummary {
	summary := patternSummary{Name: p.Name, Version: p.Version, Slots: []slotSummary{}, Offers: present(p.Offers), OffersSlot: p.OffersSlot, Services: serviceNames(p)}
	for _, slot := range p.Slots {
		summary.Slots = append(summary.Slots, summarizeSlot(slot))
	}
	return summary
}

func summarizeSlot(s catalog.Slot) slotSummary {
	return slotSummary{s.Name, present(s.Required), present(s.Optional), present(s.AnyOf), present(s.Recommended), s.MayBeEmpty, s.OptionalWhileEmpty}
}

func (c *cli) listPatterns() error {
	all := c.catalog.Patterns()
	if c.asJSON() {
		summaries := []patternSummary{}
		for _, p := range all {
			summaries = append(summaries, summarizePattern(p))
		}
		return c.printJSON(summaries)
	}
	if len(all) == 0 {
		fmt.Fprintln(c.stdout, "No patterns in this build.")
		return nil
	}
	rows := [][]string{}
	for _, p := range all {
		rows = append(rows, []string{p.Name, p.Version, strings.Join(namesOf(p.Slots, slotTitle), ", "), offers(p)})
	}
	if err := c.printTable([]string{"PATTERN", "VERSION", "SLOTS", "OFFERS"}, rows...); err != nil {
		return err
	}
	fmt.Fprintf(c.stdout, "\n%s\n", count(len(all), "pattern"))
	return nil
}

func slotTitle(s catalog.Slot) string {
	if s.MayBeEmpty {
		return s.Name + " (optional)"
	}
	return s.Name
}

// offers says what clients can call: interfaces, and services by their short names.
func offers(p catalog.Pattern) string {
	offered := present(p.Offers)
	if len(p.Offers) == 0 && p.OffersSlot != "" {
		offered = append(offered, "what "+p.OffersSlot+" offers")
	}
	for _, name := range serviceNames(p) {
		offered = append(offered, name[strings.LastIndexByte(name, '.')+1:])
	}
	return orNone(offered)
}

func serviceNames(p catalog.Pattern) []string {
	return namesOf(p.Services, func(s catalog.Service) string { return s.Name })
}

// serviceOwner is what people call a service of a pattern: by the pattern's name when it has no other.
func serviceOwner(p catalog.Pattern, service string) string {
	if len(p.Services) == 1 {
		return p.Name
	}
	return service
}

func (c *cli) describePattern(name string) error {
	p, ok := c.catalog.Pattern(name)
	if !ok {
		return unknownName("pattern", name, namesOf(c.catalog.Patterns(), func(p catalog.Pattern) string { return p.Name }))
	}
	detail := patternDetail{patternSummary: summarizePattern(p), Doc: p.Doc, Slots: []slotDetail{}, Services: []serviceDetail{}, Config: detailOf(p.NewConfig())}
	for _, slot := range p.Slots {
		detail.Slots = append(detail.Slots, slotDetail{summarizeSlot(slot), slot.Doc, c.filling(slot)})
	}
	for _, service := range p.Services {
		detail.Services = append(detail.Services, serviceDetail{service.Name, service.Doc, rpcDetails(service.RPCs)})
	}
	if c.asJSON() {
		return c.printJSON(detail)
	}
	if err := c.printTable(nil,
		[]string{"Pattern:", p.Name + " " + p.Version},
		[]string{"Offers:", offers(p)},
	); err != nil {
		return err
	}
	c.printDoc(p.Doc, "")
	for i, slot := range p.Slots {
		if err := c.printSlot(slot, detail.Slots[i].FilledBy); err != nil {
			return err
		}
	}
	for _, service := range detail.Services {
		fmt.Fprintf(c.stdout, "\nService: %s\n", service.Name)
		c.printProse(service.Doc, "  ")
		c.printRPCs(serviceOwner(p, service.Name), service.RPCs)
	}
	return nil
}

// optionalTitle says when the optional interfaces of a slot are used.
func optionalTitle(slot catalog.Slot) string {
	if slot.OptionalWhileEmpty == "" {
		return "Optional interfaces"
	}
	return "Optional interfaces, while " + slot.OptionalWhileEmpty + " is empty"
}

func (c *cli) printSlot(slot catalog.Slot, filledBy []string) error {
	fmt.Fprintf(c.stdout, "\nSlot: %s\n", slotTitle(slot))
	c.printProse(slot.Doc, "  ")
	for _, list := range []struct {
		title      string
		interfaces []string
	}{
		{"Required interfaces", slot.Required},
		{"At least one of", slot.AnyOf},
		{optionalTitle(slot), slot.Optional},
	} {
		if len(list.interfaces) == 0 {
			continue
		}
		fmt.Fprintf(c.stdout, "  %s:\n", list.title)
		rows := [][]string{}
		for _, name := range list.interfaces {
			rows = append(rows, []string{"    " + name, "(" + c.implementers(name) + ")"})
		}
		if err := c.printTable(nil, rows...); err != nil {
			return err
		}
	}
	if len(slot.Recommended) > 0 {
		fmt.Fprintf(c.stdout, "  Recommended backends: %s\n", strings.Join(slot.Recommended, ", "))
	}
	fmt.Fprintf(c.stdout, "  Backends that fill it: %s\n", orNone(filledBy))
	return nil
}

// implementers says which backends implement an interface, as validation does: "redis implements".
func (c *cli) implementers(name string) string {
	switch backends := c.implementing(name); len(backends) {
	case 0:
		return "no backend in this build implements"
	case 1:
		return backends[0] + " implements"
	default:
		return suggest.Enumerate(backends, "and") + " implement"
	}
}

// filling returns the backends that have what a slot requires.
func (c *cli) filling(slot catalog.Slot) []string {
	return namesOf(c.catalog.Filling(slot), func(b catalog.Backend) string { return b.Name })
}
