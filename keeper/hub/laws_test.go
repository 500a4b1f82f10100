package hub_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/finding"
	"pgregory.net/rapid"
)

// alone is a hub on SQLite for many small experiments, which never meet. A name that ends in c is of a control's finding.
func alone(t *testing.T) (h *house, name func() string) {
	t.Helper()
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "state.db"), bus.Schema(), hub.Schema())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	n := 0
	return build(t, d), func() string {
		n++
		return fmt.Sprintf("law-%d%s", n, []string{"", "c"}[n/2%2])
	}
}

// version draws one state of a finding as its provider sends it: one of a control always says how that went.
func version(rt *rapid.T, id string, second int) finding.Finding {
	return simple(id, updated(fmt.Sprintf("2026-01-01T00:00:%02dZ", second)), func(f *finding.Finding) {
		f.Title = rapid.SampledFrom([]string{"one", "two", "three"}).Draw(rt, "title")
		f.Provider.Severity = &finding.Severity{Label: rapid.SampledFrom(finding.Labels[:]).Draw(rt, "severity"), Original: rapid.SampledFrom([]string{"", "7.5"}).Draw(rt, "original")}
		f.Provider.Confidence = number(rapid.IntRange(0, 100).Draw(rt, "confidence"))
		f.RecordState = rapid.SampledFrom([]finding.RecordState{finding.Active, finding.Archived}).Draw(rt, "record")
		if strings.HasSuffix(id, "c") {
			checked(rapid.SampledFrom([]string{finding.Passed, finding.Failed}).Draw(rt, "compliance"), "S3.1")(f)
		}
	})
}

// Importing again what was imported changes nothing and tells nobody.
func TestImportTwiceIsOnce(t *testing.T) {
	h, name := alone(t)
	rapid.Check(t, func(rt *rapid.T) {
		list := []finding.Finding{version(rt, name(), 1), version(rt, name(), 2)}
		h.importing(list...)
		before, told := h.get(list[0].ID), len(h.events())
		h.pass(time.Second)
		if did := h.importing(list...); did.Ignored != 2 {
			rt.Fatalf("%+v", did)
		}
		if got := h.get(list[0].ID); string(got.JSON()) != string(before.JSON()) || len(h.events()) != told {
			rt.Fatalf("%s\nbecame\n%s", before.JSON(), got.JSON())
		}
	})
}

// In whatever order a finding's states arrive, the latest is what remains. (As
// long as each says all of what has two homes, on the provider's side.)
func TestOrderDoesNotMatter(t *testing.T) {
	h, name := alone(t)
	rapid.Check(t, func(rt *rapid.T) {
		a, b := name(), name()
		var states []finding.Finding
		for i := range rapid.IntRange(1, 5).Draw(rt, "states") {
			states = append(states, version(rt, a, i))
		}
		h.importing(states...)
		for _, f := range rapid.Permutation(states).Draw(rt, "order") {
			f.ID, f.Resources = b, states[0].Resources
			h.importing(f)
		}
		want := strings.ReplaceAll(string(h.get(a).JSON()), `"`+a+`"`, `"`+b+`"`)
		if got := string(h.get(b).JSON()); got != want {
			rt.Fatalf(" got %s\nwant %s", got, want)
		}
	})
}

// Whatever providers send, what people decided last is what stands.
func TestPeopleHaveTheLastWord(t *testing.T) {
	h, name := alone(t)
	rapid.Check(t, func(rt *rapid.T) {
		id, second := name(), 0
		h.importing(version(rt, id, second))
		var confidence *int
		var note string
		var label finding.Label
		for range rapid.IntRange(1, 8).Draw(rt, "steps") {
			switch rapid.IntRange(0, 4).Draw(rt, "step") {
			case 0:
				confidence = number(rapid.IntRange(0, 100).Draw(rt, "decided confidence"))
				h.update(hub.Decision{Confidence: confidence}, id)
			case 1:
				note = rapid.StringMatching(`[a-z]{1,9}`).Draw(rt, "note")
				h.update(hub.Decision{Note: &hub.Note{Text: note, UpdatedBy: "me"}}, id)
			case 2:
				label = rapid.SampledFrom(finding.Labels[:]).Draw(rt, "decided severity")
				h.update(hub.Decision{Severity: &finding.Severity{Label: label}}, id)
			default:
				second++
				f := version(rt, id, second)
				f.Confidence, f.Severity, f.Note = number(1), &finding.Severity{Label: finding.Medium}, &finding.Note{Text: "provider", UpdatedBy: "p"}
				h.importing(f)
			}
		}
		f := h.get(id)
		if confidence != nil && *f.Confidence != *confidence || note != "" && f.Note.Text != note || label != "" && (f.Severity.Label != label || finding.LabelOf(*f.Severity.Normalized) != label) {
			rt.Fatalf("decided %v %q %s, got %s", confidence, note, label, f.JSON())
		}
	})
}

// Branches, partial scans and what comes back: a finding is active exactly as
// long as some branch was last seen with it.
func TestScansAgainstAModel(t *testing.T) {
	h, name := alone(t)
	rules, branches := []string{"r1", "r2", "r3"}, []string{"main", "dev"}
	rapid.Check(t, func(rt *rapid.T) {
		target := name()
		seen := map[string]map[string]bool{"main": {}, "dev": {}}
		ever := map[string]bool{}
		for range rapid.IntRange(1, 7).Draw(rt, "scans") {
			branch := rapid.SampledFrom(branches).Draw(rt, "branch")
			if rapid.IntRange(0, 9).Draw(rt, "forget") == 0 {
				_, err := h.Forget(t.Context(), target, branch, "git")
				h.check(err)
				seen[branch] = map[string]bool{}
				continue
			}
			s := finding.Scan{Tool: "secret", Target: target, Branch: branch, Complete: rapid.Bool().Draw(rt, "complete")}
			found := map[string]string{}
			for _, r := range rules {
				if rapid.Bool().Draw(rt, r) {
					found[r] = "1"
				}
			}
			h.scan(s, found)
			if s.Complete {
				seen[branch] = map[string]bool{}
			}
			for r := range found {
				seen[branch][r], ever[r] = true, true
			}
		}
		var fresh []string
		for r := range ever {
			f := h.get(finding.Scan{Tool: "secret", Target: target}.FindingID(r))
			if active := seen["main"][r] || seen["dev"][r]; active != (f.RecordState == finding.Active) {
				rt.Fatalf("%s is %s, seen %v", r, f.RecordState, seen)
			}
			if seen["dev"][r] && !seen["main"][r] {
				fresh = append(fresh, r)
			}
		}
		list, err := h.NewSince(t.Context(), target, "dev", "main")
		h.check(err)
		var got []string
		for _, f := range list {
			got = append(got, f.GeneratorID)
		}
		slices.Sort(got)
		slices.Sort(fresh)
		if !slices.Equal(got, fresh) {
			rt.Fatalf("new since main: %v, want %v", got, fresh)
		}
	})
}

// A finding can be seen as it was after each of its changes.
func TestHistoryIsTheWholeStory(t *testing.T) {
	h, name := alone(t)
	rapid.Check(t, func(rt *rapid.T) {
		id := name()
		var states []string
		var times []time.Time
		for i := range rapid.IntRange(1, 6).Draw(rt, "changes") {
			if i > 0 && rapid.Bool().Draw(rt, "by a person") {
				h.update(hub.Decision{Note: &hub.Note{Text: rapid.StringMatching(`[a-z]{1,5}`).Draw(rt, "note"), UpdatedBy: "x"}, UserFields: map[string]string{"a.b": fmt.Sprint(i)}}, id)
			} else {
				h.importing(version(rt, id, i))
			}
			states, times = append(states, string(h.get(id).JSON())), append(times, h.time())
			h.pass(time.Second)
		}
		for i, at := range times {
			f, err := h.At(t.Context(), hub.Ref{ProductARN: product, ID: id}, at)
			h.check(err)
			if got := string(f.JSON()); got != states[i] {
				rt.Fatalf("after change %d: got %s\nwant %s", i, got, states[i])
			}
		}
	})
}

// The index finds what looking at every finding finds.
func TestIndexAgainstAModel(t *testing.T) {
	h, _ := alone(t)
	all := map[string]*finding.Finding{}
	for i := range 120 {
		f := simple(fmt.Sprintf("x-%03d", i), label(finding.Labels[i%5]), updated(fmt.Sprintf("2026-02-%02dT00:00:00Z", 1+i%28)), func(f *finding.Finding) {
			f.GeneratorID = fmt.Sprint("g", i%7)
			f.Provider.Types = []string{[]string{"TTPs/Discovery", "Effects", "Unusual Behaviors/User"}[i%3]}
			f.Resources = []finding.Resource{{Type: fmt.Sprint("T", i%4), ID: fmt.Sprintf("res/%d/%d", i%6, i)}, {Type: "Second", ID: fmt.Sprint("s", i%9)}}
		})
		h.importing(f)
		if i%4 == 0 {
			h.update(hub.To(finding.Resolved), f.ID)
		}
		all[f.ID] = h.get(f.ID)
	}
	rapid.Check(t, func(rt *rapid.T) {
		labels := rapid.SliceOfNDistinct(rapid.SampledFrom(finding.Labels[:]), 1, 3, rapid.ID).Draw(rt, "labels")
		prefix := fmt.Sprintf("res/%d", rapid.IntRange(0, 7).Draw(rt, "prefix"))
		generator := fmt.Sprint("g", rapid.IntRange(0, 8).Draw(rt, "generator"))
		status := rapid.SampledFrom([]finding.Status{finding.New, finding.Resolved}).Draw(rt, "status")
		filters := hub.Filters{"ResourceId": {{Value: prefix, Comparison: hub.Prefix}}, "WorkflowStatus": hub.Is(string(status)), "GeneratorId": {{Value: generator, Comparison: hub.NotEquals}}}
		for _, l := range labels {
			filters["SeverityLabel"] = append(filters["SeverityLabel"], hub.Is(string(l))...)
		}
		var want []string
		for id, f := range all {
			if strings.HasPrefix(f.Resources[0].ID, prefix) && f.Status() == status && f.GeneratorID != generator && slices.Contains(labels, f.Label()) {
				want = append(want, id)
			}
		}
		slices.SortFunc(want, func(a, b string) int {
			if c := strings.Compare(all[b].UpdatedAt, all[a].UpdatedAt); c != 0 {
				return c
			}
			return strings.Compare(b, a)
		})
		q := hub.Query{Filters: filters, Sort: []hub.Sort{{Field: "UpdatedAt", SortOrder: "desc"}}, Limit: rapid.IntRange(1, 9).Draw(rt, "page")}
		var got []string
		for _, f := range h.pages(q) {
			got = append(got, f.ID)
		}
		if !slices.Equal(got, want) {
			rt.Fatalf("%v: got %v, want %v", filters, got, want)
		}
	})
}

// Many at once: importing, deciding and asking get in nobody's way, and every change is told of once.
func TestManyAtOnce(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		var workers sync.WaitGroup
		for w := range 4 {
			workers.Go(func() {
				for i := range 10 {
					id := fmt.Sprintf("w%d-%d", w, i)
					if did, err := h.Import(t.Context(), finding.Scan{}, simple(id), simple("shared", updated(fmt.Sprintf("2026-01-02T00:00:%02dZ", i)))); err != nil || len(did.Failed) > 0 {
						t.Error(did, err)
					}
					if did, err := h.Update(t.Context(), hub.Update{Refs: []hub.Ref{ref(id)}, Decision: hub.To(finding.Resolved), By: alice}); err != nil || len(did.Done) != 1 {
						t.Error(did, err)
					}
					page, err := h.Find(t.Context(), hub.Query{Filters: hub.Filters{"Id": hub.Is(id), "WorkflowStatus": hub.Is("RESOLVED")}})
					if err != nil || len(page.Findings) != 1 {
						t.Errorf("%s is found %d times, %v", id, len(page.Findings), err)
					}
				}
			})
		}
		workers.Wait()
		if f := h.get("shared"); f.UpdatedAt != "2026-01-02T00:00:09Z" {
			t.Errorf("shared was updated at %s", f.UpdatedAt)
		}
		tells := map[string]int{}
		for _, e := range h.events() {
			tells[told(t, e).ID]++
		}
		for id, n := range tells {
			if id != "shared" && n != 2 {
				t.Errorf("%s is told of %d times, want 2", id, n)
			}
		}
	})
}
