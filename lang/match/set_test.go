package match_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/haechi-dev/haechi/lang/match"
)

// Pieces of wildcards are found wherever they overlap.
func TestPieces(t *testing.T) {
	letters := rapid.StringOfN(rapid.SampledFrom([]rune("ab")), 1, 5, -1)
	rapid.Check(t, func(t *rapid.T) {
		pieces := rapid.SliceOfN(letters, 1, 12).Draw(t, "pieces")
		text := rapid.StringOfN(rapid.SampledFrom([]rune("abc")), 0, 30, -1).Draw(t, "text")
		var rules []match.Rule[int]
		var want []int
		for i, piece := range pieces {
			rules = append(rules, match.Rule[int]{ID: i, Pattern: parse(t, fmt.Sprintf(`{"a": [{"wildcard": "*%s*"}]}`, piece))})
			if strings.Contains(text, piece) {
				want = append(want, i)
			}
		}
		got, err := match.NewSet(rules...).Match(fmt.Appendf(nil, `{"a": ["c", %q]}`, text), nil)
		if slices.Sort(got); err != nil || !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v, %v", got, want, err)
		}
	})
}

// Keys that are longer than the index looks at still tell texts apart.
func TestLongKeys(t *testing.T) {
	long := strings.Repeat("é0", 100)
	var rules []match.Rule[string]
	for _, operator := range []string{"prefix", "suffix", "wildcard"} {
		for _, letter := range []string{"x", "y"} {
			text := map[string]string{"prefix": long + letter, "suffix": letter + long, "wildcard": "*" + long + letter + "*"}[operator]
			rules = append(rules, match.Rule[string]{ID: operator + letter, Pattern: parse(t, fmt.Sprintf(`{"a": [{%q: %q}]}`, operator, text))})
		}
	}
	got, err := match.NewSet(rules...).Match(fmt.Appendf(nil, `{"a": "%sx!y%s"}`, long, long), nil)
	if slices.Sort(got); err != nil || !slices.Equal(got, []string{"prefixx", "suffixy", "wildcardx"}) {
		t.Errorf("got %v, %v", got, err)
	}
}

// A set stays what it is while others are made from it and matched at the same time.
func TestSetDoesNotChange(t *testing.T) {
	event := []byte(`{"a": "x", "b": {"c": 1}}`)
	rule := func(id int, text string) match.Rule[int] {
		return match.Rule[int]{ID: id, Pattern: parse(t, text)}
	}
	base := match.NewSet(rule(0, `{"a": ["x"]}`), rule(1, `{"a": ["y"]}`))
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			set := base
			for i := range 200 {
				set = set.With(rule(2+i, fmt.Sprintf(`{"b": {"c": [1]}, "d%d": [{"exists": false}]}`, worker)))
				if i%3 == 0 {
					set = set.Without(2+i, 12345)
				}
				if !base.Get(0).Match(event) || base.Get(1).Why(event).Matched {
					t.Error("a pattern alone is wrong")
				}
				if got, _ := base.Match(event, nil); !slices.Equal(got, []int{0}) {
					t.Errorf("the first set matches %v", got)
				}
				got, err := set.Match(event, nil)
				if want := set.Len() - 1; err != nil || len(got) != want {
					t.Errorf("%d matches, want %d, %v", len(got), want, err)
				}
			}
		})
	}
	wg.Wait()
	if base.Len() != 2 || base.Get(2) != nil || base.Get(1) == nil {
		t.Error("the first set has changed")
	}
}

// Rules that come and go with fields of their own do not make a set slower.
func TestSetForgets(t *testing.T) {
	set := match.NewSet(match.Rule[int]{ID: 0, Pattern: parse(t, `{"a": [1]}`)})
	for i := range 1500 {
		set = set.With(match.Rule[int]{ID: 1, Pattern: parse(t, fmt.Sprintf(`{"field-%d": [1], "deep.field.%d": [{"exists": false}]}`, i, i))})
	}
	if got, err := set.Match([]byte(`{"a": 1, "field-1499": 1}`), nil); len(got) != 2 || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
}

// A rule with the ID of another takes its place, and rules that are gone
// leave nothing behind.
func TestSetReplaces(t *testing.T) {
	a, b := parse(t, `{"a": [1]}`), parse(t, `{"b": [1]}`)
	set := match.NewSet(match.Rule[string]{ID: "r", Pattern: a}, match.Rule[string]{ID: "r", Pattern: b})
	event := []byte(`{"a": 1}`)
	if got, _ := set.Match(event, nil); len(got) > 0 {
		t.Errorf("the first pattern still matches: %v", got)
	}
	set = set.With(match.Rule[string]{ID: "r", Pattern: a}, match.Rule[string]{ID: "s", Pattern: a})
	if got, _ := set.Match(event, nil); len(got) != 2 {
		t.Errorf("got %v, want r and s", got)
	}
	var ids []string
	for r := range set.All() {
		ids = append(ids, r.ID)
	}
	if slices.Sort(ids); !slices.Equal(ids, []string{"r", "s"}) {
		t.Errorf("the rules are %v", ids)
	}
	set = set.Without("r", "s", "t")
	if got, err := set.Match(event, nil); set.Len() != 0 || len(got) > 0 || err != nil {
		t.Errorf("an empty set has %d rules and matches %v, %v", set.Len(), got, err)
	}
}
