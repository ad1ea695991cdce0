package plan

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/config"
)

// Difference is what a gateway does that serves one plan and is given another.
type Difference struct {
	// Instances are the backend instances: what was added is opened, what was removed is closed, what changed is opened anew and its former self closed, and the rest
	// is carried over.
	Instances Changes
	// Namespaces are the namespaces: one that changed is served anew, the rest goes on as it is.
	Namespaces Changes
	// Lost names the instances that are closed and whose data ends with them, sorted.
	Lost []string
	// Restart are the fields that differ and that a gateway reads only when it starts, sorted.
	Restart []string
}

// Changes are the names of what differs and what does not, each list sorted.
type Changes struct {
	// Added are new.
	Added []string
	// Removed are gone.
	Removed []string
	// Changed are in both, and not the same.
	Changed []Change
	// Same did not change.
	Same []string
}

// Change is what changed, and how.
type Change struct {
	// Name is the name of the instance or the namespace.
	Name string
	// What says in a few words what changed: "limits", "backend memstore -> redis".
	What []string
}

// Compare says what changes from one plan to another. No plan at all is one that serves nothing.
func Compare(before, after *Plan) Difference {
	if before == nil {
		before = new(Plan)
	}
	if after == nil {
		after = new(Plan)
	}
	d := Difference{
		Instances:  compare(before.Instances, after.Instances, func(i *Instance) string { return i.Name }, instanceChanges),
		Namespaces: compare(before.Namespaces, after.Namespaces, func(n *Namespace) string { return n.Name }, namespaceChanges),
	}
	for _, instance := range before.Instances {
		// A remote provider keeps what it holds for the gateways that come.
		if instance.Backend.Name == memStore && instance.Deployment != Remote && !slices.Contains(d.Instances.Same, instance.Name) {
			d.Lost = append(d.Lost, instance.Name)
		}
	}
	slices.Sort(d.Lost)
	if before.Config != nil && after.Config != nil {
		d.Restart = restarts(before.Config, after.Config)
	}
	return d
}

// Empty tells that nothing differs.
func (d Difference) Empty() bool {
	return d.Instances.empty() && d.Namespaces.empty() && len(d.Restart) == 0
}

func (c Changes) empty() bool { return len(c.Added)+len(c.Removed)+len(c.Changed) == 0 }

// SameInstance tells that an instance can be carried over: its name, its backend, its configuration and where its code runs did not change.
func SameInstance(before, after *Instance) bool {
	return before.Name == after.Name && len(instanceChanges(before, after)) == 0
}

// SameNamespace tells that a namespace can go on as it is: its limits, its patterns and the instances that it uses did not change.
func SameNamespace(before, after *Namespace) bool {
	return before.Name == after.Name && len(namespaceChanges(before, after)) == 0
}

// OnlyLimits tells that nothing of a namespace changed but its limits: what serves it can go on.
func OnlyLimits(before, after *Namespace) bool {
	return before.Name == after.Name && slices.Equal(namespaceChanges(before, after), []string{limitsChanged})
}

// limitsChanged is what changed when limits did.
const limitsChanged = "limits"

func compare[T any](before, after []T, name func(T) string, changes func(before, after T) []string) Changes {
	var c Changes
	former := make(map[string]T, len(before))
	for _, entry := range before {
		former[name(entry)] = entry
	}
	for _, entry := range after {
		was, known := former[name(entry)]
		delete(former, name(entry))
		if !known {
			c.Added = append(c.Added, name(entry))
		} else if what := changes(was, entry); len(what) > 0 {
			c.Changed = append(c.Changed, Change{name(entry), what})
		} else {
			c.Same = append(c.Same, name(entry))
		}
	}
	for gone := range former {
		c.Removed = append(c.Removed, gone)
	}
	slices.Sort(c.Added)
	slices.Sort(c.Removed)
	slices.SortFunc(c.Changed, func(a, b Change) int { return strings.Compare(a.Name, b.Name) })
	slices.Sort(c.Same)
	return c
}

func instanceChanges(before, after *Instance) []string {
	var what []string
	switch {
	case before.Backend.Name != after.Backend.Name:
		what = append(what, from("type", before.Backend.Name, after.Backend.Name))
	case !proto.Equal(before.Config, after.Config):
		what = append(what, "config")
	}
	switch {
	case before.Deployment != after.Deployment:
		what = append(what, from("deployment", string(before.Deployment), string(after.Deployment)))
	case !proto.Equal(before.Provider, after.Provider):
		what = append(what, "provider")
	}
	return what
}

func namespaceChanges(before, after *Namespace) []string {
	var what []string
	if !proto.Equal(before.Limits, after.Limits) {
		what = append(what, limitsChanged)
	}
	chainBefore, chainAfter := served(before), served(after)
	if chainBefore != chainAfter {
		return append(what, from("served by", chainBefore, chainAfter))
	}
	if before.Backend != nil && after.Backend != nil {
		return append(what, reopened(before.Backend, after.Backend)...)
	}
	for i := range before.Steps {
		what = append(what, stepChanges(before.Steps[i], after.Steps[i])...)
	}
	slices.Sort(what)
	return slices.Compact(what) // an instance may fill several slots
}

// served is what serves a namespace, without what it is configured with: its backend, or its patterns.
func served(n *Namespace) string {
	if len(n.Steps) == 0 {
		if n.Backend == nil {
			return ""
		}
		return n.Backend.Name
	}
	return strings.Join(namesOf(n.Steps, func(s *Step) string { return s.Pattern.Name + " " + s.Pattern.Version }), " > ")
}

func stepChanges(before, after *Step) []string {
	var what []string
	if !proto.Equal(before.Config, after.Config) {
		what = append(what, before.Pattern.Name+" config")
	}
	for _, slot := range before.Pattern.Slots {
		was, is := filling(before, slot.Name), filling(after, slot.Name)
		if was.filler() != is.filler() {
			what = append(what, from(before.Pattern.Name+" slot "+slot.Name, was.filler(), is.filler()))
		} else if was.Instance != nil && is.Instance != nil {
			what = append(what, reopened(was.Instance, is.Instance)...)
		}
	}
	return what
}

func filling(s *Step, slot string) Filling {
	if i := slices.IndexFunc(s.Slots, func(f Filling) bool { return f.Slot.Name == slot }); i >= 0 {
		return s.Slots[i]
	}
	return Filling{}
}

// filler is what fills a slot.
func (f Filling) filler() string {
	switch {
	case f.Slot.Name == "":
		return "nothing"
	case f.Instance == nil:
		return "next"
	}
	return f.Instance.Name
}

func reopened(before, after *Instance) []string {
	if SameInstance(before, after) {
		return nil
	}
	return []string{"backend " + after.Name + " is opened anew"}
}

func from(what, before, after string) string { return fmt.Sprintf("%s %s -> %s", what, before, after) }

// live are the fields of the server that a gateway takes over while it runs, as it does what is observed. The others are read when it starts.
func live() []protoreflect.Name {
	return []protoreflect.Name{"drain_timeout", "reload_grace", "explain"}
}

// restarts are the fields that differ and are not live.
func restarts(before, after *configv1.Config) []string {
	differing := differing("server", withDefaults(before.GetServer()), withDefaults(after.GetServer()), live())
	slices.Sort(differing)
	return differing
}

func differing(path string, before, after proto.Message, but []protoreflect.Name) []string {
	var names []string
	fields := before.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if !slices.Contains(but, field.Name()) && !before.ProtoReflect().Get(field).Equal(after.ProtoReflect().Get(field)) {
			names = append(names, path+"."+string(field.Name()))
		}
	}
	return names
}

// withDefaults writes out the addresses, so that a default that is written out is no difference.
func withDefaults(server *configv1.Server) *configv1.Server {
	full := &configv1.Server{}
	proto.Merge(full, server)
	full.Listen, full.Admin, full.Http2 = or(full.GetListen(), config.DefaultListen), or(full.GetAdmin(), config.DefaultAdmin), or(full.GetHttp2(), "own")
	return full
}
