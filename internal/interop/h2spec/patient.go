package main

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"

	"github.com/prismgate/prism/internal/interop/subject"
	"github.com/prismgate/prism/runtime/grpcserver"
	"github.com/prismgate/prism/runtime/h2"
	"github.com/prismgate/prism/runtime/listen"
)

// startPatient serves a handler that reads a request to its end before it answers, on a front, until stop is called.
//
// The suite is meant for such a server: a case that sends HEADERS, and in a later write what makes a stream error of the request, has no meaning once the request was
// answered. The gateway answers what it does not know at once, and is now and then faster than the second write.
func startPatient(ctx context.Context, o subject.Options) (address string, stop func() error, err error) {
	listener, err := listen.Open(ctx, "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	config := listen.Config{HTTP: http.HandlerFunc(patient)}
	if o.Front == subject.Own {
		config.HTTP2 = h2.NewServer(grpcserver.New(nil, config.HTTP, nil), h2.Options{})
	}
	if o.Certificate != nil {
		config.TLS = &tls.Config{Certificates: []tls.Certificate{o.Certificate.Pair}}
	}
	server := listen.New(config)
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(listener) }()
	return listener.Addr().String(), func() error {
		err := server.Close()
		<-served
		return err
	}, nil
}

func patient(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	http.NotFound(w, r)
}
