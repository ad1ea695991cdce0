package load

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// newHistogram counts times from 100 ns to an hour with an error of at most a thousandth.
func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(100, int64(time.Hour), 3)
}

// record counts a time; one that is longer than an hour is an hour.
func record(h *hdrhistogram.Histogram, nanoseconds int64) {
	_ = h.RecordValue(min(max(nanoseconds, 0), int64(time.Hour))) // it is in range
}

// recordCorrected counts a time, and the shorter ones that calls would have taken that were not made because of it.
func recordCorrected(h *hdrhistogram.Histogram, nanoseconds, expected int64) {
	if expected == 0 {
		record(h, nanoseconds)
		return
	}
	_ = h.RecordCorrectedValue(min(max(nanoseconds, 0), int64(time.Hour)), expected) // it is in range
}

// Failure is a way in which calls failed.
type Failure struct {
	// Code is gRPC's name of the code, or says what else went wrong: TIMEOUT, CONNECTION_LOST, MALFORMED, HTTP_503, RST_STREAM_CANCEL.
	Code string `json:"code"`
	// Calls is how many failed so.
	Calls int64 `json:"calls"`
	// Message is that of the first.
	Message string `json:"message"`
}

// tally is what a thread has counted. All but finished is of calls that were due after the warm-up.
type tally struct {
	// latency counts from when a call was due, service from when it was sent, lateness from the one to the other where it was the generator's.
	latency, service, lateness *hdrhistogram.Histogram
	calls, ok                  int64
	messages                   int64
	// bytes are those of bodies that came back, of calls that ended well.
	bytes                int64
	unfinished, repeated int64
	failures             map[string]*Failure
	disconnects          map[string]*Failure
	// finished and succeeded count the calls that ended within the measured time, whenever they were due; so do received messages.
	finished, succeeded, received int64
	// last is when the last measured call ended.
	last int64
}

func newTally() *tally {
	return &tally{
		latency: newHistogram(), service: newHistogram(), lateness: newHistogram(),
		failures: make(map[string]*Failure), disconnects: make(map[string]*Failure),
	}
}

// maxFailures bounds the kinds of failures that are told apart: a server names them.
const maxFailures = 64

func count(failures map[string]*Failure, code, message string) {
	f := failures[code]
	if f == nil {
		if len(failures) >= maxFailures {
			code = "OTHER"
		}
		if f = failures[code]; f == nil {
			f = &Failure{Code: code, Message: message[:min(len(message), 1000)]}
			failures[code] = f
		}
	}
	f.Calls++
}

func (t *tally) disconnected(why, detail string) { count(t.disconnects, why, detail) }

// add adds what another thread has counted.
func (t *tally) add(other *tally) {
	t.latency.Merge(other.latency)
	t.service.Merge(other.service)
	t.lateness.Merge(other.lateness)
	t.calls += other.calls
	t.ok += other.ok
	t.messages += other.messages
	t.bytes += other.bytes
	t.unfinished += other.unfinished
	t.repeated += other.repeated
	t.finished += other.finished
	t.succeeded += other.succeeded
	t.received += other.received
	t.last = max(t.last, other.last)
	for _, both := range []struct{ into, from map[string]*Failure }{{t.failures, other.failures}, {t.disconnects, other.disconnects}} {
		for code, f := range both.from {
			if mine := both.into[code]; mine != nil {
				mine.Calls += f.Calls
			} else {
				copied := *f
				both.into[code] = &copied
			}
		}
	}
}
