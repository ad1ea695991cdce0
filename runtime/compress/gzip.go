package compress

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
)

const (
	// gzipRatio is the most that deflate can make of one byte.
	gzipRatio = 1032
	// gzipSizeBytes is the size of what ends a gzip member: the size of its content, modulo 2^32.
	gzipSizeBytes = 4
)

// gunzipper is what it takes to inflate.
type gunzipper struct {
	source bytes.Reader
	reader gzip.Reader
}

// gzipper is what it takes to deflate.
type gzipper struct {
	sink   sink
	writer *gzip.Writer
}

//nolint:gochecknoglobals // pools
var (
	gunzippers = sync.Pool{New: func() any { return new(gunzipper) }}
	gzippers   = sync.Pool{New: func() any {
		writer, _ := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed) // fails on unknown levels only; clients are near, so time counts for more than size
		return &gzipper{writer: writer}
	}}
)

func inflateGzip(dst, src []byte, limit int) ([]byte, error) {
	z := gunzippers.Get().(*gunzipper)
	defer func() {
		z.source.Reset(nil)
		gunzippers.Put(z)
	}()
	z.source.Reset(src)
	if err := z.reader.Reset(&z.source); err != nil {
		return dst, truncated(err)
	}
	start := len(dst)
	// One byte more than there may be tells the end from too much.
	dst = grow(dst, min(gzipSize(src), limit)+1)
	for {
		if len(dst)-start > limit {
			return dst, ErrTooLarge
		}
		if len(dst) == cap(dst) {
			dst = grow(dst, min(max(len(dst)-start, 1), limit+1-(len(dst)-start)))
		}
		n, err := z.reader.Read(dst[len(dst):min(cap(dst), start+limit+1)])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst)-start > limit:
			return dst, ErrTooLarge
		case errors.Is(err, io.EOF):
			return dst, nil
		case err != nil:
			return dst, err
		}
	}
}

// gzipSize is how much a message seems to inflate to. It is a guess, since the message may lie, or have several members. src begins with a header.
func gzipSize(src []byte) int {
	said := int64(binary.LittleEndian.Uint32(src[len(src)-gzipSizeBytes:]))
	return int(min(said, int64(len(src))*gzipRatio))
}

func deflateGzip(dst, src []byte) ([]byte, error) {
	z := gzippers.Get().(*gzipper)
	z.sink.bytes = dst
	z.writer.Reset(&z.sink)
	_, err := z.writer.Write(src)
	if err == nil {
		err = z.writer.Close()
	}
	dst, z.sink.bytes = z.sink.bytes, nil
	gzippers.Put(z)
	return dst, err
}

// truncated makes the end of the input an error.
func truncated(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
