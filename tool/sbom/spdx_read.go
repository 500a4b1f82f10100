package sbom

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
)

// spdxReader collects packages and who needs whom.
type spdxReader struct {
	cdxReader
	edges links
	roots []string
	dev   map[string]string // what is for development only, and of what
}

func newSPDXReader(file string, text []byte) *spdxReader {
	return &spdxReader{cdxReader: cdxReader{file: file, text: text, lines: lines{text: text}}, edges: links{}, dev: map[string]string{}}
}

func readSPDX(file string, text []byte) (Document, error) {
	r := newSPDXReader(file, text)
	d := jsontext.NewDecoder(bytes.NewReader(text), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	var doc Document
	err := members(d, func(name string) error {
		switch name {
		case "spdxVersion":
			return value(d, &doc.Format)
		case "name":
			return value(d, &doc.Name)
		case "creationInfo":
			var c spdxCreation
			err := value(d, &c)
			doc.Created, doc.Authors = c.Created, c.Creators
			return err
		case "documentDescribes":
			return value(d, &r.roots)
		case "packages":
			return r.packages(d)
		case "relationships":
			var list []spdxRelationship
			err := value(d, &list)
			for _, x := range list {
				r.relate(x)
			}
			return err
		}
		return d.SkipValue()
	})
	if err != nil {
		return Document{}, r.wrong(int(d.InputOffset()), err)
	}
	return r.finish(doc), nil
}

func (r *spdxReader) packages(d *jsontext.Decoder) error {
	if k := d.PeekKind(); k != '[' {
		return d.SkipValue()
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for k := d.PeekKind(); k != ']' && k != 0; k = d.PeekKind() {
		raw, err := d.ReadValue()
		if err != nil {
			return err
		}
		var p spdxPackage
		if err := unmarshal(raw, &p); err != nil {
			return err
		}
		r.pkg(p, r.lines.of(int(d.InputOffset())-len(raw)))
	}
	_, err := d.ReadToken()
	return err
}

// pkg takes a package: by its package URL, else by its name.
func (r *spdxReader) pkg(p spdxPackage, line int) {
	c := cdxRead{Ref: p.ID, Name: p.Name, Version: p.Version}
	for _, e := range p.External {
		if e.Type == "purl" && c.PURL == "" {
			c.PURL = e.Locator
		}
	}
	for _, s := range []string{p.Supplier, p.Originator} {
		if s != "" && s != noAssertion && c.Publisher == "" {
			_, name, ok := strings.Cut(s, ": ")
			if c.Publisher = s; ok {
				c.Publisher = name
			}
		}
	}
	for _, l := range []string{p.Concluded, p.Declared} {
		if l != "" && l != noAssertion && l != "NONE" && len(c.Licenses) == 0 {
			c.Licenses = []cdxLicence{{Expression: l}}
		}
	}
	for _, h := range p.Checksums {
		c.Hashes = append(c.Hashes, cdxHash{strings.Replace(strings.ToUpper(h.Algorithm), "SHA", "SHA-", 1), h.Value})
	}
	if p.Version == noAssertion {
		c.Version = ""
	}
	before := len(r.components)
	r.add(c, line)
	if state, requirement, ok := strings.Cut(p.Comment+" ", " "); ok && state == string(component.Unresolved) && len(r.components) > before {
		x := &r.components[before]
		x.State, x.Version = component.Unresolved, strings.TrimSpace(requirement)
	}
}

func (r *spdxReader) relate(x spdxRelationship) {
	switch x.Type {
	case "DESCRIBES":
		r.roots = append(r.roots, x.To)
	case "DESCRIBED_BY":
		r.roots = append(r.roots, x.From)
	case "DEPENDS_ON", "CONTAINS", "DYNAMIC_LINK", "STATIC_LINK":
		r.edges[x.From] = append(r.edges[x.From], x.To)
	case "DEPENDENCY_OF", "CONTAINED_BY", "RUNTIME_DEPENDENCY_OF", "OPTIONAL_DEPENDENCY_OF", "PROVIDED_DEPENDENCY_OF":
		r.edges[x.To] = append(r.edges[x.To], x.From)
	case "DEV_DEPENDENCY_OF", "TEST_DEPENDENCY_OF", "BUILD_DEPENDENCY_OF", "DEV_TOOL_OF", "TEST_TOOL_OF":
		r.dev[x.From] = x.To
	}
}

// finish leaves out what the document is about, and connects the rest.
func (r *spdxReader) finish(doc Document) Document {
	asked := map[string]bool{}
	for _, to := range r.edges {
		for _, ref := range to {
			asked[ref] = true
		}
	}
	for _, ref := range sortedKeys(r.dev) {
		if by := r.dev[ref]; !asked[ref] { // else somebody needs it, and that is how it comes in
			r.edges[by] = append(r.edges[by], ref)
		}
	}
	described := map[string]bool{}
	for _, ref := range r.roots {
		described[ref] = true
	}
	if len(described) == 1 { // one thing that all others are parts of; several are the parts themselves
		kept, refs := r.components[:0], r.refs[:0]
		for i, c := range r.components {
			if described[r.refs[i]] && (len(r.edges[r.refs[i]]) > 0 || len(r.components) == 1 && strings.HasPrefix(c.PURL, "pkg:generic/")) {
				doc.Name, doc.Version = firstOf(c.Name, doc.Name), c.Version
				continue
			}
			kept, refs = append(kept, c), append(refs, r.refs[i])
		}
		r.components, r.refs = kept, refs
	}
	for i, ref := range r.refs {
		if r.dev[ref] != "" {
			r.components[i].Scope = component.Development
		}
	}
	root := ""
	for _, ref := range r.roots {
		if len(r.edges[ref]) > 0 {
			root = ref
		}
	}
	doc.Related = len(r.edges) > 0
	connect(root, r.refs, r.components, r.edges)
	doc.Components = r.components
	return doc
}

// readTagValue reads the form of SPDX that is written as `Tag: value` lines.
func readTagValue(file string, text []byte) (Document, error) {
	r := newSPDXReader(file, text)
	var doc Document
	var p *spdxPackage
	line, begun, inText := 0, 0, false
	flush := func() {
		if p != nil {
			r.pkg(*p, begun)
		}
		p = nil
	}
	for raw := range bytes.Lines(text) {
		line++
		s := strings.TrimSpace(string(raw))
		if inText { // <text> over several lines
			inText = !strings.Contains(s, "</text>")
			continue
		}
		tag, value, ok := strings.Cut(s, ":")
		if !ok || strings.HasPrefix(s, "#") {
			continue
		}
		value = strings.TrimSpace(value)
		inText = strings.HasPrefix(value, "<text>") && !strings.Contains(value, "</text>")
		switch tag {
		case "SPDXVersion":
			doc.Format = value
		case "DocumentName":
			doc.Name = value
		case "Creator":
			doc.Authors = append(doc.Authors, value)
		case "Created":
			doc.Created = value
		case "PackageName":
			flush()
			p, begun = &spdxPackage{Name: value}, line
		case "FileName", "SnippetSPDXID", "LicenseID":
			flush()
		case "Relationship":
			if parts := strings.Fields(value); len(parts) == 3 {
				r.relate(spdxRelationship{parts[0], parts[1], parts[2]})
			}
		}
		if p == nil {
			continue
		}
		switch tag {
		case "SPDXID":
			p.ID = value
		case "PackageVersion":
			p.Version = value
		case "PackageSupplier":
			p.Supplier = value
		case "PackageOriginator":
			p.Originator = value
		case "PackageLicenseConcluded":
			p.Concluded = value
		case "PackageLicenseDeclared":
			p.Declared = value
		case "PackageChecksum":
			if algorithm, sum, ok := strings.Cut(value, ": "); ok {
				p.Checksums = append(p.Checksums, spdxChecksum{algorithm, sum})
			}
		case "ExternalRef":
			if parts := strings.Fields(value); len(parts) == 3 {
				p.External = append(p.External, spdxExternal{parts[0], parts[1], parts[2]})
			}
		}
	}
	flush()
	if doc.Format == "" {
		return doc, diag.Errorf(diag.Place{File: file, Line: 1}, "there is no SPDXVersion").In(text)
	}
	return r.finish(doc), nil
}
