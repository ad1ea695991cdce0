package load

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Report is what a measurement of one target, or of two in turn, has found.
type Report struct {
	// Date is the day, in UTC.
	Date string `json:"date"`
	// Machine and Go say what the generator ran on.
	Machine string `json:"machine"`
	Go      string `json:"go"`
	// Load says in words what was called and how.
	Load string `json:"load"`
	// Corrected says what latencies count from.
	Corrected string `json:"latency_counts"`
	// Open tells that calls were made at a rate.
	Open bool `json:"open_loop"`
	// Results are those of the targets.
	Results []*Result `json:"results"`
	// Ratios are the first target's figures by the second's, of each pair of runs; nil when there is one target.
	Ratios *Ratios `json:"ratios,omitempty"`
	// Notes say what to keep in mind.
	Notes []string `json:"notes"`
}

// Result is what was measured of one target.
type Result struct {
	// Target is its address.
	Target string `json:"target"`
	// Samples are the rounds, in order.
	Samples []*Sample `json:"rounds"`
	// The figures are of all rounds. CPU is nil without a pid.
	Rate Figure  `json:"rate"`
	CPU  *Figure `json:"cpu_us_per_call"`
	P50  Figure  `json:"p50_ms"`
	P99  Figure  `json:"p99_ms"`

	latency *hdrhistogram.Histogram
}

// Ratios compare two targets.
type Ratios struct {
	// Rate and the others are nil when a run has none.
	Rate *Figure `json:"rate"`
	CPU  *Figure `json:"cpu_us_per_call"`
	P50  *Figure `json:"p50"`
	P99  *Figure `json:"p99"`
}

// Figure is a value of several rounds.
type Figure struct {
	// Median is the middle one, or the mean of the middle two; Min and Max are the spread.
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

func figure(values []float64) Figure {
	if len(values) == 0 {
		return Figure{}
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	f := Figure{sorted[middle], sorted[0], sorted[len(sorted)-1]}
	if len(sorted)%2 == 0 {
		f.Median = (sorted[middle-1] + sorted[middle]) / 2
	}
	return f
}

// Measure runs a plan so many times against one target, or against two in turn: who goes first changes with each round, so that neither is always the one after
// the other. With an error there may be a report of what was measured until then.
func Measure(ctx context.Context, plan *Plan, targets []*Target, rounds int, progress func(round int, target *Target, p Progress)) (*Report, error) {
	samples := make([][]*Sample, len(targets))
	for round := range rounds {
		for i := range targets {
			i = (i + round) % len(targets)
			var tell func(Progress)
			if progress != nil {
				tell = func(p Progress) { progress(round, targets[i], p) }
			}
			sample, err := Run(ctx, plan, targets[i], tell)
			if sample != nil {
				samples[i] = append(samples[i], sample)
			}
			if err != nil {
				return newReport(plan, targets, samples), err
			}
		}
	}
	return newReport(plan, targets, samples), nil
}

func newReport(plan *Plan, targets []*Target, samples [][]*Sample) *Report {
	r := &Report{
		Date: time.Now().UTC().Format(time.DateOnly), Machine: fmt.Sprintf("%s/%s, %s", runtime.GOOS, runtime.GOARCH, plural(runtime.NumCPU(), "core")), Go: runtime.Version(),
		Load: plan.describe(), Open: plan.Rate > 0, Notes: []string{},
	}
	switch {
	case r.Open:
		r.Corrected = "from when a call was due, so that calls which a slow server has put off are charged to it"
	case plan.ExpectedInterval > 0:
		r.Corrected = fmt.Sprintf("from when a call was made; a slow one stands for those that were expected every %s meanwhile", plan.ExpectedInterval)
	default:
		r.Corrected = "from when a call was made; not corrected: a closed loop makes no calls while it waits for a slow one (a rate is corrected)"
	}
	whole := len(samples[0])
	for i, target := range targets {
		if len(samples[i]) > 0 {
			r.Results = append(r.Results, newResult(target, samples[i]))
		}
		whole = min(whole, len(samples[i]))
	}
	if len(targets) == 2 && whole > 0 {
		r.Ratios = newRatios(samples[0][:whole], samples[1][:whole])
	}
	r.note(plan, targets)
	return r
}

func column(samples []*Sample, of func(*Sample) float64) []float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = of(s)
	}
	return values
}

func sumOf(samples []*Sample, of func(*Sample) int64) int64 {
	sum := int64(0)
	for _, s := range samples {
		sum += of(s)
	}
	return sum
}

func rateOf(s *Sample) float64 { return s.Rate }
func p50Of(s *Sample) float64  { return s.Latency.P50 }
func p99Of(s *Sample) float64  { return s.Latency.P99 }

func cpuOf(s *Sample) float64 {
	if s.CPU == nil {
		return 0
	}
	return *s.CPU
}

func newResult(target *Target, samples []*Sample) *Result {
	r := &Result{
		Target: target.Address.String(), Samples: samples,
		Rate: figure(column(samples, rateOf)), P50: figure(column(samples, p50Of)), P99: figure(column(samples, p99Of)),
		latency: newHistogram(),
	}
	if len(target.PIDs) > 0 {
		cpu := figure(column(samples, cpuOf))
		r.CPU = &cpu
	}
	for _, s := range samples {
		r.latency.Merge(s.latency)
	}
	return r
}

func newRatios(a, b []*Sample) *Ratios {
	divide := func(of func(*Sample) float64) *Figure {
		var quotients []float64
		for i := range a {
			if below := of(b[i]); below > 0 {
				quotients = append(quotients, of(a[i])/below)
			}
		}
		if len(quotients) == 0 || slices.Max(quotients) == 0 {
			return nil
		}
		f := figure(quotients)
		return &f
	}
	return &Ratios{divide(rateOf), divide(cpuOf), divide(p50Of), divide(p99Of)}
}

// note adds what a reader of the figures should know.
func (r *Report) note(plan *Plan, targets []*Target) {
	note := func(format string, args ...any) { r.Notes = append(r.Notes, fmt.Sprintf(format, args...)) }
	for i, result := range r.Results {
		ended := sumOf(result.Samples, func(s *Sample) int64 { return s.Calls })
		failed := sumOf(result.Samples, func(s *Sample) int64 { return s.Failed })
		busy, late, ticks := 0.0, false, false
		for _, s := range result.Samples {
			busy = max(busy, s.GeneratorBusy)
			late = late || s.Lateness.Count > 0 && s.Lateness.P99 > s.Latency.P99/4
			ticks = ticks || s.CPU != nil && *s.CPU*float64(s.Calls) < 20*float64(clockTick/time.Microsecond)
		}
		if busy > 0.9 {
			note("%s: the generator was busy %.0f%% of its time: it may be what was measured; give it more threads, or another machine", result.Target, 100*busy)
		}
		if late {
			note("%s: the generator itself was late, by a P99 of a quarter of the calls' or more: their latencies are partly its own", result.Target)
		}
		if ticks {
			note("%s: its processor time was below 200 ms, which is counted in steps of %s: measure for longer", targets[i].Address, clockTick)
		}
		if unfinished := sumOf(result.Samples, func(s *Sample) int64 { return s.Unfinished }); unfinished > 0 {
			note("%s: %d calls were under way when the run ended, and are not in the latencies", result.Target, unfinished)
		}
		if ended == 0 {
			note("%s: no call has ended", result.Target)
		} else if failed > 0 {
			note("%s: %d of %d calls failed; a call that fails costs less than one that does not", result.Target, failed, ended)
		}
	}
	if plan.Keys.Count == 1 && plan.keyed() {
		note("every call had the same key; --keys makes more")
	}
}

// keyed tells whether a template has a key.
func (p *Plan) keyed() bool {
	for _, share := range p.Mix {
		if share.Template.keyed {
			return true
		}
	}
	return false
}

// Succeeded tells whether any call of each target did.
func (r *Report) Succeeded() bool {
	for _, result := range r.Results {
		if sumOf(result.Samples, func(s *Sample) int64 { return s.OK }) == 0 {
			return false
		}
	}
	return len(r.Results) > 0
}

// describe says in words what a plan does.
func (p *Plan) describe() string {
	var parts []string
	for _, share := range p.Mix {
		if len(p.Mix) == 1 {
			parts = append(parts, share.Template.name)
		} else {
			parts = append(parts, fmt.Sprintf("%s=%d", share.Template.name, share.Weight))
		}
	}
	text := strings.Join(parts, ",") + " over " + string(p.Protocol)
	text += fmt.Sprintf("; %s x %s on %s", plural(p.Connections, "connection"), plural(p.Streams, "stream"), plural(p.threads(), "thread"))
	if p.Rate > 0 {
		text += fmt.Sprintf("; open loop, %g calls/s", p.Rate)
	} else {
		text += "; closed loop"
	}
	var limits []string
	if p.Calls > 0 {
		limits = append(limits, plural(int(p.Calls), "call"))
	}
	if p.Duration > 0 {
		limits = append(limits, p.Duration.String())
	}
	text += "; " + strings.Join(limits, " or ")
	if p.WarmUp > 0 {
		text += " after " + p.WarmUp.String() + " of warm-up"
	}
	if p.keyed() {
		text += "; " + plural(p.Keys.Count, "key")
		if p.Keys.Count > 1 {
			text += ", " + string(p.Keys.Distribution)
			if p.Keys.Distribution == Zipf {
				text += fmt.Sprintf(" %g", p.Keys.Skew)
			}
		}
	}
	return text
}

func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
