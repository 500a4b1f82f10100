package wire

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// maxParams bounds the parameters of one call of the query protocol.
const maxParams = 20_000

// parseForm is url.ParseQuery with a bound; what it refuses it does not say back.
func parseForm(text string) (url.Values, *Error) {
	if strings.Count(text, "&") >= maxParams {
		return nil, tooLarge(fmt.Sprintf("no more than %d parameters", maxParams))
	}
	form, err := url.ParseQuery(text)
	if err != nil {
		return nil, unreadable("the form cannot be read")
	}
	return form, nil
}

// A param is the tree that names like Tags.member.1.Key spell.
type param struct {
	value string
	below map[string]*param
}

// tree plants the parameters of a form. A name that is there twice is refused:
// which one was meant nobody knows.
func tree(form url.Values, depth int) (*param, error) {
	root := &param{}
	for name, values := range form {
		if len(values) > 1 {
			return nil, fmt.Errorf("a parameter is there twice: %.60q", name)
		}
		at := root
		levels := 0
		for part := range strings.SplitSeq(name, ".") {
			if levels++; levels > 2*depth {
				return nil, fmt.Errorf("no more than %d levels", depth)
			}
			if at.below == nil {
				at.below = map[string]*param{}
			}
			if at.below[part] == nil {
				at.below[part] = &param{}
			}
			at = at.below[part]
		}
		at.value = values[0]
	}
	return root, nil
}

// formJSON writes the form of a call as the JSON of its input. Whether values
// fit is for the walk to say, so a number that is none stays a string.
func (m *Model) formJSON(input string, form url.Values, depth int) ([]byte, error) {
	root, err := tree(form, depth)
	if err != nil {
		return nil, err
	}
	s := m.Shapes[input]
	if s == nil {
		return []byte("{}"), nil
	}
	return m.appendParam(nil, s, root, nil, depth)
}

func (m *Model) appendParam(b []byte, s *modelType, p *param, flat *string, depth int) ([]byte, error) {
	if depth == 0 {
		return nil, fmt.Errorf("nested too deep")
	}
	switch s.Type {
	case "structure":
		return m.appendStruct(b, s, p, depth)
	case "list":
		return m.appendParams(b, s, p, flat != nil, depth)
	case "map":
		return m.appendEntries(b, s, p, flat != nil, depth)
	}
	return appendScalar(b, s.Type, p.value)
}

func (m *Model) appendStruct(b []byte, s *modelType, p *param, depth int) ([]byte, error) {
	b = append(b, '{')
	first := true
	for i := range s.Members {
		name := s.Members[i].wire()
		below := p.below[name]
		if below == nil {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(strconv.AppendQuote(b, name), ':')
		shape := m.Shapes[s.Members[i].Shape]
		var flat *string
		if shape.Flat {
			flat = &name
		}
		var err error
		if b, err = m.appendParam(b, shape, below, flat, depth-1); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

func (m *Model) appendParams(b []byte, s *modelType, p *param, flat bool, depth int) ([]byte, error) {
	if !flat {
		p = p.below[nameOf(s.Element, "member")]
	}
	b = append(b, '[')
	numbers, err := numbered(p)
	if err != nil {
		return nil, err
	}
	for i, n := range numbers {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = m.appendParam(b, m.Shapes[s.Element.Shape], p.below[strconv.Itoa(n)], nil, depth-1); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

func (m *Model) appendEntries(b []byte, s *modelType, p *param, flat bool, depth int) ([]byte, error) {
	if !flat {
		p = p.below["entry"]
	}
	b = append(b, '{')
	numbers, err := numbered(p)
	if err != nil {
		return nil, err
	}
	for i, n := range numbers {
		entry := p.below[strconv.Itoa(n)]
		key, value := entry.below[nameOf(s.Key, "key")], entry.below[nameOf(s.Value, "value")]
		if key == nil || value == nil {
			return nil, fmt.Errorf("an entry of a map needs key and value")
		}
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = jsontext.AppendQuote(b, key.value); err != nil {
			return nil, err
		}
		b = append(b, ':')
		if b, err = m.appendParam(b, m.Shapes[s.Value.Shape], value, nil, depth-1); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// numbered are the numbers below p, in order: 1, 2, 3 as they should be, or
// with gaps, which mean nothing.
func numbered(p *param) ([]int, error) {
	if p == nil {
		return nil, nil
	}
	numbers := make([]int, 0, len(p.below))
	for text := range p.below {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || strconv.Itoa(n) != text {
			return nil, fmt.Errorf("an element of a list has no number: %.20q", text)
		}
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	return numbers, nil
}

// appendScalar writes a text as its type has it in JSON.
func appendScalar(b []byte, kind, text string) ([]byte, error) {
	switch kind {
	case "boolean":
		if text == "true" || text == "false" {
			return append(b, text...), nil
		}
	case "integer", "long", "short", "byte", "float", "double":
		if v := jsontext.Value(text); v.IsValid() && v.Kind() == '0' && strings.TrimSpace(text) == text {
			return append(b, text...), nil
		}
	}
	return jsontext.AppendQuote(b, text)
}
