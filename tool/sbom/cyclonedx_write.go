package sbom

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/base/licence"
	"github.com/haechi-dev/haechi/word/component"
)

type cdxDocument struct {
	Schema       string          `json:"$schema"`
	Format       string          `json:"bomFormat"`
	Spec         string          `json:"specVersion"`
	Serial       string          `json:"serialNumber"`
	Version      int             `json:"version"`
	Metadata     cdxMetadata     `json:"metadata"`
	Components   []cdxComponent  `json:"components"`
	Dependencies []cdxDependency `json:"dependencies"`
}

type cdxMetadata struct {
	Timestamp string         `json:"timestamp"`
	Lifecycle []cdxLifecycle `json:"lifecycles"`
	Tools     cdxTools       `json:"tools"`
	Authors   []cdxAuthor    `json:"authors,omitzero"`
	Component cdxComponent   `json:"component"`
}

type cdxLifecycle struct {
	Phase string `json:"phase"`
}

type cdxTools struct {
	Components []cdxComponent `json:"components"`
}

type cdxAuthor struct {
	Name string `json:"name"`
}

type cdxComponent struct {
	Type       string        `json:"type"`
	Ref        string        `json:"bom-ref,omitzero"`
	Supplier   *cdxAuthor    `json:"supplier,omitzero"`
	Group      string        `json:"group,omitzero"`
	Name       string        `json:"name"`
	Version    string        `json:"version,omitzero"`
	Scope      string        `json:"scope,omitzero"`
	Hashes     []cdxHash     `json:"hashes,omitzero"`
	Licenses   []cdxLicence  `json:"licenses,omitzero"`
	PURL       string        `json:"purl,omitzero"`
	Properties []cdxProperty `json:"properties,omitzero"`
	Evidence   *cdxEvidence  `json:"evidence,omitzero"`
}

type cdxHash struct {
	Alg     string `json:"alg"`
	Content string `json:"content"`
}

type cdxLicence struct {
	License    *cdxLicenceID `json:"license,omitzero"`
	Expression string        `json:"expression,omitzero"`
}

type cdxLicenceID struct {
	ID   string `json:"id,omitzero"`
	Name string `json:"name,omitzero"`
}

type cdxProperty struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type cdxEvidence struct {
	Occurrences []cdxOccurrence `json:"occurrences"`
}

type cdxOccurrence struct {
	Location string `json:"location"`
	Line     int    `json:"line,omitzero"`
}

type cdxDependency struct {
	Ref  string   `json:"ref"`
	Need []string `json:"dependsOn,omitzero"`
}

// CycloneDX writes components as a document of CycloneDX 1.6. The same
// components at the same time give the same bytes.
func CycloneDX(w io.Writer, made Made, components []component.Component) error {
	all := parts(components)
	root := "root:" + component.Escape(made.Name)
	d := cdxDocument{
		Schema: "http://cyclonedx.org/schema/bom-1.6.schema.json", Format: "CycloneDX", Spec: "1.6", Version: 1, Serial: "urn:uuid:" + identity(made, all),
		Metadata: cdxMetadata{
			Timestamp: stamp(made.At), Lifecycle: []cdxLifecycle{{"pre-build"}},
			Tools:     cdxTools{[]cdxComponent{{Type: "application", Name: "haechi", Version: made.Tool, Supplier: &cdxAuthor{"Haechi"}}}},
			Component: cdxComponent{Type: "application", Ref: root, Name: cmp.Or(made.Name, "unknown"), Version: made.Version},
		},
		Components: make([]cdxComponent, 0, len(all)), Dependencies: []cdxDependency{{Ref: root, Need: roots(all)}},
	}
	if made.Image != "" {
		d.Metadata.Lifecycle, d.Metadata.Component.Type = []cdxLifecycle{{"post-build"}}, "container"
		d.Metadata.Component.Properties = []cdxProperty{{"haechi:image", made.Image}}
	}
	if made.Author != "" {
		d.Metadata.Authors = []cdxAuthor{{made.Author}}
	}
	for _, p := range all {
		d.Components = append(d.Components, p.cyclonedx())
		d.Dependencies = append(d.Dependencies, cdxDependency{p.ref, p.Needs})
	}
	return json.MarshalWrite(w, d, jsontext.WithIndent("  "))
}

func (p *part) cyclonedx() cdxComponent {
	c := cdxComponent{Type: "library", Ref: p.ref, Version: p.Version, Scope: "required", PURL: p.Locator()}
	c.Group, c.Name = groupAndName(p.PURL)
	if p.Ecosystem == "OCI" {
		c.Type = "container"
	}
	if p.Scope == component.Development {
		c.Scope = "excluded" // as the standard says of what is there for tests
	}
	if p.Supplier != "" {
		c.Supplier = &cdxAuthor{p.Supplier}
	}
	if h, ok := hashOf(p.Integrity); ok {
		c.Hashes = []cdxHash{{h.algorithm, h.hex}}
	}
	c.Licenses = cyclonedxLicences(p.Licences)
	if p.State != component.Resolved {
		c.Version = ""
		c.Properties = append(c.Properties, cdxProperty{"haechi:state", string(p.State)})
		if p.Version != "" {
			c.Properties = append(c.Properties, cdxProperty{"haechi:requirement", p.Version})
		}
	}
	if p.Direct {
		c.Properties = append(c.Properties, cdxProperty{"haechi:direct", "true"})
	}
	if p.Source != "" {
		c.Properties = append(c.Properties, cdxProperty{"haechi:source", strings.TrimSuffix(p.Source+"@"+p.SourceVersion, "@")})
	}
	if p.Ecosystem != "" {
		c.Properties = append(c.Properties, cdxProperty{"haechi:ecosystem", p.Ecosystem})
	}
	if l := p.Layer; l != nil {
		c.Properties = append(c.Properties, cdxProperty{"haechi:layer", l.Digest}, cdxProperty{"haechi:layer-index", strconv.Itoa(l.Index)})
		if l.Command != "" {
			c.Properties = append(c.Properties, cdxProperty{"haechi:layer-by", l.Command})
		}
		if l.Base != "" {
			c.Properties = append(c.Properties, cdxProperty{"haechi:base-image", l.Base})
		}
	}
	e := &cdxEvidence{}
	seen := map[cdxOccurrence]bool{}
	for _, place := range p.places {
		if o := (cdxOccurrence{place.File, place.Line}); !seen[o] && o.Location != "" {
			seen[o] = true
			e.Occurrences = append(e.Occurrences, o)
		}
	}
	if len(e.Occurrences) > 0 {
		c.Evidence = e
	}
	return c
}

// cyclonedxLicences: one identifier, or one expression, or names that are neither.
func cyclonedxLicences(declared []string) []cdxLicence {
	expression := licence.Join(declared)
	if expression == "" {
		return nil
	}
	if parsed, err := licence.Parse(expression); err == nil && parsed.Known() {
		if ids := parsed.IDs(); len(ids) == 1 && ids[0] == parsed.String() {
			return []cdxLicence{{License: &cdxLicenceID{ID: ids[0]}}}
		}
		return []cdxLicence{{Expression: parsed.String()}}
	}
	var all []cdxLicence
	for _, name := range declared {
		if parsed, err := licence.Parse(licence.Normal(name)); err == nil && parsed.Known() && len(parsed.IDs()) == 1 && parsed.IDs()[0] == parsed.String() {
			all = append(all, cdxLicence{License: &cdxLicenceID{ID: parsed.String()}})
		} else if name != "" {
			all = append(all, cdxLicence{License: &cdxLicenceID{Name: name}})
		}
	}
	return all
}

// identity is a UUID that belongs to what is written: the same document has the same.
func identity(made Made, all []*part) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %d", made.Name, made.Version, made.Tool, made.At.UnixNano())
	for _, p := range all {
		fmt.Fprintf(h, "%q%q", p.ref, p.Scope)
	}
	b := h.Sum(nil)
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80 // version 8: made of what we like
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
