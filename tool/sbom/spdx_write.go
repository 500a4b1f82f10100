package sbom

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/base/licence"
	"github.com/haechi-dev/haechi/word/component"
)

type spdxDocument struct {
	ID            string             `json:"SPDXID"`
	Version       string             `json:"spdxVersion"`
	DataLicense   string             `json:"dataLicense"`
	Name          string             `json:"name"`
	Namespace     string             `json:"documentNamespace"`
	Creation      spdxCreation       `json:"creationInfo"`
	Describes     []string           `json:"documentDescribes,omitzero"`
	Packages      []spdxPackage      `json:"packages"`
	Relationships []spdxRelationship `json:"relationships"`
	Extracted     []spdxExtracted    `json:"hasExtractedLicensingInfos,omitzero"`
}

type spdxCreation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type spdxPackage struct {
	ID            string         `json:"SPDXID"`
	Name          string         `json:"name"`
	Version       string         `json:"versionInfo,omitzero"`
	Supplier      string         `json:"supplier,omitzero"`
	Originator    string         `json:"originator,omitzero"`
	Download      string         `json:"downloadLocation"`
	FilesAnalyzed bool           `json:"filesAnalyzed"`
	Concluded     string         `json:"licenseConcluded"`
	Declared      string         `json:"licenseDeclared"`
	Copyright     string         `json:"copyrightText"`
	Purpose       string         `json:"primaryPackagePurpose,omitzero"`
	SourceInfo    string         `json:"sourceInfo,omitzero"`
	Comment       string         `json:"comment,omitzero"`
	Checksums     []spdxChecksum `json:"checksums,omitzero"`
	External      []spdxExternal `json:"externalRefs,omitzero"`
}

type spdxChecksum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"checksumValue"`
}

type spdxExternal struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type spdxRelationship struct {
	From string `json:"spdxElementId"`
	Type string `json:"relationshipType"`
	To   string `json:"relatedSpdxElement"`
}

type spdxExtracted struct {
	ID   string `json:"licenseId"`
	Text string `json:"extractedText"`
	Name string `json:"name"`
}

const (
	noAssertion = "NOASSERTION"
	rootID      = "SPDXRef-Root"
	documentID  = "SPDXRef-DOCUMENT"
)

// SPDX writes components as a document of SPDX 2.3, in JSON. The same
// components at the same time give the same bytes.
func SPDX(w io.Writer, made Made, components []component.Component) error {
	all := parts(components)
	name := cmp.Or(made.Name, "unknown")
	d := spdxDocument{
		ID: documentID, Version: "SPDX-2.3", DataLicense: "CC0-1.0", Name: name, Namespace: "https://haechi.invalid/spdx/" + component.Escape(name) + "-" + identity(made, all),
		Creation:      spdxCreation{stamp(made.At), []string{"Tool: haechi-" + cmp.Or(made.Tool, "unknown")}},
		Packages:      []spdxPackage{{ID: rootID, Name: name, Version: made.Version, Download: noAssertion, Concluded: noAssertion, Declared: noAssertion, Copyright: noAssertion, Purpose: "APPLICATION"}},
		Relationships: []spdxRelationship{{documentID, "DESCRIBES", rootID}},
	}
	if made.Image != "" {
		d.Packages[0].Purpose, d.Packages[0].Comment = "CONTAINER", "the image "+made.Image
	}
	if made.Author != "" {
		d.Creation.Creators = append(d.Creation.Creators, "Organization: "+made.Author)
	}
	ids := map[string]string{}
	for i, p := range all {
		ids[p.ref] = spdxID(p, i)
	}
	x := extracted{}
	for _, p := range all {
		d.Packages = append(d.Packages, p.spdx(ids[p.ref], x))
	}
	for _, ref := range roots(all) {
		d.Relationships = append(d.Relationships, spdxRelationship{rootID, "DEPENDS_ON", ids[ref]})
	}
	for _, p := range all {
		for _, ref := range p.Needs {
			d.Relationships = append(d.Relationships, spdxRelationship{ids[p.ref], "DEPENDS_ON", ids[ref]})
		}
		if p.Scope == component.Development {
			d.Relationships = append(d.Relationships, spdxRelationship{ids[p.ref], "DEV_DEPENDENCY_OF", rootID})
		}
	}
	d.Extracted = x.list()
	return json.MarshalWrite(w, d, jsontext.WithIndent("  "))
}

// spdxID is an identifier that is unique in its document: letters, digits, dots and hyphens.
func spdxID(p *part, i int) string {
	var b strings.Builder
	for _, c := range p.Name {
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '.' {
			b.WriteRune(c)
		} else {
			b.WriteByte('-')
		}
		if b.Len() > 60 {
			break
		}
	}
	return fmt.Sprintf("SPDXRef-Package-%d-%s", i+1, b.String())
}

func (p *part) spdx(id string, x extracted) spdxPackage {
	q := spdxPackage{ID: id, Name: p.Name, Version: p.Version, Download: noAssertion, Concluded: noAssertion, Declared: x.expression(p.Licences), Copyright: noAssertion, Supplier: noAssertion, Purpose: "LIBRARY",
		External: []spdxExternal{{"PACKAGE-MANAGER", "purl", p.Locator()}}}
	if p.Ecosystem == "OCI" {
		q.Purpose = "CONTAINER"
	}
	if p.Supplier != "" {
		q.Supplier = "Organization: " + strings.Join(strings.Fields(p.Supplier), " ")
	}
	if p.State != component.Resolved {
		q.Version, q.Comment = "", strings.TrimSpace(string(p.State)+" "+p.Version)
	}
	if h, ok := hashOf(p.Integrity); ok {
		q.Checksums = []spdxChecksum{{strings.ReplaceAll(h.algorithm, "-", ""), h.hex}}
	}
	var places []string
	for _, place := range p.places {
		places = append(places, place.String())
	}
	if len(places) > 0 {
		q.SourceInfo = "named in " + strings.Join(places[:min(len(places), 20)], ", ")
	}
	if l := p.Layer; l != nil {
		q.SourceInfo += fmt.Sprintf("; brought by layer %d, %s", l.Index, l.Digest)
		if l.Base != "" {
			q.SourceInfo += ", of the base image " + l.Base
		}
	}
	return q
}

// extracted are the licences of a document that are not on SPDX's list.
type extracted map[string]string

// expression is what a package declares, as an SPDX expression in which what is not on the list is a LicenseRef.
func (x extracted) expression(declared []string) string {
	text := licence.Join(declared)
	if text == "" {
		return noAssertion
	}
	if parsed, err := licence.Parse(text); err == nil && parsed.Known() {
		return parsed.String()
	}
	var parts []string
	for _, name := range declared {
		if parsed, err := licence.Parse(licence.Normal(name)); err == nil && parsed.Known() {
			s := parsed.String()
			if len(parsed.IDs()) > 1 {
				s = "(" + s + ")"
			}
			parts = append(parts, s)
			continue
		}
		ref := "LicenseRef-" + slug(name)
		x[ref] = name
		parts = append(parts, ref)
	}
	return strings.Join(parts, " OR ")
}

func slug(name string) string {
	var b strings.Builder
	for _, c := range name {
		switch {
		case c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '.':
			b.WriteRune(c)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() > 80 {
			break
		}
	}
	return cmp.Or(strings.Trim(b.String(), "-"), "unnamed")
}

func (x extracted) list() []spdxExtracted {
	var all []spdxExtracted
	for _, ref := range sortedKeys(x) {
		all = append(all, spdxExtracted{ID: ref, Name: x[ref], Text: "The package declares this licence by the name: " + x[ref]})
	}
	return all
}
