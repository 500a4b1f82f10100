// Package report writes findings for people and for other tools, and reads what those write.
package report

import (
	"bufio"
	"cmp"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/haechi-dev/haechi/word/finding"
)

// Sorted is the findings with the worst first, and by place.
func Sorted(findings []finding.Finding) []finding.Finding {
	sorted := slices.Clone(findings)
	slices.SortStableFunc(sorted, func(a, b finding.Finding) int {
		p, q := a.Place(), b.Place()
		return cmp.Or(b.Label().Rank()-a.Label().Rank(), strings.Compare(p.File, q.File), p.Line-q.Line, p.Column-q.Column, strings.Compare(a.GeneratorID, b.GeneratorID))
	})
	return sorted
}

// Table writes a line for each finding, the worst first: severity, where, rule
// and title. A width of 0 cuts nothing; colour is for terminals.
func Table(w io.Writer, findings []finding.Finding, width int, colour bool) error {
	rows := [][4]string{{"SEVERITY", "WHERE", "RULE", "TITLE"}}
	for _, f := range Sorted(findings) {
		rows = append(rows, [4]string{string(f.Label()), where(&f), plain(f.GeneratorID), plain(f.Title)})
	}
	var widest [4]int
	for _, r := range rows {
		for i, cell := range r {
			widest[i] = max(widest[i], columns(cell))
		}
	}
	if width > 0 { // long places and names of rules leave the title a third of the line
		room := max(20, width-widest[0]-6)
		widest[1] = min(widest[1], room*2/5)
		widest[2] = min(widest[2], room/4)
		widest[3] = max(8, room-widest[1]-widest[2])
	}
	out := bufio.NewWriter(w)
	for i, r := range rows {
		line := pad(r[0], widest[0]) + "  " + pad(cutFront(r[1], widest[1]), widest[1]) + "  " + pad(cutBack(r[2], widest[2]), widest[2]) + "  "
		title := r[3]
		if width > 0 {
			title = cutBack(title, widest[3])
		}
		line += title
		if colour && i > 0 {
			line = paint(r[0]) + line[:len(r[0])] + "\x1b[0m" + line[len(r[0]):]
		}
		out.WriteString(line + "\n")
	}
	return out.Flush()
}

// where is file and line, or what else the finding is about; without blanks, so that it stays one field.
func where(f *finding.Finding) string {
	text := f.Where()
	if p := f.Place(); p.File != "" {
		text = p.File
		if p.Line > 0 {
			text += ":" + strconv.Itoa(p.Line)
		}
	}
	return strings.ReplaceAll(plain(text), " ", "\u00a0")
}

// plain takes out what a terminal would act on.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return ' '
		}
		return r
	}, s)
}

func paint(label string) string {
	switch finding.Label(label) {
	case finding.Critical:
		return "\x1b[1;31m"
	case finding.High:
		return "\x1b[31m"
	case finding.Medium:
		return "\x1b[33m"
	}
	return "\x1b[2m"
}

// columns is how many columns of a terminal s takes: Korean and the like take two a letter.
func columns(s string) int {
	n := 0
	for _, r := range s {
		n += columnsOf(r)
	}
	return n
}

func columnsOf(r rune) int {
	if r >= 0x1100 && r <= 0x115f || r >= 0x2e80 && r <= 0xa4cf || r >= 0xac00 && r <= 0xd7a3 || r >= 0xf900 && r <= 0xfaff || r >= 0xfe30 && r <= 0xfe6f || r >= 0xff00 && r <= 0xff60 || r >= 0x1f300 && r <= 0x1faff {
		return 2
	}
	return 1
}

func pad(s string, n int) string {
	return s + strings.Repeat(" ", max(0, n-columns(s)))
}

// cutBack shortens s to n columns at its end.
func cutBack(s string, n int) string {
	if columns(s) <= n {
		return s
	}
	used := 0
	for i, r := range s {
		if used += columnsOf(r); used > n-1 {
			return s[:i] + "…"
		}
	}
	return s
}

// cutFront shortens s to n columns at its beginning: the end of a path tells most.
func cutFront(s string, n int) string {
	if columns(s) <= n {
		return s
	}
	runes := []rune(s)
	used := 0
	for i := len(runes) - 1; i >= 0; i-- {
		if used += columnsOf(runes[i]); used > n-1 {
			return "…" + string(runes[i+1:])
		}
	}
	return s
}
