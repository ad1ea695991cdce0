// Command conformance runs the connectrpc conformance suite on a front: every protocol, encoding, compression and shape of call, over HTTP/1.1 and HTTP/2, in clear and
// with TLS. Anything but all cases passed is an error; there is no list of cases that may fail.
//
// The server under test is the folder server. Its schema is the suite's own, taken from the module cache; the tables that it serves are what our plugin generates from it.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
)

const (
	here   = "internal/interop/conformance"
	build  = ".build/conformance" // what is generated and built
	tools  = "-modfile=tools/conformance/go.mod"
	suite  = "connectrpc.com/conformance"
	module = "conformance.test/server"
	// verdict is what the suite's own reference server gets with the features of config.yaml.
	verdict = "5534 passed, 0 failed"
)

func main() {
	log.SetFlags(0)
	front := flag.String("front", "own", "what serves HTTP/2: own or standard")
	only := flag.String("only", "", "run the cases of a `pattern`, such as '**/server-stream/**', with traces of those that fail")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *front, *only); err != nil {
		log.Fatalln("conformance:", err)
	}
}

func run(ctx context.Context, front, only string) error {
	folder := filepath.Join(build, front)
	server := []string{filepath.Join(folder, "server")}
	switch front {
	case "own":
	case "standard":
		server = append(server, "-standard")
	default:
		return fmt.Errorf("the front is %q; it must be own or standard", front)
	}
	if err := buildServer(ctx, filepath.Join(folder, "module"), server[0]); err != nil {
		return fmt.Errorf("the server under test: %w", err)
	}
	args := []string{"tool", tools, "connectconformance", "--conf", here + "/config.yaml", "--mode", "server"}
	if only != "" {
		args = append(args, "--run", only, "--trace")
	}
	var output bytes.Buffer
	if err := command(ctx, io.MultiWriter(os.Stdout, &output), append(append(args, "--"), server...)...); err != nil {
		return err
	}
	if last := lastLine(output.String()); only == "" && last != verdict {
		return fmt.Errorf("the suite ends with %q, and not with %q", last, verdict)
	}
	return nil
}

// buildServer makes a module of the server's files and of what is generated from the suite's schema, and builds it with the requirements of our go.mod.
func buildServer(ctx context.Context, folder, program string) error {
	if err := errors.Join(os.RemoveAll(folder), os.MkdirAll(folder, 0o755)); err != nil {
		return err
	}
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	sources, err := filepath.Glob(here + "/server/*.go")
	if err != nil {
		return err
	}
	for _, source := range append(sources, "go.mod", "go.sum") {
		if err := copyFile(source, filepath.Join(folder, filepath.Base(source))); err != nil {
			return err
		}
	}
	requirements := filepath.Join(folder, "go.mod")
	err = command(ctx, os.Stdout, "mod", "edit", "-module="+module,
		"-require=github.com/prismgate/prism@v0.0.0", "-replace=github.com/prismgate/prism="+root, requirements)
	if err != nil {
		return err
	}
	if err := generate(ctx, folder); err != nil {
		return err
	}
	absolute, err := filepath.Abs(program)
	if err != nil {
		return err
	}
	return command(ctx, os.Stdout, "-C", folder, "build", "-o", absolute, ".")
}

// generate generates Go from the suite's schema.
func generate(ctx context.Context, folder string) error {
	var output bytes.Buffer
	if err := command(ctx, &output, "mod", "download", tools, "-json", suite); err != nil {
		return err
	}
	var downloaded struct{ Dir string }
	if err := json.Unmarshal(output.Bytes(), &downloaded); err != nil {
		return err
	}
	schema := filepath.Join(downloaded.Dir, "proto")
	goPlugin := object{"local": []string{"go", "tool", "-modfile=tools/go.mod", "protoc-gen-go"}, "out": folder, "opt": "module=" + module}
	ours := object{"local": []string{"go", "run", "./protoc-gen-prism"}, "out": folder, "opt": []string{"module=" + module, "root=" + module + "/gen"}}
	// The files without services hold to no rule of ours, and our plugin has nothing to make of them.
	return errors.Join(
		buf(ctx, schema, goPlugin, "config", "server_compat", "service"),
		buf(ctx, schema, ours, "service"),
	)
}

type object = map[string]any

// buf runs a plugin on some files of the suite's schema.
func buf(ctx context.Context, schema string, plugin object, files ...string) error {
	template, err := json.Marshal(object{
		"version": "v2",
		"managed": object{"enabled": true, "override": []object{{"file_option": "go_package_prefix", "value": module + "/gen"}}},
		"plugins": []object{plugin},
	})
	if err != nil {
		return err
	}
	args := []string{"tool", "-modfile=tools/go.mod", "buf", "generate", schema, "--template", string(template)}
	for _, file := range files {
		args = append(args, "--path", filepath.Join(schema, "connectrpc/conformance/v1", file+".proto"))
	}
	return command(ctx, os.Stdout, args...)
}

// command runs the go command.
func command(ctx context.Context, output io.Writer, args ...string) error {
	c := exec.CommandContext(ctx, "go", args...)
	c.Stdout, c.Stderr = output, os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("go %s: %w", strings.Join(args[:2], " "), err)
	}
	return nil
}

func copyFile(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o644)
}

// lastLine is the last line that is not empty.
func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
