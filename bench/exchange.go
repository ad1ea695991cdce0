package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"google.golang.org/protobuf/proto"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

// What every call of every case is: Get of one key in the default namespace, answered with 100 bytes.
const (
	service         = "prism.keyvalue.v1.KeyValueBasicInterface"
	getProcedure    = "/" + service + "/Get"
	namespaceHeader = "prism-namespace"
	namespace       = "default"
	key             = "bench-key"
)

var (
	value         = bytes.Repeat([]byte("v"), 100)
	requestBytes  = mustMarshal(&keyvaluev1.GetRequest{Key: key})
	responseBytes = mustMarshal(&keyvaluev1.GetResponse{Found: true, Value: value})
)

func mustMarshal(message proto.Message) []byte {
	data, err := proto.Marshal(message)
	if err != nil {
		panic(err)
	}
	return data
}

// framed is a message as gRPC sends it: not compressed, its length, itself.
func framed(message []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
}

// writeBodies writes the request bodies that h2load sends.
func writeBodies(folder string) error {
	return errors.Join(
		os.WriteFile(filepath.Join(folder, "get.proto"), requestBytes, 0o600),
		os.WriteFile(filepath.Join(folder, "get.grpc"), framed(requestBytes), 0o600),
	)
}

// prepare stores the value in a gateway, and checks that the server answers the call rightly in each protocol that it speaks: h2load looks at HTTP status
// codes and counts bytes, but reads neither messages nor gRPC codes.
func (s *server) prepare(ctx context.Context) error {
	dials := []func(string) (caller, error){dialGRPC, dialConnect}
	switch s.name {
	case gateway:
		if err := s.set(ctx); err != nil {
			return fmt.Errorf("%s: Set: %w", s.name, err)
		}
	case grpcGo:
		dials = dials[:1]
	}
	for _, dial := range dials {
		c, err := dial(s.address)
		if err == nil {
			err = errors.Join(c.call(), c.close())
		}
		if err != nil {
			return fmt.Errorf("%s: Get: %w", s.name, err)
		}
	}
	return nil
}

// set stores the value, with a plain POST as Connect has it.
func (s *server) set(ctx context.Context) error {
	body := bytes.NewReader(mustMarshal(&keyvaluev1.SetRequest{Key: key, Value: value}))
	ask, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.address+"/"+service+"/Set", body)
	if err != nil {
		return err
	}
	ask.Header.Set("Content-Type", "application/proto")
	ask.Header.Set(namespaceHeader, namespace)
	_, err = fetch(ask)
	return err
}

// fetch makes a request whose only right answer is 200, and returns the body.
func fetch(ask *http.Request) ([]byte, error) {
	reply, err := http.DefaultClient.Do(ask)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(reply.Body)
	if err := errors.Join(err, reply.Body.Close()); err != nil {
		return nil, err
	}
	if reply.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", reply.Status, data)
	}
	return data, nil
}

// checkCounted reads in a gateway's own metrics that no call has failed. Calls that h2load cuts off when its time is over count as canceled.
func (s *server) checkCounted(ctx context.Context) error {
	if s.admin == "" {
		return nil
	}
	ask, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.admin+"/metrics", http.NoBody)
	if err != nil {
		return err
	}
	data, err := fetch(ask)
	if err != nil {
		return fmt.Errorf("%s: /metrics: %w", s.name, err)
	}
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "prism_calls_total{") && !strings.Contains(line, `code="OK"`) && !strings.Contains(line, `code="CANCELED"`) {
			return fmt.Errorf("the gateway counts failed calls: %s", strings.TrimSpace(line))
		}
	}
	return nil
}
