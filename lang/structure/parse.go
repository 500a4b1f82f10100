package structure

import (
	"errors"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v4"

	"github.com/haechi-dev/haechi/lang/strict"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

// Parse reads a pipeline from the text of the file so named: JSON or YAML, by
// itself or as GetPipeline gives it. name is what it is called where the text does not
// say; own are the types of actions that there are besides Types.
// The first mistake is a *diag.Error of kind fault.Invalid.
func Parse(file string, text []byte, name string, own ...Type) (Pipeline, error) {
	p := Pipeline{Name: name}
	var top map[string]yaml.Node
	if err := strict.Unmarshal(file, text, &top); err != nil {
		return p, err
	}
	wrapped, isWrapped := top["pipeline"]
	var err error
	if isWrapped {
		given := struct {
			Pipeline *Pipeline `yaml:"pipeline"`
			Metadata yaml.Node `yaml:"metadata"`
			Tags     yaml.Node `yaml:"tags"`
		}{Pipeline: &p}
		err = strict.Unmarshal(file, text, &given)
	} else {
		err = strict.Unmarshal(file, text, &p)
	}
	if err != nil {
		return p, err
	}
	p.complete()
	wrong := p.Check(own...)
	if len(wrong) == 0 {
		return p, nil
	}
	root := rootOf(top)
	if isWrapped {
		root = &wrapped
	}
	return p, wrong[0].at(file, text, root)
}

// rootOf is the mapping that top was read from, as far as one looks into it.
func rootOf(top map[string]yaml.Node) *yaml.Node {
	root := &yaml.Node{Kind: yaml.MappingNode, Line: 1, Column: 1}
	for key, value := range top {
		root.Content = append(root.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key, Line: value.Line, Column: value.Column}, &value)
	}
	return root
}

// Problem is one thing that is wrong with a pipeline.
type Problem struct {
	Path    []any // names of members and numbers in lists, from the pipeline on
	Message string
	Hint    string // what to do about it, or ""
}

// Where is the path as text: stages[1].actions[0].name.
func (p Problem) Where() string {
	var b strings.Builder
	for _, step := range p.Path {
		switch step := step.(type) {
		case string:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(step)
		case int:
			b.WriteString("[" + itoa(step) + "]")
		}
	}
	return b.String()
}

// Error says where and what.
func (p Problem) Error() string {
	text := p.Message
	if where := p.Where(); where != "" {
		text = where + ": " + text
	}
	if p.Hint != "" {
		text += " (" + p.Hint + ")"
	}
	return text
}

// at is the problem at its line of a file.
func (p Problem) at(file string, text []byte, root *yaml.Node) error {
	n := root
	for _, step := range p.Path {
		next := child(n, step)
		if next == nil {
			break
		}
		n = next
	}
	err := strict.Errorf(file, text, n, "%s", p.Message)
	var at *diag.Error
	if p.Hint != "" && errors.As(err, &at) {
		return fault.Invalid.Wrap(at.WithHint("%s", p.Hint))
	}
	return err
}

// child is what a step leads to, or nil.
func child(n *yaml.Node, step any) *yaml.Node {
	for range 32 {
		if n.Kind != yaml.AliasNode {
			break
		}
		n = n.Alias
	}
	switch step := step.(type) {
	case string:
		if n.Kind != yaml.MappingNode {
			return nil
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == step {
				return n.Content[i+1]
			}
		}
	case int:
		if n.Kind == yaml.SequenceNode && step < len(n.Content) {
			return n.Content[step]
		}
	}
	return nil
}

// Checked is p with its defaults said, or the first mistake as fault.Invalid.
func Checked(p Pipeline, own ...Type) (Pipeline, error) {
	p = p.Clone()
	p.complete()
	if wrong := p.Check(own...); len(wrong) > 0 {
		return p, fault.Invalid.Wrap(wrong[0])
	}
	return p, nil
}

// JSON is the pipeline in canonical JSON: the same pipeline gives the same bytes.
func (p Pipeline) JSON() []byte {
	text, err := json.Marshal(p, json.Deterministic(true))
	if err != nil {
		panic("structure: " + err.Error()) // strings, numbers, lists and maps of these
	}
	return text
}

// Indented is JSON for people.
func (p Pipeline) Indented() []byte {
	text, err := json.Marshal(p, json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		panic("structure: " + err.Error())
	}
	return append(text, '\n')
}

// Clone shares nothing with p.
func (p Pipeline) Clone() (c Pipeline) {
	if err := json.Unmarshal(p.JSON(), &c); err != nil {
		panic("structure: " + err.Error()) // it was written by JSON
	}
	return c
}

// Same tells whether two pipelines are the same but for their versions.
func Same(a, b Pipeline) bool {
	a.Version, b.Version = 0, 0
	return string(a.JSON()) == string(b.JSON())
}
