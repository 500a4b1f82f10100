package iam

import "strings"

// A Principal is who is asking. Its JSON is how it is written into records.
type Principal struct {
	ARN     string `json:"arn"`               // arn:aws:iam::ACCOUNT:user/alice, or ACCOUNT:root; a session's own
	Account string `json:"accountId"`         // twelve digits
	ID      string `json:"principalId"`       // AIDA…, AROA…:session, or the account for root
	Type    string `json:"type"`              // as aws:PrincipalType has it: User, AssumedRole, Account, FederatedUser, Anonymous
	Name    string `json:"userName,omitzero"` // the user's name, or "" for what is no user

	Issuer    string `json:"sessionIssuer,omitzero"`    // ARN of the role, or of the user, that a session is of, where it is known
	Service   string `json:"invokedBy,omitzero"`        // lambda.amazonaws.com: a service that asks for itself
	Provider  string `json:"identityProvider,omitzero"` // who vouches for a caller without an account: ARN of an OIDC or SAML provider
	Canonical string `json:"canonicalId,omitzero"`      // S3's name for the account

	// Session is what whoever let the principal in knows of its session and
	// wants to be handed back with every question: a pointer. Policies never see it.
	Session any `json:"-"`
}

// A Request is one question: may this principal do this to that? Resource is
// the ARN that is asked about, or * for an action that is about no single one.
// Context holds the condition keys; their names are compared without case.
type Request struct {
	Principal Principal
	Action    string
	Resource  string
	Context   map[string][]string

	// Owner is the account of the resource: "" where the ARN says it, or it is the principal's own.
	Owner string
	// Some makes Resource a pattern, and the question: is there a resource of
	// that form for which the answer is yes? A service never asks it; people do.
	Some bool
	// Suppose asks for the best case: what the context does not say, and does
	// not follow from who asks, is taken to be what an Allow wants it to be,
	// and not what a Deny does.
	Suppose bool
}

// Known is r with what follows from the principal added to its context: the
// keys that every request has. What the context says already stays.
func (r Request) Known() Request {
	context := make(map[string][]string, len(r.Context)+20) // whoever keeps sessions adds to it
	add := func(key, value string) {
		if value != "" {
			context[key] = []string{value}
		}
	}
	who := callerOf(r.Principal)
	arn := r.Principal.ARN
	if who.kind == session { // a session is known by its role
		arn = r.Principal.Issuer
		if arn == "" {
			arn = strings.Replace(strings.Replace(r.Principal.ARN, ":sts:", ":iam:", 1), ":assumed-role/", ":role/", 1)
			arn = arn[:strings.LastIndexByte(arn, '/')]
		}
	}
	add("aws:principalarn", arn)
	add("aws:principalaccount", who.account)
	add("aws:principaltype", r.Principal.Type)
	add("aws:userid", r.Principal.ID)
	add("aws:username", r.Principal.Name)
	add("aws:federatedprovider", r.Principal.Provider)
	add("aws:principalservicename", r.Principal.Service)
	add("aws:principalisawsservice", map[bool]string{true: "true", false: "false"}[who.kind == service])
	add("aws:resourceaccount", r.owner(&who))
	for key, values := range r.Context {
		context[strings.ToLower(key)] = values
	}
	r.Context = context
	return r
}

// owner is the account that the resource belongs to.
func (r *Request) owner(who *caller) string {
	if r.Owner != "" {
		return r.Owner
	}
	if n := nameOf(r.Resource); accountID(n.parts[4]) {
		return n.parts[4]
	}
	return who.account
}

// A query is a request, read once for all statements.
type query struct {
	request  Request
	service  string // lower case
	name     string // of the action
	resource name
	who      caller
	bounded  bool // a boundary limits who asks
}

func (q *query) read(r Request) {
	q.request = r
	q.service, q.name, _ = strings.Cut(r.Action, ":")
	q.service = strings.ToLower(q.service)
	q.resource = nameOf(r.Resource)
	q.who = callerOf(r.Principal)
}

// told are the beginnings of keys that follow from who asks: where they are
// absent, they are.
var told = [...]string{"aws:principalarn", "aws:principalaccount", "aws:principaltype", "aws:principaltag/", "aws:principalisawsservice", "aws:principalservicename", "aws:userid", "aws:username"}

// open tells whether a condition on a key is left to be supposed.
func (q *query) open(key string) bool {
	if !q.request.Suppose || len(lookup(q.request.Context, key)) > 0 {
		return false
	}
	for _, known := range told {
		if strings.HasPrefix(key, known) {
			return false
		}
	}
	return true
}
