package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"github.com/prismgate/prism/client"
	adminv1 "github.com/prismgate/prism/gen/go/prism/admin/v1"
	"github.com/prismgate/prism/gen/go/prism/admin/v1/adminrpc"
	"github.com/prismgate/prism/runtime/config"
	"github.com/prismgate/prism/runtime/plan"
)

// planOptions are the flags of plan.
type planOptions struct {
	admin          string
	requireRunning bool
	timeout        time.Duration
}

func (c *cli) planCommand() *cobra.Command {
	var o planOptions
	command := &cobra.Command{
		Use:   "plan FILE...",
		Short: "Show what a configuration comes to, and what it would change",
		Long: `Show what a configuration comes to: for each namespace its patterns, what fills their slots, and its limits; and what would
change if the running gateway were given it: which namespaces and backend instances are new, gone, changed or carried over,
which data in memory would be lost, and what needs a restart.

The running gateway is asked for its configuration at its admin address, which --admin gives, or else server.admin of FILE. When
none answers, everything is new. Nothing is changed, and no backend is connected to. FILE is as for 'prism validate'.`,
		Example: `  # Show what a reload would do
  prism plan namespace-config.yaml

  # Compare with a certain gateway, and fail when it does not answer
  prism plan --admin 10.0.0.7:8981 --require-running /etc/prism`,
		Args:              files,
		ValidArgsFunction: completeConfigs,
		RunE: func(command *cobra.Command, args []string) error {
			if o.timeout <= 0 {
				return usagef("--timeout must be above zero, is %s", o.timeout)
			}
			return c.plan(command.Context(), args, o)
		},
	}
	flags := command.Flags()
	flags.SortFlags = false
	flags.StringVar(&o.admin, "admin", "", "the admin `ADDRESS` of the running gateway, host:port or unix:PATH, instead of the configuration's")
	flags.BoolVar(&o.requireRunning, "require-running", false, "fail when no gateway answers")
	flags.DurationVar(&o.timeout, "timeout", 5*time.Second, "how long the running gateway may take to answer")
	return command
}

// planned is what there is to say of a plan.
type planned struct {
	Files      []string         `json:"files"`
	Namespaces []namespaceShown `json:"namespaces"`
	Running    running          `json:"running"`
	Difference differenceShown  `json:"difference"`
}

// running is the gateway that a plan is compared with.
type running struct {
	// Address is where it was asked.
	Address string `json:"address"`
	// Problem is why there is nothing to compare with; "" when there is.
	Problem string `json:"problem"`
	Version string `json:"version,omitempty"`
	Since   string `json:"since,omitempty"`
	// ReloadProblem is why its last reload failed, if it did.
	ReloadProblem string `json:"reload_problem,omitempty"`
}

func (c *cli) plan(ctx context.Context, paths []string, o planOptions) error {
	source, err := c.loadConfig(ctx, paths)
	if err != nil {
		return c.unreadable(err)
	}
	after, problems := c.examine(source)
	if len(problems) > 0 {
		return c.unreadable(source.Locate(problems))
	}
	address := adminAddress(o.admin, source)
	before, at, err := c.running(ctx, address, o.timeout)
	if err != nil {
		return err
	}
	shown := planned{
		Files: present(source.Files), Namespaces: c.show(after, nil), Running: at, Difference: shownDifference(plan.Compare(before, after)),
	}
	if c.asJSON() {
		err = c.printJSON(shown)
	} else {
		c.printPlan(shown)
	}
	if err == nil && o.requireRunning && at.Problem != "" {
		return fmt.Errorf("%s: %s", at.Address, at.Problem)
	}
	return err
}

// adminAddress is where the running gateway is asked. One that listens everywhere is here, too.
func adminAddress(given string, source *config.Source) string {
	if given != "" {
		return given
	}
	address := source.Config.GetServer().GetAdmin()
	if address == "" {
		return config.DefaultAdmin
	}
	host, port, err := net.SplitHostPort(address)
	if ip, notIP := netip.ParseAddr(host); err == nil && (host == "" || notIP == nil && ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return address
}

// running asks the running gateway what it serves. The error is one of the command line; that nobody answers is none.
func (c *cli) running(ctx context.Context, address string, timeout time.Duration) (*plan.Plan, running, error) {
	at := running{Address: address}
	// Port 0 was another one when the gateway began to listen.
	if _, port, err := net.SplitHostPort(address); err == nil && port == "0" {
		at.Problem = "the configuration lets the system choose the port; name the gateway's with --admin"
		return nil, at, nil
	}
	asked, err := client.Dial(address, client.WithProtocol(client.Connect), client.WithHTTP1())
	if err != nil {
		return nil, at, usagef("--admin: %s", messageOf(err))
	}
	defer func() { _ = asked.Close() }() // it only closes idle connections
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	status, err := adminrpc.NewAdminServiceClient(asked.Conn("")).GetConfig(ctx, new(adminv1.GetConfigRequest))
	if err != nil {
		at.Problem = "no gateway answers: " + messageOf(err)
		return nil, at, nil
	}
	at.Version, at.ReloadProblem = status.GetBuild().GetVersion(), status.GetReloadProblem().GetMessage()
	if status.GetSince() != nil {
		at.Since = status.GetSince().AsTime().UTC().Format(time.RFC3339)
	}
	before, err := plan.Make(status.GetConfig(), c.catalog)
	var problems config.Problems
	if errors.As(err, &problems) {
		at.Problem = "the gateway serves what this build does not know: " + problems[0].Error()
	}
	return before, at, nil
}

// differenceShown is a difference in JSON.
type differenceShown struct {
	Namespaces changesShown `json:"namespaces"`
	Backends   changesShown `json:"backends"`
	Lost       []string     `json:"lost"`
	Restart    []string     `json:"restart"`
}

type changesShown struct {
	Added   []string      `json:"added"`
	Removed []string      `json:"removed"`
	Changed []changeShown `json:"changed"`
	Same    []string      `json:"same"`
}

type changeShown struct {
	Name string   `json:"name"`
	What []string `json:"what"`
}

func shownDifference(d plan.Difference) differenceShown {
	return differenceShown{shownChanges(d.Namespaces), shownChanges(d.Instances), present(d.Lost), present(d.Restart)}
}

func shownChanges(changes plan.Changes) changesShown {
	shown := changesShown{present(changes.Added), present(changes.Removed), []changeShown{}, present(changes.Same)}
	for _, change := range changes.Changed {
		shown.Changed = append(shown.Changed, changeShown(change))
	}
	return shown
}
