package iam

import (
	"strings"

	"github.com/haechi-dev/haechi/word/fault"
)

// An Outcome is what policies say to a request.
type Outcome int

const (
	// ImplicitlyDenied is what nothing allows.
	ImplicitlyDenied Outcome = iota
	// Allowed is what a statement allows and none denies.
	Allowed
	// ExplicitlyDenied is what a statement denies, whatever others allow.
	ExplicitlyDenied
)

var outcomes = [...]string{"ImplicitlyDenied", "Allowed", "ExplicitlyDenied"}

// String is the outcome's name.
func (o Outcome) String() string { return outcomes[o] }

// A Decision is an outcome and the statement that it came from.
type Decision struct {
	Outcome   Outcome
	Policy    string // name of the policy, or "" where nothing matched
	Statement int    // counted from 0
	Sid       string
}

// Decide asks the policies of an identity: the first statement that denies
// decides, else the first that allows, else nothing does. The context is taken
// as it is; see Request.Known.
func Decide(r Request, policies ...*Policy) Decision {
	var d Decision
	action := strings.ToLower(r.Action)
	for _, p := range policies {
		for i := range p.statements {
			s := &p.statements[i]
			if !s.deny && d.Outcome == Allowed || !s.matches(action, r.Resource, r.Context) {
				continue
			}
			d = Decision{Allowed, p.Name, i, s.sid}
			if s.deny {
				d.Outcome = ExplicitlyDenied
				return d
			}
		}
	}
	return d
}

// Err is nil for what is allowed, else fault.Denied in AWS's words.
func (d Decision) Err(r Request) error {
	const head = "User: %s is not authorized to perform: %s on resource: %s "
	switch d.Outcome {
	case Allowed:
		return nil
	case ExplicitlyDenied:
		return fault.Denied.Errorf(head+"with an explicit deny in an identity-based policy", r.Principal.ARN, r.Action, r.Resource)
	}
	return fault.Denied.Errorf(head+"because no identity-based policy allows the %s action", r.Principal.ARN, r.Action, r.Resource, r.Action)
}

func (s *statement) matches(action, resource string, context map[string][]string) bool {
	if s.covers(action) == s.notActions {
		return false
	}
	on := false
	for i := range s.resources {
		if on = s.resources[i].matchResource(resource, context); on {
			break
		}
	}
	if on == s.notThose {
		return false
	}
	for i := range s.conditions {
		if !s.conditions[i].holds(context) {
			return false
		}
	}
	return true
}

func (s *statement) covers(action string) bool {
	for i := range s.actions {
		if match(s.actions[i].pieces, action) {
			return true
		}
	}
	return false
}
