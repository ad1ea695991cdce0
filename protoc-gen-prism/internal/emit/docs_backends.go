package emit

import (
	"slices"
	"strconv"
	"strings"

	"github.com/prismgate/prism/protoc-gen-prism/internal/model"
)

// backendsPage is the reference of every backend: what it implements and how it is configured.
func backendsPage(schema *model.Schema) string {
	p := &backendsWriter{schema: schema}
	p.paragraph(docsNote)
	p.heading(1, "Backends")
	p.paragraph("The catalog has " + totals(schema.Interfaces) + ". Here is what " + counted(len(schema.Backends), "backend") + " implement" + singular(len(schema.Backends)) + " of it. " +
		"A mark stands for the whole interface, which passes its conformance suite. The contracts: [interfaces.md](interfaces.md).")
	p.counts()
	p.heading(2, "Who implements what")
	p.matrix()
	for _, backend := range schema.Backends {
		p.backend(backend)
	}
	return strings.TrimRight(p.String(), "\n") + "\n"
}

// singular is the end of a verb.
func singular(n int) string {
	if n == 1 {
		return "s"
	}
	return ""
}

// backendsWriter writes backends.md.
type backendsWriter struct {
	page
	schema *model.Schema
}

// counts writes the table of numbers. A kind of interface that the schema does not have has no column.
func (p *backendsWriter) counts() {
	header := []string{"backend"}
	for _, k := range kinds {
		if countKind(p.schema.Interfaces, k.kind) > 0 {
			header = append(header, k.count+"s")
		}
	}
	header = append(header, "data models", "implementability")
	var rows [][]string
	for _, backend := range p.schema.Backends {
		row := []string{backendLink(backend)}
		for _, k := range kinds {
			if countKind(p.schema.Interfaces, k.kind) > 0 {
				row = append(row, strconv.Itoa(countKind(backend.Implements, k.kind)))
			}
		}
		rows = append(rows, append(row, strings.Join(modelNames(backend), ", "), strconv.Itoa(backend.Implementability)+"/100"))
	}
	p.table(header, rows)
}

func backendLink(backend *model.Backend) string {
	return "[" + backend.Name + "](#" + backend.Name + ")"
}

func modelNames(backend *model.Backend) []string {
	var names []string
	for _, m := range backendModels(backend) {
		names = append(names, m.Name)
	}
	return names
}

// matrix writes a row for each interface and a column for each backend.
func (p *backendsWriter) matrix() {
	header := []string{"interface"}
	for _, backend := range p.schema.Backends {
		header = append(header, backendLink(backend))
	}
	var rows [][]string
	for _, m := range readingOrder(p.schema.Interfaces) {
		for _, i := range m.Interfaces {
			rows = append(rows, p.matrixRow(i))
		}
	}
	p.table(header, rows)
}

func (p *backendsWriter) matrixRow(i *model.Interface) []string {
	row := []string{i.CatalogName}
	if i.Generate {
		row[0] = link("interfaces.md", i)
	}
	if i.Kind != model.KindCore {
		row[0] += " (" + kindName(i.Kind) + ")"
	}
	for _, backend := range p.schema.Backends {
		mark := " "
		if slices.Contains(backend.Implements, i) {
			mark = "✓"
		}
		row = append(row, mark)
	}
	return row
}

func (p *backendsWriter) backend(backend *model.Backend) {
	p.heading(2, backend.Name)
	p.paragraph(prose(renamed(backend.Config.Doc, backend.Config.Name, code(backend.Name))))
	var models []string
	for _, m := range backendModels(backend) {
		var flavours []string
		for _, i := range m.Interfaces {
			flavours = append(flavours, i.Flavour)
		}
		models = append(models, m.Name+" ("+strings.Join(flavours, ", ")+")")
	}
	p.paragraph("It implements " + counted(len(backend.Implements), "interface") + ": " + strings.Join(models, "; ") +
		". Implementability: " + strconv.Itoa(backend.Implementability) + "/100.")
	p.heading(3, "Configuration of "+backend.Name)
	if len(backend.Config.Fields) == 0 {
		p.paragraph("There is nothing to configure.")
	}
	p.fields(backend.Config)
	p.types(backend.Config, written{backend.Config.FullName: true})
}
