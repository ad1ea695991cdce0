// Command server is a conformance server: it reads from standard input how the suite wants it, serves ConformanceService so, and says where on standard output. It ends
// when it is told to terminate.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"google.golang.org/protobuf/proto"

	conformancev1 "conformance.test/server/gen/connectrpc/conformance/v1"
	"conformance.test/server/gen/connectrpc/conformance/v1/conformancerpc"

	"github.com/prismgate/prism/runtime/front"
	"github.com/prismgate/prism/runtime/rpc"
)

func main() {
	standard := flag.Bool("standard", false, "serve HTTP/2 with net/http in the place of our own front")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, *standard); err != nil {
		log.Fatalln("conformance server:", err)
	}
}

func run(ctx context.Context, standard bool) error {
	var request conformancev1.ServerCompatRequest
	if err := read(os.Stdin, &request); err != nil {
		return err
	}
	options := front.ServerOptions{Standard: standard, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	var certificate []byte
	if request.GetUseTls() {
		var err error
		if options.TLS, err = tlsConfig(&request); err != nil {
			return err
		}
		certificate = request.GetServerCreds().GetCert()
	}
	server := front.NewServer(routes(int(request.GetMessageReceiveLimit())), options)
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	address := listener.Addr().(*net.TCPAddr)
	response := &conformancev1.ServerCompatResponse{Host: address.IP.String(), Port: uint32(address.Port), PemCert: certificate}
	if err := write(os.Stdout, response); err != nil {
		return err
	}
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = server.Shutdown(last) // the suite has what it asked for, so whoever is left has given up
	return nil
}

// routes are those of the service, but for the method that is not to be implemented: that is for the transport to say.
func routes(limit int) []rpc.Route {
	var routes []rpc.Route
	for _, handler := range conformancerpc.ConformanceServiceHandlers(service{}) {
		if handler.Method.Name == "Unimplemented" {
			continue
		}
		limited := *handler.Method // the limit is the run's, and the table the schema's
		limited.MaxMessageBytes = limit
		handler.Method = &limited
		routes = append(routes, rpc.Route{Method: &limited, Serve: func(ctx context.Context, _ *rpc.Call, stream rpc.Stream) error {
			return handler.Serve(ctx, stream)
		}})
	}
	return routes
}

func tlsConfig(request *conformancev1.ServerCompatRequest) (*tls.Config, error) {
	pair, err := tls.X509KeyPair(request.GetServerCreds().GetCert(), request.GetServerCreds().GetKey())
	if err != nil {
		return nil, err
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if trusted := request.GetClientTlsCert(); len(trusted) > 0 {
		config.ClientCAs = x509.NewCertPool()
		if !config.ClientCAs.AppendCertsFromPEM(trusted) {
			return nil, errors.New("the clients' certificate is not PEM")
		}
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return config, nil
}

// read reads a message that its size stands before, in four bytes.
func read(from io.Reader, message proto.Message) error {
	var size uint32
	if err := binary.Read(from, binary.BigEndian, &size); err != nil {
		return err
	}
	const most = 1 << 20
	if size > most {
		return fmt.Errorf("a request of %d bytes", size)
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(from, data); err != nil {
		return err
	}
	return proto.Unmarshal(data, message)
}

// write writes a message as read reads it.
func write(to io.Writer, message proto.Message) error {
	data, err := proto.Marshal(message)
	if err != nil {
		return err
	}
	_, err = to.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), data...))
	return err
}
