package front

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strconv"
	"sync/atomic"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/config"
	"github.com/prismgate/prism/runtime/listen"
)

// place is an address where the front listens.
type place struct {
	// address, mode and files are what the configuration says of it, and the paths are where it says that. Without tlsPath there is never TLS.
	path, modePath, tlsPath string
	address, mode           string
	files                   *configv1.Tls

	listener net.Listener
	// secured is how connections are secured now; nil is in clear.
	secured atomic.Pointer[tls.Config]
}

// placesOf returns where a configuration lets the front listen, for clients and for operators.
func placesOf(server *configv1.Server) (clients []*place, admin *place) {
	orDefault := func(address, fallback string) string {
		if address == "" {
			return fallback
		}
		return address
	}
	clients = []*place{{path: "server.listen", tlsPath: "server.tls", address: orDefault(server.GetListen(), config.DefaultListen), files: server.GetTls()}}
	for i, l := range server.GetListeners() {
		at := fmt.Sprintf("server.listeners[%d].", i)
		clients = append(clients, &place{
			path: at + "address", modePath: at + "mode", tlsPath: at + "tls", address: l.GetAddress(), mode: l.GetMode(), files: l.GetTls(),
		})
	}
	return clients, &place{path: "server.admin", address: orDefault(server.GetAdmin(), config.DefaultAdmin)}
}

// safe tells whether no stranger gets in.
func (p *place) safe() bool { return listen.IsLocal(p.address) || p.files.GetClientCaFile() != "" }

// load reads the place's certificate; nil is none.
func (p *place) load() (*tls.Config, config.Problems) {
	loaded, err := LoadTLS(p.files)
	if err != nil {
		path, message := p.tlsPath, err.Error()
		var failed *TLSError
		if errors.As(err, &failed) {
			path, message = path+"."+failed.Field, failed.Err.Error()
		}
		return nil, config.Problems{{Path: path, Message: message}}
	}
	if loaded == nil {
		return nil, nil
	}
	return listen.Secure(loaded), nil
}

// open opens the place's listener.
func (p *place) open(ctx context.Context) config.Problems {
	mode := listen.DefaultMode
	if p.mode != "" {
		bits, err := strconv.ParseUint(p.mode, 8, 9)
		if err != nil {
			return config.Problems{{Path: p.modePath, Message: fmt.Sprintf("%q is no file mode; it is three octal digits, such as 0660", p.mode)}}
		}
		mode = fs.FileMode(bits)
	}
	var err error
	if p.listener, err = listen.OpenMode(ctx, p.address, mode); err != nil {
		return config.Problems{{Path: p.path, Message: err.Error()}}
	}
	return nil
}

// where is the address where the place listens really.
func (p *place) where() string {
	address := p.listener.Addr()
	if address.Network() == "unix" {
		return "unix:" + address.String()
	}
	return address.String()
}

// certificate is the one that clients are served with now; nil without.
func (p *place) certificate() *x509.Certificate {
	if secured := p.secured.Load(); secured != nil {
		return secured.Certificates[0].Leaf
	}
	return nil
}

// security says how connections are secured: "off", "on", or "mutual" when clients need a certificate too.
func (p *place) security() string {
	switch secured := p.secured.Load(); {
	case secured == nil:
		return "off"
	case secured.ClientCAs != nil:
		return "mutual"
	}
	return "on"
}
