package pattern_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/pattern"
	"github.com/prismgate/prism/runtime/rpc"
)

// shelf fills a slot: it offers "shelf_basic" by its own name.
type shelf struct{ name string }

func (shelf) Handlers() []rpc.Handler { return nil }

func (s shelf) Interface(name string) any {
	if name == "shelf_basic" {
		return s.name
	}
	return nil
}

// opaque is served and cannot be asked.
type opaque struct{}

func (opaque) Handlers() []rpc.Handler { return nil }

type slots struct{ store, backup string }

func fill(fillings map[string]rpc.Offering) (slots, error) {
	if fillings["store"] == nil {
		return slots{}, errors.New("slot store is empty")
	}
	filled := slots{store: fillings["store"].Interface("shelf_basic").(string)}
	if fillings["backup"] != nil {
		filled.backup = fillings["backup"].Interface("shelf_basic").(string)
	}
	return filled, nil
}

// clerk is an open pattern.
type clerk struct {
	env     pattern.Env
	seconds int64
	slots   slots
	closed  int
}

func (*clerk) Handlers() []rpc.Handler { return make([]rpc.Handler, 2) }

func (c *clerk) Close(context.Context) error {
	c.closed++
	return nil
}

func openClerk(_ context.Context, env pattern.Env, config *durationpb.Duration, filled slots) (*clerk, error) {
	if config.GetSeconds() < 0 {
		return nil, errors.New("no time")
	}
	return &clerk{env: env, seconds: config.GetSeconds(), slots: filled}, nil
}

func TestOfOpensWithConfigurationAndSlots(t *testing.T) {
	t.Parallel()
	clerkType := pattern.Of("clerk", fill, openClerk)
	require.Equal(t, "clerk", clerkType.Name)
	env := pattern.Env{Namespace: "orders", Log: slog.New(slog.DiscardHandler)}
	instance, err := clerkType.Open(t.Context(), env, &durationpb.Duration{Seconds: 7}, map[string]backend.Interfaces{"store": shelf{"a"}, "backup": shelf{"b"}})
	require.NoError(t, err)
	require.Equal(t, &clerk{env: env, seconds: 7, slots: slots{"a", "b"}}, instance)
	require.Len(t, instance.Handlers(), 2)

	instance, err = clerkType.Open(t.Context(), env, &durationpb.Duration{}, map[string]backend.Interfaces{"store": shelf{"a"}})
	require.NoError(t, err)
	require.Equal(t, slots{store: "a"}, instance.(*clerk).slots)
}

func TestOfRefusesWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	clerkType := pattern.Of("clerk", fill, openClerk)
	store := map[string]backend.Interfaces{"store": shelf{"a"}}
	instance, err := clerkType.Open(t.Context(), pattern.Env{}, timestamppb.Now(), store)
	require.EqualError(t, err, "pattern clerk: the configuration is a google.protobuf.Timestamp; it must be a google.protobuf.Duration")
	require.Nil(t, instance)

	_, err = clerkType.Open(t.Context(), pattern.Env{}, &durationpb.Duration{}, map[string]backend.Interfaces{"store": opaque{}})
	require.EqualError(t, err, "pattern clerk: slot store is filled by a pattern_test.opaque, which cannot be asked for its interfaces; it must have the method Interface, as generated sets do")

	_, err = clerkType.Open(t.Context(), pattern.Env{}, &durationpb.Duration{}, nil)
	require.EqualError(t, err, "slot store is empty")

	instance, err = clerkType.Open(t.Context(), pattern.Env{}, &durationpb.Duration{Seconds: -1}, store)
	require.EqualError(t, err, "no time")
	require.Nil(t, instance, "not a typed nil")
}
