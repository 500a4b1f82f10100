package sbom

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
)

var lenient = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// cdxRead is a component as all versions write it, in JSON.
type cdxRead struct {
	Type       string         `json:"type"`
	Ref        string         `json:"bom-ref"`
	Supplier   jsontext.Value `json:"supplier"`
	Publisher  string         `json:"publisher"`
	Author     string         `json:"author"`
	Group      string         `json:"group"`
	Name       string         `json:"name"`
	Version    string         `json:"version"`
	Scope      string         `json:"scope"`
	Hashes     []cdxHash      `json:"hashes"`
	Licenses   []cdxLicence   `json:"licenses"`
	PURL       string         `json:"purl"`
	Properties []cdxProperty  `json:"properties"`
	Components jsontext.Value `json:"components"`
	Evidence   struct {
		Occurrences []cdxOccurrence `json:"occurrences"`
	} `json:"evidence"`
}

// deepestParts is how far components may nest.
const deepestParts = 20

type cdxReader struct {
	file       string
	text       []byte
	lines      lines
	refs       []string
	components []component.Component
}

func readCycloneDX(file string, text []byte) (Document, error) {
	r := &cdxReader{file: file, text: text, lines: lines{text: text}}
	d := jsontext.NewDecoder(bytes.NewReader(text), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	var doc Document
	edges, root := links{}, ""
	err := members(d, func(name string) error {
		switch name {
		case "specVersion":
			var v string
			err := value(d, &v)
			doc.Format = "CycloneDX " + v
			return err
		case "metadata":
			var m struct {
				Timestamp string         `json:"timestamp"`
				Tools     jsontext.Value `json:"tools"`
				Authors   []cdxAuthor    `json:"authors"`
				Supplier  cdxAuthor      `json:"supplier"`
				Maker     cdxAuthor      `json:"manufacturer"`
				Component cdxRead        `json:"component"`
			}
			err := value(d, &m)
			doc.Created, doc.Name, doc.Version, root = m.Timestamp, strings.Trim(m.Component.Group+"/"+m.Component.Name, "/"), m.Component.Version, m.Component.Ref
			for _, a := range append(m.Authors, m.Supplier, m.Maker) {
				if a.Name != "" {
					doc.Authors = append(doc.Authors, a.Name)
				}
			}
			doc.Authors = append(doc.Authors, toolNames(m.Tools)...)
			return err
		case "components":
			return r.list(d, 0, 0)
		case "dependencies":
			var list []cdxDependency
			err := value(d, &list)
			for _, e := range list {
				doc.Related = doc.Related || len(e.Need) > 0
				edges[e.Ref] = append(edges[e.Ref], e.Need...)
			}
			return err
		}
		return d.SkipValue()
	})
	if err != nil {
		return Document{}, r.wrong(int(d.InputOffset()), err)
	}
	connect(root, r.refs, r.components, edges)
	doc.Components = r.components
	return doc, nil
}

func (r *cdxReader) wrong(offset int, err error) error {
	var at *diag.Error
	if errors.As(err, &at) {
		return at
	}
	return diag.Errorf(diag.At(r.file, r.text, min(offset, len(r.text))), "this cannot be read: %v", err).In(r.text)
}

// toolNames reads [{vendor, name, version}] and {components: […]}.
func toolNames(v jsontext.Value) []string {
	var list []cdxRead
	if json.Unmarshal(v, &list, lenient) != nil {
		var object struct {
			Components []cdxRead `json:"components"`
		}
		if json.Unmarshal(v, &object, lenient) != nil {
			return nil
		}
		list = object.Components
	}
	var names []string
	for _, t := range list {
		names = append(names, strings.TrimSpace(t.Name+" "+t.Version))
	}
	return names
}

// list reads a list of components; base is where the decoder's text begins in the file.
func (r *cdxReader) list(d *jsontext.Decoder, base, depth int) error {
	if depth > deepestParts {
		return fmt.Errorf("components are nested more than %d deep", deepestParts)
	}
	t, err := d.ReadToken()
	if err != nil {
		return err
	}
	if t.Kind() != '[' {
		return fmt.Errorf("a list is expected here, not %s", t.Kind())
	}
	for k := d.PeekKind(); k != ']' && k != 0; k = d.PeekKind() {
		raw, err := d.ReadValue()
		if err != nil {
			return err
		}
		end := base + int(d.InputOffset())
		offset := end - len(raw)
		var c cdxRead
		if err := json.Unmarshal(raw, &c, lenient); err != nil {
			return diag.Errorf(diag.At(r.file, r.text, min(offset, len(r.text))), "this component cannot be read: %v", err).In(r.text)
		}
		r.add(c, r.lines.of(offset))
		if len(c.Components) > 0 {
			inner := jsontext.NewDecoder(bytes.NewReader(c.Components), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
			at := bytes.Index(raw, c.Components)
			if err := r.list(inner, offset+max(at, 0), depth+1); err != nil {
				return err
			}
		}
	}
	_, err = d.ReadToken()
	return err
}

// add takes a component; what is no package — a file, a part of a machine — is passed over.
func (r *cdxReader) add(c cdxRead, line int) {
	x, ok := Parse(c.PURL)
	switch {
	case !ok && (c.Type == "file" || c.Type == "data" || c.Type == "cryptographic-asset" || c.Type == "device" || c.Name == ""):
		return
	case !ok: // no package manager's: it can be named, and not matched
		name := strings.Trim(c.Group+"/"+c.Name, "/")
		x = component.Component{PURL: component.PURL("generic", c.Group, c.Name), Name: name, Version: c.Version, State: component.Resolved, Scope: component.Runtime}
	}
	if c.PURL == "" || x.Version == "" {
		x.Version = c.Version
		x.State = component.Resolved
	}
	if x.Version == "" {
		x.State = component.Unresolved
	}
	if c.Scope == "excluded" {
		x.Scope = component.Development
	}
	x.Place = diag.Place{File: r.file, Line: line}
	if len(c.Hashes) > 0 {
		h := c.Hashes[len(c.Hashes)-1]
		for _, other := range c.Hashes {
			if other.Alg == "SHA-256" || other.Alg == "SHA-512" {
				h = other
			}
		}
		x.Integrity = strings.ToLower(strings.Replace(h.Alg, "-", "", 1)) + ":" + h.Content
	}
	x.Supplier = firstOf(nameOf(c.Supplier), c.Publisher, c.Author)
	for _, l := range c.Licenses {
		text := l.Expression
		if l.License != nil {
			text = firstOf(l.License.ID, l.License.Name)
		}
		if text != "" {
			x.Licences = append(x.Licences, text)
		}
	}
	for _, p := range c.Properties {
		switch p.Name {
		case "haechi:state":
			x.State = component.State(p.Value)
		case "haechi:requirement":
			x.Version = p.Value
		case "haechi:ecosystem":
			x.Ecosystem = p.Value
		case "haechi:source":
			x.Source, x.SourceVersion, _ = strings.Cut(p.Value, "@")
		case "haechi:direct":
			x.Direct = p.Value == "true"
		case "haechi:layer", "haechi:layer-index", "haechi:layer-by", "haechi:base-image":
			readLayer(&x, p)
		}
	}
	r.refs, r.components = append(r.refs, firstOf(c.Ref, c.PURL)), append(r.components, x)
}

// readLayer reads what we write of the layer of an image that brought a component.
func readLayer(x *component.Component, p cdxProperty) {
	if x.Layer == nil {
		x.Layer = &component.Layer{}
	}
	switch p.Name {
	case "haechi:layer":
		x.Layer.Digest = p.Value
	case "haechi:layer-index":
		if n, err := strconv.Atoi(p.Value); err == nil && n >= 0 {
			x.Layer.Index = n
		}
	case "haechi:layer-by":
		x.Layer.Command = p.Value
	case "haechi:base-image":
		x.Layer.Base = p.Value
	}
}

func nameOf(v jsontext.Value) string {
	var a cdxAuthor
	if json.Unmarshal(v, &a, lenient) == nil {
		return a.Name
	}
	return ""
}

func firstOf(all ...string) string {
	for _, s := range all {
		if s != "" {
			return s
		}
	}
	return ""
}

// members calls each for every member of the object that comes next.
func members(d *jsontext.Decoder, each func(name string) error) error {
	t, err := d.ReadToken()
	if err != nil {
		return err
	}
	if t.Kind() != '{' {
		return fmt.Errorf("an object is expected here, not %s", t.Kind())
	}
	for d.PeekKind() == '"' {
		t, err := d.ReadToken()
		if err != nil {
			return err
		}
		if err := each(t.String()); err != nil {
			return err
		}
	}
	_, err = d.ReadToken()
	return err
}

func value(d *jsontext.Decoder, v any) error {
	text, err := d.ReadValue()
	if err != nil {
		return err
	}
	return json.Unmarshal(text, v, lenient)
}

// cdxML is a component in XML.
type cdxML struct {
	Type      string `xml:"type,attr"`
	Ref       string `xml:"bom-ref,attr"`
	Supplier  string `xml:"supplier>name"`
	Publisher string `xml:"publisher"`
	Author    string `xml:"author"`
	Group     string `xml:"group"`
	Name      string `xml:"name"`
	Version   string `xml:"version"`
	Scope     string `xml:"scope"`
	PURL      string `xml:"purl"`
	Hashes    []struct {
		Alg     string `xml:"alg,attr"`
		Content string `xml:",chardata"`
	} `xml:"hashes>hash"`
	Licences []struct {
		ID   string `xml:"id"`
		Name string `xml:"name"`
	} `xml:"licenses>license"`
	Expression string  `xml:"licenses>expression"`
	Inner      []cdxML `xml:"components>component"`
}

func readCycloneDXML(file string, text []byte) (Document, error) {
	r := &cdxReader{file: file, text: text, lines: lines{text: text}}
	d := xml.NewDecoder(bytes.NewReader(text))
	doc := Document{Format: "CycloneDX"}
	edges, root := links{}, ""
	for {
		t, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return Document{}, r.wrong(int(d.InputOffset()), err)
		}
		e, ok := t.(xml.StartElement)
		if !ok {
			continue
		}
		offset := int(d.InputOffset())
		switch e.Name.Local {
		case "bom":
			doc.Format = "CycloneDX " + e.Name.Space[strings.LastIndexByte(e.Name.Space, '/')+1:]
		case "metadata":
			var m struct {
				Timestamp string  `xml:"timestamp"`
				Authors   []cdxML `xml:"authors>author"`
				Tools     []cdxML `xml:"tools>tool"`
				Newer     []cdxML `xml:"tools>components>component"`
				Component cdxML   `xml:"component"`
			}
			err = d.DecodeElement(&m, &e)
			doc.Created, doc.Name, doc.Version, root = m.Timestamp, strings.Trim(m.Component.Group+"/"+m.Component.Name, "/"), m.Component.Version, m.Component.Ref
			for _, a := range append(append(m.Authors, m.Tools...), m.Newer...) {
				doc.Authors = append(doc.Authors, strings.TrimSpace(a.Name+" "+a.Version))
			}
		case "component":
			var c cdxML
			err = d.DecodeElement(&c, &e)
			r.addXML(c, r.lines.of(offset), 0)
		case "dependency":
			var x struct {
				Ref  string `xml:"ref,attr"`
				Need []struct {
					Ref string `xml:"ref,attr"`
				} `xml:"dependency"`
			}
			err = d.DecodeElement(&x, &e)
			for _, n := range x.Need {
				doc.Related = true
				edges[x.Ref] = append(edges[x.Ref], n.Ref)
			}
		case "vulnerabilities", "services":
			err = d.Skip()
		}
		if err != nil {
			return Document{}, r.wrong(int(d.InputOffset()), err)
		}
	}
	connect(root, r.refs, r.components, edges)
	doc.Components = r.components
	return doc, nil
}

func (r *cdxReader) addXML(c cdxML, line, depth int) {
	x := cdxRead{Type: c.Type, Ref: c.Ref, Publisher: firstOf(c.Supplier, c.Publisher), Author: c.Author, Group: c.Group, Name: c.Name, Version: c.Version, Scope: c.Scope, PURL: c.PURL}
	for _, h := range c.Hashes {
		x.Hashes = append(x.Hashes, cdxHash{h.Alg, strings.TrimSpace(h.Content)})
	}
	for _, l := range c.Licences {
		x.Licenses = append(x.Licenses, cdxLicence{License: &cdxLicenceID{l.ID, l.Name}})
	}
	if c.Expression != "" {
		x.Licenses = append(x.Licenses, cdxLicence{Expression: c.Expression})
	}
	r.add(x, line)
	for _, inner := range c.Inner {
		if depth < deepestParts {
			r.addXML(inner, line, depth+1)
		}
	}
}
