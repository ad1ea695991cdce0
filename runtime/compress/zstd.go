package compress

import (
	"sync"

	"github.com/klauspost/compress/zstd"
)

const (
	// zstdBlock is the most that one block inflates to. The decoder checks its bounds after each block, so that is how far it may go over them.
	zstdBlock = 128 << 10
	// zstdSlack is room that the decoder wants behind a message, or else it is slow.
	zstdSlack = 32
	// zstdWindow is how far back an encoder looks: what it holds per processor is about twice that.
	zstdWindow = 512 << 10
	// zstdScratch is the size of a scratch buffer at first, and zstdKept that of the largest one that is kept.
	zstdScratch, zstdKept = 2 * zstdBlock, 1 << 20
)

// The one decoder and the one encoder hold as many workers as there are processors, and a caller waits for one: the work is all computation, and so the memory of the
// workers is bounded, however many streams there are.
//
//nolint:gochecknoglobals // pools
var (
	unzstd = sync.OnceValues(func() (*zstd.Decoder, error) {
		return zstd.NewReader(nil,
			zstd.WithDecoderConcurrency(0),
			zstd.WithDecoderLowmem(true),
			// A message is inflated in the room that it is given, which is also its window: one that asks for a large window costs nothing.
			zstd.WithDecodeAllCapLimit(true),
		)
	})
	enzstd = sync.OnceValues(func() (*zstd.Encoder, error) {
		return zstd.NewWriter(nil,
			zstd.WithEncoderConcurrency(0),
			// Clients are near, so time counts for more than size.
			zstd.WithEncoderLevel(zstd.SpeedFastest),
			zstd.WithLowerEncoderMem(true),
			zstd.WithWindowSize(zstdWindow),
			// An empty message becomes an empty frame, not no bytes.
			zstd.WithZeroFrames(true),
		)
	})
	scratches = sync.Pool{New: func() any {
		scratch := make([]byte, 0, zstdScratch)
		return &scratch
	}}
)

func inflateZstd(dst, src []byte, limit int) ([]byte, error) {
	decoder, err := unzstd()
	if err != nil {
		return dst, err
	}
	var header zstd.Header
	if err := header.Decode(src); err != nil {
		return dst, truncated(err)
	}
	if header.HasFCS {
		if header.FrameContentSize > uint64(limit) {
			return dst, ErrTooLarge
		}
		size := int(header.FrameContentSize)
		dst = grow(dst, size+zstdSlack)
		if inflated, err := decoder.DecodeAll(src, dst[len(dst):len(dst):len(dst)+size+zstdSlack]); err == nil && len(inflated) <= size {
			return join(dst, inflated), nil
		}
		// It is corrupt, or more than one frame.
	}
	return inflateUnsized(decoder, dst, src, limit)
}

// inflateUnsized inflates a message that does not say how large it is. Each try takes four times the room of the last, so all of them take a third more time than the
// last alone.
func inflateUnsized(decoder *zstd.Decoder, dst, src []byte, limit int) ([]byte, error) {
	const factor = 4
	pooled := scratches.Get().(*[]byte)
	scratch := *pooled
	defer func() {
		if cap(scratch) <= zstdKept {
			*pooled = scratch[:0]
		}
		scratches.Put(pooled)
	}()
	for {
		room := min(cap(scratch)-zstdBlock-zstdSlack, limit)
		inflated, err := decoder.DecodeAll(src, scratch[:0:room+zstdBlock+zstdSlack])
		switch {
		case len(inflated) > limit:
			return dst, ErrTooLarge
		case err == nil:
			return append(dst, inflated...), nil
		case len(inflated) <= room:
			return dst, truncated(err) // the block that failed had all the room that a block may need
		}
		scratch = make([]byte, 0, min(cap(scratch)*factor, limit+zstdBlock+zstdSlack))
	}
}

// join returns dst with what follows it, which is in its free room unless the decoder took other room.
func join(dst, inflated []byte) []byte {
	if len(inflated) == 0 {
		return dst
	}
	if free := dst[len(dst):cap(dst)]; len(free) >= len(inflated) && &free[0] == &inflated[0] {
		return dst[:len(dst)+len(inflated)]
	}
	return append(dst, inflated...)
}

func deflateZstd(dst, src []byte) ([]byte, error) {
	encoder, err := enzstd()
	if err != nil {
		return dst, err
	}
	return encoder.EncodeAll(src, dst), nil
}
