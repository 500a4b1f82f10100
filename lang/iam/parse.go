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

// A Policy is parsed and compiled, and does not change: any number of
// goroutines may ask it.
type Policy struct {
	Name       string
	statements []statement
}

type statement struct {
	sid        string
	deny       bool
	actions    []glob
	notActions bool
	resources  []arn
	notThose   bool
	conditions []condition
}

// Parse reads a policy of an identity. name says where it comes from; every
// mistake, and everything that is not evaluated here, is an error at its place.
func Parse(name string, text []byte) (*Policy, error) {
	p := parser{name: name, text: text}
	if len(text) > maxPolicy {
		return nil, fault.Invalid.Wrap(diag.Errorf(diag.Place{File: name}, "a policy of %d bytes, %d are allowed", len(text), maxPolicy))
	}
	p.dec = jsontext.NewDecoder(bytes.NewReader(text))
	policy, err := p.policy()
	if err != nil {
		return nil, fault.Invalid.Wrap(p.placed(err))
	}
	return policy, nil
}

type parser struct {
	name      string
	text      []byte
	dec       *jsontext.Decoder
	variables bool // the version knows them
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
func (p *parser) placed(err error) error {
	var placed *diag.Error
	if errors.As(err, &placed) {
		return err
	}
	at := int(p.dec.InputOffset())
	var syntactic *jsontext.SyntacticError
	if errors.As(err, &syntactic) {
		at = int(syntactic.ByteOffset)
		return p.errorf(at, "not JSON: %v", syntactic.Err)
	}
	return p.errorf(at, "not JSON: %v", err)
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
	policy := &Policy{Name: p.name}
	found := false
	err := p.object("a policy", func(name string, at int) error {
		switch name {
		case "Version":
			version, at, err := p.string(name)
			if err == nil && version != "2012-10-17" && version != "2008-10-17" {
				return p.errorf(at, "unknown version %q", version).WithHint(`use "2012-10-17"`)
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
	return e
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

var statementElements = []string{"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"}

func (p *parser) statement() (statement, error) {
	var s statement
	begin := p.here()
	effect := ""
	err := p.object("a statement", func(name string, at int) error {
		var err error
		switch name {
		case "Sid":
			s.sid, _, err = p.string(name)
		case "Effect":
			effect, at, err = p.string(name)
			if err == nil && effect != "Allow" && effect != "Deny" {
				return p.errorf(at, "unknown effect %q", effect).WithHint("Allow or Deny")
			}
			s.deny = effect == "Deny"
		case "Action", "NotAction":
			if s.actions != nil {
				return p.errorf(at, "a statement has either Action or NotAction")
			}
			s.notActions = name == "NotAction"
			err = p.strings(name, false, func(text string, at int) error { return p.action(&s, text, at) })
		case "Resource", "NotResource":
			if s.resources != nil {
				return p.errorf(at, "a statement has either Resource or NotResource")
			}
			s.notThose = name == "NotResource"
			err = p.strings(name, false, func(text string, at int) error { return p.resource(&s, text, at) })
		case "Condition":
			err = p.conditions(&s)
		case "Principal", "NotPrincipal":
			return p.errorf(at, "a policy of an identity has no %s", name).WithHint("that is for policies of resources, which are not evaluated here")
		default:
			return p.unknown(at, name, statementElements)
		}
		return err
	})
	switch {
	case err != nil:
		return s, err
	case effect == "":
		return s, p.errorf(begin, "a statement needs an Effect")
	case s.actions == nil:
		return s, p.errorf(begin, "a statement needs an Action or a NotAction")
	case s.resources == nil:
		return s, p.errorf(begin, "a statement needs a Resource or a NotResource")
	}
	return s, nil
}

func (p *parser) action(s *statement, text string, at int) error {
	service, name, ok := strings.Cut(text, ":")
	if text != "*" && (!ok || service == "" || name == "" || strings.ContainsAny(text, " \t,") || strings.Contains(name, ":")) {
		return p.errorf(at, "an action is written service:Name, or *")
	}
	s.actions = append(s.actions, compileGlob(strings.ToLower(text), false))
	return nil
}

func (p *parser) resource(s *statement, text string, at int) error {
	if !strings.HasPrefix(text, "arn:") && strings.Trim(text, "*") != "" && !(p.variables && strings.HasPrefix(text, "${")) {
		return p.errorf(at, "a resource is an ARN, or *")
	}
	if p.variables {
		if err := p.knownVariables(text, at); err != nil {
			return err
		}
	}
	s.resources = append(s.resources, compileARN(text, p.variables))
	return nil
}

func (p *parser) knownVariables(text string, at int) error {
	if bad := badVariable(text); bad != "" {
		return p.errorf(at, "%s", bad).WithHint("${key}, ${key, 'text'}, ${*}, ${?} or ${$}")
	}
	return nil
}

func (p *parser) conditions(s *statement) error {
	return p.object("a condition", func(operator string, at int) error {
		op, hint := parseOperator(operator)
		if op == nil {
			e := p.errorf(at, "unknown condition operator %q", operator)
			if hint != "" {
				e = e.WithHint("%s", hint)
			}
			return e
		}
		return p.object(operator, func(key string, at int) error {
			if key == "" {
				return p.errorf(at, "a condition key must not be empty")
			}
			c := condition{operator: *op, key: strings.ToLower(key)}
			err := p.strings("the value of a condition", true, func(text string, at int) error {
				if op.family.variables && p.variables {
					if err := p.knownVariables(text, at); err != nil {
						return err
					}
				}
				value, ok := op.family.compile(text, p.variables && op.family.variables)
				if !ok {
					return p.errorf(at, "%s cannot be compared with %q", op.family.of, text)
				}
				c.values = append(c.values, value)
				return nil
			})
			s.conditions = append(s.conditions, c)
			return err
		})
	})
}
