package h2

import "slices"

// recentStreams remembers how the last streams ended: what a peer sends on a stream before it learns of its end is no error.
type recentStreams struct {
	// entries are the streams that the peer ended and those that were reset, apart: calls that go well must not make those forgotten on which more may come.
	entries [2][32]uint32
	next    [2]int
}

func (r *recentStreams) add(id uint32, byUs bool) {
	kind := 0
	if byUs {
		kind = 1
	}
	ring := &r.entries[kind]
	ring[r.next[kind]%len(ring)] = id
	r.next[kind]++
}

// find tells whether a stream was open of late, and whether this side reset it.
func (r *recentStreams) find(id uint32) (known, byUs bool) {
	byUs = slices.Contains(r.entries[1][:], id)
	return byUs || slices.Contains(r.entries[0][:], id), byUs
}
