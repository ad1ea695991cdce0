package plan

import (
	"net"
	"net/netip"
	"net/url"
	"path/filepath"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/config"
	"github.com/prismgate/prism/runtime/listen"
)

// address is where something listens, and the field that says so.
type address struct{ path, text string }

// server checks fields against each other. What an address looks like is the front's to check, and the files are.
func (m *maker) server() {
	server := m.config.GetServer()
	if server != nil {
		m.violation("server", configv1.CheckServer(server))
	}
	addresses := []address{{"server.listen", or(server.GetListen(), config.DefaultListen)}, {"server.admin", or(server.GetAdmin(), config.DefaultAdmin)}}
	m.tls("server.tls", server.GetTls())
	for i, listener := range server.GetListeners() {
		path := index("server.listeners", i)
		addresses = append(addresses, address{path + ".address", listener.GetAddress()})
		m.tls(path+".tls", listener.GetTls())
	}
	if limits := server.GetLimits(); limits.GetAgeGrace() != nil && limits.GetMaxAge() == nil {
		m.refuse("server.limits.age_grace", "is without effect, since max_age is not set; set max_age, or leave age_grace out")
	}
	for i, at := range addresses {
		for _, former := range addresses[:i] {
			if collide(former.text, at.text) {
				m.refuse(at.path, "%s is taken by %s, which is %s; each needs an address of its own", quote(at.text), former.path, quote(former.text))
				break
			}
		}
	}
}

// tls refuses files that do not go together. Without a certificate clients are served in clear, and nobody means that who writes one of the other fields.
func (m *maker) tls(path string, tls *configv1.Tls) {
	switch {
	case tls.GetCertFile() != "" && tls.GetKeyFile() == "":
		m.refuse(path+".cert_file", "needs key_file, the file with the certificate's private key")
	case tls.GetCertFile() == "" && tls.GetKeyFile() != "":
		m.refuse(path+".key_file", "needs cert_file, the file with the key's certificate")
	case tls.GetCertFile() == "" && tls.GetClientCaFile() != "":
		m.refuse(path+".client_ca_file", "needs cert_file and key_file: clients are asked for certificates only where the gateway has one")
	case tls.GetCertFile() == "" && tls.GetMinVersion() != "":
		m.refuse(path+".min_version", "needs cert_file and key_file: without a certificate clients are served in clear")
	}
}

// collide tells that two addresses cannot be listened on at once. Port 0 is another port each time.
func collide(a, b string) bool {
	pathA, unixA := listen.UnixPath(a)
	pathB, unixB := listen.UnixPath(b)
	if unixA || unixB {
		return unixA && unixB && filepath.Clean(pathA) == filepath.Clean(pathB)
	}
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	return hostA == hostB || everywhere(hostA) || everywhere(hostB) || isLoopback(hostA) && hostB == "localhost" || isLoopback(hostB) && hostA == "localhost"
}

// everywhere tells that a host stands for every address of the machine.
func everywhere(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}

// isLoopback tells that a host is what localhost stands for.
func isLoopback(host string) bool { return host == "127.0.0.1" || host == "::1" }

// observability checks what the schema's constraints do not.
func (m *maker) observability() {
	observability := m.config.GetObservability()
	if observability == nil {
		return
	}
	m.violation("observability", configv1.CheckObservability(observability))
	if tracing := observability.GetTracing(); tracing != nil {
		endpoint, err := url.Parse(tracing.GetEndpoint())
		if err != nil || endpoint.Host == "" || endpoint.Scheme != "http" && endpoint.Scheme != "https" {
			// It is not quoted: a password may be in it.
			m.refuse("observability.tracing.endpoint", "must be the URL of a collector, such as http://127.0.0.1:4318")
		}
	}
	if log := observability.GetAccessLog(); log.GetSlow() != nil && log.GetCalls() == "off" {
		m.refuse("observability.access_log.slow", `is without effect, since calls is "off"; set calls to "errors", or leave slow out`)
	}
}

func or(text, fallback string) string {
	if text == "" {
		return fallback
	}
	return text
}
