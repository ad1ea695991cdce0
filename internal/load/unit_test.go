package load

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	"github.com/prismgate/prism/runtime/rpc"
)

func TestZipfFollowsItsExponent(t *testing.T) {
	t.Parallel()
	for _, skew := range []float64{0.5, 0.99, 1, 1.5} {
		const count, draws = 1000, 400_000
		z := newZipf(rand.New(rand.NewPCG(1, 2)), count, skew)
		seen := make([]float64, count)
		for range draws {
			seen[z.next()]++
		}
		sum := 0.0
		for rank := 1; rank <= count; rank++ {
			sum += math.Pow(float64(rank), -skew)
		}
		for _, rank := range []int{1, 2, 3, 10, 100} {
			want := draws * math.Pow(float64(rank), -skew) / sum
			require.InDelta(t, want, seen[rank-1], 5*math.Sqrt(want)+1, "skew %g, rank %d", skew, rank)
		}
	}
	z := newZipf(rand.New(rand.NewPCG(1, 2)), 2, 0.99)
	for range 1000 {
		require.Contains(t, []int{0, 1}, z.next())
	}
}

func TestDistributionsChooseOfAllKeys(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	next := int64(0)
	counter := func() int64 { next++; return next - 1 }
	sequential := Keys{Count: 3, Distribution: Sequential}.chooser(random, counter)
	require.Equal(t, []int{0, 1, 2, 0}, []int{sequential(), sequential(), sequential(), sequential()})
	for _, d := range Distributions() {
		choose := Keys{Count: 10, Distribution: d, Skew: 0.5}.chooser(random, counter)
		seen := map[int]int{}
		for range 2000 {
			seen[choose()]++
		}
		require.Len(t, seen, 10, d)
		require.Zero(t, Keys{Count: 1, Distribution: d}.chooser(random, counter)())
	}
}

func TestKeysAreChecked(t *testing.T) {
	t.Parallel()
	for says, keys := range map[string]Keys{
		"the number of keys must be from 1 to 1000000000, is 0":          {},
		"the number of keys must be from 1 to 1000000000, is 1000000001": {Count: MaxKeys + 1},
		"the skew of zipf must be more than 0 and at most 10, is NaN":    {Count: 2, Distribution: Zipf, Skew: math.NaN()},
		"the skew of zipf must be more than 0 and at most 10, is 0":      {Count: 2, Distribution: Zipf},
		"a key must have at most 4096 bytes, has 4097":                   {Count: 2, Prefix: strings.Repeat("a", 4096)},
		"the prefix of keys must not have {{ or }}":                      {Count: 2, Prefix: "{{"},
	} {
		require.EqualError(t, keys.Check(), says)
	}
	require.NoError(t, Keys{Count: MaxKeys}.Check())
}

func TestMixIsParsed(t *testing.T) {
	t.Parallel()
	got, err := ParseMix("keyvalue_basic.Get=90, keyvalue_basic.Set = 10")
	require.NoError(t, err)
	require.Equal(t, []Weighted{{"keyvalue_basic.Get", 90}, {"keyvalue_basic.Set", 10}}, got)
	got, err = ParseMix("a.B")
	require.NoError(t, err)
	require.Equal(t, []Weighted{{"a.B", 1}}, got)
	for _, text := range []string{"", "a.B,", "=1", "a.B=", "a.B=0", "a.B=-1", "a.B=x", "a.B=1000001", "a.B=1,a.B=2"} {
		_, err := ParseMix(text)
		require.Error(t, err, text)
	}
}

func TestMixIsChosenByWeight(t *testing.T) {
	t.Parallel()
	choose := Mix{{nil, 90}, {nil, 10}}.chooser(rand.New(rand.NewPCG(1, 2)))
	seen := [2]int{}
	for range 10_000 {
		seen[choose()]++
	}
	require.InDelta(t, 1000, seen[1], 150)
}

func TestTemplatesFillIn(t *testing.T) {
	t.Parallel()
	keys := Keys{Prefix: `a"ü-`, Count: 1000}
	set := method(t, "keyvalue_basic", "Set")
	made, err := NewTemplate(set, `{"key": "x{{key}}{{ seq }}y{{key}}", "value": "{{key base64}}"}`, keys, encoder(set))
	require.NoError(t, err)
	for _, test := range []struct {
		key      int
		sequence int64
		text     string
		value    string
	}{
		{7, 42, `xa"ü-007000000000042ya"ü-007`, `a"ü-007`},
		{999, 1_234_567_890_123, `xa"ü-999234567890123ya"ü-999`, `a"ü-999`},
	} {
		var got keyvaluev1.SetRequest
		data := appendPatched([]byte("before"), made.message, made.patches, test.key, test.sequence)
		require.NoError(t, proto.Unmarshal(data[6:], &got))
		require.Equal(t, test.text, got.GetKey())
		require.Equal(t, test.value, string(got.GetValue()))
		// In parts it is the same.
		for size := 1; size < 9; size++ {
			var parts []byte
			for from := 0; from < len(made.message); from += size {
				parts = appendPart(parts, made.message, made.patches, test.key, test.sequence, from, min(from+size, len(made.message)))
			}
			require.Equal(t, data[6:], parts)
		}
	}
	made, err = NewTemplate(set, `{"key": "{{text 5}}", "value": "{{bytes 1000}}"}`, keys, encoder(set))
	require.NoError(t, err)
	var got keyvaluev1.SetRequest
	require.NoError(t, proto.Unmarshal(made.message, &got))
	require.Len(t, got.GetKey(), 5)
	require.Len(t, got.GetValue(), 1000)
	require.Empty(t, made.patches)
}

func TestTemplatesAreRefused(t *testing.T) {
	t.Parallel()
	set := method(t, "keyvalue_basic", "Set")
	for text, says := range map[string]string{
		`{"key": "{{key"}`:           "is not closed with }}",
		`{"key": "{{keys}}"}`:        "{{keys}}: it is none of",
		`{"key": "{{}}"}`:            "{{}}: it is none of",
		`{"key": "{{bytes}}"}`:       "it is none of",
		`{"key": "{{bytes -1}}"}`:    "the size must be",
		`{"key": "{{text 1e9999}}"}`: "the size must be",
		`{"nokey": "{{key}}"}`:       "unknown field",
	} {
		_, err := NewTemplate(set, text, Keys{Count: 1}, encoder(set))
		require.ErrorContains(t, err, says, text)
	}
	// The entries of a map are sorted, so that what a key is decides where it stands.
	m := &rpc.Method{Name: "Map", Procedure: "/a/Map", NewRequest: func() proto.Message { return new(structpb.Struct) }}
	_, err := NewTemplate(m, `{"{{key}}": 1, "5": 2}`, Keys{Count: 10}, encoder(m))
	require.ErrorContains(t, err, "do not stand in the encoded message")
	broken := errors.New("broken")
	_, err = NewTemplate(m, `{}`, Keys{Count: 1}, func(string) ([]byte, error) { return nil, broken })
	require.ErrorIs(t, err, broken)
}

func TestScheduleNeitherDriftsNorLosesCalls(t *testing.T) {
	t.Parallel()
	const rate, start = 30_000.0, int64(5)
	threads := []*schedule{newSchedule(rate, 0, 3, start), newSchedule(rate, 1, 3, start), newSchedule(rate, 2, 3, start)}
	require.Equal(t, start, threads[0].due())
	require.EqualValues(t, start+33_333, threads[1].due())
	require.EqualValues(t, start+66_666, threads[2].due())
	threads[0].made = 10_000 // of this thread in a second
	require.EqualValues(t, start+int64(time.Second), threads[0].due())
	threads[0].made = 10_000 * 86_400 * 30
	require.InDelta(t, float64(start)+30*86_400*1e9, float64(threads[0].due()), 1000)
}

func TestHistogramCorrection(t *testing.T) {
	t.Parallel()
	h := newHistogram()
	recordCorrected(h, int64(10*time.Millisecond), 0)
	require.EqualValues(t, 1, h.TotalCount())
	h.Reset()
	// A call of 10 ms where one is expected each 1 ms stands for those of 9, 8, ... 1 ms.
	recordCorrected(h, int64(10*time.Millisecond), int64(time.Millisecond))
	require.EqualValues(t, 10, h.TotalCount())
	require.InEpsilon(t, float64(5*time.Millisecond), float64(h.ValueAtPercentile(50)), 0.002)
	record(h, -1)
	record(h, int64(48*time.Hour))
	require.InEpsilon(t, float64(time.Hour), float64(h.Max()), 0.002)
	require.Equal(t, Latencies{}, latencies(newHistogram()))
}

func TestFigures(t *testing.T) {
	t.Parallel()
	require.Equal(t, Figure{2, 1, 9}, figure([]float64{9, 1, 2}))
	require.Equal(t, Figure{3, 1, 9}, figure([]float64{9, 1, 2, 4}))
	require.Equal(t, Figure{}, figure(nil))
	a := []*Sample{{Rate: 100}, {Rate: 300}, {Rate: 100}}
	b := []*Sample{{Rate: 50}, {Rate: 100}, {Rate: 0}}
	ratios := newRatios(a, b)
	require.Equal(t, &Figure{2.5, 2, 3}, ratios.Rate, "pairs are divided, and a pair without a figure is left out")
	require.Nil(t, ratios.CPU)
}

func TestBlocksRepeatWhateverTheTableTakes(t *testing.T) {
	t.Parallel()
	keys := Keys{Count: 1}
	plan := newPlan(keys, get(t, keys), Share{template(t, "keyvalue_basic", "Exists", `{}`, keys), 1})
	plan.Header = append(plan.Header, Field{"x-long", strings.Repeat("long", 100)})
	procedures := []*procedure{newProcedure(plan.Mix[0].Template, 0, plan), newProcedure(plan.Mix[1].Template, 1, plan)}
	for _, size := range []uint32{4096, 0, 100, 1000, 1 << 20} {
		b := newBlocks(procedures, "http", "localhost")
		decoder := hpack.NewDecoder(4096, nil)
		for i, p := range []int{0, 0, 1, 0, 1, 1, 0} {
			if i == 3 {
				b.resize(size)
				decoder.SetAllowedMaxDynamicTableSize(size)
			}
			block := b.block(procedures[p])
			got, err := decoder.DecodeFull(block)
			require.NoError(t, err, "table of %d, block %d", size, i)
			for j, f := range b.fields(procedures[p]) {
				require.Equal(t, f.Name+f.Value, got[j].Name+got[j].Value)
			}
			if size >= 4096 && (i == 1 || i == 6) {
				require.LessOrEqual(t, len(block), 12, "what was sent once is referred to")
			}
		}
	}
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	for deadline, want := range map[time.Duration]string{
		time.Nanosecond: "1n", time.Millisecond: "1000000n", time.Second: "1000000u", 101 * time.Second: "101000m", 100_000 * time.Second: "100000S",
		math.MaxInt64: "2562047H",
	} {
		require.Equal(t, Field{"grpc-timeout", want}, deadlineField(GRPC, deadline))
	}
	require.Equal(t, Field{"connect-timeout-ms", "1500"}, deadlineField(Connect, 1500*time.Millisecond))
	require.Equal(t, Field{"connect-timeout-ms", "1"}, deadlineField(Connect, time.Microsecond))
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Address{
		"127.0.0.1:8980":      {"tcp", "127.0.0.1:8980", "127.0.0.1:8980", false},
		"http://localhost:80": {"tcp", "localhost:80", "localhost:80", false},
		"https://example.com": {"tcp", "example.com:443", "example.com", true},
		"[::1]:8980":          {"tcp", "[::1]:8980", "[::1]:8980", false},
		"unix:/run/a":         {"unix", "/run/a", "localhost", false},
		"unix:///run/a":       {"unix", "///run/a", "localhost", false},
	} {
		got, err := ParseAddress(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got)
	}
	for _, text := range []string{"", "unix:", "unix://host/run/a", "ftp://a:1", "http://user:secret@a:1", "a:0", "a:65536", "a:1/path", "a:1?b", "a b:1"} {
		_, err := ParseAddress(text)
		require.Error(t, err, text)
		require.NotContains(t, err.Error(), "secret")
	}
}

func TestProcessorTimeIsReadBehindAnyName(t *testing.T) {
	t.Parallel()
	got, err := parseStat([]byte("12 (a) (b c) R 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 1 0\n"))
	require.NoError(t, err)
	require.Equal(t, 2*time.Second, got)
	for _, text := range []string{"", "12 (a) R 1", "12 (a) R 1 2 3 4 5 6 7 8 9 10 x 50 0"} {
		_, err := parseStat([]byte(text))
		require.Error(t, err)
	}
}

func TestPlansAreChecked(t *testing.T) {
	t.Parallel()
	keys := Keys{Count: 1}
	stream := Share{template(t, "keyvalue_scan", "ScanKeys", `{}`, keys), 1}
	for says, change := range map[string]func(p *Plan){
		"the number of connections must be from 1 to 60000, is 0":          func(p *Plan) { p.Connections = 0 },
		"the number of streams must be from 1 to 10000, is 10001":          func(p *Plan) { p.Streams = 10001 },
		"the number of threads must be from 0 to 1024, is -1":              func(p *Plan) { p.Threads = -1 },
		"window bits must be from 1 to 31, is 32":                          func(p *Plan) { p.WindowBits = 32 },
		"window bits of the connection must be from 16 to 31, is 15":       func(p *Plan) { p.ConnectionWindowBits = 15 },
		"a run needs a procedure to call":                                  func(p *Plan) { p.Mix = nil },
		"the weight of keyvalue_basic.Get must be from 1 to 1000000, is 0": func(p *Plan) { p.Mix[0].Weight = 0 },
		"the rate must be from 0 to":                                       func(p *Plan) { p.Rate = math.NaN() },
		"must not be negative":                                             func(p *Plan) { p.WarmUp = -1 },
		"a run needs a duration or a number of calls":                      func(p *Plan) { p.Calls = 0 },
		"the timeout must be longer than 0":                                func(p *Plan) { p.Timeout = 0 },
		"an expected interval is for closed loops":                         func(p *Plan) { p.Rate, p.ExpectedInterval = 1, time.Second },
		"the expected interval must be 10us or more":                       func(p *Plan) { p.ExpectedInterval = 1 },
		"carries one call at a time":                                       func(p *Plan) { p.Protocol = ConnectHTTP1 },
		"which is measured over HTTP/2 only":                               func(p *Plan) { p.Protocol, p.Streams, p.Mix = ConnectHTTP1, 1, Mix{stream} },
	} {
		plan := newPlan(keys, get(t, keys))
		change(plan)
		require.ErrorContains(t, plan.Check(), says)
	}
}

func TestReportsAreWritten(t *testing.T) {
	t.Parallel()
	keys := Keys{Count: 5, Distribution: Zipf, Skew: 0.99}
	plan := newPlan(keys, get(t, keys))
	plan.Rate, plan.Duration, plan.WarmUp = 1000, time.Second, time.Second
	sample := func() *Sample {
		cost := 3.5
		s := &Sample{
			Target: "a:1", Seconds: 1, Calls: 1_234_567, OK: 1_234_560, Failed: 7, Rate: 1_234_560, CPU: &cost, GeneratorBusy: 0.95,
			Failures: []Failure{{"UNAVAILABLE", 7, "go \x1b[31maway"}}, latency: newHistogram(), service: newHistogram(), lateness: newHistogram(),
		}
		for i := range 1000 {
			record(s.latency, int64(i)*int64(time.Millisecond))
		}
		s.Latency = latencies(s.latency)
		return s
	}
	targets := []*Target{{Address: Address{Network: "tcp", Dial: "a:1"}, PIDs: []int{1}}, {Address: Address{Network: "tcp", Dial: "<b>&:2"}, PIDs: []int{1}}}
	report := newReport(plan, targets, [][]*Sample{{sample(), sample()}, {sample(), sample()}})
	var text bytes.Buffer
	require.NoError(t, report.WriteText(&text))
	for _, want := range []string{
		"keyvalue_basic.Get over grpc; 3 connections x 5 streams on ", "; open loop, 1000 calls/s; 500 calls or 1s after 1s of warm-up; 5 keys, zipf 0.99\n",
		"1,234,560 (1,234,560 to 1,234,560)", "1.00 (1.00 to 1.00)", "3.50 us", "P99.9", "#####", `go \x1b[31maway`, "Latency counts from when a call was due",
		"the generator was busy 95% of its time", "14 of 2469134 calls failed",
	} {
		require.Contains(t, text.String(), want)
	}
	require.NotContains(t, text.String(), "\x1b")
	var picture bytes.Buffer
	require.NoError(t, report.WriteSVG(&picture))
	decoder := xml.NewDecoder(&picture)
	for {
		if _, err := decoder.Token(); err != nil {
			require.ErrorIs(t, err, io.EOF)
			break
		}
	}
	empty := newReport(plan, targets, [][]*Sample{{}, {}})
	require.False(t, empty.Succeeded())
	require.NoError(t, empty.WriteText(io.Discard))
	require.NoError(t, empty.WriteSVG(io.Discard))
}
