package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/prismgate/prism/runtime/catalog"
	"github.com/prismgate/prism/runtime/suggest"
)

func (c *cli) backendsCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "backends",
		Short: "Show backends: the storage and messaging systems of this build",
	},
		&cobra.Command{
			Use:   "list",
			Short: "List available backends",
			Example: `  prism registry backends list
  prism registry backends list --output json`,
			Args: noArgs,
			RunE: func(*cobra.Command, []string) error { return c.printBackends(c.catalog.Backends()) },
		},
		&cobra.Command{
			Use:   "describe NAME",
			Short: "Show what a backend implements and how it is configured",
			Example: `  prism registry backends describe memstore
  prism registry backends describe memstore --output json`,
			Args:              oneArg("the NAME of a backend"),
			RunE:              func(_ *cobra.Command, args []string) error { return c.describeBackend(args[0]) },
			ValidArgsFunction: completeNames(c.completeBackends),
		},
		c.findBackendsCommand(),
	)
}

func (c *cli) findBackendsCommand() *cobra.Command {
	var interfaces []string
	command := &cobra.Command{
		Use:   "find --interface=NAME...",
		Short: "Find backends implementing specific interfaces",
		Long:  "Find backends implementing specific interfaces. When several are given, a backend must implement all of them.",
		Example: `  # Find backends implementing specific interface
  prism registry backends find --interface=keyvalue_scan

  # Find backends that implement both
  prism registry backends find --interface=keyvalue_scan --interface=keyvalue_ttl
  prism registry backends find --interface=keyvalue_scan,keyvalue_ttl`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return c.findBackends(interfaces) },
	}
	command.Flags().StringSliceVar(&interfaces, "interface", nil, "`NAME` of an interface to implement; repeatable, or several with commas")
	// It fails for a flag that does not exist or is completed already: a defect, which the tests of completion show.
	_ = command.RegisterFlagCompletionFunc("interface", func(_ *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		former := typed[:strings.LastIndexByte(typed, ',')+1] // what stands before the last comma is complete
		completions := c.completeInterfaces()
		for i := range completions {
			completions[i] = former + completions[i]
		}
		return beginning(completions, typed), cobra.ShellCompDirectiveNoFileComp
	})
	return command
}

func (c *cli) backendNames() []string {
	return namesOf(c.catalog.Backends(), func(b catalog.Backend) string { return b.Name })
}

func (c *cli) completeBackends() []cobra.Completion {
	return namesOf(c.catalog.Backends(), func(b catalog.Backend) string {
		return cobra.CompletionWithDesc(b.Name, firstSentence(b.Doc))
	})
}

// implementing returns the names of the backends that implement every one of the named interfaces.
func (c *cli) implementing(interfaces ...string) []string {
	return namesOf(c.catalog.Implementing(interfaces...), func(b catalog.Backend) string { return b.Name })
}

// backendSummary is a backend in JSON.
type backendSummary struct {
	Name             string   `json:"name"`
	Implements       []string `json:"implements"`
	Models           []string `json:"models"`
	Implementability int      `json:"implementability"`
}

// backendDetail is a backend in JSON with its description.
type backendDetail struct {
	backendSummary
	Doc    string        `json:"doc"`
	Config messageDetail `json:"config"`
}

func summarizeBackend(b catalog.Backend) backendSummary {
	return backendSummary{b.Name, present(b.Implements), present(b.Models), b.Implementability}
}

func (c *cli) printBackends(backends []catalog.Backend) error {
	if c.asJSON() {
		summaries := []backendSummary{}
		for _, b := range backends {
			summaries = append(summaries, summarizeBackend(b))
		}
		return c.printJSON(summaries)
	}
	if len(backends) == 0 {
		fmt.Fprintln(c.stdout, "No backends in this build.")
		return nil
	}
	rows := [][]string{}
	for _, b := range backends {
		rows = append(rows, []string{b.Name, count(len(b.Implements), "interface"), strings.Join(b.Models, ", "), fmt.Sprintf("%d/100", b.Implementability)})
	}
	if err := c.printTable([]string{"BACKEND", "IMPLEMENTS", "DATA MODELS", "IMPLEMENTABILITY"}, rows...); err != nil {
		return err
	}
	fmt.Fprintf(c.stdout, "\n%s\n", count(len(backends), "backend"))
	return nil
}

func (c *cli) findBackends(interfaces []string) error {
	if len(interfaces) == 0 {
		return usagef("registry backends find needs --interface, such as --interface=keyvalue_scan")
	}
	for i, name := range interfaces {
		interfaces[i] = strings.TrimSpace(name)
		if _, ok := c.catalog.Interface(interfaces[i]); !ok {
			return unknownName("interface", interfaces[i], c.interfaceNames())
		}
	}
	found := c.catalog.Implementing(interfaces...)
	if len(found) > 0 {
		return c.printBackends(found)
	}
	if c.asJSON() {
		if err := c.printBackends(nil); err != nil {
			return err
		}
	}
	return fmt.Errorf("no backend in this build implements %s", suggest.Enumerate(interfaces, "and"))
}

func (c *cli) describeBackend(name string) error {
	b, ok := c.catalog.Backend(name)
	if !ok {
		return unknownName("backend", name, c.backendNames())
	}
	detail := backendDetail{backendSummary: summarizeBackend(b), Doc: b.Doc, Config: detailOf(b.NewConfig())}
	if c.asJSON() {
		return c.printJSON(detail)
	}
	if err := c.printTable(nil,
		[]string{"Backend:", b.Name},
		[]string{"Implements:", count(len(b.Implements), "interface") + " in " + count(len(b.Models), "data model")},
		[]string{"Implementability:", fmt.Sprintf("%d/100", b.Implementability)},
	); err != nil {
		return err
	}
	c.printDoc(b.Doc, "")
	fmt.Fprintln(c.stdout, "\nInterfaces:")
	rows := [][]string{}
	for _, model := range b.Models {
		rows = append(rows, []string{"  " + model + ":", strings.Join(c.ofModel(model, b.Implements), ", ")})
	}
	if err := c.printTable(nil, rows...); err != nil {
		return err
	}
	if len(detail.Config.Fields) == 0 {
		return nil
	}
	fmt.Fprintf(c.stdout, "\nConfiguration (%s):\n", detail.Config.Message)
	rows = rows[:0]
	for _, field := range detail.Config.Fields {
		rows = append(rows, []string{"  " + field.Name, field.Type})
	}
	return c.printTable(nil, rows...)
}

// ofModel returns those of the named interfaces that belong to a data model.
func (c *cli) ofModel(model string, names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		i, ok := c.catalog.Interface(name)
		return !ok || i.Model != model
	})
}
