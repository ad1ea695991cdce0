package main

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestProxyHoldsBytesBackInBothDirections(t *testing.T) {
	t.Parallel()
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = echo.Close() })
	go func() {
		for {
			conn, err := echo.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(conn, conn) }()
		}
	}()
	const delay = 20 * time.Millisecond
	p, err := startProxy(t.Context(), echo.Addr().String(), delay)
	require.NoError(t, err)
	t.Cleanup(p.close)
	conn, err := net.Dial("tcp", p.address())
	require.NoError(t, err)
	sent := make([]byte, 1<<20)
	for i := range sent {
		sent[i] = byte(i % 251)
	}
	began := time.Now()
	go func() { _, _ = conn.Write(sent) }()
	got := make([]byte, len(sent))
	_, err = io.ReadFull(conn, got)
	require.NoError(t, err)
	require.GreaterOrEqual(t, time.Since(began), 2*delay)
	require.Equal(t, sent, got)
}

func TestProxyClosesTheCallerWhenTheServerIsGone(t *testing.T) {
	t.Parallel()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, gone.Close())
	p, err := startProxy(t.Context(), gone.Addr().String(), time.Millisecond)
	require.NoError(t, err)
	t.Cleanup(p.close)
	conn, err := net.Dial("tcp", p.address())
	require.NoError(t, err)
	_, err = conn.Read(make([]byte, 1))
	require.Error(t, err)
}
