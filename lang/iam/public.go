package iam

import (
	"net/netip"
	"slices"
	"strings"
)

// narrowing are condition keys that, held against a fixed value by an operator
// that is not negated, make a statement for everybody one for some.
var narrowing = []string{
	"aws:principalaccount", "aws:principalarn", "aws:principalorgid", "aws:principalorgpaths", "aws:sourceaccount", "aws:sourcearn",
	"aws:sourceorgid", "aws:sourceorgpaths", "aws:sourcevpc", "aws:sourcevpce", "aws:userid", "aws:sourceowner", "kms:calleraccount",
	"kms:viaservice", "lambda:eventsourcetoken", "s3:dataaccesspointaccount", "s3:dataaccesspointarn", "s3:x-amz-server-side-encryption-aws-kms-key-id",
}

// Public tells whether a resource's policy lets everybody do something: a
// statement allows whoever asks, and no condition holds them to an
// organisation, an account, a network or a source.
func (p *Policy) Public() bool {
	_, _, public := p.Opens()
	return public
}

// Names are the principals that a resource's or a role's policy allows
// something: ARNs, accounts, services, identity providers, * for everybody.
func (p *Policy) Names() (all []string) {
	for i := range p.statements {
		s := &p.statements[i]
		if s.deny || s.unnamed || !p.kind.principals() {
			continue
		}
		if s.anybody || s.notPrincipals {
			all = append(all, "*")
			continue
		}
		all = append(all, s.principalTexts()...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Opens is Public, with the first statement that does it.
func (p *Policy) Opens() (statement int, sid string, public bool) {
	for i := range p.statements {
		if s := &p.statements[i]; p.kind.principals() && s.public() {
			return i, s.sid, true
		}
	}
	return 0, "", false
}

func (s *statement) public() bool {
	open := s.anybody || s.notPrincipals
	for _, p := range s.principals {
		open = open || p.kind == everyone
	}
	return !s.deny && !s.unnamed && open && !slices.ContainsFunc(s.conditions, condition.narrows)
}

// narrows tells whether the condition keeps strangers out.
func (c condition) narrows() bool {
	o := c.operator
	if c.unknown {
		return true // it allows nothing
	}
	if o.negated || o.ifExists || o.null || o.set == "ForAllValues" {
		return false
	}
	if c.key == "aws:sourceip" {
		return !slices.ContainsFunc(c.texts, wideAddress)
	}
	return slices.Contains(narrowing, c.key) && !slices.ContainsFunc(c.texts, func(text string) bool {
		fixed := strings.Trim(text, "*?:/") // a wildcard that leaves something of an ARN or account to hold on to
		return fixed == "" || strings.Contains(text, "${") || strings.HasPrefix(text, "arn:") && strings.Trim(nameOf(text + ":::::").parts[4], "*") == "" && !strings.HasPrefix(text, "arn:aws:s3:::")
	})
}

// wideAddress tells of addresses that are no network but (nearly) all of them.
func wideAddress(text string) bool {
	p, err := netip.ParsePrefix(text)
	return err == nil && (p.Addr().Is4() && p.Bits() < 8 || p.Addr().Is6() && p.Bits() < 32)
}
