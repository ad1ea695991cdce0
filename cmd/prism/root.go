package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/prismgate/prism/runtime/suggest"
)

// cli is one command line while it runs.
type cli struct {
	dependencies
	// output is --output.
	output choice
}

// execute parses a command line and runs its command.
func execute(ctx context.Context, d dependencies, args []string) outcome {
	c := &cli{dependencies: d, output: newChoice(outputText, outputJSON)}
	root := c.newCommand()
	root.SetArgs(append([]string{}, args...)) // never nil, which would mean this process's arguments
	started := false
	root.PersistentPreRun = func(*cobra.Command, []string) { started = true }
	command, err := root.ExecuteContextC(ctx)
	if err != nil && !started {
		err = asUsage(err) // cobra found it wrong before the command had its turn
	}
	return outcome{command: command.CommandPath(), asJSON: c.asJSON(), err: err}
}

func asUsage(err error) error {
	var usage *usageError
	if errors.As(err, &usage) {
		return err
	}
	return &usageError{err.Error()}
}

// newCommand returns the whole command tree.
func (c *cli) newCommand() *cobra.Command {
	root := group(&cobra.Command{
		Use:   "prism",
		Short: "Prism, the data access gateway",
		Long: `Prism is a data access gateway: applications call one typed API, and configuration decides which backend answers.

Exit codes: 0 done, 1 the operation failed or what it names is not there, 2 wrong usage. A command that a signal ends
exits with 128 and the signal's number.`,
		Example: `  # Serve the namespace "default" from memory
  prism serve

  # Store a value and read it back
  prism call keyvalue_basic.Set --namespace default --data '{"key": "greeting", "value": "aGVsbG8="}'
  prism call keyvalue_basic.Get --namespace default --data '{"key": "greeting"}'

  # List available backends
  prism registry backends list`,
		SilenceErrors: true, // run reports them
		SilenceUsage:  true,
	},
		c.benchCommand(),
		c.callCommand(),
		c.configCommand(),
		c.generateCommand(),
		c.planCommand(),
		c.providerCommand(),
		c.registryCommand(),
		c.serveCommand(),
		c.validateCommand(),
		c.versionCommand(),
	)
	root.SetIn(c.stdin)
	root.SetOut(c.stdout)
	root.SetErr(c.stderr)
	root.SetHelpFunc(help)
	root.SetUsageFunc(func(command *cobra.Command) error { help(command, nil); return nil })
	root.SetHelpCommand(helpCommand())
	root.SetFlagErrorFunc(flagError)
	root.InitDefaultCompletionCmd()
	for _, child := range root.Commands() {
		if child.Name() == "completion" {
			group(child)
		}
	}
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	c.output.add(root.PersistentFlags(), "output", "o", "how to print results")
	c.output.completeFor(root, "output")
	return root
}

// group makes a command whose subcommands do the work: alone it prints its help, with anything else it says that there is no such command.
func group(command *cobra.Command, children ...*cobra.Command) *cobra.Command {
	command.AddCommand(children...)
	command.Args = cobra.ArbitraryArgs
	command.RunE = func(command *cobra.Command, args []string) error {
		if len(args) == 0 {
			return command.Help()
		}
		return unknownCommand(command, args[0])
	}
	return command
}

func unknownCommand(parent *cobra.Command, typed string) error {
	var names []string
	for _, child := range parent.Commands() {
		if child.IsAvailableCommand() {
			names = append(names, child.Name())
		}
	}
	if !parent.HasParent() {
		return usagef("unknown command %q%s", typed, suggest.DidYouMean(typed, names))
	}
	return usagef("%s has no command %q%s", commandName(parent), typed, suggest.DidYouMean(typed, names))
}

// commandName is a command's path below prism: "registry backends find".
func commandName(command *cobra.Command) string {
	return strings.TrimPrefix(command.CommandPath(), command.Root().Name()+" ")
}

// flagError suggests a flag for one that does not exist.
func flagError(command *cobra.Command, err error) error {
	var missing *pflag.NotExistError
	if !errors.As(err, &missing) || len(missing.GetSpecifiedName()) < 2 {
		return asUsage(err)
	}
	var names []string
	command.Flags().VisitAll(func(flag *pflag.Flag) { names = append(names, "--"+flag.Name) })
	return usagef("unknown flag --%s%s", missing.GetSpecifiedName(), suggest.DidYouMean("--"+missing.GetSpecifiedName(), names))
}

// noArgs refuses arguments.
func noArgs(command *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s takes no argument, got %q", commandName(command), args[0])
	}
	return nil
}

// oneArg takes exactly one argument, which the message calls by its name.
func oneArg(name string) cobra.PositionalArgs {
	return func(command *cobra.Command, args []string) error {
		switch len(args) {
		case 0:
			return usagef("%s needs %s", commandName(command), name)
		case 1:
			return nil
		}
		return usagef("%s takes one argument, %s; got %d: %q", commandName(command), name, len(args), args)
	}
}

// completeNames completes the first argument with names, each with what describes it.
func completeNames(names func() []cobra.Completion) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return beginning(names(), typed), cobra.ShellCompDirectiveNoFileComp
	}
}

// beginning returns the completions that go on from what was typed.
func beginning(completions []cobra.Completion, typed string) []cobra.Completion {
	return slices.DeleteFunc(completions, func(c cobra.Completion) bool { return !strings.HasPrefix(c, typed) })
}

// choice is a flag with a few values, of which the first is the default.
type choice struct {
	values []string
	value  string
}

var _ pflag.Value = (*choice)(nil)

func newChoice(values ...string) choice { return choice{values: values, value: values[0]} }

func (f *choice) String() string { return f.value }

func (f *choice) Type() string { return strings.Join(f.values, "|") }

func (f *choice) Set(value string) error {
	if !slices.Contains(f.values, value) {
		return errors.New("it is one of " + suggest.Enumerate(f.values, "or"))
	}
	f.value = value
	return nil
}

func (f *choice) add(flags *pflag.FlagSet, name, shorthand, usage string) {
	flags.VarP(f, name, shorthand, usage)
}

// completeFor completes the flag's values.
func (f *choice) completeFor(command *cobra.Command, name string) {
	// It fails for a flag that does not exist or is completed already: a defect, which the tests of completion show.
	_ = command.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(f.values, cobra.ShellCompDirectiveNoFileComp))
}

// completeFile completes a flag with files; of some extensions, when there are any.
func completeFile(command *cobra.Command, name string, extensions ...string) {
	directive := cobra.ShellCompDirectiveDefault
	if len(extensions) > 0 {
		directive = cobra.ShellCompDirectiveFilterFileExt
	}
	// It fails for a flag that does not exist or is completed already: a defect, which the tests of completion show.
	_ = command.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(extensions, directive))
}
