package inspect_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/db/dbtest"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/room/inspect"
	"github.com/haechi-dev/haechi/tool/scan/deps"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

const account = "000000000000"

// bug is an OSV document on versions of an npm package below fixed.
func bug(id, name, fixed string) string {
	return fmt.Sprintf(`{"id":%q,"modified":"`+time.Now().UTC().Format(time.RFC3339)+`","summary":"a bug of %s","aliases":["CVE-2026-%s"],"affected":[{"package":{"ecosystem":"npm","name":%q},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":%q}]}]}]}`,
		id, name, strings.TrimPrefix(id, "GHSA-"), name, fixed)
}

var built atomic.Int64

func indexOf(t testing.TB, docs ...string) *advisory.Index {
	t.Helper()
	b := advisory.NewBuilder()
	for _, d := range docs {
		if err := b.Add([]byte(d)); err != nil {
			t.Fatal(err)
		}
	}
	x, err := b.Index(time.Unix(built.Add(1), 0))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func npm(name, version string) component.Component {
	return component.Component{PURL: component.PURL("npm", "", name), Ecosystem: "npm", Name: name, Version: version, State: component.Resolved, Scope: component.Runtime,
		Direct: true, Place: diag.Place{File: "package-lock.json", Line: 7}, Licences: []string{"MIT"}}
}

type house struct {
	t     *testing.T
	d     *db.DB
	hub   *hub.Hub
	room  *inspect.Inspector
	index atomic.Pointer[advisory.Index]
	maker finding.Maker
}

func build(t *testing.T, open func(...db.Schema) *db.DB) *house {
	h := &house{t: t, d: open(bus.Schema(), hub.Schema(), inspect.Schema()), maker: finding.Maker{Account: account, Region: "us-east-1"}}
	var err error
	h.hub, err = hub.New(t.Context(), hub.Config{DB: h.d, Bus: bus.New(h.d), Account: account, Log: slog.New(slog.DiscardHandler)})
	h.check(err)
	h.again()
	return h
}

// again is the room after a restart.
func (h *house) again() {
	h.room = inspect.New(inspect.Config{DB: h.d, Hub: h.hub, Maker: h.maker, Newest: func() (*deps.Scanner, *advisory.Index) {
		x := h.index.Load()
		return deps.New(x), x
	}, Log: slog.New(slog.DiscardHandler)})
}

func (h *house) check(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// scan is what a pipeline does with what a commit is made of.
func (h *house) scan(id, target, branch string, components ...component.Component) {
	h.t.Helper()
	scanner := deps.New(h.index.Load())
	findings, unread, err := scanner.Judge(h.t.Context(), components)
	h.check(err)
	s := finding.Scan{ID: id, Tool: scanner.Name(), Version: scanner.Version(), Target: target, Branch: branch, Commit: "c" + id, Complete: len(unread) == 0, Skipped: unread}
	h.check(h.room.Keep(h.t.Context(), inspect.Source, s, components))
	for n := range findings {
		findings[n] = h.maker.Own(s, findings[n], time.Now())
	}
	_, err = h.hub.Import(h.t.Context(), s, findings...)
	h.check(err)
}

// open are the bugs that the hub has open on a branch.
func (h *house) open(target, branch string) string {
	h.t.Helper()
	present, err := h.hub.Present(h.t.Context(), target, branch)
	h.check(err)
	var ids []string
	for _, f := range present {
		if f.RecordState == finding.Active && f.Open() {
			ids = append(ids, strings.TrimPrefix(f.GeneratorID, "deps/"))
		}
	}
	slices.Sort(ids)
	return strings.Join(ids, " ")
}

func (h *house) expect(when, target, branch, want string) {
	h.t.Helper()
	if got := h.open(target, branch); got != want {
		h.t.Errorf("%s: %s %s has %q open, want %q", when, target, branch, got, want)
	}
}

// A new advisory raises findings on what was scanned before, and on nothing
// else; a corrected one closes them, and one that comes back reopens them. A
// restart in between changes nothing.
func TestNewAdvisories(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		h := build(t, open)
		old := bug("GHSA-0", "other", "1.0.0")
		h.index.Store(indexOf(t, old))
		h.check(h.room.Judge(t.Context()))
		h.scan("1", "shop", "main", npm("left", "1.2.3"), npm("right", "2.0.0"))
		h.scan("2", "shop", "dev", npm("left", "1.3.0"))
		h.scan("3", "blog", "main", npm("right", "2.0.0"))
		h.check(h.room.Judge(t.Context()))
		h.expect("before", "shop", "main", "")

		h.index.Store(indexOf(t, old, bug("GHSA-1", "left", "1.3.0")))
		h.check(h.room.Judge(t.Context()))
		h.expect("a new advisory", "shop", "main", "CVE-2026-1")
		h.expect("a new advisory", "shop", "dev", "")
		h.expect("a new advisory", "blog", "main", "")

		h.again() // and an index that came while it was down
		h.index.Store(indexOf(t, old, bug("GHSA-1", "left", "1.3.0"), bug("GHSA-2", "right", "2.1.0")))
		h.check(h.room.Judge(t.Context()))
		h.expect("after a restart", "shop", "main", "CVE-2026-1 CVE-2026-2")
		h.expect("after a restart", "blog", "main", "CVE-2026-2")

		h.index.Store(indexOf(t, old, bug("GHSA-1", "left", "1.2.0"), bug("GHSA-2", "right", "2.1.0")))
		h.check(h.room.Judge(t.Context()))
		h.expect("a corrected range", "shop", "main", "CVE-2026-2")

		h.scan("4", "blog", "main", npm("right", "2.1.0"))
		h.expect("mended", "blog", "main", "")
		h.scan("5", "blog", "main", npm("right", "2.0.9"))
		h.expect("brought back", "blog", "main", "CVE-2026-2")

		h.index.Store(indexOf(t, old))
		h.check(h.room.Judge(t.Context()))
		h.expect("withdrawn", "blog", "main", "")
		h.expect("withdrawn", "shop", "main", "")
	})
}

// A scan that saw only a part replaces no whole one, and a package of which
// nothing was known until now is judged.
func TestPartialAndNoData(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		h := build(t, open)
		h.index.Store(indexOf(t, strings.ReplaceAll(bug("GHSA-0", "other", "1.0.0"), `"npm"`, `"PyPI"`)))
		h.check(h.room.Judge(t.Context()))
		h.scan("1", "shop", "main", npm("left", "1.2.3"))
		h.expect("no data", "shop", "main", "no-data")
		h.index.Store(indexOf(t, bug("GHSA-0", "other", "1.0.0")))
		h.check(h.room.Judge(t.Context()))
		if got := h.open("shop", "main"); got != "" {
			t.Errorf("with data there is still %q open", got)
		}
		h.scan("1b", "shop", "main", npm("left", "1.2.3"))
		h.check(h.room.Keep(t.Context(), inspect.Source, finding.Scan{ID: "2", Tool: "deps", Target: "shop", Branch: "main", Complete: false}, nil))
		thing, components, err := h.room.Components(t.Context(), "shop", "main")
		h.check(err)
		if thing.Scan != "1b" || len(components) != 1 {
			t.Errorf("a partial scan replaced a whole one: %+v", thing)
		}
	})
}

// Who has a package below a version, and where it is used.
func TestWhoHas(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		h := build(t, open)
		h.index.Store(indexOf(t))
		log4j := func(version string) component.Component {
			c := npm("org.apache.logging.log4j:log4j-core", version)
			c.PURL, c.Ecosystem = component.PURL("maven", "org.apache.logging.log4j", "log4j-core"), "Maven"
			return c
		}
		h.scan("1", "shop", "main", log4j("2.14.1"), npm("left", "1.0.0"))
		h.scan("2", "blog", "main", log4j("2.17.0"))
		h.scan("3", "wiki", "main", log4j("2.9.1"))
		h.scan("4", "copy", "main", log4j("2.14.1"))
		list, more, err := h.room.Packages(t.Context(), inspect.ParseQuestion("Log4J-core < 2.17"))
		h.check(err)
		var got []string
		for _, p := range list {
			got = append(got, fmt.Sprintf("%s in %d", p.Version, p.Things))
		}
		if want := []string{"2.14.1 in 2", "2.9.1 in 1"}; !slices.Equal(got, want) || more {
			t.Errorf("got %q, want %q, more %t", got, want, more)
		}
		_, uses, err := h.room.Uses(t.Context(), list[0].ID)
		h.check(err)
		if len(uses) != 2 || uses[0].Target != "copy" || uses[1].Target != "shop" || !uses[1].Direct {
			t.Errorf("it is used in %+v", uses)
		}
		h.check(h.room.Forget(t.Context(), "copy", "main"))
		if _, uses, err = h.room.Uses(t.Context(), list[0].ID); err != nil || len(uses) != 1 {
			t.Errorf("after a branch is gone: %+v, %v", uses, err)
		}
		licences, err := h.room.Licences(t.Context())
		h.check(err)
		if len(licences) != 1 || licences[0].Name != "MIT" || licences[0].Packages != 4 {
			t.Errorf("licences %+v", licences)
		}
		if _, _, err := h.room.Packages(t.Context(), inspect.Question{Version: "<> 1"}); err == nil {
			t.Error("a comparison that there is not was taken")
		}
	})
}

// A bill of materials that somebody brings does not take the place of what was scanned here; a scan takes its.
func TestBillsGiveWay(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		h := build(t, open)
		h.index.Store(indexOf(t))
		bill := func(id, target string) error {
			return h.room.Keep(t.Context(), inspect.SBOM, finding.Scan{ID: id, Tool: "spdx", Target: target, Branch: "main", Complete: true}, []component.Component{npm("pad", "1.0.0")})
		}
		h.scan("s1", "shop", "main", npm("left-pad", "1.0.0"))
		if err := bill("b1", "shop"); !errors.Is(err, fault.Conflict) {
			t.Errorf("a bill of what is scanned here: %v", err)
		}
		h.check(bill("b2", "other"))
		h.check(bill("b3", "other"))
		h.scan("s2", "other", "main", npm("left-pad", "1.0.0"))
		thing, list, err := h.room.Components(t.Context(), "other", "main")
		if err != nil || thing.Kind != inspect.Source || len(list) != 1 || list[0].Name != "left-pad" {
			t.Errorf("got %+v %v %v", thing, list, err)
		}
	})
}

// What is kept before anything was ever judged is judged.
func TestFirstOfAll(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, open func(...db.Schema) *db.DB) {
		h := build(t, open)
		h.index.Store(indexOf(t, bug("GHSA-1", "pad", "2.0.0")))
		h.check(h.room.Keep(t.Context(), inspect.SBOM, finding.Scan{ID: "b1", Tool: "spdx", Target: "shop", Branch: "main", Complete: true}, []component.Component{npm("pad", "1.0.0")}))
		h.check(h.room.Judge(t.Context()))
		h.expect("after the first look", "shop", "main", "CVE-2026-1")
	})
}
