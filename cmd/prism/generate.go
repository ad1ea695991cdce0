package main

import (
	"fmt"
	"go/doc/comment"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/catalog"
	"github.com/prismgate/prism/runtime/plan"
	"github.com/prismgate/prism/runtime/suggest"
)

// commentWidth is how wide comments of a generated file are set.
const commentWidth = 96

// generateOptions are the flags of generate config.
type generateOptions struct {
	pattern, backend, namespace string
	slots                       []string
}

func (c *cli) generateCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "generate",
		Short: "Write what is tedious to write by hand",
		Example: `  # Generate configuration from requirements
  prism generate config --pattern=multicast-registry --slot=registry:redis --slot=messaging:nats`,
	}, c.generateConfigCommand())
}

func (c *cli) generateConfigCommand() *cobra.Command {
	var o generateOptions
	command := &cobra.Command{
		Use:   "config {--pattern NAME --slot SLOT:BACKEND... | --backend NAME} [--namespace NAME]",
		Short: "Print a configuration with a namespace",
		Long: `Print a configuration with one namespace, on a pattern whose slots are filled with backends, or on a backend alone. It is
complete: 'prism validate' finds nothing wrong with it, and 'prism serve --config' serves it. Comments say what each slot is
for. What would not validate is not printed; the error says what would be right.`,
		Example: `  # Generate configuration from requirements
  prism generate config \
      --pattern=multicast-registry \
      --slot=registry:redis \
      --slot=messaging:nats

  # A namespace on a backend alone
  prism generate config --backend memstore --namespace default > prism.yaml
  prism serve --config prism.yaml`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return c.generateConfig(o) },
	}
	flags := command.Flags()
	flags.SortFlags = false
	flags.StringVar(&o.pattern, "pattern", "", "`NAME` of the namespace's pattern")
	flags.StringArrayVar(&o.slots, "slot", nil, "a slot of the pattern and what fills it, as `SLOT:BACKEND`; repeatable")
	flags.StringVar(&o.backend, "backend", "", "`NAME` of the backend, for a namespace without a pattern")
	flags.StringVarP(&o.namespace, "namespace", "n", "", "`NAME` of the namespace (default that of the pattern, or \"default\")")
	// They fail for a flag that does not exist or is completed already: a defect, which the tests of completion show.
	_ = command.RegisterFlagCompletionFunc("pattern", completeFlag(c.completePatterns))
	_ = command.RegisterFlagCompletionFunc("backend", completeFlag(c.completeBackends))
	_ = command.RegisterFlagCompletionFunc("slot", completeFlag(func() []cobra.Completion { return c.fillings(o.pattern) }))
	_ = command.RegisterFlagCompletionFunc("namespace", completeFlag(func() []cobra.Completion { return nil }))
	return command
}

// completeFlag completes a flag with names.
func completeFlag(names func() []cobra.Completion) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return beginning(names(), typed), cobra.ShellCompDirectiveNoFileComp
	}
}

// fillings are the ways to fill a pattern's slots, as --slot takes them.
func (c *cli) fillings(pattern string) []string {
	var all []string
	p, _ := c.catalog.Pattern(pattern)
	for _, slot := range p.Slots {
		for _, backend := range c.filling(slot) {
			all = append(all, slot.Name+":"+backend)
		}
	}
	return all
}

func (c *cli) generateConfig(o generateOptions) error {
	namespace, err := c.requested(o)
	if err != nil {
		return err
	}
	// What is printed validates, because what would not is refused here.
	_, problems := plan.Examine(&configv1.Config{Namespaces: []*configv1.Namespace{namespace}}, c.catalog)
	if len(problems) > 0 {
		texts := make([]string, len(problems))
		for i, problem := range problems {
			texts[i] = flagOf(problem.Path) + ": " + problem.Message
		}
		return usagef("%s", strings.Join(texts, "\n"))
	}
	_, err = fmt.Fprint(c.stdout, c.generated(namespace))
	return err
}

// requested is the namespace that the flags ask for.
func (c *cli) requested(o generateOptions) (*configv1.Namespace, error) {
	switch {
	case o.pattern != "" && o.backend != "":
		return nil, usagef("--backend is for a namespace without a pattern; with --pattern, a backend fills a slot: --slot SLOT:%s", o.backend)
	case o.pattern == "" && o.backend == "":
		return nil, usagef("generate config needs --pattern, such as --pattern %s, or --backend, such as --backend %s", firstOr(c.patternNames(), "NAME"), firstOr(c.backendNames(), "NAME"))
	case o.pattern == "" && len(o.slots) > 0:
		return nil, usagef("--slot needs --pattern, the pattern that the slot is one of")
	}
	namespace := &configv1.Namespace{Name: o.namespace, Backend: o.backend, Pattern: o.pattern}
	if namespace.Name == "" {
		namespace.Name = firstOr([]string{o.pattern}, "default")
	}
	p, known := c.catalog.Pattern(o.pattern)
	if !known {
		return namespace, nil
	}
	namespace.Version, namespace.Slots = p.Version, make(map[string]*configv1.Slot, len(o.slots))
	for _, given := range o.slots {
		slot, backend, ok := strings.Cut(given, ":")
		switch {
		case !ok || slot == "" || backend == "":
			return nil, usagef("--slot must be SLOT:BACKEND, such as %s, is %q", firstOr(c.fillings(p.Name), "registry:memstore"), given)
		case namespace.Slots[slot] != nil:
			return nil, usagef("--slot %s is given twice; a slot is filled by one backend", slot)
		}
		namespace.Slots[slot] = &configv1.Slot{Filling: &configv1.Slot_Backend{Backend: backend}}
	}
	return namespace, nil
}

// flagOf is the flag that has set a field of the namespace.
func flagOf(path string) string {
	_, field, _ := strings.Cut(path, "].")
	field, rest, _ := strings.Cut(field, ".")
	if field == "slots" {
		slot, _, _ := strings.Cut(rest, ".")
		return "--slot " + slot
	}
	if field == "name" {
		field = "namespace"
	}
	return "--" + field
}

// generated is the text of a configuration with one namespace.
func (c *cli) generated(namespace *configv1.Namespace) string {
	var b strings.Builder
	fmt.Fprintf(&b, "namespaces:\n")
	p, isPattern := c.catalog.Pattern(namespace.GetPattern())
	if !isPattern {
		backend, _ := c.catalog.Backend(namespace.GetBackend())
		writeComment(&b, "  ", firstSentence(backend.Doc)+".")
		fmt.Fprintf(&b, "  - name: %s\n    backend: %s\n", plain(namespace.GetName()), plain(namespace.GetBackend()))
		return b.String()
	}
	writeComment(&b, "  ", firstSentence(p.Doc)+".")
	fmt.Fprintf(&b, "  - name: %s\n    pattern: %s\n    version: %s\n    slots:\n", plain(namespace.GetName()), plain(p.Name), plain(p.Version))
	for _, slot := range p.Slots {
		writeComment(&b, "      ", slot.Doc)
		writeComment(&b, "      ", c.wants(slot))
		if filling := namespace.GetSlots()[slot.Name]; filling != nil {
			fmt.Fprintf(&b, "      %s: {backend: %s}\n", slot.Name, plain(filling.GetBackend()))
		} else {
			fmt.Fprintf(&b, "      # %s: {backend: %s}\n", slot.Name, plain(firstOr(c.filling(slot), firstOr(slot.Recommended, "NAME"))))
		}
	}
	return b.String()
}

// wants says what a slot needs, and who has it.
func (c *cli) wants(slot catalog.Slot) string {
	var parts []string
	if len(slot.Required) > 0 {
		parts = append(parts, "It needs "+suggest.Enumerate(slot.Required, "and")+".")
	}
	if len(slot.AnyOf) > 0 {
		parts = append(parts, "It needs one of "+suggest.Enumerate(slot.AnyOf, "and")+".")
	}
	if len(slot.Optional) > 0 {
		parts = append(parts, "It uses "+suggest.Enumerate(slot.Optional, "and")+" where that is there.")
	}
	if slot.MayBeEmpty {
		parts = append(parts, "It may be left empty.")
	}
	if backends := c.filling(slot); len(backends) > 0 {
		parts = append(parts, "Backends of this build that fill it: "+strings.Join(backends, ", ")+".")
	}
	return strings.Join(parts, " ")
}

// writeComment writes text as a comment of YAML.
func writeComment(b *strings.Builder, indent, text string) {
	if strings.Trim(text, ". \n") == "" {
		return
	}
	printer := comment.Printer{TextWidth: commentWidth - len(indent)}
	for line := range strings.Lines(string(printer.Text(new(comment.Parser).Parse(text)))) {
		b.WriteString(strings.TrimRight(indent+"# "+strings.TrimRight(line, "\n"), " ") + "\n")
	}
}

// plain writes a name so that YAML takes it for text: in quotes where it looks like a number, a date or a truth value.
func plain(name string) string {
	words := []string{"true", "false", "yes", "no", "on", "off", "null", "y", "n"}
	if regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._-]*$`).MatchString(name) && !slices.Contains(words, strings.ToLower(name)) {
		return name
	}
	return strconv.Quote(name)
}

func firstOr(names []string, fallback string) string {
	if len(names) == 0 || names[0] == "" {
		return fallback
	}
	return names[0]
}

func (c *cli) patternNames() []string {
	return namesOf(c.catalog.Patterns(), func(p catalog.Pattern) string { return p.Name })
}
