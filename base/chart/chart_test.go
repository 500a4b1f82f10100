package chart_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/chart"
)

// wellFormed reads a drawing to its end as XML.
func wellFormed(t *testing.T, svg string) {
	t.Helper()
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%v in %s", err, svg)
		}
	}
}

// A column is as high as what it stands for, and says it in words.
func TestColumns(t *testing.T) {
	svg := chart.Columns{Title: "Findings & days", Labels: []string{"24", "25"}, Height: 132, Series: []chart.Series{
		{Name: "critical", Class: "critical", Values: []float64{2, 4}},
		{Name: "<low>", Class: "low", Values: []float64{2}},
	}}.SVG()
	wellFormed(t, svg)
	for _, want := range []string{
		`aria-label="Findings &amp; days. 24: 4. 25: 4."`,
		`class="critical" x="168.0" y="60.0" width="40.0" height="50.0"`, // 2 of 4 on a height of 100
		`class="low" x="168.0" y="10.0" width="40.0" height="50.0"`,
		`height="100.0"`,
		`<title>24: critical 2, &lt;low&gt; 2</title>`,
	} {
		if !strings.Contains(svg, want) {
			t.Errorf("%s is not in %s", want, svg)
		}
	}
}

// Nothing, much, and what is no number can be drawn.
func TestOddValues(t *testing.T) {
	for _, values := range [][]float64{nil, {}, {0}, {math.NaN(), math.Inf(1), -5, 1e18}, make([]float64, 400)} {
		labels := make([]string, len(values))
		for i := range labels {
			labels[i] = `"><script>`
		}
		for _, svg := range []string{
			chart.Columns{Labels: labels, Series: []chart.Series{{Class: `"x`, Values: values}}}.SVG(),
			chart.Spark{Title: `<b>`, Values: values}.SVG(),
			chart.Bar{Parts: []chart.Part{{Name: "&", Value: math.NaN()}, {Name: "a", Value: 3}}}.SVG(),
			chart.Bar{}.SVG(),
		} {
			wellFormed(t, svg)
			if strings.Contains(svg, "<script") || strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
				t.Errorf("drawn: %s", svg)
			}
		}
	}
}

// A life says in words what it shows, keeps its marks apart and within, and escapes what it is told.
func TestLife(t *testing.T) {
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	svg := chart.Life{Title: "A key", Until: day.AddDate(1, 0, 0), Moments: []chart.Moment{{At: day.AddDate(0, 0, 1), What: "found", Class: "critical"}, {At: day, What: "<brought>", Class: "high"}, {At: day.AddDate(1, 0, 0), What: "revoked", Class: "good"}}}.SVG()
	for _, want := range []string{`aria-label="A key. 2026-01-01 &lt;brought&gt;; 2026-01-02 found; 2027-01-01 revoked"`, `<circle class="high" cx="14.0"`, `<circle class="critical" cx="40.0"`, `<circle class="good" cx="626.0"`} {
		if !strings.Contains(svg, want) {
			t.Errorf("no %s in %s", want, svg)
		}
	}
	if strings.Contains(svg, "<brought>") || !strings.HasSuffix(chart.Life{}.SVG(), "</svg>") {
		t.Error(svg)
	}
}

// Columns have heads where they are given, in the room that is left for them, and nothing of them is markup.
func TestGraphHeads(t *testing.T) {
	g := chart.Graph{Title: "x", Nodes: []chart.Node{{ID: "a", Name: "a"}, {ID: "b", Name: "b", Column: 1}}}
	plain := g.SVG()
	g.Heads = []string{"Build & <test>", ""}
	svg := g.SVG()
	wellFormed(t, svg)
	if !strings.Contains(svg, `<text class="head" x="12" y="20">Build &amp; &lt;test&gt;</text>`) || strings.Count(svg, `class="head"`) != 1 || !strings.Contains(svg, `y="38"`) {
		t.Error(svg)
	}
	if strings.Contains(plain, "head") || !strings.Contains(plain, `y="12"`) {
		t.Error(plain)
	}
}

// A tight graph is as wide as its names need, in any script, and no wider than another.
func TestGraphTight(t *testing.T) {
	wide := func(g chart.Graph) (px int) {
		svg := g.SVG()
		wellFormed(t, svg)
		if _, err := fmt.Sscanf(svg[strings.Index(svg, " width="):], ` width="%d"`, &px); err != nil {
			t.Fatal(err, svg)
		}
		return px
	}
	short := chart.Graph{Nodes: []chart.Node{{ID: "a", Name: "Scan"}, {ID: "b", Name: "Gate", Column: 1}}}
	long := chart.Graph{Nodes: []chart.Node{{ID: "a", Name: "승인을 기다리는 작업"}, {ID: "b", Name: strings.Repeat("long ", 20), Column: 1}}}
	loose := wide(short)
	short.Tight, long.Tight = true, true
	if a, b := wide(short), wide(long); a >= b || b >= loose {
		t.Errorf("short names %d, long names %d, not tight %d", a, b, loose)
	}
}
