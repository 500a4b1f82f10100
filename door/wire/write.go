package wire

import (
	"bytes"
	"encoding/xml"
	"net/http"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// An answer is what goes back: never HTML, always with a request id.
type answer struct {
	status  int
	headers map[string]string
	kind    string // content type
	body    []byte

	// Of a stream, which is sent as it comes:
	stream    *streamed
	model     *Model
	operation string
	broken    func(error) // is told what nobody but us can mend
}

func (a *answer) send(w http.ResponseWriter, r *http.Request, id string) {
	h := w.Header()
	h.Set("X-Amzn-Requestid", id)
	h.Set("Content-Type", a.kind)
	if a.stream == nil {
		h.Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	for name, value := range a.headers {
		h.Set(name, value)
	}
	w.WriteHeader(a.status)
	if a.stream != nil {
		a.sendStream(w, r)
		return
	}
	if r.Method != http.MethodHead {
		_, _ = w.Write(a.body) // whoever hung up does not hear it
	}
}

// failure writes an error as the protocol does.
func failure(p Protocol, m *Model, e *Error, id string) *answer {
	a := &answer{status: e.status, headers: map[string]string{}}
	switch p {
	case Query:
		code := e.Code
		if e.query != "" {
			code = e.query
		}
		kind := "Sender"
		if e.status >= 500 {
			kind = "Receiver"
		}
		var b bytes.Buffer
		b.WriteString("<ErrorResponse")
		if m != nil && m.Namespace != "" {
			element(&b, ` xmlns="`, m.Namespace, `"`)
		}
		b.WriteString("><Error>")
		element(&b, "<Type>", kind, "</Type>")
		element(&b, "<Code>", code, "</Code>")
		element(&b, "<Message>", e.Message, "</Message>")
		b.WriteString("</Error>")
		element(&b, "<RequestId>", id, "</RequestId></ErrorResponse>")
		a.kind, a.body = "text/xml", b.Bytes()
	case JSON:
		if a.status == http.StatusForbidden {
			a.status = http.StatusBadRequest
		}
		a.kind = jsonType(m)
		a.body, _ = json.Marshal(struct {
			Type    string `json:"__type"`
			Message string `json:"message"`
		}{e.Code, e.Message}, jsontext.AllowInvalidUTF8(true))
	default:
		a.kind = "application/json"
		a.headers["X-Amzn-Errortype"] = e.Code
		a.body, _ = json.Marshal(struct{ Message, Code string }{e.Message, e.Code}, jsontext.AllowInvalidUTF8(true))
	}
	return a
}

func jsonType(m *Model) string {
	version := "1.1"
	if m != nil && m.JSONVersion != "" {
		version = m.JSONVersion
	}
	return "application/x-amz-json-" + version
}

// success writes what a handler answered as the operation's output.
func success(m *Model, name string, out any, id string, limits Limits) (*answer, error) {
	if stream, ok := out.(*streamed); ok {
		return &answer{status: 200, kind: "application/vnd.amazon.eventstream", stream: stream, model: m, operation: name}, nil
	}
	text, err := json.Marshal(out, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return nil, err
	}
	o := m.Operations[name]
	walk := walk{model: m, limits: limits, way: outward}
	walk.limits.Depth, walk.limits.Elements = 1000, 1<<31-1
	if text, err = walk.do(o.Output, text); err != nil {
		return nil, err
	}
	switch m.Protocol {
	case Query:
		body, err := appendAnswer(m, name, text, id)
		return &answer{status: 200, kind: "text/xml", body: body}, err
	case JSON:
		return &answer{status: 200, kind: jsonType(m), body: text}, nil
	}
	return &answer{status: 200, kind: "application/json", body: text}, nil
}

// appendAnswer writes the answer of the query protocol: XML, with the members
// in the order of the model.
func appendAnswer(m *Model, name string, text []byte, id string) ([]byte, error) {
	var b bytes.Buffer
	o := m.Operations[name]
	b.WriteString("<" + name + "Response")
	element(&b, ` xmlns="`, m.Namespace, `">`)
	if o.Wrapper != "" {
		b.WriteString("<" + o.Wrapper + ">")
	}
	if s := m.Shapes[o.Output]; s != nil {
		if err := m.appendXML(&b, s, text); err != nil {
			return nil, err
		}
	}
	if o.Wrapper != "" {
		b.WriteString("</" + o.Wrapper + ">")
	}
	b.WriteString("<ResponseMetadata>")
	element(&b, "<RequestId>", id, "</RequestId></ResponseMetadata></"+name+"Response>")
	return b.Bytes(), nil
}

// appendXML writes the content of an element of that shape.
func (m *Model) appendXML(b *bytes.Buffer, s *modelType, text jsontext.Value) error {
	switch s.Type {
	case "structure":
		var members map[string]jsontext.Value
		if err := json.Unmarshal(text, &members); err != nil {
			return err
		}
		for i := range s.Members {
			value, ok := members[s.Members[i].wire()]
			if !ok || value.Kind() == 'n' {
				continue
			}
			if err := m.appendMember(b, s.Members[i].wire(), m.Shapes[s.Members[i].Shape], value); err != nil {
				return err
			}
		}
		return nil
	case "list":
		return m.appendList(b, nameOf(s.Element, "member"), m.Shapes[s.Element.Shape], text)
	case "map":
		return m.appendMap(b, "entry", s, text)
	}
	if text.Kind() != '"' {
		return xml.EscapeText(b, text)
	}
	return xml.EscapeText(b, []byte(unquote(text)))
}

func (m *Model) appendMember(b *bytes.Buffer, name string, s *modelType, text jsontext.Value) error {
	switch {
	case s.Type == "list" && s.Flat:
		return m.appendList(b, nameOf(s.Element, name), m.Shapes[s.Element.Shape], text)
	case s.Type == "map" && s.Flat:
		return m.appendMap(b, name, s, text)
	}
	b.WriteString("<" + name + ">")
	if err := m.appendXML(b, s, text); err != nil {
		return err
	}
	b.WriteString("</" + name + ">")
	return nil
}

func (m *Model) appendList(b *bytes.Buffer, name string, element *modelType, text jsontext.Value) error {
	var all []jsontext.Value
	if err := json.Unmarshal(text, &all); err != nil {
		return err
	}
	for _, one := range all {
		if err := m.appendMember(b, name, element, one); err != nil {
			return err
		}
	}
	return nil
}

func (m *Model) appendMap(b *bytes.Buffer, name string, s *modelType, text jsontext.Value) error {
	var all map[string]jsontext.Value
	if err := json.Unmarshal(text, &all); err != nil {
		return err
	}
	keys := make([]string, 0, len(all))
	for k := range all {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		b.WriteString("<" + name + ">")
		key, value := nameOf(s.Key, "key"), nameOf(s.Value, "value")
		element(b, "<"+key+">", k, "</"+key+">")
		if err := m.appendMember(b, value, m.Shapes[s.Value.Shape], all[k]); err != nil {
			return err
		}
		b.WriteString("</" + name + ">")
	}
	return nil
}

func nameOf(m *member, otherwise string) string {
	if m != nil && m.As != "" {
		return m.As
	}
	return otherwise
}

func element(b *bytes.Buffer, open, text, end string) {
	b.WriteString(open)
	_ = xml.EscapeText(b, []byte(text)) // a bytes.Buffer takes everything
	b.WriteString(end)
}
