package check

// fewItems is up to where comparing all items with each other is cheaper than a map.
const fewItems = 16

// Duplicate returns the index of the first item that stands in the list before, or -1.
func Duplicate[T comparable](items []T) int {
	if len(items) > fewItems {
		return duplicateOfMany(items, func(item T) T { return item })
	}
	for i, item := range items {
		for _, former := range items[:i] {
			if item == former {
				return i
			}
		}
	}
	return -1
}

// DuplicateBytes is Duplicate for items that are bytes.
func DuplicateBytes(items [][]byte) int {
	if len(items) > fewItems {
		return duplicateOfMany(items, func(item []byte) string { return string(item) })
	}
	for i, item := range items {
		for _, former := range items[:i] {
			if string(item) == string(former) {
				return i
			}
		}
	}
	return -1
}

func duplicateOfMany[T any, K comparable](items []T, key func(T) K) int {
	seen := make(map[K]struct{}, len(items))
	for i, item := range items {
		seen[key(item)] = struct{}{}
		if len(seen) <= i {
			return i
		}
	}
	return -1
}

// Total is how many bytes the items of a list hold in all.
func Total[T ~string | ~[]byte](items []T) int {
	total := 0
	for _, item := range items {
		total += len(item)
	}
	return total
}

// TotalMap is how many bytes the keys and values of a map hold in all.
func TotalMap[V ~string | ~[]byte](entries map[string]V) int {
	total := 0
	for key, value := range entries {
		total += len(key) + len(value)
	}
	return total
}
