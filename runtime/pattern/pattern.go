// Package pattern is what the gateway knows of a pattern: how it is opened on what fills its slots, what it then offers, and how it is closed.
//
// A pattern's author writes a package with one function,
//
//	func Open(ctx context.Context, env pattern.Env, config *patternsv1.MulticastRegistry, slots patternsv1.MulticastRegistrySlots) (*Registry, error)
//
// whose result is an [Instance]: it embeds what the pattern offers, a generated type that is made of implementations of everything that the schema declares, and
// has a Close. The generated wiring calls [Of] with it; nothing registers itself.
package pattern

import (
	"context"
	"fmt"
	"log/slog"

	"google.golang.org/protobuf/proto"

	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/rpc"
)

// Type is a pattern that can be opened.
type Type struct {
	// Name is the catalog name.
	Name string
	// Open opens the pattern for one namespace. The configuration has been validated; its type is the pattern's configuration message, without its slots. Slots holds
	// what fills each slot, by name; one that is empty is absent.
	Open func(ctx context.Context, env Env, config proto.Message, slots map[string]backend.Interfaces) (Instance, error)
}

// Env is what a pattern is told of where it runs.
type Env struct {
	// Namespace is the namespace that it serves.
	Namespace string
	// Log takes what operators should know; never a payload or a secret.
	Log *slog.Logger
}

// Instance is an open pattern.
type Instance interface {
	backend.Interfaces
	// Close ends what the pattern runs in the background, after its last call has returned. It may be called once.
	Close(ctx context.Context) error
}

// Of makes a Type of a pattern package's Open function and the generated function that fills the pattern's slots.
func Of[Config proto.Message, Slots any, I Instance](name string, fill func(map[string]rpc.Offering) (Slots, error),
	open func(context.Context, Env, Config, Slots) (I, error),
) Type {
	return Type{Name: name, Open: func(ctx context.Context, env Env, config proto.Message, fillings map[string]backend.Interfaces) (Instance, error) {
		typed, ok := config.(Config)
		if !ok {
			var want Config
			return nil, fmt.Errorf("pattern %s: the configuration is a %s; it must be a %s",
				name, config.ProtoReflect().Descriptor().FullName(), want.ProtoReflect().Descriptor().FullName())
		}
		offerings, err := offeringsOf(name, fillings)
		if err != nil {
			return nil, err
		}
		slots, err := fill(offerings)
		if err != nil {
			return nil, err
		}
		instance, err := open(ctx, env, typed, slots)
		if err != nil {
			return nil, err
		}
		return instance, nil
	}}
}

// offeringsOf are what fills the slots, as generated code takes it. Generated sets are offerings; only a type of somebody's own may be none.
func offeringsOf(name string, fillings map[string]backend.Interfaces) (map[string]rpc.Offering, error) {
	offerings := make(map[string]rpc.Offering, len(fillings))
	for slot, filling := range fillings {
		offering, ok := filling.(rpc.Offering)
		if !ok {
			return nil, fmt.Errorf("pattern %s: slot %s is filled by a %T, which cannot be asked for its interfaces; it must have the method Interface, as generated sets do", name, slot, filling)
		}
		offerings[slot] = offering
	}
	return offerings, nil
}
