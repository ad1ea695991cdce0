package model

import (
	"maps"
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// resolve finds interfaces by their catalog names, in the order given. list is the name of the option that names them, for mistakes, which are reported when
// report is set.
func (l *loader) resolve(at protoreflect.Descriptor, steps []int32, report bool, list string, names []string) []*Interface {
	var found []*Interface
	for n, name := range names {
		step := append(slices.Clone(steps), int32(n))
		i, ok := l.interfaces[name]
		switch {
		case ok && !slices.Contains(found, i):
			found = append(found, i)
		case !report:
		case ok:
			l.mistakes.add(at, step, "%s names %s twice; name it once", list, name)
		default:
			l.mistakes.add(at, step, "%s names the unknown interface %q; %s", list, name,
				didYouMean(name, slices.Collect(maps.Keys(l.interfaces)), "import the file that declares it"))
		}
	}
	return found
}

// missing returns what interfaces require, also indirectly, and is not among them, each with one that requires it.
func missing(offered []*Interface) map[*Interface]*Interface {
	lacking := make(map[*Interface]*Interface)
	queue := slices.Clone(offered)
	for len(queue) > 0 {
		i := queue[0]
		queue = queue[1:]
		for _, required := range i.Requires {
			if _, known := lacking[required]; known || slices.Contains(offered, required) {
				continue
			}
			lacking[required] = i
			queue = append(queue, required)
		}
	}
	return lacking
}

// checkRequired reports what a list of interfaces lacks.
func (l *loader) checkRequired(at protoreflect.Descriptor, steps []int32, name, list string, offered []*Interface) {
	lacking := missing(offered)
	for _, i := range slices.SortedFunc(maps.Keys(lacking), byName(func(i *Interface) string { return i.CatalogName })) {
		l.mistakes.add(at, steps, "%s lists %s, which requires %s; add %s to %s, or leave %s out", name, lacking[i].CatalogName, i.CatalogName, i.CatalogName, list,
			lacking[i].CatalogName)
	}
}

// sortedInterfaces are interfaces by catalog name.
func sortedInterfaces(interfaces []*Interface) []*Interface {
	return slices.SortedFunc(slices.Values(interfaces), byName(func(i *Interface) string { return i.CatalogName }))
}
