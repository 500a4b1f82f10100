package iam

import "strings"

// A Principal is who is asking. Its JSON is how it is written into records.
type Principal struct {
	ARN     string `json:"arn"`               // arn:aws:iam::ACCOUNT:user/alice, or ACCOUNT:root
	Account string `json:"accountId"`         // twelve digits
	ID      string `json:"principalId"`       // AIDA…, AROA…:session, or the account for root
	Type    string `json:"type"`              // as aws:PrincipalType has it: User, AssumedRole, Account, FederatedUser
	Name    string `json:"userName,omitzero"` // the user's name, or "" for what is no user
}

// A Request is one question: may this principal do this to that? Resource is
// the ARN that is asked about, or * for an action that is about no single one.
// Context holds the condition keys; their names are compared without case.
type Request struct {
	Principal Principal
	Action    string
	Resource  string
	Context   map[string][]string
}

// Known is r with what follows from the principal added to its context: the
// keys that every request has. What the context says already stays.
func (r Request) Known() Request {
	context := make(map[string][]string, len(r.Context)+5)
	add := func(key, value string) {
		if value != "" {
			context[strings.ToLower(key)] = []string{value}
		}
	}
	add("aws:PrincipalArn", r.Principal.ARN)
	add("aws:PrincipalAccount", r.Principal.Account)
	add("aws:PrincipalType", r.Principal.Type)
	add("aws:userid", r.Principal.ID)
	add("aws:username", r.Principal.Name)
	for key, values := range r.Context {
		context[strings.ToLower(key)] = values
	}
	r.Context = context
	return r
}
