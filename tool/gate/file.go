package gate

import (
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
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
	w := writer{room: 10_000}
	if n.Kind == yaml.ScalarNode {
		w.out = []byte(n.Value)
	} else if err := w.write(n, 0); err != nil {
		return nil, f.errorf(n, "%v", err)
	}
	p, err := match.Parse(w.out)
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

// writer writes nodes as JSON. What aliases stand for counts each time, so that
// a few lines cannot become gigabytes.
type writer struct {
	out  []byte
	room int
}

func (w *writer) write(n *yaml.Node, depth int) error {
	const deepest = 64
	if w.room--; w.room < 0 || depth > deepest {
		return fmt.Errorf("the pattern is too large")
	}
	switch n.Kind {
	case yaml.AliasNode:
		return w.write(n.Alias, depth+1)
	case yaml.MappingNode:
		return w.list(n.Content, '{', '}', depth)
	case yaml.SequenceNode:
		return w.list(n.Content, '[', ']', depth)
	}
	if tag := n.ShortTag(); tag != "!!str" && jsontext.Value(n.Value).IsValid() {
		w.out = append(w.out, n.Value...)
		return nil
	}
	out, err := jsontext.AppendQuote(w.out, n.Value)
	w.out = out
	return err
}

func (w *writer) list(nodes []*yaml.Node, open, end byte, depth int) error {
	w.out = append(w.out, open)
	for i, n := range nodes {
		switch key := open == '{' && i%2 == 0; {
		case open == '{' && !key:
			w.out = append(w.out, ':')
		case i > 0:
			w.out = append(w.out, ',')
		}
		if open == '{' && i%2 == 0 {
			out, err := jsontext.AppendQuote(w.out, n.Value)
			if err != nil {
				return err
			}
			w.out = out
			continue
		}
		if err := w.write(n, depth+1); err != nil {
			return err
		}
	}
	w.out = append(w.out, end)
	return nil
}
