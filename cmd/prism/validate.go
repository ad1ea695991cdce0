package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/config"
	"github.com/prismgate/prism/runtime/deployment"
	"github.com/prismgate/prism/runtime/front"
	"github.com/prismgate/prism/runtime/plan"
)

// standardInput is what standard input is called where a file is named.
const standardInput = "-"

// validateOptions are the flags of validate.
type validateOptions struct {
	dial    bool
	timeout time.Duration
}

func (c *cli) validateCommand() *cobra.Command {
	var o validateOptions
	command := &cobra.Command{
		Use:   "validate FILE...",
		Short: "Check a configuration without serving it",
		Long: `Check a configuration as 'prism serve' does before it serves, and show for each namespace what serves it: the slots of its
patterns, what fills them, and which of the interfaces that a slot needs are there. What is wrong is told with file, line
and column on standard error; the exit code is then 1.

FILE is a file, a folder of which all .yaml and .yml files are read, or - for standard input. Nothing is connected to and
no secret is read, unless --dial is given: then each backend instance is opened and closed again, and nothing is created in it;
a sidecar is started and ended, a remote provider is asked for an instance of its own, which others do not see.
Certificates and ports are checked by serve.`,
		Example: `  # Validate namespace configuration
  prism validate namespace-config.yaml

  # Validate a folder, and connect to its backends
  prism validate --dial --timeout 5s /etc/prism

  # Validate what another program writes
  prism generate config --pattern multicast-registry --slot registry:memstore --slot messaging:memstore | prism validate -`,
		Args:              files,
		ValidArgsFunction: completeConfigs,
		RunE: func(command *cobra.Command, args []string) error {
			if o.timeout <= 0 {
				return usagef("--timeout must be above zero, is %s", o.timeout)
			}
			return c.validate(command.Context(), args, o)
		},
	}
	flags := command.Flags()
	flags.SortFlags = false
	flags.BoolVar(&o.dial, "dial", false, "open each backend instance too, and close it again")
	flags.DurationVar(&o.timeout, "timeout", 10*time.Second, "how long each backend instance may take to open")
	return command
}

// files wants one file or more.
func files(command *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usagef("%s needs a FILE with a configuration, a folder of such files, or - for standard input", commandName(command))
	}
	if len(args) > 1 && slices.Contains(args, standardInput) {
		return usagef("%s takes - alone: standard input is the whole configuration", commandName(command))
	}
	return nil
}

// completeConfigs completes files of configurations.
func completeConfigs(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return []cobra.Completion{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
}

// loadConfig reads the configuration that a command line names.
func (c *cli) loadConfig(ctx context.Context, paths []string) (*config.Source, error) {
	if paths[0] != standardInput {
		return config.Load(paths...)
	}
	text, err := c.readInput(ctx)
	if err != nil {
		return nil, fmt.Errorf("standard input: %w", err)
	}
	return config.Read("standard input", strings.NewReader(string(text)))
}

// validation is what there is to say of a configuration.
type validation struct {
	Valid      bool             `json:"valid"`
	Files      []string         `json:"files"`
	Namespaces []namespaceShown `json:"namespaces"`
	// Backends are what --dial found.
	Backends []dialed       `json:"backends,omitempty"`
	Problems []problemShown `json:"problems"`
}

// problemShown is a problem in JSON.
type problemShown struct {
	// At is file, line and column; "" where there is none.
	At      string `json:"at"`
	Path    string `json:"path"`
	Message string `json:"message"`
}

func (c *cli) validate(ctx context.Context, paths []string, o validateOptions) error {
	source, err := c.loadConfig(ctx, paths)
	if err != nil {
		return c.unreadable(err)
	}
	planned, problems := c.examine(source)
	v := validation{
		Valid: len(problems) == 0, Files: present(source.Files), Namespaces: c.show(planned, problems), Problems: shownProblems(source, problems),
	}
	if v.Valid && o.dial {
		planned.ResolveFiles(source)
		v.Backends = c.dial(ctx, planned, o.timeout)
		v.Valid = !slices.ContainsFunc(v.Backends, func(d dialed) bool { return d.Problem != "" })
	}
	if c.asJSON() {
		if err := c.printJSON(v); err != nil {
			return err
		}
	} else {
		c.printValidation(v)
		if len(problems) > 0 {
			fmt.Fprintln(c.stderr, printable(source.Locate(problems).Error()))
		}
	}
	if !v.Valid {
		return toldError{}
	}
	return nil
}

// examine says what a configuration comes to, and everything that is wrong with it that can be told without opening anything.
func (c *cli) examine(source *config.Source) (*plan.Plan, config.Problems) {
	planned, problems := plan.Examine(source.Config, c.catalog)
	// Whether an address may be one that others reach depends on a flag of serve.
	listening := slices.DeleteFunc(front.Check(source.Config.GetServer(), true), func(p config.Problem) bool {
		return slices.ContainsFunc(problems, func(told config.Problem) bool { return told.Path == p.Path })
	})
	return planned, append(listening, problems...)
}

// unreadable tells why a configuration could not be read.
func (c *cli) unreadable(err error) error {
	if !c.asJSON() {
		fmt.Fprintln(c.stderr, printable(err.Error()))
		return toldError{}
	}
	if err := c.printJSON(validation{Files: []string{}, Namespaces: []namespaceShown{}, Problems: parts(err)}); err != nil {
		return err
	}
	return toldError{}
}

// parts are the errors that an error joins.
func parts(err error) []problemShown {
	if several, ok := err.(interface{ Unwrap() []error }); ok { // and not errors.As: one that wraps several says more than they do
		var all []problemShown
		for _, part := range several.Unwrap() {
			all = append(all, parts(part)...)
		}
		return all
	}
	shown := problemShown{Message: err.Error()}
	var problem config.Problem
	if errors.As(err, &problem) {
		shown = problemShown{At: strings.TrimSuffix(strings.TrimSuffix(err.Error(), problem.Error()), ": "), Path: problem.Path, Message: problem.Message}
	}
	return []problemShown{shown}
}

func shownProblems(source *config.Source, problems config.Problems) []problemShown {
	shown := []problemShown{}
	for _, problem := range problems {
		shown = append(shown, parts(source.Locate(problem))...)
	}
	return shown
}

// dialed is a backend instance that was opened.
type dialed struct {
	Name string `json:"name"`
	Type string `json:"type"`
	// Deployment is where its code runs, when that is not this process.
	Deployment string `json:"deployment,omitempty"`
	Problem    string `json:"problem"`
}

// dial opens each instance that a plan needs, all at once, and closes it again.
func (c *cli) dial(ctx context.Context, planned *plan.Plan, timeout time.Duration) []dialed {
	opener := deployment.Opener{Catalog: c.catalog, Backends: c.backends, Command: c.provider(), Gateway: "prism " + c.build.version}
	results := make([]dialed, len(planned.Instances))
	var opening sync.WaitGroup
	for i, instance := range planned.Instances {
		results[i] = dialed{Name: instance.Name, Type: instance.Backend.Name, Deployment: elsewhere(instance)}
		opening.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			if err := opener.Try(ctx, instance, backend.Env{Instance: instance.Name}); err != nil {
				results[i].Problem = err.Error()
			}
		})
	}
	opening.Wait()
	return results
}

// readInput reads standard input to its end, or until the command is to stop.
func (c *cli) readInput(ctx context.Context) ([]byte, error) {
	// A read of a terminal cannot be canceled; so it is left behind.
	type input struct {
		text []byte
		err  error
	}
	read := make(chan input, 1)
	go func() {
		text, err := io.ReadAll(c.stdin)
		read <- input{text, err}
	}()
	select {
	case in := <-read:
		return in.text, in.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
