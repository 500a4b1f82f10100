package chart

import (
	"cmp"
	"fmt"
	"html"
	"slices"
	"strings"
)

// Graph is boxes in columns with arrows between them.
type Graph struct {
	Title string // what it shows, for those who cannot see it
	Words string // the same in a sentence
	Nodes []Node
	Edges []Edge
	Heads []string // what stands above each column; nil is nothing
	Tight bool     // few arrows: the columns stand closer, and are as wide as their names
}

// Node is one box.
type Node struct {
	ID     string
	Name   string
	Class  string
	Column int    // 0 is at the left
	Link   string // where a click leads
	Says   string // all about it, for those who hover or cannot see it
}

// Edge is an arrow between two boxes.
type Edge struct {
	From, To string
	Class    string
	Says     string
}

const (
	boxWide, boxHigh    = 168, 30
	leastWide           = 84
	headHigh            = 26
	columnGap, rowGap   = 96, 14
	tightGap            = 48
	longestName         = 22
	sortings            = 6 // of the boxes within their columns, so that few arrows cross
	mostNodes, mostDraw = 600, 4000
)

// box is a node with its place.
type box struct {
	Node
	x, y, wide float64
	row        int
}

// SVG is the drawing: as wide as its columns, and to be scrolled where that is more than there is room.
func (g Graph) SVG() string {
	columns, lefts, at := g.place()
	rows := 0
	for _, c := range columns {
		rows = max(rows, len(c))
	}
	width, height := max(24, lefts[len(columns)]-g.gap()+12), rows*(boxHigh+rowGap)+24+g.above()
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="chart graph" viewBox="0 0 %d %d" width="%d" height="%d" role="group" aria-label="%s" xmlns="http://www.w3.org/2000/svg">`,
		width, height, width, height, html.EscapeString(strings.TrimSpace(g.Title+". "+g.Words)))
	b.WriteString(`<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerUnits="userSpaceOnUse" markerWidth="9" markerHeight="9" orient="auto-start-reverse"><path class="tip" d="M0 0 8 4 0 8z"/></marker></defs>`)
	for _, e := range g.Edges[:min(len(g.Edges), mostDraw)] {
		from, to := at[e.From], at[e.To]
		if from == nil || to == nil || from == to {
			continue
		}
		fmt.Fprintf(&b, `<path class="%s" d="%s" marker-end="url(#tip)"><title>%s</title></path>`, html.EscapeString("edge "+e.Class), arrow(from, to), html.EscapeString(e.Says))
	}
	for i, head := range g.Heads[:min(len(g.Heads), len(columns))] {
		if head != "" {
			fmt.Fprintf(&b, `<text class="head" x="%d" y="20">%s</text>`, lefts[i], html.EscapeString(clipped(head, 2*longestName)))
		}
	}
	for _, c := range columns {
		for _, n := range c {
			n.draw(&b)
		}
	}
	b.WriteString(`</svg>`)
	return b.String()
}

// above is the room for what stands above the columns.
func (g Graph) above() int {
	if len(g.Heads) == 0 {
		return 0
	}
	return headHigh
}

func (g Graph) gap() int {
	if g.Tight {
		return tightGap
	}
	return columnGap
}

// wide is how wide a column's boxes are.
func (g Graph) wide(column []*box, head string) int {
	if !g.Tight {
		return boxWide
	}
	wide := max(leastWide, about(head))
	for _, b := range column {
		wide = max(wide, about(b.Name)+28)
	}
	return min(wide, boxWide)
}

// about is about how wide a text is drawn.
func about(text string) (px int) {
	for _, r := range text {
		if px += 8; r >= 0x1100 {
			px += 5
		}
	}
	return px
}

// clipped is a text of at most so many characters.
func clipped(text string, most int) string {
	if r := []rune(text); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return text
}

func (n *box) draw(b *strings.Builder) {
	name := clipped(n.Name, longestName)
	shape := fmt.Sprintf(`<rect x="%.0f" y="%.0f" width="%.0f" height="%d" rx="6"/><text x="%.0f" y="%.0f" text-anchor="middle">%s</text><title>%s</title>`,
		n.x, n.y, n.wide, boxHigh, n.x+n.wide/2, n.y+boxHigh/2+4.5, html.EscapeString(name), html.EscapeString(n.Says))
	if n.Link == "" {
		fmt.Fprintf(b, `<g class="%s">%s</g>`, html.EscapeString("box "+n.Class), shape)
		return
	}
	fmt.Fprintf(b, `<a class="%s" href="%s" aria-label="%s">%s</a>`, html.EscapeString("box "+n.Class), html.EscapeString(n.Link), html.EscapeString(n.Says), shape)
}

// arrow leads from the right of one box to the left of another, and around where the other stands no further to the right.
func arrow(from, to *box) string {
	x1, y1, x2, y2 := from.x+from.wide, from.y+boxHigh/2, to.x, to.y+boxHigh/2
	switch {
	case to.x > from.x:
		bend := max((x2-x1)/2, 30)
		return fmt.Sprintf("M%.0f %.0fC%.0f %.0f %.0f %.0f %.0f %.0f", x1, y1, x1+bend, y1, x2-bend, y2, x2-1, y2)
	case to.x == from.x: // down or up the right side
		return fmt.Sprintf("M%.0f %.0fC%.0f %.0f %.0f %.0f %.0f %.0f", x1, y1, x1+52, y1, x1+52, y2, x1+1, y2)
	}
	return fmt.Sprintf("M%.0f %.0fC%.0f %.0f %.0f %.0f %.0f %.0f", from.x, y1, from.x-40, y1, to.x+to.wide+40, y2, to.x+to.wide+1, y2)
}

// place sorts the boxes into their columns, each near to what it is tied to.
// lefts are where the columns begin, and where one more would.
func (g Graph) place() (columns [][]*box, lefts []int, at map[string]*box) {
	at = map[string]*box{}
	for _, n := range g.Nodes[:min(len(g.Nodes), mostNodes)] {
		if at[n.ID] != nil || n.Column < 0 {
			continue
		}
		b := &box{Node: n}
		at[n.ID] = b
		for len(columns) <= n.Column {
			columns = append(columns, nil)
		}
		columns[n.Column] = append(columns[n.Column], b)
	}
	columns = slices.DeleteFunc(columns, func(c []*box) bool { return len(c) == 0 })
	ties := map[*box][]*box{}
	for _, e := range g.Edges {
		if from, to := at[e.From], at[e.To]; from != nil && to != nil && from != to {
			ties[from], ties[to] = append(ties[from], to), append(ties[to], from)
		}
	}
	number := func(c []*box) {
		for i, b := range c {
			b.row = i
		}
	}
	for _, c := range columns {
		number(c)
	}
	middle := func(b *box) float64 {
		if len(ties[b]) == 0 {
			return float64(b.row)
		}
		sum := 0
		for _, t := range ties[b] {
			sum += t.row
		}
		return float64(sum) / float64(len(ties[b]))
	}
	for range sortings {
		for _, c := range columns {
			slices.SortStableFunc(c, func(x, y *box) int { return cmp.Compare(middle(x), middle(y)) })
			number(c)
		}
	}
	rows := 0
	for _, c := range columns {
		rows = max(rows, len(c))
	}
	left := 12
	for i, c := range columns {
		head := ""
		if i < len(g.Heads) {
			head = g.Heads[i]
		}
		wide := g.wide(c, head)
		above := float64(rows-len(c)) * (boxHigh + rowGap) / 2
		for j, b := range c {
			b.x, b.y, b.wide = float64(left), float64(12+g.above())+above+float64(j*(boxHigh+rowGap)), float64(wide)
		}
		lefts = append(lefts, left)
		left += wide + g.gap()
	}
	return columns, append(lefts, left), at
}
