package deploy

import (
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/stretchr/testify/require"
)

func TestDockerfile(t *testing.T) {
	parsed, err := parser.Parse(strings.NewReader(read(t, "Dockerfile")))
	require.NoError(t, err)
	require.Empty(t, parsed.Warnings)
	lint := linter.New(&linter.Config{Warn: func(rule, _, url, message string, at []parser.Range) {
		line := 0
		if len(at) > 0 {
			line = at[0].Start.Line
		}
		t.Errorf("Dockerfile:%d: %s: %s (%s)", line, rule, message, url)
	}})
	stages, _, err := instructions.Parse(parsed.AST, lint)
	require.NoError(t, err)

	image := stages[len(stages)-1]
	require.Regexp(t, `^gcr\.io/distroless/static-debian\d+:nonroot$`, image.BaseName)
	var user, entrypoint, files []string
	for _, command := range image.Commands {
		switch c := command.(type) {
		case *instructions.UserCommand:
			user = append(user, c.User)
		case *instructions.EntrypointCommand:
			require.False(t, c.PrependShell, "the image has no shell: write ENTRYPOINT as a JSON array")
			entrypoint = c.CmdLine
		case *instructions.CmdCommand:
			require.False(t, c.PrependShell, "the image has no shell: write CMD as a JSON array")
		case *instructions.CopyCommand:
			files = append(files, c.DestPath)
		case *instructions.RunCommand:
			t.Error("the image has no shell, so nothing runs in its last stage")
		}
	}
	require.Equal(t, []string{"65532:65532"}, user, "a user by number, who is not root")
	require.Equal(t, []string{"/prism"}, entrypoint)
	require.Equal(t, []string{"/prism"}, files, "the image has one file: the binary")
}
