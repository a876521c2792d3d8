package sim

import (
	"fmt"
	"io"
	"math"
	"strings"
)

// The chart is drawn in pixels: load over mean in time on the left, and on the right copies, which
// name the colours too. Colours are of middle brightness, for light and dark pages.
const (
	chartWidth, chartHeight = 900, 340
	plotLeft, plotRight     = 44, 560
	plotTop, plotBottom     = 48, 296
	barLeft, barRight       = 690, 850
	gray                    = "#848d97"
)

var colours = []string{"#e5534b", "#d68a00", "#3d8fdb", "#a371f7", "#2da36f"}

func colour(policy string) string {
	for i, name := range PolicyNames() {
		if name == policy {
			return colours[i%len(colours)]
		}
	}
	return gray
}

type svg struct{ strings.Builder }

func (s *svg) text(x, y float64, anchor, text string) {
	fmt.Fprintf(s, `<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`+"\n", x, y, anchor, text)
}

func (s *svg) line(x1, y1, x2, y2 float64, dash string) {
	fmt.Fprintf(
		s,
		`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-opacity="0.45" stroke-dasharray="%s"/>`+"\n",
		x1,
		y1,
		x2,
		y2,
		gray,
		dash,
	)
}

// WriteSVG writes a chart of the results.
func WriteSVG(w io.Writer, results []Result) error {
	var s svg
	fmt.Fprintf(
		&s,
		`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12" fill="%s">`+"\n",
		chartWidth,
		chartHeight,
		gray,
	)
	s.loads(results)
	s.bars(results)
	s.WriteString("</svg>\n")
	_, err := io.WriteString(w, s.String())
	return err
}

// logScale maps 1 ... most to from ... to.
func logScale(most, from, to float64) func(float64) float64 {
	return func(v float64) float64 { return from + (to-from)*math.Log(max(v, 1))/math.Log(most) }
}

func (s *svg) loads(results []Result) {
	least, last, most := math.Inf(1), math.Inf(-1), 1.5
	for _, r := range results {
		for _, p := range r.Samples {
			least, last, most = min(least, p.Seconds), max(last, p.Seconds), max(most, p.Max)
		}
	}
	y := logScale(most*1.05, plotBottom, plotTop)
	x := func(t float64) float64 { return plotLeft + (t-least)/max(last-least, 1)*(plotRight-plotLeft) }
	s.text(plotLeft, 18, "start", "highest load of an edge over the mean")
	for _, v := range []float64{1, 1.1, 1.25, 1.5, 2, 3, 5, 10, 20, 50} {
		if v < most*1.05 {
			s.line(plotLeft, y(v), plotRight, y(v), "")
			s.text(plotLeft-6, y(v)+4, "end", fmt.Sprint(v))
		}
	}
	for t := math.Ceil(least/60) * 60; t <= last; t += 60 {
		s.text(x(t), plotBottom+18, "middle", fmt.Sprintf("%.0f s", t))
	}
	s.events(results, x)
	for _, r := range results {
		var points strings.Builder
		for _, p := range r.Samples {
			fmt.Fprintf(&points, "%.1f,%.1f ", x(p.Seconds), y(p.Max))
		}
		fmt.Fprintf(
			s,
			`<polyline points="%s" fill="none" stroke="%s" stroke-width="2" stroke-linejoin="round"/>`+"\n",
			strings.TrimSpace(points.String()),
			colour(r.Policy),
		)
	}
}

// events marks what happens when.
func (s *svg) events(results []Result, x func(float64) float64) {
	mark := func(at float64, text string) {
		s.line(x(at), plotTop-8, x(at), plotBottom, "4 3")
		s.text(x(at), plotTop-12, "middle", text)
	}
	if len(results) == 0 {
		return
	}
	deaths := 0.0
	if results[0].Crowd != nil {
		mark(0, "crowd comes")
		mark(ramp.Seconds(), "is full")
		mark((ramp + hold).Seconds(), "leaves")
		deaths = (ramp + hold + fold).Seconds()
	}
	if results[0].Deaths != nil {
		mark(deaths, "edges die")
	}
}

func (s *svg) bars(results []Result) {
	const height, gap = 22, 46
	most := 2.0
	for _, r := range results {
		most = max(most, r.Steady.Ratio)
	}
	x := logScale(most, barLeft, barRight)
	s.text(plotRight+40, 18, "start", "bus copies over the least possible")
	for i, r := range results {
		top := plotTop + float64(i)*gap
		s.text(barLeft-10, top+15, "end", r.Policy)
		fmt.Fprintf(s, `<rect x="%d" y="%.1f" width="%.1f" height="%d" fill="%s"/>`+"\n",
			barLeft, top, max(x(r.Steady.Ratio)-barLeft, 2), height, colour(r.Policy))
		s.text(max(x(r.Steady.Ratio), barLeft+2)+6, top+15, "start", ratio(r.Steady.Ratio))
	}
}
