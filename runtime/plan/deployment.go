package plan

import (
	"net"
	"strconv"

	"google.golang.org/protobuf/proto"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/listen"
)

// Deployment is where a backend's code runs.
type Deployment string

const (
	// InProcess is in the gateway's own process.
	InProcess Deployment = "in-process"
	// Sidecar is a process that the gateway starts and watches.
	Sidecar Deployment = "sidecar"
	// Remote is a provider that somebody else runs.
	Remote Deployment = "remote"
)

// deployment says where an instance's code runs, and refuses what does not go with it.
func (m *maker) deployment(path string, declared *configv1.BackendInstance, instance *Instance) {
	instance.Deployment = Deployment(or(declared.GetDeployment(), string(InProcess)))
	provider := declared.GetProvider()
	at := path + ".provider"
	switch instance.Deployment {
	case Sidecar:
		if provider.GetAddress() != "" {
			m.refuse(at+".address", "the gateway chooses where a sidecar listens; leave address out, or write deployment: remote for a provider that is there already")
		}
		if provider.GetTls() != nil {
			m.refuse(at+".tls", "a sidecar is reached by a socket that nobody else can open, without TLS; leave tls out")
		}
	case Remote:
		m.remote(path, provider)
	case InProcess:
		if provider != nil {
			m.refuse(at, "is for a backend whose code runs in another process; write deployment: sidecar or deployment: remote, or leave provider out")
		}
		return
	default:
		return // the schema's constraints say what is wrong
	}
	instance.Provider = new(configv1.Provider)
	proto.Merge(instance.Provider, provider)
}

// remote checks how a provider is reached that somebody else runs.
func (m *maker) remote(path string, provider *configv1.Provider) {
	at := path + ".provider"
	if len(provider.GetCommand()) > 0 {
		m.refuse(at+".command", "somebody else starts a remote provider; leave command out, or write deployment: sidecar")
	}
	address := provider.GetAddress()
	if address == "" {
		where := at + ".address"
		if provider == nil {
			where = path + ".deployment"
		}
		m.refuse(where, "a remote provider needs provider.address, where it listens: host:port, or unix: and the path of its socket")
		return
	}
	socket, unix := listen.UnixPath(address)
	switch {
	case unix && (socket == "" || socket[0] == '@'):
		m.refuse(at+".address", "%s names no socket; unix: is followed by a path, such as unix:/run/provider.sock", quote(address))
	case unix && provider.GetTls() != nil:
		m.refuse(at+".tls", "a Unix socket is reached without TLS, its file mode says who may; leave tls out")
	case !unix:
		m.remoteHost(at, address, provider.GetTls())
	}
}

// remoteHost checks the address of a remote provider that is no socket. One on another machine is reached only where both sides can prove who they are: whoever can
// speak to a provider, or in its place, reads and changes everything.
func (m *maker) remoteHost(at, address string, tls *configv1.ClientTls) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		m.refuse(at+".address", "%s is neither host:port, such as 10.0.0.7:8990, nor unix: and the path of a socket", quote(address))
		return
	}
	if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
		m.refuse(at+".address", "the port of %s is not a number from 1 to 65535", quote(address))
		return
	}
	switch {
	case tls.GetCertFile() != "" && tls.GetKeyFile() == "":
		m.refuse(at+".tls.cert_file", "needs key_file, the file with the certificate's private key")
	case tls.GetCertFile() == "" && tls.GetKeyFile() != "":
		m.refuse(at+".tls.key_file", "needs cert_file, the file with the key's certificate")
	case listen.IsLocal(address):
	case tls == nil:
		m.refuse(at, "%s is another machine, which is reached with TLS only; add tls with cert_file and key_file, the gateway's certificate, and ca_file, the provider's authority",
			quote(address))
	case tls.GetCertFile() == "":
		m.refuse(at+".tls", "%s is another machine, whose provider must be able to tell who calls; add cert_file and key_file, the gateway's certificate", quote(address))
	}
}
