package main

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/config"
)

// The values of --http2, which are those of server.http2.
const (
	http2Own      = "own"
	http2Standard = "standard"
)

// loader reads the configuration and puts the flags over it.
func (o serveOptions) loader(given func(flag string) bool) func() (*config.Source, error) {
	return func() (*config.Source, error) {
		source := config.FromMessage(new(configv1.Config))
		if len(o.config) > 0 {
			read, err := config.Load(o.config...)
			if err != nil {
				return nil, err
			}
			source = read
		}
		return o.over(source, given), nil
	}
}

// over puts what the command line has over a configuration.
func (o serveOptions) over(source *config.Source, given func(flag string) bool) *config.Source {
	changed := proto.CloneOf(source.Config)
	if changed.Server == nil {
		changed.Server = new(configv1.Server)
	}
	server := changed.Server
	files := proto.CloneOf(server.GetTls())
	if files == nil {
		files = new(configv1.Tls)
	}
	by := make(map[string]string)
	for _, flag := range []struct {
		name, field string
		set         func()
	}{
		{"listen", "server.listen", func() { server.Listen = o.listen }},
		{"admin", "server.admin", func() { server.Admin = o.admin }},
		{"http2", "server.http2", func() { server.Http2 = o.http2.value }},
		{"drain-timeout", "server.drain_timeout", func() { server.DrainTimeout = durationpb.New(o.drainTimeout) }},
		{"tls-cert", "server.tls.cert_file", func() { files.CertFile, server.Tls = o.tlsCert, files }},
		{"tls-key", "server.tls.key_file", func() { files.KeyFile, server.Tls = o.tlsKey, files }},
		{"client-ca", "server.tls.client_ca_file", func() { files.ClientCaFile, server.Tls = o.clientCA, files }},
	} {
		if given(flag.name) {
			flag.set()
		}
		if given(flag.name) || len(o.config) == 0 {
			by[flag.field] = "--" + flag.name // what a user without a file knows the field by
		}
	}
	return source.Overridden(changed, by)
}
