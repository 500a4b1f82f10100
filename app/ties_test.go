package app_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/haechi-dev/haechi/door/console"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/keeper/hub"
)

// Reports of one small shop, as the tools write them.
const (
	shopSemgrep = `{"version": "1.90.0", "errors": [], "paths": {"scanned": ["src/routes/products.js", "src/routes/users.js"]}, "results": [
 {"check_id": "javascript.express.db.sequelize-express", "path": "src/routes/products.js", "start": {"line": 12, "col": 1, "offset": 310}, "end": {"line": 15, "col": 3, "offset": 470},
  "extra": {"message": "A query is built from what a user sends.", "severity": "ERROR", "fingerprint": "a1b2c3_0", "is_ignored": false,
   "lines": "router.get('/products/search', async (req, res) => {\n  const rows = await db.query(\"SELECT * FROM products WHERE name LIKE '%\" + req.query.q + \"%'\");\n  res.json(rows);\n});",
   "metadata": {"cwe": ["CWE-89: Improper Neutralization of Special Elements used in an SQL Command ('SQL Injection')"], "owasp": ["A03:2021 - Injection"], "confidence": "HIGH"}}},
 {"check_id": "javascript.express.db.sequelize-express", "path": "src/routes/users.js", "start": {"line": 8, "col": 1, "offset": 200}, "end": {"line": 10, "col": 3, "offset": 300},
  "extra": {"message": "A query is built from what a user sends.", "severity": "ERROR", "fingerprint": "d4e5f6_0", "is_ignored": false,
   "lines": "router.get('/users/:id', (req, res) => db.query(\"SELECT * FROM users WHERE id = \" + req.params.id));",
   "metadata": {"cwe": ["CWE-89: Improper Neutralization of Special Elements used in an SQL Command ('SQL Injection')"]}}},
 {"check_id": "ssc-3a1f.lodash", "path": "package-lock.json", "start": {"line": 40, "col": 1, "offset": 900}, "end": {"line": 42, "col": 1, "offset": 960},
  "extra": {"message": "lodash can be polluted.", "severity": "ERROR", "is_ignored": false, "lines": "",
   "metadata": {"sca-vuln-database-identifier": "CVE-2021-23337", "cwe": ["CWE-94: Code Injection"]},
   "sca_info": {"reachable": false, "dependency_match": {"found_dependency": {"package": "lodash", "version": "4.17.4", "ecosystem": "npm"}, "lockfile": "package-lock.json"}}}}]}`
	shopZAP = `{"@programName": "ZAP", "@version": "2.16.1", "@generated": "Tue, 24 Nov 2026 10:00:00", "site": [{"@name": "http://shop.example:3000", "@host": "shop.example", "@port": "3000", "@ssl": "false", "alerts": [
 {"pluginid": "40018", "alertRef": "40018-1", "alert": "SQL Injection", "name": "SQL Injection", "riskcode": "3", "confidence": "2", "riskdesc": "High (Medium)", "desc": "<p>SQL injection may be possible.</p>",
  "instances": [{"id": "1", "uri": "http://shop.example:3000/products/search?q=%27", "nodeName": "http://shop.example:3000/products/search (q)", "method": "GET", "param": "q", "attack": "'", "evidence": "SQLITE_ERROR", "otherinfo": ""}],
  "count": "1", "solution": "<p>Use parameters.</p>", "otherinfo": "", "reference": "", "cweid": "89", "wascid": "19", "sourceid": "3"},
 {"pluginid": "10020", "alertRef": "10020-1", "alert": "Missing Anti-clickjacking Header", "name": "Missing Anti-clickjacking Header", "riskcode": "2", "confidence": "2", "riskdesc": "Medium (Medium)", "desc": "<p>No header.</p>",
  "instances": [{"id": "2", "uri": "http://shop.example:3000/users/7", "method": "GET", "param": "x-frame-options", "attack": "", "evidence": "", "otherinfo": ""}], "count": "1", "cweid": "1021", "wascid": "15", "sourceid": "1"}]}]}`
	shopTrivy = `{"SchemaVersion": 2, "CreatedAt": "2026-11-24T10:00:00Z", "ArtifactName": ".", "ArtifactType": "filesystem", "Results": [{"Target": "package-lock.json", "Class": "lang-pkgs", "Type": "npm", "Vulnerabilities": [
 {"VulnerabilityID": "CVE-2021-23337", "VendorIDs": ["GHSA-35jh-r3h4-6jhm"], "PkgID": "lodash@4.17.4", "PkgName": "lodash", "PkgIdentifier": {"PURL": "pkg:npm/lodash@4.17.4"}, "InstalledVersion": "4.17.4", "FixedVersion": "4.17.21", "Severity": "HIGH", "Title": "nodejs-lodash: command injection via template"},
 {"VulnerabilityID": "CVE-2019-10744", "PkgID": "lodash@4.17.4", "PkgName": "lodash", "PkgIdentifier": {"PURL": "pkg:npm/lodash@4.17.4"}, "InstalledVersion": "4.17.4", "FixedVersion": "4.17.12", "Severity": "CRITICAL", "Title": "nodejs-lodash: prototype pollution"}]}]}`
	shopGrype = `{"matches": [{"vulnerability": {"id": "GHSA-jf85-cpcp-j695", "dataSource": "https://github.com/advisories/GHSA-jf85-cpcp-j695", "namespace": "github:language:javascript", "severity": "Critical", "urls": [], "description": "Prototype pollution in lodash", "cvss": [], "fix": {"versions": ["4.17.12"], "state": "fixed"}},
 "relatedVulnerabilities": [{"id": "CVE-2019-10744", "namespace": "nvd:cpe"}], "matchDetails": [], "artifact": {"id": "1", "name": "lodash", "version": "4.17.4", "type": "npm", "locations": [{"path": "/package-lock.json"}], "purl": "pkg:npm/lodash@4.17.4"}}],
 "source": {"type": "directory", "target": "."}, "descriptor": {"name": "grype", "version": "0.80.0"}}`
)

// A Semgrep, a ZAP and a Trivy report of one application show their ties in the console: each problem with who says so and why.
func TestTiesOfOneApplication(t *testing.T) {
	h := build(t)
	_, token, err := h.Access.CreateToken(t.Context(), "admin", access.Intake)
	must(t, err)
	for tool, report := range map[string]string{"semgrep": shopSemgrep, "zap": shopZAP, "trivy": shopTrivy, "grype": shopGrype} {
		r := request(t, http.MethodPost, h.url+"/haechi/reports?target=shop&branch=main&commit=c0ffee", report)
		r.Header.Set("Authorization", "Bearer "+token.Reveal())
		if status, _, body := do(t, r); status != http.StatusOK {
			t.Fatalf("%s: %d %s", tool, status, body)
		}
	}
	problems, _, err := h.Hub.Problems(t.Context(), nil, 100, 0)
	must(t, err)
	got := map[string]string{}
	for _, p := range problems {
		var tools []string
		for _, w := range p.Witnesses {
			tools = append(tools, w.Finding.ProductFields["haechi/tool"])
		}
		got[p.Reasons()[0]] = strings.Join(slices.Sorted(slices.Values(tools)), " ")
	}
	want := map[string]string{
		"CWE-89 at /products/search of shop: the route stands in the code at src/routes/products.js:12, with the parameter q": "semgrep zap",
		"CVE-2021-23337 in lodash 4.17.4 of shop": "semgrep trivy",
		"CVE-2019-10744 in lodash 4.17.4 of shop": "grype trivy",
	}
	for reason, tools := range want {
		if got[reason] != tools {
			t.Errorf("%s: %q, want %q", reason, got[reason], tools)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d problems: %q", len(got), got)
	}
	session, err := h.Access.SignIn(t.Context(), "admin", h.admin.Password)
	must(t, err)
	page := func(path string) string {
		r := request(t, http.MethodGet, h.url+path, "")
		r.AddCookie(&http.Cookie{Name: "haechi_session", Value: session.Reveal()})
		status, _, body := do(t, r)
		if status != http.StatusOK {
			t.Fatalf("%s: %d %s", path, status, body)
		}
		return body
	}
	for path, wanted := range map[string][]string{
		"/findings?show=problems":                                  {"SQL Injection", "A query is built from what a user sends.", "CVE-2021-23337 lodash", "CVE-2019-10744 in lodash 4.17.4", "the route stands in the code at src/routes/products.js:12, with the parameter q"},
		"/findings?show=problems&q=" + url.QueryEscape("tool:zap"): {"the route stands in the code"},
	} {
		body := page(path)
		for _, text := range wanted {
			if !strings.Contains(body, text) {
				t.Errorf("%s lacks %q", path, text)
			}
		}
	}
	found, err := h.Hub.Find(t.Context(), hub.Query{Filters: hub.Filters{"Title": hub.Is("SQL Injection")}, Limit: 2})
	must(t, err)
	if len(found.Findings) != 1 {
		t.Fatalf("%d findings", len(found.Findings))
	}
	body := page(console.FindingPath(&found.Findings[0]))
	for _, text := range []string{"One problem, witnesses: 2", "semgrep", "Untie"} {
		if !strings.Contains(body, text) {
			t.Errorf("the finding's page lacks %q", text)
		}
	}
}
