package console_test

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/door/console"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/keeper/hub"
)

// bring posts files as a browser's form does, without scripts.
func (p *person) bring(site string, fields map[string]string, files ...string) answer {
	p.h.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for i, text := range files {
		part, err := w.CreateFormFile("report", fmt.Sprintf("report%d <b>bold</b>.json", i))
		if err != nil {
			p.h.t.Fatal(err)
		}
		_, _ = part.Write([]byte(text)) // into memory
	}
	for name, value := range fields {
		if err := w.WriteField(name, value); err != nil {
			p.h.t.Fatal(err)
		}
	}
	w.Close()
	r := p.request(http.MethodPost, "/reports", &body)
	r.Header.Set("Content-Type", w.FormDataContentType())
	r.Header.Set("Sec-Fetch-Site", site)
	return p.do(r)
}

func semgrepOf(rules ...string) string {
	var results []string
	for i, r := range rules {
		results = append(results, fmt.Sprintf(`{"check_id":"%s","path":"app.py","start":{"line":%d,"col":1},"extra":{"severity":"ERROR","message":"%s is bad","lines":"line %d","metadata":{}}}`, r, i+1, r, i))
	}
	return `{"version":"1","errors":[],"paths":{"scanned":[]},"results":[` + strings.Join(results, ",") + `]}`
}

// Reports are brought with a form, seen before they do anything, and imported with a click; each import is told of as a scan.
func TestBringReports(t *testing.T) {
	h := home(t)
	p := h.admin()
	a := p.bring("same-origin", map[string]string{"target": "shop", "branch": "main", "commit": "c0ffee"}, semgrepOf("a.one", "a.two"))
	if a.status != http.StatusSeeOther {
		t.Fatalf("%d %s", a.status, a.body)
	}
	seen := p.get(a.header.Get("Location"))
	if !strings.Contains(seen.body, "2 findings: 2 new") || !strings.Contains(seen.body, "a.two is bad") || !strings.Contains(seen.body, "c0ffee") || len(readable(t, read(t, seen.body))) > 0 {
		t.Fatalf("the preview: %s", seen.body)
	}
	if n, err := h.hub.Count(t.Context(), hub.Filters{}); err != nil || n != 0 {
		t.Fatalf("a preview imported %d: %v", n, err)
	}
	id := mustURL(t, a.header.Get("Location")).Query().Get("upload")
	stranger := h.user("stranger", access.Administrator)
	if other := stranger.get("/reports?upload=" + id); other.status != http.StatusNotFound {
		t.Errorf("somebody else sees it: %d", other.status)
	}
	if a := p.post("/reports/import", "upload", id); a.status != http.StatusSeeOther {
		t.Fatalf("importing: %d %s", a.status, a.body)
	}
	page := p.get("/reports?target=shop")
	for _, want := range []string{"Imported: 2 new, 0 closed.", "semgrep", "main", "c0ffee", "complete"} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if a := p.post("/reports/import", "upload", id); a.status != http.StatusNotFound {
		t.Errorf("imported twice: %d", a.status)
	}
	found, err := h.hub.Find(t.Context(), hub.Query{Filters: hub.Filters{}, Limit: 1})
	if err != nil || len(found.Findings) != 1 {
		t.Fatal(err)
	}
	if page := p.get(console.FindingPath(&found.Findings[0])); !strings.Contains(page.body, "The record as the tool wrote it") || !strings.Contains(page.body, "check_id") {
		t.Error("the finding's page lacks the record")
	}
	a = p.bring("same-origin", map[string]string{"target": "shop", "branch": "main"}, semgrepOf("a.one"), `{"version":`)
	both := p.get(a.header.Get("Location"))
	if !strings.Contains(both.body, "a.two is bad") || !strings.Contains(both.body, "1 closed") || !strings.Contains(both.body, "the report is torn") {
		t.Errorf("what is closed, and what is torn, is not said: %s", both.body)
	}
	if a := p.post("/reports/drop", "upload", mustURL(t, a.header.Get("Location")).Query().Get("upload")); a.status != http.StatusSeeOther {
		t.Errorf("thrown away: %d", a.status)
	}
}

// What another site sends, nobody may, or is wrong is refused, and nothing is left of it.
func TestBringRefused(t *testing.T) {
	h := home(t)
	p := h.admin()
	if a := p.bring("cross-site", map[string]string{"target": "shop"}, semgrepOf("a")); a.status != http.StatusForbidden {
		t.Errorf("from another site: %d", a.status)
	}
	if a := p.bring("same-origin", nil, semgrepOf("a")); a.status != http.StatusBadRequest || !strings.Contains(a.body, "target is required") {
		t.Errorf("without a target: %d", a.status)
	}
	if a := p.bring("same-origin", map[string]string{"target": "shop"}); a.status != http.StatusBadRequest || !strings.Contains(a.body, "no report is chosen") {
		t.Errorf("without a file: %d", a.status)
	}
	if a := h.user("reader", access.SecurityAudit).bring("same-origin", map[string]string{"target": "shop"}, semgrepOf("a")); a.status != http.StatusForbidden {
		t.Errorf("who may not: %d", a.status)
	}
	if a := p.bring("same-origin", map[string]string{"target": strings.Repeat("x", 5000)}, semgrepOf("a")); a.status != http.StatusTooManyRequests {
		t.Errorf("a long target: %d", a.status)
	}
	if a := p.post("/reports", "target", "shop"); a.status != http.StatusBadRequest {
		t.Errorf("no multipart: %d", a.status)
	}
}
