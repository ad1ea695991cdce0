package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/prismgate/prism/runtime/config"
)

func TestZZ(t *testing.T) {
	for _, item := range []string{"  - {name: NN, backend: memstore}\n", "  - {name: 'a b', backned: memstore, slots: {x: {backend: ''}}}\n"} {
		var b strings.Builder
		b.WriteString("namespaces:\n")
		for i := range 100_000 {
			b.WriteString(strings.Replace(item, "NN", "n"+time.Duration(i).String(), 1))
		}
		f := write(t, map[string]string{"a.yaml": strings.ReplaceAll(b.String(), "µ", "u")})
		s := time.Now()
		_, err := config.Load(f)
		t.Log(time.Since(s), err != nil)
	}
	// deep and wide
	for name, text := range map[string]string{
		"deep":  "backends: [{name: memstore, config: {a: " + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + "}}]\n",
		"wide":  "backends: [{name: memstore, config: {a: [" + strings.Repeat("1, ", 3_000_000) + "1]}}]\n",
		"quote": "a: \"" + strings.Repeat("x", 30<<20),
		"keys":  "server: {" + strings.Repeat("a: 1, ", 1_000_000) + "}\n",
		"bad":   strings.Repeat("a: [\n", 1_000_000),
		"comments": strings.Repeat("# x\n", 1_000_000) + "server: {}\n",
		"unknown keys": func() string { var b strings.Builder; b.WriteString("server:\n"); for i := range 300_000 { b.WriteString("  k" + strings.ReplaceAll(time.Duration(i).String(), "µ", "u") + ": 1\n") }; return b.String() }(),
		"slots": func() string { var b strings.Builder; b.WriteString("namespaces:\n  - name: a\n    slots:\n"); for i := range 100_000 { b.WriteString("      k" + strings.ReplaceAll(time.Duration(i).String(), "µ", "u") + ": {backend: ''}\n") }; return b.String() }(),
	} {
		f := write(t, map[string]string{"a.yaml": text})
		s := time.Now()
		_, err := config.Load(f)
		d := time.Since(s)
		m := ""
		if err != nil { m = err.Error()[len(f):]; m = m[:min(200, len(m))] }
		t.Log(name, len(text), d, m)
	}
}
