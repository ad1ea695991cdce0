// Command grpcgo is a bare grpc-go server on its own transport. It answers every KeyValue Get with the same value, takes every Set, and streams the same messages
// for every Scan, all from memory; the CPU that it takes for a call is the unit E that bars are multiples of.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

func main() {
	address := flag.String("listen", "127.0.0.1:0", "address to listen on")
	cert := flag.String("tls-cert", "", "file with the certificate; empty serves in clear")
	key := flag.String("tls-key", "", "file with the certificate's key")
	size := flag.Int("value", 100, "bytes of the value that Get answers")
	count := flag.Int("messages", 0, "messages that Scan streams")
	flag.Parse()
	if err := serve(*address, *cert, *key, *size, *count); err != nil {
		fmt.Fprintln(os.Stderr, "grpcgo:", err)
		os.Exit(1)
	}
}

func serve(address, cert, key string, size, count int) error {
	var options []grpc.ServerOption
	if cert != "" {
		secure, err := credentials.NewServerTLSFromFile(cert, key)
		if err != nil {
			return err
		}
		options = append(options, grpc.Creds(secure))
	}
	server := grpc.NewServer(options...)
	server.RegisterService(basic(size), struct{}{})
	server.RegisterService(scan(count), struct{}{})
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", address)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	return server.Serve(listener)
}

// basic is Get and Set.
func basic(size int) *grpc.ServiceDesc {
	value := bytes.Repeat([]byte("v"), size)
	get := func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		if err := decode(new(keyvaluev1.GetRequest)); err != nil {
			return nil, err
		}
		return &keyvaluev1.GetResponse{Found: true, Value: value}, nil
	}
	set := func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		if err := decode(new(keyvaluev1.SetRequest)); err != nil {
			return nil, err
		}
		return &keyvaluev1.SetResponse{}, nil
	}
	return &grpc.ServiceDesc{
		ServiceName: "prism.keyvalue.v1.KeyValueBasicInterface",
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Get", Handler: get}, {MethodName: "Set", Handler: set}},
	}
}

// scan is Scan. Its messages are those that the gateway is given to store, of 100 bytes each.
func scan(count int) *grpc.ServiceDesc {
	messages := make([]*keyvaluev1.ScanResponse, count)
	for i := range messages {
		messages[i] = &keyvaluev1.ScanResponse{Key: fmt.Sprintf("scan/%06d", i), Value: bytes.Repeat([]byte("v"), 85)}
	}
	handle := func(_ any, stream grpc.ServerStream) error {
		if err := stream.RecvMsg(new(keyvaluev1.ScanRequest)); err != nil {
			return err
		}
		for _, message := range messages {
			if err := stream.SendMsg(message); err != nil {
				return err
			}
		}
		return nil
	}
	return &grpc.ServiceDesc{
		ServiceName: "prism.keyvalue.v1.KeyValueScanInterface",
		HandlerType: (*any)(nil),
		Streams:     []grpc.StreamDesc{{StreamName: "Scan", Handler: handle, ServerStreams: true}},
	}
}
