package guard

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/haechi-dev/haechi/word/diag"
	"go.yaml.in/yaml/v4"
)

// yamlLoader turns nodes into values.
type yamlLoader struct {
	name  string
	nodes int
	alias int // values that aliases added; counted while inside > 0
	open  map[*yaml.Node]bool
	in    int
}

func loadYAML(name string, text []byte) (*Value, *diag.Error) {
	all, err := loadAllYAML(name, text, 1)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, diag.Errorf(diag.Place{File: name, Line: 1, Column: 1}, "the file is empty")
	}
	return all[0], nil
}

// loadAllYAML reads the documents of a file, of which there may be at most most.
// Those that hold nothing are left out, unless there must be one only.
func loadAllYAML(name string, text []byte, most int) ([]*Value, *diag.Error) {
	if err := tooDeep(name, text); err != nil {
		return nil, err
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	l := &yamlLoader{name: name, open: map[*yaml.Node]bool{}}
	var all []*Value
	for {
		var top yaml.Node
		if err := d.Decode(&top); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, yamlError(name, text, err)
		}
		if len(top.Content) == 0 {
			continue
		}
		if len(all) == most {
			p := diag.Place{File: name, Line: top.Line, Column: top.Column}
			if most == 1 {
				return nil, diag.Errorf(p, "a second document begins here").WithHint("one file holds one document")
			}
			return nil, diag.Errorf(p, "more than %d documents", most)
		}
		v, err := l.value(top.Content[0], 0)
		if err != nil {
			return nil, err
		}
		if most > 1 && v.kind == kindNull {
			continue
		}
		all = append(all, v)
	}
}

// tooDeep refuses, before anything recursive sees it, flow collections that are
// opened too often without being closed. Brackets in strings count too: a text
// with hundreds of unclosed ones in a row is refused as well.
func tooDeep(name string, text []byte) *diag.Error {
	depth := 0
	for i, c := range text {
		switch c {
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(0, depth-1)
		}
		if depth > 10*maxDepth {
			return diag.Errorf(diag.At(name, text, i), "nested deeper than %d levels", maxDepth)
		}
	}
	return nil
}

func (l *yamlLoader) at(n *yaml.Node) diag.Place {
	return diag.Place{File: l.name, Line: n.Line, Column: n.Column}
}

func (l *yamlLoader) value(n *yaml.Node, depth int) (*Value, *diag.Error) {
	l.nodes++
	l.alias += btoi(l.in > 0)
	switch {
	case l.nodes > maxNodes:
		return nil, diag.Errorf(l.at(n), "more than %d values", maxNodes)
	case l.alias > maxAlias:
		return nil, diag.Errorf(l.at(n), "aliases add more than %d values", maxAlias).WithHint("write the values out")
	case depth > maxDepth:
		return nil, diag.Errorf(l.at(n), "nested deeper than %d levels", maxDepth)
	}
	if n.Kind == yaml.AliasNode {
		if l.open[n.Alias] {
			return nil, diag.Errorf(l.at(n), "alias *%s stands within what it names", n.Value)
		}
		l.open[n.Alias] = true
		l.in++
		v, err := l.value(n.Alias, depth+1)
		l.in--
		delete(l.open, n.Alias)
		return v, err
	}
	long, short := longForm(n.Tag)
	if !short {
		return l.plain(n, depth)
	}
	v, err := l.plain(n, depth+1)
	if err != nil {
		return nil, err
	}
	if long == "Fn::GetAtt" && v.kind == kindString {
		v = splitAttribute(v)
	}
	key := l.put(newString(long), n)
	return l.put(newMap([]field{{key, v}}), n), nil
}

func (l *yamlLoader) plain(n *yaml.Node, depth int) (*Value, *diag.Error) {
	switch n.Kind {
	case yaml.MappingNode:
		v, err := l.fields(n, depth)
		return l.put(v, n), err
	case yaml.SequenceNode:
		var items []*Value
		for _, x := range n.Content {
			v, err := l.value(x, depth+1)
			if err != nil {
				return nil, err
			}
			items = append(items, v)
		}
		return l.put(newList(items), n), nil
	}
	return l.put(yamlScalar(n), n), nil
}

func (l *yamlLoader) fields(n *yaml.Node, depth int) (*Value, *diag.Error) {
	var fields []field
	seen := make(map[string]bool, len(n.Content)/2)
	var merged []field
	for i := 0; i+1 < len(n.Content); i += 2 {
		name := n.Content[i]
		if name.Kind == yaml.AliasNode {
			name = name.Alias
		}
		if name.Kind != yaml.ScalarNode {
			return nil, diag.Errorf(l.at(n.Content[i]), "the name of a member must be text")
		}
		v, err := l.value(n.Content[i+1], depth+1)
		if err != nil {
			return nil, err
		}
		if name.Value == "<<" && name.Style == 0 && name.Tag != "!!str" {
			merged = append(merged, mergeOf(v)...)
			continue
		}
		if seen[name.Value] {
			return nil, diag.Errorf(l.at(n.Content[i]), "%q comes twice in the same map", name.Value).WithHint("remove one of the two")
		}
		seen[name.Value] = true
		fields = append(fields, field{l.put(newString(name.Value), n.Content[i]), v})
	}
	for _, f := range merged {
		if !seen[f.key.text] {
			seen[f.key.text] = true
			fields = append(fields, f)
		}
	}
	return newMap(fields), nil
}

// mergeOf is what << adds: the members of a map, or of each map in a list.
func mergeOf(v *Value) []field {
	if v.kind == kindMap {
		return v.fields
	}
	var all []field
	for _, x := range v.items {
		all = append(all, x.fields...)
	}
	return all
}

func (l *yamlLoader) put(v *Value, n *yaml.Node) *Value {
	if v != nil {
		v.line, v.column = int32(n.Line), int32(n.Column)
	}
	return v
}

// longForm is Fn::Sub for !Sub, and so on.
func longForm(tag string) (string, bool) {
	name, ok := strings.CutPrefix(tag, "!")
	switch name {
	case "Ref", "Condition":
		return name, ok
	case "And", "Base64", "Cidr", "Contains", "EachMemberEquals", "EachMemberIn", "Equals", "FindInMap", "ForEach", "GetAtt", "GetAZs", "GetStackOutput", "If",
		"ImportValue", "Join", "Length", "Not", "Or", "RefAll", "Select", "Split", "Sub", "ToJsonString", "Transform", "ValueOf", "ValueOfAll":
		return "Fn::" + name, ok
	}
	return "", false
}

// splitAttribute makes ["a", "b.c"] of "a.b.c", as CloudFormation does.
func splitAttribute(v *Value) *Value {
	resource, attribute, ok := strings.Cut(v.text, ".")
	if !ok {
		return v
	}
	list := newList([]*Value{newString(resource), newString(attribute)})
	for _, x := range append(list.items, list) {
		x.line, x.column = v.line, v.column
	}
	return list
}

var yamlFloat = regexp.MustCompile(`^[-+]?(\d+\.\d*|\.\d+|\d+)([eE][-+]?\d+)?$`)

// yamlScalar says what a scalar is: quoted or tagged it is text, else an integer,
// a float, a truth or nothing where it reads as one. Dates stay text, and so do
// YAML 1.1's yes and no.
func yamlScalar(n *yaml.Node) *Value {
	const quoted = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	if n.Style&quoted != 0 || n.Tag == "!!str" && n.Style&yaml.TaggedStyle != 0 {
		return newString(n.Value)
	}
	switch n.Value {
	case "", "~", "null", "Null", "NULL":
		return &Value{kind: kindNull}
	case "true", "True", "TRUE":
		return &Value{kind: kindBool, truth: true}
	case "false", "False", "FALSE":
		return &Value{kind: kindBool}
	}
	if i, err := strconv.ParseInt(n.Value, 10, 64); err == nil {
		return &Value{kind: kindInt, number: i}
	}
	if yamlFloat.MatchString(n.Value) {
		return number(n.Value)
	}
	return newString(n.Value)
}

var yamlLine = regexp.MustCompile(`line (\d+)(?:[:,] column (\d+))?`)

// yamlError finds the place in the words of the parser.
func yamlError(name string, text []byte, err error) *diag.Error {
	p := diag.Place{File: name}
	message := strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\n", " "), "yaml: ")
	if m := yamlLine.FindStringSubmatch(message); m != nil {
		p.Line, _ = strconv.Atoi(m[1])
		p.Column, _ = strconv.Atoi(m[2])
	}
	return diag.Errorf(p, "not YAML: %s", message)
}
