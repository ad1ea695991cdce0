package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// h2loadReport is what h2load 1.52 prints.
const h2loadReport = `finished in 2.00s, 13632.50 req/s, 1.83MB/s
requests: 27265 total, 27393 started, 27265 done, 27265 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 27356 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 3.67MB (3847601) total, 107.25KB (109824) headers (space savings 95.77%), 2.83MB (2971885) data
`

var smallLoad = load{exchange: get(100), connections: 4, streams: 32}

func TestParseReadsTheRate(t *testing.T) {
	t.Parallel()
	calls, rate, err := smallLoad.parse(h2loadReport, false)
	require.NoError(t, err)
	require.Equal(t, 27265, calls)
	require.InDelta(t, 13632.50, rate, 0)
}

func TestParseFailsWhenACallHas(t *testing.T) {
	t.Parallel()
	for name, change := range map[string][2]string{
		"failed":                     {"0 failed", "1 failed"},
		"errored":                    {"0 errored", "1 errored"},
		"timed out":                  {"0 timeout", "1 timeout"},
		"not succeeded":              {"27265 succeeded", "27264 succeeded"},
		"answered 503":               {"0 5xx", "1 5xx"},
		"gRPC error without a body":  {"(2971885) data", "(2971776) data"},
		"longer answers than wanted": {"(2971885) data", "(3100000) data"},
		"no call at all":             {"27265 done, 27265 succeeded", "0 done, 0 succeeded"},
		"report cut short":           {"traffic", "tra"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changed := strings.Replace(h2loadReport, change[0], change[1], 1)
			require.NotEqual(t, h2loadReport, changed)
			_, _, err := smallLoad.parse(changed, false)
			require.Error(t, err)
		})
	}
}

func TestParseDemandsTheCipher(t *testing.T) {
	t.Parallel()
	_, _, err := smallLoad.parse(h2loadReport, true)
	require.ErrorContains(t, err, cipher)
	_, _, err = smallLoad.parse("TLS Protocol: TLSv1.3\nCipher: "+cipher+"\n"+h2loadReport, true)
	require.NoError(t, err)
}
