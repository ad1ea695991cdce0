// Command connectgo is a bare connect-go server: what a gateway on net/http and connect-go is measured against. It answers every KeyValue Get with the same
// 100 bytes, over gRPC, gRPC-Web and Connect, on HTTP/1.1 and HTTP/2 in clear.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"

	"connectrpc.com/connect"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

const getProcedure = "/prism.keyvalue.v1.KeyValueBasicInterface/Get"

func main() {
	address := flag.String("listen", "127.0.0.1:0", "address to listen on")
	flag.Parse()
	if err := serve(*address); err != nil {
		fmt.Fprintln(os.Stderr, "connectgo:", err)
		os.Exit(1)
	}
}

func serve(address string) error {
	value := bytes.Repeat([]byte("v"), 100)
	get := func(context.Context, *connect.Request[keyvaluev1.GetRequest]) (*connect.Response[keyvaluev1.GetResponse], error) {
		return connect.NewResponse(&keyvaluev1.GetResponse{Found: true, Value: value}), nil
	}
	mux := http.NewServeMux()
	mux.Handle(getProcedure, connect.NewUnaryHandler(getProcedure, get))
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", address)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	server := &http.Server{Handler: mux, Protocols: protocols} // no time limits: it is measured bare, on the loopback, by one client
	return server.Serve(listener)
}
