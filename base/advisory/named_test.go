package advisory_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/word/fault"
)

// A bug is found by any of its names, with all advisories on it and all packages that they speak of; one that only stands in another's text is none.
func TestNamed(t *testing.T) {
	b := advisory.NewBuilder()
	for _, doc := range []string{
		`{"id":"GHSA-1","modified":"2026-01-01T00:00:00Z","summary":"one","aliases":["CVE-2026-1"],"references":[{"type":"WEB","url":"https://example.com/1"}],"affected":[{"package":{"ecosystem":"npm","name":"a"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"1.10.0"},{"introduced":"2.0.0"},{"fixed":"2.1.0"}]}]},{"package":{"ecosystem":"npm","name":"b"},"versions":["1"]}]}`,
		`{"id":"PYSEC-1","modified":"2026-01-01T00:00:00Z","aliases":["CVE-2026-1"],"affected":[{"package":{"ecosystem":"PyPI","name":"c"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"3"}]}]}]}`,
		`{"id":"GHSA-2","modified":"2026-01-01T00:00:00Z","summary":"not \"CVE-2026-1\"","affected":[{"package":{"ecosystem":"npm","name":"a"},"versions":["7"]}]}`,
	} {
		if err := b.Add([]byte(doc)); err != nil {
			t.Fatal(err)
		}
	}
	x, err := b.Index(time.Unix(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"CVE-2026-1", "GHSA-1", "PYSEC-1"} {
		bug, err := x.Named(name)
		if err != nil {
			t.Fatal(err)
		}
		if bug.ID != "CVE-2026-1" || len(bug.Advisories) != 2 || bug.Advisories[0].Summary != "one" {
			t.Errorf("%s: %+v", name, bug)
		}
		want := []advisory.Spoken{{Ecosystem: "PyPI", Name: "c", Fixed: []string{"3"}}, {Ecosystem: "npm", Name: "a", Fixed: []string{"1.10.0", "2.1.0"}}, {Ecosystem: "npm", Name: "b"}}
		if diff := cmp.Diff(want, bug.Packages); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	for _, name := range []string{"CVE-2026-9", "", "a"} {
		if _, err := x.Named(name); !errors.Is(err, fault.NotFound) {
			t.Errorf("%q: %v", name, err)
		}
	}
}
