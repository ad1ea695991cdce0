package load

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// row is a figure in the table of a report.
type row struct {
	name   string
	of     func(*Sample) float64
	format func(float64) string
	ratio  *Figure
}

// WriteText writes a report for people.
func (r *Report) WriteText(w io.Writer) error {
	fmt.Fprintf(w, "%s\n%s; %s; %s\n\n", r.Load, r.Date, r.Machine, r.Go)
	if len(r.Results) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	heading := []string{""}
	for _, result := range r.Results {
		heading = append(heading, result.Target)
	}
	if r.Ratios != nil {
		heading = append(heading, "ratio")
	}
	if len(r.Results) > 1 {
		fmt.Fprintln(table, strings.Join(heading, "\t"))
	}
	for _, row := range r.rows() {
		cells := []string{row.name}
		for _, result := range r.Results {
			cells = append(cells, formatFigure(figure(column(result.Samples, row.of)), len(result.Samples), row.format))
		}
		if r.Ratios != nil && row.ratio != nil {
			cells = append(cells, formatFigure(*row.ratio, len(r.Results[0].Samples), ratio))
		}
		fmt.Fprintln(table, strings.Join(cells, "\t"))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nLatency counts %s.\n", r.Corrected)
	for _, result := range r.Results {
		r.writeTroubles(w, result)
	}
	for _, result := range r.Results {
		if result.latency.TotalCount() > 0 {
			fmt.Fprintf(w, "\nLatency of %s\n%s", result.Target, bars(result.latency))
		}
	}
	for i, note := range r.Notes {
		if i == 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "Note: %s.\n", note)
	}
	return nil
}

// rows are the figures that there are.
func (r *Report) rows() []row {
	var ratios Ratios
	if r.Ratios != nil {
		ratios = *r.Ratios
	}
	some := func(of func(*Sample) float64) bool {
		for _, result := range r.Results {
			for _, s := range result.Samples {
				if of(s) != 0 {
					return true
				}
			}
		}
		return false
	}
	rows := []row{
		{"calls/s", rateOf, number, ratios.Rate},
		{"calls", func(s *Sample) float64 { return float64(s.Calls) }, number, nil},
	}
	optional := func(of func(*Sample) float64, row row) {
		if some(of) {
			row.of = of
			rows = append(rows, row)
		}
	}
	optional(func(s *Sample) float64 { return float64(s.Failed) }, row{name: "failed", format: number})
	optional(func(s *Sample) float64 { return float64(s.Unfinished) }, row{name: "cut off at the end", format: number})
	optional(func(s *Sample) float64 { return float64(s.Repeated) }, row{name: "made again after GOAWAY", format: number})
	if some(func(s *Sample) float64 { return float64(s.Messages - s.OK) }) {
		optional(func(s *Sample) float64 { return s.MessageRate }, row{name: "messages/s", format: number})
	}
	optional(cpuOf, row{name: "CPU per call", format: microseconds, ratio: ratios.CPU})
	for _, l := range []struct {
		name  string
		of    func(Latencies) float64
		ratio *Figure
	}{
		{"mean", func(l Latencies) float64 { return l.Mean }, nil},
		{"P50", func(l Latencies) float64 { return l.P50 }, ratios.P50},
		{"P90", func(l Latencies) float64 { return l.P90 }, nil},
		{"P99", func(l Latencies) float64 { return l.P99 }, ratios.P99},
		{"P99.9", func(l Latencies) float64 { return l.P999 }, nil},
		{"P99.99", func(l Latencies) float64 { return l.P4 }, nil},
		{"max", func(l Latencies) float64 { return l.Max }, nil},
	} {
		optional(func(s *Sample) float64 { return l.of(s.Latency) }, row{name: "latency " + l.name, format: milliseconds, ratio: l.ratio})
	}
	if r.Open {
		optional(func(s *Sample) float64 { return s.Service.P50 }, row{name: "sent to answered P50", format: milliseconds})
		optional(func(s *Sample) float64 { return s.Service.P99 }, row{name: "sent to answered P99", format: milliseconds})
		optional(func(s *Sample) float64 { return s.Lateness.P50 }, row{name: "generator late P50", format: milliseconds})
		optional(func(s *Sample) float64 { return s.Lateness.P99 }, row{name: "generator late P99", format: milliseconds})
		optional(func(s *Sample) float64 { return s.Lateness.Max }, row{name: "generator late max", format: milliseconds})
	}
	optional(func(s *Sample) float64 { return s.GeneratorCPU }, row{name: "generator CPU per call", format: microseconds})
	optional(func(s *Sample) float64 { return s.GeneratorBusy * 100 }, row{name: "generator busy", format: percent})
	return rows
}

func (r *Report) writeTroubles(w io.Writer, result *Result) {
	for round, s := range result.Samples {
		at := result.Target
		if len(result.Samples) > 1 {
			at += fmt.Sprintf(", round %d", round+1)
		}
		for _, part := range []struct {
			title    string
			failures []Failure
		}{{"Failed calls of ", s.Failures}, {"Connections that ended of ", s.Disconnects}} {
			if len(part.failures) == 0 {
				continue
			}
			fmt.Fprintf(w, "\n%s%s\n", part.title, at)
			for _, f := range part.failures {
				fmt.Fprintf(w, "  %-20s %8s  %s\n", printable(f.Code), number(float64(f.Calls)), printable(f.Message))
			}
		}
	}
}

// printable escapes what would do something to a terminal: a server has written it.
func printable(text string) string {
	quoted := strconv.Quote(text)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

func formatFigure(f Figure, rounds int, format func(float64) string) string {
	if rounds < 2 {
		return format(f.Median)
	}
	return fmt.Sprintf("%s (%s to %s)", format(f.Median), format(f.Min), format(f.Max))
}

// number writes whole numbers with commas, and small ones with digits.
func number(value float64) string {
	if value < 100 && value != float64(int64(value)) {
		return fmt.Sprintf("%.2f", value)
	}
	digits := strconv.FormatInt(int64(value+0.5), 10)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

func milliseconds(value float64) string {
	switch {
	case value >= 100:
		return fmt.Sprintf("%.0f ms", value)
	case value >= 10:
		return fmt.Sprintf("%.1f ms", value)
	}
	return fmt.Sprintf("%.3f ms", value)
}

func microseconds(value float64) string { return fmt.Sprintf("%.2f us", value) }
func percent(value float64) string      { return fmt.Sprintf("%.0f%%", value) }
func ratio(value float64) string        { return fmt.Sprintf("%.2f", value) }

// bars draw the percentiles of a histogram.
func bars(h *hdrhistogram.Histogram) string {
	const width = 50
	var b strings.Builder
	most := h.ValueAtPercentile(99.99)
	for _, percentile := range []float64{10, 25, 50, 75, 90, 95, 99, 99.9, 99.99} {
		value := h.ValueAtPercentile(percentile)
		length := 0
		if most > 0 {
			length = int(float64(value)/float64(most)*width + 0.5)
		}
		bar := strings.TrimRight(fmt.Sprintf("  P%-6s %10s  %s", strconv.FormatFloat(percentile, 'f', -1, 64), milliseconds(float64(value)/1e6), strings.Repeat("#", length)), " ")
		b.WriteString(bar + "\n")
	}
	return b.String()
}
