package client_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net/http"

	"github.com/prismgate/prism/client"
	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	"github.com/prismgate/prism/gen/go/prism/keyvalue/v1/keyvaluerpc"
	"github.com/prismgate/prism/runtime/fault"
)

// The examples need a gateway, such as `prism serve`; they are compiled and not run.

func Example() {
	ctx := context.Background()
	prism, err := client.Dial("127.0.0.1:8980")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = prism.Close() }()
	videos := prism.Namespace("default").KeyValue()
	if _, err := videos.Set(ctx, "intro", []byte("...")); err != nil {
		log.Fatal(err)
	}
	for entry, err := range videos.Scan(ctx, "in") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(entry.GetKey(), len(entry.GetValue()))
	}
}

// An error carries a code, and often a reason that is stable enough for programs.
func ExampleDial_errors() {
	prism, err := client.Dial("http://127.0.0.1:8980")
	if err != nil {
		log.Fatal(err)
	}
	_, err = prism.Namespace("nowhere").KeyValue().Get(context.Background(), "intro")
	var failure *fault.Error
	if errors.As(err, &failure) && failure.Code == fault.NotFound {
		fmt.Println(failure.Reason(), failure.Message)
	}
}

func ExampleWithProtocol() {
	// Through a proxy that knows HTTP/1.1 only.
	prism, err := client.Dial("http://127.0.0.1:8980", client.WithProtocol(client.Connect), client.WithHTTP1())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(prism.Namespace("default").KeyValue().Exists(context.Background(), "intro"))
}

func ExampleWithTLS() {
	pair, err := tls.LoadX509KeyPair("cert.pem", "key.pem")
	if err != nil {
		log.Fatal(err)
	}
	prism, err := client.Dial("prism.example.com:8980", client.WithTLS(&tls.Config{Certificates: []tls.Certificate{pair}}))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(prism.Namespace("default").KeyValue().Exists(context.Background(), "intro"))
}

func ExampleWithHTTPClient() {
	transport := &http.Transport{TLSClientConfig: &tls.Config{ServerName: "prism.example.com"}, ForceAttemptHTTP2: true}
	prism, err := client.Dial("https://10.0.0.7:443", client.WithHTTPClient(&http.Client{Transport: transport}))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(prism.Namespace("default").KeyValue().Exists(context.Background(), "intro"))
}

// A client that another module has generated takes the connection of a namespace.
func ExampleClient_Conn() {
	prism, err := client.Dial("127.0.0.1:8980")
	if err != nil {
		log.Fatal(err)
	}
	basic := keyvaluerpc.NewBasicClient(prism.Conn("default"))
	answer, err := basic.Get(context.Background(), &keyvaluev1.GetRequest{Key: "intro"})
	fmt.Println(answer.GetFound(), err)
}
