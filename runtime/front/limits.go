package front

import (
	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/h2"
	"github.com/prismgate/prism/runtime/listen"
)

// ListenLimits are the limits of a configuration that listeners and net/http enforce. What is absent stays zero, which is the default.
func ListenLimits(l *configv1.Limits) listen.Limits {
	return listen.Limits{
		MaxConnections:   int(l.GetMaxConnections()),
		HandshakeTimeout: l.GetHandshakeTimeout().AsDuration(),
		IdleTimeout:      l.GetIdleTimeout().AsDuration(),
		MaxHeaderBytes:   int(l.GetMaxHeaderBytes()),
		MaxStreams:       int(l.GetMaxStreams()),
	}
}

// H2Limits are the limits of a configuration that the gateway's own HTTP/2 enforces. What is absent stays zero, which is the default.
func H2Limits(l *configv1.Limits) h2.Limits {
	return h2.Limits{
		MaxStreams:       int(l.GetMaxStreams()),
		MaxHeaderBytes:   int(l.GetMaxHeaderBytes()),
		HandshakeTimeout: l.GetHandshakeTimeout().AsDuration(),
		IdleTimeout:      l.GetIdleTimeout().AsDuration(),
		MaxAge:           l.GetMaxAge().AsDuration(),
		AgeGrace:         l.GetAgeGrace().AsDuration(),
		MinPingInterval:  l.GetMinPingInterval().AsDuration(),
		BodyTimeout:      l.GetBodyTimeout().AsDuration(),
		WriteTimeout:     l.GetWriteTimeout().AsDuration(),
		StallTimeout:     l.GetStallTimeout().AsDuration(),
		MemoryBytes:      int64(l.GetMemoryBytes()), // the schema bounds it
		FloodAllowance:   int(l.GetFloodAllowance()),
	}
}
