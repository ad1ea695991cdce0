package testenv

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// NATSCluster starts a cluster of three NATS servers for one test, prism-0 to prism-2, whose JetStream has a leader that all of them follow. Options are lines of each one's configuration.
func NATSCluster(t testing.TB, options ...string) []*Server {
	t.Helper()
	var routes, monitors [3]string
	for i := range routes {
		routes[i], monitors[i] = loopback(t), loopback(t)
	}
	nodes := make([]*Server, len(routes))
	for i := range nodes {
		nodes[i] = Start(t, NATS, append([]string{
			fmt.Sprintf("server_name: prism-%d", i), // the last one of a name counts
			fmt.Sprintf("cluster {name: prism-test, listen: %q, routes: [\"nats-route://%s\"]}", routes[i], strings.Join(routes[:], `", "nats-route://`)),
			fmt.Sprintf("http: %q", monitors[i]),
		}, options...)...)
	}
	for i, monitor := range monitors {
		name := fmt.Sprintf("prism-%d", i)
		eventually(t, name+" is current", func() bool { return current(t.Context(), name, monitor, len(nodes)) })
	}
	return nodes
}

// loopback is an address of this machine that nobody listens on.
func loopback(t testing.TB) string {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// current tells whether a server of a JetStream cluster follows a leader and has all that it has, and, where it leads itself, whether all others do.
func current(ctx context.Context, name, monitor string, nodes int) bool {
	var seen struct {
		Meta struct {
			Leader   string `json:"leader"`
			Size     int    `json:"cluster_size"`
			Replicas []struct {
				Current bool `json:"current"`
			} `json:"replicas"`
		} `json:"meta_cluster"`
	}
	if !observe(ctx, "http://"+monitor+"/healthz", nil) || !observe(ctx, "http://"+monitor+"/jsz", &seen) || seen.Meta.Leader == "" || seen.Meta.Size != nodes {
		return false
	}
	for _, replica := range seen.Meta.Replicas {
		if seen.Meta.Leader == name && !replica.Current { // only the leader knows of the others
			return false
		}
	}
	return true
}

// observe asks a server's monitor, reads its answer unless that is not wanted, and tells whether all is well.
func observe(ctx context.Context, url string, answer any) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	defer func() { _ = response.Body.Close() }()
	return response.StatusCode == http.StatusOK && (answer == nil || json.NewDecoder(response.Body).Decode(answer) == nil)
}
