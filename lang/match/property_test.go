package match_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/haechi-dev/haechi/lang/match"
)

// On random patterns and events, a pattern alone, its reason, a set of many
// patterns and the oracle all say the same.
func TestAgreement(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		patterns := rapid.SliceOfN(patternTexts(), 1, 12).Draw(t, "patterns")
		set := match.NewSet[int]()
		for i, text := range patterns {
			set = set.With(match.Rule[int]{ID: i, Pattern: parse(t, text)})
		}
		for _, text := range rapid.SliceOfN(eventTexts(), 1, 4).Draw(t, "events") {
			agree(t, set, patterns, text)
		}
	})
}

// The same holds where nearly everything lies in arrays within arrays, names
// are repeated, and half of the clauses may be met by having nothing.
func TestAgreementOnArrays(t *testing.T) {
	lists := []string{`["1"]`, `["2"]`, `[{"exists": false}]`, `["1", {"exists": false}]`, `[{"exists": false}, "2"]`}
	rapid.Check(t, func(t *rapid.T) {
		list := func() string { return rapid.SampledFrom(lists).Draw(t, "list") }
		patterns := []string{
			fmt.Sprintf(`{"a": {"x": %s, "y": %s}}`, list(), list()),
			fmt.Sprintf(`{"a": {"x": %s, "y": %s, "b": {"x": %s}}}`, list(), list(), list()),
			fmt.Sprintf(`{"a": {"x": %s, "b": {"x": %s, "y": %s}}}`, list(), list(), list()),
			fmt.Sprintf(`{"a": %s, "a.x": %s, "a.b": %s, "a.b.x": %s}`, list(), list(), list(), list()),
		}
		set := match.NewSet[int]()
		for i, text := range patterns {
			set = set.With(match.Rule[int]{ID: i, Pattern: parse(t, text)})
		}
		for range 20 {
			agree(t, set, patterns, arrays(t, "a", 3))
		}
	})
}

// arrays is an object in which a name leads, perhaps more than once, to arrays of objects.
func arrays(t *rapid.T, name string, depth int) string {
	var members []string
	for _, leaf := range []string{"x", "y"} {
		if rapid.Bool().Draw(t, leaf) {
			members = append(members, fmt.Sprintf(`%q: %s`, leaf, rapid.SampledFrom([]string{`"1"`, `"2"`, `["1"]`, `["2", "1"]`}).Draw(t, "value")))
		}
	}
	if depth > 1 {
		for range rapid.SampledFrom([]int{0, 1, 1, 2, 3}).Draw(t, "repeats") {
			var items []string
			for range rapid.IntRange(1, 3).Draw(t, "items") {
				item := arrays(t, "b", depth-1)
				if rapid.IntRange(0, 5).Draw(t, "plain") == 0 {
					item = `"1"`
				}
				items = append(items, item)
			}
			members = append(members, fmt.Sprintf(`%q: [%s]`, name, strings.Join(items, ", ")))
		}
	}
	return "{" + strings.Join(members, ", ") + "}"
}

// agree compares the ways to match every pattern of a set against one event.
func agree(t fataler, set *match.Set[int], patterns []string, text string) {
	event, err := decode([]byte(text))
	if err != nil {
		t.Fatalf("event %s: %v", text, err)
	}
	ids, err := set.Match([]byte(text), nil)
	if err != nil {
		t.Fatalf("event %s: %v", text, err)
	}
	slices.Sort(ids)
	if len(slices.Compact(slices.Clone(ids))) != len(ids) {
		t.Fatalf("a rule came twice: %v\nevent %s\npatterns\n%s", ids, text, strings.Join(patterns, "\n"))
	}
	for i, pattern := range patterns {
		decoded, err := decode([]byte(pattern))
		if err != nil {
			t.Fatalf("pattern %s: %v", pattern, err)
		}
		want, gaveUp := oracle(decoded, event)
		if gaveUp {
			continue
		}
		p := parse(t, pattern)
		if got := p.Match([]byte(text)); got != want {
			t.Fatalf("alone: got %v, want %v\npattern %s\nevent %s", got, want, pattern, text)
		}
		if got := slices.Contains(ids, i); got != want {
			t.Fatalf("in the set: got %v, want %v\npattern %s\nevent %s", got, want, pattern, text)
		}
		why := p.Why([]byte(text))
		if why.Matched != want {
			t.Fatalf("why: %v, want %v\npattern %s\nevent %s", why, want, pattern, text)
		}
		if want {
			witness(t, why)
		}
	}
}

// witness checks that each clause of a reason is met by the value it names.
func witness(t fataler, why match.Reason) {
	for _, c := range why.Clauses {
		list, err := decode([]byte(c.Want))
		if err != nil {
			continue // it was cut
		}
		saw := node{}
		if len(c.Saw) > 0 {
			if saw, err = decode([]byte(c.Saw[0].JSON)); err != nil {
				t.Fatalf("%v: %v", c, err)
			}
		}
		if !slices.ContainsFunc(list.items, func(v node) bool {
			if len(c.Saw) == 0 {
				return mayLack(v)
			}
			return accepts(v, saw)
		}) {
			t.Fatalf("%v is not so", c)
		}
	}
}

// A set of hundreds of rules, grown and shrunk a step at a time, matches what
// its rules match one by one.
func TestSetOfHundreds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var parsed []*match.Pattern
		for _, text := range rapid.SliceOfN(patternTexts(), 60, 60).Draw(t, "patterns") {
			parsed = append(parsed, parse(t, text))
		}
		patterns := map[int]*match.Pattern{}
		set := match.NewSet[int]()
		for id := 0; id < 350; {
			var rules []match.Rule[int]
			for range rapid.IntRange(1, 100).Draw(t, "step") {
				patterns[id] = parsed[(id*7+len(rules))%len(parsed)]
				rules = append(rules, match.Rule[int]{ID: id, Pattern: patterns[id]})
				id += rapid.IntRange(-3, 7).Draw(t, "next")
				id = max(id, 0)
			}
			set = set.With(rules...)
			gone := rapid.SliceOfN(rapid.IntRange(0, 400), 0, 60).Draw(t, "gone")
			set = set.Without(gone...)
			for _, id := range gone {
				delete(patterns, id)
			}
		}
		if set.Len() != len(patterns) {
			t.Fatalf("%d rules, want %d", set.Len(), len(patterns))
		}
		for range 5 {
			event := eventTexts().Draw(t, "event")
			got, err := set.Match([]byte(event), nil)
			if err != nil {
				t.Fatal(err)
			}
			var want []int
			for id, p := range patterns {
				if p.Match([]byte(event)) {
					want = append(want, id)
				}
				if set.Get(id) != p {
					t.Fatalf("rule %d is not what it was set to", id)
				}
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Fatalf("got %v\nwant %v\nevent %s", got, want, event)
			}
		}
	})
}

type fataler interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

func parse(t fataler, text string) *match.Pattern {
	t.Helper()
	p, err := match.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return p
}

// Few names and values, so that random patterns meet random events.

func nameTexts() *rapid.Generator[string] {
	return rapid.SampledFrom([]string{`"a"`, `"b"`, `"c"`, `"a"`, `"b"`, `"a.b"`, `"b.c"`, `"\u0061"`, `""`, `"."`, `"é"`, `"$or"`})
}

func scalarTexts() *rapid.Generator[string] {
	return rapid.SampledFrom([]string{`"x"`, `"xy"`, `"xyz"`, `"XY"`, `"\u0078y"`, `""`, `"a*b"`, `"a\\b"`, `"é"`, `"É"`, `"ſ"`, `"S"`, `"\ud83d\ude00x"`,
		`"10.0.0.7"`, `"10.0.1.7"`, `"2001:db8::1"`, `"2001:DB8:0:0:0:0:0:1"`, `"::ffff:10.0.0.7"`, `"2001:db9::"`,
		`5`, `5.0`, `0.5e1`, `-5`, `0`, `-0.0`, `12345678901234567890`, `12345678901234567891`, `1e400`, `0.1`, `7`, `true`, `false`, `null`})
}

func eventTexts() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string { return eventObject(t, 3) })
}

func eventObject(t *rapid.T, depth int) string {
	var members []string
	for range rapid.IntRange(0, 4).Draw(t, "members") {
		members = append(members, nameTexts().Draw(t, "name")+": "+eventValue(t, depth-1))
	}
	return "{" + strings.Join(members, ", ") + "}"
}

func eventValue(t *rapid.T, depth int) string {
	shape := rapid.IntRange(0, 9).Draw(t, "shape")
	switch {
	case depth > 0 && shape < 3:
		return eventObject(t, depth)
	case depth > 0 && shape < 7:
		var items []string
		for range rapid.IntRange(0, 4).Draw(t, "items") {
			items = append(items, eventValue(t, depth-1))
		}
		return "[" + strings.Join(items, ",") + "]"
	}
	return scalarTexts().Draw(t, "scalar")
}

func patternTexts() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		ors := 3 // in the whole pattern, so that there are not too many combinations
		return patternObject(t, 3, &ors)
	})
}

func patternObject(t *rapid.T, depth int, ors *int) string {
	var members []string
	for range rapid.IntRange(1, 3).Draw(t, "members") {
		if *ors > 0 && rapid.IntRange(0, 4).Draw(t, "or") == 0 {
			*ors--
			var alternatives []string
			for range rapid.IntRange(2, 3).Draw(t, "alternatives") {
				alternatives = append(alternatives, patternObject(t, depth-1, ors))
			}
			members = append(members, `"$or": [`+strings.Join(alternatives, ", ")+"]")
			continue
		}
		value := patternList(t)
		if depth > 1 && rapid.IntRange(0, 1).Draw(t, "deeper") == 0 {
			value = patternObject(t, depth-1, ors)
		}
		members = append(members, nameTexts().Draw(t, "name")+": "+value)
	}
	return "{" + strings.Join(members, ", ") + "}"
}

func patternList(t *rapid.T) string {
	var values []string
	for range rapid.IntRange(1, 3).Draw(t, "values") {
		values = append(values, patternValue(t))
	}
	return "[" + strings.Join(values, ", ") + "]"
}

func patternValue(t *rapid.T) string {
	text := rapid.SampledFrom([]string{`"x"`, `"xy"`, `"Xy"`, `"y"`, `"z"`, `"é"`, `"s"`, `"10.0"`, `"*"`, `"\\b"`})
	number := rapid.SampledFrom([]string{"-5", "0", "5", "5.0", "7", "12345678901234567890"})
	wild := rapid.SampledFrom([]string{`"*"`, `"x*"`, `"*y"`, `"x*z"`, `"*.0.*"`, `"a\\**"`, `"*\\\\*"`, `"x"`, `"*é"`, `"*x*y*"`})
	many := func(g *rapid.Generator[string]) string {
		list := rapid.SliceOfN(g, 1, 3).Draw(t, "list")
		if len(list) == 1 {
			return list[0]
		}
		return "[" + strings.Join(list, ", ") + "]"
	}
	switch rapid.IntRange(0, 18).Draw(t, "operator") {
	case 0:
		return fmt.Sprintf(`{"prefix": %s}`, text.Draw(t, "text"))
	case 1:
		return fmt.Sprintf(`{"suffix": %s}`, text.Draw(t, "text"))
	case 2:
		return fmt.Sprintf(`{"prefix": {"equals-ignore-case": %s}}`, text.Draw(t, "text"))
	case 3:
		return fmt.Sprintf(`{"suffix": {"equals-ignore-case": %s}}`, text.Draw(t, "text"))
	case 4:
		return fmt.Sprintf(`{"equals-ignore-case": %s}`, text.Draw(t, "text"))
	case 5:
		return fmt.Sprintf(`{"wildcard": %s}`, wild.Draw(t, "wildcard"))
	case 6:
		return fmt.Sprintf(`{"anything-but": %s}`, many(text))
	case 7:
		return fmt.Sprintf(`{"anything-but": %s}`, many(number))
	case 8:
		return fmt.Sprintf(`{"anything-but": {"prefix": %s}}`, many(text))
	case 9:
		return fmt.Sprintf(`{"anything-but": {"suffix": %s}}`, many(text))
	case 10:
		return fmt.Sprintf(`{"anything-but": {"equals-ignore-case": %s}}`, many(text))
	case 11:
		return fmt.Sprintf(`{"anything-but": {"wildcard": %s}}`, many(wild))
	case 12:
		return fmt.Sprintf(`{"numeric": [%q, %s]}`, rapid.SampledFrom([]string{"=", "<", "<=", ">", ">="}).Draw(t, "sign"), number.Draw(t, "number"))
	case 13:
		return rapid.SampledFrom([]string{`{"numeric": [">", 0, "<=", 5]}`, `{"numeric": [">=", 5, "<", 12345678901234567891]}`}).Draw(t, "range")
	case 14:
		return fmt.Sprintf(`{"cidr": %q}`, rapid.SampledFrom([]string{"10.0.0.7/24", "0.0.0.0/0", "::/0", "2001:db8::/32", "10.0.0.7/32", "2001:db8::1/128"}).Draw(t, "block"))
	case 15:
		return `{"exists": true}`
	case 16:
		return `{"exists": false}`
	case 17:
		return fmt.Sprintf(`{"exactly": %s}`, text.Draw(t, "text"))
	}
	return scalarTexts().Draw(t, "scalar")
}
