package soak

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/prismgate/prism/internal/testcert"
	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/front"
	"github.com/prismgate/prism/runtime/listen"
	"github.com/prismgate/prism/runtime/rpc"
)

// childVariable has the settings of the child process; without it the test's binary is the test.
const childVariable = "PRISM_SOAK_SERVER"

// childSettings is what the child process is told.
type childSettings struct {
	Standard  bool
	Cert, Key string
	// Defect is what is wrong with the server; nothing, but to prove that it is noticed.
	Defect string
}

// addresses are where the child process listens.
type addresses struct{ Clear, TLS, Admin string }

// TestMain runs the tests, or is the server.
func TestMain(m *testing.M) {
	settings := os.Getenv(childVariable)
	if settings == "" {
		os.Exit(m.Run())
	}
	if err := serve(context.Background(), settings); err != nil {
		log.Fatal(err)
	}
}

// serve is the child process: it serves until its standard input ends.
func serve(ctx context.Context, text string) error {
	var settings childSettings
	if err := json.Unmarshal([]byte(text), &settings); err != nil {
		return err
	}
	certificate, err := tls.LoadX509KeyPair(settings.Cert, settings.Key)
	if err != nil {
		return err
	}
	all := routes(defects(settings.Defect)...)
	options := front.ServerOptions{Standard: settings.Standard}
	// A connection that ends with calls under way starts net/http's idle timer once more, and is kept in memory until that fires: it must while the test waits.
	options.Limits.IdleTimeout = 3 * time.Second
	plain := front.NewServer(all, options)
	options.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	secure := front.NewServer(all, options)
	admin := listen.New(listen.Config{HTTP: adminHandler(plain, secure)})
	var at addresses
	for _, s := range []struct {
		server  *listen.Server
		address *string
	}{{plain, &at.Clear}, {secure, &at.TLS}, {admin, &at.Admin}} {
		listener, err := listen.Open(ctx, "127.0.0.1:0")
		if err != nil {
			return err
		}
		*s.address = listener.Addr().String()
		go func() {
			if err := s.server.Serve(listener); !errors.Is(err, listen.ErrClosed) {
				log.Print(err)
			}
		}()
	}
	if err := json.NewEncoder(os.Stdout).Encode(at); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// adminHandler tells what the server holds: /metrics after the garbage is collected, /connections, and /goroutines in words.
func adminHandler(servers ...*listen.Server) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	metrics := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	mux := http.NewServeMux()
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, r *http.Request) {
		runtime.GC() // twice: pools give things up in two steps
		debug.FreeOSMemory()
		metrics.ServeHTTP(w, r)
	})
	mux.HandleFunc("/connections", func(w http.ResponseWriter, _ *http.Request) {
		var open int64
		for _, server := range servers {
			open += server.Stats().Open
		}
		fmt.Fprint(w, open)
	})
	mux.HandleFunc("/goroutines", func(w http.ResponseWriter, _ *http.Request) {
		_ = pprof.Lookup("goroutine").WriteTo(w, 1) // a peer that is gone does not read it
	})
	return mux
}

const (
	service = "test.soak.v1.Soak"
	// doHeader says what a handler does beside echoing: "wait" until the call ends, or send so many more bytes, "64x1000".
	doHeader = "x-do"
)

// methodOf is a method of the test service; its limit is what every method has.
func methodOf(shape rpc.Shape) *rpc.Method {
	name := map[rpc.Shape]string{rpc.ShapeUnary: "Unary", rpc.ShapeServerStream: "ServerStream", rpc.ShapeClientStream: "ClientStream", rpc.ShapeBidi: "Bidi"}[shape]
	message := func() proto.Message { return new(wrapperspb.BytesValue) }
	return &rpc.Method{Procedure: "/" + service + "/" + name, Service: service, Name: name, Shape: shape, NewRequest: message, NewResponse: message}
}

func routes(around ...rpc.Middleware) []rpc.Route {
	var all []rpc.Route
	for _, shape := range []rpc.Shape{rpc.ShapeUnary, rpc.ShapeServerStream, rpc.ShapeClientStream, rpc.ShapeBidi} {
		all = append(all, rpc.Route{Method: methodOf(shape), Serve: rpc.Chain(answer, around...)})
	}
	return all
}

// answer echoes every message, or the last one where there is one answer.
func answer(ctx context.Context, call *rpc.Call, stream rpc.Stream) error {
	do := call.Header.Get(doHeader)
	last := new(wrapperspb.BytesValue)
	for {
		request := new(wrapperspb.BytesValue)
		if err := stream.Receive(request); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		last = request
		if call.Method.Shape == rpc.ShapeBidi {
			if err := stream.Send(request); err != nil {
				return err
			}
		}
		if call.Method.Shape == rpc.ShapeUnary || call.Method.Shape == rpc.ShapeServerStream {
			break
		}
	}
	if do == "wait" {
		<-ctx.Done()
		return ctx.Err()
	}
	if do == "fail" {
		return fault.New(fault.NotFound, "as asked").WithReason("ASKED")
	}
	var times, size int
	if _, err := fmt.Sscanf(do, "%dx%d", &times, &size); err == nil && call.Method.Shape != rpc.ShapeUnary && call.Method.Shape != rpc.ShapeClientStream {
		more := wrapperspb.Bytes(make([]byte, size))
		for range times {
			if err := stream.Send(more); err != nil {
				return err
			}
		}
		return nil
	}
	if call.Method.Shape == rpc.ShapeBidi {
		return nil
	}
	return stream.Send(last)
}

// defects make a server leak, or answer wrongly, now and then.
func defects(name string) []rpc.Middleware {
	if name == "" {
		return nil
	}
	var mu sync.Mutex
	var kept [][]byte
	var files []*os.File
	return []rpc.Middleware{func(next rpc.ServeFunc) rpc.ServeFunc {
		return func(ctx context.Context, call *rpc.Call, stream rpc.Stream) error {
			err := next(ctx, call, stream)
			if err == nil {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			switch name {
			case "goroutines":
				go func() { select {} }()
			case "heap":
				kept = append(kept, bytes.Repeat([]byte{1}, 4<<20))
			case "descriptors":
				if file, err := os.Open(os.DevNull); err == nil && len(files) < 100 {
					files = append(files, file)
				}
			case "answers":
				return stream.Send(wrapperspb.Bytes(nil))
			}
			return err
		}
	}}
}

// child is the server's process, seen from the test.
type child struct {
	addresses
	trust *tls.Config
	http  *http.Client
}

// startChild starts the server, until the test ends.
func startChild(t *testing.T, settings childSettings) *child {
	t.Helper()
	authority := testcert.New(t)
	files := authority.Server(t)
	settings.Cert, settings.Key = files.Cert, files.Key
	text, err := json.Marshal(settings)
	require.NoError(t, err)
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), childVariable+"="+string(text))
	command.Stderr = os.Stderr
	stdin, err := command.StdinPipe()
	require.NoError(t, err)
	stdout, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = stdin.Close()
		if err := command.Wait(); err != nil {
			t.Errorf("the server: %v", err)
		}
	})
	c := &child{trust: authority.Trust(t), http: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}}
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	require.NoError(t, err, "the server does not start")
	require.NoError(t, json.Unmarshal(line, &c.addresses))
	return c
}

func (c *child) get(path string) (string, error) {
	response, err := c.http.Get("http://" + c.Admin + path)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// level is what the server holds.
type level struct {
	connections, goroutines, descriptors int
	// heap and resident are bytes.
	heap, resident int64
}

func (l level) String() string {
	return fmt.Sprintf("%d connections, %d goroutines, %d descriptors, heap %.1f MB, resident %.1f MB", l.connections, l.goroutines, l.descriptors, float64(l.heap)/1e6, float64(l.resident)/1e6)
}

// level asks the server what it holds.
func (c *child) level(t *testing.T) level {
	t.Helper()
	var l level
	open, err := c.get("/connections")
	require.NoError(t, err)
	_, err = fmt.Sscan(open, &l.connections)
	require.NoError(t, err, open)
	text, err := c.get("/metrics")
	require.NoError(t, err)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	require.NoError(t, err)
	gauge := func(name string) int64 {
		require.Contains(t, families, name)
		return int64(families[name].GetMetric()[0].GetGauge().GetValue())
	}
	l.goroutines = int(gauge("go_goroutines"))
	l.heap = gauge("go_memstats_heap_inuse_bytes")
	l.resident = gauge("process_resident_memory_bytes")
	l.descriptors = int(gauge("process_open_fds"))
	return l
}
