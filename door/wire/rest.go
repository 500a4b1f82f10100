package wire

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// restJSON writes what a rest-json call has in its path, query and headers as
// members of one JSON object with its body.
func (m *Model) restJSON(input string, labels map[string]string, query url.Values, h http.Header, body []byte) ([]byte, error) {
	s := m.Shapes[input]
	if s == nil {
		return []byte("{}"), nil
	}
	b := []byte{'{'}
	var err error
	for i := range s.Members {
		one := &s.Members[i]
		name, values := one.wire(), []string(nil)
		switch one.In {
		case "uri":
			if text, ok := labels[name]; ok {
				values = []string{text}
			}
		case "querystring":
			values = query[name]
		case "header":
			values = h.Values(name)
		}
		if len(values) == 0 {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		if b, err = jsontext.AppendQuote(b, name); err != nil {
			return nil, err
		}
		b = append(b, ':')
		if b, err = m.appendValues(b, m.Shapes[one.Shape], values); err != nil {
			return nil, err
		}
	}
	body = bytes.TrimSpace(body)
	rest, ok := bytes.CutPrefix(body, []byte("{"))
	switch {
	case len(body) == 0:
		return append(b, '}'), nil
	case len(b) == 1:
		return body, nil
	case !ok:
		return nil, &badShape{"", "an object"}
	}
	if rest = bytes.TrimSpace(rest); !bytes.HasPrefix(rest, []byte("}")) {
		b = append(b, ',')
	}
	return append(b, rest...), nil
}

func (m *Model) appendValues(b []byte, s *modelType, values []string) ([]byte, error) {
	if s.Type != "list" {
		return appendScalar(b, s.Type, values[0])
	}
	b = append(b, '[')
	var err error
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = appendScalar(b, m.Shapes[s.Element.Shape].Type, v); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

// deepest is how deep a JSON text nests, without reading it otherwise.
func deepest(text []byte) int {
	depth, most, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
			most = max(most, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	return most
}

// targetOf is the operation that X-Amz-Target names, if its prefix is the service's.
func (m *Model) targetOf(h http.Header) string {
	prefix, name, ok := cutLast(h.Get("X-Amz-Target"), ".")
	if !ok || prefix != m.Target {
		return ""
	}
	return name
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}
