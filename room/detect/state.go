package detect

import (
	"time"

	"github.com/haechi-dev/haechi/lang/sigma"
	"github.com/haechi-dev/haechi/word/finding"
)

// state is what was seen before, as far as some hits need it, and what has changed.
type state struct {
	seen    map[string]bool // hits by key
	windows map[windowKey]*sigma.Window
	found   map[string]*found // by finding id

	newSeen []string // in order
	moved   map[windowKey]bool
	raised  []string // ids, in the order they were raised first
	dirty   map[string]bool
}

type windowKey struct{ rule, group string }

// found is how often a finding was seen, and what it says of the record that was seen last.
type found struct {
	occurrence
	rule int
	said details
}

func (s *state) finding(e *engine, id string) finding.Finding {
	f := s.found[id]
	return e.finding(f.rule, id, f.said, f.occurrence)
}

func newState() *state {
	return &state{
		seen: map[string]bool{}, windows: map[windowKey]*sigma.Window{}, found: map[string]*found{},
		moved: map[windowKey]bool{}, dirty: map[string]bool{},
	}
}

// apply counts a hit; the same event counts once for a rule, however often it comes in.
func (s *state) apply(e *engine, h hit) {
	if s.seen[h.key] {
		return
	}
	s.seen[h.key] = true
	s.newSeen = append(s.newSeen, h.key)
	if h.raise {
		id := e.identity(h.rule, h.said, day(h.at))
		o := occurrence{1, h.at, h.at}
		if f := s.found[id]; f != nil {
			o = f.occurrence.and(h.at)
		}
		s.raise(h.rule, id, h.said, o)
	}
	for _, c := range h.count {
		s.count(e, c, h.at)
	}
}

func (o occurrence) and(t time.Time) occurrence {
	o.Count++
	if t.Before(o.First) {
		o.First = t
	}
	if t.After(o.Last) {
		o.Last = t
	}
	return o
}

func (s *state) count(e *engine, c counting, at time.Time) {
	k := windowKey{e.name(c.rule), c.group}
	w := s.windows[k]
	if w == nil {
		w = &sigma.Window{}
		s.windows[k] = w
	}
	s.moved[k] = true
	if !e.set.Rule(c.rule).Correlation.Observe(w, at, c.value) {
		return
	}
	d := c.said
	d.Actor, d.ActorType = "", "" // it is about all of them
	id := e.identity(c.rule, d, time.UnixMilli(w.Began).UTC().Format(time.RFC3339Nano))
	s.raise(c.rule, id, d, occurrence{w.Count, time.UnixMilli(w.First), time.UnixMilli(w.Last)})
}

func (s *state) raise(rule int, id string, d details, o occurrence) {
	if !s.dirty[id] {
		s.dirty[id] = true
		s.raised = append(s.raised, id)
	}
	s.found[id] = &found{o, rule, d}
}
