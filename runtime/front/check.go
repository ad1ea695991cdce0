package front

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/config"
	"github.com/prismgate/prism/runtime/listen"
)

// Check tells what is wrong with how a gateway is to listen, as far as that can be told without its files and without opening anything. insecure allows addresses that
// other machines can reach though nobody is authenticated there.
func Check(server *configv1.Server, insecure bool) config.Problems {
	var c checker
	clients, admin := placesOf(server)
	taken := make(map[string]string)
	for _, p := range append(clients, admin) {
		if !c.address(p) {
			continue
		}
		if other, ok := taken[p.address]; ok {
			c.refuse(p.path, "%s is the address of %s too; each needs its own", p.address, other)
		} else if !strings.HasSuffix(p.address, ":0") {
			taken[p.address] = p.path
		}
		if !insecure {
			c.reach(p)
		}
	}
	for i, host := range server.GetAllowedHosts() {
		c.host(fmt.Sprintf("server.allowed_hosts[%d]", i), host)
	}
	for i, origin := range server.GetAllowedOrigins() {
		c.origin(fmt.Sprintf("server.allowed_origins[%d]", i), origin)
	}
	return c.problems
}

type checker struct{ problems config.Problems }

func (c *checker) refuse(path, format string, args ...any) {
	c.problems = append(c.problems, config.Problem{Path: path, Message: fmt.Sprintf(format, args...)})
}

// address refuses what cannot be an address.
func (c *checker) address(p *place) bool {
	before := len(c.problems)
	if path, ok := listen.UnixPath(p.address); ok {
		if path == "" || path[0] == '@' {
			c.refuse(p.path, "%q names no socket; unix: is followed by a path, such as unix:/run/prism.sock", p.address)
		}
		return len(c.problems) == before
	}
	if p.mode != "" {
		c.refuse(p.modePath, "a file mode is for a Unix socket; %s is none", p.address)
	}
	if _, port, err := net.SplitHostPort(p.address); err != nil {
		c.refuse(p.path, "%q is neither host:port, such as %s, nor unix: and a path", p.address, config.DefaultListen)
	} else if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		c.refuse(p.path, "the port of %q is not a number from 0 to 65535", p.address)
	}
	return len(c.problems) == before
}

// reach refuses an address where strangers could do anything.
func (c *checker) reach(p *place) {
	if p.safe() {
		return
	}
	remedy := "listen on 127.0.0.1, or accept the risk with --insecure"
	if p.tlsPath != "" {
		remedy = "listen on 127.0.0.1, let only clients with a certificate in (client_ca_file), or accept the risk with --insecure"
	}
	c.refuse(p.path, "refusing to serve on %s: other machines can reach that address, and nobody is authenticated, so that anyone could read and change everything; %s",
		p.address, remedy)
}

// host refuses what no Host header can say.
func (c *checker) host(path, host string) {
	name := plainHost(strings.TrimPrefix(host, "*."))
	switch {
	case host == everything:
	case strings.Contains(host, "/"):
		c.refuse(path, "%q is no name; a name has no scheme and no path, such as prism.example.com", host)
	case strings.Contains(name, ":") && net.ParseIP(name) == nil:
		c.refuse(path, "%q has a port; names stand for all ports: leave it out", host)
	case name == "" || strings.ContainsAny(name, "*@ "):
		c.refuse(path, "%q is no name; it is one such as prism.example.com, all below one such as *.example.com, an address such as 10.0.0.7, or \"*\" for all", host)
	}
}

// origin refuses what no Origin header can say.
func (c *checker) origin(path, origin string) {
	if origin == everything {
		return
	}
	page, err := url.Parse(origin)
	switch {
	case err != nil || page.Scheme == "" || page.Host == "" || strings.Contains(page.Host, "*"):
		c.refuse(path, "%q is no origin; it is a scheme, a host, and a port unless it is the scheme's, such as https://app.example.com, or \"*\" for all", origin)
	case page.Scheme+"://"+page.Host != origin:
		c.refuse(path, "%q is more than an origin; that is %s://%s", origin, page.Scheme, page.Host)
	case page.Scheme == "https" && page.Port() == "443" || page.Scheme == "http" && page.Port() == "80":
		c.refuse(path, "browsers leave the port of %q out, because it is the scheme's; write %s://%s", origin, page.Scheme, page.Hostname())
	}
}
