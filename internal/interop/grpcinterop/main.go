// Command grpcinterop runs gRPC's own interop client on both fronts, in clear and with TLS: each of its cases that needs no credentials, and its two soaks.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"time"

	"github.com/prismgate/prism/internal/interop/subject"
	"github.com/prismgate/prism/runtime/front"
	"github.com/prismgate/prism/runtime/listen"
)

// caseTimeout bounds one case; the soaks take the longest, seconds.
const caseTimeout = time.Minute

// cases are the client's, from empty_unary to unimplemented_service, but for those that need credentials of a cloud. pick_first_unary, which comes later, fails on
// grpc-go's own server too.
func cases() []string {
	return []string{
		"empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream", "timeout_on_sleeping_server",
		"cancel_after_begin", "cancel_after_first_response", "status_code_and_message", "special_status_message", "custom_metadata",
		"unimplemented_method", "unimplemented_service",
		"rpc_soak", "channel_soak",
	}
}

// soakFlags make the soaks larger than they are by default, which is 10 calls on one thread.
func soakFlags() []string {
	return []string{"--soak_iterations=200", "--soak_num_threads=4", "--soak_overall_timeout_seconds=40"}
}

func main() {
	log.SetFlags(0)
	client := flag.String("client", "", "the interop client's `program`")
	front := flag.String("front", "", "own or standard; both when empty")
	only := flag.String("only", "", "run one `case`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := runAll(ctx, *client, *front, *only); err != nil {
		log.Fatalf("grpcinterop: %v", err)
	}
}

func runAll(ctx context.Context, client, front, only string) error {
	fronts, err := subject.Fronts(front)
	if err != nil {
		return err
	}
	run := cases()
	if only != "" {
		run = []string{only}
	}
	dir, err := os.MkdirTemp("", "prism-interop-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	certificate, err := subject.NewCertificate(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, f := range fronts {
		for _, secure := range []*subject.Certificate{nil, certificate} {
			errs = append(errs, against(ctx, client, f, secure, run))
		}
	}
	return errors.Join(errs...)
}

// against serves the test service on a front and runs cases on it.
func against(ctx context.Context, client string, tested subject.Front, secure *subject.Certificate, run []string) error {
	o := front.ServerOptions{Standard: tested == subject.Standard}
	name := string(tested) + ", in clear"
	if secure != nil {
		o.TLS = &tls.Config{Certificates: []tls.Certificate{secure.Pair}}
		name = string(tested) + ", TLS"
	}
	listener, err := listen.Open(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := front.NewServer(routes(), o)
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(listener) }()
	var errs []error
	for _, c := range run {
		start := time.Now()
		if err := runCase(ctx, client, c, listener.Addr(), secure); err != nil {
			errs = append(errs, fmt.Errorf("%s: %s: %w", name, c, err))
			fmt.Fprintf(os.Stdout, "%-20s %-28s FAILED\n", name+":", c)
			continue
		}
		fmt.Fprintf(os.Stdout, "%-20s %-28s ok %6.2f s\n", name+":", c, time.Since(start).Seconds())
	}
	fmt.Fprintf(os.Stdout, "%-20s %d cases, %d passed, %d failed\n", name+":", len(run), len(run)-len(errs), len(errs))
	// Every call has ended, so that nothing is left to wait for.
	draining, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := server.Shutdown(draining); err != nil {
		errs = append(errs, fmt.Errorf("%s: calls are left over: %w", name, err))
	}
	<-served
	return errors.Join(errs...)
}

func runCase(ctx context.Context, client, name string, address net.Addr, secure *subject.Certificate) error {
	ctx, cancel := context.WithTimeout(ctx, caseTimeout)
	defer cancel()
	_, port, err := net.SplitHostPort(address.String())
	if err != nil {
		return err
	}
	args := []string{"--server_host=127.0.0.1", "--server_port=" + port, "--test_case=" + name}
	if slices.Contains([]string{"rpc_soak", "channel_soak"}, name) {
		args = append(args, soakFlags()...)
	}
	if secure != nil {
		args = append(args, "--use_tls", "--use_test_ca", "--ca_file="+secure.AuthorityFile)
	}
	output, err := exec.CommandContext(ctx, client, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, output)
	}
	return nil
}
