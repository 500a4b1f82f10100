package logquery

import (
	"math"
	"strconv"
	"strings"

	"github.com/haechi-dev/haechi/word/fault"
)

// stats is a command that makes groups of events, and a number or two of each.
type stats struct {
	sums []sum
	by   []named
}

// sum is a number of a group.
type sum struct {
	function string
	of       expression // nil: count of everything
	name     string
}

// named is an expression and what it is called.
type named struct {
	of   expression
	name string
}

func (s *stats) columns() (names []string) {
	for _, b := range s.by {
		names = append(names, b.name)
	}
	for _, one := range s.sums {
		names = append(names, one.name)
	}
	return names
}

// group is what is known of the events of a group.
type group struct {
	by    []string // values, and whether there are
	has   []bool
	tally []tally
}

type tally struct {
	count, numbers int
	total          float64
	least, most    string
	any            bool
	distinct       map[string]struct{}
	first, last    string
}

func newGroup(s *stats, by []string) *group {
	return &group{by: by, tally: make([]tally, len(s.sums))}
}

// group counts a row in its group.
func (r *Run) group(s *running, one *row) {
	var by []string
	var has []bool
	id := ""
	for _, b := range s.stats.by {
		v, ok := b.of(one)
		by, has = append(by, v), append(has, ok)
		id += strconv.FormatBool(ok) + v + "\x00"
	}
	g := s.groups[id]
	if g == nil {
		if len(s.order) == mostRows {
			r.err = fault.Limit.Errorf("there are more than %d groups", mostRows)
			return
		}
		g = newGroup(s.stats, by)
		g.has = has
		s.groups[id], s.order = g, append(s.order, g)
	}
	for i := range s.stats.sums {
		if !g.tally[i].add(&s.stats.sums[i], one) {
			r.err = fault.Limit.Errorf("there are more than %d distinct values", mostRows)
		}
	}
}

func (t *tally) add(s *sum, one *row) bool {
	if s.of == nil {
		t.count++
		return true
	}
	v, ok := s.of(one)
	if !ok {
		return true
	}
	t.count++
	if n, ok := number(v); ok {
		t.numbers++
		t.total += n
	}
	if !t.any || compare(v, t.least) < 0 {
		t.least = v
	}
	if !t.any || compare(v, t.most) > 0 {
		t.most = v
	}
	if !t.any {
		t.last = v // the newest comes first
	}
	t.first, t.any = v, true
	if s.function == "count_distinct" {
		if t.distinct == nil {
			t.distinct = map[string]struct{}{}
		}
		t.distinct[v] = struct{}{}
	}
	return len(t.distinct) <= mostRows
}

// value is the number that was asked for; ok is false where there is none.
func (t *tally) value(function string) (string, bool) {
	switch function {
	case "count":
		return strconv.Itoa(t.count), true
	case "count_distinct":
		return strconv.Itoa(len(t.distinct)), true
	case "sum":
		return decimal(t.total), t.numbers > 0
	case "avg":
		return decimal(t.total / float64(max(t.numbers, 1))), t.numbers > 0
	case "min":
		return t.least, t.any
	case "max":
		return t.most, t.any
	case "earliest":
		return t.first, t.any
	}
	return t.last, t.any // latest
}

// row is a group as the commands after it see it.
func (g *group) row(s *stats) *row {
	r := &row{own: map[string]string{}}
	for i, b := range s.by {
		if g.has[i] {
			r.own[b.name] = g.by[i]
		}
	}
	for i, one := range s.sums {
		if v, ok := g.tally[i].value(one.function); ok {
			r.own[one.name] = v
		}
	}
	return r
}

func number(text string) (float64, bool) {
	if text == "" || len(text) > 64 || strings.Trim(text, "0123456789+-.eE") != "" {
		return 0, false
	}
	n, err := strconv.ParseFloat(text, 64)
	return n, err == nil
}

// decimal writes a number with up to four digits behind the point.
func decimal(n float64) string {
	if n == math.Trunc(n) && math.Abs(n) < 1e15 {
		return strconv.FormatInt(int64(n), 10)
	}
	return strings.TrimRight(strings.TrimRight(strconv.FormatFloat(n, 'f', 4, 64), "0"), ".")
}
