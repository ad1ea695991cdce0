// Package config reads configurations: files in YAML, parsed into the messages of the schema, with the place of every mistake.
//
// Reading is strict. A key that the schema does not know is an error, and so are a key that is given twice, a value of the wrong kind, a key without a value, and
// what YAML has beyond lists, mappings and values: anchors, aliases, merge keys, tags and further documents. All that is wrong is reported, each mistake with
// file, line and column. Errors never quote a line of the file, since somebody may have written a secret where none belongs.
//
// What a backend or a pattern is configured with is parsed and not judged here: its message is known to the catalog, and package plan checks it. [Source.Locate]
// then says where the plan's problems stand.
package config

import (
	"errors"
	"io"
	"path/filepath"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
)

// Source is a configuration that was read, and where each of its fields stands. It is not changed after it was made; its methods may be called at the same time.
type Source struct {
	// Config is the configuration. Relative paths of files begin where the gateway was started, not where the configuration file lies.
	Config *configv1.Config
	// Files are the files that it was read from, in order; none for a configuration that was made in code.
	Files []string

	// files are what was read of Files.
	files []*file
	// by says what has set a field that no file has, by its path.
	by map[string]string
}

// Overridden is the source with a configuration that something else than its files has changed. By says what has set which field, such as
// {"server.listen": "--listen"}: [Source.Locate] calls the field by that.
func (s *Source) Overridden(c *configv1.Config, by map[string]string) *Source {
	changed := *s
	changed.Config, changed.by = c, by
	return &changed
}

// FromMessage makes a source of a configuration that no file holds. Its [Source.Locate] changes nothing.
func FromMessage(c *configv1.Config) *Source { return &Source{Config: c} }

// Load reads a configuration from files and folders; of a folder all files whose names end in .yaml or .yml, in the order of their names, but for hidden ones. Lists
// of several files are put together in order; a field that is no list is given in one file only. Without a path the configuration is empty.
//
// The configuration meets the schema's constraints, and the names of its namespaces and backends are unique. The error is all that is wrong, each mistake on a line
// of its own with its file, line and column.
func Load(paths ...string) (*Source, error) {
	names, err := findFiles(paths)
	if err != nil {
		return nil, err
	}
	l := &loader{source: &Source{Config: new(configv1.Config), Files: names}, counts: make(map[string]int)}
	for _, name := range names {
		data, err := readFile(name)
		if err != nil {
			l.unread = append(l.unread, err)
			continue
		}
		l.add(name, data)
	}
	return l.finish()
}

// Read is [Load] of one file that is no file, such as standard input. Name is what it is called in errors.
func Read(name string, from io.Reader) (*Source, error) {
	data, err := readText(name, from)
	if err != nil {
		return nil, err
	}
	return parse(name, data)
}

// parse is [Load] of one file whose content is known.
func parse(name string, data []byte) (*Source, error) {
	l := &loader{source: &Source{Config: new(configv1.Config), Files: []string{name}}, counts: make(map[string]int)}
	l.add(name, data)
	return l.finish()
}

// loader is a source in the making.
type loader struct {
	source *Source
	// counts are how many items each list has so far, by the field's name.
	counts map[string]int
	// unread are the files that could not be read, mistakes what is wrong with the others.
	unread   []error
	mistakes mistakes
	// more is how many mistakes there are that were only counted.
	more int
}

// add takes a file.
func (l *loader) add(name string, data []byte) {
	f := &file{name: name, order: len(l.source.files), first: make(map[string]int)}
	l.source.files = append(l.source.files, f)
	data = withLineBreaks(data)
	root, wrong := parseYAML(f, data)
	if wrong != nil {
		l.mistakes = append(l.mistakes, *wrong)
		return
	}
	f.root = root
	for field, count := range l.counts {
		f.first[field] = count
	}
	walked, more := walk(f)
	l.mistakes, l.more = append(l.mistakes, walked...), l.more+more
	config := new(configv1.Config)
	if err := decode(data, config); err != nil && len(walked) == 0 {
		l.mistakes.add(f.place(root), "", "%s", err) // The walk is the stricter of the two, so that this is a defect of one of them.
	}
	resolveFiles(config.ProtoReflect(), filepath.Dir(name))
	l.merge(f, config)
}

// finish checks the whole.
func (l *loader) finish() (*Source, error) {
	if l.more == 0 {
		l.mistakes = append(l.mistakes, l.source.violations(l.mistakes)...)
		l.mistakes = append(l.mistakes, l.source.duplicates()...)
	}
	if err := errors.Join(errors.Join(l.unread...), l.mistakes.report(l.more)); err != nil {
		return nil, err
	}
	return l.source, nil
}
