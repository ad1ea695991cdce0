package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/catalog"
)

// DefaultConfig is the configuration of a gateway that is given none: one namespace, named default, on MemStore.
func DefaultConfig() *configv1.Config {
	return &configv1.Config{Namespaces: []*configv1.Namespace{{Name: "default", Backend: "memstore"}}}
}

// Opened is what a configuration was opened to.
type Opened struct {
	instances  map[string]backend.Instance
	namespaces map[string]*namespace
}

// Open opens the backends that a configuration names and builds its namespaces. When something fails, whatever was opened is closed again, and nothing
// is served differently than before. Close the result after the gateway serves something else.
func (g *Gateway) Open(ctx context.Context, config *configv1.Config, types []backend.Type) (*Opened, error) {
	if err := checkConfig(config); err != nil {
		return nil, err
	}
	opened := &Opened{instances: map[string]backend.Instance{}, namespaces: map[string]*namespace{}}
	for _, ns := range config.GetNamespaces() {
		if err := g.openNamespace(ctx, opened, config, ns, types); err != nil {
			return nil, errors.Join(fmt.Errorf("namespace %q: %w", ns.GetName(), err), opened.Close(ctx))
		}
	}
	return opened, nil
}

// Use serves what was opened from now on. Calls that have begun finish on what was served before.
func (g *Gateway) Use(opened *Opened) { g.namespaces.Store(&opened.namespaces) }

// Close closes every backend instance.
func (o *Opened) Close(ctx context.Context) error {
	var errs []error
	for name, instance := range o.instances {
		if err := instance.Close(ctx); err != nil {
			errs = append(errs, fmt.Errorf("backend %q: close: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

func (g *Gateway) openNamespace(ctx context.Context, opened *Opened, config *configv1.Config, ns *configv1.Namespace, types []backend.Type) error {
	if opened.namespaces[ns.GetName()] != nil {
		return errors.New("the name is given twice; names of namespaces are unique")
	}
	if ns.GetPattern() != "" || len(ns.GetPatterns()) > 0 {
		return errors.New("this build knows no patterns; name a backend instead")
	}
	instance, err := g.instance(ctx, opened, config, ns.GetBackend(), types)
	if err != nil {
		return err
	}
	interfaces, err := instance.Namespace(ctx, ns.GetName())
	if err != nil {
		return fmt.Errorf("backend %q: %w", ns.GetBackend(), err)
	}
	opened.namespaces[ns.GetName()] = newNamespace(ns.GetName(), interfaces.Handlers())
	return nil
}

// instance returns the instance of that name, opening it when it is the first time.
func (g *Gateway) instance(ctx context.Context, opened *Opened, config *configv1.Config, name string, types []backend.Type) (backend.Instance, error) {
	if instance := opened.instances[name]; instance != nil {
		return instance, nil
	}
	declared := &configv1.BackendInstance{Name: name}
	for _, candidate := range config.GetBackends() {
		if candidate.GetName() == name {
			declared = candidate
		}
	}
	typeName := declared.GetType()
	if typeName == "" {
		typeName = name
	}
	described, known := g.catalog.Backend(typeName)
	i := slices.IndexFunc(types, func(t backend.Type) bool { return t.Name == typeName })
	if !known || i < 0 {
		return nil, fmt.Errorf("no backend %q in this build; it has %s", typeName, strings.Join(typeNames(types), ", "))
	}
	message, err := backendConfig(described, declared)
	if err != nil {
		return nil, fmt.Errorf("backend %q: config: %w", name, err)
	}
	instance, err := types[i].Open(ctx, message)
	if err != nil {
		return nil, fmt.Errorf("backend %q: open: %w", name, err)
	}
	opened.instances[name] = instance
	return instance, nil
}

// checkConfig checks what the schema says of a configuration, and that names of instances are unique.
func checkConfig(config *configv1.Config) error {
	if err := configv1.CheckConfig(config); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, instance := range config.GetBackends() {
		if seen[instance.GetName()] {
			return fmt.Errorf("backend %q: the name is given twice; names of backend instances are unique", instance.GetName())
		}
		seen[instance.GetName()] = true
	}
	return nil
}

// backendConfig is an instance's configuration as the message of its backend, checked.
func backendConfig(described catalog.Backend, declared *configv1.BackendInstance) (proto.Message, error) {
	message := described.NewConfig()
	if declared.GetConfig() != nil {
		data, err := declared.GetConfig().MarshalJSON()
		if err != nil {
			return nil, err
		}
		if err := protojson.Unmarshal(data, message); err != nil {
			return nil, err
		}
	}
	if described.Check != nil {
		if err := described.Check(message); err != nil {
			return nil, err
		}
	}
	return message, nil
}

func typeNames(types []backend.Type) []string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = t.Name
	}
	slices.Sort(names)
	return names
}
