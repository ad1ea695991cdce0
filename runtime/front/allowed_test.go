package front_test

import (
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
)

// eachFront runs a test for both fronts.
func eachFront(t *testing.T, test func(t *testing.T, http2 string)) {
	t.Helper()
	for _, http2 := range []string{"own", "standard"} {
		t.Run(http2, func(t *testing.T) {
			t.Parallel()
			test(t, http2)
		})
	}
}

// A page of evil.example whose name was made to point at the loopback has evil.example for its Host.
func TestDNSRebindingIsRefused(t *testing.T) {
	t.Parallel()
	eachFront(t, func(t *testing.T, http2 string) {
		s := serve(t, &configv1.Server{Http2: http2}, false)
		_, port, err := net.SplitHostPort(s.address())
		require.NoError(t, err)
		for _, p := range protocols {
			t.Run(p.name, func(t *testing.T) {
				for _, host := range []string{"localhost", "localhost:" + port, "LOCALHOST.", "127.0.0.1:" + port, "127.8.8.8", "[::1]:" + port, "[::ffff:127.0.0.1]:1"} {
					got := p.call(t, s.address(), host)
					require.Equal(t, "", got.code, "%s: %s", host, got.message)
				}
				for _, host := range []string{"evil.example", "evil.example:" + port, "localhost.evil.example", "127.0.0.1.evil.example:" + port, "10.0.0.1", "0.0.0.0:" + port, "[2001:db8::1]"} {
					got := p.call(t, s.address(), host)
					require.Equal(t, []string{"permission_denied", "HOST_NOT_ALLOWED"}, []string{got.code, got.reason}, host)
					require.Contains(t, got.message, "server.allowed_hosts")
					require.Contains(t, got.message, "localhost, 127.0.0.1, [::1]")
					if strings.HasPrefix(p.name, "connect") {
						require.Equal(t, http.StatusForbidden, got.status)
						require.Equal(t, "no-store", got.header.Get("Cache-Control"))
					}
				}
			})
		}
		require.InDelta(t, float64(7*len(protocols)), refused(t, s)["host_not_allowed"], 0)
	})
}

// refused returns prism_front_refused_total by reason.
func refused(t *testing.T, s *served) map[string]float64 {
	t.Helper()
	families, err := s.metrics.Gather()
	require.NoError(t, err)
	counts := make(map[string]float64)
	for _, family := range families {
		if family.GetName() != "prism_front_refused_total" {
			continue
		}
		for _, metric := range family.GetMetric() {
			counts[metric.GetLabel()[0].GetValue()] = metric.GetCounter().GetValue()
		}
	}
	return counts
}

func TestAllowedHosts(t *testing.T) {
	t.Parallel()
	eachFront(t, func(t *testing.T, http2 string) {
		s := serve(t, &configv1.Server{
			Http2: http2, AllowedHosts: []string{"Prism.Example.com", "*.apps.example.com", "10.0.0.7", "[2001:db8::1]"},
			Listeners: []*configv1.Listener{{Address: "0.0.0.0:0"}, {Address: "unix:" + filepath.Join(t.TempDir(), "s")}},
		}, true)
		wide, unix := s.Addresses()[1].Address, s.Addresses()[2].Address
		for _, p := range protocols {
			for _, address := range []string{s.address(), wide} {
				for _, host := range []string{"prism.example.com:8980", "PRISM.example.com", "a.apps.example.com", "b.a.apps.example.com:1", "10.0.0.7", "[2001:db8::1]:8980"} {
					require.Equal(t, "", p.call(t, address, host).code, host)
				}
				for _, host := range []string{"localhost", "127.0.0.1", "apps.example.com", "xapps.example.com", "example.com", "prism.example.com.evil.example"} {
					got := p.call(t, address, host)
					require.Equal(t, "HOST_NOT_ALLOWED", got.reason, host)
					require.Contains(t, got.message, "(those of server.allowed_hosts)")
				}
			}
			require.Equal(t, "", p.call(t, unix, "evil.example").code, "no browser gets to a Unix socket")
		}
	})
}

func TestEveryHostIsAllowedWhereTheGatewayListensWidely(t *testing.T) {
	t.Parallel()
	eachFront(t, func(t *testing.T, http2 string) {
		s := serve(t, &configv1.Server{Http2: http2, Listeners: []*configv1.Listener{{Address: "0.0.0.0:0"}}}, true)
		for _, p := range protocols {
			require.Equal(t, "", p.call(t, s.Addresses()[1].Address, "prism.example.com").code)
			require.Equal(t, "HOST_NOT_ALLOWED", p.call(t, s.address(), "prism.example.com").reason, "the loopback is held to its names all the same")
		}
		all := serve(t, &configv1.Server{Http2: http2, AllowedHosts: []string{"*"}}, false)
		for _, p := range protocols {
			require.Equal(t, "", p.call(t, all.address(), "prism.example.com").code)
		}
	})
}

func TestOriginsAreRefusedUnlessTheyAreAllowed(t *testing.T) {
	t.Parallel()
	const app = "https://app.example.com"
	for name, test := range map[string]struct {
		origins        []string
		served, denied []string
		cors           string // what served origins are told
	}{
		"none":  {nil, []string{"", "http://localhost:3000", "https://127.0.0.1", "http://[::1]:1"}, []string{app, "null", "http://localhost.evil.example", "file://"}, ""},
		"one":   {[]string{app}, []string{"", app}, []string{"http://localhost:3000", app + ":444", "http://app.example.com", app + ".evil.example", "null"}, app},
		"every": {[]string{"*"}, []string{"", app, "null", "http://localhost:3000"}, nil, "*"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachFront(t, func(t *testing.T, http2 string) {
				s := serve(t, &configv1.Server{Http2: http2, AllowedOrigins: test.origins}, false)
				for _, p := range protocols {
					for _, origin := range test.served {
						var fields []string
						if origin != "" {
							fields = []string{"Origin", origin}
						}
						got := p.call(t, s.address(), "localhost", fields...)
						require.Equal(t, "", got.code, "%s from %q: %s", p.name, origin, got.message)
						if origin != "" && test.cors != "" && (p.name != "grpc" || http2 == "standard") { // no browser speaks gRPC
							require.Equal(t, test.cors, got.header.Get("Access-Control-Allow-Origin"))
							require.Contains(t, strings.ToLower(got.header.Get("Access-Control-Expose-Headers")), "grpc-status")
							require.Contains(t, got.header.Values("Vary"), "Origin")
						} else {
							require.Empty(t, got.header.Get("Access-Control-Allow-Origin"))
						}
					}
					for _, origin := range test.denied {
						got := p.call(t, s.address(), "localhost", "Origin", origin)
						require.Equal(t, []string{"permission_denied", "ORIGIN_NOT_ALLOWED"}, []string{got.code, got.reason}, origin)
						require.Contains(t, got.message, "server.allowed_origins")
						require.Empty(t, got.header.Get("Access-Control-Allow-Origin"))
					}
				}
				require.InDelta(t, float64(len(test.denied)*len(protocols)), refused(t, s)["origin_not_allowed"], 0)
			})
		})
	}
}

func TestPreflightsAreAnsweredForAllowedOriginsOnly(t *testing.T) {
	t.Parallel()
	eachFront(t, func(t *testing.T, http2 string) {
		preflight := func(address, origin, headers string, overHTTP2 bool) *http.Response {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, "http://localhost"+procedure, nil)
			require.NoError(t, err)
			request.Header.Set("Origin", origin)
			request.Header.Set("Access-Control-Request-Method", "POST")
			request.Header.Set("Access-Control-Request-Headers", headers)
			transport := dialer(address, overHTTP2)
			defer transport.CloseIdleConnections()
			response, err := transport.RoundTrip(request)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			return response
		}
		const app = "https://app.example.com"
		open := serve(t, &configv1.Server{Http2: http2, AllowedOrigins: []string{app}}, false)
		closed := serve(t, &configv1.Server{Http2: http2}, false)
		for _, overHTTP2 := range []bool{false, true} {
			response := preflight(open.address(), app, "connect-protocol-version,content-type,prism-namespace,x-grpc-web", overHTTP2)
			require.Equal(t, http.StatusNoContent, response.StatusCode)
			require.Equal(t, app, response.Header.Get("Access-Control-Allow-Origin"))
			require.Equal(t, "POST", response.Header.Get("Access-Control-Allow-Methods"))
			require.Equal(t, "connect-protocol-version,content-type,prism-namespace,x-grpc-web", response.Header.Get("Access-Control-Allow-Headers"))
			require.Equal(t, "7200", response.Header.Get("Access-Control-Max-Age"))
			require.Empty(t, response.Header.Get("Access-Control-Allow-Credentials"))

			require.Empty(t, preflight(open.address(), app, "x-anything", overHTTP2).Header.Get("Access-Control-Allow-Headers"))
			for _, refused := range []*http.Response{preflight(open.address(), "https://evil.example", "", overHTTP2), preflight(closed.address(), app, "", overHTTP2)} {
				require.Equal(t, http.StatusForbidden, refused.StatusCode)
				require.Empty(t, refused.Header.Get("Access-Control-Allow-Origin"))
			}
			// Served, but without what a browser wants: CORS is closed.
			local := preflight(closed.address(), "http://localhost:3000", "content-type", overHTTP2)
			require.Equal(t, http.StatusMethodNotAllowed, local.StatusCode)
			require.Empty(t, local.Header.Get("Access-Control-Allow-Origin"))
		}
	})
}

func TestAnswersToGETAreNobodyElses(t *testing.T) {
	t.Parallel()
	eachFront(t, func(t *testing.T, http2 string) {
		s := serve(t, &configv1.Server{Http2: http2}, false)
		for _, p := range protocols {
			if !p.get {
				continue
			}
			got := p.call(t, s.address(), "localhost")
			require.Equal(t, "no-store", got.header.Get("Cache-Control"))
			require.Contains(t, got.header.Values("Vary"), "prism-namespace")
		}
	})
}

func TestTheAdminAddressOnTheLoopbackIsHeldToItsNames(t *testing.T) {
	t.Parallel()
	s := serve(t, &configv1.Server{AllowedHosts: []string{"prism.example.com"}}, false)
	get := func(host, origin string) int {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host+"/healthz", nil)
		require.NoError(t, err)
		if origin != "" {
			request.Header.Set("Origin", origin)
		}
		transport := dialer(s.AdminAddress(), false)
		defer transport.CloseIdleConnections()
		response, err := transport.RoundTrip(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		return response.StatusCode
	}
	for _, host := range []string{"localhost", "127.0.0.1:8981", "prism.example.com"} {
		require.Equal(t, http.StatusOK, get(host, ""), host)
	}
	require.Equal(t, http.StatusForbidden, get("evil.example", ""))
	require.Equal(t, http.StatusForbidden, get("localhost", "https://evil.example"))
	require.Equal(t, 2, testutil.CollectAndCount(s.Collector(), "prism_tls_certificate_reloads_total"))
	require.Equal(t, []float64{1, 1}, []float64{refused(t, s)["host_not_allowed"], refused(t, s)["origin_not_allowed"]})
}
