package load

import (
	"bytes"
	"slices"

	"golang.org/x/net/http2/hpack"
)

// blocks are the header blocks of a connection's requests. A field is sent in full once; from then on each block is the same few bytes, which refer to the
// peer's table, so that it is encoded no more.
type blocks struct {
	procedures []*procedure
	scheme     string
	authority  string
	encoder    *hpack.Encoder
	buffer     bytes.Buffer
	// steady are the blocks by procedure; nil until its fields are in the peer's table.
	steady [][]byte
	// literal tells that the peer's table has no room for all fields, so that none is put there.
	literal bool
}

// defaultTable is the size of the table until the peer says another.
const defaultTable = 4096

func newBlocks(procedures []*procedure, scheme, authority string) *blocks {
	b := &blocks{procedures: procedures, scheme: scheme, authority: authority, steady: make([][]byte, len(procedures))}
	b.encoder = hpack.NewEncoder(&b.buffer)
	b.literal = !b.fit(defaultTable)
	return b
}

// resize obeys the peer's size of the table.
func (b *blocks) resize(size uint32) {
	b.encoder.SetMaxDynamicTableSizeLimit(size)
	b.literal = !b.fit(min(size, defaultTable))
	clear(b.steady) // entries were dropped, and the next block has to say so
}

// fit tells whether the fields of all procedures fit into a table.
func (b *blocks) fit(size uint32) bool {
	sum := uint32(0)
	seen := make(map[hpack.HeaderField]bool)
	for _, p := range b.procedures {
		for _, f := range b.fields(p) {
			if !seen[f] {
				seen[f] = true
				sum += f.Size()
			}
		}
	}
	return sum <= size
}

func (b *blocks) fields(p *procedure) []hpack.HeaderField {
	fields := []hpack.HeaderField{
		{Name: ":method", Value: "POST"},
		{Name: ":scheme", Value: b.scheme},
		{Name: ":path", Value: p.path},
		{Name: ":authority", Value: b.authority},
	}
	for _, f := range p.header {
		fields = append(fields, hpack.HeaderField{Name: f.Name, Value: f.Value})
	}
	return fields
}

// block returns the block of the next request, which must be sent.
func (b *blocks) block(p *procedure) []byte {
	if steady := b.steady[p.index]; steady != nil {
		return steady
	}
	first := slices.Clone(b.encode(p))
	// New entries have moved the others, and this procedure's next block is made of references.
	for i, other := range b.procedures {
		if b.steady[i] != nil || i == p.index {
			b.steady[i] = slices.Clone(b.encode(other))
		}
	}
	return first
}

func (b *blocks) encode(p *procedure) []byte {
	b.buffer.Reset()
	for _, f := range b.fields(p) {
		f.Sensitive = b.literal
		_ = b.encoder.WriteField(f) // a bytes.Buffer takes everything
	}
	return b.buffer.Bytes()
}
