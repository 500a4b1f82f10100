// Package logquery answers questions about log events, in the words of CloudWatch Logs Insights that are asked most: fields, filter, parse, stats, sort, dedup, limit and display.
//
// A query is a row of commands, each of which takes what the one before has left.
// Events are given to it one by one, the newest first, and no more of them is kept
// than the answer needs.
package logquery

import (
	"cmp"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/word/fault"
)

// The bounds of a query.
const (
	MaxQuery   = 10_000  // bytes
	mostRows   = 100_000 // that are kept to be sorted, or as groups
	mostStages = 50
)

// Query is a question that was understood. It is safe for concurrent use.
type Query struct {
	stages []stage
	names  []string // of fields that it speaks of
}

// stage is one command.
type stage struct {
	keep    func(*row) bool // filter, parse, fields: row by row
	columns []string        // fields: what is shown, after what was before
	only    bool            // display: nothing else is
	stats   *stats
	sort    []key
	dedup   []string
	limit   int // or 0
}

// Lookup is an event: what it has under a name. @timestamp and @ingestionTime are as Time writes them.
type Lookup func(name string) (value string, ok bool)

// row is an event, or a group of events, on its way through the commands.
type row struct {
	get Lookup // nil for a group
	own map[string]string
}

func (r *row) field(name string) (string, bool) {
	if v, ok := r.own[name]; ok {
		return v, true
	}
	if r.get == nil {
		return "", false
	}
	return r.get(name)
}

func (r *row) set(name, value string) {
	if r.own == nil {
		r.own = map[string]string{}
	}
	r.own[name] = value
}

// Cell is a field of a row of the answer.
type Cell struct{ Field, Value string }

// Run is a query at work. It is not safe for concurrent use.
type Run struct {
	stages []running
	names  []string
	most   int
	events int // that passed what filters there are first
	out    [][]Cell
	err    error
}

// running is a stage and what it has kept.
type running struct {
	*stage
	rows   []*row
	groups map[string]*group
	order  []*group
	seen   map[string]bool
	passed int
	names  []string // that rows are shown with from here on
}

// Run begins to answer, with at most so many rows.
func (q *Query) Run(most int) *Run {
	r := &Run{stages: make([]running, len(q.stages)), names: q.names, most: most}
	names, asked := []string{"@timestamp", "@message"}, false
	for i := range q.stages {
		s := &q.stages[i]
		switch {
		case s.stats != nil:
			names, asked = s.stats.columns(), true
		case s.only:
			names, asked = s.columns, true
		case s.columns != nil && asked && !r.grouped(i):
			names = append(slices.Clone(names), s.columns...)
		case s.columns != nil:
			names, asked = s.columns, true
		}
		r.stages[i] = running{stage: s, groups: map[string]*group{}, seen: map[string]bool{}, names: names}
	}
	return r
}

// grouped tells whether what comes to a stage are groups.
func (r *Run) grouped(before int) bool {
	for i := range before {
		if r.stages[i].stats != nil {
			return true
		}
	}
	return false
}

// Add gives the query an event. It is false when it needs no more.
func (r *Run) Add(event Lookup) bool {
	r.push(0, &row{get: event})
	return r.err == nil && (len(r.out) < r.most || r.waits()) && !r.full()
}

// waits tells whether there is a stage that must see everything.
func (r *Run) waits() bool {
	return slices.ContainsFunc(r.stages, func(s running) bool { return s.stats != nil || s.collects() })
}

// full tells whether a limit lets nothing more through, with nothing before it that would need to see more.
func (r *Run) full() bool {
	for i := range r.stages {
		s := &r.stages[i]
		if s.stats != nil || s.collects() {
			return false
		}
		if s.limit > 0 && s.passed >= s.limit {
			return true
		}
	}
	return false
}

// collects tells whether a stage sorts: events come the newest first, and need no sorting for that.
func (s *running) collects() bool {
	return s.sort != nil && !(len(s.sort) == 1 && s.sort[0] == key{"@timestamp", true})
}

// push gives a row to a stage and those after it.
func (r *Run) push(from int, one *row) {
	counted := from > 0
	for i := from; i < len(r.stages); i++ {
		s := &r.stages[i]
		if s.keep == nil && !counted {
			counted = true
			r.events++
		}
		switch {
		case s.keep != nil && !s.keep(one):
			return
		case s.stats != nil:
			r.group(s, one)
			return
		case s.sort != nil && (s.collects() || r.grouped(i)):
			if len(s.rows) == mostRows {
				r.err = fault.Limit.Errorf("more than %d events would have to be sorted: filter them, or name a shorter time", mostRows)
				return
			}
			one.fix(r.names)
			s.rows = append(s.rows, one)
			return
		case s.dedup != nil:
			id := ""
			for _, name := range s.dedup {
				v, _ := one.field(name)
				id += v + "\x00"
			}
			if s.seen[id] || len(s.seen) == mostRows {
				return
			}
			s.seen[id] = true
		case s.limit > 0:
			if s.passed == s.limit {
				return
			}
			s.passed++
		}
	}
	if !counted {
		r.events++
	}
	if len(r.out) < r.most {
		r.out = append(r.out, one.cells(r.last()))
	}
}

// last are the names that the answer has.
func (r *Run) last() []string {
	if len(r.stages) == 0 {
		return []string{"@timestamp", "@message"}
	}
	return r.stages[len(r.stages)-1].names
}

// fix reads what can be asked of a row later, so that its event can go.
func (r *row) fix(names []string) {
	if r.get == nil {
		return
	}
	for _, name := range append(slices.Clone(names), "@ptr", "@timestamp", "@message") {
		if v, ok := r.field(name); ok {
			r.set(name, v)
		}
	}
	own := r.own
	r.get = func(name string) (string, bool) { v, ok := own[name]; return v, ok }
}

func (r *row) cells(names []string) (all []Cell) {
	for i, name := range names {
		if v, ok := r.field(name); ok && !slices.Contains(names[:i], name) {
			all = append(all, Cell{name, v})
		}
	}
	if v, ok := r.field("@ptr"); ok && !slices.Contains(names, "@ptr") {
		all = append(all, Cell{"@ptr", v})
	}
	return all
}

// Rows is the answer, when there are no more events.
func (r *Run) Rows() ([][]Cell, error) {
	for i := range r.stages {
		s := &r.stages[i]
		if s.stats != nil {
			for _, g := range s.order {
				r.push(i+1, g.row(s.stats))
			}
			if len(s.order) == 0 && len(s.stats.by) == 0 {
				r.push(i+1, newGroup(s.stats, nil).row(s.stats))
			}
		}
		if s.rows != nil {
			slices.SortStableFunc(s.rows, func(a, b *row) int { return compareRows(a, b, s.sort) })
			for _, one := range s.rows {
				r.push(i+1, one)
			}
		}
	}
	return r.out, r.err
}

// Matched is how many events have passed the filters that come before all else.
func (r *Run) Matched() int { return r.events }

// key is what rows are sorted by.
type key struct {
	name string
	down bool
}

func compareRows(a, b *row, keys []key) int {
	for _, k := range keys {
		x, xok := a.field(k.name)
		y, yok := b.field(k.name)
		if xok != yok { // what has none comes last
			if xok {
				return -1
			}
			return 1
		}
		c := compare(x, y)
		if k.down {
			c = -c
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

// compare orders numbers as numbers, and texts as texts.
func compare(a, b string) int {
	x, xok := number(a)
	y, yok := number(b)
	if xok && yok {
		return cmp.Compare(x, y)
	}
	return strings.Compare(a, b)
}
