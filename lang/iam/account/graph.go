package account

import (
	"slices"
	"strings"
)

// A Node is somebody in the picture of who can become whom.
type Node struct {
	ID    string // an ARN; a service, an account, a provider or * that a role trusts; Admin
	Name  string
	Kind  NodeKind
	Admin bool // has all rights
	Steps int  // how many steps all rights are away; -1 where no way leads there
}

// A NodeKind is what a node is.
type NodeKind string

const (
	// AUser is a user of the account.
	AUser NodeKind = "user"
	// ARole is a role of the account.
	ARole NodeKind = "role"
	// AnOutsider is whoever else a role lets in: a service, another account, an identity provider, everybody.
	AnOutsider NodeKind = "outsider"
	// AllRights is where steps end that give all rights at once.
	AllRights NodeKind = "admin"
)

// An Edge says that one can become the other.
type Edge struct {
	From, To string
	Assumes  bool     // by sts:AssumeRole, as the role's trust policy wants it
	Paths    []string // else, or besides: the ways of escalation, by their identifiers
	Hows     []string // the same in words
	May      May
}

// Graph is who can become whom: roles assumed, and every way of escalation.
// Administrators have no edges: they need none. Those whom nobody can become
// and who can become nobody are left out, and counted. With a focus, an ARN, it
// is the ways that lead to it directly and on from it. No more than most edges
// are drawn; cut tells that there are more.
func (a *Account) Graph(focus string, most int) (nodes []Node, edges []Edge, alone int, cut bool) {
	g := newGraph(a, paths())
	for _, p := range a.Principals {
		g.admin[p] = a.administers(p.policies, p)
	}
	reach := g.onwards(a.Find(focus))
	of := map[[2]string]*Edge{}
	add := func(from, to string, on bool) *Edge {
		key := [2]string{from, to}
		if of[key] == nil {
			if focus != "" && !on && to != focus {
				return &Edge{}
			}
			if len(of) >= most {
				cut = true
				return &Edge{}
			}
			of[key] = &Edge{From: from, To: to}
		}
		return of[key]
	}
	for _, p := range a.Principals {
		for _, e := range g.steps(p) {
			to := Admin
			if e.to != nil {
				to = e.to.ARN
			}
			drawn := add(p.ARN, to, reach[p])
			drawn.May = max(drawn.May, e.may)
			if e.path.id == "sts-001" {
				drawn.Assumes = true
			} else if !slices.Contains(drawn.Paths, e.path.id) {
				drawn.Paths, drawn.Hows = append(drawn.Paths, e.path.id), append(drawn.Hows, e.path.how)
			}
		}
		for _, who := range a.outsiders(p) {
			drawn := add(who, p.ARN, false)
			drawn.Assumes, drawn.May = true, Perhaps
		}
	}
	for _, e := range of {
		edges = append(edges, *e)
	}
	slices.SortFunc(edges, func(x, y Edge) int {
		if c := strings.Compare(x.From, y.From); c != 0 {
			return c
		}
		return strings.Compare(x.To, y.To)
	})
	nodes, alone = g.nodes(edges)
	return nodes, edges, alone, cut
}

// steps are the edges of somebody who is no administrator, found once.
func (g *graph) steps(p *Principal) []edge {
	if _, done := g.edges[p]; !done && !g.admin[p] {
		g.edges[p] = g.from(p)
	}
	return g.edges[p]
}

// onwards are those whom somebody can become, one after the other, and p itself.
func (g *graph) onwards(p *Principal) map[*Principal]bool {
	reach := map[*Principal]bool{}
	queue := []*Principal{p}
	for len(queue) > 0 && p != nil {
		at := queue[0]
		queue = queue[1:]
		if reach[at] {
			continue
		}
		reach[at] = true
		for _, e := range g.steps(at) {
			if e.to != nil && !reach[e.to] {
				queue = append(queue, e.to)
			}
		}
	}
	return reach
}

// outsiders are whoever a role's trust policy names that is no user or role of the account.
func (a *Account) outsiders(p *Principal) (all []string) {
	if p.trust == nil {
		return nil
	}
	for _, who := range p.trust.Names() {
		own := who == a.ID || strings.HasPrefix(who, "arn:aws:iam::"+a.ID+":") && !strings.Contains(who, "-provider/")
		if !own {
			all = append(all, who)
		}
	}
	return all
}

// nodes are those that the edges touch, with how far each is from all rights.
func (g *graph) nodes(edges []Edge) (all []Node, alone int) {
	touched := map[string]bool{}
	for _, e := range edges {
		touched[e.From], touched[e.To] = true, true
	}
	add := func(n Node) {
		n.Steps = -1
		all = append(all, n)
		delete(touched, n.ID)
	}
	for _, p := range g.account.Principals {
		if !touched[p.ARN] {
			alone++
			continue
		}
		kind := AUser
		if p.Role {
			kind = ARole
		}
		add(Node{ID: p.ARN, Name: p.Name, Kind: kind, Admin: g.admin[p]})
	}
	if touched[Admin] {
		add(Node{ID: Admin, Name: Admin, Kind: AllRights, Admin: true})
	}
	for id := range touched {
		name := id
		if strings.HasPrefix(id, "arn:") {
			name = id[strings.LastIndexByte(id, ':')+1:]
			if name == "root" {
				name = strings.Split(id, ":")[4]
			}
		}
		add(Node{ID: id, Name: name, Kind: AnOutsider})
	}
	slices.SortFunc(all, func(x, y Node) int { return strings.Compare(x.ID, y.ID) })
	distances(all, edges)
	return all, alone
}

// distances counts steps backwards from those with all rights.
func distances(nodes []Node, edges []Edge) {
	at := map[string]*Node{}
	before := map[string][]string{}
	var queue []string
	for i := range nodes {
		at[nodes[i].ID] = &nodes[i]
		if nodes[i].Admin {
			nodes[i].Steps = 0
			queue = append(queue, nodes[i].ID)
		}
	}
	for _, e := range edges {
		before[e.To] = append(before[e.To], e.From)
	}
	for len(queue) > 0 {
		id := queue[0]
		queue = queue[1:]
		for _, from := range before[id] {
			if n := at[from]; n.Steps < 0 {
				n.Steps = at[id].Steps + 1
				queue = append(queue, from)
			}
		}
	}
}
