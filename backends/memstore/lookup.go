package memstore

// lookup is a map that gives a large map's memory back when it is empty: Go's maps never shrink. The zero value is empty.
type lookup[K comparable, V any] struct {
	entries map[K]V
	largest int // the most entries that the map has held
}

func (l *lookup[K, V]) get(key K) (V, bool) {
	value, ok := l.entries[key]
	return value, ok
}

func (l *lookup[K, V]) put(key K, value V) {
	if l.entries == nil {
		l.entries = make(map[K]V)
	}
	l.entries[key] = value
	l.largest = max(l.largest, len(l.entries))
}

func (l *lookup[K, V]) remove(key K) {
	delete(l.entries, key)
	if len(l.entries) == 0 && l.largest > keptMapSize {
		l.entries, l.largest = nil, 0
	}
}

func (l *lookup[K, V]) size() int { return len(l.entries) }
