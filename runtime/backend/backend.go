// Package backend is what the gateway knows of a backend: how it is opened, what an open instance gives to a namespace, and how it is closed.
//
// A backend's author writes a package with one function,
//
//	func Open(ctx context.Context, env backend.Env, config *backendsv1.MemStore) (*Store, error)
//
// whose result has the methods of [InstanceOf]. The generated wiring calls [Of] with it; nothing registers itself.
package backend

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/prismgate/prism/runtime/rpc"
)

// Interfaces is a set of interfaces that can be served. Generated types implement it.
type Interfaces interface {
	// Handlers returns a handler for every method of every interface that is offered.
	Handlers() []rpc.Handler
}

// InstanceOf is an open backend that gives each namespace interfaces of type O.
type InstanceOf[O Interfaces] interface {
	// Namespace returns the interfaces that a namespace is served by. Nothing that one namespace stores is visible in another. It is called once per namespace and
	// configuration; the same name gives the same data. What the server needs for it is made here: two gateways may do so at once.
	Namespace(ctx context.Context, name string) (O, error)
	// Close ends the instance after its last call has returned. It may be called once.
	Close(ctx context.Context) error
}

// Instance is an open backend.
type Instance = InstanceOf[Interfaces]

// Type is a backend that can be opened.
type Type struct {
	// Name is the catalog name.
	Name string
	// Open opens an instance: it connects, and changes nothing on the server, so that a configuration can be tried. The configuration has been validated; its type is
	// the backend's configuration message.
	Open func(ctx context.Context, env Env, config proto.Message) (Instance, error)
}

// Of makes a Type of a backend package's Open function.
func Of[Config proto.Message, O Interfaces, I InstanceOf[O]](name string, open func(context.Context, Env, Config) (I, error)) Type {
	return Type{Name: name, Open: func(ctx context.Context, env Env, config proto.Message) (Instance, error) {
		typed, ok := config.(Config)
		if !ok {
			var want Config
			return nil, fmt.Errorf("backend %s: the configuration is a %s; it must be a %s",
				name, config.ProtoReflect().Descriptor().FullName(), want.ProtoReflect().Descriptor().FullName())
		}
		instance, err := open(ctx, env.filled(), typed)
		if err != nil {
			return nil, err
		}
		return erased[O, I]{instance}, nil
	}}
}

// erased forgets the type of the interfaces that an instance gives.
type erased[O Interfaces, I InstanceOf[O]] struct{ instance I }

func (e erased[O, I]) Namespace(ctx context.Context, name string) (Interfaces, error) {
	interfaces, err := e.instance.Namespace(ctx, name)
	if err != nil {
		return nil, err
	}
	return interfaces, nil
}

func (e erased[O, I]) Close(ctx context.Context) error { return e.instance.Close(ctx) }
