package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/gateway"
	"github.com/prismgate/prism/runtime/listen"
)

// The values of --http2, which are those of server.http2.
const (
	http2Own      = "own"
	http2Standard = "standard"
)

const (
	// unixPrefix is what an address of a Unix socket begins with.
	unixPrefix = "unix:"
	// maxSocketPath is how long the path of a Unix socket may be on Linux, which calls a longer one an invalid argument.
	maxSocketPath = 107
)

// settings are what a gateway is to be: its configuration, with the flags over it.
type settings struct {
	config *configv1.Config
	tls    *tls.Config
	// file is the configuration's; "" without one.
	file string
	// given tells which flags the command line has.
	given func(flag string) bool
}

// settings reads the configuration, puts the flags over it, and refuses what must not be served.
func (o serveOptions) settings(given func(flag string) bool) (*settings, error) {
	s := &settings{config: gateway.DefaultConfig(), file: o.config, given: given}
	if given("config") {
		config, err := readConfig(o.config)
		if err != nil {
			return nil, err
		}
		if len(config.GetNamespaces()) == 0 {
			config.Namespaces = s.config.GetNamespaces()
		}
		s.config = config
	}
	o.override(s)
	for _, check := range []func() error{
		func() error { return s.checkAddress("listen", s.server().GetListen()) },
		func() error { return s.checkAddress("admin", s.server().GetAdmin()) },
		s.loadTLS,
		func() error { return s.checkReach("listen", s.server().GetListen(), o.insecure || s.authenticates()) },
		func() error { return s.checkReach("admin", s.server().GetAdmin(), o.insecure) },
	} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// override puts the flags that are given over the configuration, and defaults where nothing is said.
func (o serveOptions) override(s *settings) {
	server := &configv1.Server{}
	proto.Merge(server, s.config.GetServer())
	if server.GetTls() == nil {
		server.Tls = &configv1.Tls{}
	}
	for _, flag := range []struct {
		name, value string
		field       *string
		fallback    string
	}{
		{"listen", o.listen, &server.Listen, gateway.DefaultListen},
		{"admin", o.admin, &server.Admin, gateway.DefaultAdmin},
		{"http2", o.http2.value, &server.Http2, http2Own},
		{"tls-cert", o.tlsCert, &server.Tls.CertFile, ""},
		{"tls-key", o.tlsKey, &server.Tls.KeyFile, ""},
		{"client-ca", o.clientCA, &server.Tls.ClientCaFile, ""},
	} {
		switch {
		case s.given(flag.name):
			*flag.field = flag.value
		case *flag.field == "":
			*flag.field = flag.fallback
		}
	}
	s.config.Server = server
}

func (s *settings) server() *configv1.Server { return s.config.GetServer() }

// authenticates tells that only clients with a certificate get in.
func (s *settings) authenticates() bool { return s.tls != nil && s.tls.ClientCAs != nil }

// security is what the log says of TLS.
func (s *settings) security() string {
	switch {
	case s.tls == nil:
		return "off"
	case s.authenticates():
		return "mutual"
	}
	return "on"
}

// refuse is the error about a setting. A wrong flag is a mistake of the command line, a wrong field is not.
func (s *settings) refuse(flag, field, format string, args ...any) error {
	message := s.nameOf(flag, field) + ": " + fmt.Sprintf(format, args...)
	if s.byFlag(flag) {
		return usagef("%s", message)
	}
	return errors.New(message)
}

// nameOf is what the user calls a setting: a flag, or a field in the file.
func (s *settings) nameOf(flag, field string) string {
	if s.byFlag(flag) {
		return "--" + flag
	}
	return s.file + ": server." + field
}

func (s *settings) byFlag(flag string) bool { return s.file == "" || s.given(flag) }

// checkAddress refuses an address that cannot be one. The flag is called as the field is.
func (s *settings) checkAddress(field, address string) error {
	if path, ok := strings.CutPrefix(address, unixPrefix); ok {
		switch {
		case path == "" || path[0] == '@':
			return s.refuse(field, field, "%q names no socket; unix: is followed by a path, such as unix:/run/prism.sock", address)
		case len(path) > maxSocketPath:
			return s.refuse(field, field, "the path of a socket has at most %d bytes, %q has %d", maxSocketPath, path, len(path))
		}
		return nil
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return s.refuse(field, field, "%q is neither host:port, such as %s, nor unix: and a path", address, gateway.DefaultListen)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return s.refuse(field, field, "the port of %q is not a number from 0 to 65535", address)
	}
	return nil
}

// checkReach refuses an address where strangers could do anything.
func (s *settings) checkReach(field, address string, allowed bool) error {
	if allowed || listen.IsLocal(address) {
		return nil
	}
	remedy := "listen on 127.0.0.1, or accept the risk with --insecure"
	if field == "listen" {
		remedy = "listen on 127.0.0.1, let only clients with a certificate in with --client-ca, or accept the risk with --insecure"
	}
	return s.refuse(field, field, "refusing to serve on %s: other machines can reach that address, and nobody is authenticated, so that anyone could read and "+
		"change everything; %s", address, remedy)
}

// loadTLS reads the certificates and the key.
func (s *settings) loadTLS() error {
	loaded, err := gateway.LoadTLS(s.server().GetTls())
	var failed *gateway.TLSError
	if errors.As(err, &failed) {
		flag, field := map[string]string{"cert_file": "tls-cert", "key_file": "tls-key", "client_ca_file": "client-ca"}[failed.Field], "tls."+failed.Field
		if failed.Missing {
			return s.refuse(flag, field, "%s", failed.Err)
		}
		return fmt.Errorf("%s: %w", s.nameOf(flag, field), failed.Err) // the command line is right, the file is not
	}
	s.tls = loaded
	return err
}
