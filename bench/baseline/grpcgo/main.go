// Command grpcgo is a bare grpc-go server on its own transport. It answers every KeyValue Get with the same 100 bytes; the CPU that it takes for a call is
// the unit E that later bars are multiples of.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"os"

	"google.golang.org/grpc"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

func main() {
	address := flag.String("listen", "127.0.0.1:0", "address to listen on")
	flag.Parse()
	if err := serve(*address); err != nil {
		fmt.Fprintln(os.Stderr, "grpcgo:", err)
		os.Exit(1)
	}
}

func serve(address string) error {
	value := bytes.Repeat([]byte("v"), 100)
	get := func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		if err := decode(new(keyvaluev1.GetRequest)); err != nil {
			return nil, err
		}
		return &keyvaluev1.GetResponse{Found: true, Value: value}, nil
	}
	server := grpc.NewServer()
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "prism.keyvalue.v1.KeyValueBasicInterface",
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Get", Handler: get}},
	}, struct{}{})
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", address)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	return server.Serve(listener)
}
