package iam

import "strings"

// A grant is how much a statement of a resource's policy gives to a caller of
// the same account: what else has to allow the request depends on it.
type grant int

const (
	ungranted grant = iota
	// delegated names the caller's account: identity policies decide.
	delegated
	// bounded names the role behind a session: a boundary still limits it.
	bounded
	// direct names the caller itself, or everybody.
	direct
)

// A kind of principal, as policies name them.
type principalKind int

const (
	everyone principalKind = iota
	anAccount
	aRole
	another // by its whole ARN
	aService
	aProvider
	aCanonicalUser
	anID      // AIDA…, AROA…: what is left of a principal that is gone, or written so on purpose
	nobodyYet // what cannot be read
)

type principal struct {
	kind    principalKind
	text    string
	account string // of anAccount and aRole
	name    string // of aRole, without path
	at      int    // in the policy's text
}

// awsPrincipal reads what stands below AWS.
func awsPrincipal(text string) principal {
	if text == "*" {
		return principal{kind: everyone, text: text}
	}
	if accountID(text) {
		return principal{kind: anAccount, text: text, account: text}
	}
	if uniqueID(text) {
		return principal{kind: anID, text: text}
	}
	n := nameOf(text)
	last := n.parts[arnParts-1]
	if !n.whole || n.parts[0] != "arn" || strings.ContainsAny(text, "*?") {
		return principal{kind: nobodyYet, text: text}
	}
	switch {
	case n.parts[2] == "iam" && last == "root":
		return principal{kind: anAccount, text: text, account: n.parts[4]}
	case n.parts[2] == "iam" && strings.HasPrefix(last, "role/"):
		return principal{kind: aRole, text: text, account: n.parts[4], name: last[strings.LastIndexByte(last, '/')+1:]}
	}
	return principal{kind: another, text: text}
}

func accountID(text string) bool {
	return len(text) == 12 && strings.Trim(text, "0123456789") == ""
}

func uniqueID(text string) bool {
	if len(text) < 16 || len(text) > 128 || !strings.HasPrefix(text, "AIDA") && !strings.HasPrefix(text, "AROA") {
		return false
	}
	return strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == ""
}

// A callerKind is what somebody who asks is.
type callerKind int

const (
	anIdentity callerKind = iota // a user, or what we know no better
	roleItself
	session
	federated // by GetFederationToken
	root
	service
	stranger // known to an identity provider only
	anonymous
)

// A caller is a principal, read once for all statements.
type caller struct {
	Principal
	kind    callerKind
	account string
	role    string // the name of a role or of a session's role
}

func callerOf(p Principal) caller {
	c := caller{Principal: p, account: p.Account}
	switch {
	case p.Type == "Anonymous":
		c.kind = anonymous
		return c
	case p.Service != "":
		c.kind = service
		return c
	case p.Provider != "":
		c.kind = stranger
		return c
	}
	n := nameOf(p.ARN)
	if c.account == "" {
		c.account = n.parts[4]
	}
	last := n.parts[arnParts-1]
	what, rest, _ := strings.Cut(last, "/")
	switch {
	case what == "assumed-role":
		c.kind = session
		c.role, _, _ = strings.Cut(rest, "/")
	case what == "role":
		c.kind = roleItself
		c.role = last[strings.LastIndexByte(last, '/')+1:]
	case what == "federated-user":
		c.kind = federated
	case last == "root":
		c.kind = root
	}
	return c
}

// local tells of callers that an account's policies are attached to.
func (c *caller) local() bool { return c.kind < service }

// linked tells of service-linked roles, which no SCP limits.
func (c *caller) linked() bool {
	arn := c.ARN
	if c.kind == session {
		arn = c.Issuer
	}
	return strings.Contains(arn, ":role/aws-service-role/")
}

// names tells how much of a grant it is to name p, where c is asking.
func (p *principal) names(c *caller) grant {
	switch p.kind {
	case everyone:
		return direct
	case anAccount:
		if c.local() && c.account == p.account {
			return delegated
		}
	case aRole:
		return p.role(c)
	case another:
		switch {
		case !c.local():
		case c.ARN == p.text:
			return direct
		case c.kind == federated && c.Issuer == p.text:
			return bounded
		}
	case aService:
		return directly(c.kind == service && strings.EqualFold(c.Service, p.text))
	case aProvider:
		return directly(c.kind == stranger && c.Provider == p.text)
	case aCanonicalUser:
		return directly(c.local() && c.Canonical != "" && c.Canonical == p.text)
	case anID:
		id, _, of := strings.Cut(c.ID, ":")
		switch {
		case !c.local() || id != p.text:
		case of || c.kind == roleItself:
			return bounded
		default:
			return direct
		}
	}
	return ungranted
}

func directly(is bool) grant {
	if is {
		return direct
	}
	return ungranted
}

// role names a role: by its ARN, or where only a session's ARN is known, in
// which the role's path is absent, by its name.
func (p *principal) role(c *caller) grant {
	is := false
	switch {
	case c.kind == roleItself:
		is = c.ARN == p.text
	case c.kind == session && c.Issuer != "":
		is = c.Issuer == p.text
	case c.kind == session:
		is = c.account == p.account && c.role == p.name
	}
	if is {
		return bounded
	}
	return ungranted
}

// grants tells how much a statement of a resource's policy gives to who asks,
// or, where it denies, whether (at all) it means them.
func (s *statement) grants(q *query) grant {
	best := ungranted
	for i := range s.principals {
		best = max(best, s.principals[i].names(&q.who))
	}
	switch {
	case s.anybody:
		return direct
	case s.notPrincipals && s.deny:
		return directly(q.bounded || !s.exempts(&q.who))
	case s.notPrincipals && best == ungranted && q.who.kind != service:
		return bounded // to all others, and no more than that
	case s.notPrincipals:
		return ungranted
	case q.who.kind == service && !s.deny && !s.serves(&q.who):
		return ungranted // * is not enough: a service has to be named
	}
	return best
}

func (s *statement) serves(c *caller) bool {
	for i := range s.principals {
		if s.principals[i].kind == aService && s.principals[i].names(c) != ungranted {
			return true
		}
	}
	return false
}

// exempts tells whether a Deny with NotPrincipal leaves the caller alone: all
// that it is asked as must be listed, itself, for a session its role, and its account.
func (s *statement) exempts(c *caller) bool {
	var itself, role, account bool
	for i := range s.principals {
		p := &s.principals[i]
		switch g := p.names(c); {
		case p.kind == everyone:
			return true
		case g == delegated:
			account = true
		case g == bounded:
			role = true
		case g == direct:
			itself = true
		}
	}
	switch c.kind {
	case root:
		return account
	case session:
		return itself && role && account
	case roleItself:
		return role && account
	case federated:
		return (itself || role) && account // role stands for the user behind it
	case anIdentity:
		return itself && account
	}
	return itself
}
