package plan

import (
	"maps"
	"slices"
	"strings"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/catalog"
)

// step resolves one pattern of a chain. Next is the step behind it; nil for the last.
func (m *maker) step(u use, next *Step, last bool) *Step {
	s := &Step{Path: u.path, Pattern: catalog.Pattern{Name: u.pattern.GetPattern()}}
	known, ok := m.catalog.Pattern(u.pattern.GetPattern())
	if !ok {
		m.unknownPattern(u)
		return s
	}
	s.Pattern = known
	if version := u.pattern.GetVersion(); version != "" && version != known.Version {
		m.refuse(u.path+".version", "%s has no version %s in this build; it has %s", known.Name, quote(version), known.Version)
	}
	s.Config = known.NewConfig()
	m.settings(u.path+".config", u.pattern.GetConfig(), s.Config, known.Check)
	m.slots(s, u, next, last)
	s.offer(next)
	return s
}

func (m *maker) unknownPattern(u use) {
	name := u.pattern.GetPattern()
	if name == "" {
		return // a constraint says so
	}
	if _, ok := m.catalog.Backend(name); ok {
		m.refuse(u.path+".pattern", "%s is a backend and no pattern; a namespace on a backend alone names it with backend, a pattern names it in a slot", name)
		return
	}
	names := namesOf(m.catalog.Patterns(), func(p catalog.Pattern) string { return p.Name })
	m.refuse(u.path+".pattern", "no pattern %s in this build%s; it has %s", quote(name), m.didYouMean(name, names), orNone(names))
}

// offer says what a step offers: the interfaces that its pattern declares, or else those of the slot that it decorates.
func (s *Step) offer(next *Step) {
	if len(s.Pattern.Offers) > 0 || s.Pattern.OffersSlot == "" {
		s.Offers, s.decided = slices.Sorted(slices.Values(s.Pattern.Offers)), true
		return
	}
	s.decided = true
	for _, filling := range s.Slots {
		if filling.Slot.Name == s.Pattern.OffersSlot {
			s.Offers = filling.Offers
			s.decided = filling.Instance != nil || filling.Backend == "" && next != nil && next.decided
		}
	}
}

// slots resolves what fills the slots of a step.
func (m *maker) slots(s *Step, u use, next *Step, last bool) {
	given := u.pattern.GetSlots()
	led := "" // the slot that leads to the next step
	for _, slot := range s.Pattern.Slots {
		path := join(u.path+".slots", slot.Name)
		filler, ok := given[slot.Name]
		switch {
		case !ok && !slot.MayBeEmpty:
			m.refuse(path, "slot %s of %s is empty; fill it with a backend that has %s: %s", slot.Name, s.Pattern.Name, needs(slot), m.would(slot))
			continue
		case !ok:
			continue
		}
		filling := Filling{Slot: slot, Path: path}
		switch by := filler.GetFilling().(type) {
		case *configv1.Slot_Backend:
			m.fillWithBackend(s, &filling, by.Backend)
		case *configv1.Slot_Next:
			switch {
			case last:
				m.refuse(path+".next", "%s is the last pattern of the chain, so nothing is next; fill %s with a backend", s.Pattern.Name, slot.Name)
			case led != "":
				m.refuse(path+".next", "slot %s leads to the next pattern already, and a chain has no forks; fill one of %s and %s with a backend", led, led, slot.Name)
			default:
				led = slot.Name
				m.fillWithNext(s, &filling, next)
			}
		}
		s.Slots = append(s.Slots, filling)
	}
	names := namesOf(s.Pattern.Slots, func(slot catalog.Slot) string { return slot.Name })
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(names, name) {
			m.refuse(join(u.path+".slots", name), "%s has no slot %s%s; its slots are %s", s.Pattern.Name, quote(name), m.didYouMean(name, names), orNone(names))
		}
	}
}

func (m *maker) fillWithBackend(s *Step, filling *Filling, name string) {
	path := filling.Path + ".backend"
	filling.Backend = name
	if name == "" {
		return // a constraint says so
	}
	if filling.Instance = m.use(path, name); filling.Instance == nil {
		return
	}
	filling.Offers = slices.Sorted(slices.Values(filling.Instance.Backend.Implements))
	if lack := lacking(s, filling); lack != "" {
		m.refuse(path, "%s %s; %s", filling.Instance.title(), lack, m.would(filling.Slot))
	}
}

func (m *maker) fillWithNext(s *Step, filling *Filling, next *Step) {
	path := filling.Path + ".next"
	if !next.decided {
		return // what is wrong with it has been said
	}
	filling.Offers = next.Offers
	switch lack := lacking(s, filling); {
	case lack != "":
		m.refuse(path, "%s, the next pattern, %s; %s", next.Pattern.Name, lack, m.would(filling.Slot))
	case len(next.Offers) == 0:
		m.refuse(path, "%s, the next pattern, offers no interface, so that nothing can be done with it in slot %s of %s", next.Pattern.Name, filling.Slot.Name, s.Pattern.Name)
	}
}

// lacking says what a slot requires and what fills it does not offer. It is "" when nothing is missing.
func lacking(s *Step, filling *Filling) string {
	required, anyOf := filling.Slot.Lacks(filling.Offers)
	slot := "slot " + filling.Slot.Name + " of " + s.Pattern.Name + " requires"
	var parts []string
	if len(required) > 0 {
		parts = append(parts, "lacks "+list(required, "and")+", which "+slot)
	}
	if len(anyOf) > 0 {
		parts = append(parts, "has none of "+list(anyOf, "and")+", of which "+slot+" one")
	}
	return strings.Join(parts, ", and ")
}

// needs says what a slot requires: "a, b and one of c and d".
func needs(slot catalog.Slot) string {
	var parts []string
	parts = append(parts, slot.Required...)
	if len(slot.AnyOf) > 0 {
		parts = append(parts, "one of "+list(slot.AnyOf, "or"))
	}
	if len(parts) == 0 {
		return "any interface"
	}
	return list(parts, "and")
}

// would says which backends would do: those that the pattern recommends and this build has first.
func (m *maker) would(slot catalog.Slot) string {
	names := backendNames(m.catalog.Filling(slot))
	switch len(names) {
	case 0:
		return "no backend of this build would do"
	case 1:
		return names[0] + " would do"
	}
	return list(names, "or") + " would do"
}
