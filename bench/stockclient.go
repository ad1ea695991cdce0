package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

// Servers are prepared and checked with stock clients before they are measured: h2load looks at HTTP status codes and counts bytes, but reads neither messages nor
// gRPC codes.

// verbatim is a codec that leaves messages as they are.
type verbatim struct{}

func (verbatim) Marshal(message any) ([]byte, error) { return *message.(*[]byte), nil }
func (verbatim) Name() string                        { return "proto" }
func (verbatim) Unmarshal(data []byte, message any) error {
	*message.(*[]byte) = bytes.Clone(data)
	return nil
}

// dialStock connects with grpc-go. A message of 1 MiB and its frame are within the largest that it takes by default, 4 MiB.
func (s *server) dialStock(options ...grpc.CallOption) (*grpc.ClientConn, error) {
	secure := insecure.NewCredentials()
	if s.tls != nil {
		secure = credentials.NewTLS(s.tls)
	}
	return grpc.NewClient(s.address, grpc.WithTransportCredentials(secure), grpc.WithDefaultCallOptions(options...))
}

// inNamespace makes the calls of a stock client address a namespace.
func inNamespace(ctx context.Context, name string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, namespaceHeader, name)
}

// prepare stores in a gateway what the exchanges need, and checks that the server answers each of them rightly.
func (s *server) prepare(ctx context.Context, exchanges ...*exchange) error {
	if err := s.prepareIn(ctx, []string{namespace}, exchanges...); err != nil {
		return err
	}
	for _, x := range exchanges {
		if len(x.responses) == 1 && s.speaksConnect() {
			if err := s.checkConnect(ctx, x); err != nil {
				return fmt.Errorf("%s: %s: %w", s.name, x.procedure, err)
			}
		}
	}
	return nil
}

// prepareIn does so in some namespaces, with gRPC alone.
func (s *server) prepareIn(ctx context.Context, namespaces []string, exchanges ...*exchange) error {
	if s.isGateway() {
		conn, err := s.dialStock(grpc.ForceCodec(verbatim{}))
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }() // everything has been answered
		for _, name := range namespaces {
			for _, x := range exchanges {
				for _, store := range x.stored {
					var answer []byte
					if err := conn.Invoke(inNamespace(ctx, name), store.procedure, &store.request, &answer); err != nil {
						return fmt.Errorf("%s: %s in %s: %w", s.name, store.procedure, name, err)
					}
				}
			}
		}
	}
	return s.checkIn(ctx, namespaces, exchanges...)
}

// checkIn checks that the server answers the exchanges rightly in each of some namespaces.
func (s *server) checkIn(ctx context.Context, namespaces []string, exchanges ...*exchange) error {
	conn, err := s.dialStock(grpc.ForceCodec(verbatim{}))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // everything has been answered
	for _, name := range namespaces {
		for _, x := range exchanges {
			got, err := callGRPC(inNamespace(ctx, name), conn, x)
			if err == nil {
				err = x.check(got)
			}
			if err != nil {
				return fmt.Errorf("%s: %s in %s: %w", s.name, x.procedure, name, err)
			}
		}
	}
	return nil
}

// callGRPC makes a call, unary or with a stream of answers: on the wire they are the same.
func callGRPC(ctx context.Context, conn *grpc.ClientConn, x *exchange) ([][]byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, x.procedure)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(stream.SendMsg(&x.request), stream.CloseSend()); err != nil {
		return nil, err
	}
	var answers [][]byte
	for {
		var answer []byte
		switch err := stream.RecvMsg(&answer); {
		case errors.Is(err, io.EOF):
			return answers, nil
		case err != nil:
			return nil, err
		}
		answers = append(answers, answer)
	}
}

// checkConnect makes the call once with Connect on HTTP/1.1 and once on HTTP/2.
func (s *server) checkConnect(ctx context.Context, x *exchange) error {
	for _, version := range []int{1, 2} {
		transport := &http.Transport{Protocols: new(http.Protocols), TLSClientConfig: s.tls.Clone()}
		transport.Protocols.SetHTTP1(version == 1)
		transport.Protocols.SetUnencryptedHTTP2(version == 2 && s.tls == nil)
		transport.Protocols.SetHTTP2(version == 2 && s.tls != nil)
		ask, err := http.NewRequestWithContext(ctx, http.MethodPost, s.scheme()+"://"+s.address+x.procedure, bytes.NewReader(x.request))
		if err != nil {
			return err
		}
		ask.Header.Set("Content-Type", "application/proto")
		ask.Header.Set("Connect-Protocol-Version", "1")
		ask.Header.Set(namespaceHeader, namespace)
		got, err := fetch(&http.Client{Transport: transport}, ask)
		transport.CloseIdleConnections()
		if err == nil {
			err = x.check([][]byte{got})
		}
		if err != nil {
			return fmt.Errorf("with Connect on HTTP/%d: %w", version, err)
		}
	}
	return nil
}

// fetch makes a request whose only right answer is 200, and returns the body.
func fetch(client *http.Client, ask *http.Request) ([]byte, error) {
	reply, err := client.Do(ask)
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
