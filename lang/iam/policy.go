package iam

// A Kind is what a policy is attached to; it says which elements it may have.
type Kind int

const (
	// Identity is a policy of a user, group or role; boundaries and session policies are written alike.
	Identity Kind = iota
	// Resource is a policy of a bucket, queue, key and so on: it names principals.
	Resource
	// Trust is the policy of a role that says who may assume it.
	Trust
	// ServiceControl is an organisation's limit to what principals of its accounts may do.
	ServiceControl
	// ResourceControl is an organisation's limit to what may be done to its accounts' resources.
	ResourceControl
	// Endpoint is the policy of a VPC endpoint.
	Endpoint
)

var kinds = [...]string{"identity", "resource", "trust", "scp", "rcp", "endpoint"}

// String is the kind in a word, as people type it.
func (k Kind) String() string { return kinds[k] }

// KindOf is the kind with that name.
func KindOf(name string) (Kind, bool) {
	for i, k := range kinds {
		if k == name {
			return Kind(i), true
		}
	}
	return 0, false
}

// KindNames are the names of all kinds.
func KindNames() []string { return kinds[:] }

// principals tells whether statements of that kind name principals.
func (k Kind) principals() bool { return k != Identity && k != ServiceControl }

// A Policy is parsed and compiled, and does not change: any number of
// goroutines may ask it.
type Policy struct {
	Name       string
	kind       Kind
	old        bool   // a version in which variables are text
	text       string // as it was parsed, to show statements
	statements []statement
	services   map[string][]int32 // statements to ask about a service; nil where there are few
	wide       []int32            // statements to ask about all others
}

type statement struct {
	sid        string
	sidAt      int // in the text
	place, end int // in the text
	deny       bool
	actions    []action
	notActions bool
	resources  []arn // none: whatever the policy is attached to
	notThose   bool
	conditions []condition

	anybody       bool // of a policy that names principals where it wants, and here does not
	principals    []principal
	notPrincipals bool
	unnamed       bool // no principal where one is needed: matches never
}

// few is how many statements are asked one by one faster than by their service.
const few = 3

// index sorts the statements by the services that they are about, so that a
// decision looks only at those that could matter.
func (p *Policy) index() {
	if len(p.statements) <= few {
		return
	}
	p.services = map[string][]int32{}
	for i := range p.statements {
		for _, a := range p.statements[i].actions {
			if a.service != "" && !a.all {
				p.services[a.service] = nil
			}
		}
	}
	const most = 100_000 // entries: an odd policy is asked statement by statement
	if len(p.services)*len(p.statements) > most {
		p.services = nil
		return
	}
	for i := range p.statements {
		s := &p.statements[i]
		wide := s.notActions
		for _, a := range s.actions {
			wide = wide || a.all || a.service == "" && !a.broken
		}
		if wide {
			p.wide = append(p.wide, int32(i))
			for service := range p.services {
				p.services[service] = append(p.services[service], int32(i))
			}
			continue
		}
		for _, a := range s.actions {
			if list := p.services[a.service]; a.service != "" && (len(list) == 0 || list[len(list)-1] != int32(i)) {
				p.services[a.service] = append(list, int32(i))
			}
		}
	}
}

// matches tells whether the statement is about the request, principals left out.
func (s *statement) matches(q *query) bool {
	return s.covers(q) != s.notActions && s.about(q) && s.meets(q)
}

func (s *statement) covers(q *query) bool {
	for i := range s.actions {
		if s.actions[i].match(q) {
			return true
		}
	}
	return false
}

func (s *statement) about(q *query) bool {
	if len(s.resources) == 0 {
		return true
	}
	if q.request.Some {
		return s.aboutSome(q)
	}
	for i := range s.resources {
		r := &s.resources[i]
		if !s.deny && !s.notThose {
			if r.granted(&q.resource, q.request.Context) {
				return true
			}
		} else if r.matchResource(&q.resource, q.request.Context) {
			return !s.notThose
		}
	}
	return s.notThose
}

// meets tells whether all conditions hold. One that is not understood holds
// where the statement denies, and does not where it allows.
func (s *statement) meets(q *query) bool {
	for i := range s.conditions {
		c := &s.conditions[i]
		if c.unknown {
			if !s.deny {
				return false
			}
			continue
		}
		if q.open(c.key) {
			if s.deny {
				return false
			}
			continue
		}
		if !c.holds(q.request.Context) {
			return false
		}
	}
	return true
}
