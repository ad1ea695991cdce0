package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// help prints a command's help. It is Go and not one of cobra's templates, so that text/template stays out of the binary's start.
func help(command *cobra.Command, _ []string) {
	w := command.OutOrStdout()
	about := command.Long
	if about == "" {
		about = command.Short + "."
	}
	fmt.Fprintln(w, strings.TrimSpace(about))
	section(w, "Usage", "  "+usageLine(command))
	section(w, "Examples", command.Example)
	section(w, "Commands", commandList(command))
	section(w, "Flags", command.LocalFlags().FlagUsagesWrapped(docWidth))
	section(w, "Global flags", command.InheritedFlags().FlagUsagesWrapped(docWidth))
	if command.HasAvailableSubCommands() {
		fmt.Fprintf(w, "\nRun '%s COMMAND --help' for more about a command.\n", command.CommandPath())
	}
}

func section(w io.Writer, title, body string) {
	if body = strings.TrimRight(body, " \n"); body != "" {
		fmt.Fprintf(w, "\n%s:\n%s\n", title, body)
	}
}

func usageLine(command *cobra.Command) string {
	if command.HasAvailableSubCommands() {
		return command.CommandPath() + " COMMAND"
	}
	return command.UseLine()
}

func commandList(command *cobra.Command) string {
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, child := range command.Commands() {
		if child.IsAvailableCommand() {
			fmt.Fprintf(table, "  %s\t%s\n", child.Name(), child.Short)
		}
	}
	_ = table.Flush() // a strings.Builder takes everything
	return b.String()
}

// helpCommand is "prism help COMMAND", the same as "prism COMMAND --help".
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]...",
		Short: "Show the help of a command",
		RunE: func(command *cobra.Command, args []string) error {
			target, rest, err := command.Root().Find(args)
			if err != nil {
				return asUsage(err)
			}
			if len(rest) > 0 {
				return unknownCommand(target, rest[0])
			}
			target.InitDefaultHelpFlag()
			return target.Help()
		},
		ValidArgsFunction: func(command *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
			target, _, err := command.Root().Find(args)
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var names []cobra.Completion
			for _, child := range target.Commands() {
				if child.IsAvailableCommand() {
					names = append(names, cobra.CompletionWithDesc(child.Name(), child.Short))
				}
			}
			return beginning(names, typed), cobra.ShellCompDirectiveNoFileComp
		},
	}
}
