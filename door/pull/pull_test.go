package pull_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/door/pull"
	"github.com/haechi-dev/haechi/tool/report"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

const token = "squ_" + "0123456789abcdef"

type buffer struct{ bytes.Buffer }

func (*buffer) Close() error { return nil }

// fetched is what a fetch wrote, by name, read as reports are.
type fetched struct {
	pull.Fetched
	report   *report.Report
	findings []finding.Finding
	text     string
}

func fetch(t *testing.T, source, address string, key seal.Secret, of, branch string) (all map[string]fetched, waited time.Duration, err error) {
	t.Helper()
	var names []string
	var texts []*buffer
	i := slices.IndexFunc(pull.Sources(), func(s pull.Source) bool { return s.Name == source })
	server := pull.Server{URL: address, Token: key, Wait: func(_ context.Context, d time.Duration) error { waited += d; return nil }}
	got, err := pull.Sources()[i].Reports(t.Context(), server, of, branch, func(name string) (io.WriteCloser, error) {
		names, texts = append(names, name), append(texts, &buffer{})
		return texts[len(texts)-1], nil
	})
	all = map[string]fetched{}
	if err != nil {
		return all, waited, err
	}
	for i, g := range got {
		text := texts[i].Bytes()
		r, err := report.Foreign(bytes.NewReader(text), int64(len(text)), report.Options{})
		if err != nil {
			t.Fatalf("%s: %v\n%.500s", names[i], err, text)
		}
		one := fetched{Fetched: g, report: r, text: string(text)}
		if err := r.Each(func(f finding.Finding) error { one.findings = append(one.findings, f); return nil }); err != nil {
			t.Fatal(err)
		}
		all[names[i]] = one
	}
	return all, waited, nil
}

// sonar is a SonarQube as its documentation and its users describe it: it shows no more than 10,000
// results of a search, and says HTTP 400 to whoever asks for more.
type sonar struct {
	issues []issue
	cloud  bool // totals are capped too
	busy   atomic.Int32
	calls  atomic.Int32
}

type issue struct {
	Key       string    `json:"key"`
	Rule      string    `json:"rule"`
	Severity  string    `json:"severity"`
	Component string    `json:"component"`
	Project   string    `json:"project"`
	Line      int       `json:"line"`
	Message   string    `json:"message"`
	Type      string    `json:"type"`
	Status    string    `json:"status"`
	Created   string    `json:"creationDate"`
	at        time.Time `json:"-"`
}

const most = 10_000

func (s *sonar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.calls.Add(1)
	if user, _, ok := r.BasicAuth(); !ok || user != token {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if s.busy.Add(-1) >= 0 {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	q := r.URL.Query()
	page, _ := strconv.Atoi(q.Get("p"))
	size, _ := strconv.Atoi(q.Get("ps"))
	answer := map[string]any{}
	switch r.URL.Path {
	case "/sonar/api/rules/show":
		answer["rule"] = map[string]any{"key": q.Get("key"), "name": "a rule", "securityStandards": []string{"cwe:89", "owaspTop10:a1"}}
	case "/sonar/api/hotspots/search":
		answer["paging"] = map[string]int{"pageIndex": 1, "pageSize": size, "total": 1}
		answer["hotspots"] = []map[string]any{{"key": "h1", "component": "shop:a.java", "project": "shop", "securityCategory": "sql-injection", "vulnerabilityProbability": "HIGH", "status": "TO_REVIEW", "line": 3, "message": "look at it", "ruleKey": "java:S2077"}}
		answer["components"] = []map[string]any{{"key": "shop:a.java", "path": "a.java"}}
	case "/sonar/api/issues/search":
		if page*size > most {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"errors":[{"msg":"Can return only the first 10000 results. 10001th result asked."}]}`)
			return
		}
		var found []issue
		after, _ := time.Parse("2006-01-02T15:04:05-0700", q.Get("createdAfter"))
		before, err := time.Parse("2006-01-02T15:04:05-0700", q.Get("createdBefore"))
		for _, i := range s.issues {
			if q.Get("severities") != "" && q.Get("severities") != i.Severity || q.Get("rules") != "" && q.Get("rules") != i.Rule || q.Get("files") != "" && q.Get("files") != i.Component ||
				i.at.Before(after) || err == nil && !i.at.Before(before) {
				continue
			}
			found = append(found, i)
		}
		total := len(found)
		if s.cloud {
			total = min(total, most)
		}
		from := min((page-1)*size, len(found))
		answer["total"], answer["paging"] = total, map[string]int{"pageIndex": page, "pageSize": size, "total": total}
		answer["issues"], answer["components"] = found[from:min(from+size, len(found))], []map[string]any{{"key": "shop:a.java", "path": "a.java"}}
		if name := q.Get("facets"); name != "" {
			counts := map[string]int{}
			for _, i := range found {
				counts[map[string]string{"rules": i.Rule, "files": i.Component}[name]]++
			}
			var values []map[string]any
			for v, n := range counts {
				values = append(values, map[string]any{"val": v, "count": n})
			}
			answer["facets"] = []map[string]any{{"property": name, "values": values}}
		}
	default:
		w.WriteHeader(http.StatusNotFound)
		return
	}
	text, err := json.Marshal(answer)
	if err != nil {
		panic(err)
	}
	_, _ = w.Write(text)
}

func issues(n int, of func(i int, one *issue)) (all []issue) {
	for i := range n {
		one := issue{Key: fmt.Sprint("k", i), Rule: "java:S1", Severity: "MAJOR", Component: "shop:a.java", Project: "shop", Line: i + 1, Message: "bad", Type: "VULNERABILITY", Status: "OPEN", at: time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)}
		of(i, &one)
		one.Created = one.at.Format("2006-01-02T15:04:05-0700")
		all = append(all, one)
	}
	return all
}

// All issues of a project are fetched, also past what SonarQube shows of one search, or the report says that they are not.
func TestSonarQube(t *testing.T) {
	for _, c := range []struct {
		name    string
		issues  []issue
		cloud   bool
		partial bool
	}{
		{"none", nil, false, false},
		{"one page", issues(3, func(int, *issue) {}), false, false},
		{"several pages", issues(1203, func(int, *issue) {}), false, false},
		{"by severity", issues(12_000, func(i int, one *issue) { one.Severity = []string{"BLOCKER", "CRITICAL", "INFO"}[i%3] }), false, false},
		{"by date", issues(21_000, func(i int, one *issue) { one.at = one.at.Add(time.Duration(i) * time.Hour) }), false, false},
		{"by date, where the total is capped", issues(21_000, func(i int, one *issue) { one.at = one.at.Add(time.Duration(i/5000) * time.Second) }), true, false},
		{"by rule, all of one second", issues(12_000, func(i int, one *issue) { one.Rule = fmt.Sprint("java:S", i%4) }), false, false},
		{"by file, all of one second", issues(12_000, func(i int, one *issue) { one.Component = fmt.Sprintf("shop:%d.java", i%4) }), false, false},
		{"nothing parts them", issues(12_000, func(int, *issue) {}), false, true},
		{"nothing is sure to part them", issues(12_000, func(i int, one *issue) { one.Rule = fmt.Sprint("java:S", i%4) }), true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &sonar{issues: c.issues, cloud: c.cloud}
			server := httptest.NewServer(s)
			defer server.Close()
			got, _, err := fetch(t, "sonarqube", server.URL+"/sonar/", token, "shop", "main")
			if err != nil {
				t.Fatal(err)
			}
			list := got["sonarqube-issues"]
			if (list.Partial != "") != c.partial || list.report.Complete == c.partial && len(c.issues) > 0 && !c.cloud {
				t.Errorf("partial %q, complete %v: %s", list.Partial, list.report.Complete, list.report.Incomplete)
			}
			if !c.partial && (list.Records != len(c.issues) || list.report.Records != len(c.issues)) {
				t.Errorf("%d were fetched and %d read of %d", list.Records, list.report.Records, len(c.issues))
			}
			if len(list.findings) > 0 && (list.findings[0].ProductFields[finding.FieldCWE] != "CWE-89" || !strings.HasSuffix(list.findings[0].Place().File, ".java")) {
				t.Errorf("%v", list.findings[0].ProductFields)
			}
			hotspots := got["sonarqube-hotspots"]
			if len(hotspots.findings) != 1 || hotspots.report.Tool != "sonarqube-hotspots" || !hotspots.report.Complete || hotspots.findings[0].Place().File != "a.java" {
				t.Errorf("hotspots: %+v", hotspots.report.Told)
			}
		})
	}
}

// zapAPI is a running ZAP.
type zapAPI struct {
	alerts  []map[string]any
	told    int // how many it says there are
	passive string
	state   string
}

func (z *zapAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-ZAP-API-Key") != token || strings.Contains(r.URL.RawQuery, token) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	var answer any
	switch r.URL.Path {
	case "/JSON/core/view/version/":
		answer = map[string]string{"version": "2.16.1"}
	case "/JSON/alert/view/numberOfAlerts/":
		answer = map[string]string{"numberOfAlerts": strconv.Itoa(z.told)}
	case "/JSON/alert/view/alerts/":
		start, _ := strconv.Atoi(r.URL.Query().Get("start"))
		count, _ := strconv.Atoi(r.URL.Query().Get("count"))
		start = min(start, len(z.alerts))
		answer = map[string]any{"alerts": z.alerts[start:min(start+count, len(z.alerts))]}
	case "/JSON/pscan/view/recordsToScan/":
		answer = map[string]string{"recordsToScan": z.passive}
	case "/JSON/ascan/view/scans/":
		answer = map[string]any{"scans": []map[string]string{{"state": z.state}}}
	default:
		w.WriteHeader(http.StatusNotFound)
		return
	}
	text, err := json.Marshal(answer)
	if err != nil {
		panic(err)
	}
	_, _ = w.Write(text)
}

// The alerts of a ZAP become what its own report says: one finding of each alert of a site, with its addresses.
func TestZAP(t *testing.T) {
	var alerts []map[string]any
	for i := range 1201 {
		a := map[string]any{"pluginId": "40018", "alertRef": "40018-1", "alert": "SQL Injection", "name": "SQL Injection", "risk": "High", "confidence": "Medium", "description": "It may be possible.",
			"cweid": "89", "wascid": "19", "url": fmt.Sprintf("https://shop.example/products/%d?q=1", i%7), "method": "GET", "param": "q", "attack": "'", "tags": map[string]string{"OWASP_2021_A03": "https://owasp.org"}}
		if i%2 == 1 {
			a["pluginId"], a["alertRef"], a["name"], a["risk"] = "10020", "", "No header", "Low"
		}
		alerts = append(alerts, a)
	}
	for _, c := range []struct {
		api     zapAPI
		partial string
	}{
		{zapAPI{alerts, len(alerts), "0", "FINISHED"}, ""},
		{zapAPI{alerts, len(alerts) + 5, "0", "FINISHED"}, "1201 alerts could be fetched of 1206"},
		{zapAPI{alerts, len(alerts), "12", "FINISHED"}, "ZAP has 12 records to look at yet"},
		{zapAPI{alerts, len(alerts), "0", "RUNNING"}, "an active scan is running"},
	} {
		server := httptest.NewServer(&c.api)
		got, _, err := fetch(t, "zap", server.URL, token, "https://shop.example", "")
		server.Close()
		if err != nil {
			t.Fatal(err)
		}
		z := got["zap"]
		if z.Partial != c.partial || z.Records != len(alerts) || len(z.findings) != 2 || z.report.Format != "zap-json" || z.report.Version != "2.16.1" {
			t.Errorf("%+v %+v, want %q", z.Fetched, z.report.Told, c.partial)
		}
		f := z.findings[slices.IndexFunc(z.findings, func(f finding.Finding) bool { return f.Title == "SQL Injection" })]
		if f.Label() != finding.High || f.ProductFields[finding.FieldCWE] != "CWE-89" || f.ProductFields["haechi/owasp"] != "OWASP_2021_A03" || !strings.Contains(f.ProductFields["haechi/places"], "GET:https://shop.example/products/3?q") || f.ProductFields["haechi/report/instances"] != "601" {
			t.Errorf("%s", f.JSON())
		}
	}
}

// dojo is a DefectDojo.
type dojo struct{ findings []map[string]any }

func (d dojo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Token "+token {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"detail":"Invalid token."}`)
		return
	}
	q := r.URL.Query()
	if r.URL.Path != "/api/v2/findings/" || q.Get("test__engagement__product") != "7" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	limit, _ := strconv.Atoi(q.Get("limit"))
	offset, _ := strconv.Atoi(q.Get("offset"))
	offset = min(offset, len(d.findings))
	text, err := json.Marshal(map[string]any{"count": len(d.findings), "next": "https://elsewhere.example/", "results": d.findings[offset:min(offset+limit, len(d.findings))]})
	if err != nil {
		panic(err)
	}
	_, _ = w.Write(text)
}

// DefectDojo's findings come with what people decided there, without its duplicates.
func TestDefectDojo(t *testing.T) {
	var all []map[string]any
	for i := range 600 {
		all = append(all, map[string]any{"id": i + 1, "title": fmt.Sprint("finding ", i), "severity": "High", "description": "d", "cwe": 79, "file_path": "a.py", "line": i, "false_p": i == 0, "risk_accepted": i == 1, "duplicate": i == 2, "is_mitigated": i == 3,
			"component_name": "lodash", "component_version": "4.17.4", "vulnerability_ids": []map[string]string{{"vulnerability_id": "CVE-2021-23337"}}, "cvssv3": nil, "numerical_severity": "S1", "active": true, "date": "2026-01-02"})
	}
	server := httptest.NewServer(dojo{all})
	defer server.Close()
	got, _, err := fetch(t, "defectdojo", server.URL, token, "7", "")
	if err != nil {
		t.Fatal(err)
	}
	d := got["defectdojo"]
	if d.Records != 600 || d.report.Records != 599 || d.report.Suppressed != 2 || !d.report.Complete || d.Partial != "" {
		t.Errorf("%+v %+v", d.Fetched, d.report.Told)
	}
	f := d.findings[slices.IndexFunc(d.findings, func(f finding.Finding) bool { return f.Title == "finding 5" })]
	if f.Label() != finding.High || f.ProductFields[finding.FieldCWE] != "CWE-79" || f.Vulnerabilities[0].ID != "CVE-2021-23337" || f.ProductFields[finding.FieldInstalled] != "4.17.4" {
		t.Errorf("%s", f.JSON())
	}
	if _, _, err := fetch(t, "defectdojo", server.URL, token, "shop", ""); fault.Of(err) != fault.Invalid {
		t.Errorf("no number: %v", err)
	}
}

// A server that is busy is asked again when it wants to be; what is wrong is said, without the token, and nothing comes of it.
func TestFetchGoesWrong(t *testing.T) {
	s := &sonar{issues: issues(1, func(int, *issue) {})}
	s.busy.Store(3)
	server := httptest.NewServer(s)
	defer server.Close()
	got, waited, err := fetch(t, "sonarqube", server.URL+"/sonar", token, "shop", "")
	if err != nil || waited != 21*time.Second || got["sonarqube-issues"].Records != 1 {
		t.Errorf("busy: %v, waited %v", err, waited)
	}
	s.busy.Store(1000)
	if _, _, err := fetch(t, "sonarqube", server.URL+"/sonar", token, "shop", ""); fault.Of(err) != fault.Unavailable {
		t.Errorf("always busy: %v", err)
	}
	s.busy.Store(0)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the token went elsewhere: %v", r.Header)
	}))
	defer elsewhere.Close()
	answers := func(status int, text string) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", elsewhere.URL)
			w.WriteHeader(status)
			fmt.Fprint(w, text)
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	cut := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		fmt.Fprint(w, `{"issues":[`)
	}))
	defer cut.Close()
	for _, c := range []struct {
		address string
		key     seal.Secret
		want    string
	}{
		{server.URL + "/sonar", "wrong-" + token, "the token is missing, wrong or may not do this"},
		{server.URL + "/sonar", "", "the token is missing"},
		{answers(200, `{"issues":[`), token, "no whole JSON"},
		{answers(200, `<html>`), token, "no whole JSON"},
		{answers(200, `{"total":1,"issues":[{"line":1}]}`), token, "a record is without a key"},
		{answers(400, `{"errors":[{"msg":"Component key 'shop' not found"}]}`), token, "Component key 'shop' not found"},
		{answers(404, ``), token, "there is nothing at this address"},
		{answers(302, ``), token, "give that address"},
		{cut.URL, token, "broke off"},
		{"http://127.0.0.1:1", token, "connect"},
		{"ftp://x", token, "is not the address of a server"},
		{"https://" + "user:pass@x", token, "is not the address of a server"},
	} {
		_, _, err := fetch(t, "sonarqube", c.address, c.key, "shop", "")
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), token) {
			t.Errorf("%s: %v, want %q", c.address, err, c.want)
		}
	}
}

// A server whose answers never end is given up.
func TestFetchEnds(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `{"count":1000000000,"results":[{"id":1}]}`)
	}))
	defer server.Close()
	if _, _, err := fetch(t, "defectdojo", server.URL, token, "7", ""); fault.Of(err) != fault.Limit {
		t.Errorf("%v", err)
	}
}

// Whatever a server answers, a fetch ends, and what it wrote is JSON.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"total":2,"issues":[{"key":"a","rule":"r"}],"components":[{"key":"c"}],"hotspots":[{"key":"h"}],"alerts":[{"url":"http://x"}],"numberOfAlerts":"1","count":1,"results":[{"id":1}]}`))
	f.Add([]byte(`{"total":20000,"issues":[{"key":"a"}],"facets":[{"property":"rules","values":[{"val":"x","count":3}]}]}`))
	f.Add([]byte(`{"count":-1,"numberOfAlerts":"99999999","alerts":[]}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		var calls atomic.Int32
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if calls.Add(1) > 2000 {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			_, _ = w.Write(answer)
		}))
		defer server.Close()
		for _, s := range pull.Sources() {
			var all []*buffer
			got, err := s.Reports(t.Context(), pull.Server{URL: server.URL, Wait: func(context.Context, time.Duration) error { return nil }}, "7", "", func(string) (io.WriteCloser, error) {
				all = append(all, &buffer{})
				return all[len(all)-1], nil
			})
			if err != nil {
				continue
			}
			for i := range got {
				var v any
				if err := json.Unmarshal(all[i].Bytes(), &v); err != nil && bytes.Equal(bytes.ToValidUTF8(answer, nil), answer) && !bytes.Contains(answer, []byte{'\\'}) {
					if !strings.Contains(err.Error(), "duplicate") {
						t.Errorf("%s: %v\n%s", s.Name, err, all[i].Bytes())
					}
				}
			}
		}
	})
}
