package guard

import (
	"net/netip"
	"regexp"
	"strings"
)

// perhaps is why v may not be there, or "".
func (v *Value) perhaps() string {
	if v.unknown != nil && v.kind != kindUnknown {
		return v.unknown.Why
	}
	return ""
}

// unknownWithin is what lies within something unknown.
func unknownWithin(v *Value) *Value {
	return &Value{kind: kindUnknown, unknown: &Unknown{Why: v.unknown.Why}, parent: v.parent, name: v.name, index: v.index, file: v.file, line: v.line, column: v.column}
}

// walkUnknown follows parts[i:] from an unknown value: into what stands there
// instead, as far as that goes.
func (e *evaluation) walkUnknown(s *scope, v *Value, parts []part, i int, out []result) ([]result, error) {
	if i == len(parts) {
		return append(out, result{value: v}), nil
	}
	switch p := &parts[i]; p.step {
	case stepThis:
		return e.walk(s, v, parts, i+1, out)
	case stepKey:
		if as := v.unknown.As; as != nil {
			if next := member(as, p); next != nil {
				return e.walk(s, next, parts, i+1, out)
			}
		}
	case stepAllIndices, stepFilter:
		if i > 0 && !v.unknown.Present {
			break // it may be an empty list
		}
		if p.step == stepFilter {
			return e.walkFilter(s, v, parts, i, out)
		}
		return e.walk(s, v, parts, i+1, out)
	}
	return append(out, result{value: unknownWithin(v)}), nil
}

// unknownWhy is the reason for an outcome that is maybe.
func (o *outcome) unknownWhy() string {
	switch {
	case o.perhaps != "":
		return o.perhaps
	case o.value != nil && o.value.why() != "":
		return o.value.why()
	case o.want != nil && o.want.why() != "":
		return o.want.why()
	}
	return "it depends on something unknown"
}

// why is the reason for which v, or something in it, is unknown.
func (v *Value) why() string {
	if v.kind == kindUnknown {
		return v.unknown.Why
	}
	for _, x := range v.items {
		if w := x.why(); w != "" {
			return w
		}
	}
	for _, f := range v.fields {
		if w := f.value.why(); w != "" {
			return w
		}
	}
	return ""
}

// holds answers a unary operator.
func (u *Unknown) holds(op operator) tri {
	text := u.Plain || u.Parts != nil
	switch op {
	case opExists:
		if u.Present {
			return yes
		}
	case opEmpty:
		if u.Present && (u.Plain || u.Filled || strings.Join(u.Parts, "") != "") {
			return no
		}
	case opIsString:
		if u.Present && text {
			return yes
		}
	case opIsStruct:
		if u.As != nil && u.As.kind == kindMap {
			return yes // as those rules expect that look into it
		}
		if text {
			return no
		}
	case opIsNull:
		if u.Present {
			return no
		}
	case opIsList, opIsBool, opIsInt, opIsFloat:
		if text {
			return no
		}
	}
	return maybe
}

// equal compares with any other value.
func (u *Unknown) equal(v *Value) tri {
	text := u.Plain || u.Parts != nil
	switch v.kind {
	case kindUnknown:
		if u == v.unknown {
			return yes
		}
		if u.As != nil && v.unknown.As != nil {
			if same, _ := equal(u.As, v.unknown.As); same == yes {
				return yes
			}
		}
	case kindMap:
		if u.As != nil {
			if same, _ := equal(u.As, v); same == yes {
				return yes
			}
		}
		if text {
			return no
		}
	case kindString:
		return triMaybe(u.can(v.text))
	case kindRegex:
		return u.matches(v.literal.match)
	case kindList:
		if len(v.items) == 1 {
			return u.equal(v.items[0])
		}
		return triMaybe(!text)
	case kindBool, kindNull:
		return triMaybe(!text)
	}
	return maybe
}

func triMaybe(possible bool) tri {
	if possible {
		return maybe
	}
	return no
}

// can tells whether the value could be that text.
func (u *Unknown) can(text string) bool {
	parts := u.Parts
	if parts == nil {
		return !u.Plain || plain(text)
	}
	first, last := parts[0], parts[len(parts)-1]
	if len(text) < len(first)+len(last) || !strings.HasPrefix(text, first) || !strings.HasSuffix(text, last) {
		return false
	}
	text = text[len(first) : len(text)-len(last)]
	if len(parts) == 2 {
		return !u.Plain || plain(text)
	}
	for _, p := range parts[1 : len(parts)-1] {
		i := strings.Index(text, p)
		if i < 0 {
			return false
		}
		text = text[i+len(p):]
	}
	return true
}

// plain tells whether a text could be a name, an id or an ARN.
func plain(text string) bool {
	switch strings.ToLower(text) {
	case "", "true", "false", "null", "none", "-1", "disabled", "enabled", "aes256", "aws:kms":
		return false
	}
	if strings.ContainsAny(text, "*? \t\n") {
		return false
	}
	_, err := netip.ParsePrefix(text)
	return err != nil
}

// samples stand in for what is unknown of a text where a regular expression asks
// about it: where all answer alike, so would anything else that is likely.
func samples(plain bool) []string {
	if plain {
		return []string{"arn:aws:iam::111122223333:role/Some-Name", "some-name-1a2b3c", "Name", "111122223333", "sg-0123456789abcdef0"}
	}
	return []string{"", "*", "0.0.0.0/0", "true", "name", "arn:aws:iam::111122223333:role/Some-Name", "80"}
}

type matching interface{ MatchString(string) bool }

var _ matching = (*regexp.Regexp)(nil)

func (u *Unknown) matches(m matching) tri {
	if u.Parts == nil && !u.Plain {
		return maybe
	}
	parts := u.Parts
	if parts == nil {
		parts = []string{"", ""}
	}
	held, all := 0, samples(u.Plain)
	for _, s := range all {
		held += btoi(m.MatchString(strings.Join(parts, s)))
	}
	switch held {
	case 0:
		return no
	case len(all):
		return yes
	}
	return maybe
}
