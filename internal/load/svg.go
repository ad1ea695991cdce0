package load

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strings"
)

// The picture's size, and the space that its axes' labels take.
const (
	svgWidth, svgHeight         = 800, 440
	svgLeft, svgRight           = 80, 24
	svgTop, svgBottom           = 56, 56
	svgPlotWidth                = svgWidth - svgLeft - svgRight
	svgPlotHeight               = svgHeight - svgTop - svgBottom
	svgNines            float64 = 5
)

// WriteSVG draws the latencies of a report by percentile, one line for each target. Percentiles stand where their nines do: 90, 99 and 99.9 are as far apart.
func (r *Report) WriteSVG(w io.Writer) error {
	low, high := math.Inf(1), 0.0
	for _, result := range r.Results {
		if result.latency.TotalCount() > 0 {
			low = min(low, float64(result.latency.ValueAtPercentile(1)))
			high = max(high, float64(result.latency.Max()))
		}
	}
	if high == 0 {
		low, high = 1e5, 1e6 // an empty picture
	}
	first, last := math.Floor(math.Log10(max(low, 100))), math.Ceil(math.Log10(max(high, 1000)))
	if first == last {
		last++
	}
	x := func(percentile float64) float64 {
		return svgLeft + svgPlotWidth*min(-math.Log10(max(1-percentile/100, math.Pow(10, -svgNines))), svgNines)/svgNines
	}
	y := func(nanoseconds float64) float64 {
		return svgTop + svgPlotHeight*(1-(max(math.Log10(max(nanoseconds, 1)), first)-first)/(last-first))
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" font-family="sans-serif" font-size="12">`+"\n", svgWidth, svgHeight)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", svgWidth, svgHeight)
	fmt.Fprintf(&b, `<text x="%d" y="20" font-size="13">%s</text>`+"\n", 12, escaped(r.Load))
	for decade := first; decade <= last; decade++ {
		at := y(math.Pow(10, decade))
		fmt.Fprintf(&b, `<path d="M%d %.1fH%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%g ms</text>`+"\n",
			svgLeft, at, svgWidth-svgRight, svgLeft-8, at+4, math.Pow(10, decade-6))
	}
	for _, percentile := range []float64{0, 50, 90, 99, 99.9, 99.99, 99.999} {
		fmt.Fprintf(&b, `<path d="M%.1f %dV%d" stroke="#ddd"/><text x="%.1f" y="%d" text-anchor="middle">P%g</text>`+"\n",
			x(percentile), svgTop, svgHeight-svgBottom, x(percentile), svgHeight-svgBottom+18, percentile)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">percentile of calls</text>`+"\n", svgLeft+svgPlotWidth/2, svgHeight-12)
	for i, result := range r.Results {
		colour := []string{"#1f77b4", "#d62728"}[i%2]
		var points []string
		if result.latency.TotalCount() > 0 {
			for step := range 401 {
				percentile := 100 * (1 - math.Pow(10, -svgNines*float64(step)/400))
				points = append(points, fmt.Sprintf("%.1f,%.1f", x(percentile), y(float64(result.latency.ValueAtPercentile(percentile)))))
			}
		}
		fmt.Fprintf(&b, `<polyline fill="none" stroke="%s" stroke-width="2" points="%s"/>`+"\n", colour, strings.Join(points, " "))
		fmt.Fprintf(&b, `<text x="%d" y="%d" fill="%s">%s</text>`+"\n", svgLeft+8+i*300, svgTop-12, colour, escaped(result.Target))
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func escaped(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a strings.Builder takes everything
	return b.String()
}
