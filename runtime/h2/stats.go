package h2

import "sync/atomic"

// Refusal is a reason why a server refused something of a peer.
type Refusal int

// The refusals. Each is counted where a limit or a rule of the protocol was met.
const (
	// RefusedStreams are streams beyond [Limits.MaxStreams].
	RefusedStreams Refusal = iota
	// RefusedMemory are streams that came while [Limits.MemoryBytes] were in use.
	RefusedMemory
	// RefusedHeader are requests with a header beyond [Limits.MaxHeaderBytes].
	RefusedHeader
	// RefusedMalformed are requests that break a rule of HTTP.
	RefusedMalformed
	// EndedHandshake are connections that sent no preface and SETTINGS in time.
	EndedHandshake
	// EndedIdle are connections that were idle for too long.
	EndedIdle
	// EndedAge are connections that lived for too long.
	EndedAge
	// EndedPings are connections that pinged too often.
	EndedPings
	// EndedFlood are connections that went beyond [Limits.FloodAllowance].
	EndedFlood
	// EndedHeader are connections with a header block of too many bytes or frames.
	EndedHeader
	// EndedControl are connections that asked for more than they read the answers of.
	EndedControl
	// EndedWrite are connections that took nothing off the socket.
	EndedWrite
	// EndedProtocol are connections that broke a rule of HTTP/2.
	EndedProtocol
	// CutBody are requests that did not arrive in time.
	CutBody
	// CutStall are responses that waited for the peer's window for too long.
	CutStall

	refusals
)

// String returns the refusal as a label: "flood".
func (r Refusal) String() string {
	names := [refusals]string{
		"streams", "memory", "header", "malformed", "handshake", "idle", "age", "pings", "flood", "header_block", "control", "write", "protocol", "body", "stall",
	}
	if r < 0 || r >= refusals {
		return "unknown"
	}
	return names[r]
}

// Refusals returns every refusal there is.
func Refusals() []Refusal {
	all := make([]Refusal, refusals)
	for i := range all {
		all[i] = Refusal(i)
	}
	return all
}

// Stats are figures of a server.
type Stats struct {
	// Connections is how many connections are open now, Streams how many streams.
	Connections, Streams int64
	// Opened is how many streams were opened, the refused ones not.
	Opened int64
	// Memory is how many bytes of [Limits.MemoryBytes] are taken.
	Memory int64
	// Refused counts each refusal.
	Refused map[Refusal]int64
}

type counters struct {
	connections, opened atomic.Int64
	refused             [refusals]atomic.Int64
}

func (c *counters) count(r Refusal) { c.refused[r].Add(1) }

// Stats returns the figures since the server was made.
func (s *Server) Stats() Stats {
	stats := Stats{Memory: s.memory.taken.Load(), Refused: make(map[Refusal]int64, refusals)}
	for i := range s.counters.refused {
		stats.Refused[Refusal(i)] = s.counters.refused[i].Load()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	stats.Connections, stats.Opened = s.counters.connections.Load(), s.counters.opened.Load()
	for c := range s.conns {
		c.mu.Lock()
		stats.Streams += int64(len(c.streams))
		stats.Opened += c.opened
		c.mu.Unlock()
	}
	return stats
}
