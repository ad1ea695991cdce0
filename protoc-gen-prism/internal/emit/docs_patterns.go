package emit

import (
	"strings"

	"github.com/prismgate/prism/protoc-gen-prism/internal/model"
)

// patternsPage is the reference of every pattern: its slots, its configuration, what it offers, and the contracts of its services.
func patternsPage(schema *model.Schema) string {
	p := &patternsWriter{}
	p.paragraph(docsNote)
	p.heading(1, "Patterns")
	p.paragraph("A pattern offers interfaces or services of its own on top of slots. A slot is filled by a backend, or by the next pattern of a namespace's chain, and " +
		"whatever fills it has to implement what the slot requires; `prism validate` tells. The contracts of interfaces: [interfaces.md](interfaces.md). Which backend implements what: [backends.md](backends.md).")
	var rows [][]string
	for _, pattern := range schema.Patterns {
		var slots []string
		for _, slot := range pattern.Slots {
			slots = append(slots, slot.Field.Name)
		}
		rows = append(rows, []string{"[" + pattern.Name + "](#" + pattern.Name + ")", pattern.Version, strings.Join(slots, ", "), p.offers(pattern)})
	}
	p.table([]string{"pattern", "version", "slots", "offers"}, rows)
	for _, pattern := range schema.Patterns {
		p.pattern(pattern)
	}
	return strings.TrimRight(p.String(), "\n") + "\n"
}

// patternsWriter writes patterns.md.
type patternsWriter struct{ page }

// offers says what a pattern offers, in a few words.
func (p *patternsWriter) offers(pattern *model.Pattern) string {
	offers := p.linked(pattern.Offers)
	if pattern.OffersSlot != "" {
		offers = append(offers, "what fills the slot "+pattern.OffersSlot)
	}
	for _, service := range pattern.Services {
		offers = append(offers, code(service.Name))
	}
	return strings.Join(offers, ", ")
}

// linked are links to interfaces on their page; what is declared elsewhere has no link.
func (p *patternsWriter) linked(interfaces []*model.Interface) []string {
	var all []string
	for _, i := range interfaces {
		if i.Generate {
			all = append(all, link("interfaces.md", i))
		} else {
			all = append(all, i.CatalogName)
		}
	}
	return all
}

func (p *patternsWriter) pattern(pattern *model.Pattern) {
	p.heading(2, pattern.Name)
	p.paragraph(prose(renamed(pattern.Config.Doc, pattern.Config.Name, code(pattern.Name))))
	p.paragraph("Version " + pattern.Version + " · offers " + p.offers(pattern))
	p.slots(pattern)
	p.heading(3, "Configuration of "+pattern.Name)
	own := ownFields(pattern)
	if len(own.Fields) == 0 {
		p.paragraph("There is nothing to configure besides the slots.")
	}
	p.fields(own)
	p.types(own, written{pattern.Config.FullName: true})
	for _, service := range pattern.Services {
		p.service(service)
	}
}

// ownFields is a pattern's configuration without its slots.
func ownFields(pattern *model.Pattern) *model.Message {
	own := *pattern.Config
	own.Fields = nil
	slots := make(map[*model.Field]bool)
	for _, slot := range pattern.Slots {
		slots[slot.Field] = true
	}
	for _, field := range pattern.Config.Fields {
		if !slots[field] {
			own.Fields = append(own.Fields, field)
		}
	}
	return &own
}

// slots writes the table of a pattern's slots.
func (p *patternsWriter) slots(pattern *model.Pattern) {
	var rows [][]string
	for _, slot := range pattern.Slots {
		name := code(slot.Field.Name)
		if slot.MayBeEmpty {
			name += " (optional)"
		}
		uses := strings.Join(p.linked(slot.Optional), ", ")
		if slot.OptionalWhileEmpty != "" {
			uses += " while " + code(slot.OptionalWhileEmpty) + " is empty"
		}
		rows = append(rows, []string{
			name, strings.Join(p.linked(slot.Required), ", "), strings.Join(p.linked(slot.AnyOf), ", "), uses,
			strings.Join(slot.Recommended, ", "), cell(slot.Field.Doc),
		})
	}
	if len(rows) > 0 {
		p.table([]string{"slot", "requires", "at least one of", "uses", "recommended", "meaning"}, rows)
	}
}

func (p *patternsWriter) service(service *model.Service) {
	p.heading(3, service.Name)
	p.paragraph("Service " + code(service.FullName))
	p.paragraph(prose(renamed(service.Doc, service.Name, code(service.Name))))
	before := written{}
	for _, m := range service.Methods {
		p.rpc(service.Name, m, before)
	}
}
