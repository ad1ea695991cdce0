package front

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every call of gRPC passes here.
func TestWhatIsAllowedCostsNoAllocation(t *testing.T) {
	loopback := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8980}
	wide := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 7), Port: 8981}
	a := &allowed{loopback: true, names: map[string]bool{"prism.example.com": true}, parents: []string{".apps.example.com"}}
	a.local = append(a.local, plainAddress(loopback))
	for _, test := range []struct {
		local     net.Addr
		authority string
	}{
		{loopback, "localhost:8980"},
		{loopback, "127.0.0.1:8980"},
		{loopback, "[::1]:8980"},
		{loopback, "prism.example.com:1"},
		{wide, "anything.example"},
		{&net.UnixAddr{Name: "/s"}, "anything.example"},
	} {
		require.Nil(t, a.refusal(test.local, test.authority, ""), test.authority) // the first one is kept
		require.Zero(t, testing.AllocsPerRun(100, func() { _ = a.refusal(test.local, test.authority, "") }), test.authority)
	}
	require.NotNil(t, a.refusal(loopback, "anything.example", ""))
	require.NotNil(t, a.refusal(nil, "anything.example", ""), "an address that is not known is held to the names")
}
