package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/gen/go/registry"
	"github.com/prismgate/prism/runtime/config"
	"github.com/prismgate/prism/runtime/plan"
)

func TestConfigurationsOfTheCasesAreValid(t *testing.T) {
	t.Parallel()
	texts := map[string]string{
		"pipeline": pipelineConfig, namespacesCase: namespacesConfig(3, aMillion), subscriptionsCase: subscriptionsConfig,
		namespaceNeighbourCase: namespaceNeighbourConfig, multicastCase: multicastConfig, sidecarCase: sidecarConfig,
		redisCase: backedConfig("redis", fmt.Sprintf(redisConfig, "127.0.0.1:6379")), natsCase: backedConfig("nats", fmt.Sprintf(natsConfig, "127.0.0.1:4222")),
		postgresCase: backedConfig("postgres", postgresConfig),
	}
	for _, v := range pipelineVariants("http://127.0.0.1:4318", "access.log") {
		texts[v.name] = v.how.config
		require.NotEqual(t, pipelineConfig, v.how.config, v.name)
	}
	known, err := registry.Catalog()
	require.NoError(t, err)
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "prism.yaml")
			require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
			source, err := config.Load(file)
			require.NoError(t, err)
			_, err = plan.Make(source.Config, known)
			require.NoError(t, source.Locate(err))
		})
	}
}

func TestAReloadChangesEveryLimit(t *testing.T) {
	t.Parallel()
	before, after := strings.Split(namespacesConfig(3, aMillion), "\n"), strings.Split(namespacesConfig(3, 2*aMillion), "\n")
	require.Len(t, after, len(before))
	different := 0
	for i := range before {
		if before[i] != after[i] {
			different++
		}
	}
	require.Equal(t, 3, different)
}
