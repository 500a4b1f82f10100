package iam

import (
	"slices"
)

// Grants tells whether a policy might allow one of the actions on one of the
// resources, both patterns, and which of its statements does; no action means
// whatever action, no resource whatever resource. Conditions are taken to
// hold where it allows, and where it denies not: what is not granted here, is
// not granted to anybody in any circumstances. It takes the square of the policy's length.
func (p *Policy) Grants(actions, resources []string) (statement int, sid string, granted bool) {
	if len(actions) == 0 {
		actions = []string{"*"}
	}
	if len(resources) == 0 {
		resources = []string{"*"}
	}
	g := gridOf(p, actions, resources)
	for _, a := range g.actions {
		for _, r := range g.resources {
			for i := range p.statements {
				if g.grants(i, a, r) {
					return i, p.statements[i].sid, true
				}
			}
		}
	}
	return 0, "", false
}

// A grid holds what each statement says to each action and each resource that
// is asked for, so that no pair of them has to be looked at twice.
type grid struct {
	policy             *Policy
	actions, resources []gridLine
	gone               []bool   // statements that another denies whole
	means              [][]bool // of a statement, which of those that deny mean everybody whom it does
}

type gridLine struct{ some, all []bool }

func gridOf(p *Policy, actions, resources []string) *grid {
	g := &grid{policy: p, gone: make([]bool, len(p.statements)), means: make([][]bool, len(p.statements))}
	for _, text := range actions {
		a := compileAction(text)
		var line gridLine
		for i := range p.statements {
			line.some = append(line.some, p.statements[i].mayCover(a))
			line.all = append(line.all, p.statements[i].coversAll(a))
		}
		g.actions = append(g.actions, line)
	}
	for _, text := range resources {
		r := compileARN(text, false)
		var line gridLine
		for i := range p.statements {
			line.some = append(line.some, p.statements[i].mayBeAbout(&r))
			line.all = append(line.all, p.statements[i].isAboutAll(&r))
		}
		g.resources = append(g.resources, line)
	}
	for i := range p.statements {
		s := &p.statements[i]
		g.means[i] = make([]bool, len(p.statements))
		for j := range p.statements {
			d := &p.statements[j]
			if s.deny || !d.deny || len(d.conditions) > 0 || d.unnamed || p.kind.principals() && !d.meansAll(s) {
				continue
			}
			g.means[i][j] = true
			g.gone[i] = g.gone[i] || d.within(s)
		}
	}
	return g
}

// grants tells whether a statement allows something of an action and a
// resource, and none that has no conditions denies all of both.
func (g *grid) grants(i int, a, r gridLine) bool {
	s := &g.policy.statements[i]
	if s.deny || s.unnamed || g.gone[i] || !a.some[i] || !r.some[i] {
		return false
	}
	for j, means := range g.means[i] {
		if means && a.all[j] && r.all[j] {
			return false
		}
	}
	return true
}

// mayCover tells whether the statement and a pattern have an action in common.
func (s *statement) mayCover(a action) bool {
	if s.notActions {
		return !slices.ContainsFunc(s.actions, func(b action) bool { return b.contains(a) })
	}
	return slices.ContainsFunc(s.actions, func(b action) bool { return b.meets(a) })
}

func (s *statement) mayBeAbout(r *arn) bool {
	switch {
	case len(s.resources) == 0:
		return true
	case s.notThose:
		return !slices.ContainsFunc(s.resources, func(b arn) bool { return b.contains(r, nil) })
	}
	return slices.ContainsFunc(s.resources, func(b arn) bool { return b.mayMeet(r) })
}

// meansAll tells whether a statement means everybody whom another does.
func (s *statement) meansAll(other *statement) bool {
	if s.anybody || !s.notPrincipals && slices.ContainsFunc(s.principals, func(p principal) bool { return p.kind == everyone }) {
		return true
	}
	same := func(a, b principal) bool { return a.kind == b.kind && a.text == b.text }
	in := func(all []principal, p principal) bool {
		return slices.ContainsFunc(all, func(b principal) bool { return same(b, p) })
	}
	switch {
	case other.anybody || s.notPrincipals != other.notPrincipals:
		return false
	case s.notPrincipals:
		return !slices.ContainsFunc(s.principals, func(p principal) bool { return !in(other.principals, p) })
	}
	return !slices.ContainsFunc(other.principals, func(p principal) bool { return !in(s.principals, p) })
}

func (s *statement) coversAll(a action) bool {
	if s.notActions {
		return !slices.ContainsFunc(s.actions, func(b action) bool { return b.meets(a) })
	}
	return slices.ContainsFunc(s.actions, func(b action) bool { return b.contains(a) })
}

func (s *statement) isAboutAll(r *arn) bool {
	switch {
	case len(s.resources) == 0:
		return true
	case s.notThose:
		return !slices.ContainsFunc(s.resources, func(b arn) bool { return b.mayMeet(r) })
	}
	return slices.ContainsFunc(s.resources, func(b arn) bool { return b.contains(r, nil) })
}

// within tells whether another statement, conditions left out, matches nothing
// that s does not. It errs towards no.
func (s *statement) within(other *statement) bool {
	return s.actionsWithin(other, nil) && s.resourcesWithin(other, nil)
}

// actionsWithin asks for all actions of another statement, or for one of them.
func (s *statement) actionsWithin(other *statement, one *action) bool {
	switch {
	case one != nil:
		return one.broken || s.coversAll(*one)
	case !other.notActions:
		return !slices.ContainsFunc(other.actions, func(a action) bool { return !a.broken && !s.coversAll(a) })
	case s.notActions: // all but these are within all but those: those are among these
		return !slices.ContainsFunc(s.actions, func(a action) bool {
			return !a.broken && !slices.ContainsFunc(other.actions, func(b action) bool { return b.contains(a) })
		})
	}
	return slices.ContainsFunc(s.actions, func(a action) bool { return a.all })
}

func (s *statement) resourcesWithin(other *statement, one *arn) bool {
	switch {
	case len(s.resources) == 0:
		return true
	case one != nil:
		return s.isAboutAll(one)
	case len(other.resources) == 0:
		return !s.notThose && slices.ContainsFunc(s.resources, func(r arn) bool { return r.all })
	case !other.notThose:
		return !slices.ContainsFunc(other.resources, func(r arn) bool { return !s.isAboutAll(&r) })
	case s.notThose:
		return !slices.ContainsFunc(s.resources, func(r arn) bool {
			return !slices.ContainsFunc(other.resources, func(b arn) bool { return b.contains(&r, nil) })
		})
	}
	return slices.ContainsFunc(s.resources, func(r arn) bool { return r.all })
}

// Widens tells whether a new version of a policy might allow something that
// the old one does not, and by which of its statements; -1 where it is a
// statement of the old one that denied. What is proven to be no wider is not;
// what cannot be told is.
func (p *Policy) Widens(old *Policy) (statement int, sid string, wider bool) {
	if p.old != old.old { // the same text means something else
		return 0, "", true
	}
	for i := range p.statements {
		s := &p.statements[i]
		if !s.deny && !s.unnamed && !old.implies(s) {
			return i, s.sid, true
		}
	}
	for i := range old.statements {
		if d := &old.statements[i]; d.deny && !d.unnamed && !p.implies(d) {
			return -1, d.sid, true
		}
	}
	return 0, "", false
}

// implies tells whether a policy's statements of the same effect say at least
// what s does. Each action on each resource may be said by another of them.
func (p *Policy) implies(s *statement) bool {
	by := func(a *action, r *arn) bool {
		return slices.ContainsFunc(p.statements, func(o statement) bool {
			return o.deny == s.deny && !o.unnamed && o.asks(s) && (!p.kind.principals() || o.meansAll(s)) && o.actionsWithin(s, a) && o.resourcesWithin(s, r)
		})
	}
	if by(nil, nil) {
		return true
	}
	if s.notActions || s.notThose || len(s.resources) == 0 {
		return false
	}
	for i := range s.actions {
		for j := range s.resources {
			if !by(&s.actions[i], &s.resources[j]) {
				return false
			}
		}
	}
	return true
}

// asks tells whether all of s's conditions are also the other's: then s holds
// wherever the other does.
func (s *statement) asks(other *statement) bool {
	return !slices.ContainsFunc(s.conditions, func(c condition) bool {
		return c.unknown || !slices.ContainsFunc(other.conditions, func(o condition) bool {
			return o.name == c.name && o.key == c.key && slices.Equal(o.texts, c.texts)
		})
	})
}

// meets tells whether two patterns have an action in common.
func (a action) meets(b action) bool {
	if a.broken || b.broken {
		return false
	}
	return a.all || b.all || meets(a.pieces(), b.pieces())
}

// pieces are the action's pattern, service and all.
func (a action) pieces() []rune {
	text := a.name
	if a.service != "" {
		text = a.service + ":" + a.name
	}
	g := compileGlob(text, false)
	return g.all(nil)
}

// mayMeet is meets where a variable may have any value.
func (a *arn) mayMeet(b *arn) bool {
	wide := func(pieces []rune) []rune {
		pieces = slices.Clone(pieces)
		for i, p := range pieces {
			if p == hole {
				pieces[i] = star
			}
		}
		return pieces
	}
	for i := range arnParts {
		if !a.all && !b.all && !meets(wide(a.part(i, nil)), wide(b.part(i, nil))) {
			return false
		}
	}
	return true
}
