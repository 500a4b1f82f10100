package iam

import (
	"slices"
	"strings"
	"unicode"

	"github.com/haechi-dev/haechi/word/diag"
)

// A Weight is how much a remark weighs.
type Weight int

const (
	// Suggestion is what could be said more simply.
	Suggestion Weight = iota
	// Warning is what does not do, or does more than, what it seems to.
	Warning
	// Mistake is what AWS would refuse.
	Mistake
)

var weights = [...]string{"suggestion", "warning", "mistake"}

// String is the weight in a word.
func (w Weight) String() string { return weights[w] }

// A Remark is something that a reviewer would say of a policy, at its place.
type Remark struct {
	*diag.Error
	Weight Weight
	Rule   string // a short name, as dead-statement
}

// Check reads a policy as AWS would, and beyond: what the grammar and the
// limits forbid, statements that can never matter, wildcards that grant more
// than they seem to. The remarks are in the order of their places.
func Check(kind Kind, name string, text []byte) []Remark {
	c := checker{name: name, text: text, kind: kind}
	policy, mistakes := Accepted(kind, name, text)
	for _, m := range mistakes {
		c.remarks = append(c.remarks, Remark{m, Mistake, "grammar"})
	}
	if policy != nil {
		c.size()
		c.sids(policy)
		for i := range policy.statements {
			s := &policy.statements[i]
			c.kinds(s)
			c.principals(s)
			c.wildcards(s)
			c.conditions(s, policy.old)
			c.trust(s)
			c.reach(s)
		}
		c.dead(policy)
	}
	slices.SortStableFunc(c.remarks, func(a, b Remark) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return c.remarks
}

type checker struct {
	name    string
	text    []byte
	kind    Kind
	remarks []Remark
}

// say adds a remark; hint may be "".
func (c *checker) say(w Weight, rule string, at int, hint, format string, a ...any) {
	e := diag.Errorf(diag.At(c.name, c.text, at), format, a...).In(c.text)
	e.Hint = hint
	c.remarks = append(c.remarks, Remark{e, w, rule})
}

// limits are AWS's, in characters; IAM does not count white space.
var limits = [...]struct {
	most  int
	blank bool // counts white space too
	hint  string
}{
	Identity:        {6144, false, "a managed policy; inline ones share 2,048 (user), 5,120 (group) or 10,240 (role)"},
	Resource:        {32768, true, "a key's policy; a bucket's has 20,480, a queue's and a topic's less"},
	Trust:           {4096, false, "2,048 unless the account's quota was raised"},
	ServiceControl:  {5120, true, ""},
	ResourceControl: {5120, true, ""},
	Endpoint:        {20480, true, ""},
}

func (c *checker) size() {
	l := limits[c.kind]
	n := 0
	for _, r := range string(c.text) {
		if l.blank || !unicode.IsSpace(r) {
			n++
		}
	}
	if n > l.most {
		c.say(Mistake, "size", 0, l.hint, "%d characters, %d are allowed", n, l.most)
	}
}

func (c *checker) sids(p *Policy) {
	seen := map[string]bool{}
	for _, s := range p.statements {
		if s.sid == "" {
			continue
		}
		if seen[s.sid] {
			c.say(Mistake, "sid", s.sidAt, "", "another statement has the Sid %q", s.sid)
		}
		seen[s.sid] = true
		odd := strings.IndexFunc(s.sid, func(r rune) bool {
			return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r)
		}) >= 0
		if odd && c.kind != Resource && c.kind != Endpoint {
			c.say(Mistake, "sid", s.sidAt, "", "a Sid has letters and digits only")
		}
	}
	if p.old {
		i := slices.IndexFunc(p.statements, (*checker)(nil).hasVariables)
		if i >= 0 {
			c.say(Warning, "version", p.statements[i].place, `"Version": "2012-10-17"`, "without the newer version ${…} is text like any other")
		}
	}
}

func (*checker) hasVariables(s statement) bool {
	has := func(text string) bool { return strings.Contains(text, "${") }
	return slices.ContainsFunc(s.resourceTexts(), has) || slices.ContainsFunc(s.conditions, func(c condition) bool { return slices.ContainsFunc(c.texts, has) })
}

// kinds is what one kind of policy may not say.
func (c *checker) kinds(s *statement) {
	switch c.kind {
	case Trust:
		if len(s.resources) > 0 {
			c.say(Mistake, "trust", s.resources[0].at, "it is about the role that it is of", "a trust policy has no Resource")
		}
		for _, a := range s.actions {
			if !a.broken && a.service != "sts" && !a.all {
				c.say(Mistake, "trust", a.at, "sts:AssumeRole, sts:AssumeRoleWithWebIdentity, sts:AssumeRoleWithSAML, sts:TagSession, sts:SetSourceIdentity", "a trust policy is about actions of sts")
			}
		}
	case ResourceControl:
		if !s.deny {
			c.say(Mistake, "rcp", s.place, "what it leaves is allowed by RCPFullAWSAccess", "an RCP only denies")
		}
		if s.notPrincipals || slices.ContainsFunc(s.principals, func(p principal) bool { return p.kind != everyone }) {
			c.say(Mistake, "rcp", s.place, "tell whom it means by a condition, on aws:PrincipalArn say", `the principal of an RCP is "*"`)
		}
		if s.notActions {
			c.say(Mistake, "rcp", s.actions[0].at, "", "an RCP has no NotAction")
		}
	}
}

// principals is what is odd about whom a statement means.
func (c *checker) principals(s *statement) {
	if s.notPrincipals && !s.deny {
		c.say(Warning, "not-principal", s.place, "name whom you mean", "this allows everybody but those, strangers included")
	}
	account := slices.ContainsFunc(s.principals, func(p principal) bool { return p.kind == anAccount })
	named := slices.ContainsFunc(s.principals, func(p principal) bool { return p.kind == aRole || p.kind == another })
	if s.notPrincipals && s.deny && named && !account {
		c.say(Warning, "not-principal", s.place, "list the account too, or use aws:PrincipalArn in a condition", "this denies those that it names as well, since their account is not listed")
	}
	if c.kind == Resource && s.public() {
		at := s.place
		if len(s.principals) > 0 {
			at = s.principals[0].at
		}
		c.say(Warning, "public", at, "name accounts, or add a condition on aws:PrincipalOrgID, aws:SourceVpce or the like", "everybody in the world may do this")
	}
	if c.kind != Resource || s.deny {
		return
	}
	for _, p := range s.principals {
		if p.kind == aService && !slices.ContainsFunc(s.conditions, condition.source) {
			c.say(Warning, "confused-deputy", p.at, "add a condition on aws:SourceAccount or aws:SourceArn", "%s may be sent here by anybody who uses it, from any account", p.text)
		}
	}
}

// source tells of conditions on what a service acts for.
func (c condition) source() bool {
	return slices.Contains([]string{"aws:sourcearn", "aws:sourceaccount", "aws:sourceorgid", "aws:sourceorgpaths"}, c.key)
}
