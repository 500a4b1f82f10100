package hub

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/word/fault"
)

// Filters say which findings are meant, as GetFindings has them: attribute →
// conditions. Different attributes must all hold. Of one attribute's
// conditions one of the positive ones must hold (EQUALS, PREFIX, CONTAINS, a
// range) and all of the negative ones. An attribute with several values, such
// as ResourceId, meets a positive condition if one of its values does, and a
// negative one if none of them stands against it; an attribute that is absent
// meets negative conditions only.
type Filters map[string][]Condition

// Condition is one condition of any kind; which members count depends on the attribute.
type Condition struct {
	Value      any        `json:"Value,omitzero"`      // a string; true or false for Sample
	Comparison string     `json:"Comparison,omitzero"` // of strings and maps; EQUALS if there is none
	Key        string     `json:"Key,omitzero"`        // of maps
	Cidr       string     `json:"Cidr,omitzero"`       // of addresses
	Gte        *float64   `json:"Gte,omitzero"`
	Lte        *float64   `json:"Lte,omitzero"`
	Eq         *float64   `json:"Eq,omitzero"`
	Gt         *float64   `json:"Gt,omitzero"`
	Lt         *float64   `json:"Lt,omitzero"`
	Start      string     `json:"Start,omitzero"`
	End        string     `json:"End,omitzero"`
	DateRange  *DateRange `json:"DateRange,omitzero"`
}

// DateRange is a span before now.
type DateRange struct {
	Value      int    `json:"Value"`
	Unit       string `json:"Unit,omitzero"`       // DAYS
	Comparison string `json:"Comparison,omitzero"` // WITHIN (the default) or OLDER_THAN
}

// The comparisons of strings and maps.
const (
	Equals          = "EQUALS"
	Prefix          = "PREFIX"
	NotEquals       = "NOT_EQUALS"
	PrefixNotEquals = "PREFIX_NOT_EQUALS"
	Contains        = "CONTAINS"
	NotContains     = "NOT_CONTAINS"
)

// Is holds if the attribute is one of values.
func Is(values ...string) []Condition {
	var list []Condition
	for _, v := range values {
		list = append(list, Condition{Value: v, Comparison: Equals})
	}
	return list
}

// ParseFilters reads filters from JSON and checks them.
func ParseFilters(text []byte) (Filters, error) {
	var f Filters
	if err := json.Unmarshal(text, &f, json.RejectUnknownMembers(true)); err != nil {
		return nil, fault.Invalid.Errorf("filters: %w", err)
	}
	return f, f.Check()
}

// Check tells whether the hub can answer f, and if not, what is wrong with it.
func (f Filters) Check() error {
	_, err := compile(f, asQuery, time.Time{})
	return err
}

// mode says where filters stand: automation rules may also say CONTAINS, and know fewer attributes.
type mode int

const (
	asQuery mode = iota
	asCriteria
)

const maxConditions = 1000 // of one attribute; AWS's limit is 20

// predicate is filters made ready. All tests must hold.
type predicate struct {
	tests []test
	wants *trie
}

// test is what one attribute's conditions come to.
type test struct {
	attribute *attribute
	holds     func(values []value) bool
	texts     *texts // of a text attribute
}

func compile(f Filters, m mode, now time.Time) (*predicate, error) {
	p := &predicate{}
	for _, name := range slices.Sorted(keys(f)) {
		a := attributes[name]
		if a == nil || m == asCriteria && !a.criterion {
			return nil, fault.Invalid.Errorf("filters: there is no attribute %q%s", name, suggest(name))
		}
		conditions := f[name]
		if len(conditions) == 0 {
			continue
		}
		if len(conditions) > maxConditions {
			return nil, fault.Invalid.Errorf("filters: %s has %d conditions, more than %d", name, len(conditions), maxConditions)
		}
		t := test{attribute: a}
		var err error
		if a.kind == isText {
			if t.texts, err = compileText(conditions, m); err == nil {
				t.holds = t.texts.holds
			}
		} else {
			t.holds, err = a.kind.compile(conditions, now)
		}
		if err != nil {
			return nil, fault.Invalid.Errorf("filters: %s: %w", name, err)
		}
		p.tests = append(p.tests, t)
	}
	p.wants = newTrie(p.tests)
	return p, nil
}

func keys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// suggest names an attribute that differs in case only, since that is how people miss.
func suggest(name string) string {
	for known := range attributes {
		if strings.EqualFold(known, name) {
			return ", did you mean " + known + "?"
		}
	}
	return ""
}

// match tells whether the finding with this JSON is meant.
func (p *predicate) match(doc []byte) bool {
	if len(p.tests) == 0 {
		return true
	}
	found := p.wants.read(doc, len(p.tests))
	for i, t := range p.tests {
		if !t.holds(found[i]) {
			return false
		}
	}
	return true
}

func (k kind) compile(list []Condition, now time.Time) (func([]value) bool, error) {
	switch k {
	case isNumber:
		return compileNumber(list)
	case isDate:
		return compileDate(list, now)
	case isMap:
		return compileMap(list)
	case isIP:
		return compileIP(list)
	case isKeyword:
		return compileKeyword(list)
	}
	return compileBool(list)
}

func extra(c Condition, allowed Condition) error {
	mask := c
	if allowed.Value != nil {
		mask.Value = nil
	}
	if allowed.Comparison != "" {
		mask.Comparison = ""
	}
	if allowed.Key != "" {
		mask.Key = ""
	}
	if allowed.Cidr != "" {
		mask.Cidr = ""
	}
	if allowed.Gte != nil {
		mask.Gte, mask.Lte, mask.Eq, mask.Gt, mask.Lt = nil, nil, nil, nil, nil
	}
	if allowed.Start != "" {
		mask.Start, mask.End, mask.DateRange = "", "", nil
	}
	if mask == (Condition{}) {
		return nil
	}
	text, _ := json.Marshal(mask)
	return fault.Invalid.Errorf("%s is not for this kind of attribute", text)
}

func textOf(c Condition) (string, error) {
	s, ok := c.Value.(string)
	if !ok || strings.TrimSpace(s) == "" {
		return "", fault.Invalid.Errorf("Value must be a text that is not blank")
	}
	return s, nil
}

// texts are the conditions of a text attribute, sorted by what they say.
type texts struct {
	equals, prefixes, contains, not, notPrefixes, notContains []string
	isOne, isNot                                              map[string]bool // equals and not, where there are many
	positive, negative                                        bool            // whether there are such conditions
}

const many = 8 // from here on a set is faster than a list

func setOf(list []string) map[string]bool {
	if len(list) < many {
		return nil
	}
	set := make(map[string]bool, len(list))
	for _, v := range list {
		set[v] = true
	}
	return set
}

func among(v string, list []string, set map[string]bool) bool {
	if set != nil {
		return set[v]
	}
	return slices.Contains(list, v)
}

func (x *texts) list(comparison string) *[]string {
	switch comparison {
	case "", Equals:
		return &x.equals
	case Prefix:
		return &x.prefixes
	case Contains:
		return &x.contains
	case NotEquals:
		return &x.not
	case PrefixNotEquals:
		return &x.notPrefixes
	case NotContains:
		return &x.notContains
	}
	return nil
}

func compileText(list []Condition, m mode) (*texts, error) {
	x := &texts{}
	for _, c := range list {
		if err := extra(c, Condition{Value: "", Comparison: Equals}); err != nil {
			return nil, err
		}
		s, err := textOf(c)
		if err != nil {
			return nil, err
		}
		to := x.list(c.Comparison)
		switch {
		case to == nil:
			return nil, fault.Invalid.Errorf("there is no comparison %q here", c.Comparison)
		case m == asQuery && (c.Comparison == Contains || c.Comparison == NotContains):
			return nil, fault.Invalid.Errorf("%s is for automation rules only", c.Comparison)
		}
		*to = append(*to, s)
	}
	if err := x.check(); err != nil {
		return nil, err
	}
	x.isOne, x.isNot = setOf(x.equals), setOf(x.not)
	x.positive = len(x.equals)+len(x.prefixes)+len(x.contains) > 0
	x.negative = len(x.not)+len(x.notPrefixes)+len(x.notContains) > 0
	return x, nil
}

// holds tells whether one of the values is meant, if any must be, and none excluded.
func (x *texts) holds(values []value) bool {
	meant := !x.positive
	for _, v := range values {
		if x.excluded(v.text) {
			return false
		}
		meant = meant || x.meant(v.text)
	}
	return meant
}

// check refuses combinations that AWS refuses.
func (x *texts) check() error {
	contains, others := len(x.contains)+len(x.notContains), len(x.equals)+len(x.prefixes)+len(x.not)+len(x.notPrefixes)
	switch {
	case len(x.equals) > 0 && len(x.not)+len(x.notPrefixes) > 0:
		return fault.Invalid.Errorf("EQUALS cannot stand with NOT_EQUALS or PREFIX_NOT_EQUALS")
	case len(x.contains) > 0 && len(x.notContains) > 0:
		return fault.Invalid.Errorf("CONTAINS cannot stand with NOT_CONTAINS")
	case contains > 0 && others > 0:
		return fault.Invalid.Errorf("CONTAINS and NOT_CONTAINS can only stand with themselves")
	}
	return nil
}

func (x *texts) meant(text string) bool {
	return among(text, x.equals, x.isOne) ||
		slices.ContainsFunc(x.prefixes, func(p string) bool { return strings.HasPrefix(text, p) }) ||
		slices.ContainsFunc(x.contains, func(p string) bool { return strings.Contains(text, p) })
}

func (x *texts) excluded(text string) bool {
	return x.negative && (among(text, x.not, x.isNot) ||
		slices.ContainsFunc(x.notPrefixes, func(p string) bool { return strings.HasPrefix(text, p) }) ||
		slices.ContainsFunc(x.notContains, func(p string) bool { return strings.Contains(text, p) }))
}

func compileNumber(list []Condition) (func([]value) bool, error) {
	type span struct{ gte, lte, gt, lt float64 }
	var spans []span
	inf := math.Inf(1)
	or := func(p *float64, otherwise float64) float64 {
		if p == nil {
			return otherwise
		}
		return *p
	}
	for _, c := range list {
		one := 0.0
		if err := extra(c, Condition{Gte: &one}); err != nil {
			return nil, err
		}
		if c.Gte == nil && c.Lte == nil && c.Eq == nil && c.Gt == nil && c.Lt == nil {
			return nil, fault.Invalid.Errorf("a condition says none of Gte, Lte, Eq, Gt, Lt")
		}
		s := span{or(c.Gte, -inf), or(c.Lte, inf), or(c.Gt, -inf), or(c.Lt, inf)}
		if c.Eq != nil {
			s.gte, s.lte = max(s.gte, *c.Eq), min(s.lte, *c.Eq)
		}
		spans = append(spans, s)
	}
	return func(values []value) bool {
		return slices.ContainsFunc(values, func(v value) bool {
			n := v.number
			return v.isNumber && slices.ContainsFunc(spans, func(s span) bool {
				return n >= s.gte && n <= s.lte && (n > s.gt || math.IsInf(s.gt, -1)) && (n < s.lt || math.IsInf(s.lt, 1))
			})
		})
	}, nil
}

// span of time in microseconds, both ends included.
type span struct{ from, to int64 }

func (s span) holds(at int64) bool { return at >= s.from && at <= s.to }

func compileDate(list []Condition, now time.Time) (func([]value) bool, error) {
	var spans []span
	for _, c := range list {
		s, err := dateSpan(c, now)
		if err != nil {
			return nil, err
		}
		spans = append(spans, s)
	}
	return func(values []value) bool {
		return slices.ContainsFunc(values, func(v value) bool {
			at, ok := v.at, v.isTime
			if !ok {
				t, good := parseTime(v.text)
				if !good {
					return false
				}
				at = t.UnixMicro()
			}
			return slices.ContainsFunc(spans, func(s span) bool { return s.holds(at) })
		})
	}, nil
}

func dateSpan(c Condition, now time.Time) (s span, err error) {
	if err := extra(c, Condition{Start: "x"}); err != nil {
		return s, err
	}
	s = span{math.MinInt64, math.MaxInt64}
	if r := c.DateRange; r != nil {
		switch {
		case c.Start != "" || c.End != "":
			return s, fault.Invalid.Errorf("DateRange cannot stand with Start or End")
		case r.Value < 0 || r.Value > 100_000:
			return s, fault.Invalid.Errorf("DateRange of %d days", r.Value)
		case cmp.Or(r.Unit, "DAYS") != "DAYS":
			return s, fault.Invalid.Errorf("DateRange in %q: the unit is DAYS", r.Unit)
		}
		edge := now.Add(-time.Duration(r.Value) * 24 * time.Hour).UnixMicro()
		switch cmp.Or(r.Comparison, "WITHIN") {
		case "WITHIN":
			s.from = edge
		case "OLDER_THAN":
			s.to = edge - 1
		default:
			return s, fault.Invalid.Errorf("DateRange: there is no comparison %q", r.Comparison)
		}
		return s, nil
	}
	if c.Start == "" && c.End == "" {
		return s, fault.Invalid.Errorf("a condition says none of Start, End, DateRange")
	}
	for _, end := range []struct {
		text string
		to   *int64
	}{{c.Start, &s.from}, {c.End, &s.to}} {
		if end.text == "" {
			continue
		}
		t, ok := parseTime(end.text)
		if !ok {
			return s, fault.Invalid.Errorf("%q is not a time such as 2026-01-02T15:04:05.000Z", end.text)
		}
		*end.to = t.UnixMicro()
	}
	return s, nil
}

func compileMap(list []Condition) (func([]value) bool, error) {
	var positive, negative []func(value) bool
	var equals, notEquals bool
	for _, c := range list {
		if err := extra(c, Condition{Value: "", Comparison: Equals, Key: "x"}); err != nil {
			return nil, err
		}
		s, err := textOf(c)
		if err != nil {
			return nil, err
		}
		if strings.TrimSpace(c.Key) == "" {
			return nil, fault.Invalid.Errorf("a condition has no Key")
		}
		same := func(v value) bool { return v.key == c.Key && v.text == s }
		holds := func(v value) bool { return v.key == c.Key && strings.Contains(v.text, s) }
		switch cmp.Or(c.Comparison, Equals) {
		case Equals:
			equals, positive = true, append(positive, same)
		case Contains:
			positive = append(positive, holds)
		case NotEquals:
			notEquals, negative = true, append(negative, same)
		case NotContains:
			negative = append(negative, holds)
		default:
			return nil, fault.Invalid.Errorf("there is no comparison %q here", c.Comparison)
		}
	}
	if equals && notEquals {
		return nil, fault.Invalid.Errorf("EQUALS cannot stand with NOT_EQUALS")
	}
	any := func(tests []func(value) bool, values []value) bool {
		return slices.ContainsFunc(values, func(v value) bool {
			return slices.ContainsFunc(tests, func(t func(value) bool) bool { return t(v) })
		})
	}
	return func(values []value) bool {
		return (len(positive) == 0 || any(positive, values)) && !any(negative, values)
	}, nil
}

func compileIP(list []Condition) (func([]value) bool, error) {
	var nets []netip.Prefix
	for _, c := range list {
		if err := extra(c, Condition{Cidr: "x"}); err != nil {
			return nil, err
		}
		net, err := netip.ParsePrefix(c.Cidr)
		if err != nil {
			one, e := netip.ParseAddr(c.Cidr)
			if e != nil {
				return nil, fault.Invalid.Errorf("%q is neither a CIDR block nor an address", c.Cidr)
			}
			net = netip.PrefixFrom(one.Unmap(), one.Unmap().BitLen())
		}
		nets = append(nets, net.Masked())
	}
	return func(values []value) bool {
		return slices.ContainsFunc(values, func(v value) bool {
			a, err := netip.ParseAddr(v.text)
			return err == nil && slices.ContainsFunc(nets, func(n netip.Prefix) bool { return n.Contains(a.Unmap()) })
		})
	}, nil
}

func compileKeyword(list []Condition) (func([]value) bool, error) {
	var words []string
	for _, c := range list {
		if err := extra(c, Condition{Value: ""}); err != nil {
			return nil, err
		}
		s, err := textOf(c)
		if err != nil {
			return nil, err
		}
		words = append(words, s)
	}
	return func(values []value) bool {
		return slices.ContainsFunc(values, func(v value) bool {
			return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(v.text, w) })
		})
	}, nil
}

// compileBool is for Sample, which is false where it is not said.
func compileBool(list []Condition) (func([]value) bool, error) {
	var wanted [2]bool
	for _, c := range list {
		if err := extra(c, Condition{Value: true}); err != nil {
			return nil, err
		}
		b, ok := c.Value.(bool)
		switch {
		case !ok:
			return nil, fault.Invalid.Errorf("Value must be true or false")
		case b:
			wanted[1] = true
		default:
			wanted[0] = true
		}
	}
	return func(values []value) bool {
		is := slices.ContainsFunc(values, func(v value) bool { return v.text == "true" })
		return is && wanted[1] || !is && wanted[0]
	}, nil
}
