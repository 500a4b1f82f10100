package route

import (
	"bytes"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
)

// Transformer makes a text of one's own out of parts of an event.
type Transformer struct {
	Paths    map[string]string `json:"InputPathsMap,omitzero"` // name: path
	Template string            `json:"InputTemplate"`          // JSON with <name> in it
}

// subject is what a transform may speak of.
type subject struct {
	event    jsontext.Value
	ruleARN  string
	ruleName string
	received time.Time
}

// A transform is what a target makes of an event: a pure function.
type transform struct {
	constant jsontext.Value
	part     path
	paths    map[string]path
	template []*node
}

// What a template may name besides its own paths.
var reserved = [...]string{"aws.events.rule-arn", "aws.events.rule-name", "aws.events.event.ingestion-time", "aws.events.event", "aws.events.event.json"}

var variableName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_-]{1,256}$`) })

// compile reads the three ways in which a target may change its input; at most one is allowed.
func compile(input, inputPath string, t *Transformer) (transform, error) {
	ways := 0
	for _, given := range []bool{input != "", inputPath != "", t != nil} {
		if given {
			ways++
		}
	}
	switch {
	case ways > 1:
		return transform{}, fault.Invalid.Errorf("only one of Input, InputPath and InputTransformer can be given")
	case len(input) > 8192:
		return transform{}, fault.Invalid.Errorf("Input is longer than 8,192 characters")
	case input != "":
		constant := jsontext.Value(input)
		if !constant.IsValid() {
			return transform{}, fault.Invalid.Errorf("Input is not JSON")
		}
		return transform{constant: constant}, nil
	case t != nil:
		return compileTemplate(*t)
	case inputPath != "":
		part, err := parsePath(inputPath)
		return transform{part: part}, err
	}
	return transform{}, nil
}

func compileTemplate(t Transformer) (transform, error) {
	if len(t.Paths) > 100 {
		return transform{}, fault.Invalid.Errorf("InputPathsMap has more than 100 entries")
	}
	if t.Template == "" || len(t.Template) > 8192 {
		return transform{}, fault.Invalid.Errorf("InputTemplate must have 1 to 8,192 characters")
	}
	paths := map[string]path{}
	for name, text := range t.Paths {
		if !variableName().MatchString(name) || strings.HasPrefix(strings.ToUpper(name), "AWS.") {
			return transform{}, fault.Invalid.Errorf("InputPathsMap: %q is not a name of letters, digits, - and _", name)
		}
		p, err := parsePath(text)
		if err != nil {
			return transform{}, fault.Invalid.Errorf("InputPathsMap %q: %w", name, err)
		}
		paths[name] = p
	}
	known := append(slices.Sorted(maps.Keys(paths)), reserved[:]...)
	nodes, err := parseTemplate(t.Template, known)
	return transform{paths: paths, template: nodes}, err
}

// apply is what the target gets. It is always JSON; a path that leads nowhere gives null.
func (t transform) apply(s subject) jsontext.Value {
	switch {
	case t.constant != nil:
		return t.constant
	case t.template != nil:
		return t.fill(s)
	case t.part != nil:
		if found := t.part.find(s.event); found != nil {
			return found
		}
		return jsontext.Value("null")
	}
	return s.event
}

func (t transform) fill(s subject) jsontext.Value {
	values := map[string]jsontext.Value{}
	value := func(name string) jsontext.Value {
		if v, ok := values[name]; ok {
			return v
		}
		v := t.value(name, s)
		values[name] = v
		return v
	}
	if len(t.template) == 1 {
		if out := t.template[0].write(nil, value); out != nil {
			return out
		}
		return jsontext.Value("null")
	}
	lines := make([]string, len(t.template))
	for i, n := range t.template {
		lines[i] = n.text(value)
	}
	return quoted(strings.Join(lines, "\n"))
}

func (t transform) value(name string, s subject) jsontext.Value {
	switch name {
	case "aws.events.rule-arn":
		return quoted(s.ruleARN)
	case "aws.events.rule-name":
		return quoted(s.ruleName)
	case "aws.events.event.ingestion-time":
		return quoted(s.received.UTC().Format("2006-01-02T15:04:05Z"))
	case "aws.events.event.json":
		return s.event
	case "aws.events.event":
		return without(s.event, "detail")
	}
	return t.paths[name].find(s.event)
}

// without is an object less one member.
func without(object jsontext.Value, name string) jsontext.Value {
	var members map[string]jsontext.Value
	if json.Unmarshal(object, &members) != nil {
		return object
	}
	delete(members, name)
	out, err := json.Marshal(members, json.Deterministic(true))
	if err != nil {
		return object
	}
	return out
}

// quoted is text as JSON.
func quoted(text string) jsontext.Value {
	out, err := jsontext.AppendQuote(nil, strings.ToValidUTF8(text, "\uFFFD"))
	if err != nil {
		panic("route: " + err.Error()) // valid UTF-8 can always be quoted
	}
	return out
}

// node is a piece of a parsed template: one of a variable, a text with
// variables in it, an object, a list, or a JSON value that stays as it is.
type node struct {
	variable string
	parts    []part
	object   bool
	list     bool
	names    []jsontext.Value // of an object's members, quoted
	children []*node
	constant jsontext.Value
}

// part of a text: plain, or what a variable holds.
type part struct {
	plain    string
	variable string
}

// mark stands before the name of an unquoted variable while the template is read as JSON.
const mark = "\x00"

// parseTemplate reads a JSON value with <name> in it, or several lines that are JSON texts.
func parseTemplate(template string, known []string) ([]*node, error) {
	marked, err := markVariables(template, known)
	if err != nil {
		return nil, err
	}
	p := templateParser{known: known, d: jsontext.NewDecoder(strings.NewReader(marked))}
	var nodes []*node
	for {
		if p.d.PeekKind() == jsontext.KindInvalid {
			if rest := strings.TrimSpace(marked[p.d.InputOffset():]); rest == "" && len(nodes) > 0 {
				break
			}
		}
		n, err := p.value()
		if err != nil {
			return nil, fault.Invalid.Errorf("InputTemplate is not JSON with <names> in it: %w", err)
		}
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		if len(nodes) > 1 && n.parts == nil {
			return nil, fault.Invalid.Errorf("InputTemplate has several values, which is allowed for lines of quoted text only")
		}
	}
	return nodes, nil
}

// markVariables makes JSON texts of the variables that stand outside of quotes.
func markVariables(template string, known []string) (string, error) {
	if strings.Contains(template, mark) || strings.Contains(template, `\u0000`) {
		return "", fault.Invalid.Errorf("InputTemplate holds a zero character")
	}
	var out strings.Builder
	inside := false
	for i := 0; i < len(template); i++ {
		c := template[i]
		switch {
		case inside && c == '\\' && i+1 < len(template):
			out.WriteByte(c)
			i++
			c = template[i]
		case c == '"':
			inside = !inside
		case c == '<' && !inside:
			name, _, ok := strings.Cut(template[i+1:], ">")
			if !ok {
				return "", fault.Invalid.Errorf("InputTemplate: < at character %d has no >", i+1)
			}
			if err := knownVariable(name, known); err != nil {
				return "", err
			}
			out.WriteString(`"\u0000` + name + `"`)
			i += 1 + len(name)
			continue
		}
		out.WriteByte(c)
	}
	return out.String(), nil
}

func knownVariable(name string, known []string) error {
	if slices.Contains(known, name) {
		return nil
	}
	message := "InputTemplate: nothing is called <" + name + ">"
	if hint := diag.DidYouMean(name, known); hint != "" {
		message += " (" + hint + ")"
	}
	return fault.Invalid.Errorf("%s", message)
}

type templateParser struct {
	known []string
	d     *jsontext.Decoder
}

func (p *templateParser) value() (*node, error) {
	switch p.d.PeekKind() {
	case '{', '[':
		return p.composite()
	case '"':
		token, err := p.d.ReadToken()
		if err != nil {
			return nil, err
		}
		return p.text(token.String())
	}
	v, err := p.d.ReadValue()
	return &node{constant: bytes.Clone(v)}, err
}

func (p *templateParser) composite() (*node, error) {
	open, err := p.d.ReadToken()
	if err != nil {
		return nil, err
	}
	n := &node{object: open.Kind() == '{', list: open.Kind() == '['}
	for p.d.PeekKind() != '}' && p.d.PeekKind() != ']' {
		if n.object {
			name, err := p.d.ReadToken()
			if err != nil {
				return nil, err
			}
			if text := name.String(); strings.HasPrefix(text, mark) || len(placeholders().FindString(text)) > 0 {
				return nil, fault.Invalid.Errorf("a variable cannot be a member's name: %q", strings.TrimPrefix(text, mark))
			}
			n.names = append(n.names, quoted(name.String()))
		}
		child, err := p.value()
		if err != nil {
			return nil, err
		}
		n.children = append(n.children, child)
	}
	_, err = p.d.ReadToken()
	return n, err
}

var placeholders = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`<[A-Za-z0-9_.-]+>`) })

// text splits what stands within quotes at its variables.
func (p *templateParser) text(text string) (*node, error) {
	if name, ok := strings.CutPrefix(text, mark); ok {
		return &node{variable: name}, nil
	}
	n := &node{parts: []part{}}
	last := 0
	for _, at := range placeholders().FindAllStringIndex(text, -1) {
		name := text[at[0]+1 : at[1]-1]
		if err := knownVariable(name, p.known); err != nil {
			return nil, err
		}
		n.parts = append(n.parts, part{plain: text[last:at[0]], variable: name})
		last = at[1]
	}
	n.parts = append(n.parts, part{plain: text[last:]})
	return n, nil
}

// write appends the node's JSON. A variable without a value is nil: it is
// left out of the object or list that it stands in.
func (n *node) write(out jsontext.Value, value func(string) jsontext.Value) jsontext.Value {
	switch {
	case n.variable != "":
		return append(out, value(n.variable)...)
	case n.parts != nil:
		return append(out, quoted(n.text(value))...)
	case !n.object && !n.list:
		return append(out, n.constant...)
	}
	open, shut := byte('['), byte(']')
	if n.object {
		open, shut = '{', '}'
	}
	out = append(out, open)
	some := false
	for i, child := range n.children {
		if child.variable != "" && value(child.variable) == nil {
			continue
		}
		if some {
			out = append(out, ',')
		}
		some = true
		if n.object {
			out = append(append(out, n.names[i]...), ':')
		}
		out = child.write(out, value)
	}
	return append(out, shut)
}

// text is the node's text with its variables filled in.
func (n *node) text(value func(string) jsontext.Value) string {
	var b strings.Builder
	for _, p := range n.parts {
		b.WriteString(p.plain)
		if p.variable != "" {
			b.WriteString(plain(value(p.variable)))
		}
	}
	return b.String()
}

// plain is a JSON value as text: a text without its quotes, all else as JSON.
func plain(v jsontext.Value) string {
	if v.Kind() == '"' {
		if text, err := jsontext.AppendUnquote(nil, v); err == nil {
			return string(text)
		}
	}
	return string(v)
}

// envelope is the event as JSON.
func envelope(e event.Event) (jsontext.Value, error) {
	if e.Resources == nil {
		e.Resources = []string{}
	}
	return json.Marshal(e)
}
