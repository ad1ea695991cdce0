package listen

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestIsLocal(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:8980": true, "localhost:8980": true, "[::1]:8980": true, "unix:/tmp/prism.sock": true, "127.3.2.1:0": true,
		"0.0.0.0:8980": false, ":8980": false, "[::]:8980": false, "192.168.1.2:8980": false, "example.com:80": false, "nonsense": false,
	} {
		require.Equal(t, want, IsLocal(address), address)
	}
}
