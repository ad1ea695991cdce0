package load

import (
	"cmp"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Sample is what one run has measured. Times are in seconds, but for those whose names have a unit.
type Sample struct {
	// Target is the address.
	Target string `json:"target"`
	// Seconds is how long was measured.
	Seconds float64 `json:"seconds"`
	// Calls ended, of which OK well and Failed did not; Unfinished were cut off when the run was over. All were begun in the measured time.
	Calls      int64 `json:"calls"`
	OK         int64 `json:"ok"`
	Failed     int64 `json:"failed"`
	Unfinished int64 `json:"unfinished"`
	// Repeated counts calls that a server sent away with GOAWAY unseen, and that were made on another connection.
	Repeated int64 `json:"repeated"`
	// Rate is how many calls ended well in a second of the measured time, whenever they had begun.
	Rate float64 `json:"rate"`
	// Messages is how many messages arrived, and MessageRate how many in a second.
	Messages    int64   `json:"messages"`
	MessageRate float64 `json:"messages_per_second"`
	// BodyBytes is the size of the responses of calls that ended well, with the envelopes of their messages.
	BodyBytes int64 `json:"body_bytes"`
	// Failures says how calls failed, and Disconnects why connections ended; the most frequent come first.
	Failures    []Failure `json:"failures"`
	Disconnects []Failure `json:"disconnects"`
	// Latency counts from when calls were due; of calls that ended well, and those that were given up after the timeout.
	Latency Latencies `json:"latency"`
	// Service counts from when calls were sent.
	Service Latencies `json:"service"`
	// Lateness is how much later than due the generator has sent calls of an open loop that had not to wait for the server.
	Lateness Latencies `json:"lateness"`
	// CPU is what a call has cost the target's processes, in microseconds; nil when there was no pid.
	CPU *float64 `json:"cpu_us_per_call"`
	// GeneratorCPU is what a call has cost this process, in microseconds.
	GeneratorCPU float64 `json:"generator_cpu_us_per_call"`
	// GeneratorBusy is how much of its threads' time this process was busy: near 1 it was itself what was measured.
	GeneratorBusy float64 `json:"generator_busy"`

	latency, service, lateness *hdrhistogram.Histogram
}

// Latencies are percentiles in milliseconds.
type Latencies struct {
	// Count is how many were counted.
	Count int64 `json:"count"`
	// Mean and the others are 0 when nothing was counted.
	Mean float64 `json:"mean_ms"`
	P50  float64 `json:"p50_ms"`
	P90  float64 `json:"p90_ms"`
	P99  float64 `json:"p99_ms"`
	P999 float64 `json:"p99_9_ms"`
	P4   float64 `json:"p99_99_ms"`
	Max  float64 `json:"max_ms"`
}

func latencies(h *hdrhistogram.Histogram) Latencies {
	if h.TotalCount() == 0 {
		return Latencies{}
	}
	const ms = float64(time.Millisecond)
	at := func(percentile float64) float64 { return float64(h.ValueAtPercentile(percentile)) / ms }
	return Latencies{
		Count: h.TotalCount(), Mean: h.Mean() / ms,
		P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), P4: at(99.99), Max: float64(h.Max()) / ms,
	}
}

// sample adds up what the workers have counted.
func (r *run) sample(before, after usage) *Sample {
	sum := newTally()
	for _, w := range r.workers {
		sum.add(w.tally)
	}
	end := min(r.clock(), r.end)
	if r.plan.Calls > 0 && sum.calls >= r.plan.Calls && sum.last > 0 {
		end = min(end, sum.last) // the last call is the end, not the clean-up after it
	}
	measured := max(end-r.measure, 0)
	s := &Sample{
		Target: r.target.Address.String(), Seconds: time.Duration(measured).Seconds(),
		Calls: sum.calls, OK: sum.ok, Failed: sum.calls - sum.ok, Unfinished: sum.unfinished, Repeated: sum.repeated, Messages: sum.messages, BodyBytes: sum.bytes,
		Failures: sorted(sum.failures), Disconnects: sorted(sum.disconnects),
		Latency: latencies(sum.latency), Service: latencies(sum.service), Lateness: latencies(sum.lateness),
		latency: sum.latency, service: sum.service, lateness: sum.lateness,
	}
	if measured > 0 {
		s.Rate = float64(sum.succeeded) / s.Seconds
		s.MessageRate = float64(sum.received) / s.Seconds
	}
	if sum.finished > 0 {
		ended := float64(sum.finished)
		if len(r.target.PIDs) > 0 {
			cost := float64(after.target-before.target) / ended / 1e3
			s.CPU = &cost
		}
		s.GeneratorCPU = float64(after.own-before.own) / ended / 1e3
	}
	if spent := after.at - before.at; spent > 0 {
		s.GeneratorBusy = float64(after.own-before.own) / float64(spent) / float64(len(r.workers))
	}
	return s
}

func sorted(failures map[string]*Failure) []Failure {
	all := []Failure{}
	for _, f := range failures {
		all = append(all, *f)
	}
	slices.SortFunc(all, func(a, b Failure) int {
		return cmp.Or(cmp.Compare(b.Calls, a.Calls), cmp.Compare(a.Code, b.Code))
	})
	return all
}
