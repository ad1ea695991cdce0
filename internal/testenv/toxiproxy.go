package testenv

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Toxiproxy stands between a gateway and a server, and does to their connections what networks do.
var Toxiproxy = &Kind{
	Name:      "toxiproxy",
	Programs:  []string{"toxiproxy-server"},
	Install:   "run `make servers`, which builds it",
	Arguments: func(s *Server) []string { return []string{"-host", "127.0.0.1", "-port", strconv.Itoa(s.Port)} },
	Ready: func(ctx context.Context, s *Server) error {
		return toxiproxy(ctx, s, http.MethodGet, "/version", nil)
	},
}

// Proxy is a way to a server that can be made worse.
type Proxy struct {
	// Address is where clients connect to.
	Address string

	toxiproxy *Server
}

// NewProxy returns a way to an address through a Toxiproxy.
func NewProxy(t testing.TB, through *Server, to string) *Proxy {
	t.Helper()
	port, err := freePort()
	require.NoError(t, err)
	p := &Proxy{Address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), toxiproxy: through}
	require.NoError(t, toxiproxy(t.Context(), through, http.MethodPost, "/proxies", map[string]any{"name": "way", "listen": p.Address, "upstream": to, "enabled": true}))
	return p
}

// Cut ends all connections and refuses new ones, until Heal.
func (p *Proxy) Cut(ctx context.Context) error {
	return toxiproxy(ctx, p.toxiproxy, http.MethodPost, "/proxies/way", map[string]any{"enabled": false})
}

// Slow lets everything that the server says arrive later, until Heal.
func (p *Proxy) Slow(ctx context.Context, by time.Duration) error {
	return toxiproxy(ctx, p.toxiproxy, http.MethodPost, "/proxies/way/toxics", map[string]any{
		"name": "slow", "type": "latency", "stream": "downstream", "attributes": map[string]any{"latency": by.Milliseconds()},
	})
}

// Heal makes the way good again.
func (p *Proxy) Heal(ctx context.Context) error {
	return toxiproxy(ctx, p.toxiproxy, http.MethodPost, "/reset", nil)
}

func toxiproxy(ctx context.Context, s *Server, method, path string, body any) error {
	var sent io.Reader = http.NoBody
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return err
		}
		sent = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://"+s.Address()+path, sent)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if text, _ := io.ReadAll(response.Body); response.StatusCode >= 300 {
		return fmt.Errorf("toxiproxy: %s %s: %s: %s", method, path, response.Status, text)
	}
	return nil
}
