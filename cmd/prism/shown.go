package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/catalog"
	"github.com/prismgate/prism/runtime/config"
	"github.com/prismgate/prism/runtime/plan"
)

// namespaceShown is what serves a namespace, and what is wrong with it.
type namespaceShown struct {
	Name string `json:"name"`
	// Backend serves a namespace without patterns.
	Backend  *backendShown  `json:"backend,omitempty"`
	Patterns []patternShown `json:"patterns"`
	Offers   []string       `json:"offers"`
	Services []string       `json:"services"`
	// Limits are those that are set.
	Limits limitsShown `json:"limits"`
	// Problems are those that are not one of a slot's.
	Problems []string `json:"problems"`
}

type backendShown struct {
	Name string `json:"name"`
	Type string `json:"type"`
	// Deployment is where its code runs, when that is not the gateway's process.
	Deployment string `json:"deployment,omitempty"`
}

func shownBackend(i *plan.Instance) *backendShown {
	return &backendShown{i.Name, i.Backend.Name, elsewhere(i)}
}

// elsewhere is where an instance's code runs; "" is in the gateway's process.
func elsewhere(i *plan.Instance) string {
	if i.Deployment == plan.InProcess {
		return ""
	}
	return string(i.Deployment)
}

type patternShown struct {
	Pattern string      `json:"pattern"`
	Version string      `json:"version"`
	Slots   []slotShown `json:"slots"`
}

type slotShown struct {
	Slot string `json:"slot"`
	// Backend fills it, or Next, the pattern behind; it is empty without either.
	Backend  *backendShown    `json:"backend,omitempty"`
	Next     string           `json:"next,omitempty"`
	Required []interfaceShown `json:"required"`
	AnyOf    []interfaceShown `json:"any_of"`
	// Optional are those that the pattern uses where they are implemented, as its slots are filled.
	Optional []interfaceShown `json:"optional"`
	Problems []string         `json:"problems"`
}

type interfaceShown struct {
	Interface   string `json:"interface"`
	Implemented bool   `json:"implemented"`
}

// shower shows a plan with the problems that its making had.
type shower struct {
	// problems by the entry of the list that they are in: "namespaces[3]".
	problems map[string]config.Problems
	// told are those that have found their place.
	told map[string]bool
}

func (c *cli) show(planned *plan.Plan, problems config.Problems) []namespaceShown {
	s := &shower{problems: map[string]config.Problems{}, told: map[string]bool{}}
	for _, problem := range problems {
		entry, _, _ := strings.Cut(problem.Path, "]")
		s.problems[entry+"]"] = append(s.problems[entry+"]"], problem)
	}
	shown := []namespaceShown{}
	for _, n := range planned.Namespaces {
		shown = append(shown, s.namespace(n))
	}
	return shown
}

func (s *shower) namespace(n *plan.Namespace) namespaceShown {
	shown := namespaceShown{Name: n.Name, Patterns: []patternShown{}, Offers: present(n.Offers), Services: present(n.Services), Limits: shownLimits(n.Limits)}
	if n.Backend != nil {
		shown.Backend = shownBackend(n.Backend)
	}
	for i, step := range n.Steps {
		next := ""
		if i+1 < len(n.Steps) {
			next = n.Steps[i+1].Pattern.Name
		}
		pattern := patternShown{Pattern: step.Pattern.Name, Version: step.Pattern.Version, Slots: []slotShown{}}
		for _, slot := range step.Pattern.Slots {
			pattern.Slots = append(pattern.Slots, s.slot(n, step, slot, next))
		}
		shown.Patterns = append(shown.Patterns, pattern)
	}
	shown.Problems = s.below(n, n.Path, n.Path)
	return shown
}

func (s *shower) slot(n *plan.Namespace, step *plan.Step, slot catalog.Slot, next string) slotShown {
	path := step.Path + ".slots." + slot.Name
	shown := slotShown{Slot: slot.Name, Problems: s.below(n, path, path)}
	var offers []string
	if i := slices.IndexFunc(step.Slots, func(f plan.Filling) bool { return f.Slot.Name == slot.Name }); i >= 0 {
		filling := step.Slots[i]
		offers = filling.Offers
		switch {
		case filling.Instance != nil:
			shown.Backend = shownBackend(filling.Instance)
		case filling.Backend != "":
			shown.Backend = &backendShown{Name: filling.Backend}
		default:
			shown.Next = next
		}
	}
	implemented := func(names []string) []interfaceShown {
		all := []interfaceShown{}
		for _, name := range names {
			all = append(all, interfaceShown{name, slices.Contains(offers, name)})
		}
		return all
	}
	shown.Required, shown.AnyOf, shown.Optional = implemented(slot.Required), implemented(slot.AnyOf), []interfaceShown{}
	if !slices.ContainsFunc(step.Slots, func(f plan.Filling) bool { return f.Slot.Name == slot.OptionalWhileEmpty }) {
		shown.Optional = implemented(slot.Optional)
	}
	return shown
}

// below takes the problems at a path of a namespace and below it that have no place yet, each told from another path on.
func (s *shower) below(n *plan.Namespace, path, from string) []string {
	texts := []string{}
	for _, problem := range s.problems[n.Path] {
		rest, ok := strings.CutPrefix(problem.Path, path)
		if !ok || rest != "" && rest[0] != '.' && rest[0] != '[' || s.told[problem.Path] {
			continue
		}
		s.told[problem.Path] = true
		field := strings.TrimPrefix(strings.TrimPrefix(problem.Path, from), ".")
		if path != n.Path || field == "" {
			texts = append(texts, problem.Message)
		} else {
			texts = append(texts, field+": "+problem.Message)
		}
	}
	return texts
}

// limitsShown are limits in the order of the schema. In JSON they are an object.
type limitsShown []limitShown

type limitShown struct {
	name  string
	value any
}

func (l limitsShown) MarshalJSON() ([]byte, error) {
	object := make(map[string]any, len(l))
	for _, limit := range l {
		object[limit.name] = limit.value
	}
	return json.Marshal(object)
}

func (l limitsShown) String() string {
	return strings.Join(namesOf(l, func(limit limitShown) string { return fmt.Sprintf("%s %v", limit.name, limit.value) }), ", ")
}

func shownLimits(limits *configv1.NamespaceLimits) limitsShown {
	var shown limitsShown
	message := limits.ProtoReflect()
	for i := range message.Descriptor().Fields().Len() {
		field := message.Descriptor().Fields().Get(i)
		if !message.Has(field) {
			continue
		}
		value := message.Get(field).Interface()
		if field.Message() != nil { // a duration, as are all that are no numbers
			value = message.Get(field).Message().Interface().(interface{ AsDuration() time.Duration }).AsDuration().String()
		}
		shown = append(shown, limitShown{string(field.Name()), value})
	}
	return shown
}
