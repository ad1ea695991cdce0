package model

import (
	"path"
	"slices"
	"strings"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/runtime/protoimpl"

	optionsv1 "github.com/prismgate/prism/gen/go/prism/options/v1"
)

// Load makes the schema of what the compiler hands to the plugin. Its error is [SchemaErrors]: all that is wrong in the files to generate code for.
//
// The result does not depend on the order of the files.
func Load(plugin *protogen.Plugin, params Params) (*Schema, error) {
	l := &loader{
		schema:     &Schema{Params: params},
		interfaces: make(map[string]*Interface),
		messages:   make(map[protoreflect.FullName]*Message),
		enums:      make(map[protoreflect.FullName]*Enum),
		backends:   make(map[string]bool),
		emitted:    make(map[GoName]string),
		contracts:  contractPackages(plugin.Files),
		origins:    make(map[any]protoreflect.Descriptor),
		leaves:     make(map[string]protoreflect.Descriptor),
		services:   make(map[string]*Service),
		offered:    offeredServices(plugin.Files),
	}
	files := slices.SortedFunc(slices.Values(plugin.Files), byName(func(f *protogen.File) string { return f.Desc.Path() }))
	for _, file := range files {
		l.loadFile(file)
	}
	l.resolveRequires()
	l.groupModels()
	for _, file := range files {
		l.loadLeaves(file)
	}
	l.checkRecommended()
	slices.SortFunc(l.schema.Backends, byName(func(b *Backend) string { return b.Name }))
	slices.SortFunc(l.schema.Patterns, byName(func(p *Pattern) string { return p.Name }))
	l.checkGoNames(files)
	if len(l.mistakes) > 0 {
		return nil, l.mistakes.sorted()
	}
	return l.schema, nil
}

// loader is a schema in the making.
type loader struct {
	schema   *Schema
	mistakes SchemaErrors
	// interfaces are by catalog name, messages and enums by full name.
	interfaces map[string]*Interface
	messages   map[protoreflect.FullName]*Message
	enums      map[protoreflect.FullName]*Enum
	// backends are the catalog names of all backends in sight, imported ones too.
	backends map[string]bool
	// origins are the declarations of interfaces, methods and slots; leaves those of backends and patterns, by what makes them distinct.
	origins map[any]protoreflect.Descriptor
	leaves  map[string]protoreflect.Descriptor
	// emitted are the names that services take in their rpc packages, with the service.
	emitted map[GoName]string
	// contracts are the Go packages that have a contract.
	contracts map[protogen.GoImportPath]bool
	// services are those of the files to generate code for that are no interfaces, by full name; offered the names of those that patterns may mean.
	services map[string]*Service
	offered  map[string]bool
}

// loadFile takes interfaces from any file, and everything from a file to generate code for.
func (l *loader) loadFile(source *protogen.File) {
	file := &File{
		Path:      strings.TrimSuffix(source.Desc.Path(), ".proto"),
		Package:   GoPackage{Path: string(source.GoImportPath), Name: string(source.GoPackageName)},
		OwnChecks: l.ownChecks(source.Desc, source.GoImportPath),
	}
	for _, service := range source.Services {
		if option := interfaceOption(service); option != nil {
			l.loadInterface(file, source, service, option)
		} else {
			file.Services = append(file.Services, l.loadForeign(file, source, service))
		}
	}
	if !source.Generate {
		return
	}
	l.schema.Files = append(l.schema.Files, file)
	for message := range allMessages(source.Messages) {
		file.Messages = append(file.Messages, l.message(message))
	}
	if l.foreign(source, file) {
		return
	}
	l.checkMessages(source)
	if len(file.Interfaces) > 1 {
		l.mistakes.add(l.origins[file.Interfaces[1]], nil, "a file declares one interface and %s has %d; give each a file named after its catalog name",
			path.Base(source.Desc.Path()), len(file.Interfaces))
	}
}

// foreign tells whether a file is foreign to Prism: it has services, of which none is an interface or offered by a pattern, and declares no backend or pattern.
func (l *loader) foreign(source *protogen.File, file *File) bool {
	ours := func(s *Service) bool { return s.Offered }
	return len(file.Interfaces) == 0 && len(file.Services) > 0 && !slices.ContainsFunc(file.Services, ours) && !slices.ContainsFunc(source.Messages, declaresLeaf)
}

// declaresLeaf tells whether a message declares a backend or a pattern.
func declaresLeaf(message *protogen.Message) bool {
	return option[*optionsv1.Backend](message.Desc, optionsv1.E_Backend) != nil || option[*optionsv1.Pattern](message.Desc, optionsv1.E_Pattern) != nil
}

// contractPackages are the Go packages of the files that declare interfaces.
func contractPackages(files []*protogen.File) map[protogen.GoImportPath]bool {
	packages := make(map[protogen.GoImportPath]bool)
	for _, file := range files {
		if slices.ContainsFunc(file.Services, func(service *protogen.Service) bool { return interfaceOption(service) != nil }) {
			packages[file.GoImportPath] = true
		}
	}
	return packages
}

// ownChecks is [File.OwnChecks] of a file of a Go package. The messages of a contract must not depend on the runtime, so that a backend does not; where a file
// declares services, theirs is the rpc package.
func (l *loader) ownChecks(file protoreflect.FileDescriptor, goPackage protogen.GoImportPath) bool {
	return file.Services().Len() == 0 && !l.contracts[goPackage]
}

// allMessages are the messages of a file with the nested ones, in order, without those that stand for the entries of maps.
func allMessages(messages []*protogen.Message) func(yield func(*protogen.Message) bool) {
	return func(yield func(*protogen.Message) bool) { walkMessages(messages, yield) }
}

func walkMessages(messages []*protogen.Message, yield func(*protogen.Message) bool) bool {
	for _, message := range messages {
		if message.Desc.IsMapEntry() {
			continue
		}
		if !yield(message) || !walkMessages(message.Messages, yield) {
			return false
		}
	}
	return true
}

// doc is a declaration's comment, without the lines that speak to the linter.
func doc(comments protogen.CommentSet) string {
	var lines []string
	for line := range strings.Lines(string(comments.Leading)) {
		line = strings.TrimRight(strings.TrimPrefix(line, " "), " \t\r\n")
		if !strings.HasPrefix(line, "buf:lint:ignore") {
			lines = append(lines, line)
		}
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

// option is an extension of a declaration's options, or the zero value where it is not given.
func option[T proto.Message](declaration protoreflect.Descriptor, extension *protoimpl.ExtensionInfo) T {
	var none T
	options := declaration.Options()
	if options == nil || !proto.HasExtension(options, extension) {
		return none
	}
	value, _ := proto.GetExtension(options, extension).(T)
	return value
}
