package sbom_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/haechi-dev/haechi/tool/sbom"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
)

var made = sbom.Made{Name: "shop", Version: "1.2", Tool: "0.1.0", Author: "The Shop", At: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)}

// parts are components of every sort: a licence that is on no list, a version that cannot be known, the same twice.
func parts() []component.Component {
	npm := component.Component{PURL: "pkg:npm/%40babel/core", Ecosystem: "npm", Name: "@babel/core", Version: "7.1.0", State: component.Resolved, Scope: component.Runtime, Direct: true, Path: []string{"@babel/core"},
		Place: diag.Place{File: "package-lock.json", Line: 7}, Needs: []string{"pkg:npm/lodash@4.17.20"}, Licences: []string{"MIT"}, Supplier: "Babel",
		Integrity: "sha512-MJ7MSJwS1utMxA9QyQLytNDtd+5RGnx6m808qG1M2G+YndNbxf9JlnDaNCVbRbDP2DDoH2Bdz33FVC6TrpzXbw=="}
	again := npm
	again.Place.File, again.Direct, again.Scope = "web/package-lock.json", false, component.Development
	return []component.Component{npm, again,
		{PURL: "pkg:npm/lodash", Ecosystem: "npm", Name: "lodash", Version: "4.17.20", State: component.Resolved, Scope: component.Development, Path: []string{"@babel/core", "lodash"}, Place: diag.Place{File: "package-lock.json", Line: 9}, Licences: []string{"MIT", "Our own terms"}},
		{PURL: "pkg:maven/org.x/y", Ecosystem: "Maven", Name: "org.x:y", Version: "managed elsewhere", State: component.Unresolved, Scope: component.Runtime, Direct: true, Path: []string{"org.x:y"}, Place: diag.Place{File: "pom.xml", Line: 3}, Licences: []string{"(MIT OR Apache-2.0) AND BSD-3-Clause"}},
		{PURL: "pkg:deb/debian/libssl3", Qualifiers: "arch=amd64&distro=debian-12", Ecosystem: "Debian:12", Name: "libssl3", Version: "3.0.11-1~deb12u2", State: component.Resolved, Scope: component.Runtime, Source: "openssl", SourceVersion: "3.0.11-1~deb12u2", Place: diag.Place{File: "var/lib/dpkg/status", Line: 1}},
		{PURL: "pkg:docker/nginx", Ecosystem: "OCI", Name: "nginx", Version: "1.25", State: component.Resolved, Scope: component.Runtime, Direct: true, Path: []string{"nginx"}, Place: diag.Place{File: "Dockerfile", Line: 1}},
	}
}

func write(t *testing.T, form string) []byte {
	t.Helper()
	var b bytes.Buffer
	var err error
	if form == "spdx" {
		err = sbom.SPDX(&b, made, parts())
	} else {
		err = sbom.CycloneDX(&b, made, parts())
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// What is written holds to the published schemas, and those would say if it did not.
func TestSchemas(t *testing.T) {
	all := loadSchemas(t)
	for form, schema := range map[string]string{"cyclonedx": "bom-1.6.schema.json", "spdx": "spdx-2.3.schema.json"} {
		text := write(t, form)
		for _, wrong := range all.check(schema, text) {
			t.Errorf("%s%s", form, wrong)
		}
		for old, wrong := range map[string]string{`"bom-ref"`: `"bomref"`, `"library"`: `"libary"`, `"SPDXID"`: `"SPDXId"`, `"DEPENDS_ON"`: `"NEEDS"`} {
			if broken := bytes.ReplaceAll(text, []byte(old), []byte(wrong)); !bytes.Equal(broken, text) && len(all.check(schema, broken)) == 0 {
				t.Errorf("%s with %s for %s is taken for right", form, wrong, old)
			}
		}
	}
}

// What was written is read again as it was: versions, states, scopes, ways, licences.
func TestRoundTrip(t *testing.T) {
	type shown struct {
		Ref, Ecosystem, Name, Version string
		State                         component.State
		Scope                         component.Scope
		Direct                        bool
		Path, Needs                   string
	}
	show := func(c component.Component) shown {
		return shown{c.Locator(), c.Ecosystem, c.Name, c.Version, c.State, c.Scope, c.Direct, strings.Join(c.Path, ">"), strings.Join(c.Needs, " ")}
	}
	want := map[string]shown{}
	for _, c := range parts() {
		if _, ok := want[c.PURL]; !ok {
			want[c.PURL] = show(c)
		}
	}
	libssl := want["pkg:deb/debian/libssl3"] // nobody says who brought it in: so the project did
	libssl.Direct, libssl.Path = true, "libssl3"
	want["pkg:deb/debian/libssl3"] = libssl
	for _, form := range []string{"cyclonedx", "spdx"} {
		d, err := sbom.Read("x", write(t, form))
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]shown{}
		for _, c := range d.Components {
			got[c.PURL] = show(c)
			if c.Place.Line < 2 {
				t.Errorf("%s: %s is on line %d", form, c.Name, c.Place.Line)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", form, diff)
		}
		if d.Name != "shop" || !strings.Contains(strings.Join(d.Authors, ","), "The Shop") {
			t.Errorf("%s: %q by %q", form, d.Name, d.Authors)
		}
		score := sbom.NTIA(d)
		for _, e := range score.Elements {
			have := map[string]int{"supplier name": 1, "version": 4}[e.Name]
			if have == 0 {
				have = e.Of
			}
			if e.Have != have {
				t.Errorf("%s: %s %d of %d, want %d", form, e.Name, e.Have, e.Of, have)
			}
		}
	}
}

// The same components at the same time are the same bytes.
func TestSame(t *testing.T) {
	for _, form := range []string{"cyclonedx", "spdx"} {
		if !bytes.Equal(write(t, form), write(t, form)) {
			t.Errorf("%s differs", form)
		}
	}
}

// CycloneDX in XML and SPDX in its own form are read as well.
func TestReadOthers(t *testing.T) {
	xml := `<?xml version="1.0"?>
<bom xmlns="http://cyclonedx.org/schema/bom/1.4"><metadata><timestamp>2026-01-02T03:04:05Z</timestamp><component type="application" bom-ref="app"><name>app</name></component></metadata>
<components>
<component type="library" bom-ref="a"><group>org.a</group><name>a</name><version>1</version><licenses><license><id>MIT</id></license></licenses><purl>pkg:maven/org.a/a@1?type=jar</purl></component>
<component type="library" bom-ref="b"><name>b</name><version>2</version><purl>pkg:npm/b@2.0.0</purl></component>
</components><dependencies><dependency ref="app"><dependency ref="a"/></dependency><dependency ref="a"><dependency ref="b"/></dependency></dependencies></bom>`
	tags := `SPDXVersion: SPDX-2.3
DocumentName: app
Creator: Tool: x
Created: 2026-01-02T03:04:05Z
PackageName: app
SPDXID: SPDXRef-app
PackageName: a
SPDXID: SPDXRef-a
PackageVersion: 1
PackageLicenseDeclared: MIT
ExternalRef: PACKAGE-MANAGER purl pkg:maven/org.a/a@1
PackageName: b
SPDXID: SPDXRef-b
ExternalRef: PACKAGE-MANAGER purl pkg:npm/b@2.0.0
Relationship: SPDXRef-DOCUMENT DESCRIBES SPDXRef-app
Relationship: SPDXRef-app DEPENDS_ON SPDXRef-a
Relationship: SPDXRef-a DEPENDS_ON SPDXRef-b
`
	for name, text := range map[string]string{"xml": xml, "tags": tags} {
		d, err := sbom.Read(name, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range d.Components {
			got = append(got, c.Name+" "+c.Version+" "+strings.Join(c.Path, ">"))
		}
		if diff := cmp.Diff([]string{"org.a:a 1 org.a:a", "b 2.0.0 org.a:a>b"}, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// Package URLs are read with their distribution, and none else.
func TestParse(t *testing.T) {
	for purl, want := range map[string]string{
		"pkg:npm/%40babel/core@7.0.0": "npm @babel/core 7.0.0", "pkg:golang/github.com/a/b@v1.2.3": "Go github.com/a/b 1.2.3", "pkg:maven/g/a@1?type=jar": "Maven g:a 1", "pkg:pypi/My_Pkg@1": "PyPI my-pkg 1",
		"pkg:deb/debian/curl@7.74.0-1.3?arch=amd64&distro=debian-11": "Debian:11 curl 7.74.0-1.3", "pkg:apk/alpine/curl@8-r0?distro=alpine-3.18.4": "Alpine:v3.18 curl 8-r0", "pkg:deb/ubuntu/curl@1?distro=ubuntu-22.04": "Ubuntu:22.04:LTS curl 1",
		"pkg:rpm/almalinux/bash@4.4?distro=almalinux-8.5&epoch=1": "AlmaLinux:8 bash 1:4.4",
	} {
		c, ok := sbom.Parse(purl)
		if got := c.Ecosystem + " " + c.Name + " " + c.Version; !ok || got != want {
			t.Errorf("%s is %q, %v, want %q", purl, got, ok, want)
		}
	}
	for _, purl := range []string{"", "npm/x", "pkg:", "pkg:npm", "pkg:npm/"} {
		if c, ok := sbom.Parse(purl); ok {
			t.Errorf("%q is %v", purl, c)
		}
	}
}

// Two bills are told apart by packages: added, removed, upgraded, relicensed.
func TestDiff(t *testing.T) {
	after := parts()[2:]
	after[0].Version, after[0].Licences = "4.17.21", []string{"GPL-3.0-only"}
	after = append(after, component.Component{PURL: "pkg:npm/new", Name: "new", Ecosystem: "npm", Version: "1.0.0", State: component.Resolved})
	var got []string
	for _, c := range sbom.Diff(parts(), after) {
		got = append(got, c.Kind+" "+c.PURL+" "+c.Before+" -> "+c.After)
	}
	want := []string{"added pkg:npm/new  -> 1.0.0", "relicensed pkg:npm/lodash MIT OR Our own terms -> GPL-3.0-only", "removed pkg:npm/%40babel/core 7.1.0 -> ", "upgraded pkg:npm/lodash 4.17.20 -> 4.17.21"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Any document is read or refused, and what is read can be written.
func FuzzRead(f *testing.F) {
	var cdx, spdx bytes.Buffer
	if sbom.CycloneDX(&cdx, made, parts()) != nil || sbom.SPDX(&spdx, made, parts()) != nil {
		f.Fatal("the seeds cannot be written")
	}
	f.Add(cdx.Bytes())
	f.Add(spdx.Bytes())
	f.Add([]byte("SPDXVersion: SPDX-2.3\nPackageName: a\nSPDXID: SPDXRef-a\nRelationship: SPDXRef-DOCUMENT DESCRIBES SPDXRef-a\n"))
	f.Add([]byte(`<bom xmlns="http://cyclonedx.org/schema/bom/1.4"><components><component type="library"><name>a</name><purl>pkg:npm/a@1</purl></component></components></bom>`))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := sbom.Read("x", text)
		if err != nil {
			return
		}
		_ = sbom.NTIA(d)
		var b bytes.Buffer
		if err := sbom.CycloneDX(&b, made, d.Components); err != nil {
			t.Error(err)
		}
		if err := sbom.SPDX(&b, made, d.Components); err != nil {
			t.Error(err)
		}
		if err := sbom.Notices(&b, made, d.Components, nil); err != nil {
			t.Error(err)
		}
	})
}
