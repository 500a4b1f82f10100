package deps_test

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/tool/sbom"
	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/tool/scan/deps"
	"github.com/haechi-dev/haechi/tool/scan/scantest"
	"github.com/haechi-dev/haechi/word/finding"
)

func tree(files map[string]string) fstest.MapFS {
	t := fstest.MapFS{}
	for name, text := range files {
		t[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return t
}

func run(t *testing.T, files fs.FS) scan.Result {
	t.Helper()
	r, err := scan.Tree(context.Background(), files, scan.Options{Scanners: []scan.Scanner{deps.New(advisory.Few())}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// listed is what components say, one a line.
func listed(r scan.Result) []string {
	var all []string
	for _, c := range r.Components {
		direct := "transitive"
		if c.Direct {
			direct = "direct"
		}
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s %s %s %s %s %s", c.Place, c.PURL, c.Version, c.State, c.Scope, direct, strings.Join(c.Path, ">"))))
	}
	return all
}

const lock3 = `{
  "name": "shop", "lockfileVersion": 3,
  "packages": {
    "": {"name": "shop", "dependencies": {"mkdirp": "^0.5.0", "@x/alias": "npm:lodash@4.17.20"}, "devDependencies": {"jest": "1.0.0"}, "workspaces": ["tools"]},
    "node_modules/mkdirp": {"version": "0.5.1", "license": "MIT", "dependencies": {"minimist": "0.0.8"}},
    "node_modules/mkdirp/node_modules/minimist": {"version": "0.0.8"},
    "node_modules/@x/alias": {"name": "lodash", "version": "4.17.20"},
    "node_modules/jest": {"version": "1.0.0", "dev": true, "dependencies": {"minimist": "^1.2.0"}},
    "node_modules/minimist": {"version": "1.2.8", "dev": true},
    "node_modules/private": {"version": "git+ssh://git@host.internal/private.git#abc"},
    "node_modules/tools": {"resolved": "tools", "link": true},
    "tools": {"version": "1.0.0", "dependencies": {"private": "*"}}
  }
}`

const lock1 = `{
  "name": "shop", "lockfileVersion": 1,
  "dependencies": {
    "mkdirp": {
      "version": "0.5.1",
      "requires": {"minimist": "0.0.8"},
      "dependencies": {
        "minimist": {"version": "0.0.8"}
      }
    },
    "lodash": {"version": "4.17.20", "dev": true}
  }
}`

// Lock files of npm are read with lines, scopes and ways, aliases by their real names.
func TestNpm(t *testing.T) {
	want := []string{
		"package-lock.json:5 pkg:npm/mkdirp 0.5.1 RESOLVED runtime direct mkdirp",
		"package-lock.json:6 pkg:npm/minimist 0.0.8 RESOLVED runtime transitive mkdirp>minimist",
		"package-lock.json:7 pkg:npm/lodash 4.17.20 RESOLVED runtime direct @x/alias",
		"package-lock.json:8 pkg:npm/jest 1.0.0 RESOLVED development direct jest",
		"package-lock.json:9 pkg:npm/minimist 1.2.8 RESOLVED development transitive jest>minimist",
		"package-lock.json:10 pkg:npm/private git+ssh://git@host.internal/private.git#abc UNRESOLVED runtime direct private",
	}
	r := run(t, tree(map[string]string{"package-lock.json": lock3}))
	if diff := cmp.Diff(want, listed(r)); diff != "" {
		t.Error(diff)
	}
	want = []string{
		"package-lock.json:4 pkg:npm/mkdirp 0.5.1 RESOLVED runtime direct mkdirp",
		"package-lock.json:8 pkg:npm/minimist 0.0.8 RESOLVED runtime transitive mkdirp>minimist",
		"package-lock.json:11 pkg:npm/lodash 4.17.20 RESOLVED development direct lodash",
	}
	if diff := cmp.Diff(want, listed(run(t, tree(map[string]string{"package-lock.json": lock1})))); diff != "" {
		t.Error(diff)
	}
	r = run(t, tree(map[string]string{"package-lock.json": lock1, "package.json": `{"dependencies":{"mkdirp":"*","minimist":"*"}}`}))
	if got := listed(r)[2]; !strings.HasSuffix(got, "transitive lodash") {
		t.Errorf("package.json does not ask for it: %s", got)
	}
}

const goModText = `module example.com/shop

go 1.26

require (
	golang.org/x/text v0.3.3
	github.com/old/thing v1.0.0 // indirect
	example.com/local v0.0.0
)

replace github.com/old/thing => github.com/new/thing v1.2.3

replace example.com/local => ./local
`

// A go.mod is read with its replacements; a version of the language is none of the library.
func TestGoMod(t *testing.T) {
	want := []string{
		"go.mod:3 pkg:golang/stdlib 1.26 UNRESOLVED runtime direct stdlib",
		"go.mod:6 pkg:golang/golang.org/x/text 0.3.3 RESOLVED runtime direct golang.org/x/text",
		"go.mod:7 pkg:golang/github.com/new/thing 1.2.3 RESOLVED runtime transitive",
		"go.mod:8 pkg:golang/example.com/local => ./local UNRESOLVED runtime direct example.com/local",
	}
	if diff := cmp.Diff(want, listed(run(t, tree(map[string]string{"go.mod": goModText})))); diff != "" {
		t.Error(diff)
	}
	want = []string{"go.mod:3 pkg:golang/stdlib 1.26.3 RESOLVED runtime direct stdlib"}
	if diff := cmp.Diff(want, listed(run(t, tree(map[string]string{"go.mod": "module m\ngo 1.26\ntoolchain go1.26.3\n"})))); diff != "" {
		t.Error(diff)
	}
}

// Requirements are pinned or unresolved; files that are included and not met otherwise are followed.
func TestRequirements(t *testing.T) {
	files := map[string]string{
		"requirements.txt": "# comment\nPyYAML==5.3  # pinned\nrequests[socks] >= 2.0 ; python_version > '3'\nurllib3==1.26.5 \\\n    --hash=sha256:abc\n-r base.in\n-r requirements-dev.txt\n--index-url https://index.internal/\n" +
			"-e git+https://host.internal/x.git@main#egg=My_Pkg\ndjango @ https://host.internal/django.whl\nflask==1.*\n./local/wheel.whl\nzope.interface===4.0\nconstrained>=1\n-c limits/constraints.txt\n",
		"limits/constraints.txt": "-r more.txt\nflask==1.1 # the requirement says less\n",
		"limits/more.txt":        "Constrained==1.5\n",
		"base.in":                "six\n-r base.in\n",
		"requirements-dev.txt":   "pytest==7.0\n",
	}
	want := []string{
		"base.in:1 pkg:pypi/six  UNRESOLVED runtime direct",
		"requirements-dev.txt:1 pkg:pypi/pytest 7.0 RESOLVED development direct",
		"requirements.txt:2 pkg:pypi/pyyaml 5.3 RESOLVED runtime direct",
		"requirements.txt:3 pkg:pypi/requests >= 2.0 UNRESOLVED runtime direct",
		"requirements.txt:4 pkg:pypi/urllib3 1.26.5 RESOLVED runtime direct",
		"requirements.txt:9 pkg:pypi/my-pkg git+https://host.internal/x.git@main#egg=My_Pkg UNRESOLVED runtime direct",
		"requirements.txt:10 pkg:pypi/django @ https://host.internal/django.whl UNRESOLVED runtime direct",
		"requirements.txt:11 pkg:pypi/flask 1.1 RESOLVED runtime direct",
		"requirements.txt:13 pkg:pypi/zope-interface 4.0 RESOLVED runtime direct",
		"requirements.txt:14 pkg:pypi/constrained 1.5 RESOLVED runtime direct",
	}
	if diff := cmp.Diff(want, listed(run(t, tree(files)))); diff != "" {
		t.Error(diff)
	}
}

const parentPom = `<project><groupId>g</groupId><artifactId>parent</artifactId><version>1</version><packaging>pom</packaging>
<properties><log4j.version>2.14.1</log4j.version><alias>${log4j.version}</alias></properties>
<dependencyManagement><dependencies>
<dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-core</artifactId><version>${alias}</version></dependency>
<dependency><groupId>g</groupId><artifactId>bom</artifactId><version>1</version><type>pom</type><scope>import</scope></dependency>
</dependencies></dependencyManagement></project>`

const childPom = `<?xml version="1.0" encoding="ISO-8859-1"?>
<project>
  <parent><groupId>g</groupId><artifactId>parent</artifactId><version>1</version></parent>
  <artifactId>child</artifactId>
  <dependencies>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-core</artifactId>
    </dependency>
    <dependency><groupId>junit</groupId><artifactId>junit</artifactId><version>4.13</version><scope>test</scope></dependency>
    <dependency><groupId>${project.groupId}</groupId><artifactId>sibling</artifactId><version>${project.version}</version></dependency>
    <dependency><groupId>x</groupId><artifactId>from-bom</artifactId></dependency>
    <dependency><groupId>x</groupId><artifactId>elsewhere</artifactId></dependency>
    <dependency><groupId>x</groupId><artifactId>range</artifactId><version>[1.0,2.0)</version></dependency>
    <dependency><groupId>x</groupId><artifactId>loop</artifactId><version>${a}</version></dependency>
  </dependencies>
  <properties><a>${b}</a><b>${a}</b></properties>
</project>`

// A pom.xml is resolved through properties, parents and lists of versions as far as the tree holds them.
func TestPom(t *testing.T) {
	files := map[string]string{"pom.xml": parentPom, "child/pom.xml": childPom,
		"bom/pom.xml": `<project><artifactId>bom</artifactId><dependencyManagement><dependencies><dependency><groupId>x</groupId><artifactId>from-bom</artifactId><version>3.0</version></dependency></dependencies></dependencyManagement></project>`}
	want := []string{
		"child/pom.xml:8 pkg:maven/org.apache.logging.log4j/log4j-core 2.14.1 RESOLVED runtime direct org.apache.logging.log4j:log4j-core",
		"child/pom.xml:10 pkg:maven/junit/junit 4.13 RESOLVED development direct junit:junit",
		"child/pom.xml:11 pkg:maven/g/sibling 1 RESOLVED runtime direct g:sibling",
		"child/pom.xml:12 pkg:maven/x/from-bom 3.0 RESOLVED runtime direct x:from-bom",
		"child/pom.xml:13 pkg:maven/x/elsewhere managed elsewhere UNRESOLVED runtime direct x:elsewhere",
		"child/pom.xml:14 pkg:maven/x/range [1.0,2.0) UNRESOLVED runtime direct x:range",
		"child/pom.xml:15 pkg:maven/x/loop ${a} UNRESOLVED runtime direct x:loop",
	}
	if diff := cmp.Diff(want, listed(run(t, tree(files)))); diff != "" {
		t.Error(diff)
	}
}

// What the tree does not say, a repository of Maven on this machine does: parents, lists of
// versions, and what dependencies need in turn, the nearest version first.
func TestLocalMaven(t *testing.T) {
	repository := tree(map[string]string{
		"org/boot/parent/3/parent-3.pom": `<project><groupId>org.boot</groupId><artifactId>parent</artifactId><version>3</version><dependencyManagement><dependencies><dependency><groupId>org.boot</groupId><artifactId>bom</artifactId><version>3</version><type>pom</type><scope>import</scope></dependency></dependencies></dependencyManagement></project>`,
		"org/boot/bom/3/bom-3.pom":       `<project><artifactId>bom</artifactId><properties><w>2.5</w></properties><dependencyManagement><dependencies><dependency><groupId>org.web</groupId><artifactId>web</artifactId><version>${w}</version></dependency><dependency><groupId>org.log</groupId><artifactId>log</artifactId><version>1.9</version></dependency></dependencies></dependencyManagement></project>`,
		"org/web/web/2.5/web-2.5.pom": `<project><groupId>org.web</groupId><artifactId>web</artifactId><version>2.5</version><licenses><license><name>Apache License, Version 2.0</name></license></licenses><dependencies>
<dependency><groupId>org.log</groupId><artifactId>log</artifactId><version>1.0</version></dependency>
<dependency><groupId>org.x</groupId><artifactId>out</artifactId><version>1.0</version></dependency>
<dependency><groupId>org.x</groupId><artifactId>maybe</artifactId><version>1.0</version><optional>true</optional></dependency>
<dependency><groupId>org.x</groupId><artifactId>tests</artifactId><version>1.0</version><scope>test</scope></dependency>
<dependency><groupId>${project.groupId}</groupId><artifactId>core</artifactId><version>${project.version}</version></dependency></dependencies></project>`,
		"org/web/core/2.5/core-2.5.pom": `<project><artifactId>core</artifactId><dependencies><dependency><groupId>org.web</groupId><artifactId>web</artifactId><version>1.0</version></dependency><dependency><groupId>org.x</groupId><artifactId>deep</artifactId><version>7</version></dependency></dependencies></project>`,
	})
	files := tree(map[string]string{"pom.xml": `<project><parent><groupId>org.boot</groupId><artifactId>parent</artifactId><version>3</version></parent><artifactId>app</artifactId><dependencies>
<dependency><groupId>org.web</groupId><artifactId>web</artifactId><exclusions><exclusion><groupId>org.x</groupId><artifactId>out</artifactId></exclusion></exclusions></dependency></dependencies></project>`})
	r, err := scan.Tree(context.Background(), files, scan.Options{Scanners: []scan.Scanner{deps.New(advisory.Few()).Beside(deps.Local{Maven: repository})}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"pom.xml:2 pkg:maven/org.log/log 1.9 RESOLVED runtime transitive org.web:web>org.log:log",
		"pom.xml:2 pkg:maven/org.web/core 2.5 RESOLVED runtime transitive org.web:web>org.web:core",
		"pom.xml:2 pkg:maven/org.web/web 2.5 RESOLVED runtime direct org.web:web",
		"pom.xml:2 pkg:maven/org.x/deep 7 RESOLVED runtime transitive org.web:web>org.web:core>org.x:deep",
	}
	if diff := cmp.Diff(want, listed(r)); diff != "" {
		t.Error(diff)
	}
	if got := r.Components[2].Licences; len(got) != 1 {
		t.Errorf("the licence is %q", got)
	}
}

// A vulnerable version becomes one finding for each bug and manifest, which says how it came in and what to do.
func TestFinding(t *testing.T) {
	r := run(t, tree(map[string]string{"web/package-lock.json": lock3}))
	var f finding.Finding
	for _, x := range r.Runs[0].Findings {
		if x.GeneratorID == "deps/CVE-2021-44906" {
			f = x
		}
	}
	if f.GeneratorID == "" {
		t.Fatalf("not found among %d", len(r.Runs[0].Findings))
	}
	if got, want := f.Label(), finding.Critical; got != want {
		t.Errorf("severity %s, want %s", got, want)
	}
	if got, want := f.Where(), "web/package-lock.json:6"; got != want {
		t.Errorf("where %s, want %s", got, want)
	}
	if got, want := f.Remediation.Recommendation.Text, "Upgrade minimist to 0.2.4 or later: take a version of mkdirp that asks for it, or override the version in web/package-lock.json."; got != want {
		t.Errorf("advice %q, want %q", got, want)
	}
	v := f.Vulnerabilities[0]
	want := finding.Vulnerability{ID: "CVE-2021-44906", Related: []string{"GHSA-xvch-5gv4-984h"}, ReferenceURLs: v.ReferenceURLs, FixAvailable: "YES",
		Packages: []finding.Package{{Name: "minimist", Version: "0.0.8", PackageManager: "NPM", FilePath: "web/package-lock.json", FixedInVersion: "0.2.4"}},
		Extra:    []byte(`{"Cvss":[{"Version":"3.1","BaseScore":9.8,"BaseVector":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]}`)}
	if diff := cmp.Diff(want, v); diff != "" {
		t.Error(diff)
	}
	moved := run(t, tree(map[string]string{"web/package-lock.json": "\n\n" + strings.Replace(lock3, `"0.0.8"}`, `"0.0.7"}`, 1)}))
	same := slices.ContainsFunc(moved.Runs[0].Findings, func(x finding.Finding) bool {
		return x.ProductFields[finding.FieldFingerprint] == f.ProductFields[finding.FieldFingerprint]
	})
	if !same {
		t.Error("another version on another line is another finding")
	}
}

// A broken manifest is named with its place, and the scan is incomplete.
func TestBroken(t *testing.T) {
	r := run(t, tree(map[string]string{"package-lock.json": "{\n  \"packages\": [\n", "go.mod": "module m\nrequire x\n", "pom.xml": "<project>\n<dependencies>", "a/package-lock.json": lock3}))
	var where []string
	for _, p := range r.Runs[0].Scan.Skipped {
		where = append(where, p.File)
		if p.Why == "" {
			t.Errorf("%v without a reason", p)
		}
	}
	if diff := cmp.Diff([]string{"go.mod", "package-lock.json", "pom.xml"}, where); diff != "" || r.Runs[0].Scan.Complete {
		t.Error(diff)
	}
	if len(r.Components) == 0 {
		t.Error("the good one was not listed")
	}
}

// Where there are no advisories on an ecosystem, silence is no health.
func TestNoData(t *testing.T) {
	b := advisory.NewBuilder()
	if err := b.Add([]byte(`{"id":"A","affected":[{"package":{"ecosystem":"npm","name":"p"},"versions":["1.0.0"]}]}`)); err != nil {
		t.Fatal(err)
	}
	x, err := b.Index(advisory.Few().About().Built)
	if err != nil {
		t.Fatal(err)
	}
	r, err := scan.Tree(context.Background(), tree(map[string]string{"requirements.txt": "six==1.0\n"}), scan.Options{Scanners: []scan.Scanner{deps.New(x)}})
	if err != nil {
		t.Fatal(err)
	}
	if s := r.Runs[0].Scan; s.Complete || len(s.Skipped) != 1 || !strings.HasPrefix(s.Skipped[0].Why, "NO DATA") {
		t.Errorf("%+v", s)
	}
}

// The scanner keeps the promises that every scanner makes, with files of all formats.
func TestProve(t *testing.T) {
	all := tree(map[string]string{"web/package-lock.json": lock3, "old/package-lock.json": lock1, "go.mod": goModText, "requirements.txt": "PyYAML==5.3\n", "pom.xml": parentPom, "child/pom.xml": childPom})
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		files, _, _ := unpacked(t, name)
		for inside, file := range files {
			all[filepath.Base(name)+"/"+inside] = file
		}
	}
	scantest.Prove(t, func() scan.Scanner { return deps.New(advisory.Few()).Reaching() }, all)
}

// A distribution's packages are held against advisories by their source packages and its release.
func TestDistribution(t *testing.T) {
	files, _, _ := unpacked(t, "testdata/systems.txtar")
	index := indexOf(t, bug("DSA-1", "Debian:11", "openssl", "0", "1.1.1k-1+deb11u1"), bug("DSA-2", "Debian:10", "openssl", "0", "9"), bug("DSA-3", "Debian:11", "glibc", "0", "2.31-13"), bug("A-1", "Alpine:v3.9", "musl", "0", "1.1.20-r5"))
	r, err := scan.Tree(context.Background(), files, scan.Options{Scanners: []scan.Scanner{deps.New(index)}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range r.Runs[0].Findings {
		if len(f.Vulnerabilities) > 0 {
			p := f.Vulnerabilities[0].Packages[0]
			got = append(got, f.Where()+" "+f.Vulnerabilities[0].ID+" "+p.Name+" "+p.Version+" "+p.FixedInVersion+" "+p.PackageManager)
		}
	}
	want := []string{"alpine/lib/apk/db/installed:1 A-1 musl 1.1.20-r4 1.1.20-r5 OS", "debian/var/lib/dpkg/status:1 DSA-1 libssl1.1 1.1.1k-1+b1 1.1.1k-1+deb11u1 OS"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// kinds are files of every format, by which FuzzManifest chooses.
var kinds = []string{"package-lock.json", "yarn.lock", "pnpm-lock.yaml", "bun.lock", "package.json", "node_modules/a/package.json", "go.mod", "go.sum", "pom.xml", "gradle.lockfile", "verification-metadata.xml", "libs.versions.toml", "build.gradle",
	"requirements.txt", "Pipfile.lock", "poetry.lock", "uv.lock", "pdm.lock", "pylock.toml", "pyproject.toml", "Pipfile", "a.dist-info/METADATA", "Gemfile.lock", "Gemfile", "specifications/a.gemspec", "Cargo.lock", "Cargo.toml",
	"composer.lock", "composer.json", "packages.lock.json", "a.deps.json", "packages.config", "a.csproj", "Directory.Packages.props", ".github/workflows/a.yml", "Dockerfile", "compose.yaml", "a.cdx.json", "a.spdx", "bom.xml",
	"var/lib/dpkg/status", "lib/apk/db/installed", "var/lib/rpm/rpmdb.sqlite", "var/lib/rpm/Packages.db", "var/lib/rpm/Packages", "a.jar", "program", "pubspec.lock", "mix.lock", "Package.resolved", "Podfile.lock", "conan.lock", "renv.lock", "stack.yaml.lock", "cabal.project.freeze", "a.js", "a.py", "A.java"}

// beside is what lies beside a fuzzed file, for the parsers that look there.
var beside = map[string]string{"Gemfile.lock": "GEM\n  specs:\n    a (1.0)\n\nDEPENDENCIES\n  a\n", "go.mod": "module m\ngo 1.16\nrequire a.b/c v1.0.0\n", "Pipfile.lock": `{"default":{"a":{"version":"==1"}}}`, "a.csproj": `<Project><ItemGroup><PackageReference Include="A"/></ItemGroup></Project>`,
	"package-lock.json": lock1, "Cargo.lock": "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n", "etc/os-release": "ID=debian\nVERSION_ID=11\n"}

// Any file of any kind is listed or refused, alone in a tree or with others beside it: nothing breaks.
func FuzzManifest(f *testing.F) {
	byKind := func(name string) byte {
		for i, k := range kinds {
			if strings.HasSuffix(name, k) || strings.HasSuffix(k, filepath.Ext(name)) && filepath.Ext(name) != "" && filepath.Ext(name) != ".json" && filepath.Ext(name) != ".lock" && filepath.Ext(name) != ".toml" {
				return byte(i)
			}
		}
		return 0
	}
	for name, text := range map[string]string{"package-lock.json": lock3, "x/package-lock.json": lock1, "go.mod": goModText, "requirements.txt": "a==1\nb[x]>=2 ; python_version>'3'\n-r c\nd @ https://x\n-e git+x#egg=e\n", "pom.xml": parentPom, "x/pom.xml": childPom} {
		f.Add(byKind(name), []byte(text))
	}
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		files, _, _ := unpacked(f, name)
		for name, file := range files {
			f.Add(byKind(name), file.Data)
		}
	}
	for name, content := range archives(f) {
		f.Add(byKind(name), content)
	}
	for name, content := range rpmDatabases(f) {
		f.Add(byKind(name), content)
	}
	s := deps.New(advisory.Few()).Reaching()
	f.Fuzz(func(t *testing.T, kind byte, text []byte) {
		if len(text) > 1<<18 {
			return
		}
		name := kinds[int(kind)%len(kinds)]
		files := fstest.MapFS{name: {Data: text}}
		for other, content := range beside {
			if other != name {
				files[other] = &fstest.MapFile{Data: []byte(content)}
			}
		}
		r, err := scan.Tree(context.Background(), files, scan.Options{Scanners: []scan.Scanner{s.Beside(deps.Local{Maven: files, Go: files})}, Skip: []string{}})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range r.Runs[0].Scan.Skipped {
			if strings.Contains(p.Why, "broke") {
				t.Fatalf("%s %q: %s", name, text, p.Why)
			}
		}
		for _, c := range r.Components {
			if c.Name == "" || c.PURL == "" || c.Place.Line < 1 {
				t.Fatalf("%s %q gives %+v", name, text, c)
			}
		}
		for _, x := range r.Runs[0].Findings {
			_ = x.JSON()
		}
		s.Licences(files, r.Components)
		if err := sbom.CycloneDX(io.Discard, sbom.Made{}, r.Components); err != nil {
			t.Fatalf("%s %q: %v", name, text, err)
		}
	})
}
