package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Units of figures.
const (
	perSecond    = "/s"
	microseconds = "us"
	milliseconds = "ms"
	nanoseconds  = "ns"
	megabytes    = "MB"
	kibibytes    = "KiB"
	ratio        = "x"
	allocations  = "allocs"
)

// bar is what a figure is to reach.
type bar struct {
	// Relation is ">=" or "<=".
	Relation string  `json:"relation"`
	Value    float64 `json:"value"`
}

func atLeast(value float64) *bar { return &bar{">=", value} }
func atMost(value float64) *bar  { return &bar{"<=", value} }

// figure is one line of the report.
type figure struct {
	Case string `json:"case"`
	Name string `json:"name"`
	Unit string `json:"unit"`
	// Samples are in the order of the rounds.
	Samples []float64 `json:"samples"`
	Bar     *bar      `json:"bar,omitempty"`
	Note    string    `json:"note,omitempty"`
	// The rest is computed from the samples when the figure is added.
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	// Verdict is MET, MISSED, or empty without a bar.
	Verdict string `json:"verdict,omitempty"`
}

// report is what a run has measured.
type report struct {
	Date    string   `json:"date"`
	Machine string   `json:"machine"`
	Go      string   `json:"go"`
	Command string   `json:"command"`
	Rounds  int      `json:"rounds"`
	Loads   []string `json:"loads"`
	Figures []figure `json:"figures"`
}

func newReport(command []string, rounds int) *report {
	return &report{
		Rounds:  rounds,
		Date:    time.Now().UTC().Format(time.DateOnly),
		Machine: fmt.Sprintf("%d cores, %s, load average %s at the start", runtime.NumCPU(), processor(), loadAverage()),
		Go:      runtime.Version(),
		Command: strings.Join(command, " "),
		Loads:   []string{}, Figures: []figure{},
	}
}

// command adds what made a case's figures.
func (r *report) command(name, line string) { r.Loads = append(r.Loads, name+": "+line) }

func (r *report) add(f figure) {
	f.Median, f.Min, f.Max = median(f.Samples), slices.Min(f.Samples), slices.Max(f.Samples)
	if f.Bar != nil {
		f.Verdict = "MISSED"
		if f.Bar.Relation == ">=" && f.Median >= f.Bar.Value || f.Bar.Relation == "<=" && f.Median <= f.Bar.Value {
			f.Verdict = "MET"
		}
	}
	r.Figures = append(r.Figures, f)
}

// outputs are the ways to write a report.
var outputs = map[string]func(*report) ([]byte, error){"text": text, "json": encoded, "markdown": markdown}

func text(r *report) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n%s; %s; %s; rounds: %d\n%s\n\n", r.Command, r.Date, r.Machine, r.Go, r.Rounds, strings.Join(r.Loads, "\n"))
	rows := []string{"CASE\tFIGURE\tMEDIAN\tMIN TO MAX\tBAR\t\tNOTE\n"}
	for _, f := range r.Figures {
		rows = append(rows, strings.Join(f.cells(), "\t")+"\n")
	}
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	_, err := table.Write([]byte(strings.Join(rows, "")))
	err = errors.Join(err, table.Flush())
	return b.Bytes(), err
}

func encoded(r *report) ([]byte, error) {
	data, err := json.MarshalIndent(r, "", "  ")
	return append(data, '\n'), err
}

// The markers that results stand between in a markdown file.
const (
	resultsBegin = "<!-- results: begin; written by go run ./bench --output markdown -->\n"
	resultsEnd   = "<!-- results: end -->\n"
)

func markdown(r *report) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s%s; %s; %s; rounds: %d. Made by `%s`", resultsBegin, r.Date, r.Machine, r.Go, r.Rounds, r.Command)
	if len(r.Loads) > 0 {
		fmt.Fprintf(&b, ", with these loads:\n\n```\n%s\n```", strings.Join(r.Loads, "\n"))
	}
	b.WriteString("\n\nWhat has a bar:\n\n| case | figure | median | min to max | bar | | note |\n|---|---|---|---|---|---|---|\n")
	for _, f := range r.Figures {
		if f.Bar != nil {
			fmt.Fprintf(&b, "| %s |\n", strings.Join(f.cells(), " | "))
		}
	}
	b.WriteString("\nWhat it was made of:\n\n| case | figure | median | min to max | note |\n|---|---|---|---|---|\n")
	for _, f := range r.Figures {
		if f.Bar == nil {
			fmt.Fprintf(&b, "| %s |\n", strings.Join(slices.Delete(f.cells(), 4, 6), " | "))
		}
	}
	b.WriteString(resultsEnd)
	return b.Bytes(), nil
}

// replaceResults writes a report into a markdown file, between the markers.
func replaceResults(path string, r *report) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(old), resultsBegin)
	_, after, ends := strings.Cut(rest, resultsEnd)
	if !begins || !ends {
		return fmt.Errorf("%s has no place for results: it needs the lines %q and %q", path, resultsBegin, resultsEnd)
	}
	results, err := markdown(r)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(before+string(results)+after), 0o644)
}

func (f figure) cells() []string {
	spread, limit := "", ""
	if len(f.Samples) > 1 {
		spread = f.format(f.Min) + " to " + f.format(f.Max)
	}
	if f.Bar != nil {
		limit = f.Bar.Relation + " " + f.format(f.Bar.Value)
	}
	return []string{f.Case, f.Name, f.format(f.Median), spread, limit, f.Verdict, f.Note}
}

// format writes a value with three digits or more, and its unit.
func (f figure) format(value float64) string {
	digits := 0
	switch {
	case f.Unit == allocations:
	case value < 1:
		digits = 3
	case value < 10:
		digits = 2
	case value < 100:
		digits = 1
	}
	text := strconv.FormatFloat(value, 'f', digits, 64)
	switch f.Unit {
	case ratio:
		return text
	case perSecond:
		return text + f.Unit
	}
	return text + " " + f.Unit
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// divide divides round by round: what is compared ran next to each other.
func divide(a, b []float64) []float64 {
	quotients := make([]float64, len(a))
	for i := range a {
		quotients[i] = a[i] / b[i]
	}
	return quotients
}

func processor() string {
	data, _ := os.ReadFile("/proc/cpuinfo") // for the reader of the report; nothing depends on it
	for line := range strings.Lines(string(data)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func loadAverage() string {
	data, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(data), " ")
	return first
}
