package account

import (
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/lang/iam"
)

// A Step is one move of an escalation.
type Step struct {
	From    string   `json:"from"` // ARN
	To      string   `json:"to"`   // ARN, or Admin
	Path    string   `json:"path"` // identifier of the way, as pathfinding.cloud has it
	Kind    string   `json:"kind"`
	How     string   `json:"how"`
	Actions []string `json:"actions"`
	May     string   `json:"may"` // yes, or perhaps: something that the snapshot does not show has to be there
}

// Admin is where a step ends that gives all rights at once.
const Admin = "admin"

// A Cut is the permission whose removal ends an escalation: no other way is
// left to whoever took it. Where none does alone, Action is the first one of
// the shortest way, and Alone is false.
type Cut struct {
	Principal string `json:"principal"`
	Action    string `json:"action"`
	Alone     bool   `json:"alone"`
}

// An Escalation is the shortest way by which somebody who is no administrator becomes one.
type Escalation struct {
	Principal *Principal
	Steps     []Step
	May       May
	Cut       Cut
}

// An edge is a step; to is nil for one that gives all rights at once.
type edge struct {
	from, to *Principal
	path     *path
	may      May
}

func (e edge) needs(action string) bool {
	return slices.ContainsFunc(e.path.needs, func(n need) bool { return n.action == action })
}

// Escalations are the ways by which those who are no administrators could
// become one, by principal.
func (a *Account) Escalations() []Escalation {
	g := newGraph(a, paths())
	for _, p := range a.Principals {
		g.admin[p] = a.administers(p.policies, p)
	}
	for _, p := range a.Principals {
		if !g.admin[p] {
			g.edges[p] = g.from(p)
		}
	}
	var found []Escalation
	for _, p := range a.Principals {
		if g.admin[p] {
			continue
		}
		way := g.way(p, Yes, nil, "")
		if way == nil {
			way = g.way(p, Perhaps, nil, "")
		}
		if way != nil {
			found = append(found, g.escalation(p, way))
		}
	}
	return found
}

func (g *graph) escalation(p *Principal, way []edge) Escalation {
	e := Escalation{Principal: p, May: Yes, Cut: Cut{Principal: p.ARN, Action: way[0].path.needs[0].action}}
	for _, one := range way {
		s := Step{From: one.from.ARN, To: Admin, Path: one.path.id, Kind: string(one.path.category), How: one.path.how, May: one.may.String()}
		if one.to != nil {
			s.To = one.to.ARN
		}
		for _, n := range one.path.needs {
			s.Actions = append(s.Actions, n.action)
		}
		e.Steps = append(e.Steps, s)
		e.May = min(e.May, one.may)
	}
	for _, one := range way {
		for _, n := range one.path.needs {
			if g.way(p, Perhaps, one.from, n.action) == nil {
				e.Cut = Cut{one.from.ARN, n.action, true}
				return e
			}
		}
	}
	return e
}

type graph struct {
	account *Account
	all     []path
	admin   map[*Principal]bool
	edges   map[*Principal][]edge
	served  map[asked]bool // whether a role is assumed by a service
	said    map[asked]May  // what was answered of the principal whose steps are being found
}

// asked is a question that many ways ask alike.
type asked struct {
	to   *Principal // nil: about whatever resource
	what string     // an action, with or without a service
}

func newGraph(a *Account, all []path) *graph {
	return &graph{account: a, all: all, admin: map[*Principal]bool{}, edges: map[*Principal][]edge{}, served: map[asked]bool{}}
}

// once answers a question of the principal at hand, and does not ask it again.
func (g *graph) once(q asked, ask func() May) May {
	may, ok := g.said[q]
	if !ok {
		may = ask()
		g.said[q] = may
	}
	return may
}

// way is the shortest way from p to all rights, by steps that are no less
// certain than least, and where cut is not nil, without that permission of its.
func (g *graph) way(p *Principal, least May, cut *Principal, action string) []edge {
	came := map[*Principal]edge{}
	queue := []*Principal{p}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for _, e := range g.edges[at] {
			if e.may < least || e.from == cut && e.needs(action) {
				continue
			}
			if e.to == nil || g.admin[e.to] {
				way := []edge{e}
				for at != p {
					way = append(way, came[at])
					at = came[at].from
				}
				slices.Reverse(way)
				return way
			}
			if _, seen := came[e.to]; !seen && e.to != p {
				came[e.to] = e
				queue = append(queue, e.to)
			}
		}
	}
	return nil
}

// probes are actions that only an administrator has all of, each on a
// resource that no policy names.
var probes = [...][2]string{
	{"iam:AttachUserPolicy", "arn:aws:iam::ACCOUNT:user/haechi-probe"}, {"iam:PutRolePolicy", "arn:aws:iam::ACCOUNT:role/haechi-probe"},
	{"iam:CreatePolicyVersion", "arn:aws:iam::ACCOUNT:policy/haechi-probe"}, {"s3:DeleteBucket", "arn:aws:s3:::haechi-probe"},
	{"ec2:TerminateInstances", "arn:aws:ec2:us-east-1:ACCOUNT:instance/i-haechi"}, {"secretsmanager:GetSecretValue", "arn:aws:secretsmanager:us-east-1:ACCOUNT:secret:haechi-probe"},
	{"lambda:InvokeFunction", "arn:aws:lambda:us-east-1:ACCOUNT:function:haechi-probe"}, {"cloudtrail:StopLogging", "arn:aws:cloudtrail:us-east-1:ACCOUNT:trail/haechi-probe"},
}

// administers tells whether policies make somebody an administrator.
func (a *Account) administers(policies iam.Policies, p *Principal) bool {
	for _, probe := range probes {
		r := p.request
		r.Action, r.Resource = probe[0], strings.Replace(probe[1], "ACCOUNT", a.ID, 1)
		if policies.Decide(r).Outcome != iam.Allowed {
			return false
		}
	}
	return true
}

// liftable tells whether somebody is an administrator once every policy can be
// attached to them: a boundary may still be in the way.
func (a *Account) liftable(p *Principal) bool {
	policies := p.policies
	policies.Identity = []*iam.Policy{a.policies[administrator]}
	return a.administers(policies, p)
}

// from are the steps that somebody can take.
func (g *graph) from(p *Principal) (all []edge) {
	g.said = map[asked]May{}
	for i := range g.all {
		way := &g.all[i]
		// A trust policy may grant AssumeRole alone; without any right to the rest no target need be tried.
		if slices.ContainsFunc(way.needs, func(n need) bool { return n.action != "sts:AssumeRole" && g.anything(p, n.action) == No }) {
			continue
		}
		if way.category == selfEscalation {
			if may := g.self(p, way); may != No {
				all = append(all, edge{p, nil, way, may})
			}
			continue
		}
		for _, to := range g.account.Principals {
			if may := g.step(p, to, way); may != No && to != p {
				e := edge{p, to, way, may}
				if len(way.needs) > 1 && way.category == principalAccess && way.id != "iam-003" {
					if !g.account.liftable(to) {
						continue
					}
					e.to = nil
				}
				all = append(all, e)
			}
		}
	}
	return all
}

func (g *graph) anything(p *Principal, action string) May {
	return g.once(asked{nil, action}, func() May {
		may, _ := p.may(Question{Action: action, Resource: "*", Some: true})
		return may
	})
}

// self tells whether somebody can give themselves all rights that way.
func (g *graph) self(p *Principal, way *path) (best May) {
	n := way.needs[0]
	ask := func(resource string) { best = max(best, g.may(p, n.action, resource)) }
	if n.on != strongerGroup && !g.account.liftable(p) {
		return No
	}
	switch {
	case n.on == ownRole && p.Role, n.on == ownUser && !p.Role:
		ask(p.ARN)
	case n.on == ownGroup:
		for _, one := range p.groups {
			ask(one.arn)
		}
	case n.on == ownPolicy:
		for _, arn := range p.attached() {
			ask(arn)
		}
	case n.on == strongerGroup && !p.Role:
		for _, one := range g.account.groups {
			joined := p.policies
			joined.Identity = slices.Concat(joined.Identity, one.policies)
			if !slices.Contains(p.groups, one) && g.account.administers(joined, p) {
				ask(one.arn)
			}
		}
	}
	return best
}

func (g *graph) may(p *Principal, action, resource string) May {
	may, _ := p.may(Question{Action: action, Resource: resource})
	return may
}

// attached are the account's own policies that somebody has.
func (p *Principal) attached() (own []string) {
	all := slices.Clone(p.managed)
	for _, g := range p.groups {
		all = append(all, g.managed...)
	}
	return slices.DeleteFunc(all, func(arn string) bool { return strings.Contains(arn, ":iam::aws:") })
}

// step tells whether somebody can take another over that way.
func (g *graph) step(p, to *Principal, way *path) May {
	may := Yes
	if way.service != "" {
		if !to.Role || !g.serves(to, way.service) {
			return No
		}
		if way.service == "ec2.amazonaws.com" && way.category == existingPassRole && !to.profiles {
			return No
		}
		if !slices.ContainsFunc(way.needs, func(n need) bool { return n.on == passed }) {
			may = Perhaps // the snapshot does not show whether anything runs as that role
		}
	}
	for _, n := range way.needs {
		if may = min(may, g.need(p, to, way, n)); may == No {
			return No
		}
	}
	return may
}

func (g *graph) need(p, to *Principal, way *path, n need) (best May) {
	switch n.on {
	case anything:
		best = g.anything(p, n.action)
	case passed:
		best = g.once(asked{to, way.service}, func() May {
			may, _ := p.may(Question{Action: n.action, Resource: to.ARN, Context: map[string][]string{"iam:passedtoservice": {way.service}}})
			return may
		})
	case otherUser:
		if !to.Role {
			best = g.once(asked{to, n.action}, func() May { return g.may(p, n.action, to.ARN) })
		}
	case otherRole:
		switch {
		case !to.Role:
		case n.action == "sts:AssumeRole":
			best = g.once(asked{to, n.action}, func() May { return p.assumes(to) })
		default:
			best = g.once(asked{to, n.action}, func() May { return g.may(p, n.action, to.ARN) })
		}
	case itsPolicy:
		if to.Role {
			for _, arn := range to.attached() {
				best = max(best, g.may(p, n.action, arn))
			}
		}
	}
	return best
}

// serves tells whether a service may assume the role.
func (g *graph) serves(p *Principal, service string) bool {
	q := asked{p, service}
	is, ok := g.served[q]
	if !ok {
		is = p.serves(service)
		g.served[q] = is
	}
	return is
}

func (p *Principal) serves(service string) bool {
	if p.trust == nil {
		return false
	}
	policies := iam.Policies{Resource: p.trust}
	r := iam.Request{Principal: iam.Principal{Service: service}, Action: "sts:AssumeRole", Resource: p.ARN, Suppose: true}
	return policies.Decide(r).Outcome == iam.Allowed
}
