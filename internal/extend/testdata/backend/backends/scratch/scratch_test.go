package scratch_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/backends/scratch"
	"github.com/prismgate/prism/gen/go/prism"
	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/gen/go/suites"
	"github.com/prismgate/prism/internal/testgateway"
)

func TestConformance(t *testing.T) {
	suites.Run(t, func(t *testing.T) *prism.Interfaces {
		instance, err := scratch.Open(t.Context(), &backendsv1.Scratch{})
		require.NoError(t, err)
		offered, err := instance.Namespace(t.Context(), "n")
		require.NoError(t, err)
		return offered.Interfaces()
	})
}

func TestAClientCallsItThroughAGateway(t *testing.T) {
	address := testgateway.Start(t, &configv1.Config{Namespaces: []*configv1.Namespace{{Name: "n", Backend: "scratch"}}})
	kv := testgateway.Dial(t, address).Namespace("n").KeyValue()
	_, err := kv.Set(t.Context(), "a", []byte("1"))
	require.NoError(t, err)
	answer, err := kv.Get(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, "1", string(answer.GetValue()))
}
