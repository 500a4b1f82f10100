package iam

import (
	"fmt"
	"strings"

	"github.com/haechi-dev/haechi/word/diag"
)

var statementElements = []string{"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition", "Principal", "NotPrincipal"}

func (p *parser) statement() (statement, error) {
	s := statement{place: p.here()}
	effect := ""
	named := ""
	err := p.object("a statement", func(name string, at int) error {
		switch name {
		case "Sid":
			var err error
			s.sid, s.sidAt, err = p.string(name)
			return err
		case "Effect":
			var err error
			if effect, at, err = p.string(name); err != nil {
				return err
			}
			s.deny = effect != "Allow"
			if effect != "Allow" && effect != "Deny" {
				return p.mistake(p.errorf(at, "unknown effect %q", effect).WithHint("Allow or Deny"))
			}
			return nil
		case "Action", "NotAction":
			if s.actions != nil {
				return p.errorf(at, "a statement has either Action or NotAction")
			}
			s.notActions = name == "NotAction"
			return p.strings(name, false, func(text string, at int) error { return p.action(&s, text, at) })
		case "Resource", "NotResource":
			if s.resources != nil {
				return p.errorf(at, "a statement has either Resource or NotResource")
			}
			s.notThose = name == "NotResource"
			return p.strings(name, false, func(text string, at int) error { return p.resource(&s, text, at) })
		case "Condition":
			return p.conditions(&s)
		case "Principal", "NotPrincipal":
			if named != "" {
				return p.errorf(at, "a statement has either Principal or NotPrincipal")
			}
			named = name
			s.notPrincipals = name == "NotPrincipal"
			return p.principal(&s, name, at)
		}
		return p.unknown(at, name, statementElements)
	})
	if err != nil {
		return s, err
	}
	s.end = int(p.dec.InputOffset())
	return s, p.whole(&s, effect, named)
}

// whole tells what a statement lacks.
func (p *parser) whole(s *statement, effect, named string) error {
	lacks := func(what string) error { return p.mistake(p.errorf(s.place, "a statement needs %s", what)) }
	if effect == "" {
		s.deny = true
		if err := lacks("an Effect"); err != nil {
			return err
		}
	}
	if s.actions == nil {
		s.actions = []action{{broken: true}}
		if err := lacks("an Action or a NotAction"); err != nil {
			return err
		}
	}
	if s.resources == nil && (p.kind == Identity || p.kind == ServiceControl || p.kind == ResourceControl || p.kind == Endpoint) {
		s.resources = []arn{{all: s.deny}}
		if err := lacks("a Resource or a NotResource"); err != nil {
			return err
		}
	}
	if named != "" || !p.kind.principals() {
		return nil
	}
	if p.kind == Endpoint {
		s.anybody = true // as the policy that an endpoint has from the start
		return nil
	}
	s.unnamed = true
	return lacks("a Principal")
}

func (p *parser) action(s *statement, text string, at int) error {
	a := compileAction(text)
	a.at = at
	s.actions = append(s.actions, a)
	if a.broken {
		e := p.errorf(at, "an action is written service:Name, or *")
		service, name, dotted := strings.Cut(text, ".")
		switch unseen := unseen(text); {
		case unseen != "":
			e = e.WithHint("%s", unseen)
		case strings.ContainsAny(text, ", "):
			e = e.WithHint("several actions are a list of strings")
		case dotted && !strings.Contains(text, ":"):
			e = e.WithHint("did you mean %q?", service+":"+name)
		}
		return p.mistake(e)
	}
	return nil
}

func (p *parser) resource(s *statement, text string, at int) error {
	r := compileARN(text, p.variables)
	r.at = at
	s.resources = append(s.resources, r)
	if !strings.HasPrefix(text, "arn:") && strings.Trim(text, "*") != "" && !(p.variables && strings.HasPrefix(text, "${")) {
		e := p.errorf(at, "a resource is an ARN, or *")
		switch unseen := unseen(text); {
		case unseen != "":
			e = e.WithHint("%s", unseen)
		case strings.TrimSpace(text) != text:
			e = e.WithHint("there is a blank too many")
		case len(s.actions) > 0 && s.actions[0].service == "s3" && !strings.Contains(text, ":"):
			e = e.WithHint("a bucket is arn:aws:s3:::NAME, its objects are arn:aws:s3:::NAME/*")
		}
		return p.mistake(e)
	}
	return p.knownVariables(text, at)
}

// unseen names a character of a text that people do not see, or take for another; "" where there is none.
func unseen(text string) string {
	for _, r := range text {
		if r == '\u00a0' || r == '\ufeff' || r >= '\u200b' && r <= '\u200f' || r >= '\u202a' && r <= '\u202e' || r == '\u2060' {
			return fmt.Sprintf("it holds U+%04X, which cannot be seen", r)
		}
	}
	return ""
}

func (p *parser) knownVariables(text string, at int) error {
	if !p.variables {
		return nil
	}
	if bad := badVariable(text); bad != "" {
		return p.mistake(p.errorf(at, "%s", bad).WithHint("${key}, ${key, 'text'}, ${*}, ${?} or ${$}"))
	}
	return nil
}

var principalTypes = []string{"AWS", "Service", "Federated", "CanonicalUser"}

func (p *parser) principal(s *statement, name string, at int) error {
	if !p.kind.principals() {
		if err := p.mistake(p.errorf(at, "a policy of an identity has no %s", name).WithHint("whom it is about, what it is attached to says")); err != nil {
			return err
		}
		return p.dec.SkipValue()
	}
	if p.dec.PeekKind() == '"' {
		text, at, err := p.string(name)
		if err != nil {
			return err
		}
		one := awsPrincipal(text)
		one.at = at
		s.principals = append(s.principals, one)
		if text != "*" {
			return p.mistake(p.errorf(at, `a principal is "*", or an object`).WithHint(`{"AWS": %q}`, text))
		}
		return nil
	}
	return p.object(name, func(kind string, at int) error {
		known := false
		for _, k := range principalTypes {
			known = known || k == kind
		}
		if !known {
			e := p.errorf(at, "unknown kind of principal %q", kind)
			if hint := diag.DidYouMean(kind, principalTypes); hint != "" {
				e = e.WithHint("%s", hint)
			}
			if err := p.mistake(e); err != nil {
				return err
			}
			s.principals = append(s.principals, principal{kind: nobodyYet})
			return p.dec.SkipValue()
		}
		return p.strings(kind, false, func(text string, at int) error { return p.onePrincipal(s, kind, text, at) })
	})
}

func (p *parser) onePrincipal(s *statement, kind, text string, at int) error {
	one := principal{text: text}
	switch kind {
	case "AWS":
		one = awsPrincipal(text)
	case "Service":
		one.kind = aService
	case "Federated":
		one.kind = aProvider
	case "CanonicalUser":
		one.kind = aCanonicalUser
	}
	one.at = at
	if one.kind != everyone && strings.ContainsAny(text, "*?") {
		one.kind = nobodyYet
		s.principals = append(s.principals, one)
		return p.mistake(p.errorf(at, "a principal holds no wildcards: this one is nobody").WithHint("name the account, and its principals in a condition on aws:PrincipalArn"))
	}
	s.principals = append(s.principals, one)
	if one.kind == nobodyYet {
		return p.mistake(p.errorf(at, "this is no principal").WithHint("an account's number, the ARN of a user, role or session, or *"))
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
			if err := p.mistake(e); err != nil {
				return err
			}
			s.conditions = append(s.conditions, condition{name: operator, unknown: true, at: at})
			return p.dec.SkipValue()
		}
		return p.object(operator, func(key string, at int) error {
			c := condition{operator: *op, name: operator, key: strings.ToLower(key), spelled: key, at: at}
			if key == "" {
				c.unknown = true
				if err := p.mistake(p.errorf(at, "a condition key must not be empty")); err != nil {
					return err
				}
			}
			err := p.strings("the value of a condition", true, func(text string, at int) error { return p.value(&c, text, at) })
			s.conditions = append(s.conditions, c)
			return err
		})
	})
}

func (p *parser) value(c *condition, text string, at int) error {
	variables := p.variables && c.operator.family.variables
	if variables {
		if err := p.knownVariables(text, at); err != nil {
			return err
		}
	}
	value, ok := c.operator.family.compile(text, variables)
	c.texts = append(c.texts, text)
	if ok {
		c.values = append(c.values, value)
		return nil
	}
	c.values = append(c.values, func(string, map[string][]string) answer { return unclear })
	return p.mistake(p.errorf(at, "%s cannot be compared with %q", c.operator.family.of, text))
}
