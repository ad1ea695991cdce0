package main

import (
	"errors"
	"time"
)

// meter tells what a server and its core have used since it was read.
type meter struct {
	b         *benchmark
	server    *server
	at        time.Time
	cpu, core time.Duration
}

// usage is what was used in a time.
type usage struct {
	took time.Duration
	// cpu is the server's, others that of everybody else on its core.
	cpu, others time.Duration
}

// read begins to measure a server.
func (b *benchmark) read(s *server) (meter, error) {
	core, err1 := coreBusy(b.serverCore)
	cpu, err2 := s.cpu()
	return meter{b, s, time.Now(), cpu, core}, errors.Join(err1, err2)
}

// used is what was used since the meter was read.
func (m meter) used() (usage, error) {
	took := time.Since(m.at)
	now, err := m.b.read(m.server)
	cpu := now.cpu - m.cpu
	return usage{took, cpu, max(0, now.core-m.core-cpu)}, err
}

// sample is a round of so many calls, of a generator that had so much processor time.
func (u usage) sample(calls int, generator time.Duration) sample {
	seconds := u.took.Seconds()
	return sample{
		rate:   float64(calls) / seconds,
		cpu:    u.cpu / time.Duration(max(calls, 1)),
		server: u.cpu.Seconds() / seconds,
		load:   generator.Seconds() / seconds,
		others: u.others.Seconds() / seconds,
	}
}
