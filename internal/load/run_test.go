package load

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEveryProtocolReachesTheGateway(t *testing.T) {
	t.Parallel()
	s := serve(t, "127.0.0.1:0")
	keys := Keys{Prefix: "k", Count: 50, Distribution: Sequential}
	fill := newPlan(keys, Share{template(t, "keyvalue_basic", "Set", `{"key": "{{key}}", "value": "{{bytes 100}}"}`, keys), 1})
	fill.Calls = int64(keys.Count)
	require.EqualValues(t, 50, mustRun(t, fill, target(t, s.address)).OK)
	require.EqualValues(t, 50, s.ok.Load())
	for _, protocol := range []Protocol{GRPC, Connect, ConnectHTTP1} {
		t.Run(string(protocol), func(t *testing.T) {
			before := s.ok.Load()
			plan := newPlan(keys, get(t, keys), Share{template(t, "keyvalue_basic", "Exists", `{"key": "{{key}}"}`, keys), 1})
			plan.Protocol, plan.Deadline = protocol, time.Minute
			if protocol == ConnectHTTP1 {
				plan.Streams = 1
			}
			got := mustRun(t, plan, target(t, s.address))
			require.EqualValues(t, plan.Calls, got.OK)
			require.EqualValues(t, plan.Calls, got.Messages)
			require.EqualValues(t, plan.Calls, s.ok.Load()-before)
			require.EqualValues(t, plan.Calls, got.Latency.Count)
			require.Positive(t, got.Latency.P50)
			require.GreaterOrEqual(t, got.Latency.Max, got.Latency.P99)
			require.Positive(t, got.Rate)
			if protocol == ConnectHTTP1 {
				return
			}
			// Every key was stored by the first run, and is streamed.
			plan = newPlan(keys, Share{template(t, "keyvalue_scan", "ScanKeys", `{"prefix": "k"}`, keys), 1})
			plan.Protocol, plan.Calls = protocol, 40
			got = mustRun(t, plan, target(t, s.address))
			require.EqualValues(t, 40, got.OK)
			require.EqualValues(t, 40*keys.Count, got.Messages)
		})
	}
}

func TestErrorsAreCountedByCode(t *testing.T) {
	t.Parallel()
	s := serve(t, "127.0.0.1:0")
	keys := Keys{Count: 1}
	for _, protocol := range []Protocol{GRPC, Connect, ConnectHTTP1} {
		for _, share := range []Share{
			{template(t, "keyvalue_basic", "Get", `{}`, keys), 1},
			{template(t, "keyvalue_scan", "ScanKeys", `{"pageSize": 2000000}`, keys), 1},
		} {
			if protocol == ConnectHTTP1 && share.Template.stream {
				continue
			}
			plan := newPlan(keys, share)
			plan.Protocol, plan.Streams, plan.Calls = protocol, 1, 30
			got, err := Run(t.Context(), plan, target(t, s.address), nil)
			require.NoError(t, err)
			require.Len(t, got.Failures, 1, "%s %s", protocol, share.Template.name)
			require.Equal(t, "INVALID_ARGUMENT", got.Failures[0].Code)
			require.NotEmpty(t, got.Failures[0].Message)
			require.EqualValues(t, 30, got.Failures[0].Calls)
			require.EqualValues(t, 30, got.Failed)
			require.Zero(t, got.OK)
			require.Zero(t, got.Rate)
			plan.Header = []Field{Namespace("nowhere")}
			got, err = Run(t.Context(), plan, target(t, s.address), nil)
			require.NoError(t, err)
			require.Equal(t, "NOT_FOUND", got.Failures[0].Code)
			require.Contains(t, got.Failures[0].Message, `"nowhere"`)
		}
	}
}

func TestLargeMessagesGoThroughSmallWindows(t *testing.T) {
	t.Parallel()
	s := serve(t, "127.0.0.1:0")
	keys := Keys{Count: 7, Distribution: Sequential}
	for _, protocol := range []Protocol{GRPC, Connect, ConnectHTTP1} {
		set := newPlan(keys, Share{template(t, "keyvalue_basic", "Set", `{"key": "{{key}}", "value": "{{bytes 1000000}}"}`, keys), 1})
		set.Protocol, set.Calls, set.WindowBits, set.ConnectionWindowBits = protocol, 28, 16, 16
		read := newPlan(keys, get(t, keys))
		read.Protocol, read.Calls, read.WindowBits, read.ConnectionWindowBits = protocol, 28, 16, 16
		if protocol == ConnectHTTP1 {
			set.Streams, read.Streams = 1, 1
		}
		require.EqualValues(t, 28, mustRun(t, set, target(t, s.address)).OK)
		require.EqualValues(t, 28, mustRun(t, read, target(t, s.address)).OK)
	}
}

func TestAnOpenLoopKeepsItsRate(t *testing.T) {
	t.Parallel()
	s := serve(t, "127.0.0.1:0")
	keys := Keys{Count: 3, Distribution: Zipf, Skew: 1}
	plan := newPlan(keys, get(t, keys))
	plan.Rate, plan.Calls, plan.Threads = 2000, 400, 2
	got := mustRun(t, plan, target(t, s.address))
	require.EqualValues(t, 400, got.OK)
	// Faster than due would be wrong on any machine; how much slower is up to the machine.
	require.GreaterOrEqual(t, got.Seconds, 0.19)
	require.Positive(t, got.Lateness.Count)
	require.GreaterOrEqual(t, got.Latency.Mean, got.Service.Mean)
	require.NotContains(t, newReport(plan, []*Target{target(t, s.address)}, [][]*Sample{{got}}).Corrected, "not corrected")
}

func TestADurationEndsARun(t *testing.T) {
	t.Parallel()
	s := serve(t, "127.0.0.1:0")
	keys := Keys{Count: 3}
	plan := newPlan(keys, get(t, keys))
	plan.Calls, plan.Duration, plan.WarmUp = 0, time.Second, 200*time.Millisecond
	told := 0
	got, err := Run(t.Context(), plan, target(t, s.address), func(Progress) { told++ })
	require.NoError(t, err)
	require.Positive(t, got.OK)
	require.InDelta(t, 1, got.Seconds, 0.001)
	require.Less(t, got.OK, s.ok.Load(), "what was called to warm up does not count")
}

func TestAUnixSocketIsCalled(t *testing.T) {
	t.Parallel()
	// Its path must be short, which a test's own folder is not on every system.
	folder, err := os.MkdirTemp("", "load")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	s := serve(t, "unix:"+filepath.Join(folder, "s"))
	keys := Keys{Count: 3}
	require.EqualValues(t, 500, mustRun(t, newPlan(keys, get(t, keys)), target(t, s.address)).OK)
}

// secured returns the address of a TLS front before an address, and what trusts it.
func secured(t *testing.T, address, protocol string) (string, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(certificate)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		NextProtos: []string{protocol}, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			outside, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = outside.Close() }()
				inside, err := net.Dial("tcp", address)
				if err != nil {
					return
				}
				defer func() { _ = inside.Close() }()
				go func() { _, _ = io.Copy(inside, outside); _ = inside.Close() }()
				_, _ = io.Copy(outside, inside)
			}()
		}
	}()
	return listener.Addr().String(), pool
}

func TestTLS(t *testing.T) {
	t.Parallel()
	s := serve(t, "127.0.0.1:0")
	keys := Keys{Count: 7, Distribution: Sequential}
	for _, protocol := range []Protocol{GRPC, Connect, ConnectHTTP1} {
		alpn := "h2"
		if protocol == ConnectHTTP1 {
			alpn = "http/1.1"
		}
		address, pool := secured(t, s.address, alpn)
		to := target(t, address)
		to.TLS = &tls.Config{RootCAs: pool}
		plan := newPlan(keys, Share{template(t, "keyvalue_basic", "Set", `{"key": "{{key}}", "value": "{{bytes 100000}}"}`, keys), 1}, get(t, keys))
		plan.Protocol, plan.WindowBits, plan.ConnectionWindowBits = protocol, 16, 16
		if protocol == ConnectHTTP1 {
			plan.Streams = 1
		}
		require.EqualValues(t, 500, mustRun(t, plan, to).OK, protocol)

		to.TLS = &tls.Config{}
		_, err := Run(t.Context(), plan, to, nil)
		require.ErrorContains(t, err, "certificate")
		to.TLS = &tls.Config{InsecureSkipVerify: true}
		plan.Calls = 10
		require.EqualValues(t, 10, mustRun(t, plan, to).OK, protocol)
	}
	address, pool := secured(t, s.address, "spdy")
	to := target(t, address)
	to.TLS = &tls.Config{RootCAs: pool}
	_, err := Run(t.Context(), newPlan(keys, get(t, keys)), to, nil)
	require.ErrorContains(t, err, "TLS")
}

func TestCancelEndsARunWithWhatWasMeasured(t *testing.T) {
	t.Parallel()
	s := serve(t, "127.0.0.1:0")
	keys := Keys{Count: 3}
	for _, rate := range []float64{0, 100} {
		plan := newPlan(keys, get(t, keys))
		plan.Calls, plan.Duration, plan.Rate = 0, time.Hour, rate
		ctx, cancel := context.WithCancelCause(t.Context())
		enough := errors.New("enough")
		before := s.ok.Load()
		go func() {
			for s.ok.Load() < before+20 {
				time.Sleep(time.Millisecond)
			}
			cancel(enough)
		}()
		got, err := Run(ctx, plan, target(t, s.address), nil)
		require.ErrorIs(t, err, enough)
		require.Positive(t, got.OK)
	}
}

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	keys := Keys{Count: 1}
	got, err := Run(t.Context(), newPlan(keys, get(t, keys)), target(t, address), nil)
	require.Nil(t, got)
	require.EqualError(t, err, "cannot connect to "+address+": connection refused")
}

func TestOwnProcessorTime(t *testing.T) {
	t.Parallel()
	s := serve(t, "127.0.0.1:0")
	keys := Keys{Count: 1}
	plan := newPlan(keys, get(t, keys))
	to := target(t, s.address)
	to.PIDs = []int{os.Getpid()}
	got := mustRun(t, plan, to)
	require.NotNil(t, got.CPU)
	to.PIDs = []int{1 << 30}
	_, err := Run(t.Context(), plan, to, nil)
	require.EqualError(t, err, "there is no process 1073741824 on this machine")
}

func TestPairsAlternate(t *testing.T) {
	t.Parallel()
	a, b := serve(t, "127.0.0.1:0"), serve(t, "127.0.0.1:0")
	keys := Keys{Count: 1}
	plan := newPlan(keys, get(t, keys))
	plan.Calls = 50
	var order []string
	plan.WarmUp = 0
	targets := []*Target{target(t, a.address), target(t, b.address)}
	report, err := Measure(t.Context(), plan, targets, 3, func(_ int, to *Target, _ Progress) { order = append(order, to.Address.String()) })
	require.NoError(t, err)
	require.EqualValues(t, 150, a.ok.Load())
	require.EqualValues(t, 150, b.ok.Load())
	require.Len(t, report.Results, 2)
	require.Len(t, report.Results[1].Samples, 3)
	require.Nil(t, report.Ratios.CPU)
	require.LessOrEqual(t, report.Ratios.Rate.Min, report.Ratios.Rate.Median)
	require.LessOrEqual(t, report.Ratios.Rate.Median, report.Ratios.Rate.Max)
	require.True(t, report.Succeeded())
}
