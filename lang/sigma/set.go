package sigma

import (
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

// A Set is rules compiled together: a record is read once for all of them, and
// of rules that ask for one of a few exact values only those are looked at that can hold.
// It does not change, and may be used by many goroutines, each with an Event of its own.
type Set struct {
	rules    []*Rule
	bound    []expression // nil for correlations
	quiet    []bool       // raised only through a correlation
	feeds    [][]int      // the correlations that count a rule
	fields   map[string]int
	slots    int
	keywords int // the slot of all values, or -1
	root     tree

	index  []lookup
	always []int // rules that are not in the index
}

// A lookup is the rules that need one of these values in a slot.
type lookup struct {
	slot  int
	rules map[string][]int // by the value in lower case
}

// Compile ties rules together. What the wanted fields hold can be asked of an
// Event besides what the rules ask. A correlation's rules must be among them.
func Compile(rules []*Rule, wanted ...string) (*Set, error) {
	s := &Set{
		rules: rules, bound: make([]expression, len(rules)), quiet: make([]bool, len(rules)), feeds: make([][]int, len(rules)),
		fields: map[string]int{}, keywords: -1,
	}
	for _, f := range wanted {
		s.slot(f)
	}
	for i, r := range rules {
		if r.Correlation == nil {
			s.bound[i] = r.detection.bind(s)
			s.enter(i)
		}
	}
	return s, s.correlate()
}

// slot is where a field's values are kept.
func (s *Set) slot(field string) int {
	if field == "" {
		if s.keywords < 0 {
			s.keywords = s.slots
			s.slots++
		}
		return s.keywords
	}
	if n, ok := s.fields[field]; ok {
		return n
	}
	t := &s.root
	for part := range strings.SplitSeq(field, ".") {
		if t.members == nil {
			t.members = map[string]*tree{}
		}
		if t.members[part] == nil {
			t.members[part] = &tree{}
		}
		t = t.members[part]
	}
	s.fields[field] = s.slots
	s.slots++
	t.slot = s.slots
	return s.slots - 1
}

func (s *Set) correlate() error {
	names := map[string][]int{}
	for i, r := range s.rules {
		for _, n := range []string{r.ID, r.Name} {
			if n != "" {
				names[n] = append(names[n], i)
			}
		}
	}
	for i, r := range s.rules {
		if r.Correlation == nil {
			continue
		}
		for _, f := range append(slices.Clip(r.Correlation.GroupBy), r.Correlation.Field) {
			if f != "" {
				s.slot(f)
			}
		}
		for _, n := range r.Correlation.Rules {
			if err := s.feed(i, r, n, names[n]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Set) feed(correlation int, r *Rule, name string, found []int) error {
	switch {
	case len(found) == 0:
		return fault.Invalid.Wrap(diag.Errorf(r.Place, "correlation %q counts a rule %q that is not there", r.Title, name))
	case len(found) > 1:
		return fault.Invalid.Wrap(diag.Errorf(r.Place, "correlation %q counts a rule %q of which there are %d", r.Title, name, len(found)))
	case s.rules[found[0]].Correlation != nil:
		return fault.Invalid.Wrap(diag.Errorf(r.Place, "correlation %q counts another correlation, %q", r.Title, name).WithHint("a correlation counts detections"))
	}
	i := found[0]
	s.feeds[i] = append(s.feeds[i], correlation)
	if !r.Correlation.Generate {
		s.quiet[i] = true
	}
	return nil
}

// Rule is rule i, as Match counts.
func (s *Set) Rule(i int) *Rule { return s.rules[i] }

// Len is how many rules there are.
func (s *Set) Len() int { return len(s.rules) }

// Quiet tells whether a rule is there only to be counted by a correlation.
func (s *Set) Quiet(i int) bool { return s.quiet[i] }

// Counted is the correlations that count what rule i detects.
func (s *Set) Counted(i int) []int { return s.feeds[i] }

// Match is the detections that hold for e, which was read from a record of that source. The answer is good until e is used again.
func (s *Set) Match(source string, e *Event) []int {
	e.hits = e.hits[:0]
	covered := e.coveredBy(source)
	for _, i := range s.always {
		s.try(covered, e, i)
	}
	for _, l := range s.index {
		values := e.slots[l.slot]
		for k := range values {
			for _, i := range l.rules[values[k].folded(false)] {
				if e.mark[i] != e.round {
					e.mark[i] = e.round
					s.try(covered, e, i)
				}
			}
		}
	}
	slices.Sort(e.hits)
	return e.hits
}

func (s *Set) try(covered []bool, e *Event, i int) {
	if covered[i] && s.bound[i].holds(e) {
		e.hits = append(e.hits, i)
	}
}

// enter puts a rule into the index if there is a field of which it needs one of a few values.
func (s *Set) enter(i int) {
	slot, values, ok := needs(s.bound[i])
	if !ok {
		s.always = append(s.always, i)
		return
	}
	at := slices.IndexFunc(s.index, func(l lookup) bool { return l.slot == slot })
	if at < 0 {
		at = len(s.index)
		s.index = append(s.index, lookup{slot, map[string][]int{}})
	}
	for _, v := range values {
		s.index[at].rules[v] = append(s.index[at].rules[v], i)
	}
}

// needs is a slot and values, one of which must be there, whole, when e holds.
func needs(e expression) (slot int, values []string, ok bool) {
	switch e := e.(type) {
	case *match:
		p, isPattern := e.test.(*pattern)
		if !isPattern || p.pieces != nil || p.where != "" || p.isNum || e.field == "" {
			return 0, nil, false
		}
		return e.slot, []string{strings.ToLower(p.text)}, true
	case and:
		for _, x := range e {
			if at, v, found := needs(x); found && (!ok || rarer(at, v, slot, values)) {
				slot, values, ok = at, v, true
			}
		}
		return slot, values, ok
	case or:
		for i, x := range e {
			at, v, found := needs(x)
			if !found || i > 0 && at != slot {
				return 0, nil, false
			}
			slot, values = at, append(values, v...)
		}
		slices.Sort(values)
		return slot, slices.Compact(values), len(e) > 0
	}
	return 0, nil, false
}

// rarer guesses which need is met less often: that of the longer values. In a
// CloudTrail record "AuthorizeSecurityGroupIngress" tells more than "ec2.amazonaws.com".
func rarer(_ int, a []string, _ int, b []string) bool {
	return len(a) < 20 && score(a) > score(b)
}

func score(values []string) (n int) {
	for _, v := range values {
		n += len(v)
		if strings.Contains(v, ".amazonaws.com") {
			n -= 1000
		}
	}
	return n / max(len(values), 1)
}
