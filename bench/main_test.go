package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEveryCaseIsInTheReadme(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, cases, _ := strings.Cut(string(readme), "## The cases")
	seen := map[string]bool{}
	for _, c := range allCases() {
		require.False(t, seen[c.name], "two cases are called %s", c.name)
		seen[c.name] = true
		require.Contains(t, cases, "`"+c.name+"`")
	}
}

func TestRunRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"unknown case":   {"--only", "grcp"},
		"unknown output": {"--output", "csv"},
		"--into takes":   {"--into", "x.md"},
		"--rounds":       {"--rounds", "0"},
	} {
		require.ErrorContains(t, run(t.Context(), args), want)
	}
}
