package main

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

const page = "text\n```console tour\n$ printf 'a\\nb\\n'\na\n...\n$ echo one \\\n  two\none two\n$ false\n```\n```sh\n$ rm -rf everything\n```\n"

func TestCommandsAreRunAndCompared(t *testing.T) {
	blocks, err := parse(page)
	require.NoError(t, err)
	require.Len(t, blocks, 1)
	require.Len(t, blocks[0].steps, 3)
	require.Empty(t, blocks[0].check(t.Context(), io.Discard, "/usr/bin:/bin"))
}

func TestADifferenceIsAMistakeWithItsLine(t *testing.T) {
	blocks, err := parse("```console tour\n$ echo a\na\n$ echo b\nc\n```\n")
	require.NoError(t, err)
	mistakes := blocks[0].check(t.Context(), io.Discard, "/usr/bin:/bin")
	require.Len(t, mistakes, 1)
	require.Equal(t, 4, mistakes[0].line)
}

func TestABlockMustBeItsFile(t *testing.T) {
	blocks, err := parse("```go block_test.go\npackage other\n```\n")
	require.NoError(t, err)
	require.Len(t, blocks[0].check(t.Context(), io.Discard, ""), 1)
}

func TestAFileSaysWhichGatewayItIsAbout(t *testing.T) {
	require.Equal(t, []string{"bin/prism", "serve"}, gatewayOf(page))
	require.Equal(t, []string{"bin/prism", "serve", "--config", "a.yaml"}, gatewayOf("# Title\n\n<!-- tour: prism serve --config a.yaml -->\n"+page))
}

func TestABlockWithoutAnEndIsAnError(t *testing.T) {
	_, err := parse("```console tour\n$ echo a\n")
	require.Error(t, err)
}

func TestDotsStayWithinALine(t *testing.T) {
	require.True(t, matches("a ... c\n", "a b c\n"))
	require.False(t, matches("a...\n", "a\nb\n"))
}

func TestWhiteSpaceWithinJSONDoesNotCount(t *testing.T) {
	require.True(t, matches("{\"a\":1,\"b\":2}\n", "{\"a\":1, \"b\":2}\n"))
	require.False(t, matches("{\"a\":1,\"b\":2}\n", "{\"a\":1, \"b\":3}\n"))
}
