package gate

import (
	"errors"
	"slices"

	"github.com/haechi-dev/haechi/lang/match"
	"github.com/haechi-dev/haechi/lang/strict"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
	"go.yaml.in/yaml/v4"
)

// Parse reads a policy file:
//
//	block:
//	  - name: severe and new
//	    pattern: { Severity: { Label: [CRITICAL, HIGH] } }
//	  - name: no private keys at all
//	    scope: all
//	    pattern: { GeneratorId: [secret/private-key] }
//
// scope is new (what the base does not have; the default) or all. Mistakes come
// with their place.
func Parse(name string, text []byte) (Policy, error) {
	var said struct {
		Block *[]yaml.Node `yaml:"block"`
	}
	if err := strict.Unmarshal(name, text, &said); err != nil {
		return Policy{}, err
	}
	if said.Block == nil {
		return Policy{}, fault.Invalid.Wrap(diag.Errorf(diag.Place{File: name, Line: 1}, "there is no block").In(text).WithHint("say `block: []` if nothing is to be stopped"))
	}
	f := file{name, text}
	p := Policy{Block: make([]Rule, 0, len(*said.Block))}
	for _, node := range *said.Block {
		r, err := f.rule(&node)
		if err != nil {
			return Policy{}, err
		}
		if slices.ContainsFunc(p.Block, func(other Rule) bool { return other.Name == r.Name }) {
			return Policy{}, f.errorf(&node, "two rules are called %q", r.Name)
		}
		p.Block = append(p.Block, r)
	}
	return p, nil
}

type file struct {
	name string
	text []byte
}

func (f file) errorf(n *yaml.Node, format string, a ...any) error {
	return strict.Errorf(f.name, f.text, n, format, a...)
}

func (f file) rule(n *yaml.Node) (Rule, error) {
	fields := map[string]*yaml.Node{}
	if n.Kind != yaml.MappingNode {
		return Rule{}, f.errorf(n, "a rule has a name and a pattern")
	}
	names := []string{"name", "pattern", "scope"}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if !slices.Contains(names, key.Value) {
			err := f.errorf(key, "unknown key %q", key.Value)
			var at *diag.Error
			if errors.As(err, &at) {
				at.Hint = diag.DidYouMean(key.Value, names)
			}
			return Rule{}, err
		}
		if fields[key.Value] != nil {
			return Rule{}, f.errorf(key, "%q stands here twice", key.Value)
		}
		fields[key.Value] = n.Content[i+1]
	}
	name, pattern, scope := fields["name"], fields["pattern"], fields["scope"]
	switch {
	case name == nil || name.Value == "":
		return Rule{}, f.errorf(n, "a rule needs a name")
	case pattern == nil:
		return Rule{}, f.errorf(n, "the rule %q has no pattern", name.Value)
	case scope != nil && scope.Value != "new" && scope.Value != "all":
		return Rule{}, f.errorf(scope, "scope is new or all, not %q", scope.Value)
	}
	parsed, err := f.pattern(pattern)
	return Rule{Name: name.Value, Pattern: parsed, Known: scope != nil && scope.Value == "all"}, err
}

// pattern reads an event pattern, written in YAML or as JSON text. What is wrong
// with it stands at the whole pattern: its own place would be in JSON that nobody wrote.
func (f file) pattern(n *yaml.Node) (*match.Pattern, error) {
	text, err := strict.JSON(n)
	if err != nil {
		return nil, f.errorf(n, "%v", err)
	}
	p, err := match.Parse(text)
	if err == nil {
		return p, nil
	}
	var inner, outer *diag.Error
	message := err.Error()
	if errors.As(err, &inner) {
		message = inner.Message
	}
	err = f.errorf(n, "%s", message)
	if inner != nil && errors.As(err, &outer) {
		outer.Hint = inner.Hint
	}
	return nil, err
}
