package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBarIsHeldAgainstTheMedian(t *testing.T) {
	t.Parallel()
	r := newReport(nil, 3)
	r.add(figure{Samples: []float64{0.9, 0.1, 0.85}, Bar: atLeast(0.85)})
	r.add(figure{Samples: []float64{2.1, 2.2, 1}, Bar: atMost(2)})
	r.add(figure{Samples: []float64{1}})
	require.Equal(t, "MET", r.Figures[0].Verdict)
	require.Equal(t, "MISSED", r.Figures[1].Verdict)
	require.Empty(t, r.Figures[2].Verdict)
	require.InDelta(t, 0.1, r.Figures[0].Min, 0)
	require.InDelta(t, 0.9, r.Figures[0].Max, 0)
}

func TestTextHasALinePerFigure(t *testing.T) {
	t.Parallel()
	r := newReport([]string{"bench"}, 2)
	r.add(figure{Case: "grpc", Name: "calls", Unit: perSecond, Samples: []float64{1000, 2000}, Bar: atLeast(1200)})
	got, err := text(r)
	require.NoError(t, err)
	require.Regexp(t, `(?m)^grpc +calls +1500/s +1000/s to 2000/s +>= 1200/s +MET *$`, string(got))
}

func TestParseBenchmarkReadsEveryRun(t *testing.T) {
	t.Parallel()
	took, allocated := parseBenchmark(`goos: linux
BenchmarkGet   	 5000000	       210.5 ns/op	      48 B/op	       1 allocs/op
BenchmarkKeyValueGet-2 	 5000000	       99 ns/op	      48 B/op	       2 allocs/op
BenchmarkKeyValueGetMissing 	 5000000	       9 ns/op	      0 B/op	       0 allocs/op
PASS
`)
	require.Equal(t, []float64{210.5, 99}, took)
	require.Equal(t, []float64{1, 2}, allocated)
}

func TestPercentileIsAValueThatWasMeasured(t *testing.T) {
	t.Parallel()
	sorted := []float64{1, 2, 3, 4}
	require.InDelta(t, 2, percentile(sorted, 50), 0)
	require.InDelta(t, 4, percentile(sorted, 99), 0)
	require.InDelta(t, 4, percentile(sorted, 100), 0)
	require.Zero(t, percentile(nil, 99))
}

func TestReplaceResultsKeepsTheRestAndCanBeRepeated(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "README.md")
	require.NoError(t, os.WriteFile(path, []byte("before\n"+resultsBegin+"old\n"+resultsEnd+"after\n"), 0o600))
	r := newReport([]string{"bench"}, 1)
	r.add(figure{Case: "grpc", Name: "calls", Unit: perSecond, Samples: []float64{1000}, Note: "a note"})
	r.add(figure{Case: "grpc", Name: "ratio", Unit: ratio, Samples: []float64{1.5}, Bar: atLeast(2)})
	require.NoError(t, replaceResults(path, r))
	once, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, replaceResults(path, r))
	twice, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(once), string(twice))
	require.Regexp(t, `(?s)^before\n<!-- results: begin.*\| grpc \| ratio \| 1.50 \|  \| >= 2.00 \| MISSED \|  \|\n.*\| grpc \| calls \| 1000/s \|  \| a note \|\n<!-- results: end -->\nafter\n$`, string(once))
	require.NotContains(t, string(once), "old")
}

func TestReplaceResultsNeedsBothMarkers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "README.md")
	require.NoError(t, os.WriteFile(path, []byte(resultsBegin), 0o600))
	require.ErrorContains(t, replaceResults(path, newReport(nil, 1)), "has no place for results")
}
