package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestJournalAwaitsALineThatIsWrittenLater(t *testing.T) {
	t.Parallel()
	j := new(journal)
	_, err := j.Write([]byte("level=INFO msg=ready\n"))
	require.NoError(t, err)
	from := j.length()
	go func() {
		for _, part := range []string{"level=INFO msg=other\nlevel=INFO msg=\"the conf", "iguration was reloaded\" added=1", " changed=0\nmore"} {
			_, _ = j.Write([]byte(part))
		}
	}()
	line, err := j.await(t.Context(), from, "the configuration was ", 10*time.Second)
	require.NoError(t, err)
	require.Equal(t, `level=INFO msg="the configuration was reloaded" added=1 changed=0`, line)
	_, err = j.await(t.Context(), from, "msg=ready", time.Millisecond)
	require.ErrorContains(t, err, "the server has not said", "what was written before does not count")
}
