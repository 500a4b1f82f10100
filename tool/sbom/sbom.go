// Package sbom reads, writes, scores and compares bills of materials: CycloneDX and SPDX.
package sbom

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
)

// Document is a bill of materials, whatever it was written in.
type Document struct {
	Format     string // CycloneDX 1.6, SPDX-2.3 …
	Name       string // what it is of
	Version    string
	Authors    []string // people, organisations and tools that made it
	Created    string   // as it says, RFC 3339
	Components []component.Component
	Related    bool // it says who needs whom
}

// Made is what a document says of its making.
type Made struct {
	Name    string // of what is described: a folder, an image
	Version string // of that; may be ""
	Tool    string // the version of Haechi
	Author  string // who stands for it; "" for the tool alone
	At      time.Time
	Image   string // the digest of what is described, where that is a container image
}

// part is one package version of a document, at all the places that bring it in.
type part struct {
	component.Component
	ref    string
	places []diag.Place
}

// parts makes one of what is listed in several places: runtime if any is, direct if any is.
func parts(components []component.Component) []*part {
	byRef := map[string]*part{}
	var all []*part
	for _, c := range components {
		ref := c.Locator()
		if c.State != component.Resolved {
			ref += "#" + component.Escape(c.Version)
		}
		p := byRef[ref]
		if p == nil {
			p = &part{Component: c, ref: ref}
			byRef[ref] = p
			all = append(all, p)
		}
		p.places = append(p.places, c.Place)
		p.Direct = p.Direct || c.Direct
		if c.Scope == component.Runtime {
			p.Scope = component.Runtime
		}
		p.Needs = append(p.Needs, c.Needs...)
		p.Integrity, p.Supplier = cmp.Or(p.Integrity, c.Integrity), cmp.Or(p.Supplier, c.Supplier)
		if len(p.Licences) == 0 {
			p.Licences = c.Licences
		}
	}
	for _, p := range all {
		slices.Sort(p.Needs)
		p.Needs = slices.DeleteFunc(slices.Compact(p.Needs), func(ref string) bool { return byRef[ref] == nil || ref == p.ref })
		slices.SortFunc(p.places, func(a, b diag.Place) int { return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line) })
		p.places = slices.Compact(p.places)
	}
	slices.SortFunc(all, func(a, b *part) int { return strings.Compare(a.ref, b.ref) })
	return all
}

// roots are the parts that the project asks for itself, and those of which nobody says who does.
func roots(all []*part) []string {
	needed := map[string]bool{}
	for _, p := range all {
		for _, ref := range p.Needs {
			needed[ref] = true
		}
	}
	var refs []string
	for _, p := range all {
		if p.Direct || !needed[p.ref] {
			refs = append(refs, p.ref)
		}
	}
	return refs
}

// hash is an integrity as the standards name it: sha512-… in base64, sha256:… or sha1:… in hex, Go's h1.
type hash struct{ algorithm, hex string }
