package model

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/reflect/protoreflect"

	optionsv1 "github.com/prismgate/prism/gen/go/prism/options/v1"
)

// loadLeaves makes the backends and patterns that the messages of a file to generate code for declare. Of any other file it takes the names of backends.
func (l *loader) loadLeaves(source *protogen.File) {
	for message := range allMessages(source.Messages) {
		backend := option[*optionsv1.Backend](message.Desc, optionsv1.E_Backend)
		pattern := option[*optionsv1.Pattern](message.Desc, optionsv1.E_Pattern)
		if backend != nil {
			l.backends[backend.GetName()] = true
		}
		if !source.Generate {
			continue
		}
		if backend != nil {
			l.loadBackend(source, message, backend)
		}
		if pattern != nil {
			l.loadPattern(source, message, pattern)
		}
		if backend != nil && pattern != nil {
			l.mistakes.add(message.Desc, patternSteps, "%s declares both a backend and a pattern; give each a message of its own", message.Desc.Name())
		}
	}
}

// checkLeaf checks what backends and patterns have in common: name, comment, secrets. what is "backend" or "pattern".
func (l *loader) checkLeaf(message *protogen.Message, steps []int32, what, name string) {
	const stepName = 1
	if !leafSyntax.MatchString(name) {
		l.mistakes.add(message.Desc, extend(steps, stepName), "the %s name %q is not a name; write it in lower case with hyphens, as in \"claim-check\"", what, name)
	}
	key := what + " " + folded(name)
	if former, ok := l.leaves[key]; ok {
		l.mistakes.add(message.Desc, extend(steps, stepName), "the %s name %q is that of %s already; names are unique, also without hyphens", what, name, former.FullName())
	}
	l.leaves[key] = message.Desc
	if _, ok := message.Desc.Parent().(protoreflect.FileDescriptor); !ok {
		l.mistakes.add(message.Desc, steps, "%s declares a %s inside another message; move it to the top of the file", message.Desc.Name(), what)
	}
	l.checkSecrets(message, make(map[protoreflect.FullName]bool))
}

// checkSecrets looks for secrets in a configuration that would be printed, in the messages of the same package.
func (l *loader) checkSecrets(message *protogen.Message, seen map[protoreflect.FullName]bool) {
	if seen[message.Desc.FullName()] {
		return
	}
	seen[message.Desc.FullName()] = true
	for _, field := range message.Fields {
		name := field.Desc.Parent().Name() + "." + field.Desc.Name()
		secret := option[*optionsv1.Field](field.Desc, optionsv1.E_Field).GetRole() == optionsv1.Role_ROLE_SECRET
		switch {
		case secret && typeName(field.Desc) != secretType:
			l.mistakes.add(field.Desc, extend(fieldSteps, stepRole), "%s has ROLE_SECRET and the type %s; a configuration names where a secret is: make it a %s", name, typeName(field.Desc), secretType)
		case !secret && typeName(field.Desc) == secretType:
			l.mistakes.add(field.Desc, nil, "%s is a %s without ROLE_SECRET; add the role", name, secretType)
		case !secret && looksSecret(string(field.Desc.Name())):
			l.mistakes.add(field.Desc, nil, "%s looks like a secret; make it a %s with ROLE_SECRET, or give it a name that does not look so", name, secretType)
		}
		inner := field.Message
		if field.Desc.IsMap() {
			inner = inner.Fields[1].Message
		}
		if inner != nil && inner.Desc.ParentFile().Package() == message.Desc.ParentFile().Package() {
			l.checkSecrets(inner, seen)
		}
	}
}

// looksSecret tells whether a field's name has the words of a secret in it.
func looksSecret(name string) bool {
	words := strings.Split(name, "_")
	for i, word := range words {
		if slices.Contains([]string{"password", "passwd", "secret", "secrets", "token", "tokens", "dsn", "credential", "credentials"}, word) {
			return true
		}
		if i > 0 && slices.Contains([]string{"private_key", "api_key", "access_key"}, words[i-1]+"_"+word) {
			return true
		}
	}
	return false
}
