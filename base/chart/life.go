package chart

import (
	"fmt"
	"html"
	"slices"
	"strings"
	"time"
)

// Moment is something that happened in a life.
type Moment struct {
	At    time.Time
	What  string // in few words
	Class string // of its mark: critical, medium, good …
}

// Life is what became of one thing, on a line from its first moment to now.
type Life struct {
	Title   string
	Moments []Moment
	Until   time.Time // the end of the line: now, or when it was over
	Over    bool      // it ended; else the line goes on
	Width   int       // 640
}

// SVG is the drawing. Marks that would stand on one another are moved apart,
// and their words take turns above and below the line.
func (l Life) SVG() string {
	const side, middle, high, apart = 14, 48, 96, 26
	width := l.Width
	if width == 0 {
		width = 640
	}
	moments := slices.Clone(l.Moments)
	slices.SortStableFunc(moments, func(a, b Moment) int { return a.At.Compare(b.At) })
	var b strings.Builder
	var words []string
	for _, m := range moments {
		words = append(words, m.At.UTC().Format(time.DateOnly)+" "+m.What)
	}
	open(&b, "chart life", width, high, l.Title, strings.Join(words, "; "))
	if len(moments) == 0 {
		b.WriteString("</svg>")
		return b.String()
	}
	from, to := moments[0].At, l.Until
	if last := moments[len(moments)-1].At; to.Before(last) {
		to = last
	}
	span := max(to.Sub(from), time.Second)
	x := func(at time.Time) float64 {
		return side + float64(width-2*side)*float64(at.Sub(from))/float64(span)
	}
	class := "line"
	if l.Over {
		class = "line over"
	}
	fmt.Fprintf(&b, `<line class="%s" x1="%d" y1="%d" x2="%d" y2="%d"/>`, class, side, middle, width-side, middle)
	last := -1e9
	for i, m := range moments {
		at := max(x(m.At), last+apart)
		room := float64(width-side) - float64(len(moments)-1-i)*apart
		at = min(at, max(room, side))
		last = at
		y, anchor := middle-18, "middle"
		if i%2 == 1 {
			y = middle + 28
		}
		switch {
		case at < 90:
			anchor = "start"
		case at > float64(width-90):
			anchor = "end"
		}
		fmt.Fprintf(&b, `<circle class="%s" cx="%.1f" cy="%d" r="6"><title>%s</title></circle>`, html.EscapeString(m.Class), at, middle, html.EscapeString(m.At.UTC().Format(time.RFC3339)+" "+m.What))
		fmt.Fprintf(&b, `<text class="tick" x="%.1f" y="%d" text-anchor="%s">%s</text>`, at, y, anchor, html.EscapeString(m.At.UTC().Format("2006-01-02")))
	}
	b.WriteString("</svg>")
	return b.String()
}
