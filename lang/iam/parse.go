package iam

import (
	"bytes"
	"errors"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
)

// maxPolicy is far above what AWS takes (6,144 characters).
const maxPolicy = 128 << 10

// Parse reads a policy of an identity. name says where it comes from; every
// mistake is an error at its place.
func Parse(name string, text []byte) (*Policy, error) { return ParseAs(Identity, name, text) }

// ParseAs is Parse for a policy of any kind.
func ParseAs(kind Kind, name string, text []byte) (*Policy, error) {
	policy, mistakes := read(kind, name, text, false)
	if len(mistakes) > 0 {
		return nil, fault.Invalid.Wrap(mistakes[0])
	}
	return policy, nil
}

// Accepted compiles a policy that is in force somewhere, whatever we think of
// it: what cannot be understood in it allows nothing, and where it denies, it
// denies. The mistakes say what that was. It is nil where the text is no
// policy at all.
func Accepted(kind Kind, name string, text []byte) (*Policy, []*diag.Error) {
	return read(kind, name, text, true)
}

func read(kind Kind, name string, text []byte, lenient bool) (*Policy, []*diag.Error) {
	p := parser{name: name, text: text, kind: kind, lenient: lenient}
	if len(text) > maxPolicy {
		return nil, []*diag.Error{diag.Errorf(diag.Place{File: name}, "a policy of %d bytes, %d are allowed", len(text), maxPolicy)}
	}
	p.dec = jsontext.NewDecoder(bytes.NewBuffer(text))
	policy, err := p.policy()
	if err != nil {
		return nil, append(p.mistakes, p.placed(err))
	}
	policy.index()
	return policy, p.mistakes
}

type parser struct {
	name      string
	text      []byte
	kind      Kind
	dec       *jsontext.Decoder
	variables bool // the version knows them
	lenient   bool
	mistakes  []*diag.Error
}

// mistake ends the parsing with e, or notes it where all are asked for.
func (p *parser) mistake(e *diag.Error) error {
	if p.lenient {
		p.mistakes = append(p.mistakes, e)
		return nil
	}
	return e
}

// here is the offset of what comes next.
func (p *parser) here() int {
	at := int(p.dec.InputOffset())
	for at < len(p.text) && strings.IndexByte(" \t\r\n,:", p.text[at]) >= 0 {
		at++
	}
	return at
}

func (p *parser) errorf(at int, format string, a ...any) *diag.Error {
	return diag.Errorf(diag.At(p.name, p.text, at), format, a...).In(p.text)
}

// placed gives an error of the JSON itself its place.
func (p *parser) placed(err error) *diag.Error {
	var placed *diag.Error
	if errors.As(err, &placed) {
		return placed
	}
	if strings.TrimSpace(string(p.text)) == "" {
		return p.errorf(0, "there is nothing in it")
	}
	at := int(p.dec.InputOffset())
	var syntactic *jsontext.SyntacticError
	if errors.As(err, &syntactic) {
		at = int(syntactic.ByteOffset)
		err = syntactic.Err
	}
	e := p.errorf(at, "not JSON: %v", err)
	if hint := p.unJSON(at); hint != "" {
		e = e.WithHint("%s", hint)
	}
	return e
}

// unJSON is what people write who take JSON for something else, as a hint, or "".
func (p *parser) unJSON(at int) string {
	rest := p.text[min(at, len(p.text)):]
	before := strings.TrimRight(string(p.text[max(0, min(at, len(p.text))-200):min(at, len(p.text))]), " \t\r\n")
	switch {
	case strings.HasPrefix(string(p.text), "\ufeff"):
		return "it begins with a byte order mark: save it as UTF-8 without one"
	case bytes.HasPrefix(rest, []byte("//")), bytes.HasPrefix(rest, []byte("/*")), bytes.HasPrefix(rest, []byte("#")):
		return "JSON has no comments"
	case bytes.HasPrefix(rest, []byte("'")):
		return "JSON has double quotes"
	case bytes.HasPrefix(rest, []byte("Version:")), bytes.HasPrefix(rest, []byte("Statement:")), bytes.HasPrefix(rest, []byte("---")):
		return "this looks like YAML; policies are JSON"
	case len(rest) > 0 && (rest[0] == ',' || rest[0] == '}' || rest[0] == ']') && (strings.HasSuffix(before, ",") || rest[0] == ','):
		return "a comma stands between two, and not after the last"
	}
	return ""
}

// object reads an object, member by member; each reads the value.
func (p *parser) object(what string, each func(name string, at int) error) error {
	at := p.here()
	if p.dec.PeekKind() != '{' {
		return p.not(at, what+" must be an object")
	}
	if _, err := p.dec.ReadToken(); err != nil {
		return err
	}
	for {
		at := p.here()
		token, err := p.dec.ReadToken()
		if err != nil || token.Kind() == '}' {
			return err
		}
		if err := each(token.String(), at); err != nil {
			return err
		}
	}
}

// not is a value of another kind, or a text that is no JSON at all.
func (p *parser) not(at int, message string) error {
	if _, err := p.dec.ReadValue(); err != nil {
		return err
	}
	return p.errorf(at, "%s", message)
}

func (p *parser) string(what string) (string, int, error) {
	at := p.here()
	if p.dec.PeekKind() != '"' {
		return "", at, p.not(at, what+" must be a string")
	}
	token, err := p.dec.ReadToken()
	if err != nil {
		return "", at, err
	}
	return token.String(), at, nil
}

// strings reads one string or a list of them; scalars also takes numbers and
// booleans, as the values of conditions are written.
func (p *parser) strings(what string, scalars bool, each func(text string, at int) error) error {
	one := func() error {
		at := p.here()
		k := p.dec.PeekKind()
		if k != '"' && !(scalars && (k == '0' || k == 't' || k == 'f')) {
			return p.not(at, what+" must be a string or a list of strings")
		}
		token, err := p.dec.ReadToken()
		if err != nil {
			return err
		}
		return each(token.String(), at)
	}
	if p.dec.PeekKind() != '[' {
		return one()
	}
	at := p.here()
	if _, err := p.dec.ReadToken(); err != nil {
		return err
	}
	count := 0
	for p.dec.PeekKind() != ']' {
		if err := one(); err != nil {
			return err
		}
		count++
	}
	if _, err := p.dec.ReadToken(); err != nil {
		return err
	}
	if count == 0 {
		return p.errorf(at, "%s must not be empty", what)
	}
	return nil
}

func (p *parser) policy() (*Policy, error) {
	// The version says how the statements read, wherever in the text it stands.
	p.variables = p.version() == "2012-10-17"
	policy := &Policy{Name: p.name, kind: p.kind, old: !p.variables, text: string(p.text)}
	found := false
	err := p.object("a policy", func(name string, at int) error {
		switch name {
		case "Version":
			version, at, err := p.string(name)
			if err == nil && version != "2012-10-17" && version != "2008-10-17" {
				return p.mistake(p.errorf(at, "unknown version %q", version).WithHint(`use "2012-10-17"`))
			}
			return err
		case "Id":
			_, _, err := p.string(name)
			return err
		case "Statement":
			found = true
			return p.statements(policy)
		}
		return p.unknown(at, name, []string{"Version", "Id", "Statement"})
	})
	if err != nil {
		return nil, err
	}
	if _, err := p.dec.ReadToken(); err == nil {
		return nil, p.errorf(int(p.dec.InputOffset()), "nothing may follow the policy")
	}
	if !found {
		return nil, p.errorf(0, "a policy needs a Statement")
	}
	return policy, nil
}

// version looks ahead for the policy's version; what is wrong with the text is
// found when it is read.
func (p *parser) version() string {
	dec := jsontext.NewDecoder(bytes.NewReader(p.text))
	if token, err := dec.ReadToken(); err != nil || token.Kind() != '{' {
		return ""
	}
	for {
		name, err := dec.ReadToken()
		if err != nil || name.Kind() != '"' {
			return ""
		}
		if name.String() == "Version" && dec.PeekKind() == '"' {
			value, err := dec.ReadToken()
			if err != nil {
				return ""
			}
			return value.String()
		}
		if dec.SkipValue() != nil {
			return ""
		}
	}
}

func (p *parser) unknown(at int, name string, known []string) error {
	e := p.errorf(at, "unknown element %q", name)
	if hint := diag.DidYouMean(name, known); hint != "" {
		e = e.WithHint("%s", hint)
	}
	if err := p.mistake(e); err != nil {
		return err
	}
	return p.dec.SkipValue()
}

func (p *parser) statements(policy *Policy) error {
	one := func() error {
		s, err := p.statement()
		policy.statements = append(policy.statements, s)
		return err
	}
	if p.dec.PeekKind() != '[' {
		return one()
	}
	if _, err := p.dec.ReadToken(); err != nil {
		return err
	}
	for p.dec.PeekKind() != ']' {
		if err := one(); err != nil {
			return err
		}
	}
	_, err := p.dec.ReadToken()
	return err
}
