package match

import (
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/word/fault"
)

// What a pattern may not exceed, so that parsing and matching stay bounded.
const (
	maxPattern  = 256 << 10 // bytes of text; AWS allows 4,096
	maxDepth    = 1000      // levels of a pattern, and of an event
	maxBranches = 1000      // combinations of $or
	maxClauses  = 100_000   // clauses of all branches together
)

// reserved are the words that no key of a branch of $or may be: a list with
// one of them is a list of values, and its "$or" the name of a field.
func reserved(name string) bool {
	switch name {
	case "exactly", "equals-ignore-case", "prefix", "suffix", "anything-but", "exists", "wildcard", "numeric", "cidr",
		"=", "<", "<=", ">", ">=", "regex", "not-wildcard", "not-equals-ignore-case",
		"date-after", "date-on-or-after", "date-before", "date-on-or-before", "in-date-range",
		"ip-address-in-range", "ip-address-not-in-range":
		return true
	}
	return false
}

// Parse reads an event pattern. A pattern that EventBridge would refuse is
// refused: the error wraps fault.Invalid and a *diag.Error that names the
// clause, its place in the text, and what to write instead.
func Parse(pattern []byte) (*Pattern, error) {
	p, err := source(pattern).pattern()
	if err != nil {
		return nil, fault.Invalid.Wrap(err)
	}
	return p, nil
}

func (s source) pattern() (*Pattern, error) {
	if len(s) > maxPattern {
		return nil, s.errorf(0, "longer than %d bytes", maxPattern)
	}
	t, err := s.tree()
	if err != nil {
		return nil, err
	}
	if t.kind != '{' {
		return nil, s.errorf(t.at, "a pattern is an object").WithHint(`such as {"source": ["aws.securityhub"]}`)
	}
	branches, err := s.object(t, "", "the pattern")
	if err != nil {
		return nil, err
	}
	p := &Pattern{text: string(s), branches: branches}
	for i, b := range branches {
		branches[i] = settle(b)
	}
	return p, nil
}

// A branch is what is left of a pattern once one object of every $or has been
// chosen: clauses that must all hold.
type branch []*clause

// settle leaves one clause for each path, the one that came last in the
// document, and sorts by path.
func settle(b branch) branch {
	slices.SortStableFunc(b, func(x, y *clause) int { return strings.Compare(x.path, y.path) })
	kept := b[:0]
	for i, c := range b {
		if i+1 == len(b) || b[i+1].path != c.path {
			kept = append(kept, c)
		}
	}
	return slices.Clip(kept)
}

// object gives the branches of an object whose path is at, in the order of
// the document; what names it in errors.
func (s source) object(t tree, at, what string) ([]branch, error) {
	if len(t.members) == 0 {
		return nil, s.errorf(t.at, "%s is an empty object", what).WithHint("leave the field out to accept anything")
	}
	branches := []branch{nil}
	for _, m := range lasts(t.members) {
		more, err := s.member(m, at)
		if err != nil {
			return nil, err
		}
		if branches, err = s.product(branches, more, m.at); err != nil {
			return nil, err
		}
	}
	return branches, nil
}

// lasts leaves the last of members with the same name, in its own place.
func lasts(members []member) []member {
	last := make(map[string]int, len(members))
	for i, m := range members {
		last[m.name] = i
	}
	if len(last) == len(members) {
		return members
	}
	var kept []member
	for i, m := range members {
		if last[m.name] == i {
			kept = append(kept, m)
		}
	}
	return kept
}

func (s source) member(m member, at string) ([]branch, error) {
	if m.name == "$or" && isOr(m.value) {
		return s.or(m.value, at)
	}
	path := join(at, m.name)
	switch m.value.kind {
	case '{':
		return s.object(m.value, path, shown(path))
	case '[':
		c, err := s.clause(m.value, path)
		if err != nil {
			return nil, err
		}
		return []branch{{c}}, nil
	}
	return nil, s.errorf(m.value.at, "%s must be a list of values or an object", shown(path)).
		WithHint("write [%s]", s[m.value.at:m.value.end])
}

// join appends a name to a path: every name with a dot before it, so that
// {"a.b": …} and {"a": {"b": …}} are the same path.
func join(at, name string) string { return at + "." + name }

// shown is a path as people write it.
func shown(path string) string { return strings.TrimPrefix(path, ".") }

// isOr tells the keyword from a field that is called $or.
func isOr(t tree) bool {
	if t.kind != '[' || len(t.items) < 2 {
		return false
	}
	for _, alternative := range t.items {
		if alternative.kind != '{' {
			return false
		}
		for _, m := range alternative.members {
			if reserved(m.name) {
				return false
			}
		}
	}
	return true
}

func (s source) or(t tree, at string) ([]branch, error) {
	var all []branch
	for _, alternative := range t.items {
		some, err := s.object(alternative, at, "an alternative of "+shown(join(at, "$or")))
		if err != nil {
			return nil, err
		}
		if all = append(all, some...); len(all) > maxBranches {
			return nil, s.tooMany(t.at)
		}
	}
	return all, nil
}

// product joins every branch of xs, which it may change, with every branch of ys.
func (s source) product(xs, ys []branch, at int) ([]branch, error) {
	if len(xs)*len(ys) > maxBranches {
		return nil, s.tooMany(at)
	}
	clauses := len(ys)*size(xs) + len(xs)*size(ys)
	if clauses > maxClauses {
		return nil, s.tooMany(at)
	}
	if len(ys) == 1 {
		for i := range xs {
			xs[i] = append(xs[i], ys[0]...)
		}
		return xs, nil
	}
	all := make([]branch, 0, len(xs)*len(ys))
	for _, x := range xs {
		for _, y := range ys {
			all = append(all, slices.Concat(x, y))
		}
	}
	return all, nil
}

func size(branches []branch) (clauses int) {
	for _, b := range branches {
		clauses += len(b)
	}
	return clauses
}

func (s source) tooMany(at int) error {
	return s.errorf(at, "the alternatives of $or make more than %d combinations or %d clauses", maxBranches, maxClauses).
		WithHint("use several rules")
}
