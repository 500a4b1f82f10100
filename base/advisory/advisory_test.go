package advisory_test

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/word/fault"
)

var day = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// index is the documents, compiled and opened from a file.
func index(t testing.TB, documents ...string) *advisory.Index {
	t.Helper()
	b := advisory.NewBuilder()
	for _, d := range documents {
		if err := b.Add([]byte(d)); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "advisories")
	if err := b.WriteFile(path, day, "test"); err != nil {
		t.Fatal(err)
	}
	x, err := advisory.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	return x
}

func document(id, ecosystem, name, rest string) string {
	return fmt.Sprintf(`{"id":%q,"modified":"2026-01-01T00:00:00Z","affected":[{"package":{"ecosystem":%q,"name":%q},%s}]}`, id, ecosystem, name, rest)
}

func ids(t *testing.T, x *advisory.Index, ecosystem, name, version string) string {
	t.Helper()
	matches, err := x.Match(ecosystem, name, version)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range matches {
		all = append(all, m.ID+">"+m.Fixed)
	}
	return strings.Join(all, " ")
}

// Ranges are evaluated as OSV says: events in the order of versions, fixed
// excluded, last_affected included, several pairs in one range, listed versions.
func TestMatch(t *testing.T) {
	x := index(t,
		document("A-1", "npm", "p", `"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"1.2.0"},{"introduced":"2.0.0"},{"fixed":"2.0.5"}]}]`),
		document("A-2", "npm", "last", `"ranges":[{"type":"SEMVER","events":[{"last_affected":"1.4.0"},{"introduced":"1.0.0"}]}]`),
		document("A-3", "PyPI", "Listed_Name", `"versions":["1.0","1.1"]`),
		document("A-4", "npm", "git", `"ranges":[{"type":"GIT","events":[{"introduced":"0"}]}],"versions":["3.0.0"]`),
		document("A-5", "npm", "open", `"ranges":[{"type":"SEMVER","events":[{"introduced":"1.0.0"}]}]`),
		document("A-6", "npm", "limited", `"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"limit":"2.0.0"}]}]`),
		document("A-7", "Unheard", "odd", `"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"}]}],"versions":["seven"]`),
	)
	for _, c := range [][4]string{
		{"npm", "p", "0.1.0", "A-1>1.2.0"}, {"npm", "p", "1.2.0-rc1", "A-1>1.2.0"}, {"npm", "p", "1.2.0", ""}, {"npm", "p", "2.0.4", "A-1>2.0.5"}, {"npm", "p", "2.0.5", ""},
		{"npm", "last", "0.9.0", ""}, {"npm", "last", "1.4.0", "A-2>"}, {"npm", "last", "1.4.1", ""},
		{"PyPI", "listed.name", "1.0.0", "A-3>"}, {"PyPI", "listed-name", "1.2", ""},
		{"npm", "git", "3.0.0", "A-4>"}, {"npm", "git", "2.0.0", ""},
		{"npm", "open", "99.0.0", "A-5>"}, {"npm", "open", "0.1.0", ""}, {"npm", "open", "latest", ""},
		{"npm", "limited", "1.9.9", "A-6>"}, {"npm", "limited", "2.0.0", ""},
		{"Unheard", "odd", "seven", "A-7>"}, {"Unheard", "odd", "eight", ""},
		{"npm", "nobody", "1.0.0", ""}, {"Go", "p", "1.0.0", ""},
	} {
		if got := ids(t, x, c[0], c[1], c[2]); got != c[3] {
			t.Errorf("%s %s %s: %q, want %q", c[0], c[1], c[2], got, c[3])
		}
	}
	if x.Knows("Go") || !x.Knows("npm") || !x.Knows("PyPI") {
		t.Error("there are data on npm and PyPI, and none on Go")
	}
}

// One bug under several names is one match, named by its CVE, mended where all say so.
func TestAliases(t *testing.T) {
	rng := func(fixed string) string {
		return `"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"` + fixed + `"}]}]`
	}
	withAliases := func(d, more string) string { return strings.Replace(d, `"modified"`, more+`,"modified"`, 1) }
	x := index(t,
		withAliases(document("GO-2026-1", "Go", "m", rng("1.2.0")), `"aliases":["CVE-2026-1","GHSA-aaaa"]`),
		withAliases(document("GHSA-aaaa", "Go", "m", rng("1.3.0")), `"summary":"a bug","database_specific":{"severity":"HIGH"}`),
		withAliases(document("CVE-2026-1", "Go", "m", rng("1.1.0")), `"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]`),
		document("GO-2026-2", "Go", "m", rng("9.0.0")),
		withAliases(document("GO-2026-3", "Go", "m", rng("9.0.0")), `"withdrawn":"2026-02-02T00:00:00Z"`),
	)
	matches, err := x.Match("Go", "m", "1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	if len(matches) != 2 || matches[0].ID != "CVE-2026-1" || matches[1].ID != "GO-2026-2" {
		t.Fatalf("got %+v", matches)
	}
	m := matches[0]
	if diff := cmp.Diff([]string{"CVE-2026-1", "GHSA-aaaa", "GO-2026-1"}, m.Names); diff != "" {
		t.Error(diff)
	}
	if m.Fixed != "1.3.0" || m.Severity.Label != "CRITICAL" || m.Severity.Score != 9.8 || m.Severity.Source != "CVSS 3.1" || m.Advisories[0].Summary != "a bug" {
		t.Errorf("fixed %s, severity %+v, first %s", m.Fixed, m.Severity, m.Advisories[0].Summary)
	}
	if got := ids(t, x, "Go", "m", "1.2.5"); got != "GHSA-aaaa>1.3.0 GO-2026-2>9.0.0" {
		t.Errorf("1.2.5: %s", got)
	}
	if about := x.About(); about.Withdrawn != 1 || about.Advisories != 4 || about.Ecosystems["Go"] != 4 {
		t.Errorf("%+v", about)
	}
}

// Scores are those of FIRST's calculator.
func TestSeverity(t *testing.T) {
	for vector, want := range map[string]string{
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H": "CRITICAL 10 CVSS 3.1", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H": "CRITICAL 9.8 CVSS 3.1",
		"CVSS:3.0/AV:N/AC:H/PR:N/UI:R/S:C/C:H/I:N/A:N": "MEDIUM 6.1 CVSS 3.0", "CVSS:3.1/AV:N/AC:L/PR:H/UI:N/S:U/C:H/I:H/A:H": "HIGH 7.2 CVSS 3.1",
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:L": "MEDIUM 5.3 CVSS 3.1", "CVSS:3.1/AV:P/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N": "LOW 1.6 CVSS 3.1",
		"CVSS:3.1/AV:N/AC:L/PR:L/UI:R/S:C/C:L/I:L/A:N/E:P": "MEDIUM 5.4 CVSS 3.1",
		"CVSS:3.1/AV:N": "MEDIUM 0 the database", "nonsense": "MEDIUM 0 the database", "CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:N/VI:N/VA:H/SC:N/SI:N/SA:N": "MEDIUM 0 CVSS 4.0, rated by the database",
	} {
		d := document("A", "npm", "p", `"versions":["1.0.0"]`)
		x := index(t, strings.Replace(d, `"modified"`, `"severity":[{"type":"CVSS_V3","score":"`+vector+`"}],"database_specific":{"severity":"MODERATE","x":{}},"modified"`, 1))
		matches, err := x.Match("npm", "p", "1.0.0")
		if err != nil || len(matches) != 1 {
			t.Fatal(err, matches)
		}
		s := matches[0].Severity
		if got := fmt.Sprint(s.Label, " ", s.Score, " ", s.Source); got != want {
			t.Errorf("%s: %s, want %s", vector, got, want)
		}
	}
}

// The few that come with Haechi say what everybody knows.
func TestFew(t *testing.T) {
	x := advisory.Few()
	for _, c := range [][4]string{
		{"npm", "lodash", "4.17.20", "CVE-2020-28500>4.17.21 CVE-2021-23337>4.17.21"}, {"npm", "lodash", "4.17.21", ""}, {"npm", "minimist", "0.2.3", "CVE-2021-44906>0.2.4"},
		{"Maven", "org.apache.logging.log4j:log4j-core", "2.14.1", "CVE-2021-44228>2.15.0 CVE-2021-44832>2.17.1 CVE-2021-45046>2.16.0 CVE-2021-45105>2.17.0"},
		{"Maven", "org.apache.logging.log4j:log4j-core", "2.17.1", ""}, {"Go", "golang.org/x/text", "v0.3.7", "CVE-2022-32149>0.3.8"},
		{"PyPI", "PyYAML", "5.3", "CVE-2020-14343>5.4 CVE-2020-1747>5.3.1"}, {"PyPI", "requests", "2.31.0", ""},
	} {
		if got := ids(t, x, c[0], c[1], c[2]); got != c[3] {
			t.Errorf("%s %s: %q, want %q", c[1], c[2], got, c[3])
		}
	}
}

// A folder with zips and files becomes one index; what is broken is named and left out.
func TestImport(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "npm"), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(dir, "npm", "all.zip"))
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(f)
	for name, text := range map[string]string{"A-1.json": document("A-1", "npm", "p", `"versions":["1.0.0"]`), "broken.json": `{"id":`, "README.txt": "x", "nothing.json": `{}`} {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(z.Close(), f.Close(), os.WriteFile(filepath.Join(dir, "one.json"), []byte(document("A-2", "Go", "m", `"versions":["1.0.0"]`)), 0o644), os.WriteFile(filepath.Join(dir, "bad.zip"), []byte("PK"), 0o644)); err != nil {
		t.Fatal(err)
	}
	to, calls := filepath.Join(t.TempDir(), "data", "advisories"), 0
	report, err := advisory.Import(context.Background(), dir, to, day, func(int) { calls++ })
	if err != nil {
		t.Fatal(err)
	}
	if report.Read != 2 || report.Wrong != 3 || calls != 2 || report.About.Packages != 2 {
		t.Errorf("%+v after %d calls", report, calls)
	}
	for _, r := range report.Refused {
		if r.File != "bad.zip" && r.File != "npm/all.zip/broken.json" && r.File != "npm/all.zip/nothing.json" {
			t.Errorf("refused %v", r)
		}
	}
	old, err := advisory.Open(to)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	// What is open stays as it is when another import takes its place; one that finds nothing changes nothing.
	if _, err := advisory.Import(context.Background(), filepath.Join(dir, "one.json"), to, day, nil); err != nil {
		t.Fatal(err)
	}
	if got := ids(t, old, "npm", "p", "1.0.0"); got != "A-1>" {
		t.Errorf("the open index says %q", got)
	}
	if _, err := advisory.Import(context.Background(), t.TempDir(), to, day, nil); fault.Of(err) != fault.Invalid {
		t.Errorf("an empty folder: %v", err)
	}
	again, err := advisory.Open(to)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if about := again.About(); about.Advisories != 1 || about.Ecosystems["Go"] != 1 {
		t.Errorf("%+v", about)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(to), ".*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// A damaged or foreign file is refused, or answers with an error, and never breaks.
func FuzzIndex(f *testing.F) {
	b := advisory.NewBuilder()
	if err := b.Add([]byte(document("A-1", "npm", "p", `"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"1.2.0"}]}],"versions":["1.0.0"]`))); err != nil {
		f.Fatal(err)
	}
	good, err := b.Bytes(day)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)/2])
	path := filepath.Join(f.TempDir(), "index")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		x, err := advisory.Open(path)
		if err != nil {
			return
		}
		defer x.Close()
		for _, name := range []string{"p", "a", "z"} {
			if _, err := x.Match("npm", name, "1.0.0"); err != nil {
				return
			}
		}
	})
}

// A document is taken or refused, and what was taken can be asked.
func FuzzDocument(f *testing.F) {
	f.Add([]byte(document("A-1", "npm", "p", `"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"1.2.0"}]}],"versions":["1.0.0"],"database_specific":{"severity":7}`)))
	f.Add([]byte(`{"id":"A","severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],"affected":[{"package":{"ecosystem":"npm","name":"p"},"versions":["1.0.0"]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		b := advisory.NewBuilder()
		if b.Add(text) != nil {
			return
		}
		if _, err := b.Bytes(day); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	})
}

// A distribution is known by its releases: of one that no advisory names, silence says nothing.
func TestKnowsReleases(t *testing.T) {
	b := advisory.NewBuilder()
	if err := b.Add([]byte(`{"id":"A","affected":[{"package":{"ecosystem":"Debian:11","name":"p"},"versions":["1"]}]}`)); err != nil {
		t.Fatal(err)
	}
	x, err := b.Index(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for ecosystem, want := range map[string]bool{"Debian:11": true, "Debian:12": false, "Debian": false, "npm": false} {
		if got := x.Knows(ecosystem); got != want {
			t.Errorf("%s is known: %v", ecosystem, got)
		}
	}
}

// What was built for one stream of a module is held against that stream only.
func TestStreams(t *testing.T) {
	b := advisory.NewBuilder()
	document := `{"id":"ALSA-1","affected":[`
	for i, fixed := range []string{"1:10.24.0-1.module_el8.4.0+1", "1:12.22.5-1.module_el8.4.0+2", "1:14.17.5-1.module_el8.4.0+3"} {
		if i > 0 {
			document += ","
		}
		document += `{"package":{"ecosystem":"AlmaLinux:8","name":"nodejs"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"` + fixed + `"}]}]}`
	}
	if err := b.Add([]byte(document + "]}")); err != nil {
		t.Fatal(err)
	}
	x, err := b.Index(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for version, want := range map[string]string{"1:10.23.1-1.module_el8.3.0+9": "1:10.24.0-1.module_el8.4.0+1", "1:10.24.0-1.module_el8.4.0+1": "", "1:12.20.0-1.module_el8.3.0+9": "1:12.22.5-1.module_el8.4.0+2", "1:14.17.5-1.module_el8.4.0+3": "", "1:16.1.0-1.el8": ""} {
		found, err := x.Match("AlmaLinux:8", "nodejs", version)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if len(found) > 0 {
			got = found[0].Fixed
		}
		if got != want {
			t.Errorf("%s is mended in %q, want %q", version, got, want)
		}
	}
}
