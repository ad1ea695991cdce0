package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxBytes bounds a configuration file: what is named may be a device that never ends. A namespace takes some 60 bytes, and there are at most 100,000.
const maxBytes = 8 << 20

// findFiles returns the files that paths name: a file is itself, a folder the configuration files in it.
func findFiles(paths []string) ([]string, error) {
	var names []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		found := []string{path}
		if info.IsDir() {
			if found, err = filesIn(path); err != nil {
				return nil, err
			}
		}
		for _, name := range found {
			if slices.Contains(names, name) {
				return nil, fmt.Errorf("%s is named twice; a file is read once", name)
			}
			names = append(names, name)
		}
	}
	return names, nil
}

// filesIn returns the configuration files of a folder. Hidden ones are none of them, and so the folders with which Kubernetes swaps the files of a volume are not
// either: what links to them is. Editors' backups end otherwise or are hidden.
func filesIn(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder) // sorted by name
	if err != nil {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		name := filepath.Join(folder, entry.Name())
		if ext := filepath.Ext(name); strings.HasPrefix(entry.Name(), ".") || ext != ".yaml" && ext != ".yml" {
			continue
		}
		if info, err := os.Stat(name); err == nil && info.IsDir() { // A link that leads nowhere is taken, and reading it says so.
			continue
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s: there is no configuration in the folder; put files into it whose names end in .yaml or .yml", folder)
	}
	return names, nil
}

// readFile reads a file of text.
func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	return readText(name, f)
}

// readText reads text to its end.
func readText(name string, from io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(from, maxBytes+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > maxBytes:
		return nil, fmt.Errorf("%s has more than %d MiB, which no configuration needs", name, maxBytes>>20)
	case !utf8.Valid(data):
		return nil, fmt.Errorf("%s: it is not UTF-8 text; save it in that encoding", name)
	}
	return data, nil
}

// withLineBreaks makes every line break that YAML knows one that editors count.
func withLineBreaks(data []byte) []byte {
	return []byte(strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n").Replace(string(data)))
}
