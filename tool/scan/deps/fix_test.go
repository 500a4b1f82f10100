package deps_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/tool/scan/deps"
	"github.com/haechi-dev/haechi/tool/scan/deps/gocalls"
)

// indexOf is an index of documents.
func indexOf(t *testing.T, documents ...string) *advisory.Index {
	t.Helper()
	b := advisory.NewBuilder()
	for _, d := range documents {
		if err := b.Add([]byte(d)); err != nil {
			t.Fatal(err)
		}
	}
	x, err := b.Index(time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func bug(id, ecosystem, name, introduced, fixed string) string {
	return `{"id":"` + id + `","modified":"2026-01-01T00:00:00Z","affected":[{"package":{"ecosystem":"` + ecosystem + `","name":"` + name + `"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"` + introduced + `"},{"fixed":"` + fixed + `"}]}]}]}`
}

// The smallest upgrade that clears the most is proposed, and not one that brings another bug;
// as a patch that can be applied, after which nothing that has a fix is found.
func TestPatch(t *testing.T) {
	index := indexOf(t,
		bug("CVE-1", "npm", "direct", "0", "1.2.0"), bug("CVE-2", "npm", "direct", "0", "1.5.0"), bug("CVE-3", "npm", "direct", "1.5.0", "1.5.3"), bug("CVE-4", "npm", "deep", "0", "2.0.0"), bug("CVE-5", "npm", "deeper", "0", "3.0.0"),
		bug("CVE-6", "Go", "example.com/a", "0", "1.1.0"), bug("CVE-7", "Go", "example.com/b", "0", "0.9.0"),
		bug("CVE-8", "PyPI", "requests", "0", "2.31.0"), bug("CVE-9", "Maven", "g:own", "0", "1.1"), bug("CVE-10", "Maven", "g:one", "0", "2.1"), bug("CVE-11", "Maven", "g:two", "0", "2.2"), bug("CVE-12", "PyPI", "hashed", "0", "2.0"),
	)
	files := map[string]string{
		"web/package.json":      "{\n  \"name\": \"web\",\n  \"dependencies\": {\n    \"direct\": \"^1.0.0\"\n  }\n}\n",
		"web/package-lock.json": `{"lockfileVersion":3,"packages":{"":{"dependencies":{"direct":"^1.0.0"}},"node_modules/direct":{"version":"1.0.0","dependencies":{"deep":"*","deeper":"*"}},"node_modules/deep":{"version":"1.0.0"},"node_modules/deeper":{"version":"1.0.0"}}}`,
		"go.mod":                "module m\n\ngo 1.21\n\nrequire (\n\texample.com/a v1.0.0\n\texample.com/b v0.1.0 // indirect\n)\n",
		"requirements.txt":      "flask==1.0\nrequests == 2.0 ; python_version > '3' # pinned\nhashed==1.0 \\\n    --hash=sha256:00\n",
		"pom.xml": "<project>\n<properties>\n<v>2.0</v>\n</properties>\n<dependencies>\n<dependency><groupId>g</groupId><artifactId>own</artifactId>\n<version>1.0</version></dependency>\n" +
			"<dependency><groupId>g</groupId><artifactId>one</artifactId>\n<version>${v}</version></dependency>\n<dependency><groupId>g</groupId><artifactId>two</artifactId>\n<version>${v}</version></dependency>\n</dependencies>\n</project>",
	}
	dir := t.TempDir()
	for name, text := range files {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	scanner := deps.New(index)
	upgrades := func() []deps.Upgrade {
		r, err := scan.Tree(context.Background(), os.DirFS(dir), scan.Options{Scanners: []scan.Scanner{scanner}})
		if err != nil {
			t.Fatal(err)
		}
		all, err := scanner.Upgrades(r.Components)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	all := upgrades()
	if u := all[0]; u.Component.Name != "direct" || u.To != "1.5.3" || len(u.Clears) != 2 {
		t.Errorf("first of all %+v", u)
	}
	patch, left := deps.Patch(os.DirFS(dir), all)
	var reasons []string
	for _, l := range left {
		reasons = append(reasons, l.Component.Name+": "+l.Why)
	}
	want := []string{"hashed: its hashes must change, too: pip-compile --upgrade-package hashed==2.0"}
	if diff := cmp.Diff(want, reasons); diff != "" {
		t.Error(diff)
	}
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("no git here to apply the patch with")
	}
	cmd := exec.Command("git", "apply", "--unsafe-paths", "--directory", dir, "-")
	cmd.Dir, cmd.Stdin = "/", strings.NewReader(patch)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s\n%s", err, out, patch)
	}
	for name, part := range map[string]string{"web/package.json": "\"direct\": \"^1.5.3\"", "go.mod": "example.com/b v0.9.0 // indirect", "requirements.txt": "requests == 2.31.0 ; python", "pom.xml": "<v>2.2</v>"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !strings.Contains(string(text), part) {
			t.Errorf("%s, %v, has no %s:\n%s", name, err, part, text)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "web/package.json"))
	if err != nil || !strings.Contains(string(text), `"deep": "2.0.0"`) || !strings.Contains(string(text), `"deeper": "3.0.0"`) {
		t.Errorf("what others bring in is not overridden, %v:\n%s", err, text)
	}
	if err := os.Remove(filepath.Join(dir, "web/package-lock.json")); err != nil { // the package manager writes it anew
		t.Fatal(err)
	}
	for _, u := range upgrades() {
		if u.Component.Name != "hashed" {
			t.Errorf("%s %s could still be upgraded", u.Component.Name, u.Component.Version)
		}
	}
}

// Of a bug in Go whose functions are known, the call graph says whether they are called, and how.
func TestCalls(t *testing.T) {
	withSymbols := func(id, symbol string) string {
		return `{"id":"` + id + `","modified":"2026-01-01T00:00:00Z","affected":[{"package":{"ecosystem":"Go","name":"stdlib"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"1.99.0"}]}],"ecosystem_specific":{"imports":[{"path":"strings","symbols":["` + symbol + `"]}]}}]}`
	}
	index := indexOf(t, withSymbols("CVE-1", "ToUpper"), withSymbols("CVE-2", "ToTitle"))
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module example.com/app\n\ngo 1.21.0\n", "main.go": "package main\n\nimport \"strings\"\n\nfunc main() { println(strings.ToUpper(\"a\")) }\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	scanner := deps.New(index).Calling(func(ctx context.Context, at string, symbols map[string][]string) (map[string]string, error) {
		return gocalls.Called(ctx, filepath.Join(dir, at), symbols)
	})
	r, err := scan.Tree(context.Background(), os.DirFS(dir), scan.Options{Scanners: []scan.Scanner{scanner}})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Runs[0].Findings {
		want := map[string]string{"CVE-1": "called", "CVE-2": "not called"}[f.Vulnerabilities[0].ID]
		if got := f.ProductFields["haechi/reach"]; got != want {
			t.Errorf("%s is %q, want %q", f.Title, got, want)
		}
		if evidence := f.ProductFields["haechi/evidence"]; want == "called" && !strings.Contains(evidence, "called by example.com/app.main > strings.ToUpper") {
			t.Errorf("the evidence is %q", evidence)
		}
	}
	if len(r.Runs[0].Findings) != 2 || !r.Runs[0].Scan.Complete {
		t.Errorf("%d findings, %+v", len(r.Runs[0].Findings), r.Runs[0].Scan)
	}
}

// Licences that ask for something are findings that a gate can stop on; those that only want their notice kept are none.
func TestObligations(t *testing.T) {
	r := run(t, tree(map[string]string{
		"composer.lock":               `{"packages":[{"name":"a/a","version":"1.0.0","license":["MIT"]},{"name":"b/b","version":"1.0.0","license":["AGPL-3.0-only"]},{"name":"c/c","version":"1.0.0","license":["GPL-2.0-only","MIT"]},{"name":"d/d","version":"1.0.0","license":["Our own"]}],"packages-dev":[{"name":"e/e","version":"1.0.0","license":["GPL-3.0-only"]}]}`,
		"package-lock.json":           `{"lockfileVersion":3,"packages":{"":{"dependencies":{"x":"1"}},"node_modules/x":{"version":"1.0.0"}}}`,
		"node_modules/x/package.json": `{"name":"x","version":"1.0.0","license":"MPL-2.0"}`,
	}))
	var got []string
	for _, f := range r.Runs[0].Findings {
		if f.GeneratorID == deps.LicenceRule {
			got = append(got, f.Where()+" "+f.ProductFields["haechi/licence"]+" "+f.ProductFields["haechi/obligation"])
		}
	}
	slices.Sort(got)
	want := []string{"composer.lock:1 AGPL-3.0-only network", "composer.lock:1 Our own other", "package-lock.json:1 MPL-2.0 weak"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A finding says whether anybody imports what is vulnerable, where sources were seen.
func TestReach(t *testing.T) {
	index := indexOf(t, bug("CVE-1", "npm", "used", "0", "9.0.0"), bug("CVE-2", "npm", "unused", "0", "9.0.0"), bug("CVE-3", "PyPI", "pyyaml", "0", "9.0"), bug("CVE-4", "Maven", "com.fasterxml.jackson.core:jackson-databind", "0", "9.0"), bug("CVE-5", "Maven", "org.apache.commons:commons-text", "0", "9.0"), bug("CVE-6", "PyPI", "flask", "0", "9.0"), bug("CVE-7", "npm", "below", "0", "9.0.0"))
	files := tree(map[string]string{
		"package.json":      `{"dependencies": {"used": "1.0.0"}}`,
		"package-lock.json": `{"lockfileVersion":3,"packages":{"":{"dependencies":{"used":"1.0.0","unused":"1.0.0"}},"node_modules/used":{"version":"1.0.0","dependencies":{"below":"*"}},"node_modules/unused":{"version":"1.0.0"},"node_modules/below":{"version":"1.0.0"}}}`,
		"src/a.ts":          "// x\nimport { y } from \"used/deep\";\n",
		"requirements.txt":  "PyYAML==5.0\nflask==1.0\n",
		"app/main.py":       "import os, yaml as y\n",
		"pom.xml":           `<project><dependencies><dependency><groupId>com.fasterxml.jackson.core</groupId><artifactId>jackson-databind</artifactId><version>2.0</version></dependency><dependency><groupId>org.apache.commons</groupId><artifactId>commons-text</artifactId><version>1.0</version></dependency></dependencies></project>`,
		"src/A.java":        "package a;\nimport com.fasterxml.jackson.databind.ObjectMapper;\n",
	})
	r, err := scan.Tree(context.Background(), files, scan.Options{Scanners: []scan.Scanner{deps.New(index).Reaching()}})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range r.Runs[0].Findings {
		if len(f.Vulnerabilities) > 0 {
			got[f.Vulnerabilities[0].ID] = f.ProductFields["haechi/reach"]
		}
	}
	want := map[string]string{"CVE-1": "imported", "CVE-2": "not imported", "CVE-3": "imported", "CVE-4": "imported", "CVE-5": "not imported", "CVE-6": "not imported", "CVE-7": "imported"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
