package report

import (
	"net/url"
	"strings"
)

// VEXStatus is what a VEX document says of a vulnerability in a product.
type VEXStatus string

const (
	NotAffected   VEXStatus = "not_affected"
	Affected      VEXStatus = "affected"
	Fixed         VEXStatus = "fixed"
	Investigating VEXStatus = "under_investigation"
)

// vexWords are what OpenVEX, CSAF and CycloneDX call them.
var vexWords = map[string]VEXStatus{
	"not_affected": NotAffected, "false_positive": NotAffected, "affected": Affected, "exploitable": Affected,
	"fixed": Fixed, "resolved": Fixed, "resolved_with_pedigree": Fixed, "under_investigation": Investigating, "in_triage": Investigating,
}

// Statement is what a VEX document says: it is about what other tools have found.
type Statement struct {
	Status   VEXStatus
	Names    []string // of the vulnerability: CVE, GHSA …
	Packages []string // names that tools may give the package; none: whatever of the target
	Version  string   // of the package; "" is any
	Why      string
	Author   string
}

// maxStatements is how many statements of one document count.
const maxStatements = 5000

// state keeps what a record says as VEX.
func (r *reading) state(rec *record) {
	if rec.vex == "" || rec.vulnerability == "" {
		return
	}
	if len(r.told.VEX) == maxStatements {
		r.warn("it has more than %d VEX statements, and only these count for other tools' findings", maxStatements)
		return
	}
	one := Statement{Status: rec.vex, Names: append([]string{rec.vulnerability}, rec.aliases...), Why: clean(rec.vexWhy, 1024), Author: clean(rec.fields["author"], 256)}
	parts := rec.places // what of the product is meant
	if len(parts) == 0 && (rec.purl != "" || rec.pkg != "") {
		parts = []string{or(rec.purl, rec.pkg)}
	}
	for _, p := range parts {
		if wholeProduct(p) {
			continue // it is what the target is, whatever that is called
		}
		names, version := packageNames(p)
		one.Packages = append(one.Packages, names...)
		if len(parts) == 1 {
			one.Version = or(version, rec.installed)
		}
	}
	r.told.VEX = append(r.told.VEX, one)
}

// wholeProduct tells whether a product is something that packages are in, rather than a package.
func wholeProduct(p string) bool {
	for _, kind := range []string{"pkg:oci/", "pkg:docker/", "pkg:github/", "pkg:generic/", "pkg:bitbucket/"} {
		if strings.HasPrefix(p, kind) {
			return true
		}
	}
	return !strings.HasPrefix(p, "pkg:") && strings.ContainsAny(p, ":/")
}

// packageNames are the names that tools may give a package, and its version.
func packageNames(p string) (names []string, version string) {
	if !strings.HasPrefix(p, "pkg:") {
		return []string{p}, ""
	}
	rest, _, _ := strings.Cut(strings.TrimPrefix(p, "pkg:"), "?")
	rest, _, _ = strings.Cut(rest, "#")
	_, rest, _ = strings.Cut(rest, "/")
	if at := strings.LastIndexByte(rest, '@'); at > 0 {
		rest, version = rest[:at], rest[at+1:]
	}
	for _, text := range []*string{&rest, &version} {
		if plain, err := url.PathUnescape(*text); err == nil {
			*text = plain
		}
	}
	names = []string{rest}
	if slash := strings.LastIndexByte(rest, '/'); slash > 0 {
		names = append(names, rest[:slash]+":"+rest[slash+1:], rest[slash+1:])
	}
	return names, version
}
