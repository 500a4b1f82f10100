package advisory_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/advisory"
)

func osv(id, name, fixed, more string) string {
	return fmt.Sprintf(`{"id":%q,"modified":"2026-01-01T00:00:00Z","summary":"s"%s,"affected":[{"package":{"ecosystem":"npm","name":%q},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":%q}]}]}]}`, id, more, name, fixed)
}

func indexOf(t *testing.T, docs ...string) *advisory.Index {
	t.Helper()
	b := advisory.NewBuilder()
	for _, d := range docs {
		if err := b.Add([]byte(d)); err != nil {
			t.Fatal(err)
		}
	}
	x, err := b.Index(time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// What differs between two indices is told by package, wherever its advisories stand in the files.
func TestChanged(t *testing.T) {
	a, b, c := osv("GHSA-1", "left", "1.0.0", ""), osv("GHSA-2", "mid", "1.0.0", ""), osv("GHSA-3", "right", "1.0.0", "")
	old := indexOf(t, a, b, c)
	for what, want := range map[string]struct {
		docs []string
		keys string
	}{
		"the same in another order": {[]string{c, a, b}, ""},
		"another range":             {[]string{a, osv("GHSA-2", "mid", "2.0.0", ""), c}, "mid"},
		"another text":              {[]string{a, b, osv("GHSA-3", "right", "1.0.0", `,"details":"d"`)}, "right"},
		"one is gone":               {[]string{b, c}, "left"},
		"one was withdrawn":         {[]string{osv("GHSA-1", "left", "1.0.0", `,"withdrawn":"2026-02-01T00:00:00Z"`), b, c}, "left"},
		"one is new":                {[]string{a, b, c, osv("GHSA-4", "left", "3.0.0", ""), osv("GHSA-5", "new", "1.0.0", "")}, "left new"},
	} {
		keys, err := advisory.Changed(old, indexOf(t, want.docs...))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, k := range keys {
			_, name, _ := strings.Cut(k, "\x00")
			names = append(names, name)
		}
		if got := strings.Join(names, " "); got != want.keys {
			t.Errorf("%s: %q, want %q", what, got, want.keys)
		}
	}
	all, err := advisory.Changed(nil, old)
	if err != nil || len(all) != 3 || !slices.Contains(all, advisory.Key("npm", "mid")) {
		t.Errorf("from nothing: %q, %v", all, err)
	}
}
