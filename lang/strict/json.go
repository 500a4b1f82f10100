package strict

import (
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/word/fault"
	"go.yaml.in/yaml/v4"
)

// JSON is what a node says, in JSON: keys and values in their order, or a
// text that is JSON already. What aliases stand for counts each time.
func JSON(n *yaml.Node) (jsontext.Value, error) {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" {
		text := jsontext.Value(n.Value)
		if !text.IsValid() {
			return nil, fault.Invalid.Errorf("the text is not JSON")
		}
		return text, nil
	}
	w := jsonWriter{room: 100_000}
	err := w.write(n, 0)
	if err == nil && !w.out.IsValid() {
		err = fault.Invalid.Errorf("a key stands twice in one place")
	}
	return w.out, err
}

// jsonWriter writes nodes as JSON. Aliases count each time, so that a few
// lines cannot become gigabytes.
type jsonWriter struct {
	out  jsontext.Value
	room int
}

func (w *jsonWriter) write(n *yaml.Node, depth int) (err error) {
	const deepest = 100
	if w.room--; w.room < 0 || depth > deepest {
		return fault.Invalid.Errorf("there is too much here")
	}
	switch n.Kind {
	case yaml.AliasNode:
		return w.write(n.Alias, depth+1)
	case yaml.MappingNode:
		w.out = append(w.out, '{')
		for i := 0; i+1 < len(n.Content) && err == nil; i += 2 {
			if i > 0 {
				w.out = append(w.out, ',')
			}
			w.out = append(append(w.out, quoted(n.Content[i].Value)...), ':')
			err = w.write(n.Content[i+1], depth+1)
		}
		w.out = append(w.out, '}')
	case yaml.SequenceNode:
		w.out = append(w.out, '[')
		for i := 0; i < len(n.Content) && err == nil; i++ {
			if i > 0 {
				w.out = append(w.out, ',')
			}
			err = w.write(n.Content[i], depth+1)
		}
		w.out = append(w.out, ']')
	default:
		return w.scalar(n)
	}
	return err
}

func (w *jsonWriter) scalar(n *yaml.Node) error {
	if tag := n.ShortTag(); tag == "!!str" || tag == "!!timestamp" || tag == "!!binary" {
		w.out = append(w.out, quoted(n.Value)...)
		return nil
	}
	if number := jsontext.Value(n.Value); number.IsValid() && number.Kind() == '0' {
		w.out = append(w.out, number...) // as it is written: long integers stay exact
		return nil
	}
	var v any
	if err := n.Decode(&v); err != nil {
		return fault.Invalid.Wrap(err)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fault.Invalid.Errorf("%q has no counterpart in JSON", n.Value)
	}
	w.out = append(w.out, text...)
	return nil
}

func quoted(text string) jsontext.Value {
	out, err := jsontext.AppendQuote(nil, strings.ToValidUTF8(text, "\uFFFD"))
	if err != nil {
		panic("strict: " + err.Error()) // valid UTF-8 can always be quoted
	}
	return out
}
