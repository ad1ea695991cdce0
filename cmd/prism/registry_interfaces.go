package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/prismgate/prism/runtime/catalog"
)

func (c *cli) interfacesCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "interfaces",
		Short: "Show interfaces: what clients call, and what they may rely on",
	},
		&cobra.Command{
			Use:   "list",
			Short: "List the interfaces",
			Example: `  prism registry interfaces list
  prism registry interfaces list --output json`,
			Args: noArgs,
			RunE: func(*cobra.Command, []string) error { return c.listInterfaces() },
		},
		&cobra.Command{
			Use:   "describe NAME",
			Short: "Show the contract of an interface",
			Long:  "Show the contract of an interface: what holds for all of it, and each RPC with its request and response.",
			Example: `  prism registry interfaces describe keyvalue_scan
  prism registry interfaces describe keyvalue_scan --output json`,
			Args:              oneArg("the NAME of an interface"),
			RunE:              func(_ *cobra.Command, args []string) error { return c.describeInterface(args[0]) },
			ValidArgsFunction: completeNames(c.completeInterfaces),
		},
	)
}

func (c *cli) interfaceNames() []string {
	return namesOf(c.catalog.Interfaces(), func(i catalog.Interface) string { return i.Name })
}

func (c *cli) completeInterfaces() []cobra.Completion {
	return namesOf(c.catalog.Interfaces(), func(i catalog.Interface) string {
		return cobra.CompletionWithDesc(i.Name, firstSentence(i.Doc))
	})
}

// interfaceSummary is an interface in JSON.
type interfaceSummary struct {
	Name     string   `json:"name"`
	Model    string   `json:"model"`
	Flavour  string   `json:"flavour"`
	Kind     string   `json:"kind"`
	Core     bool     `json:"core"`
	Service  string   `json:"service"`
	Requires []string `json:"requires"`
	RPCs     []string `json:"rpcs"`
}

// interfaceDetail is an interface in JSON with its contract; its rpcs stand in for those of the summary.
type interfaceDetail struct {
	interfaceSummary
	Alternatives  bool        `json:"alternatives"`
	ImplementedBy []string    `json:"implemented_by"`
	Doc           string      `json:"doc"`
	RPCs          []rpcDetail `json:"rpcs"`
}

type rpcDetail struct {
	Name            string        `json:"name"`
	Procedure       string        `json:"procedure"`
	Doc             string        `json:"doc"`
	Shape           string        `json:"shape"`
	Idempotency     string        `json:"idempotency"`
	Blocking        bool          `json:"blocking"`
	Destructive     bool          `json:"destructive"`
	Args            []string      `json:"args"`
	MaxMessageBytes int           `json:"max_message_bytes"`
	Request         messageDetail `json:"request"`
	Response        messageDetail `json:"response"`
}

func summarize(i catalog.Interface) interfaceSummary {
	return interfaceSummary{
		Name:     i.Name,
		Model:    i.Model,
		Flavour:  i.Flavour,
		Kind:     string(i.Kind),
		Core:     i.Kind == catalog.Core,
		Service:  i.Service,
		Requires: present(i.Requires),
		RPCs:     rpcNames(i.RPCs),
	}
}

func rpcNames(rpcs []catalog.RPC) []string {
	return namesOf(rpcs, func(r catalog.RPC) string { return r.Name })
}

func (c *cli) listInterfaces() error {
	all := c.catalog.Interfaces()
	if c.asJSON() {
		summaries := []interfaceSummary{}
		for _, i := range all {
			summaries = append(summaries, summarize(i))
		}
		return c.printJSON(summaries)
	}
	rows := [][]string{}
	for _, i := range all {
		rows = append(rows, []string{i.Name, i.Model, string(i.Kind), strings.Join(rpcNames(i.RPCs), ", ")})
	}
	if err := c.printTable([]string{"INTERFACE", "DATA MODEL", "KIND", "RPCS"}, rows...); err != nil {
		return err
	}
	fmt.Fprintf(c.stdout, "\n%s\n", totalsOf(all))
	return nil
}

func (c *cli) describeInterface(name string) error {
	i, ok := c.catalog.Interface(name)
	if !ok {
		return unknownName("interface", name, c.interfaceNames())
	}
	detail := interfaceDetail{
		interfaceSummary: summarize(i),
		Alternatives:     i.Alternatives,
		ImplementedBy:    c.implementing(name),
		Doc:              i.Doc,
		RPCs:             rpcDetails(i.RPCs),
	}
	if c.asJSON() {
		return c.printJSON(detail)
	}
	if err := c.printTable(nil,
		[]string{"Interface:", i.Name},
		[]string{"Data model:", i.Model},
		[]string{"Flavour:", i.Flavour},
		[]string{"Kind:", string(i.Kind)},
		[]string{"Service:", i.Service},
		[]string{"Requires:", orNone(i.Requires)},
		[]string{"Implemented by:", orNone(detail.ImplementedBy)},
	); err != nil {
		return err
	}
	c.printDoc(i.Doc, "")
	if i.Alternatives {
		c.printDoc("The RPCs are alternatives: an implementation offers at least one of them.", "")
	}
	c.printRPCs(i.Name, detail.RPCs)
	return nil
}

// rpcDetails are RPCs in JSON with their contracts.
func rpcDetails(rpcs []catalog.RPC) []rpcDetail {
	details := []rpcDetail{}
	for _, r := range rpcs {
		details = append(details, rpcDetail{
			Name:            r.Name,
			Procedure:       r.Method.Procedure,
			Doc:             r.Doc,
			Shape:           r.Method.Shape.String(),
			Idempotency:     r.Method.Idempotency.String(),
			Blocking:        r.Method.Blocking,
			Destructive:     r.Method.Destructive,
			Args:            present(r.Args),
			MaxMessageBytes: r.Method.MessageLimit(),
			Request:         detailOf(r.Method.NewRequest()),
			Response:        detailOf(r.Method.NewResponse()),
		})
	}
	return details
}

// printRPCs prints RPCs with their contracts.
func (c *cli) printRPCs(owner string, rpcs []rpcDetail) {
	for _, r := range rpcs {
		fmt.Fprintf(c.stdout, "\n%s.%s\n", owner, r.Name)
		fmt.Fprintf(c.stdout, "    %s\n", r.traits())
		fmt.Fprintf(c.stdout, "    request:  %s\n", r.Request.fieldList())
		fmt.Fprintf(c.stdout, "    response: %s\n", r.Response.fieldList())
		c.printDoc(r.Doc, "    ")
	}
}

// traits is what the schema says of an RPC, in one line.
func (r rpcDetail) traits() string {
	traits := []string{r.Shape, r.Idempotency}
	if r.Blocking {
		traits = append(traits, "blocking")
	}
	if r.Destructive {
		traits = append(traits, "destructive")
	}
	return strings.Join(append(traits, "messages up to "+byteCount(r.MaxMessageBytes)), "; ")
}

// fieldList is a message's fields in one line.
func (m messageDetail) fieldList() string {
	if len(m.Fields) == 0 {
		return "(empty)"
	}
	return strings.Join(namesOf(m.Fields, func(f fieldDetail) string { return f.Name + " " + f.Type }), ", ")
}

func byteCount(n int) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return count(n, "byte")
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "(none)"
	}
	return strings.Join(names, ", ")
}

// totals counts interfaces by kind.
type totals struct{ core, models, extensions, slots int }

func totalsOf(all []catalog.Interface) totals {
	var t totals
	models := map[string]bool{}
	for _, i := range all {
		switch i.Kind {
		case catalog.Core:
			t.core++
			models[i.Model] = true
		case catalog.Extension:
			t.extensions++
		case catalog.SlotKind:
			t.slots++
		}
	}
	t.models = len(models)
	return t
}

// String is the line under the list: "45 core interfaces in 10 data models, 3 extensions".
func (t totals) String() string {
	line := count(t.core, "core interface") + " in " + count(t.models, "data model")
	if t.extensions > 0 {
		line += ", " + count(t.extensions, "extension")
	}
	if t.slots > 0 {
		line += ", " + count(t.slots, "slot kind")
	}
	return line
}
