package backend

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
)

// maxSecretBytes bounds a secret: what is named may be a device that never ends. The longest that is usual, a chain of certificates, has a few kibibytes.
const maxSecretBytes = 64 << 10

// Secret reads the secret that a configuration names: an environment variable, or the content of a file without its last line break. It is read anew by each call, so that
// it follows a file that is replaced. Nil is the empty secret.
//
// Errors name the variable or the file and never the secret; who calls must not log or print it either. Who else may read the file is not looked at: an operator's
// volumes and groups differ too much for a rule to be right, and a gateway that does not start for it helps nobody.
func Secret(reference *configv1.Secret) (string, error) {
	switch source := reference.GetSource().(type) {
	case *configv1.Secret_Env:
		value, ok := os.LookupEnv(source.Env)
		if !ok {
			return "", fmt.Errorf("the environment variable %s is not set; set it to the secret, which may be empty", source.Env)
		}
		if len(value) > maxSecretBytes {
			return "", fmt.Errorf("the environment variable %s has more than %d KiB, which no secret needs", source.Env, maxSecretBytes>>10)
		}
		return value, nil
	case *configv1.Secret_File:
		return secretFile(source.File)
	}
	if reference != nil {
		return "", errors.New("a secret is named neither by env nor by file")
	}
	return "", nil
}

func secretFile(name string) (string, error) {
	f, err := os.Open(name) //nolint:gosec // the configuration names it
	if err != nil {
		return "", fmt.Errorf("the secret's file: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	content, err := io.ReadAll(io.LimitReader(f, maxSecretBytes+1))
	if err != nil {
		return "", fmt.Errorf("the secret's file: %w", err)
	}
	if len(content) > maxSecretBytes {
		return "", fmt.Errorf("the secret's file %s has more than %d KiB, which no secret needs", name, maxSecretBytes>>10)
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r"), nil
}
