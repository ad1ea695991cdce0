package emit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/prismgate/prism/protoc-gen-prism/internal/model"
)

// interfacesPage is the reference of every interface that the files declare.
func interfacesPage(schema *model.Schema) string {
	var declared []*model.Interface
	for _, i := range schema.Interfaces {
		if i.Generate {
			declared = append(declared, i)
		}
	}
	models := readingOrder(declared)
	p := &interfacesWriter{schema: schema}
	p.paragraph(docsNote)
	p.heading(1, "Interfaces")
	p.paragraph("The catalog has " + totals(declared) + ".")
	p.paragraph("An interface is one thin slice of a data model. A backend that implements it implements all of it; what a namespace does not offer is not there to be called. " +
		"Each section is the contract that implementations are tested against and callers may rely on. What holds for every interface is in the README of the schema. Which backend implements what: [backends.md](backends.md).")
	p.contents(models)
	for _, m := range models {
		p.model(m)
	}
	return strings.TrimRight(p.String(), "\n") + "\n"
}

// interfacesWriter writes interfaces.md.
type interfacesWriter struct {
	page
	schema *model.Schema
}

func (p *interfacesWriter) contents(models []*model.DataModel) {
	p.heading(2, "Contents")
	for _, m := range models {
		p.WriteString("- [" + m.Name + "](#" + m.Lower + "): " + strings.Join(links(m.Interfaces), ", ") + "\n")
	}
	p.WriteByte('\n')
}

// links are links to interfaces on the page.
func links(interfaces []*model.Interface) []string {
	var all []string
	for _, i := range interfaces {
		all = append(all, link("", i))
	}
	return all
}

// link is a link to an interface on a page.
func link(page string, i *model.Interface) string {
	return "[" + i.CatalogName + "](" + page + "#" + i.CatalogName + ")"
}

func (p *interfacesWriter) model(m *model.DataModel) {
	p.heading(2, m.Name)
	var rows [][]string
	for _, i := range m.Interfaces {
		var rpcs []string
		for _, method := range i.Methods {
			rpcs = append(rpcs, method.Name)
		}
		rows = append(rows, []string{link("", i), kindName(i.Kind), strings.Join(rpcs, ", "), strings.Join(p.implementers(i), ", ")})
	}
	p.table([]string{"interface", "kind", "RPCs", "implemented by"}, rows)
	for _, i := range m.Interfaces {
		p.contract(i)
	}
}

// implementers are the backends that implement an interface.
func (p *interfacesWriter) implementers(i *model.Interface) []string {
	var names []string
	for _, backend := range p.schema.Backends {
		if slices.Contains(backend.Implements, i) {
			names = append(names, backend.Name)
		}
	}
	return names
}

func (p *interfacesWriter) contract(i *model.Interface) {
	p.heading(3, i.CatalogName)
	facts := []string{capital(kindName(i.Kind))}
	if len(i.Requires) > 0 {
		facts = append(facts, "requires "+strings.Join(p.requirements(i), ", "))
	}
	facts = append(facts, "service "+code(i.FullName), "Go contract "+code(i.Package.Name+"."+i.GoFlavour))
	p.paragraph(strings.Join(facts, " · "))
	p.paragraph(prose(renamed(i.Doc, i.Name, code(i.CatalogName))))
	if i.Alternatives {
		p.paragraph("The RPCs are alternatives: an implementation offers at least one of them and may answer UNIMPLEMENTED to the others.")
	}
	before := written{}
	for _, m := range i.Methods {
		p.rpc(i.CatalogName, m, before)
	}
}

// requirements are links to what an interface requires; what is declared elsewhere has no link.
func (p *interfacesWriter) requirements(i *model.Interface) []string {
	var all []string
	for _, required := range i.Requires {
		if required.Generate {
			all = append(all, link("", required))
		} else {
			all = append(all, required.CatalogName)
		}
	}
	return all
}

func (p *page) rpc(owner string, m *model.Method, before written) {
	p.heading(4, owner+"."+m.Name)
	p.paragraph("```proto\nrpc " + m.Name + "(" + streamed(m.ClientStream) + messageName(m.Request) + ") returns (" + streamed(m.ServerStream) + messageName(m.Response) + ")\n```")
	p.paragraph(capital(strings.Join(rpcFacts(m), " · ")))
	p.paragraph(prose(m.Doc))
	for _, message := range []*model.Message{m.Request, m.Response} {
		if !before.add(message.FullName) {
			p.paragraph("**" + message.Name + "** is described above.")
			continue
		}
		p.paragraph(bold(message.Name, message.Doc))
		p.fields(message)
		if len(message.Fields) == 0 {
			p.paragraph("It has no fields.")
		}
		p.types(message, before)
	}
}

func streamed(stream bool) string {
	if stream {
		return "stream "
	}
	return ""
}

// idempotencyWords says what a repeated call does.
var idempotencyWords = map[string]string{
	"NoSideEffects":      "no side effects: may be repeated, cached and called by HTTP GET",
	"Idempotent":         "idempotent: may be repeated",
	"IdempotencyUnknown": "not idempotent: must not be repeated",
}

// rpcFacts are what callers and middleware may know of an RPC.
func rpcFacts(m *model.Method) []string {
	facts := []string{"unary"}
	switch {
	case m.ClientStream && m.ServerStream:
		facts[0] = "streams both ways"
	case m.ClientStream:
		facts[0] = "takes a stream"
	case m.ServerStream:
		facts[0] = "answers with a stream"
	}
	facts = append(facts, idempotencyWords[m.Idempotency])
	if m.Blocking {
		facts = append(facts, "blocking: may wait for something to happen")
	}
	if m.Destructive {
		facts = append(facts, "destructive: a lost answer is lost data")
	}
	if m.MaxMessageBytes > 0 {
		facts = append(facts, "messages of at most "+byteSize(m.MaxMessageBytes))
	}
	if len(m.Args) > 0 {
		var args []string
		for _, field := range m.Args {
			args = append(args, field.Name)
		}
		facts = append(facts, "SDK arguments "+codes(args))
	}
	return facts
}

// byteSize is a number of bytes in the largest unit that divides it.
func byteSize(n int) string {
	units := []string{"bytes", "KiB", "MiB", "GiB"}
	unit := 0
	for unit < len(units)-1 && n%1024 == 0 {
		n, unit = n/1024, unit+1
	}
	return fmt.Sprintf("%d %s", n, units[unit])
}
