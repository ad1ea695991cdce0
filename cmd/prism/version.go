package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/prismgate/prism/runtime/observe"
)

// build is where a binary comes from.
type build struct {
	// version is the module's version, or "(devel)".
	version string
	// commit is the revision of the source, or "unknown".
	commit string
	// modified tells that the source was not quite that commit.
	modified bool
	// goVersion is the Go release that compiled it.
	goVersion string
}

// observed is the build as the gateway tells of it.
func (b build) observed() observe.Build {
	return observe.Build{Version: b.version, Revision: b.commit, GoVersion: b.goVersion}
}

// readBuild reads what the Go tool wrote into this binary.
func readBuild() build {
	b := build{version: "(devel)", commit: "unknown", goVersion: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if info.Main.Version != "" {
		b.version = info.Main.Version
	}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			b.commit = setting.Value
		case "vcs.modified":
			b.modified = setting.Value == "true"
		}
	}
	return b
}

func (c *cli) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show the version of this build and what it knows",
		Example: `  prism version
  prism version --output json`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return c.version() },
	}
}

func (c *cli) version() error {
	totals := totalsOf(c.catalog.Interfaces())
	if c.asJSON() {
		return c.printJSON(struct {
			Version        string `json:"version"`
			Commit         string `json:"commit"`
			Modified       bool   `json:"modified"`
			Go             string `json:"go"`
			Interfaces     int    `json:"interfaces"`
			CoreInterfaces int    `json:"core_interfaces"`
			Backends       int    `json:"backends"`
			Patterns       int    `json:"patterns"`
		}{
			c.build.version, c.build.commit, c.build.modified, c.build.goVersion,
			len(c.catalog.Interfaces()), totals.core, len(c.catalog.Backends()), len(c.catalog.Patterns()),
		})
	}
	commit := c.build.commit
	if c.build.modified {
		commit += ", modified"
	}
	return c.printTable(nil,
		[]string{"Version:", c.build.version},
		[]string{"Commit:", commit},
		[]string{"Go:", c.build.goVersion},
		[]string{"Interfaces:", totals.String()},
		[]string{"Backends:", fmt.Sprint(len(c.catalog.Backends()))},
		[]string{"Patterns:", fmt.Sprint(len(c.catalog.Patterns()))},
	)
}
