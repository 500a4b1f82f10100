package hub_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// saw is what a tool says of the target shop.
func saw(tool, title string, fields map[string]string, vulnerabilities ...finding.Vulnerability) finding.Finding {
	f := finding.Finding{GeneratorID: title, Title: title, Description: title, Severity: &finding.Severity{Label: finding.High}, ProductFields: fields, Vulnerabilities: vulnerabilities}
	if fields["url"] != "" {
		f.Resources = []finding.Resource{{Type: "Other", ID: fields["url"]}}
	}
	f.ProductFields[finding.FieldFingerprint] = finding.Fingerprint(tool, title, fmt.Sprint(fields), fmt.Sprint(vulnerabilities))
	return finding.Maker{Account: account, Region: "us-east-1"}.Own(finding.Scan{Tool: tool, Target: "shop", Commit: fields["commit"]}, f, when)
}

var when = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func cve(id, pkg, version string, related ...string) finding.Vulnerability {
	return finding.Vulnerability{ID: id, Related: related, Packages: []finding.Package{{Name: pkg, Version: version}}}
}

// scans imports each finding as a scan of its tool.
func (h *house) scans(list ...finding.Finding) {
	h.t.Helper()
	for _, f := range list {
		h.sees(f)
	}
}

func (h *house) sees(list ...finding.Finding) {
	h.t.Helper()
	f := list[0].ProductFields
	did, err := h.Import(h.t.Context(), finding.Scan{Tool: f[finding.FieldTool], Target: f[finding.FieldTarget], Commit: f[finding.FieldCommit]}, list...)
	h.check(err)
	if len(did.Failed) > 0 {
		h.t.Fatalf("failed: %v", did.Failed)
	}
}

// empty makes the hub forget all findings and ties.
func (h *house) empty() {
	h.t.Helper()
	h.check(h.db.Write(h.t.Context(), func(tx *db.Tx) error {
		for _, table := range []string{"findings", "presence", "history", "marks", "ties", "untied"} {
			if _, err := tx.Exec("DELETE FROM hub_" + table); err != nil {
				return err
			}
		}
		return nil
	}))
}

// problems are the problems there are, as the titles of their witnesses.
func (h *house) problems() (all []string) {
	h.t.Helper()
	list, _, err := h.Problems(h.t.Context(), nil, 1000, 0)
	h.check(err)
	for _, p := range list {
		var titles []string
		for _, w := range p.Witnesses {
			titles = append(titles, w.Finding.Title)
			if w.Reason == "" || w.Kind == "" || w.At.IsZero() {
				h.t.Errorf("%s is tied without a reason: %+v", w.Finding.Title, w)
			}
		}
		slices.Sort(titles)
		all = append(all, strings.Join(titles, "+"))
	}
	slices.Sort(all)
	return all
}

// tieCases say which of some findings are one problem.
var tieCases = []struct {
	name     string
	findings func() []finding.Finding
	want     []string
}{
	{"one vulnerability of one package by several names", func() []finding.Finding {
		return []finding.Finding{
			saw("trivy", "a", map[string]string{}, cve("CVE-2021-44228", "org.apache.logging.log4j:log4j-core", "2.14.1")),
			saw("grype", "b", map[string]string{"haechi/purl": "pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1"}, cve("GHSA-jfh8-c2jp-5v3q", "log4j-core", "2.14.1", "CVE-2021-44228")),
			saw("npm", "c", map[string]string{}, cve("GHSA-jfh8-c2jp-5v3q", "log4j-core", "")),
			saw("other", "d", map[string]string{}, cve("CVE-2021-45046", "log4j-core", "2.14.1")),
		}
	}, []string{"a+b+c"}},
	{"two versions are two", func() []finding.Finding {
		return []finding.Finding{
			saw("trivy", "a", map[string]string{}, cve("CVE-2021-23337", "lodash", "4.17.4")), saw("grype", "b", map[string]string{}, cve("CVE-2021-23337", "lodash", "v4.17.4")),
			saw("trivy", "c", map[string]string{}, cve("CVE-2021-23337", "lodash", "4.17.15")), saw("grype", "d", map[string]string{}, cve("CVE-2021-23337", "lodash", "4.17.15")),
		}
	}, []string{"a+b", "c+d"}},
	{"packages of one name in two scopes are two", func() []finding.Finding {
		return []finding.Finding{saw("trivy", "a", map[string]string{}, cve("CVE-2021-1", "@babel/traverse", "1.0")), saw("grype", "b", map[string]string{}, cve("CVE-2021-1", "@other/traverse", "1.0"))}
	}, nil},
	{"what one tool says twice is two", func() []finding.Finding {
		return []finding.Finding{saw("trivy", "a", map[string]string{"haechi/file": "x"}, cve("CVE-2021-1", "p", "1")), saw("trivy", "b", map[string]string{"haechi/file": "y"}, cve("CVE-2021-1", "p", "1"))}
	}, nil},
	{"another vulnerability that is only related is another", func() []finding.Finding {
		return []finding.Finding{saw("inspector", "a", map[string]string{}, cve("CVE-2021-1", "p", "1", "CVE-2021-2", "CVE-2021-3")), saw("trivy", "b", map[string]string{}, cve("CVE-2021-2", "p", "1"))}
	}, nil},
	{"an alert about several vulnerabilities does not make one of them", func() []finding.Finding {
		return []finding.Finding{
			saw("zap", "z", map[string]string{}, cve("CVE-2020-11022", "jquery", "3.4.1"), cve("CVE-2020-11023", "jquery", "3.4.1")),
			saw("trivy", "a", map[string]string{}, cve("CVE-2020-11022", "jquery", "3.4.1")), saw("trivy", "b", map[string]string{}, cve("CVE-2020-11023", "jquery", "3.4.1")),
		}
	}, []string{"a+z", "b+z"}},
	{"a weakness at a line", func() []finding.Finding {
		at := func(tool, title, line, cwe, commit string) finding.Finding {
			return saw(tool, title, map[string]string{"haechi/file": "app.py", "haechi/line": line, "haechi/cwe": cwe, "haechi/commit": commit, "commit": commit})
		}
		return []finding.Finding{at("semgrep", "a", "3", "CWE-89", "c1"), at("bandit", "b", "3", "CWE-89, CWE-564", "c1"), at("codeql", "c", "4", "CWE-89", "c1"), at("sonar", "d", "3", "CWE-79", "c1"), at("horusec", "e", "3", "CWE-89", "c2"),
			at("bearer", "f", "3", "CWE-20", "c1"), at("njsscan", "g", "3", "CWE-20", "c1")}
	}, []string{"a+b"}},
	{"a weakness at another commit, where the same code stands", func() []finding.Finding {
		at := func(tool, title, commit, excerpt string) finding.Finding {
			return saw(tool, title, map[string]string{"haechi/file": "app.py", "haechi/line": "3", "haechi/cwe": "CWE-89", "haechi/commit": commit, "commit": commit, "haechi/excerpt": excerpt})
		}
		return []finding.Finding{at("semgrep", "a", "c1", "cursor.execute(q + name)"), at("bandit", "b", "c2", "2 x = 1\n3   cursor.execute(q + name)"), at("codeql", "c", "c3", "cursor.execute(other)")}
	}, []string{"a+b"}},
	{"a weakness at a path and parameter", func() []finding.Finding {
		at := func(tool, title, url, param string) finding.Finding {
			return saw(tool, title, map[string]string{"url": url, "haechi/cwe": "CWE-79", "haechi/report/parameter": param})
		}
		return []finding.Finding{at("zap", "a", "https://shop.example/search", "q"), at("wapiti", "b", "http://localhost:8080/search", "q"), at("burp", "c", "https://shop.example/search", "page"), at("nuclei", "d", "https://shop.example/", "q")}
	}, []string{"a+b"}},
	{"a weakness in the code of a route and at the route", func() []finding.Finding {
		code := func(title, excerpt string) finding.Finding {
			return saw("semgrep", title, map[string]string{"haechi/file": "routes.js", "haechi/line": fmt.Sprint(len(excerpt)), "haechi/cwe": "CWE-89", "haechi/excerpt": excerpt})
		}
		return []finding.Finding{
			code("a", `app.get("/products/search", (req, res) => db.query("… LIKE '%" + req.query.q + "%'"))`), code("b", `app.get("/products/search", (req, res) => db.query("… LIMIT " + req.query.page))`),
			code("c", `app.get('/users/:id', (req, res) => db.query("… id = " + req.params.id))`), code("d", `app.get("/", (req, res) => db.query(req.query.q))`),
			saw("zap", "z", map[string]string{"haechi/cwe": "CWE-89", "haechi/places": "GET:http://shop/products/search?q GET:http://shop/users/17"}),
			saw("zap", "y", map[string]string{"haechi/cwe": "CWE-79", "haechi/places": "GET:http://shop/products/search?q"}), saw("zap", "x", map[string]string{"haechi/cwe": "CWE-89", "haechi/places": "GET:http://shop/?q"}),
		}
	}, []string{"a+z", "c+z"}},
	{"a page that is a file", func() []finding.Finding {
		code := func(title, file string) finding.Finding {
			return saw("semgrep", title, map[string]string{"haechi/file": file, "haechi/line": "3", "haechi/cwe": "CWE-79", "haechi/excerpt": "echo $_GET['name'];"})
		}
		return []finding.Finding{code("a", "public/hello.php"), code("b", "public/admin/hello.php"), saw("zap", "z", map[string]string{"haechi/cwe": "CWE-79", "haechi/places": "GET:http://shop/hello.php?name"})}
	}, []string{"a+z"}},
	{"a secret", func() []finding.Finding {
		return []finding.Finding{saw("gitleaks", "a", map[string]string{"haechi/file": "x", "haechi/secret": "aa"}), saw("gitleaks", "b", map[string]string{"haechi/file": "y", "haechi/secret": "aa"}), saw("trufflehog", "c", map[string]string{"haechi/secret": "bb"})}
	}, []string{"a+b"}},
}

// What several tools say of one thing is one problem, and what only looks alike is not, in whatever order it comes.
func TestTies(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		for _, c := range tieCases {
			t.Run(c.name, func(t *testing.T) {
				list := c.findings()
				h := build(t, h.db)
				h.t = t
				for _, order := range []func(){func() {}, func() { slices.Reverse(list) }} {
					order()
					for _, together := range []bool{false, true} {
						h.empty()
						if together {
							byTool := map[string][]finding.Finding{}
							for _, f := range list {
								tool := f.ProductFields[finding.FieldTool] + f.ProductFields[finding.FieldCommit]
								byTool[tool] = append(byTool[tool], f)
							}
							for _, f := range list {
								tool := f.ProductFields[finding.FieldTool] + f.ProductFields[finding.FieldCommit]
								if byTool[tool] != nil {
									h.sees(byTool[tool]...)
								}
								delete(byTool, tool)
							}
						} else {
							h.scans(list...)
						}
						if got := h.problems(); !slices.Equal(got, c.want) {
							t.Errorf("%q, want %q", got, c.want)
						}
					}
				}
			})
		}
	})
}

// Ties do not change what is tied: every finding stays, as the tool said it.
func TestTiesMergeNothing(t *testing.T) {
	h, _ := alone(t)
	list := tieCases[0].findings()
	h.scans(list...)
	for _, f := range list {
		got, err := h.Get(t.Context(), hub.RefOf(f))
		h.check(err)
		if got.Title != f.Title || got.Status() != finding.New {
			t.Errorf("%+v", got)
		}
	}
}

// What somebody unties stays untied over imports, and the rest of the problem stays one; what is tied by hand stays tied.
func TestUntie(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		list := tieCases[0].findings()
		h.scans(list...)
		b, d := hub.RefOf(list[1]), hub.RefOf(list[3])
		of, err := h.ProblemsOf(t.Context(), b)
		h.check(err)
		if len(of) != 1 || len(of[0].Witnesses) != 3 || len(of[0].Reasons()) == 0 {
			t.Fatalf("%+v", of)
		}
		if err := h.Untie(t.Context(), b, of[0].ID, "kim", " "); fault.Of(err) != fault.Invalid {
			t.Errorf("without a reason: %v", err)
		}
		if err := h.Untie(t.Context(), d, of[0].ID, "kim", "x"); fault.Of(err) != fault.NotFound {
			t.Errorf("of another: %v", err)
		}
		// b alone knew both names: without it a and c have nothing in common.
		h.check(h.Untie(t.Context(), b, of[0].ID, "kim", "a shaded copy"))
		if got := h.problems(); len(got) != 0 {
			t.Errorf("%q", got)
		}
		h.scans(tieCases[0].findings()...)
		changed := tieCases[0].findings()[1]
		changed.ProductFields[finding.FieldFile] = "elsewhere.jar"
		h.scans(changed)
		if got := h.problems(); len(got) != 0 {
			t.Errorf("after an import: %q", got)
		}
		untied, err := h.UntiedOf(t.Context(), b)
		h.check(err)
		if len(untied) != 1 || untied[0].By != "kim" || untied[0].Why != "a shaded copy" {
			t.Errorf("%+v", untied)
		}
		history, _, err := h.History(t.Context(), hub.HistoryQuery{Ref: b})
		h.check(err)
		if history[1].Kind != "TIE" && history[0].Kind != "TIE" {
			t.Errorf("%+v", history)
		}
		h.check(h.Tie(t.Context(), b, d, "kim", "one library"))
		h.scans(tieCases[0].findings()...)
		if got := h.problems(); !slices.Equal(got, []string{"b+d"}) {
			t.Errorf("by hand: %q", got)
		}
		if err := h.Tie(t.Context(), b, d, "kim", "again"); fault.Of(err) != fault.Conflict {
			t.Errorf("twice: %v", err)
		}
		if err := h.Tie(t.Context(), b, b, "kim", "itself"); fault.Of(err) != fault.Invalid {
			t.Errorf("itself: %v", err)
		}
	})
}

// A version that moves unties what it was tied for.
func TestTieFollowsVersion(t *testing.T) {
	h, _ := alone(t)
	a, b := saw("trivy", "a", map[string]string{}, cve("CVE-2021-1", "p", "1.0")), saw("grype", "b", map[string]string{}, cve("CVE-2021-1", "p", "1.0"))
	h.scans(a, b)
	b.Vulnerabilities = []finding.Vulnerability{cve("CVE-2021-1", "p", "2.0")}
	h.scans(b)
	if got := h.problems(); len(got) != 0 {
		t.Errorf("%q", got)
	}
	a.Vulnerabilities = b.Vulnerabilities
	h.scans(a)
	if got := h.problems(); !slices.Equal(got, []string{"a+b"}) {
		t.Errorf("%q", got)
	}
}

// In whatever order findings come, the same ones are tied; no problem has one tool alone, or two versions.
func TestTiesAreLawful(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var list []finding.Finding
		for i := range rapid.IntRange(2, 12).Draw(rt, "n") {
			tool := rapid.SampledFrom([]string{"trivy", "grype", "snyk"}).Draw(rt, "tool")
			list = append(list, saw(tool, fmt.Sprint("f", i), map[string]string{}, cve(rapid.SampledFrom([]string{"CVE-1-1", "CVE-1-2"}).Draw(rt, "id"), rapid.SampledFrom([]string{"p", "q"}).Draw(rt, "pkg"), rapid.SampledFrom([]string{"1", "2"}).Draw(rt, "version"))))
		}
		h, _ := alone(t)
		h.scans(list...)
		first := h.problems()
		h.empty()
		h.scans(rapid.Permutation(list).Draw(rt, "order")...)
		if again := h.problems(); !slices.Equal(first, again) {
			rt.Errorf("%q, in another order %q", first, again)
		}
		all, _, err := h.Problems(t.Context(), nil, 1000, 0)
		h.check(err)
		for _, p := range all {
			tools, versions := map[string]bool{}, map[string]bool{}
			for _, w := range p.Witnesses {
				tools[w.Finding.ProductFields[finding.FieldTool]] = true
				versions[w.Finding.Vulnerabilities[0].Packages[0].Version] = true
			}
			if len(tools) < 2 || len(versions) != 1 {
				rt.Errorf("%v of %v", tools, versions)
			}
		}
	})
}
