package h2

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2/hpack"
)

func TestNamesAreThoseOfHTTPInLowerCase(t *testing.T) {
	for c := range 256 {
		for _, name := range []string{string([]byte{byte(c)}), "a" + string([]byte{byte(c)}), string([]byte{byte(c), 'z'})} {
			want := httpguts.ValidHeaderFieldName(name) && (c < 'A' || c > 'Z')
			require.Equal(t, want, validName(name), "%q", name)
		}
	}
	require.False(t, validName(""))
}

func TestValuesAreThoseOfHTTPWithoutWhiteSpaceAtTheirEnds(t *testing.T) {
	for c := range 256 {
		middle := "a" + string([]byte{byte(c)}) + "b"
		require.Equal(t, httpguts.ValidHeaderFieldValue(middle), validValue(middle), "%q", middle)
		for _, edge := range []string{string([]byte{byte(c)}), "a" + string([]byte{byte(c)}), string([]byte{byte(c), 'b'})} {
			require.Equal(t, httpguts.ValidHeaderFieldValue(edge) && c != ' ' && c != '\t', validValue(edge), "%q", edge)
		}
	}
	require.True(t, validValue(""))
}

func TestFieldsDecodeToWhatTheyWere(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	bytes := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(random.IntN(256))
		}
		return string(b)
	}
	sizes := []int{0, 1, 2, 126, 127, 128, 129, 254, 255, 256, 127 + 127, 127 + 128, 127 + 129, 16_383, 16_384, 16_510, 16_511, 16_512, 100_000, 127 + 1<<21}
	for _, n := range sizes {
		for _, m := range []int{0, 1, 127, 300} {
			name, value := bytes(m), bytes(n)
			fields, err := hpack.NewDecoder(0, nil).DecodeFull(AppendField([]byte{}, name, value))
			require.NoError(t, err)
			require.Equal(t, []hpack.HeaderField{{Name: name, Value: value}}, fields)
		}
	}
	for status := 100; status < 1000; status++ {
		fields, err := hpack.NewDecoder(0, nil).DecodeFull(AppendStatus(nil, status))
		require.NoError(t, err)
		require.Equal(t, []hpack.HeaderField{{Name: ":status", Value: strconv.Itoa(status)}}, fields)
	}
}

func TestFieldsAreFoundWithoutCase(t *testing.T) {
	var h Header
	h.init()
	for _, field := range [][2]string{{"x-a", "1"}, {"x-b", "2"}, {"x-a", "3"}, {"x-c", ""}} {
		require.True(t, h.add(hpack.HeaderField{Name: field[0], Value: field[1]}, 1000))
	}
	require.Equal(t, "1", h.Get("X-A"))
	require.Equal(t, "", h.Get("x-d"))
	require.Equal(t, []string{"1", "3"}, h.Values("x-A"))
	require.Equal(t, []string{"2"}, h.Values("X-B"))
	require.Equal(t, []string{""}, h.Values("x-c"))
	require.Nil(t, h.Values("x-d"))
	_ = append(h.Values("x-b"), "overwritten")
	require.Equal(t, []string{"1", "3"}, h.Values("x-a"), "what a caller appends stays the caller's")
	var all []string
	for name, value := range h.All() {
		all = append(all, name+"="+value)
		if len(all) == 3 {
			break
		}
	}
	require.Equal(t, []string{"x-a=1", "x-b=2", "x-a=3"}, all)
}

func TestAHeaderOfManyFieldsKeepsThemAll(t *testing.T) {
	var h Header
	h.init()
	for i := range 100 {
		require.True(t, h.add(hpack.HeaderField{Name: "x-" + strconv.Itoa(i), Value: strconv.Itoa(i)}, 1<<20))
	}
	for i := range 100 {
		require.Equal(t, strconv.Itoa(i), h.Get("x-"+strconv.Itoa(i)))
	}
}

func TestTheSizeOfAHeaderIsTheRFCs(t *testing.T) {
	for _, more := range []int{0, 1} {
		var h Header
		h.init()
		h.add(hpack.HeaderField{Name: "x", Value: strings.Repeat("v", 100-33)}, 200)
		require.Equal(t, more == 0, h.add(hpack.HeaderField{Name: "y", Value: strings.Repeat("v", 100-33+more)}, 200))
		require.Equal(t, more == 1, h.oversized)
	}
}

func TestRecentStreamsAreRemembered(t *testing.T) {
	var r recentStreams
	for id := uint32(1); id < 1000; id += 2 {
		byUs := id%4 == 1 && id < 100
		r.add(id, byUs)
		known, us := r.find(id)
		require.True(t, known)
		require.Equal(t, byUs, us)
	}
	known, us := r.find(97)
	require.True(t, known && us, "calls that went well make no reset forgotten")
	known, _ = r.find(103)
	require.False(t, known)
}
