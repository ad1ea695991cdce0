package compress_test

import (
	"bytes"
	stdgzip "compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/runtime/compress"
)

func each(t *testing.T, test func(t *testing.T, codec *compress.Codec)) {
	t.Helper()
	for _, name := range compress.Names() {
		t.Run(name, func(t *testing.T) {
			codec, ok := compress.Get(name)
			require.True(t, ok)
			require.Equal(t, name, codec.Name())
			test(t, codec)
		})
	}
}

func TestOnlyKnownNamesHaveACodec(t *testing.T) {
	require.Equal(t, []string{"gzip", "zstd"}, compress.Names())
	for _, name := range []string{"", "identity", "br", "GZIP", "gzip "} {
		_, ok := compress.Get(name)
		require.False(t, ok, name)
	}
}

func samples() [][]byte {
	random := rand.NewChaCha8([32]byte{})
	var samples [][]byte
	for _, size := range []int{1, 2, 3, 100, 1023, 1024, 1025, 4096, 65535, 65536, 128 << 10, 128<<10 + 1, 700_001, 3 << 20} {
		noise := make([]byte, size)
		_, _ = random.Read(noise)
		samples = append(samples, noise, bytes.Repeat([]byte{'a'}, size), bytes.Repeat([]byte("a key of a shelf "), size/17+1))
	}
	return append(samples, nil)
}

func TestWhatIsDeflatedInflatesToTheSame(t *testing.T) {
	each(t, func(t *testing.T, codec *compress.Codec) {
		for _, sample := range samples() {
			deflated, err := codec.Compress([]byte("before"), sample)
			require.NoError(t, err)
			require.Greater(t, len(deflated), len("before"), "an empty message is a frame too")
			require.Equal(t, "before", string(deflated[:6]))
			inflated, err := codec.Decompress([]byte("start"), deflated[6:], len(sample))
			require.NoError(t, err)
			require.Equal(t, "start", string(inflated[:5]))
			require.True(t, bytes.Equal(sample, inflated[5:]), "%d bytes", len(sample))
		}
	})
}

func TestOneByteOverTheLimitIsTooLarge(t *testing.T) {
	each(t, func(t *testing.T, codec *compress.Codec) {
		for _, sample := range samples() {
			if len(sample) == 0 {
				continue
			}
			deflated, err := codec.Compress(nil, sample)
			require.NoError(t, err)
			for _, limit := range []int{len(sample) - 1, len(sample) / 2, 0, -1} {
				rest, err := codec.Decompress([]byte("start"), deflated, limit)
				require.ErrorIs(t, err, compress.ErrTooLarge, "%d bytes, limit %d", len(sample), limit)
				require.Equal(t, "start", string(rest))
			}
		}
	})
}

// Others write streams: frames without a size, of blocks of any size.
func TestStreamsThatDoNotSayTheirSizeInflate(t *testing.T) {
	streams := map[string]func(io.Writer) io.WriteCloser{
		"gzip": func(w io.Writer) io.WriteCloser { return stdgzip.NewWriter(w) },
		"zstd": func(w io.Writer) io.WriteCloser {
			z, err := zstd.NewWriter(w, zstd.WithWindowSize(8<<20), zstd.WithEncoderConcurrency(1))
			require.NoError(t, err)
			return z
		},
	}
	each(t, func(t *testing.T, codec *compress.Codec) {
		for _, sample := range samples() {
			if len(sample) > 1<<20 {
				continue // it takes seconds
			}
			var deflated bytes.Buffer
			writer := streams[codec.Name()](&deflated)
			for part := sample; len(part) > 0; part = part[min(len(part), 5000):] {
				_, err := writer.Write(part[:min(len(part), 5000)])
				require.NoError(t, err)
			}
			require.NoError(t, writer.Close())
			inflated, err := codec.Decompress(nil, deflated.Bytes(), len(sample))
			require.NoError(t, err, "%d bytes", len(sample))
			require.True(t, bytes.Equal(sample, inflated))
			if len(sample) > 0 {
				_, err = codec.Decompress(nil, deflated.Bytes(), len(sample)-1)
				require.ErrorIs(t, err, compress.ErrTooLarge, "%d bytes", len(sample))
			}
		}
	})
}

func TestMembersAndFramesAreOneMessage(t *testing.T) {
	each(t, func(t *testing.T, codec *compress.Codec) {
		deflated, err := codec.Compress(nil, []byte("one, "))
		require.NoError(t, err)
		deflated, err = codec.Compress(deflated, bytes.Repeat([]byte("two"), 10_000))
		require.NoError(t, err)
		inflated, err := codec.Decompress(nil, deflated, 30_005)
		require.NoError(t, err)
		require.Len(t, inflated, 30_005)
		_, err = codec.Decompress(nil, deflated, 30_004)
		require.ErrorIs(t, err, compress.ErrTooLarge)
	})
}

// bombs inflate to far more than any limit.
func bombs(t *testing.T) map[string][][]byte {
	t.Helper()
	const size = 12 << 20
	zeros := make([]byte, 1<<20)
	var gzipped, stream bytes.Buffer
	gz := stdgzip.NewWriter(&gzipped)
	zs, err := zstd.NewWriter(&stream, zstd.WithWindowSize(zstd.MaxWindowSize))
	require.NoError(t, err)
	for range size / len(zeros) {
		_, _ = gz.Write(zeros)
		_, _ = zs.Write(zeros)
	}
	require.NoError(t, gz.Close())
	require.NoError(t, zs.Close())

	liar := bytes.Clone(gzipped.Bytes())
	copy(liar[len(liar)-4:], []byte{1, 0, 0, 0}) // it inflates to one byte, it says

	magic := []byte{0x28, 0xb5, 0x2f, 0xfd}
	// A single segment of 2^40 bytes, with one block of 128 KiB of zeros after the other.
	runs := append(bytes.Clone(magic), 0xe0, 0, 0, 0, 0, 0, 1, 0, 0)
	// A window of 512 MiB and no size.
	wide := append(bytes.Clone(magic), 0x00, 19<<3)
	// As a single segment of 1 KiB.
	modest := append(bytes.Clone(magic), 0x60, 0, 3)
	for range 4096 {
		block := []byte{0x02, 0x00, 0x10, 0} // a run of 128 KiB, not the last
		runs, wide, modest = append(runs, block...), append(wide, block...), append(modest, block...)
	}
	return map[string][][]byte{
		"gzip": {gzipped.Bytes(), liar, bytes.Repeat(gzipped.Bytes(), 10)},
		"zstd": {stream.Bytes(), runs, wide, modest},
	}
}

// Each bomb is refused, in memory of the size of the limit.
func TestBombsAreRefusedInBoundedMemory(t *testing.T) {
	all := bombs(t)
	each(t, func(t *testing.T, codec *compress.Codec) {
		const limit, rounds = 64 << 10, 8
		_, _ = codec.Compress(nil, []byte("what is made once is made before"))
		for i, bomb := range all[codec.Name()] {
			_, err := codec.Decompress(nil, bomb, limit)
			require.Error(t, err, "bomb %d", i)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range rounds {
				_, err = codec.Decompress(nil, bomb, limit)
				require.Error(t, err)
			}
			runtime.ReadMemStats(&after)
			// A decoder may be made anew, since what is pooled may be collected.
			require.Less(t, (after.TotalAlloc-before.TotalAlloc)/rounds, uint64(1<<20), "bomb %d", i)
		}
	})
}

// A window of the most that the format knows is no reason to refuse a small message: its content is its window.
func TestALargeWindowCostsNothing(t *testing.T) {
	codec, _ := compress.Get(compress.Zstd)
	message := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 19 << 3, 0x2b, 0, 0, 'x'} // a last block: a run of 5
	inflated, err := codec.Decompress(nil, message, 10)
	require.NoError(t, err)
	require.Equal(t, "xxxxx", string(inflated))
	require.Less(t, testing.AllocsPerRun(10, func() { _, _ = codec.Decompress(inflated[:0], message, 10) }), 5.0)
}

func TestCorruptInputIsAnError(t *testing.T) {
	each(t, func(t *testing.T, codec *compress.Codec) {
		whole, err := codec.Compress(nil, bytes.Repeat([]byte("a key of a shelf "), 1000))
		require.NoError(t, err)
		for cut := 1; cut < len(whole); cut++ {
			rest, err := codec.Decompress([]byte("start"), whole[:cut], 1<<20)
			require.Error(t, err, "cut at %d of %d", cut, len(whole))
			require.NotErrorIs(t, err, compress.ErrTooLarge)
			require.Equal(t, "start", string(rest))
		}
		for _, junk := range []string{"x", "this is text", "\x1f\x8b", "\x28\xb5\x2f\xfd", "\x28\xb5\x2f\xfd\xff\xff\xff"} {
			_, err := codec.Decompress(nil, []byte(junk), 1<<20)
			require.Error(t, err, "%q", junk)
		}
		// What was corrupt leaves nothing behind.
		inflated, err := codec.Decompress(nil, whole, 1<<20)
		require.NoError(t, err)
		require.Len(t, inflated, 17_000)
	})
}

func TestNoBytesAreAnEmptyMessage(t *testing.T) {
	each(t, func(t *testing.T, codec *compress.Codec) {
		inflated, err := codec.Decompress(nil, nil, 0)
		require.NoError(t, err)
		require.Empty(t, inflated)
	})
}

func TestManyGoroutinesShareACodec(t *testing.T) {
	each(t, func(t *testing.T, codec *compress.Codec) {
		var group sync.WaitGroup
		for n := range 16 {
			group.Go(func() {
				for i := range 50 {
					message := bytes.Repeat(fmt.Append(nil, n, i, " "), 500)
					deflated, err := codec.Compress(nil, message)
					if err != nil {
						t.Error(err)
						return
					}
					if inflated, err := codec.Decompress(nil, deflated, 1<<20); err != nil || !bytes.Equal(inflated, message) {
						t.Errorf("%d.%d: %v", n, i, err)
						return
					}
				}
			})
		}
		group.Wait()
	})
}

// FuzzDecompress holds that no input is inflated over its limit, and that what was deflated comes back.
func FuzzDecompress(f *testing.F) {
	for _, name := range compress.Names() {
		codec, _ := compress.Get(name)
		deflated, _ := codec.Compress(nil, bytes.Repeat([]byte("seed "), 100))
		f.Add(name == compress.Zstd, deflated, 500)
		f.Add(name == compress.Zstd, deflated, 499)
		f.Add(name == compress.Zstd, append(deflated, deflated...), 5000)
	}
	f.Add(true, []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 19 << 3, 0x02, 0x00, 0x10, 0, 0x03, 0x00, 0x10, 0}, 1<<16)
	f.Fuzz(func(t *testing.T, isZstd bool, data []byte, limit int) {
		name := compress.Gzip
		if isZstd {
			name = compress.Zstd
		}
		codec, _ := compress.Get(name)
		limit &= 1<<20 - 1
		inflated, err := codec.Decompress([]byte("dst"), data, limit)
		if !bytes.HasPrefix(inflated, []byte("dst")) || len(inflated)-3 > limit || err != nil && len(inflated) != 3 {
			t.Fatalf("%d bytes with limit %d, error %v", len(inflated), limit, err)
		}
		deflated, err := codec.Compress(nil, data)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := codec.Decompress(nil, deflated, len(data)); err != nil || !bytes.Equal(back, data) {
			t.Fatalf("not the same: %v", err)
		}
	})
}

func BenchmarkCodec(b *testing.B) {
	message := bytes.Repeat([]byte("a key of a shelf, and some of its value 0123456789 "), 80)
	for _, name := range compress.Names() {
		codec, _ := compress.Get(name)
		deflated, _ := codec.Compress(nil, message)
		buffer := make([]byte, 0, 2*len(message))
		b.Run(name+"/compress", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = codec.Compress(buffer[:0], message)
			}
		})
		b.Run(name+"/decompress", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = codec.Decompress(buffer[:0], deflated, 1<<20)
			}
		})
	}
}
