package backend_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/backend"
)

func inEnv(name string) *configv1.Secret {
	return &configv1.Secret{Source: &configv1.Secret_Env{Env: name}}
}

func inFile(name string) *configv1.Secret {
	return &configv1.Secret{Source: &configv1.Secret_File{File: name}}
}

func TestASecretComesFromTheEnvironment(t *testing.T) {
	t.Setenv("PRISM_TEST_SECRET", "hunter2\n")
	secret, err := backend.Secret(inEnv("PRISM_TEST_SECRET"))
	require.NoError(t, err)
	require.Equal(t, "hunter2\n", secret, "a variable is taken as it is")

	t.Setenv("PRISM_TEST_SECRET", "")
	secret, err = backend.Secret(inEnv("PRISM_TEST_SECRET"))
	require.NoError(t, err)
	require.Empty(t, secret)

	_, err = backend.Secret(inEnv("PRISM_TEST_NO_SECRET"))
	require.EqualError(t, err, "the environment variable PRISM_TEST_NO_SECRET is not set; set it to the secret, which may be empty")

	t.Setenv("PRISM_TEST_SECRET", strings.Repeat("hunter2", 10_000))
	_, err = backend.Secret(inEnv("PRISM_TEST_SECRET"))
	require.EqualError(t, err, "the environment variable PRISM_TEST_SECRET has more than 64 KiB, which no secret needs")
}

func TestASecretComesFromAFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secret")
	for content, want := range map[string]string{
		"hunter2": "hunter2", "hunter2\n": "hunter2", "hunter2\r\n": "hunter2", "hunter2\n\n": "hunter2\n", "\n": "", "": "", " a \tb ": " a \tb ", "a\nb\n": "a\nb",
		strings.Repeat("x", 64<<10): strings.Repeat("x", 64<<10),
	} {
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
		secret, err := backend.Secret(inFile(file))
		require.NoError(t, err)
		require.Equal(t, want, secret)
	}

	require.NoError(t, os.WriteFile(file, []byte(strings.Repeat("hunter2", 10_000)), 0o600))
	_, err := backend.Secret(inFile(file))
	require.EqualError(t, err, "the secret's file "+file+" has more than 64 KiB, which no secret needs")

	_, err = backend.Secret(inFile(file + "s"))
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, file+"s")
	_, err = backend.Secret(inFile(filepath.Dir(file)))
	require.ErrorContains(t, err, filepath.Dir(file))
}

func TestASecretThatIsNotNamed(t *testing.T) {
	t.Parallel()
	secret, err := backend.Secret(nil)
	require.NoError(t, err)
	require.Empty(t, secret)
	_, err = backend.Secret(new(configv1.Secret))
	require.EqualError(t, err, "a secret is named neither by env nor by file")
}
