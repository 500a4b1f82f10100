package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/word/finding"
)

// What two tools say of one vulnerability is shown as one problem, and can be untied and tied again.
func TestProblems(t *testing.T) {
	h := home(t)
	says := func(tool, title string) {
		f := wrong(title, finding.High)
		f.Vulnerabilities = []finding.Vulnerability{{ID: "CVE-2021-23337", Packages: []finding.Package{{Name: "lodash", Version: "4.17.4"}}}}
		f.ProductFields = map[string]string{finding.FieldFingerprint: finding.Fingerprint(title)}
		h.bring(tool, "shop", f)
	}
	says("trivy", "lodash as Trivy has it "+hostile)
	says("grype", "lodash as Grype has it")
	p := h.admin()
	list := p.get("/findings?show=problems")
	for _, want := range []string{"lodash as Trivy has it", "lodash as Grype has it", "CVE-2021-23337 in lodash 4.17.4 of shop"} {
		if !strings.Contains(list.body, want) {
			t.Errorf("the problems lack %q", want)
		}
	}
	if none := p.get("/findings?show=problems&q=" + url.QueryEscape("tool:secret")); strings.Contains(none.body, "lodash as") || !strings.Contains(none.body, "No two tools say the same here") {
		t.Error("a filter that means none shows one")
	}
	var path string
	for _, a := range read(t, list.body).all("a") {
		if strings.HasPrefix(a.attr["href"], "/findings/") {
			path = a.attr["href"]
		}
	}
	page := p.get(path)
	if !strings.Contains(page.body, "One problem, witnesses: 2") || !strings.Contains(page.body, "this finding") || len(readable(t, read(t, page.body))) > 0 {
		t.Fatalf("the page says nothing of the problem: %s", page.body)
	}
	problem, other := "", ""
	for _, n := range read(t, page.body).all("input") {
		if n.attr["name"] == "problem" {
			problem = n.attr["value"]
		}
	}
	for _, a := range read(t, page.body).all("a") {
		if strings.HasPrefix(a.attr["href"], "/findings/") && a.attr["href"] != path {
			other = a.attr["href"]
		}
	}
	ref := strings.TrimPrefix(path, "/findings/")
	for want, reason := range map[int]string{http.StatusBadRequest: " ", http.StatusSeeOther: "a copy of our own"} {
		if a := p.post("/findings/untie", "ref", ref, "problem", problem, "reason", reason); want == http.StatusBadRequest && a.status != want {
			t.Errorf("without a reason: %d", a.status)
		}
	}
	says("grype", "lodash as Grype has it")
	says("trivy", "lodash as Trivy has it "+hostile)
	if page := p.get(path); strings.Contains(page.body, "One problem") || !strings.Contains(page.body, "a copy of our own") {
		t.Error("it is not untied, or does not say why")
	}
	if a := p.post("/findings/tie", "ref", ref, "other", "none", "reason", "x"); a.status != http.StatusNotFound {
		t.Errorf("to what is not there: %d", a.status)
	}
	if a := p.post("/findings/tie", "ref", ref, "other", "https://haechi.example"+other+"?at=x", "reason", "the same after all"); a.status != http.StatusSeeOther {
		t.Errorf("tying: %d %s", a.status, a.body)
	}
	if page := p.get(path); !strings.Contains(page.body, "One problem, witnesses: 2") || !strings.Contains(page.body, "the same after all") || !strings.Contains(page.body, "tied by <") && !strings.Contains(page.body, "tied by admin") {
		t.Error("it is not tied by hand")
	}
}
