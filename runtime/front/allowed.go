package front

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	connectcors "connectrpc.com/cors"
	"github.com/rs/cors"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/h2"
	"github.com/prismgate/prism/runtime/httprpc"
	"github.com/prismgate/prism/runtime/rpc"
)

// everything stands for all names in server.allowed_hosts, and for all origins in server.allowed_origins.
const everything = "*"

// allowed refuses requests by their Host, or :authority, and by their Origin. A browser sends both, and a web page can forge neither: so a page whose name was made to
// point at the gateway (DNS rebinding) has the wrong Host, and a page of somebody else has the wrong Origin.
type allowed struct {
	// names and parents, of which every name below is meant, are those under which the gateway may be called; and the loopback's when loopback is set.
	names    map[string]bool
	parents  []string
	loopback bool
	// everywhere holds all TCP listeners to the names, local only those at these addresses.
	everywhere bool
	local      []netip.AddrPort
	// usual is an authority that was found good: nearly every request has the same.
	usual atomic.Pointer[string]

	origins map[string]bool
	cors    *cors.Cors

	refusedHosts, refusedOrigins atomic.Int64
}

// newAllowed returns what the clients' listeners hold to.
func newAllowed(hosts, origins []string, places []*place) *allowed {
	a := allowedAtLoopback(hosts, places)
	if len(hosts) > 0 {
		a.loopback, a.everywhere = false, !slices.Contains(hosts, everything)
	}
	if len(origins) > 0 {
		a.origins = make(map[string]bool, len(origins))
		for _, origin := range origins {
			a.origins[strings.ToLower(origin)] = true
		}
		own := []string{rpc.NamespaceHeader, rpc.RequestIDHeader, "authorization", "traceparent", "tracestate", "prism-explain"}
		a.cors = cors.New(cors.Options{
			AllowedOrigins: origins,
			AllowedMethods: connectcors.AllowedMethods(),
			AllowedHeaders: append(connectcors.AllowedHeaders(), own...),
			ExposedHeaders: append(connectcors.ExposedHeaders(), rpc.RequestIDHeader, "prism-explain"),
			MaxAge:         int((2 * time.Hour).Seconds()), // browsers keep it no longer
		})
	}
	return a
}

// allowedAtLoopback returns what the admin listener holds to: on the loopback it takes the loopback's names besides the others, and elsewhere all.
func allowedAtLoopback(hosts []string, places []*place) *allowed {
	a := &allowed{names: make(map[string]bool), loopback: true}
	for _, host := range hosts {
		if parent, ok := strings.CutPrefix(host, "*."); ok {
			a.parents = append(a.parents, "."+plainHost(parent))
			continue
		}
		a.names[plainHost(host)] = true
	}
	if slices.Contains(hosts, everything) {
		return a
	}
	for _, p := range places {
		if at, ok := p.listener.Addr().(*net.TCPAddr); ok && at.IP.IsLoopback() {
			a.local = append(a.local, plainAddress(at))
		}
	}
	return a
}

// admit is for grpcserver: it is on the way of every call, and costs a comparison of strings and a look for a field.
func (a *allowed) admit(s *h2.Stream) error {
	if refusal := a.refusal(s.LocalAddr(), s.Header.Authority, s.Header.Get("origin")); refusal != nil {
		return refusal
	}
	return nil
}

// handler refuses what does not go on to next, and answers preflights of browsers.
func (a *allowed) handler(next http.Handler) http.Handler {
	allowed := next
	if a.cors != nil {
		allowed = a.cors.Handler(next)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		if refusal := a.refusal(local, r.Host, r.Header.Get("Origin")); refusal != nil {
			httprpc.Forbid(w, r, refusal)
			return
		}
		allowed.ServeHTTP(w, r)
	})
}

// refusal is why a request is not served at a local address; nil when it is.
func (a *allowed) refusal(local net.Addr, authority, origin string) *fault.Error {
	if !a.host(local, authority) {
		a.refusedHosts.Add(1)
		name := rpc.Clip(authority)
		return fault.New(fault.PermissionDenied, "the gateway may not be called %q; call it by one of its names (%s), or add this one to server.allowed_hosts", name, a.known()).
			WithReason("HOST_NOT_ALLOWED", "host", name)
	}
	if origin != "" && !a.origin(origin) {
		a.refusedOrigins.Add(1)
		name := rpc.Clip(origin)
		return fault.New(fault.PermissionDenied, "web pages of %q may not call the gateway; add the origin to server.allowed_origins if they shall", name).
			WithReason("ORIGIN_NOT_ALLOWED", "origin", name)
	}
	return nil
}

// host tells whether a request may have an authority.
func (a *allowed) host(local net.Addr, authority string) bool {
	if usual := a.usual.Load(); usual != nil && *usual == authority {
		return true
	}
	if !a.holds(local) || authority == "" { // no browser leaves it out
		return true
	}
	if !a.named(authority) {
		return false
	}
	if a.usual.Load() == nil {
		kept := authority
		a.usual.CompareAndSwap(nil, &kept)
	}
	return true
}

// holds tells whether names count at a local address. On a Unix socket they do not: no browser gets there.
func (a *allowed) holds(local net.Addr) bool {
	switch local := local.(type) {
	case *net.UnixAddr:
		return false
	case *net.TCPAddr:
		// The address tells the listener: no other one can have the same port of all addresses.
		return a.everywhere || slices.Contains(a.local, plainAddress(local))
	}
	return a.everywhere || len(a.local) > 0
}

func (a *allowed) named(authority string) bool {
	name := plainHost(hostOf(authority))
	if a.names[name] || a.loopback && isLoopback(name) {
		return true
	}
	return slices.ContainsFunc(a.parents, func(parent string) bool { return strings.HasSuffix(name, parent) && len(name) > len(parent) })
}

// known says under which names the gateway may be called, as far as that is short.
func (a *allowed) known() string {
	var names []string
	if a.loopback {
		names = append(names, "localhost", "127.0.0.1", "[::1]")
	}
	if len(a.names)+len(a.parents) > 0 {
		names = append(names, "those of server.allowed_hosts")
	}
	return strings.Join(names, ", ")
}

// origin tells whether web pages of an origin may call.
func (a *allowed) origin(origin string) bool {
	if a.cors != nil {
		return a.origins[everything] || a.origins[strings.ToLower(origin)]
	}
	page, err := url.Parse(origin)
	return err == nil && isLoopback(plainHost(page.Hostname()))
}

// hostOf is an authority without its port.
func hostOf(authority string) string {
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		return authority[:i]
	}
	return authority
}

// plainHost is the one way to write a host that is compared: in lower case, without brackets, and without a dot at the end.
func plainHost(host string) string {
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// isLoopback tells whether a plain host is a name of the loopback.
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.Unmap().IsLoopback()
}

func plainAddress(address *net.TCPAddr) netip.AddrPort {
	at := address.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}
