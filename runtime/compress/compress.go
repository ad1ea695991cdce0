// Package compress deflates and inflates single messages: gzip and zstd, for every transport.
//
// A message that comes from a peer is bounded while it is inflated, never by what it says of itself: a few bytes may stand for gigabytes.
package compress

import (
	"errors"
	"fmt"
)

// The names of the codecs, as they stand in grpc-encoding, content-encoding and connect-content-encoding.
const (
	Gzip = "gzip"
	Zstd = "zstd"
)

// ErrTooLarge tells that a message inflates to more than its limit.
var ErrTooLarge = errors.New("compress: the inflated message is larger than its limit")

// Codec is one compression. It may be used by many goroutines at once; what it needs is pooled.
type Codec struct {
	name string
	// inflate appends the inflated src to dst, or fails with ErrTooLarge as soon as that would be more than limit bytes. src is not empty.
	inflate func(dst, src []byte, limit int) ([]byte, error)
	deflate func(dst, src []byte) ([]byte, error)
}

// codecs are all of them, in the order in which they are offered.
//
//nolint:gochecknoglobals // a table
var codecs = []*Codec{
	{name: Gzip, inflate: inflateGzip, deflate: deflateGzip},
	{name: Zstd, inflate: inflateZstd, deflate: deflateZstd},
}

// Get returns the codec of a name, and whether there is one. "identity" is none.
func Get(name string) (*Codec, bool) {
	for _, codec := range codecs { // faster than a map, while they are two
		if codec.name == name {
			return codec, true
		}
	}
	return nil, false
}

// Names returns the names of all codecs, in the order in which they are offered.
func Names() []string {
	names := make([]string, len(codecs))
	for i, codec := range codecs {
		names[i] = codec.name
	}
	return names
}

// Name returns the codec's name.
func (c *Codec) Name() string { return c.name }

// Decompress appends the inflated src to dst, which may be nil. The result is ErrTooLarge when more than limit bytes would be appended; then, and when src is
// corrupt, dst is returned as it was. An empty src stands for an empty message, as it does for connect-go.
func (c *Codec) Decompress(dst, src []byte, limit int) ([]byte, error) {
	if len(src) == 0 {
		return dst, nil
	}
	inflated, err := c.inflate(dst, src, max(limit, 0))
	switch {
	case errors.Is(err, ErrTooLarge):
		return dst, ErrTooLarge
	case err != nil:
		return dst, fmt.Errorf("compress: the message is not valid %s: %w", c.name, err)
	}
	return inflated, nil
}

// Compress appends the deflated src to dst, which may be nil.
func (c *Codec) Compress(dst, src []byte) ([]byte, error) {
	deflated, err := c.deflate(dst, src)
	if err != nil {
		return dst, fmt.Errorf("compress: %s: %w", c.name, err)
	}
	return deflated, nil
}

// grow makes room for at least n more bytes, and for no more than that when there is not enough: dst may be as large as a message may be.
func grow(dst []byte, n int) []byte {
	if cap(dst)-len(dst) >= n {
		return dst
	}
	return append(make([]byte, 0, len(dst)+n), dst...)
}

// sink is a writer that appends.
type sink struct{ bytes []byte }

func (s *sink) Write(p []byte) (int, error) {
	s.bytes = append(s.bytes, p...)
	return len(p), nil
}
