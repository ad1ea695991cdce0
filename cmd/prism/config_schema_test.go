package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/runtime/config"
)

func TestConfigSchemaPrintsTheSchemaOfThisBuild(t *testing.T) {
	t.Parallel()
	d := built(t)
	want, err := config.JSONSchema(d.catalog)
	require.NoError(t, err)
	got := runLine(t, d, "config", "schema")
	require.Zero(t, got.exit, got.stderr)
	require.True(t, json.Valid([]byte(got.stdout)))
	require.Equal(t, string(want), got.stdout)

	sampled := runLine(t, sample(t, nil), "config", "schema")
	require.NotEqual(t, got.stdout, sampled.stdout, "another build has other backends and patterns")
}
