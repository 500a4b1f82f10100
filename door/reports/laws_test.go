package reports_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/word/finding"
)

// eachSample runs a law over all published reports, each with a target of its own in one hub.
func eachSample(t *testing.T, law func(h *house, query string, text []byte)) {
	folder := os.Getenv("HAECHI_TESTDATA")
	if folder == "" {
		t.Skip("HAECHI_TESTDATA is not set")
	}
	list, err := os.ReadFile(filepath.Join(folder, "reports", "index.csv"))
	if err != nil {
		t.Skip("no reports in HAECHI_TESTDATA")
	}
	rows, err := csv.NewReader(bytes.NewReader(list)).ReadAll()
	must(t, err)
	h := build(t)
	ran := 0
	for _, row := range rows[1:] {
		text, err := os.ReadFile(filepath.Join(folder, "reports", filepath.FromSlash(row[0])))
		must(t, err)
		query := "branch=main&target=" + url.QueryEscape(row[0])
		if status, _, body := h.send(h.token, query+"&preview=1", text); status != 200 {
			if !strings.Contains(body, "UnknownReportException") {
				t.Errorf("%s: %s", row[0], body)
			}
			continue
		}
		ran++
		law(h, query, text)
		if t.Failed() {
			return
		}
	}
	if ran < 100 {
		t.Errorf("only %d reports were read", ran)
	}
}

func targetOf(query string) string {
	q, _ := url.ParseQuery(query)
	return q.Get("target")
}

// The same report twice changes nothing and tells nobody; a preview says both beforehand.
func TestTwiceIsOnce(t *testing.T) {
	eachSample(t, func(h *house, query string, text []byte) {
		_, before, _ := h.send(h.token, query+"&preview=1", text)
		first := h.imports(query, text)
		if len(first.Failed) > 0 {
			h.t.Errorf("%s: the hub refused %+v", query, first.Failed[0])
		}
		if first.New+first.Unchanged != first.Findings || before.New > first.New || before.Closed+before.Changed != 0 {
			h.t.Errorf("%s: first %+v, previewed %+v", query, first, before)
		}
		events, present := h.events(), h.present(targetOf(query), "main")
		_, preview, _ := h.send(h.token, query+"&preview=1", text)
		if preview.New+preview.Changed+preview.Closed != 0 {
			h.t.Errorf("%s: the preview of the same says %+v", query, preview)
		}
		again := h.imports(query, text)
		if again.New+again.Changed+again.Closed != 0 || again.Findings != first.Findings || h.events() != events {
			h.t.Errorf("%s: again %+v, %d events more", query, again, h.events()-events)
		}
		// At another commit it is read again, and says the same.
		if later := h.imports(query+"&commit=c2", text); later.New+later.Changed+later.Closed != 0 || later.Same || h.events() != events {
			h.t.Errorf("%s: later %+v, %d events more", query, later, h.events()-events)
		}
		after := h.present(targetOf(query), "main")
		for id, f := range after {
			was := present[id]
			was.LastObservedAt = f.LastObservedAt
			was.ProductFields[finding.FieldCommit] = "c2"
			if diff := cmp.Diff(was, f); diff != "" {
				h.t.Errorf("%s: %s", query, diff)
				break
			}
		}
		if len(after) != len(present) {
			h.t.Errorf("%s: %d became %d", query, len(present), len(after))
		}
	})
}

// A report that is torn anywhere is refused or closes nothing, and nothing of it is half imported.
func TestTornClosesNothing(t *testing.T) {
	eachSample(t, func(h *house, query string, text []byte) {
		h.imports(query, text)
		whole := h.present(targetOf(query), "main")
		events := h.events()
		trimmed := bytes.TrimRight(text, " \r\n\t")
		for _, at := range []int{len(trimmed) / 3, len(trimmed) - 1} {
			status, a, body := h.send(h.token, query, trimmed[:at])
			lines := bytes.HasSuffix([]byte(targetOf(query)), []byte(".csv")) || bytes.Contains([]byte(targetOf(query)), []byte("jsonl"))
			if status == 200 && !lines {
				h.t.Errorf("%s cut at %d of %d was taken: %+v", query, at, len(trimmed), a)
			}
			if status != 200 && !strings.Contains(body, "line ") && !strings.Contains(body, "UnknownReport") {
				h.t.Errorf("%s cut at %d: no place: %s", query, at, body)
			}
			if status != 200 && (h.events() != events || len(h.present(targetOf(query), "main")) != len(whole)) {
				h.t.Errorf("%s cut at %d: something was imported", query, at)
			}
		}
	})
}

// What people decided stays, and what another tool, target or branch says closes nothing.
func TestTriageSurvives(t *testing.T) {
	eachSample(t, func(h *house, query string, text []byte) {
		h.imports(query, text)
		var refs []hub.Ref
		for _, f := range h.present(targetOf(query), "main") {
			refs = append(refs, hub.RefOf(f))
		}
		if len(refs) == 0 {
			return
		}
		refs = refs[:min(len(refs), 100)]
		_, err := h.hub.Update(h.t.Context(), hub.Update{Refs: refs, Decision: hub.To(finding.Suppressed), By: "kim", Why: "a test"})
		must(h.t, err)
		h.imports(query, text)
		h.imports(query+"&tool=another", []byte(`{"version":"1","errors":[],"results":[],"paths":{}}`))
		h.imports("target=elsewhere&branch=main", text)
		h.imports(strings.Replace(query, "branch=main", "branch=dev", 1), text)
		now := h.present(targetOf(query), "main")
		for _, r := range refs {
			if f := now[r.ID]; f.Status() != finding.Suppressed {
				h.t.Errorf("%s: %s is %s", query, r.ID, f.Status())
			}
		}
	})
}

// What the tool suppresses arrives as suppressed and stays so.
func TestSuppressedArrives(t *testing.T) {
	eachSample(t, func(h *house, query string, text []byte) {
		a := h.imports(query, text)
		h.imports(query, text)
		n := 0
		for _, f := range h.present(targetOf(query), "main") {
			if f.Status() == finding.Suppressed {
				n++
			}
		}
		if a.Suppressed != n {
			h.t.Errorf("%s: %d are suppressed, the report says %d", query, n, a.Suppressed)
		}
	})
}

// What a tool begins to suppress is suppressed, and stays open where people open it again.
func TestSuppressedLater(t *testing.T) {
	h := build(t)
	ignored := bytes.Replace([]byte(semgrep), []byte(`"message":"m"`), []byte(`"message":"m","is_ignored":true`), 1)
	status := func(want finding.Status) {
		t.Helper()
		for _, f := range h.present("shop", "") {
			if f.Status() != want {
				t.Errorf("%s, want %s", f.Status(), want)
			}
		}
	}
	h.imports("target=shop", []byte(semgrep))
	status(finding.New)
	h.imports("target=shop&commit=c1", ignored)
	status(finding.Suppressed)
	for _, f := range h.present("shop", "") {
		_, err := h.hub.Update(t.Context(), hub.Update{Refs: []hub.Ref{hub.RefOf(f)}, Decision: hub.To(finding.New), By: "kim", Why: "it is real"})
		must(t, err)
	}
	h.imports("target=shop&commit=c2", ignored)
	status(finding.New)
}

// Where the tool could not look, what was known stays; elsewhere what is gone is closed.
func TestSkippedStays(t *testing.T) {
	h := build(t)
	result := func(path string) string {
		return `{"check_id":"a.b","path":"` + path + `","start":{"line":1},"extra":{"severity":"ERROR","message":"m"}}`
	}
	h.imports("target=shop", []byte(`{"errors":[],"paths":{},"results":[`+result("a.py")+","+result("b.py")+","+result("c.py")+`]}`))
	broken := []byte(`{"errors":[{"level":"error","path":"b.py","message":"broken"}],"paths":{},"results":[` + result("a.py") + `]}`)
	_, preview, _ := h.send(h.token, "target=shop&preview=1", broken)
	events := h.events()
	a := h.imports("target=shop", broken)
	if a.Closed != 1 || preview.Closed != 1 || a.Unchanged != 1 || !a.Complete || len(a.Warnings) != 1 || h.events() != events+1 {
		t.Errorf("%+v, previewed %+v, %d events", a, preview, h.events()-events)
	}
	for _, f := range h.present("shop", "") {
		if f.Place().File == "c.py" {
			t.Error("c.py is still there")
		}
	}
	if n := len(h.present("shop", "")); n != 2 {
		t.Errorf("%d are there, want a.py and b.py", n)
	}
}

// A report that was made before the newest that was imported opens, changes and closes nothing, and says so.
func TestOlder(t *testing.T) {
	h := build(t)
	report := func(day int, ids ...string) []byte {
		return bytes.Replace(trivyOf(ids...), []byte(`"SchemaVersion":2`), fmt.Appendf(nil, `"SchemaVersion":2,"CreatedAt":"2026-01-%02dT10:00:00Z"`, day), 1)
	}
	h.imports("target=shop&branch=main", report(1, "CVE-1-1", "CVE-1-2"))
	h.imports("target=shop&branch=main", report(3, "CVE-1-2", "CVE-1-3"))
	events, before := h.events(), h.present("shop", "main")
	for _, query := range []string{"", "&preview=1"} {
		a := h.imports("target=shop&branch=main"+query, report(2, "CVE-1-1"))
		if a.Older == "" || a.New+a.Changed+a.Closed+a.Unchanged != 0 || h.events() != events {
			t.Errorf("%+v", a)
		}
	}
	if after := h.present("shop", "main"); len(after) != len(before) {
		t.Errorf("%d became %d", len(before), len(after))
	}
	// On another branch, by another tool and at the same time it counts.
	for _, query := range []string{"target=shop&branch=dev", "target=shop&branch=main&tool=trivy-image", "target=other&branch=main"} {
		if a := h.imports(query, report(2, "CVE-1-1")); a.Older != "" || a.Findings != 1 {
			t.Errorf("%s: %+v", query, a)
		}
	}
	if a := h.imports("target=shop&branch=main", report(3, "CVE-1-3")); a.Older != "" || a.Closed != 1 {
		t.Errorf("the same time: %+v", a)
	}
}
