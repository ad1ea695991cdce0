package config_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/config"
)

func TestFilesOfABackendsConfigurationBeginWhereItStands(t *testing.T) {
	t.Parallel()
	folder := write(t, map[string]string{"a.yaml": "backends:\n  - name: memstore\n    config: {password: {file: secrets/password}}\n"})
	source, err := config.Load(folder)
	require.NoError(t, err)
	secret := func(path string) *configv1.Secret {
		return &configv1.Secret{Source: &configv1.Secret_File{File: path}}
	}
	password := secret("secrets/password")
	source.ResolveFiles("backends[0].config", password)
	require.Equal(t, filepath.Join(folder, "secrets/password"), password.GetFile())

	absolute := secret("/run/secret")
	source.ResolveFiles("backends[0].config", absolute)
	require.Equal(t, "/run/secret", absolute.GetFile())

	made := secret("secrets/password")
	config.FromMessage(new(configv1.Config)).ResolveFiles("backends[0].config", made)
	require.Equal(t, "secrets/password", made.GetFile(), "no file holds it")
}
