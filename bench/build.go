package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// prepare finds the tools and builds the servers.
func (b *benchmark) prepare(ctx context.Context) error {
	if !installed("h2load") {
		return errors.New("h2load is not installed: apt-get install nghttp2-client")
	}
	gomod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return fmt.Errorf("go env GOMOD: %w", err)
	}
	b.root = filepath.Dir(strings.TrimSpace(string(gomod)))
	b.bin = filepath.Join(b.root, ".build", "bench")
	if err := os.MkdirAll(b.bin, 0o755); err != nil {
		return err
	}
	packages := []string{"./bench/baseline/connectgo", "./bench/baseline/grpcgo", "./bench/baseline/postgresget", "./bench/baseline/natspublish", "./bench/baseline/queuecycles"}
	if b.gateway == "" {
		b.gateway = filepath.Join(b.bin, "prism")
		packages = append(packages, "./cmd/prism")
	}
	if err := b.goTool(ctx, append([]string{"build", "-o", b.bin + "/"}, packages...)...); err != nil {
		return err
	}
	if b.certificate, err = newCertificate(b.bin); err != nil {
		return err
	}
	if b.cores, err = allowedCores(); err != nil {
		return err
	}
	return nil
}

// goTool runs the go command in the module's folder.
func (b *benchmark) goTool(ctx context.Context, args ...string) error {
	return b.tool(ctx, "go", args...)
}

// tool runs a command in the module's folder, on every core.
func (b *benchmark) tool(ctx context.Context, name string, args ...string) error {
	command := exec.CommandContext(ctx, name, args...)
	command.Dir, command.Stdout, command.Stderr = b.root, os.Stderr, os.Stderr
	start := command.Start
	if len(b.cores) > 0 {
		start = func() error { return place{cores: b.cores}.start(command) }
	}
	err := start()
	if err == nil {
		err = command.Wait()
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return nil
}

// tonicBinary is where cargo puts the server.
func (b *benchmark) tonicBinary() string {
	return filepath.Join(b.bin, "tonic", "release", "prism-bench-tonic")
}

// available returns the servers that can be measured. That is all of them but tonic where there is no cargo; then the report says so.
func (b *benchmark) available(ctx context.Context, name string, servers []string) ([]string, error) {
	if !slices.Contains(servers, tonic) {
		return servers, nil
	}
	if !installed("cargo") {
		b.report.command(name, tonic+" is not measured: cargo is missing")
		return slices.DeleteFunc(slices.Clone(servers), func(s string) bool { return s == tonic }), nil
	}
	err := b.tool(ctx, "cargo", "build", "--quiet", "--release", "--locked",
		"--manifest-path", filepath.Join("bench", "baseline", "tonic", "Cargo.toml"), "--target-dir", filepath.Join(b.bin, "tonic"))
	return servers, err
}

func installed(name string) bool {
	_, err := exec.LookPath(name)
	return err == nil
}
