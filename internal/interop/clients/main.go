// Command clients has the clients that people use call a gateway: grpc-go and connect-go in this process, and in their own grpcio, connect-es, tonic, curl, grpcurl, buf and
// Chromium. Each makes the calls that calls.md lists, in clear and with TLS.
//
// A client in another language is a folder with a run.sh, which fetches what it needs, once, and calls. Nothing is skipped: a tool that is missing fails.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prismgate/prism/internal/interop/subject"
)

// clientTimeout bounds one client, what it fetches and builds included.
const clientTimeout = 8 * time.Minute

// world is what a client may know.
type world struct {
	// clear and secure are the addresses of two gateways, and certificate is what the second one has.
	clear, secure string
	certificate   *subject.Certificate
	// cache is a folder that outlives the run, and tools one that has grpcurl and buf.
	cache, tools string
}

// client is somebody who calls.
type client struct {
	name string
	run  func(ctx context.Context, w world) error
}

func clients() []client {
	return []client{
		{"grpc-go", grpcGo},
		{"connect-go", connectGo},
		{"curl", curl},
		{"grpcurl", grpcurl},
		{"buf", bufCurl},
		{"python", script("python")},
		{"node", script("node")},
		{"chromium", script("chromium")},
		{"tonic", script("tonic")},
	}
}

func main() {
	log.SetFlags(0)
	prism := flag.String("prism", "bin/prism", "the gateway's `program`")
	front := flag.String("front", "", "own or standard; both when empty")
	only := flag.String("only", "", "the clients to run, with `commas` between; all but tonic when empty")
	w := world{}
	flag.StringVar(&w.cache, "cache", ".build/interop", "a `folder` to keep what clients fetch")
	flag.StringVar(&w.tools, "tools", ".build/interop/bin", "the `folder` that has grpcurl and buf")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := runAll(ctx, w, *prism, *front, *only); err != nil {
		log.Fatalf("clients: %v", err)
	}
}

func runAll(ctx context.Context, w world, prism, front, only string) error {
	fronts, err := subject.Fronts(front)
	if err != nil {
		return err
	}
	chosen, err := choose(only)
	if err != nil {
		return err
	}
	if w.cache, err = filepath.Abs(w.cache); err != nil {
		return err
	}
	if err := os.MkdirAll(w.cache, 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "prism-clients-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if w.certificate, err = subject.NewCertificate(dir); err != nil {
		return err
	}
	var errs []error
	for _, f := range fronts {
		errs = append(errs, against(ctx, w, subject.Options{Prism: prism, Front: f}, chosen))
	}
	return errors.Join(errs...)
}

// choose returns the clients that are named.
func choose(only string) ([]client, error) {
	all := clients()
	if only == "" {
		return slices.DeleteFunc(all, func(c client) bool { return c.name == "tonic" }), nil
	}
	var chosen []client
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(all, func(c client) bool { return c.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no client %q", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// against starts two gateways on one front and has clients call them.
func against(ctx context.Context, w world, o subject.Options, chosen []client) (err error) {
	inClear, err := subject.Start(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, inClear.Stop()) }()
	o.Certificate = w.certificate
	secure, err := subject.Start(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, secure.Stop()) }()
	w.clear, w.secure = inClear.Address, secure.Address
	var errs []error
	for _, c := range chosen {
		start := time.Now()
		err := call(ctx, c, w)
		outcome := "ok"
		if err != nil {
			outcome = "FAILED"
			errs = append(errs, fmt.Errorf("%s: %s: %w", o.Front, c.name, err))
		}
		fmt.Fprintf(os.Stdout, "%-9s %-11s %-6s %6.2f s\n", string(o.Front)+":", c.name, outcome, time.Since(start).Seconds())
	}
	fmt.Fprintf(os.Stdout, "%-9s %d clients, %d passed, %d failed\n", string(o.Front)+":", len(chosen), len(chosen)-len(errs), len(errs))
	return errors.Join(errs...)
}

func call(ctx context.Context, c client, w world) error {
	ctx, cancel := context.WithTimeout(ctx, clientTimeout)
	defer cancel()
	return c.run(ctx, w)
}

// script runs the run.sh of a folder, which finds what it needs in the environment.
func script(folder string) func(context.Context, world) error {
	return func(ctx context.Context, w world) error {
		_, port, err := net.SplitHostPort(w.secure)
		if err != nil {
			return err
		}
		command := exec.CommandContext(ctx, "sh", filepath.Join("internal/interop/clients", folder, "run.sh"))
		command.Env = append(os.Environ(),
			"PRISM_CLEAR="+w.clear, "PRISM_SECURE=localhost:"+port, "PRISM_CA="+w.certificate.AuthorityFile, "PRISM_CERT="+w.certificate.CertFile,
			"PRISM_CACHE="+w.cache, "PRISM_TOOLS="+w.tools,
		)
		text, err := command.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", command, err, text)
		}
		_, err = os.Stdout.Write(text)
		return err
	}
}
