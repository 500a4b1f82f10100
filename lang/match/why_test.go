package match_test

import (
	"testing"

	"github.com/haechi-dev/haechi/lang/match"
)

// Why names the clause that fails, where it stands, what it wants and what it
// got; or what it was that met each clause.
func TestWhy(t *testing.T) {
	const people = `{"team": [{"f": "Anna", "l": "Smith"}, {"f": "Peter", "l": "Jones"}], "n": 7}`
	for _, c := range []struct{ pattern, event, want string }{
		{`{"team": {"f": ["Anna"]}, "n": [{"numeric": [">", 5]}]}`, people, `match
  n wants [{"numeric": [">", 5]}] (pattern:1:32) and has 7
  team.f wants ["Anna"] (pattern:1:16) and has "Anna" at team[0].f`},
		{`{"team": {"f": ["Paula"]}, "n": [7]}`, people, `no match
  team.f wants ["Paula"] (pattern:1:16) but has "Anna" at team[0].f, "Peter" at team[1].f`},
		{`{"team": {"f": ["Anna"], "l": ["Jones"]}}`, people, `no match: each clause is met, but not within one element of an array
  team.f wants ["Anna"] (pattern:1:16) and has "Anna" at team[0].f
  team.l wants ["Jones"] (pattern:1:31) and has "Jones" at team[1].l`},
		{`{"team": {"l": ["Jones"], "f": [{"exists": false}, "Peter"]}}`, people, `match
  team.f wants [{"exists": false}, "Peter"] (pattern:1:32) and has "Peter" at team[1].f
  team.l wants ["Jones"] (pattern:1:16) and has "Jones" at team[1].l`},
		{"{\n  \"n\": [{\"exists\": false}]\n}", people, `no match
  n wants [{"exists": false}] (pattern:2:8) but has 7`},
		{`{"m": [{"exists": false}]}`, people, `match
  m wants [{"exists": false}] (pattern:1:7) and is not there`},
		{`{"$or": [{"m": [1]}, {"n": [8]}, {"n": [{"prefix": "7"}], "m": [1]}]}`, people, `no match; of the 3 combinations of $or number 1 comes nearest
  m wants [1] (pattern:1:16) but is not there`},
		{`{"$or": [{"m": [1]}, {"n": [7]}]}`, people, `match; of the 2 combinations of $or number 2 matches
  n wants [7] (pattern:1:28) and has 7`},
		{`{"a": {"b.c": ["x"]}}`, `{"a": [[{"b": {"c": ["y", {"d": 1}, ["\u0078"]]}}]]}`, `match
  a.b.c wants ["x"] (pattern:1:15) and has "x" at a[0][0].b.c[2][0]`},
		{`{"a": ["x"]}`, `{"a": "x",}`, `no match: event:1:11: the name of a member is missing`},
	} {
		p, err := match.Parse([]byte(c.pattern))
		if err != nil {
			t.Fatal(err)
		}
		why := p.Why([]byte(c.event))
		if got := why.String(); got != c.want {
			t.Errorf("%s on %s\ngot  %s\nwant %s", c.pattern, c.event, got, c.want)
		}
		if why.Matched != p.Match([]byte(c.event)) {
			t.Errorf("%s on %s: Why and Match disagree", c.pattern, c.event)
		}
	}
}
