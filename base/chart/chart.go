// Package chart draws figures as SVG that takes its colours from the page it stands in.
//
// Shapes have classes, never colours, so that one drawing serves light and
// dark; every drawing says in words what it shows.
package chart

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// Series is one kind of thing over time. Class is the CSS class of its shapes.
type Series struct {
	Name   string
	Class  string
	Values []float64 // as many as there are labels; not negative
}

// Columns are stacked columns, one for each label, the first series at the bottom.
type Columns struct {
	Title         string // what it shows, for those who cannot see it
	Labels        []string
	Series        []Series
	Width, Height int // units of the view box: 640 × 180
}

const (
	left, right, top, bottom = 40, 8, 10, 22 // room for the axes
	steps                    = 4             // lines across
)

// SVG is the drawing.
func (c Columns) SVG() string {
	if c.Width == 0 {
		c.Width = 640
	}
	if c.Height == 0 {
		c.Height = 180
	}
	n := len(c.Labels)
	sums := make([]float64, n)
	for _, s := range c.Series {
		for i := range min(n, len(s.Values)) {
			sums[i] += amount(s.Values[i])
		}
	}
	most := 0.0
	for _, v := range sums {
		most = max(most, v)
	}
	ceiling := nice(most)
	high, wide := float64(c.Height-top-bottom), float64(c.Width-left-right)
	y := func(v float64) float64 { return float64(c.Height-bottom) - v/ceiling*high }

	var b strings.Builder
	open(&b, "chart columns", c.Width, c.Height, c.Title, c.describe(sums))
	for i := range steps + 1 {
		v := ceiling * float64(i) / steps
		if v != math.Trunc(v) {
			continue
		}
		fmt.Fprintf(&b, `<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/><text class="tick" x="%d" y="%.1f" text-anchor="end">%s</text>`, left, c.Width-right, y(v), y(v), left-6, y(v)+4, short(v))
	}
	if n > 0 {
		slot := wide / float64(n)
		bar := min(slot*0.72, 40)
		every := (n*44 + int(wide) - 1) / int(wide) // labels are about 44 wide
		for i, label := range c.Labels {
			x := left + slot*float64(i) + (slot-bar)/2
			fmt.Fprintf(&b, `<g><title>%s: %s</title>`, html.EscapeString(label), html.EscapeString(c.at(i)))
			below := 0.0
			for _, s := range c.Series {
				if i >= len(s.Values) || amount(s.Values[i]) == 0 {
					continue
				}
				v := amount(s.Values[i])
				fmt.Fprintf(&b, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, html.EscapeString(s.Class), x, y(below+v), bar, y(below)-y(below+v))
				below += v
			}
			b.WriteString(`</g>`)
			if (n-1-i)%max(every, 1) == 0 {
				fmt.Fprintf(&b, `<text class="tick" x="%.1f" y="%d" text-anchor="middle">%s</text>`, x+bar/2, c.Height-6, html.EscapeString(label))
			}
		}
	}
	b.WriteString(`</svg>`)
	return b.String()
}

// at says the values of one column.
func (c Columns) at(i int) string {
	var parts []string
	for _, s := range c.Series {
		if i < len(s.Values) && amount(s.Values[i]) > 0 {
			parts = append(parts, s.Name+" "+short(amount(s.Values[i])))
		}
	}
	if parts == nil {
		return "0"
	}
	return strings.Join(parts, ", ")
}

func (c Columns) describe(sums []float64) string {
	if len(sums) == 0 {
		return "0"
	}
	last := len(sums) - 1
	return fmt.Sprintf("%s: %s. %s: %s.", c.Labels[0], short(sums[0]), c.Labels[last], short(sums[last]))
}

// Spark is a small line without axes.
type Spark struct {
	Title         string
	Class         string
	Values        []float64
	Width, Height int // 120 × 28
}

// SVG is the drawing.
func (s Spark) SVG() string {
	if s.Width == 0 {
		s.Width = 120
	}
	if s.Height == 0 {
		s.Height = 28
	}
	most := 1.0
	for _, v := range s.Values {
		most = max(most, amount(v))
	}
	var b, line strings.Builder
	last := 0.0
	for i, v := range s.Values {
		x := float64(s.Width) / 2
		if len(s.Values) > 1 {
			x = 2 + float64(s.Width-4)*float64(i)/float64(len(s.Values)-1)
		}
		fmt.Fprintf(&line, "%.1f,%.1f ", x, float64(s.Height-3)-amount(v)/most*float64(s.Height-6))
		last = v
	}
	open(&b, "chart spark", s.Width, s.Height, s.Title, short(amount(last)))
	fmt.Fprintf(&b, `<polyline class="%s" points="%s"/></svg>`, html.EscapeString(s.Class), strings.TrimSpace(line.String()))
	return b.String()
}

// Part is a share of a Bar.
type Part struct {
	Name  string
	Class string
	Value float64
}

// Bar is one bar of parts side by side.
type Bar struct {
	Title         string
	Parts         []Part
	Width, Height int // 320 × 12
}

// SVG is the drawing.
func (p Bar) SVG() string {
	if p.Width == 0 {
		p.Width = 320
	}
	if p.Height == 0 {
		p.Height = 12
	}
	sum := 0.0
	var words []string
	for _, part := range p.Parts {
		sum += amount(part.Value)
		words = append(words, part.Name+" "+short(amount(part.Value)))
	}
	var b strings.Builder
	open(&b, "chart bar", p.Width, p.Height, p.Title, strings.Join(words, ", "), ` preserveAspectRatio="none"`) // as wide as there is room, and no higher
	fmt.Fprintf(&b, `<rect class="empty" width="%d" height="%d" rx="3"/>`, p.Width, p.Height)
	x := 0.0
	for _, part := range p.Parts {
		if amount(part.Value) == 0 {
			continue
		}
		w := float64(p.Width) * amount(part.Value) / sum
		fmt.Fprintf(&b, `<rect class="%s" x="%.1f" width="%.1f" height="%d"><title>%s %s</title></rect>`, html.EscapeString(part.Class), x, w, p.Height, html.EscapeString(part.Name), short(amount(part.Value)))
		x += w
	}
	b.WriteString(`</svg>`)
	return b.String()
}

func open(b *strings.Builder, class string, width, height int, title, words string, more ...string) {
	fmt.Fprintf(b, `<svg class="%s" viewBox="0 0 %d %d" role="img" aria-label="%s" xmlns="http://www.w3.org/2000/svg"%s>`,
		class, width, height, html.EscapeString(strings.TrimSpace(title+". "+words)), strings.Join(more, ""))
}

// amount is what can be drawn of a value.
func amount(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
		return 0
	}
	return v
}

// nice is the least of 4, 8, 12, 20, 40, 80 … (and so on, times ten) that holds v: it parts into four whole steps.
func nice(v float64) float64 {
	for scale := 1.0; ; scale *= 10 {
		for _, n := range []float64{4, 8, 12, 20} {
			if n*scale >= v {
				return n * scale
			}
		}
	}
}

// short is a number as it fits beside a line: 950, 1.2k, 3M.
func short(v float64) string {
	for _, u := range []struct {
		of   float64
		unit string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if v >= u.of {
			return strings.TrimSuffix(fmt.Sprintf("%.1f", v/u.of), ".0") + u.unit
		}
	}
	return fmt.Sprintf("%.4g", v)
}
