package main

import (
	"context"
	"time"
)

// settle is how long a server is left alone before its memory is read.
const settle = time.Second

// measureStart starts the gateway afresh in every round: how long until it is ready, and what it holds when nobody has called it.
func measureStart(ctx context.Context, b *benchmark) error {
	var ready, idle []float64
	for round := range b.rounds {
		s, err := b.start(ctx, gateway, setting{})
		if err != nil {
			return err
		}
		time.Sleep(settle)
		held, err := s.rss()
		s.stop()
		if err != nil {
			return err
		}
		ready, idle = append(ready, s.ready.Seconds()*1e3), append(idle, held/1e6)
		progress("start: round %d/%d: ready in %.1f ms, %.1f MB", round+1, b.rounds, ready[round], idle[round])
	}
	b.report.add(figure{Case: "start", Name: "gateway: exec to ready", Unit: milliseconds, Samples: ready, Bar: atMost(100), Note: "/readyz says so and the data port accepts"})
	b.report.add(figure{Case: "start", Name: "gateway: idle RSS", Unit: megabytes, Samples: idle, Bar: atMost(40), Note: "one second after it was ready"})
	return nil
}
