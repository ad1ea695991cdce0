package main

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRedisBenchmarkIsRead(t *testing.T) {
	t.Parallel()
	got, err := parseRedisBenchmark(`"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"
"GET","99009.90","0.258","0.080","0.255","0.359","0.455","0.559"
`)
	require.NoError(t, err)
	require.Equal(t, redisReport{99009.90, 0.255}, got)
	for _, wrong := range []string{"", "Could not connect to Redis at 127.0.0.1:1: Connection refused", `"test","rps"` + "\n" + `"GET","1"`} {
		_, err := parseRedisBenchmark(wrong)
		require.ErrorContains(t, err, "redis-benchmark says")
	}
}

func TestASampleWithAFailedCallIsNone(t *testing.T) {
	t.Parallel()
	for text, wrong := range map[string]string{
		`{`: "the report", `{}`: "one round", `{"results": [{"rounds": [{"seconds": 1, "calls": 3, "ok": 3}]}]}`: "",
		`{"results": [{"rounds": [{"seconds": 1, "calls": 3, "ok": 2, "failed": 1}]}]}`: "1 of 3 calls failed",
	} {
		sample, err := parseSample([]byte(text))
		if wrong != "" {
			require.ErrorContains(t, err, wrong)
			continue
		}
		require.NoError(t, err)
		require.EqualValues(t, 3, sample.Calls)
	}
}

// The time of a process counts what it has started.
func TestTheTimeOfATreeIsRead(t *testing.T) {
	t.Parallel()
	for used := time.Duration(0); used == 0; { // it is told in hundredths of a second
		var err error
		used, err = treeCPU(os.Getpid())
		require.NoError(t, err)
	}
	require.Contains(t, tree(os.Getpid()), os.Getpid())
	_, err := treeCPU(0)
	require.Error(t, err)
}
