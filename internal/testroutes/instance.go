package testroutes

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/structpb"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
)

// Instance is an instance of a backend, with the fields of its configuration as a configuration file has them.
func Instance(t *testing.T, backend string, fields map[string]any) *configv1.BackendInstance {
	t.Helper()
	config, err := structpb.NewStruct(fields)
	require.NoError(t, err)
	return &configv1.BackendInstance{Name: "subject", Type: backend, Config: config}
}
