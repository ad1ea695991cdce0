package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/pattern"
	"github.com/prismgate/prism/runtime/plan"
)

// generation is a configuration that is open.
type generation struct {
	plan       *plan.Plan
	instances  map[string]*instance
	namespaces map[string]*namespace
}

// build opens what a plan needs and is not open yet. What did not change is carried over from the generation before as the same object. When something fails,
// whatever was opened is closed again.
func (g *Gateway) build(ctx context.Context, before *generation, p *plan.Plan) (*generation, error) {
	next := &generation{plan: p, instances: make(map[string]*instance, len(p.Instances)), namespaces: make(map[string]*namespace, len(p.Namespaces))}
	if err := g.fill(ctx, before, next); err != nil {
		return nil, errors.Join(err, next.abandon(context.WithoutCancel(ctx), before)) // whoever gives up lets it close in order all the same
	}
	return next, nil
}

func (g *Gateway) fill(ctx context.Context, before, next *generation) error {
	for _, planned := range next.plan.Instances {
		if former := before.instances[planned.Name]; former != nil && plan.SameInstance(former.planned, planned) {
			next.instances[planned.Name] = former
			continue
		}
		opened, err := g.openInstance(ctx, planned)
		if err != nil {
			return err
		}
		next.instances[planned.Name] = opened
	}
	for _, planned := range next.plan.Namespaces {
		former := before.namespaces[planned.Name]
		if former != nil && plan.SameNamespace(former.planned, planned) && former.on(next.instances) {
			next.namespaces[planned.Name] = former
			continue
		}
		if former != nil && plan.OnlyLimits(former.planned, planned) && former.on(next.instances) {
			next.namespaces[planned.Name] = g.withLimits(former, planned)
			continue
		}
		made, err := g.newNamespace(ctx, planned, next.instances, former)
		if err != nil {
			return fmt.Errorf("namespace %q: %w", planned.Name, err)
		}
		next.namespaces[planned.Name] = made
	}
	return nil
}

// abandon closes what was opened for a generation that will not be used.
func (n *generation) abandon(ctx context.Context, before *generation) error {
	var errs []error
	for name, made := range n.namespaces {
		if !made.is(before.namespaces[name]) {
			errs = append(errs, made.close(ctx))
		}
	}
	for name, opened := range n.instances {
		if opened != before.instances[name] {
			errs = append(errs, opened.release(ctx))
		}
	}
	return errors.Join(errs...)
}

// withLimits returns a namespace with other limits. Its calls, streams and patterns go on; what the limits count begins anew.
func (g *Gateway) withLimits(n *namespace, planned *plan.Namespace) *namespace {
	changed := *n
	changed.planned, changed.limits = planned, planned.Limits
	changed.serve = g.observed(changed.pipeline())
	return &changed
}

// is tells whether two are one namespace, but perhaps for its limits. Nil is none.
func (n *namespace) is(other *namespace) bool { return other != nil && n.hold == other.hold }

// newNamespace opens a namespace. Before is the one that it replaces; nil when there is none.
func (g *Gateway) newNamespace(ctx context.Context, planned *plan.Namespace, instances map[string]*instance, before *namespace) (*namespace, error) {
	n := &namespace{
		name: planned.Name, planned: planned, limits: planned.Limits, log: g.log, hold: newHold(), explain: explain(planned),
		streams: newEnding(context.WithoutCancel(ctx)), subscriptions: newEnding(g.draining),
	}
	err := guard(g.log, func() error {
		top, err := n.open(ctx, g, instances)
		if err == nil {
			n.handlers = top.Handlers()
		}
		return err
	})
	if err != nil {
		return nil, errors.Join(err, n.close(context.WithoutCancel(ctx)))
	}
	n.inherit(before)
	n.layout = layoutOf(n.handlers, g.layout)
	g.layout = n.layout
	n.serve = g.observed(n.pipeline())
	return n, nil
}

// inherit takes over the transactions of the namespace that this one takes the place of; nil is none.
func (n *namespace) inherit(before *namespace) {
	if before == nil {
		return
	}
	if !slices.Equal(before.spaces, n.spaces) {
		n.former = newFormer(before)
	}
	if n.former != nil {
		n.formers = formers{n.former}
	}
	for _, f := range before.formers {
		if !f.gone() {
			n.formers = append(n.formers, f)
		}
	}
}

// open opens the patterns, the innermost first, and returns what clients see.
func (n *namespace) open(ctx context.Context, g *Gateway, instances map[string]*instance) (backend.Interfaces, error) {
	if len(n.planned.Steps) == 0 {
		return n.space(ctx, instances[n.planned.Backend.Name], n.name)
	}
	var next pattern.Instance
	for i := len(n.planned.Steps) - 1; i >= 0; i-- {
		step := n.planned.Steps[i]
		name := n.stepName(i)
		slots := make(map[string]backend.Interfaces, len(step.Slots))
		for _, filling := range step.Slots {
			if filling.Instance == nil {
				slots[filling.Slot.Name] = next
				continue
			}
			space, err := n.space(ctx, instances[filling.Instance.Name], n.name+"/"+name+"/"+filling.Slot.Name)
			if err != nil {
				return nil, fmt.Errorf("pattern %s: slot %s: %w", name, filling.Slot.Name, err)
			}
			slots[filling.Slot.Name] = space
		}
		t, ok := g.patterns[step.Pattern.Name]
		if !ok {
			return nil, fmt.Errorf("this build knows what the pattern %s is, and has no code for it", step.Pattern.Name)
		}
		opened, err := t.Open(ctx, pattern.Env{Namespace: n.name, Log: g.log.With("namespace", n.name, "pattern", name)}, step.Config, slots)
		if err != nil {
			return nil, fmt.Errorf("pattern %s: open: %w", name, err)
		}
		n.patterns = append([]pattern.Instance{opened}, n.patterns...)
		next = opened
	}
	return next, nil
}

// stepName is what a step of the chain is called: its pattern's name, numbered from the innermost when the chain has the pattern twice. What its slots hold is kept
// under this name, so that a chain may grow in front without losing data.
func (n *namespace) stepName(at int) string {
	same := 1
	for _, step := range n.planned.Steps[at+1:] {
		if step.Pattern.Name == n.planned.Steps[at].Pattern.Name {
			same++
		}
	}
	if same == 1 {
		return n.planned.Steps[at].Pattern.Name
	}
	return fmt.Sprintf("%s-%d", n.planned.Steps[at].Pattern.Name, same)
}

// space is what a namespace uses: what a backend instance keeps under a name.
type space struct {
	on   *instance
	name string
}

// space returns what a backend instance gives under a name. Nobody else sees what is stored there: a namespace of a configuration has no slash in its name.
func (n *namespace) space(ctx context.Context, on *instance, name string) (backend.Interfaces, error) {
	interfaces, err := on.open.Namespace(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("backend %q: %w", on.planned.Name, err)
	}
	n.spaces = append(n.spaces, space{on.use(), name})
	return interfaces, nil
}

// on tells whether the instances that the namespace uses are among these.
func (n *namespace) on(instances map[string]*instance) bool {
	for _, used := range n.spaces {
		if instances[used.on.planned.Name] != used.on {
			return false
		}
	}
	return true
}

// close closes the patterns, the outermost first, and then leaves the backends.
func (n *namespace) close(ctx context.Context) error {
	var errs []error
	for _, p := range n.patterns {
		if err := guard(n.log, func() error { return p.Close(ctx) }); err != nil {
			errs = append(errs, fmt.Errorf("namespace %q: close: %w", n.name, err))
		}
	}
	for _, used := range n.spaces {
		errs = append(errs, used.on.release(ctx))
	}
	n.endStreams(nil) // nothing is left of them but what the gateway remembers
	return errors.Join(errs...)
}

// explain says what serves a namespace: the chain of its patterns, and the backend instances.
func explain(planned *plan.Namespace) string {
	if planned.Backend != nil {
		return "backend=" + planned.Backend.Name
	}
	var steps []string
	for _, step := range planned.Steps {
		var slots []string
		for _, filling := range step.Slots {
			if filling.Instance != nil {
				slots = append(slots, filling.Slot.Name+"="+filling.Instance.Name)
			}
		}
		steps = append(steps, step.Pattern.Name+"("+strings.Join(slots, " ")+")")
	}
	return "chain=" + strings.Join(steps, ">")
}
