package console_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/room/inspect"
	"github.com/haechi-dev/haechi/tool/sbom"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/finding"
)

// bugs are two: one of log4j-core that is known to be exploited, one of left-pad that nobody rated.
func bugs(t testing.TB) *advisory.Index {
	t.Helper()
	b := advisory.NewBuilder()
	for _, doc := range []string{
		`{"id":"GHSA-jfh8-c2jp-5v3q","aliases":["CVE-2021-44228"],"modified":"2024-01-01T00:00:00Z","published":"2021-12-10T00:00:00Z","summary":"Remote code injection in Log4j","details":"A lookup in what is logged is followed. <script>alert(1)</script> & <b>bold</b>","severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H"}],
"references":[{"type":"WEB","url":"https://logging.apache.org/log4j/2.x/security.html"},{"type":"WEB","url":"javascript:alert(1)"}],"affected":[{"package":{"ecosystem":"Maven","name":"org.apache.logging.log4j:log4j-core"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"2.0"},{"fixed":"2.15.0"}]}]}]}`,
		`{"id":"GHSA-pad","modified":"2026-01-01T00:00:00Z","summary":"left-pad pads on the right","affected":[{"package":{"ecosystem":"npm","name":"left-pad"},"versions":["1.0.0"]}]}`,
	} {
		if err := b.Add([]byte(doc)); err != nil {
			t.Fatal(err)
		}
	}
	x, err := b.Index(time.Unix(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// lib is a component of a kind, in a file of it.
func lib(kind, ecosystem, namespace, name, version string, licences ...string) component.Component {
	called := name
	if namespace != "" {
		called = namespace + ":" + name
	}
	c := component.Component{PURL: component.PURL(kind, namespace, name), Ecosystem: ecosystem, Name: called, Version: version, State: component.Resolved, Scope: component.Runtime, Direct: true, Licences: licences,
		Place: diag.Place{File: "src/main/resources/META-INF/lock.json", Line: 12}}
	if version == "" {
		c.State, c.Version = component.Unresolved, "^1"
	}
	return c
}

// made has what three things are made of kept and judged.
func (h *house) made() {
	h.t.Helper()
	log4j := func(version string) component.Component {
		return lib("maven", "Maven", "org.apache.logging.log4j", "log4j-core", version, "Apache-2.0")
	}
	deep := lib("npm", "npm", "", "left-pad", "1.0.0", "WTFPL", "MIT")
	deep.Direct, deep.Path, deep.Scope, deep.Layer = false, []string{"express", "결제", "left-pad"}, component.Development, &component.Layer{Digest: "sha256:1", Index: 3}
	for _, thing := range []struct {
		kind, target, branch string
		components           []component.Component
	}{
		{inspect.Source, "shop", "main", []component.Component{log4j("2.14.1"), deep, lib("npm", "npm", "", "pad-"+strings.Repeat("long-", 20), "", "AGPL-3.0-only")}},
		{inspect.Image, "registry.example/shop/api:1.2", "", []component.Component{log4j("2.17.1"), lib("cargo", "crates.io", "", "serde", "1.0.0")}},
		{inspect.SBOM, "gateway", "1.0", []component.Component{log4j("2.14.1")}},
	} {
		s := finding.Scan{ID: "scan-" + thing.target, Tool: "deps", Target: thing.target, Branch: thing.branch, Commit: strings.Repeat("c0ffee", 7)[:40], Complete: true}
		if err := h.inspect.Keep(h.t.Context(), thing.kind, s, thing.components); err != nil {
			h.t.Fatal(err)
		}
	}
	if err := h.inspect.Judge(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
}

// Who has log4j-core below 2.17 is answered by the version, by the thing and by where that runs; from the bug to who has it, and from a finding to both.
func TestComponents(t *testing.T) {
	h := home(t)
	h.made()
	if _, err := h.assets.ImportFile(t.Context(), "task.json", []byte(`{"version":"1.3","accountId":"`+account+`","awsRegion":"`+region+`","arn":"arn:aws:ecs:`+region+`:`+account+`:task-definition/api:7","resourceType":"AWS::ECS::TaskDefinition","resourceId":"api","resourceName":"api",
		"configurationItemStatus":"OK","configurationItemCaptureTime":1000,"configurationStateId":"1","tags":{},"configuration":"{\"ContainerDefinitions\":[{\"Image\":\"registry.example/shop/api:1.2\"}]}"}`)); err != nil {
		t.Fatal(err)
	}
	p := h.admin()
	has := func(path string, wanted ...string) string {
		t.Helper()
		a := p.get(path)
		for _, w := range wanted {
			if a.status != http.StatusOK || !strings.Contains(a.body, w) {
				t.Errorf("%s: %d, lacks %q", path, a.status, w)
			}
		}
		return a.body
	}
	found := has("/components?q=log4j-core+%3C+2.17", "2.14.1", "CVE-2021-44228", "mended in 2.15.0")
	if strings.Contains(found, "2.17.1") {
		t.Error("2.17.1 is below 2.17")
	}
	has("/components?q=log4j-core+%3E%3D+2.17", "2.17.1", "none known")
	link := ""
	for _, a := range read(t, found).all("a") {
		if strings.HasPrefix(a.attr["href"], "/components/package/") {
			link = a.attr["href"]
		}
	}
	has(link, "gateway · 1.0", "shop · main", "2.17.1", "All findings on this package", "Apache-2.0")
	has("/components/of/2", "runs in", "AWS::ECS::TaskDefinition api")
	has("/components?q=serde", "no data")
	has("/components?q=pad", "version unknown")
	advisory := has("/advisories/CVE-2021-44228", "gateway · 1.0", "shop · main", "GHSA-jfh8-c2jp-5v3q", "2.15.0", "10.0", "https://logging.apache.org/log4j/2.x/security.html")
	if strings.Contains(advisory, "javascript:") {
		t.Error("a script is a link")
	}
	has("/components/diff?from=1&to=2", "Vulnerabilities that are gone: 2", "upgraded: 1", "removed: 2", "added: 1")
	has("/components/diff?from=2&to=1", "New vulnerabilities: 2", "downgraded: 1")
	has("/licences", "Of 1 of 5 packages nobody says a licence", "offer the source also to those who use it over a network")
	list, err := h.hub.Find(t.Context(), hub.Query{Filters: hub.Filters{"GeneratorId": hub.Is("deps/CVE-2021-44228")}})
	if err != nil || len(list.Findings) != 2 {
		t.Fatal(len(list.Findings), err)
	}
	has("/findings?q=package%3A%22pkg%3Amaven%2Forg.apache.logging.log4j%2Flog4j-core%22", "CVE-2021-44228")
	var links []string
	for _, path := range []string{link, "/advisories/CVE-2021-44228"} {
		for _, a := range read(t, p.get(path).body).all("a") {
			if strings.HasPrefix(a.attr["href"], "/findings/") {
				links = append(links, a.attr["href"])
			}
		}
	}
	if len(links) != 4 {
		t.Fatalf("the ways to findings: %v", links)
	}
	slices.Sort(links)
	for _, path := range slices.Compact(links) {
		has(path, `href="/advisories/CVE-2021-44228"`, `href="/components?q=org.apache.logging.log4j%3Alog4j-core`)
	}
}

// What was decided is there to take away: a false positive is not affected, an accepted risk is, and what nobody decided is looked into.
func TestDecided(t *testing.T) {
	h := home(t)
	h.made()
	p := h.admin()
	list, err := h.hub.Find(t.Context(), hub.Query{Filters: hub.Filters{"GeneratorId": hub.Is("deps/CVE-2021-44228"), "ProductFields": {{Key: finding.FieldTarget, Value: "shop", Comparison: "EQUALS"}}}})
	if err != nil || len(list.Findings) != 1 {
		t.Fatal(len(list.Findings), err)
	}
	says := func(status string) {
		t.Helper()
		for format, want := range map[string]string{"openvex": `"status":"` + status + `"`, "vex": `"state":"` + map[string]string{"not_affected": "not_affected", "affected": "exploitable", "under_investigation": "in_triage"}[status] + `"`} {
			a := p.get("/components/of/1/" + format)
			text := jsontext.Value(a.body)
			if err := text.Compact(); a.status != http.StatusOK || err != nil {
				t.Fatalf("%s: %d %v %s", format, a.status, err, a.body)
			}
			if !strings.Contains(string(text), "CVE-2021-44228") || !strings.Contains(string(text), want) {
				t.Errorf("%s lacks %s: %s", format, want, text)
			}
		}
	}
	decide := func(kind string) {
		t.Helper()
		if _, err := h.hub.Update(t.Context(), hub.Update{Refs: []hub.Ref{hub.RefOf(list.Findings[0])}, By: "arn:aws:iam::" + account + ":user/kim", Accept: &hub.Acceptance{Kind: kind, Reason: "vulnerable_code_not_in_execute_path", Owner: "kim"}}); err != nil {
			t.Fatal(err)
		}
	}
	says("under_investigation")
	decide("false-positive")
	says("not_affected")
	decide("risk-accepted")
	says("affected")
}

// The bill of a thing is there to take away, in both formats, and says what the thing is made of.
func TestBills(t *testing.T) {
	h := home(t)
	h.made()
	p := h.admin()
	for format, want := range map[string]string{"cyclonedx": "CycloneDX 1.6", "spdx": "SPDX-2.3"} {
		a := p.get("/components/of/1/" + format)
		d, err := sbom.Read("x", []byte(a.body))
		if a.status != http.StatusOK || err != nil || d.Format != want || len(d.Components) != 3 {
			t.Errorf("%s: %d, %v, %s with %d components", format, a.status, err, d.Format, len(d.Components))
		}
		if got := a.header.Get("Content-Disposition"); !strings.HasPrefix(got, `attachment; filename="shop-main.`) {
			t.Errorf("it is called %s", got)
		}
	}
	if a := h.user("weak").get("/components/of/1/spdx"); a.status != http.StatusForbidden {
		t.Errorf("who may nothing gets it: %d", a.status)
	}
	if a := p.post("/components/drop", "target", "shop", "branch", "main"); a.status != http.StatusConflict {
		t.Errorf("what is scanned here is forgotten: %d", a.status)
	}
	if a := p.post("/components/drop", "target", "gateway", "branch", "1.0"); a.status != http.StatusSeeOther {
		t.Errorf("a bill is not forgotten: %d", a.status)
	}
	open, err := h.hub.Find(t.Context(), hub.Query{Filters: hub.Filters{"GeneratorId": hub.Is("deps/CVE-2021-44228"), "RecordState": hub.Is("ACTIVE")}})
	if err != nil || len(open.Findings) != 1 || p.get("/components/of/3").status != http.StatusNotFound {
		t.Errorf("%d findings are open when one bill is forgotten, %v", len(open.Findings), err)
	}
}
