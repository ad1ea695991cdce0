package emit

import (
	"strings"

	"github.com/prismgate/prism/protoc-gen-prism/internal/model"
)

// configurationMessage is the message of a gateway's whole configuration; nil when it is not among the files.
func configurationMessage(schema *model.Schema) *model.Message {
	for _, file := range schema.Files {
		for _, message := range file.Messages {
			if message.FullName == "prism.config.v1.Config" {
				return message
			}
		}
	}
	return nil
}

// configurationPage is the reference of a gateway's configuration.
func configurationPage(config *model.Message) string {
	p := new(page)
	p.paragraph(docsNote)
	p.heading(1, "Fields of the configuration")
	p.paragraph("Every field of a gateway's configuration. How a configuration is written, found and checked: [configuration.md](configuration.md). " +
		"What backends are configured with: [backends.md](backends.md).")
	p.paragraph(bold(config.Name, config.Doc))
	p.fields(config)
	p.types(config, written{config.FullName: true})
	return strings.TrimRight(p.String(), "\n") + "\n"
}
