package hub

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/word/finding"
	"pgregory.net/rapid"
)

// However rows came and changed, and whatever of it was absorbed meanwhile, a
// walk along the order finds page after page what a look at every row finds.
func TestOrderIsThatOfTheRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ix := newIndex()
		for c := range ix.rankings {
			ix.rankings[c].wanted.Store(true)
		}
		number := rapid.IntRange(0, 12)
		rows := rapid.IntRange(1, 60).Draw(t, "rows")
		for step := range rapid.IntRange(1, 80).Draw(t, "steps") {
			f := someFinding(number.Draw(t, "time"), number.Draw(t, "resource"))
			seq := int64(rapid.IntRange(1, rows).Draw(t, "row"))
			if err := ix.apply([]indexRow{{seq: seq, rev: int64(step), facets: facetsOf(&f)}}); err != nil {
				t.Fatal(err)
			}
			if step == 0 || rapid.Bool().Draw(t, "absorb") {
				ix.absorbAll()
			}
		}
		filters := Filters{"RecordState": Is("ACTIVE")}
		if n := number.Draw(t, "asked"); n < 6 {
			filters["ResourceId"] = []Condition{{Value: fmt.Sprintf("thing-%d", n), Comparison: []string{Prefix, Equals, NotEquals}[n%3]}}
		}
		p, err := compile(filters, asQuery, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		for _, by := range append([]string{""}, timeAttributes[:]...) {
			o, ok := ix.orderBy(by, by == "" || rapid.Bool().Draw(t, "desc"))
			if !ok || o.ranked == nil {
				t.Fatalf("%s is not kept in order", by)
			}
			plain := o
			plain.ranked = nil
			limit := rapid.IntRange(1, 9).Draw(t, "limit")
			var after *place
			for {
				l := ix.look(p)
				l.few = min(l.few, 1)
				got, want := l.top(o, limit, after), ix.look(p).all(plain, limit, after)
				if !slices.Equal(got, want) {
					t.Fatalf("by %q after %v:\n got %v\nwant %v", by, after, got, want)
				}
				if len(got) < limit {
					break
				}
				after = &got[len(got)-1]
			}
		}
	})
}

// absorbAll absorbs however little there is.
func (ix *index) absorbAll() {
	for c := range ix.rankings {
		ix.absorbTimes(c)
	}
	ix.absorbIDs()
}

func someFinding(at, resource int) finding.Finding {
	f := finding.Finding{ID: "x", RecordState: finding.Active, Resources: []finding.Resource{{Type: "Other", ID: fmt.Sprintf("thing-%d", resource)}, {Type: "Other", ID: fmt.Sprintf("thing-%d", resource/3)}}}
	stamp := finding.Stamp(time.Date(2026, 1, 1+at, 0, 0, 0, 0, time.UTC))
	f.CreatedAt, f.UpdatedAt = stamp, stamp
	if at%4 > 0 {
		f.FirstObservedAt = stamp
	}
	if at%2 > 0 {
		f.RecordState = finding.Archived
	}
	return f
}

// What names resources by a prefix is asked of those alone, and finds them all.
func TestPrefixFindsItsResources(t *testing.T) {
	ix := newIndex()
	for n := range 500 {
		f := someFinding(0, n)
		if err := ix.apply([]indexRow{{seq: int64(n + 1), rev: 1, facets: facetsOf(&f)}}); err != nil {
			t.Fatal(err)
		}
		if n == 400 {
			ix.absorbAll()
		}
	}
	p, err := compile(Filters{"ResourceId": {{Value: "thing-49", Comparison: Prefix}, {Value: "thing-3", Comparison: Equals}}}, asQuery, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	var got, want []int
	l := ix.look(p)
	if ok := l.resOK[ix.resources[100]]; ok >= 0 {
		t.Errorf("a resource of another name is still to be asked: %d", ok)
	}
	for n := range 500 {
		if l.may(n) {
			got = append(got, n)
		}
		if n == 3 || n == 49 || n >= 490 || n/3 == 3 || n/3 == 49 {
			want = append(want, n)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
