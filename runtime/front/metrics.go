package front

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/prismgate/prism/runtime/h2"
	"github.com/prismgate/prism/runtime/listen"
)

// Collector turns the figures of a server into metrics when they are asked for: counting costs a connection nothing.
//
// The labels are bounded: a reason for each limit of the configuration, by the limit's name, and one for each way to break a protocol.
type Collector struct {
	listener func() listen.Stats
	http2    func() h2.Stats
	// front is what the server belongs to; nil when that is no gateway's front.
	front *Front

	connections, accepted, refused *prometheus.Desc
	streams, opened, memory        *prometheus.Desc
	expiry, reloads                *prometheus.Desc
}

var _ prometheus.Collector = (*Collector)(nil)

// NewCollector returns the metrics of a server: of its listeners, and of its own HTTP/2, which is nil when net/http serves HTTP/2.
func NewCollector(listener func() listen.Stats, http2 func() h2.Stats) *Collector {
	describe := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("prism_front_"+name, help, labels, nil)
	}
	return &Collector{
		listener:    listener,
		http2:       http2,
		connections: describe("connections", "Connections of clients that are open."),
		accepted:    describe("connections_accepted_total", "Connections of clients that were taken."),
		refused: describe("refused_total", "Connections, streams and requests that were refused or ended, by reason: the limit of server.limits that was reached, or "+
			"the rule that was broken.", "reason"),
		streams: describe("streams", "Streams of the gateway's own HTTP/2 that are open."),
		opened:  describe("streams_opened_total", "Streams of the gateway's own HTTP/2 that were opened, without the refused ones."),
		memory:  describe("memory_bytes", "Bytes of server.limits.memory_bytes that requests and responses hold."),
		expiry:  prometheus.NewDesc("prism_tls_certificate_expiry_timestamp_seconds", "When the certificate of a listener ends.", []string{"listener"}, nil),
		reloads: prometheus.NewDesc("prism_tls_certificate_reloads_total", "How often the files of certificates were read again, by the result: after a failed one the "+
			"certificates are as they were.", []string{"result"}, nil),
	}
}

// Collector returns the metrics of the front: prism_front_* and prism_tls_*.
func (f *Front) Collector() *Collector {
	var http2 func() h2.Stats
	if !f.standard {
		http2 = f.http2Stats
	}
	c := NewCollector(f.listenStats, http2)
	c.front = f
	return c
}

// Describe is part of [prometheus.Collector].
func (c *Collector) Describe(descs chan<- *prometheus.Desc) {
	all := []*prometheus.Desc{c.connections, c.accepted, c.refused}
	if c.http2 != nil {
		all = append(all, c.streams, c.opened, c.memory)
	}
	if c.front != nil {
		all = append(all, c.expiry, c.reloads)
	}
	for _, desc := range all {
		descs <- desc
	}
}

// Collect is part of [prometheus.Collector].
func (c *Collector) Collect(metrics chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value int64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(value), labels...)
	}
	counter := func(desc *prometheus.Desc, value int64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(value), labels...)
	}
	stats := c.listener()
	gauge(c.connections, stats.Open)
	counter(c.accepted, stats.Accepted)
	refused := map[string]int64{
		"max_connections":   stats.Refused,
		"handshake_timeout": stats.Silent,
		"tls_handshake":     stats.Unsecured,
		"unknown_protocol":  stats.Unknown,
	}
	if c.http2 != nil {
		own := c.http2()
		gauge(c.streams, own.Streams)
		counter(c.opened, own.Opened)
		gauge(c.memory, own.Memory)
		for _, r := range h2.Refusals() {
			refused[refusalReason(r)] += own.Refused[r]
		}
	}
	if c.front != nil {
		refused["host_not_allowed"], refused["origin_not_allowed"] = c.front.refusedNames()
		counter(c.reloads, c.front.reloaded.Load(), "ok")
		counter(c.reloads, c.front.notReloaded.Load(), "failed")
		for _, p := range c.front.clients {
			if certificate := p.certificate(); certificate != nil {
				gauge(c.expiry, certificate.NotAfter.Unix(), p.where())
			}
		}
	}
	for reason, count := range refused {
		counter(c.refused, count, reason)
	}
}

// refusalReason is the limit that a refusal enforces, as the configuration calls it; or the rule that was broken.
func refusalReason(r h2.Refusal) string {
	switch r {
	case h2.RefusedStreams:
		return "max_streams"
	case h2.RefusedMemory:
		return "memory_bytes"
	case h2.RefusedHeader, h2.EndedHeader:
		return "max_header_bytes"
	case h2.EndedHandshake:
		return "handshake_timeout"
	case h2.EndedIdle:
		return "idle_timeout"
	case h2.EndedAge:
		return "max_age"
	case h2.EndedPings:
		return "min_ping_interval"
	case h2.EndedFlood:
		return "flood_allowance"
	case h2.EndedWrite:
		return "write_timeout"
	case h2.CutBody:
		return "body_timeout"
	case h2.CutStall:
		return "stall_timeout"
	default:
		return r.String()
	}
}
