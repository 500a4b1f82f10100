// Package component is a piece of software that something is built of.
package component

import (
	"strings"

	"github.com/haechi-dev/haechi/word/diag"
)

// State says how well a version is known.
type State string

const (
	Resolved   State = "RESOLVED"   // exactly this version is used
	Unresolved State = "UNRESOLVED" // a range or a variable that cannot be known here: shown and gated, never matched
)

// Scope says what a component is used for.
type Scope string

const (
	Runtime     Scope = "runtime"
	Development Scope = "development"
)

// Component is one package in one version, at the place that brings it in.
type Component struct {
	PURL       string     `json:"purl"`                // package URL without version and qualifiers: pkg:npm/%40babel/core
	Qualifiers string     `json:"qualifiers,omitzero"` // of the package URL: arch=amd64&distro=debian-12
	Ecosystem  string     `json:"ecosystem"`           // OSV's name, with the release where advisories are of one: npm, Go, Debian:12 …
	Name       string     `json:"name"`                // as OSV writes it: @babel/core, org.apache.logging.log4j:log4j-core
	Version    string     `json:"version"`             // as written; for UNRESOLVED the requirement
	State      State      `json:"state"`
	Scope      Scope      `json:"scope"`
	Direct     bool       `json:"direct"` // asked for by the project itself
	Place      diag.Place `json:"place"`
	Path       []string   `json:"path,omitzero"`     // names from the project down to this, where known
	Needs      []string   `json:"needs,omitzero"`    // what it asks for in turn: locators, where known
	Licences   []string   `json:"licences,omitzero"` // SPDX identifiers or expressions, as declared
	Integrity  string     `json:"integrity,omitzero"`
	Supplier   string     `json:"supplier,omitzero"` // who made it, where the file says

	// A distribution's advisories speak of source packages: where that is
	// another name or another version than the package's own, these are it.
	Source        string `json:"source,omitzero"`
	SourceVersion string `json:"sourceVersion,omitzero"`

	Layer *Layer `json:"layer,omitzero"` // of a container image: which one brought it
}

// Layer is a layer of a container image.
type Layer struct {
	Digest  string `json:"digest"`           // of the layer as it is kept, or where that is not known, unpacked
	Index   int    `json:"index"`            // from 0, the lowest
	Command string `json:"command,omitzero"` // that made it, as the image's history says
	Base    string `json:"base,omitzero"`    // the base image that it is of
}

// Locator is the package URL with version and qualifiers: what one version of
// one package is called wherever it lies. An UNRESOLVED version is no part of it.
func (c Component) Locator() string {
	s := c.PURL
	if c.State == Resolved && c.Version != "" {
		s += "@" + Escape(c.Version)
	}
	if c.Qualifiers != "" {
		s += "?" + c.Qualifiers
	}
	return s
}

// PURL is a package URL without version. Slashes part the namespace.
func PURL(kind, namespace, name string) string {
	var b strings.Builder
	b.WriteString("pkg:" + kind + "/")
	if namespace != "" {
		for part := range strings.SplitSeq(namespace, "/") {
			b.WriteString(Escape(part) + "/")
		}
	}
	return b.String() + Escape(name)
}

// Escape percent-encodes what the specification of package URLs says: all but
// letters, digits and a few marks.
func Escape(s string) string {
	plain := func(c byte) bool {
		return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '.' || c == '-' || c == '_' || c == '~' || c == ':'
	}
	n := 0
	for i := range len(s) {
		if !plain(s[i]) {
			n++
		}
	}
	if n == 0 {
		return s
	}
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+2*n)
	for i := range len(s) {
		if c := s[i]; plain(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}
