package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"google.golang.org/protobuf/proto"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

// What every call has in common: it is made in the default namespace.
const (
	namespaceHeader = "prism-namespace"
	namespace       = "default"
	key             = "bench-key"

	getProcedure      = "/prism.keyvalue.v1.KeyValueBasicInterface/Get"
	setProcedure      = "/prism.keyvalue.v1.KeyValueBasicInterface/Set"
	scanProcedure     = "/prism.keyvalue.v1.KeyValueScanInterface/Scan"
	batchSetProcedure = "/prism.keyvalue.v1.KeyValueBatchInterface/BatchSet"
)

// exchange is a call and its right answer. A server is started for one exchange, or for several that agree in what the server must hold.
type exchange struct {
	// file names what h2load sends; a body as gRPC frames it has the suffix .grpc, one as Connect sends it the suffix .proto.
	file      string
	procedure string
	request   []byte
	// responses are the messages of the answer: one, unless the server streams. Streamed ones have no order, but all the same length.
	responses [][]byte
	// accepts looks at an answer of one message in the place of responses, where those are not the same each time; nil when they are.
	accepts func(message []byte) error
	// stored are the calls that make a gateway hold what the answer is made of.
	stored []storing
	// arguments tell a bare server the same.
	arguments []string
}

// storing is a call that stores something in a gateway.
type storing struct {
	procedure string
	request   []byte
}

// get reads a value of a size, under one key.
func get(size int) *exchange {
	value := bytes.Repeat([]byte("v"), size)
	return &exchange{
		file: "get", procedure: getProcedure,
		request:   marshal(&keyvaluev1.GetRequest{Key: key}),
		responses: [][]byte{marshal(&keyvaluev1.GetResponse{Found: true, Value: value})},
		stored:    []storing{{setProcedure, marshal(&keyvaluev1.SetRequest{Key: key, Value: value})}},
		arguments: []string{"--value", strconv.Itoa(size)},
	}
}

// set writes a value of a size, under one key.
func set(size int) *exchange {
	return &exchange{
		file: "set", procedure: setProcedure,
		request:   marshal(&keyvaluev1.SetRequest{Key: key, Value: bytes.Repeat([]byte("v"), size)}),
		responses: [][]byte{marshal(&keyvaluev1.SetResponse{})},
	}
}

// scan streams so many messages of 100 bytes, a key and its value each.
func scan(count int) *exchange {
	const prefix, batch = "scan/", 1000
	x := &exchange{
		file: "scan", procedure: scanProcedure,
		request:   marshal(&keyvaluev1.ScanRequest{Prefix: prefix}),
		arguments: []string{"--messages", strconv.Itoa(count)},
	}
	items := make([]*keyvaluev1.BatchItem, count)
	for i := range items {
		items[i] = &keyvaluev1.BatchItem{Key: fmt.Sprintf("%s%06d", prefix, i), Value: bytes.Repeat([]byte("v"), 85)}
		x.responses = append(x.responses, marshal(&keyvaluev1.ScanResponse{Key: items[i].GetKey(), Value: items[i].GetValue()}))
	}
	for chunk := range slices.Chunk(items, batch) {
		x.stored = append(x.stored, storing{batchSetProcedure, marshal(&keyvaluev1.BatchSetRequest{Items: chunk})})
	}
	return x
}

func marshal(message proto.Message) []byte {
	data, err := proto.Marshal(message)
	if err != nil {
		panic(err) // the messages are the ones above
	}
	return data
}

// framePrefix is how many bytes gRPC puts before a message.
const framePrefix = 5

// framed is a message as gRPC sends it: not compressed, its length, itself.
func framed(message []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
}

// grpcLength is how many bytes the right answer has in gRPC's framing.
func (x *exchange) grpcLength() int {
	return len(x.responses) * len(framed(x.responses[0]))
}

// write writes the request's bodies, as h2load sends them.
func (x *exchange) write(folder string) error {
	return errors.Join(
		os.WriteFile(filepath.Join(folder, x.file+".proto"), x.request, 0o600),
		os.WriteFile(filepath.Join(folder, x.file+".grpc"), framed(x.request), 0o600),
	)
}

// check compares an answer's messages with the right ones.
func (x *exchange) check(got [][]byte) error {
	want := x.responses
	if len(want) > 1 {
		got, want = slices.SortedFunc(slices.Values(got), bytes.Compare), slices.SortedFunc(slices.Values(want), bytes.Compare)
	}
	if len(got) != len(want) {
		return fmt.Errorf("%s: the answer has %d messages, want %d", x.procedure, len(got), len(want))
	}
	for i := range got {
		if !bytes.Equal(got[i], want[i]) {
			return fmt.Errorf("%s: a message of the answer is %.100q, want %.100q", x.procedure, got[i], want[i])
		}
	}
	return nil
}
