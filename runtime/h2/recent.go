package h2

// recentStreams remembers how the last streams ended: what a peer sends on a stream before it learns of its end is no error.
type recentStreams struct {
	entries [64]uint32
	next    int
}

// resetByUs marks an entry; identifiers have 31 bits.
const resetByUs = 1 << 31

func (r *recentStreams) add(id uint32, byUs bool) {
	if byUs {
		id |= resetByUs
	}
	r.entries[r.next%len(r.entries)] = id
	r.next++
}

// find tells whether a stream was open of late, and whether this side reset it.
func (r *recentStreams) find(id uint32) (known, byUs bool) {
	for _, entry := range r.entries {
		if entry&^resetByUs == id {
			return true, entry&resetByUs != 0
		}
	}
	return false, false
}
