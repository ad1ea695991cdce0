package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseOfferedReadsWhatWasLetIn(t *testing.T) {
	t.Parallel()
	o, err := parseOffered([]byte(`{"results": [{"rounds": [{"seconds": 2, "calls": 40000, "ok": 4000, "failures": [{"code": "RESOURCE_EXHAUSTED", "calls": 36000}]}]}]}`))
	require.NoError(t, err)
	require.Equal(t, outcome{made: 20000, let: 2000, codes: []string{"RESOURCE_EXHAUSTED"}}, o)
	for _, wrong := range []string{`{`, `{}`, `{"results": [{"rounds": []}]}`, `{"results": [{"rounds": [{"seconds": 0}]}]}`} {
		_, err := parseOffered([]byte(wrong))
		require.Error(t, err, wrong)
	}
}
