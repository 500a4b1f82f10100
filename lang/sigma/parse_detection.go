package sigma

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/haechi-dev/haechi/word/diag"
)

// detection reads the searches, and then the conditions that tie them together.
func (p parser) detection(n *yaml.Node) (expression, error) {
	all, err := p.pairs(n, "detection")
	if err != nil {
		return nil, err
	}
	searches := map[string]expression{}
	var names []string
	var condition *yaml.Node
	for _, m := range all {
		switch m.key {
		case "condition":
			condition = m.value
			continue
		case "timeframe":
			return nil, p.errorf(m.node, "timeframe is not supported").WithHint("write a correlation with a timespan")
		}
		e, err := p.search(m.value)
		if err != nil {
			return nil, err
		}
		searches[m.key] = e
		names = append(names, m.key)
	}
	if condition == nil {
		return nil, p.errorf(n, "the detection has no condition").WithHint("condition: %s", strings.Join(names, " and "))
	}
	slices.Sort(names)
	return p.conditions(condition, names, searches)
}

// conditions is one condition, or a list of which one must hold.
func (p parser) conditions(n *yaml.Node, names []string, searches map[string]expression) (expression, error) {
	list := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		list = n.Content
	}
	var all or
	for _, c := range list {
		text, err := p.text(c, "condition")
		if err != nil {
			return nil, err
		}
		e, wrong := parseCondition(text, names, searches)
		if wrong != nil {
			place := p.at(c)
			if c.Style == 0 { // within quotes and blocks an offset may be another
				place.Column += wrong.offset
			}
			return nil, diag.Errorf(place, "%s", wrong.message).WithHint("%s", wrong.hint)
		}
		all = append(all, e)
	}
	if len(all) == 0 {
		return nil, p.errorf(n, "the condition is empty")
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return all, nil
}

// search reads a mapping (all must hold), a list (one must hold), or a keyword.
func (p parser) search(n *yaml.Node) (expression, error) {
	switch n.Kind {
	case yaml.MappingNode:
		return p.mapping(n)
	case yaml.SequenceNode:
		var all or
		for _, c := range n.Content {
			if c.Kind == yaml.SequenceNode {
				return nil, p.errorf(c, "a list within a list")
			}
			e, err := p.search(c)
			if err != nil {
				return nil, err
			}
			all = append(all, e)
		}
		if len(all) == 0 {
			return nil, p.errorf(n, "the list is empty")
		}
		return all, nil
	}
	return p.match("", nil, n)
}

func (p parser) mapping(n *yaml.Node) (expression, error) {
	all, err := p.pairs(n, "a search")
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, p.errorf(n, "the search is empty").WithHint("it would hold for every record")
	}
	var every and
	for _, m := range all {
		parts := strings.Split(m.key, "|")
		mods, err := p.modifiers(m.node, parts[1:])
		if err != nil {
			return nil, err
		}
		e, err := p.values(parts[0], mods, m.value)
		if err != nil {
			return nil, err
		}
		every = append(every, e)
	}
	return every, nil
}

// values is one value, or a list of which one must hold; with the modifier all, each.
func (p parser) values(field string, mods *modifiers, n *yaml.Node) (expression, error) {
	if n.Kind == yaml.MappingNode {
		return nil, p.errorf(n, "a value or a list of values is expected here").WithHint("nested fields are written with dots: %s.%s", field, firstKey(n))
	}
	if n.Kind != yaml.SequenceNode {
		return p.match(field, mods, n)
	}
	var list []expression
	for _, c := range n.Content {
		if c.Kind != yaml.ScalarNode {
			return nil, p.errorf(c, "a value is expected here")
		}
		e, err := p.match(field, mods, c)
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	switch {
	case len(list) == 0:
		return nil, p.errorf(n, "the list of values is empty")
	case len(list) == 1:
		return list[0], nil
	case mods.all:
		return and(list), nil
	}
	return or(list), nil
}

func firstKey(n *yaml.Node) string {
	if len(n.Content) > 0 {
		return n.Content[0].Value
	}
	return ""
}

// modifiers are what stands behind a field's name.
type modifiers struct {
	where    string // "", contains, startswith, endswith
	how      string // "", re, cidr, exists, fieldref, lt, lte, gt, gte
	flags    string // of re
	all      bool
	cased    bool
	windash  bool
	encoding []string // base64, base64offset, wide … in order
}

// plain tells whether the modifiers leave a value as it is written.
func (m *modifiers) plain() bool {
	return m.where == "" && m.how == "" && !m.windash && len(m.encoding) == 0
}

var modifierNames = []string{"contains", "startswith", "endswith", "all", "cased", "re", "i", "m", "s", "cidr", "exists", "fieldref", "lt", "lte", "gt", "gte", "windash", "base64", "base64offset", "wide", "utf16le", "utf16be"}

func (p parser) modifiers(n *yaml.Node, names []string) (*modifiers, error) {
	m := &modifiers{}
	for _, name := range names {
		clash := ""
		switch name {
		case "contains", "startswith", "endswith":
			clash, m.where = m.where, name
		case "re", "cidr", "exists", "fieldref", "lt", "lte", "gt", "gte":
			clash, m.how = m.how, name
		case "i", "m", "s":
			if m.how != "re" {
				return nil, p.errorf(n, "modifier %q belongs behind re", name)
			}
			m.flags += name
		case "all":
			m.all = true
		case "cased":
			m.cased = true
		case "windash":
			m.windash = true
		case "wide", "utf16le", "utf16be", "base64", "base64offset":
			m.encoding = append(m.encoding, name)
		default:
			return nil, p.errorf(n, "modifier %q is not supported", name).WithHint("%s", hintOr(diag.DidYouMean(name, modifierNames), "these are: "+strings.Join(modifierNames, ", ")))
		}
		if clash != "" {
			return nil, p.errorf(n, "modifiers %s and %s do not go together", clash, name)
		}
	}
	encoded := len(m.encoding) > 0
	switch {
	case m.how != "" && (encoded || m.windash), m.how != "" && m.how != "fieldref" && m.where != "":
		return nil, p.errorf(n, "modifier %s does not go together with the others", m.how)
	case encoded && m.encoding[len(m.encoding)-1] != "base64" && m.encoding[len(m.encoding)-1] != "base64offset":
		return nil, p.errorf(n, "modifier %s must be followed by base64 or base64offset", m.encoding[len(m.encoding)-1])
	}
	return m, nil
}
