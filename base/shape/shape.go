// Package shape brings AWS Config's configuration items into CloudFormation's property shape, so that one rule serves a template and a live resource.
//
// The table is types.yaml: one entry a resource type, property by property.
package shape

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/lang/guard"
	"github.com/haechi-dev/haechi/word/asset"
	"github.com/haechi-dev/haechi/word/fault"
	"go.yaml.in/yaml/v4"
)

//go:embed types.yaml
var table []byte

// Shapes knows the types of the table. It is not changed after New.
type Shapes struct{ types map[string]entry }

// entry is a type of the table.
type entry struct {
	Properties any        `yaml:"properties"` // a map, or the path of one that has CloudFormation's names already
	And        []attached `yaml:"and"`
}

// attached is a resource that CloudFormation keeps apart and Config keeps with another.
type attached struct {
	Type       string         `yaml:"type"`
	Each       string         `yaml:"each"` // one such resource for each item of the list at this path
	Properties map[string]any `yaml:"properties"`
	Needs      string         `yaml:"needs"` // the property without which there is no such resource
}

// New reads the embedded table.
func New() *Shapes {
	s := &Shapes{}
	if err := yaml.Unmarshal(table, &s.types); err != nil {
		panic("shape: " + err.Error()) // only a mistake in types.yaml
	}
	return s
}

// Digest changes when the table does.
func (s *Shapes) Digest() string {
	sum := sha256.Sum256(table)
	return hex.EncodeToString(sum[:])
}

// Types are the resource types of the table, sorted.
func (s *Shapes) Types() []string {
	var types []string
	for t := range s.types {
		types = append(types, t)
	}
	slices.Sort(types)
	return types
}

// Complete gives an item its Configuration from Original, where Original is a
// configuration item of a type in the table that says what the resource is like.
func (s *Shapes) Complete(item *asset.Item) {
	e, ok := s.types[item.Type]
	if !ok || len(item.Configuration) > 0 || item.Deleted {
		return
	}
	source, ok := decode(item.Original)
	if !ok || source["configuration"] == nil {
		return
	}
	item.Configuration = encode(fill(&place{value: source}, e.Properties))
}

// Template is a CloudFormation template that would make the resource of an item,
// with what CloudFormation keeps apart as resources of its own. It is nil where
// it is not known what the resource is like.
func (s *Shapes) Template(item asset.Item) jsontext.Value {
	if len(item.Configuration) == 0 {
		return nil
	}
	resources := map[string]any{item.ID: map[string]any{"Type": item.Type, "Properties": item.Configuration}}
	if source, ok := decode(item.Original); ok {
		for _, a := range s.types[item.Type].And {
			a.add(resources, item.ID, source)
		}
	}
	return encode(map[string]any{"Resources": resources})
}

// add adds what there is of an attached resource.
func (a attached) add(resources map[string]any, id string, source map[string]any) {
	all, name := []*place{{value: source}}, id+" "+a.Type
	if a.Each != "" {
		all = all[0].all(strings.Split(a.Each, "."))
	}
	for i, p := range all {
		properties := fill(p, a.Properties)
		if _, ok := properties[a.Needs]; !ok && a.Needs != "" {
			continue
		}
		if a.Each != "" {
			name = id + " " + a.Type + " " + strconv.Itoa(i+1)
		}
		resources[name] = map[string]any{"Type": a.Type, "Properties": properties}
	}
}

func encode(v any) jsontext.Value {
	text, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		panic("shape: " + err.Error()) // only numbers that were no JSON to begin with
	}
	return text
}

// Documents reads a template as it is, and what holds configuration items as the
// templates that would make their resources: a guard.Reader.
func (s *Shapes) Documents(name string, text []byte) ([]*guard.Document, error) {
	items, err := s.Read(name, text)
	if err != nil {
		doc, loadErr := guard.Load(name, text) // also where it is not JSON
		if loadErr != nil {
			return nil, loadErr
		}
		return []*guard.Document{doc}, nil
	}
	var docs []*guard.Document
	for _, item := range items {
		template := s.Template(item)
		if template == nil {
			return nil, fault.Unsupported.Errorf("%s: the shape of %s %s is not known", name, item.Type, item.ID)
		}
		doc, err := guard.Load(name, template)
		if err != nil {
			return nil, err
		}
		docs = append(docs, doc)
	}
	return docs, nil
}
