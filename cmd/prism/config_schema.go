package main

import (
	"github.com/spf13/cobra"

	"github.com/prismgate/prism/runtime/config"
)

func (c *cli) configCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "config",
		Short: "Show what a configuration can hold",
	},
		&cobra.Command{
			Use:   "schema",
			Short: "Print the JSON Schema of configurations, for editors",
			Long: `Print the JSON Schema of configurations, draft 2020-12, for editors: they complete fields, show what each is for,
and underline what 'prism validate' would refuse. It knows the backends and patterns of this build.

In Visual Studio Code with the extension YAML, and in other editors with yaml-language-server, a configuration names
its schema in its first line:

  # yaml-language-server: $schema=prism.schema.json`,
			Example: `  # Write the schema beside the configuration
  prism config schema > prism.schema.json`,
			Args: noArgs,
			RunE: func(*cobra.Command, []string) error { return c.configSchema() },
		},
	)
}

func (c *cli) configSchema() error {
	schema, err := config.JSONSchema(c.catalog)
	if err != nil {
		return err
	}
	_, err = c.stdout.Write(schema)
	return err
}
