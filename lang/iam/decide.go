package iam

import (
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

// A Layer is one of the places at which a request is asked about.
type Layer int

const (
	// ByIdentity are the policies of the user, its groups, or the role.
	ByIdentity Layer = iota
	// ByResource is the policy of what is asked for; of a role, its trust policy.
	ByResource
	// ByBoundary is the permissions boundary.
	ByBoundary
	// BySession are the policies handed in when a session began.
	BySession
	// ByServiceControl are the SCPs of the principal's organisation.
	ByServiceControl
	// ByResourceControl are the RCPs of the resource's organisation.
	ByResourceControl
	// ByEndpoint are the policies of the VPC endpoint that the call came through.
	ByEndpoint
	// ByService is what the service itself does, whatever policies say.
	ByService

	layers = int(ByEndpoint) + 1
)

var layerNames = [...]string{"identity", "resource", "pb", "session", "scp", "rcp", "vpce", "service"}

// String is the layer in a word.
func (l Layer) String() string { return layerNames[l] }

var layerWords = [...]string{"identity-based policy", "resource-based policy", "permissions boundary", "session policy",
	"service control policy", "resource control policy", "VPC endpoint policy", "service"}

// A Decision is an outcome and what it came from: the statement that allows or
// denies, or the layer that says nothing where something was needed.
type Decision struct {
	Outcome   Outcome
	Layer     Layer
	Policy    string // name of the policy, or "" where nothing matched
	Statement int    // counted from 0
	Sid       string
}

// Policies are all that apply to a request. The zero value allows nothing.
type Policies struct {
	Identity []*Policy
	Boundary []*Policy // the permissions boundary; nil where there is none
	// Session are those handed in with AssumeRole and the like; nil where
	// there were none. A session of GetFederationToken without any has an
	// empty list, not nil: it may do nothing.
	Session  []*Policy
	Resource *Policy // of what is asked for; of a role, its trust policy
	// Service and Resource control policies, a list a level, the root first;
	// nil outside an organisation and, for the first, in its management account.
	ServiceControl  [][]*Policy
	ResourceControl [][]*Policy
	Endpoint        []*Policy
	// BlockPublic is S3's RestrictPublicBuckets: a policy that lets everybody
	// in does so for the account alone.
	BlockPublic bool
}

// Decide asks the policies of an identity and nothing else: no other layer, and
// no rule of a service. The context is taken as it is; see Request.Known.
func Decide(r Request, policies ...*Policy) Decision {
	var q query
	q.read(r)
	var v vote
	for _, p := range policies {
		p.vote(&v, &q)
		if v.denies() {
			return v.deny.decision(ExplicitlyDenied, ByIdentity)
		}
	}
	if !v.allows() {
		return Decision{}
	}
	return v.allow.decision(Allowed, ByIdentity)
}

// Decide answers the request: a deny anywhere decides, else all that limit
// must allow, and something must grant. It allocates nothing as long as the
// context's keys are in lower case.
func (p *Policies) Decide(r Request) Decision {
	var q query
	q.read(r)
	if q.service == "sts" && matchFold("getcalleridentity", q.name) {
		return Decision{Outcome: Allowed, Layer: ByService}
	}
	var t tally
	if layer := p.count(&t, &q, true); layer >= 0 {
		return t[layer].deny.decision(ExplicitlyDenied, layer)
	}
	layer := p.judge(&t, &q)
	outcome := ImplicitlyDenied
	if layer < 0 {
		outcome, layer = Allowed, ByIdentity
		if !t[ByIdentity].allows() {
			layer = ByResource
		}
	}
	if outcome == Allowed {
		return t[layer].allow.decision(outcome, layer)
	}
	return Decision{Layer: layer}
}

// A seat is a statement in its policy.
type seat struct {
	policy    *Policy
	statement int
}

func (s seat) decision(o Outcome, l Layer) Decision {
	d := Decision{Outcome: o, Layer: l, Statement: s.statement}
	if s.policy != nil {
		d.Policy, d.Sid = s.policy.Name, s.policy.statements[s.statement].sid
	}
	return d
}

// A vote is what one layer says. A layer that does not apply has no voice, and
// limits nothing.
type vote struct {
	voice bool
	lacks bool // a level of it, or all of it, allows nothing
	grant grant
	allow seat
	deny  seat
}

func (v *vote) allows() bool { return v.grant > ungranted && !v.lacks }
func (v *vote) denies() bool { return v.deny.policy != nil }
func (v *vote) passes() bool { return !v.voice || v.allows() }

type tally [layers]vote

// count asks all layers; with first it stops at the first deny and says whose.
func (p *Policies) count(t *tally, q *query, first bool) Layer {
	q.bounded = p.Boundary != nil
	local := q.who.local()
	if local && !q.who.linked() {
		for _, level := range p.ServiceControl {
			if t[ByServiceControl].level(q, level) && first {
				return ByServiceControl
			}
		}
	}
	for _, level := range p.ResourceControl {
		if t[ByResourceControl].limits(q, level) && first {
			return ByResourceControl
		}
	}
	if p.Endpoint != nil && t[ByEndpoint].level(q, p.Endpoint) && first {
		return ByEndpoint
	}
	if local {
		if p.Boundary != nil && t[ByBoundary].level(q, p.Boundary) && first {
			return ByBoundary
		}
		if p.Session != nil && t[BySession].level(q, p.Session) && first {
			return BySession
		}
		if t[ByIdentity].level(q, p.Identity) && first {
			return ByIdentity
		}
		if q.who.kind == root {
			t[ByIdentity].grant, t[ByIdentity].lacks = direct, false
		}
	}
	if p.Resource != nil {
		t[ByResource].voice = true
		p.Resource.vote(&t[ByResource], q)
		if t[ByResource].denies() {
			return ByResource
		}
	}
	return -1
}

// level asks policies of which one must allow. It tells whether one denies.
func (v *vote) level(q *query, policies []*Policy) bool {
	before := v.grant
	v.grant = ungranted
	for _, p := range policies {
		p.vote(v, q)
	}
	v.lacks = v.lacks || v.grant == ungranted
	v.grant = max(v.grant, before)
	v.voice = true
	return v.denies()
}

// limits asks policies that can only deny: each level of RCPs has one that allows all.
func (v *vote) limits(q *query, policies []*Policy) bool {
	v.level(q, policies)
	v.grant, v.lacks = direct, false
	return v.denies()
}

// vote asks the statements that could be about the request. Once one has
// allowed, only those that deny matter.
func (p *Policy) vote(v *vote, q *query) {
	if p.services == nil {
		for i := range p.statements {
			p.ask(i, v, q)
		}
		return
	}
	list, ok := p.services[q.service]
	if !ok {
		list = p.wide
	}
	for _, i := range list {
		p.ask(int(i), v, q)
	}
}

func (p *Policy) ask(i int, v *vote, q *query) {
	s := &p.statements[i]
	if s.deny && v.denies() || !s.deny && v.grant == direct {
		return
	}
	g := direct
	if p.kind.principals() {
		if g = s.grants(q); g == ungranted {
			return
		}
	}
	switch {
	case !s.matches(q):
	case s.deny:
		v.deny = seat{p, i}
	case g > v.grant:
		v.grant, v.allow = g, seat{p, i}
	}
}

// judge tells, where nothing denies, which layer turns the request down, or -1.
func (p *Policies) judge(t *tally, q *query) Layer {
	for _, l := range [...]Layer{ByServiceControl, ByResourceControl, ByEndpoint} {
		if !t[l].passes() {
			return l
		}
	}
	if immutable(q) {
		return ByService
	}
	return p.core(t, q)
}

// core is who grants, and what limits the grant.
func (p *Policies) core(t *tally, q *query) Layer {
	g := t[ByResource].grant
	same := q.who.account == q.request.owner(&q.who)
	if p.BlockPublic && !same && p.Resource != nil && p.Resource.Public() && q.who.kind != service {
		return ByService
	}
	switch {
	case !q.who.local():
		if g == ungranted {
			return ByResource
		}
		return -1
	case g == ungranted && (!same || needsPolicy(q, p.Resource != nil)):
		return ByResource
	case !t[BySession].passes():
		return BySession
	case same && g == direct:
		return -1
	case !t[ByBoundary].passes():
		return ByBoundary
	case same && g == bounded || t[ByIdentity].allows():
		return -1
	}
	return ByIdentity
}

// Err is nil for what is allowed, else fault.Denied in AWS's words.
func (d Decision) Err(r Request) error {
	const head = "User: %s is not authorized to perform: %s on resource: %s "
	who := r.Principal.ARN
	switch {
	case r.Principal.Service != "":
		who = r.Principal.Service
	case who == "":
		who = "anonymous"
	}
	article := "a"
	if d.Layer == ByIdentity {
		article = "an"
	}
	switch {
	case d.Outcome == Allowed:
		return nil
	case d.Outcome == ExplicitlyDenied:
		return fault.Denied.Errorf(head+"with an explicit deny in %s %s", who, r.Action, r.Resource, article, layerWords[d.Layer])
	case d.Layer == ByService:
		return fault.Denied.Errorf(head+"because the service allows nobody the %s action", who, r.Action, r.Resource, r.Action)
	}
	return fault.Denied.Errorf(head+"because no %s allows the %s action", who, r.Action, r.Resource, layerWords[d.Layer], r.Action)
}
