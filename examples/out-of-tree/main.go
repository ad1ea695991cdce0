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
	"github.com/prismgate/prism/runtime/server"

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
	config := &configv1.Config{
		Server:     &configv1.Server{Listen: "127.0.0.1:0", Admin: "127.0.0.1:0"},
		Namespaces: []*configv1.Namespace{{Name: "shop", Backend: "abacus"}},
	}
	gateway, err := server.Start(ctx, server.Options{Catalog: catalog, Backends: wiring.Backends(), Load: server.Fixed(config), Log: logger})
	if err != nil {
		return err
	}
	defer func() { _ = gateway.Shutdown(ctx) }()

	prism, err := client.Dial(gateway.Front().Addresses()[0].Address)
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
