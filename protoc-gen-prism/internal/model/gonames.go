package model

import (
	"unicode"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Unexported is a Go name with its first word in lower case: Scan is scan, TTL is ttl, CASBatch is casBatch.
func Unexported(name string) string {
	runes := []rune(name)
	for i, r := range runes {
		if !unicode.IsUpper(r) || (i > 0 && i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
			break
		}
		runes[i] = unicode.ToLower(r)
	}
	return string(runes)
}

// CommentsFunc is the function that returns the comments of a package of configuration.
const CommentsFunc = "Comments"

// MethodsFunc is the function that returns a service's methods.
func (s *Service) MethodsFunc() string { return s.GoName + "Methods" }

// HandlersFunc is the function that returns the handlers of a service's implementation.
func (s *Service) HandlersFunc() string { return s.GoName + "Handlers" }

// NewClientFunc is the function that returns a service's client.
func (s *Service) NewClientFunc() string { return "New" + s.GoName + "Client" }

// GuardFunc is the function that puts a service's implementation behind the checks of its requests. Interfaces have one, and services that patterns offer.
func (s *Service) GuardFunc() string { return "Guard" + s.GoName }

// Guard is the type that does so.
func (s *Service) Guard() string { return Unexported(s.GoName) + "Guard" }

// Table is the variable that has a service's methods.
func (s *Service) Table() string { return Unexported(s.GoName) + "Table" }

// HandlerTable is the variable with the handlers that wait for an implementation.
func (s *Service) HandlerTable() string { return Unexported(s.GoName) + "Handlers" }

// Client is the type of a service's client.
func (s *Service) Client() string { return Unexported(s.GoName) + "Client" }

// emitted are the names that a service takes in its rpc package.
func (s *Service) emitted() []string {
	return []string{s.MethodsFunc(), s.HandlersFunc(), s.NewClientFunc(), s.Table(), s.HandlerTable(), s.Client()}
}

// checkGoNames keeps what is generated in the packages of messages apart from messages and enums: contracts and checks.
func (l *loader) checkGoNames(files []*protogen.File) {
	taken := make(map[GoName]string)
	for _, i := range l.schema.Interfaces {
		if i.Generate {
			taken[i.Contract()] = "the Go contract of " + i.CatalogName
		}
	}
	for _, backend := range l.schema.Backends {
		taken[GoName{backend.Package.Path, CommentsFunc}] = "the Go function that returns the comments of configurations"
	}
	for _, pattern := range l.schema.Patterns {
		taken[GoName{pattern.Package.Path, CommentsFunc}] = "the Go function that returns the comments of configurations"
	}
	for _, file := range l.schema.Files {
		for _, message := range file.Messages {
			if file.OwnChecks && message.Constrained() {
				taken[message.Check] = "the Go function that checks " + message.Name
			}
		}
	}
	for _, file := range files {
		for message := range allMessages(file.Messages) {
			l.checkGoName(taken, message.GoIdent, message.Desc)
			l.checkEnumNames(taken, message.Enums)
		}
		l.checkEnumNames(taken, file.Enums)
	}
}

func (l *loader) checkEnumNames(taken map[GoName]string, enums []*protogen.Enum) {
	for _, enum := range enums {
		l.checkGoName(taken, enum.GoIdent, enum.Desc)
	}
}

// checkGoName reports a type whose name is taken.
func (l *loader) checkGoName(taken map[GoName]string, name protogen.GoIdent, at protoreflect.Descriptor) {
	if by, ok := taken[goName(name)]; ok {
		l.mistakes.add(at, nil, "%s is the name of %s; give it another name, such as %sInfo", at.Name(), by, at.Name())
	}
}
