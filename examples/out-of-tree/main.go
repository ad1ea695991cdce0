// Command acme serves its own interface from its own backend with Prism's runtime, and calls it once.
package main

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/prismgate/prism/client"
	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/gateway"
	"github.com/prismgate/prism/runtime/health"
	"github.com/prismgate/prism/runtime/listen"
	"github.com/prometheus/client_golang/prometheus"

	"example.com/acme/gen/registry"
	"example.com/acme/gen/sdk"
	"example.com/acme/gen/wiring"
)

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	catalog, err := registry.Catalog()
	if err != nil {
		return err
	}
	metrics, err := gateway.NewMetrics(prometheus.NewRegistry())
	if err != nil {
		return err
	}
	g := gateway.New(catalog, logger, metrics)
	config := &configv1.Config{Namespaces: []*configv1.Namespace{{Name: "shop", Backend: "abacus"}}}
	opened, err := g.Open(ctx, config, wiring.Backends())
	if err != nil {
		return err
	}
	defer func() { _ = opened.Close(ctx) }()
	g.Use(opened)

	listener, err := listen.Open(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	state := health.NewState(gateway.Services(catalog)...)
	state.Set(true)
	server := gateway.NewFront(gateway.Routes(g, state), gateway.FrontOptions{Log: logger})
	go func() { _ = server.Serve(listener) }()
	defer func() { _ = server.Close() }()

	prism, err := client.Dial(listener.Addr().String())
	if err != nil {
		return err
	}
	counter := sdk.NewNamespace(prism.Conn("shop")).Counter()
	if _, err := counter.Increment(ctx, "visits", 1); err != nil {
		return err
	}
	answer, err := counter.Increment(ctx, "visits", 2)
	if err != nil {
		return err
	}
	fmt.Println(answer.GetValue())
	return nil
}
