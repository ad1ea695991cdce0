package catalog_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/prismgate/prism/runtime/catalog"
)

func TestCheckOfTakesTheMessageThatTheCheckIsFor(t *testing.T) {
	t.Parallel()
	zero := errors.New("zero")
	check := catalog.CheckOf(func(d *durationpb.Duration) error {
		if d.AsDuration() == 0 {
			return zero
		}
		return nil
	})
	require.NoError(t, check(durationpb.New(1)))
	require.ErrorIs(t, check(new(durationpb.Duration)), zero)
	require.EqualError(t, check(wrapperspb.Bool(true)),
		"catalog: the configuration is a *wrapperspb.BoolValue and must be a *durationpb.Duration; make it by NewConfig")
	require.ErrorContains(t, check(nil), "must be a *durationpb.Duration")
}
