package testenv

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// slots is how many slots the keys of a Redis Cluster are spread over.
const slots = 16384

// RedisCluster starts a Redis Cluster of three masters for one test. Options are further arguments of each.
func RedisCluster(t testing.TB, options ...string) []*Server {
	t.Helper()
	nodes := make([]*Server, 3)
	for i := range nodes {
		nodes[i] = clusterNode(t, nodes[0], options)
		command(t, nodes[i], fmt.Sprintf("CLUSTER ADDSLOTSRANGE %d %d", i*slots/len(nodes), (i+1)*slots/len(nodes)-1))
	}
	for _, node := range nodes {
		eventually(t, "the Redis Cluster is formed", func() bool { return formed(command(t, node, "CLUSTER INFO"), len(nodes)) })
	}
	return nodes
}

// RedisReplica starts a node of a Redis Cluster that is a replica of another, and has all that the other has.
func RedisReplica(t testing.TB, of *Server, options ...string) *Server {
	t.Helper()
	replica := clusterNode(t, of, options)
	id := command(t, of, "CLUSTER MYID")
	eventually(t, "the replica knows its master", func() bool { return strings.Contains(command(t, replica, "CLUSTER NODES"), id) })
	command(t, replica, "CLUSTER REPLICATE "+id)
	eventually(t, "the replica has what its master has", func() bool { return strings.Contains(command(t, replica, "INFO replication"), "master_link_status:up") })
	return replica
}

// clusterNode starts a node, and has another one know it unless it is nil.
func clusterNode(t testing.TB, other *Server, options []string) *Server {
	t.Helper()
	bus, err := freePort() // the usual one, 10,000 above the other, may be beyond what there is
	if err != nil {
		t.Fatal(err)
	}
	node := Start(t, Redis, append([]string{
		"--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "5000", "--cluster-port", strconv.Itoa(bus),
	}, options...)...)
	if other != nil {
		command(t, other, fmt.Sprintf("CLUSTER MEET 127.0.0.1 %d %d", node.Port, bus))
	}
	return node
}

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(startTimeout); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it is not so after %s that %s", startTimeout, what)
		}
	}
}

func formed(info string, nodes int) bool {
	return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprintf("cluster_size:%d", nodes))
}

// command sends a command to a Redis server and returns its answer.
func command(t testing.TB, s *Server, text string) string {
	t.Helper()
	answer, err := ask(t.Context(), s.Address(), text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return answer
}

func ask(ctx context.Context, address, text string) (string, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	if _, err := fmt.Fprint(conn, text+"\r\n"); err != nil {
		return "", err
	}
	reader := bufio.NewReader(conn)
	line, err := reader.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSpace(line[:len(line)-1])
	switch {
	case strings.HasPrefix(line, "-"):
		return "", errors.New(line[1:])
	case !strings.HasPrefix(line, "$"):
		return line, nil
	}
	size, err := strconv.Atoi(line[1:])
	if err != nil {
		return "", err
	}
	content := make([]byte, size)
	_, err = io.ReadFull(reader, content)
	return string(content), err
}
