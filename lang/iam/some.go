package iam

// aboutSome answers for a request whose resource is a pattern. A statement
// that allows is about it where both patterns have a resource in common; one
// that denies only where it takes all of them away.
func (s *statement) aboutSome(q *query) bool {
	const most = 4096 // a pattern longer than any ARN is about nothing, and costs nothing
	if len(q.request.Resource) > most {
		return false
	}
	asked := compileARN(q.request.Resource, false)
	context := q.request.Context
	if context == nil {
		context = map[string][]string{}
	}
	all, common := false, false
	for i := range s.resources {
		r := &s.resources[i]
		all = all || r.contains(&asked, context)
		common = common || (s.deny || s.notThose || !r.bare) && r.meets(&asked, context)
	}
	switch {
	case s.notThose && s.deny:
		return !common
	case s.notThose:
		return !all
	case s.deny:
		return all
	}
	return common
}

// part is the pattern of one part; those that a short pattern lacks are stars.
func (a *arn) part(i int, context map[string][]string) []rune {
	if a.all || i >= len(a.parts) {
		return []rune{star}
	}
	return a.parts[i].all(context)
}

// contains tells whether everything that b matches, a does too.
func (a *arn) contains(b *arn, context map[string][]string) bool {
	if context == nil && a.text == b.text {
		return true // the same variables, too
	}
	for i := range arnParts {
		if !a.all && !contains(a.part(i, context), b.part(i, context)) {
			return false
		}
	}
	return true
}

// meets tells whether there is something that both match.
func (a *arn) meets(b *arn, context map[string][]string) bool {
	for i := range arnParts {
		if !a.all && !b.all && !meets(a.part(i, context), b.part(i, context)) {
			return false
		}
	}
	return true
}

// contains tells whether a matches whatever b does: b is walked once, as a
// text in which a wildcard can only be met by one of a that is as wide. It is
// exact for patterns of * and literals, and errs towards no where ? meets *.
func contains(a, b []rune) bool {
	reach := closure(a, newSet(len(a)+1).add(0))
	for _, piece := range b {
		next := newSet(len(a) + 1)
		for i := range a {
			if !reach[i] {
				continue
			}
			switch {
			case a[i] == star:
				next.add(i)
			case piece == star || piece == hole:
			case a[i] == question || a[i] == piece:
				next.add(i + 1)
			}
		}
		reach = closure(a, next)
	}
	return reach[len(a)]
}

// meets tells whether some text matches both. A variable without value matches nothing.
func meets(a, b []rune) bool {
	row, below := newSet(len(b)+1).add(0), newSet(len(b)+1)
	for i := range len(a) + 1 {
		clear(below)
		for j := range len(b) + 1 {
			if !row[j] {
				continue
			}
			inA, inB := i < len(a), j < len(b)
			freeA, freeB := inA && a[i] == star, inB && b[j] == star
			if inB && (freeA || freeB) {
				row[j+1] = true
			}
			if inA && (freeA || freeB) {
				below[j] = true
			}
			if inA && inB && !freeA && !freeB && a[i] != hole && (a[i] == b[j] || a[i] == question || b[j] == question) {
				below[j+1] = true
			}
		}
		if i < len(a) {
			row, below = below, row
		}
	}
	return row[len(b)]
}

type set []bool

func newSet(n int) set { return make(set, n) }

func (s set) add(i int) set {
	s[i] = true
	return s
}

// closure adds what is reached when stars match nothing.
func closure(a []rune, s set) set {
	for i := range a {
		if s[i] && a[i] == star {
			s[i+1] = true
		}
	}
	return s
}
