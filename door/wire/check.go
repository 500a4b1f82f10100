package wire

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// CheckAnswer holds the body of an answer against what the model says of the
// operation's output: unknown and missing members, types, enums and the way
// times are written. It is how tests know that a client will understand.
func (m *Model) CheckAnswer(operation string, body []byte) error {
	o := m.Operations[operation]
	if o == nil {
		return fmt.Errorf("%s has no operation %s", m.Signing, operation)
	}
	if m.Protocol == Query {
		var err error
		if body, err = m.answerJSON(operation, o, body); err != nil {
			return err
		}
	}
	if o.Output == "" && len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	w := walk{model: m, limits: Limits{Depth: 1000, Elements: 1 << 30}, way: strict}
	if _, err := w.do(o.Output, body); err != nil {
		return err
	}
	if len(w.problems) > 0 {
		return errors.New(strings.Join(w.problems, "\n"))
	}
	return nil
}

// node is an element of an answer in XML.
type node struct {
	name  string
	text  string
	below []*node
}

func parseXML(text []byte) (*node, error) {
	dec := xml.NewDecoder(bytes.NewReader(text))
	root := &node{}
	stack := []*node{root}
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			if len(root.below) != 1 {
				return nil, fmt.Errorf("%d elements at the top", len(root.below))
			}
			return root.below[0], nil
		}
		if err != nil {
			return nil, err
		}
		top := stack[len(stack)-1]
		switch t := token.(type) {
		case xml.StartElement:
			n := &node{name: t.Name.Local}
			top.below = append(top.below, n)
			stack = append(stack, n)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			top.text += string(t)
		}
	}
}

func (n *node) find(name string) *node {
	for _, b := range n.below {
		if b.name == name {
			return b
		}
	}
	return nil
}

// answerJSON takes the answer's result out of its envelope, as JSON.
func (m *Model) answerJSON(operation string, o *Modelled, body []byte) ([]byte, error) {
	root, err := parseXML(body)
	if err != nil {
		return nil, fmt.Errorf("the answer is no XML: %w", err)
	}
	if root.name != operation+"Response" {
		return nil, fmt.Errorf("the answer is a %s", root.name)
	}
	if meta := root.find("ResponseMetadata"); meta == nil || meta.find("RequestId") == nil {
		return nil, errors.New("the answer has no request id")
	}
	result := root
	if o.Wrapper != "" {
		if result = root.find(o.Wrapper); result == nil {
			return nil, fmt.Errorf("the answer has no %s", o.Wrapper)
		}
	}
	if s := m.Shapes[o.Output]; s != nil {
		return m.appendNode(nil, s, []*node{result})
	}
	return []byte("{}"), nil
}

// appendNode writes elements as JSON of that shape; several only where a list is flat.
func (m *Model) appendNode(b []byte, s *modelType, nodes []*node) ([]byte, error) {
	var err error
	switch s.Type {
	case "structure":
		groups, order := map[string][]*node{}, []string{}
		for _, n := range nodes[0].below {
			if groups[n.name] == nil {
				order = append(order, n.name)
			}
			groups[n.name] = append(groups[n.name], n)
		}
		b = append(b, '{')
		for i, name := range order {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = jsontext.AppendQuote(b, name); err != nil {
				return nil, err
			}
			b = append(b, ':')
			if k, ok := s.index[name]; ok {
				b, err = m.appendNode(b, m.Shapes[s.Members[k].Shape], groups[name])
			} else {
				b = append(b, "null"...)
			}
			if err != nil {
				return nil, err
			}
		}
		return append(b, '}'), nil
	case "list":
		if !s.Flat {
			nodes = nodes[0].below
		}
		b = append(b, '[')
		for i, n := range nodes {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = m.appendNode(b, m.Shapes[s.Element.Shape], []*node{n}); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	case "map":
		if !s.Flat {
			nodes = nodes[0].below
		}
		return m.appendNodeMap(b, s, nodes)
	}
	if len(nodes) != 1 {
		return nil, fmt.Errorf("%s is there %d times", nodes[0].name, len(nodes))
	}
	return appendScalar(b, s.Type, nodes[0].text)
}

func (m *Model) appendNodeMap(b []byte, s *modelType, nodes []*node) ([]byte, error) {
	b = append(b, '{')
	for i, n := range nodes {
		key, value := n.find(nameOf(s.Key, "key")), n.find(nameOf(s.Value, "value"))
		if key == nil || value == nil {
			return nil, fmt.Errorf("%s without key or value", n.name)
		}
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = jsontext.AppendQuote(b, key.text); err != nil {
			return nil, err
		}
		b = append(b, ':')
		if b, err = m.appendNode(b, m.Shapes[s.Value.Shape], []*node{value}); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}
