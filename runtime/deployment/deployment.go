// Package deployment opens backend instances where their code is to run: in the gateway's process, in a sidecar, or in a provider that somebody else runs.
package deployment

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/catalog"
	"github.com/prismgate/prism/runtime/plan"
	"github.com/prismgate/prism/runtime/provider"
	"github.com/prismgate/prism/runtime/sidecar"
)

const (
	// defaultStartTimeout is how long a provider may take to be ready when the configuration does not say.
	defaultStartTimeout = 10 * time.Second
	// shutdownTimeout bounds how long an instance in a sidecar may take to end. The gateway gives all that it closes 10 s, and the process needs some of them.
	shutdownTimeout = 2 * time.Second
	// trialTimeout bounds how long an instance that was opened on trial may take to end.
	trialTimeout = 10 * time.Second
	// trialName begins the names of instances that are opened to be closed again.
	trialName = "prism-validate-"
)

// Opener opens instances. Its fields are set before it is used and not changed afterwards.
type Opener struct {
	// Catalog is what the build knows.
	Catalog *catalog.Catalog
	// Backends are the code of the catalog's backends.
	Backends []backend.Type
	// Command starts a provider of this build, when the name of a backend is added to it: what a sidecar is whose configuration names no other program. Without it each
	// sidecar has to name one.
	Command []string
	// Gateway is the gateway's name and version, for the logs of providers.
	Gateway string
}

// Open opens an instance.
func (o *Opener) Open(ctx context.Context, planned *plan.Instance, env backend.Env) (backend.Instance, error) {
	switch planned.Deployment {
	case plan.Sidecar:
		return o.sidecar(ctx, planned, env)
	case plan.Remote:
		opened, err := o.remote(ctx, planned, env)
		if err != nil {
			return nil, err
		}
		return opened, nil
	default:
		return o.inProcess(ctx, planned, env)
	}
}

// Try opens an instance and closes it again. It leaves alone what a remote provider serves to others under the same name.
func (o *Opener) Try(ctx context.Context, planned *plan.Instance, env backend.Env) error {
	if planned.Deployment != plan.Remote {
		opened, err := o.Open(ctx, planned, env)
		if err != nil {
			return err
		}
		return opened.Close(ctx)
	}
	env.Instance = trialName + rand.Text()
	opened, err := o.remote(ctx, planned, env)
	if err != nil {
		return err
	}
	shutting, cancel := context.WithTimeout(context.WithoutCancel(ctx), trialTimeout) // nobody else would end it
	defer cancel()
	return errors.Join(opened.Shutdown(shutting, 0), opened.Close(ctx))
}

func (o *Opener) inProcess(ctx context.Context, planned *plan.Instance, env backend.Env) (backend.Instance, error) {
	i := slices.IndexFunc(o.Backends, func(t backend.Type) bool { return t.Name == planned.Backend.Name })
	if i < 0 {
		return nil, fmt.Errorf("this build knows what %s is, and has no code for it", planned.Backend.Name)
	}
	return o.Backends[i].Open(ctx, env, planned.Config)
}

// sidecar starts a process and opens the instance there.
func (o *Opener) sidecar(ctx context.Context, planned *plan.Instance, env backend.Env) (backend.Instance, error) {
	command := planned.Provider.GetCommand()
	if len(command) == 0 && len(o.Command) == 0 {
		return nil, errors.New("this program has no provider in it that it could start as a sidecar; name one with provider.command")
	}
	if len(command) == 0 {
		command = append(slices.Clone(o.Command), planned.Backend.Name)
	}
	process, err := sidecar.Start(ctx, sidecar.Options{
		Instance: planned.Name, Command: command, StartTimeout: startTimeout(planned), Log: env.Log,
	})
	if err != nil {
		return nil, err
	}
	opened, err := o.attach(ctx, planned, provider.Target{Address: process.Address()}, env)
	if err != nil {
		return nil, errors.Join(err, process.Close(context.WithoutCancel(ctx)))
	}
	return attended{opened, process}, nil
}

// remote opens the instance in a provider that runs already.
func (o *Opener) remote(ctx context.Context, planned *plan.Instance, env backend.Env) (*provider.Instance, error) {
	secured, err := clientTLS(ctx, planned)
	if err != nil {
		return nil, err
	}
	return o.attach(ctx, planned, provider.Target{Address: planned.Provider.GetAddress(), TLS: secured}, env)
}

func (o *Opener) attach(ctx context.Context, planned *plan.Instance, target provider.Target, env backend.Env) (*provider.Instance, error) {
	return provider.Open(ctx, provider.Options{
		Target: target, Instance: env.Instance, Backend: planned.Backend, Catalog: o.Catalog, Config: planned.Config, Gateway: o.Gateway, Env: env,
		StartTimeout: startTimeout(planned), Silence: planned.Provider.GetKeepaliveTimeout().AsDuration(),
	})
}

func startTimeout(planned *plan.Instance) time.Duration {
	if given := planned.Provider.GetStartTimeout(); given != nil {
		return given.AsDuration()
	}
	return defaultStartTimeout
}

// attended is an instance in a sidecar.
type attended struct {
	*provider.Instance
	process *sidecar.Sidecar
}

// Close ends the instance, and then its process.
func (a attended) Close(ctx context.Context) error {
	shutting, cancel := context.WithTimeout(ctx, shutdownTimeout)
	defer cancel()
	_ = a.Shutdown(shutting, 0) // no call is left; a process that does not answer ends all the same
	return errors.Join(a.Instance.Close(ctx), a.process.Close(ctx))
}
