package account

import (
	"maps"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/lang/iam"
)

// A May is whether something is allowed.
type May int

const (
	// No is not allowed, in no circumstances that the policies provide for.
	No May = iota
	// Perhaps is allowed where conditions hold of which the snapshot says nothing.
	Perhaps
	// Yes is allowed.
	Yes
)

var mays = [...]string{"no", "perhaps", "yes"}

// String is the answer in a word.
func (m May) String() string { return mays[m] }

// An Answer is somebody who can do what was asked for.
type Answer struct {
	Principal *Principal
	May       May          // Perhaps where a step on the way is
	Chain     []*Principal // roles to assume on the way, in order; none where it may itself
	By        iam.Decision // what allows it, to the last of them
}

// A Question is an action on a resource. Resource may be a pattern: then
// somebody who can do it to some resource of that form is an answer.
type Question struct {
	Action, Resource string
	Some             bool
	Context          map[string][]string // what is known of the request
	Policy           *iam.Policy         // of the resource, where it is known
	Owner            string              // the resource's account, or "" as its ARN says, else the snapshot's
	Limits           iam.Policies        // for Explain: a session's policies, an endpoint's and an organisation's, of which the snapshot says nothing
}

// may asks the principal's policies.
func (p *Principal) may(q Question) (May, iam.Decision) {
	r := p.request
	r.Action, r.Resource, r.Some, r.Owner = q.Action, q.Resource, q.Some, q.Owner
	if len(q.Context) > 0 {
		r.Context = maps.Clone(r.Context)
		maps.Copy(r.Context, q.Context)
	}
	policies := p.policies
	policies.Resource = q.Policy
	d := policies.Decide(r)
	if d.Outcome == iam.Allowed {
		return Yes, d
	}
	r.Suppose = true
	if d = policies.Decide(r); d.Outcome == iam.Allowed {
		return Perhaps, d
	}
	return No, d
}

// Explain says why a principal may or may not.
func (p *Principal) Explain(q Question) iam.Explanation {
	r := p.request
	r.Action, r.Resource, r.Some, r.Owner = q.Action, q.Resource, q.Some, q.Owner
	r.Context = maps.Clone(r.Context)
	maps.Copy(r.Context, q.Context)
	policies := p.policies
	policies.Resource = q.Policy
	policies.Session, policies.Endpoint = q.Limits.Session, q.Limits.Endpoint
	policies.ServiceControl, policies.ResourceControl = q.Limits.ServiceControl, q.Limits.ResourceControl
	return policies.Explain(r)
}

// Find is a user or role by its ARN or, where no other has it, its name.
func (a *Account) Find(name string) *Principal {
	var found *Principal
	for _, p := range a.Principals {
		switch {
		case p.ARN == name:
			return p
		case p.Name == name && found != nil:
			return nil
		case p.Name == name:
			found = p
		}
	}
	return found
}

// Trust is the policy that says who may assume a role, where arn is one of the account's.
func (a *Account) Trust(arn string) *iam.Policy {
	for _, p := range a.Principals {
		if p.ARN == arn {
			return p.trust
		}
	}
	return nil
}

// assumes tells whether a principal can become a role.
func (p *Principal) assumes(role *Principal) May {
	if !role.Role || role.trust == nil || p == role {
		return No
	}
	may, _ := p.may(Question{Action: "sts:AssumeRole", Resource: role.ARN, Policy: role.trust})
	return may
}

// Who answers who can do it, themselves or through roles that they can assume:
// where some way is certain by the shortest such, else by the shortest.
func (a *Account) Who(q Question) []Answer {
	answers := map[*Principal]Answer{}
	for _, least := range []May{Yes, Perhaps} {
		wave := slices.Collect(maps.Keys(answers))
		for _, p := range a.Principals {
			if _, ok := answers[p]; ok {
				continue
			}
			if may, by := p.may(q); may >= least {
				answers[p] = Answer{Principal: p, May: may, By: by}
				wave = append(wave, p)
			}
		}
		for len(wave) > 0 {
			wave = a.before(wave, answers, least)
		}
	}
	return slices.SortedFunc(maps.Values(answers), func(x, y Answer) int { return strings.Compare(x.Principal.ARN, y.Principal.ARN) })
}

// before adds those who can assume a role of the wave, and returns them.
func (a *Account) before(wave []*Principal, answers map[*Principal]Answer, least May) (next []*Principal) {
	slices.SortFunc(wave, func(x, y *Principal) int { return strings.Compare(x.ARN, y.ARN) })
	found := map[*Principal]Answer{}
	for _, p := range a.Principals {
		if _, ok := answers[p]; ok {
			continue
		}
		for _, role := range wave {
			to := answers[role]
			may := min(p.assumes(role), to.May)
			if may >= least && may > found[p].May {
				found[p] = Answer{Principal: p, May: may, Chain: append([]*Principal{role}, to.Chain...), By: to.By}
			}
		}
	}
	for p, answer := range found {
		answers[p] = answer
		next = append(next, p)
	}
	return next
}
