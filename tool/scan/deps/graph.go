package deps

import (
	"context"
	"slices"

	"github.com/haechi-dev/haechi/word/component"
)

// graph is what a lock file lists, by the keys that the file itself uses, and who asks for whom.
type graph struct {
	nodes map[string]*node
	order []*node // as they were added
	over  bool    // there were more than may be
}

type node struct {
	component component.Component
	needs     []string // keys; those that nobody added are passed over
	scoped    bool     // the file says the scope itself
	exclude   []string // of Maven: what is not taken with it

	reached bool
	from    *node // who brought it in; nil: the project
	top     *node // the one on the way that the project asks for
	depth   int   // how many stand before it
}

func newGraph() *graph { return &graph{nodes: map[string]*node{}} }

// add is the node of key. A key that was there before keeps what it was.
func (g *graph) add(key string, c component.Component, needs ...string) *node {
	n := &node{component: c, needs: needs}
	if g.over = len(g.order) >= MostComponents; g.over {
		return n
	}
	g.order = append(g.order, n)
	if _, ok := g.nodes[key]; !ok {
		g.nodes[key] = n
	}
	return n
}

// also lets another key lead to n.
func (g *graph) also(key string, n *node) {
	if _, ok := g.nodes[key]; !ok {
		g.nodes[key] = n
	}
}

// emit hands the components out, in the order in which they were added, with
// what the graph knows: direct or not, the shortest way from the project, and
// where the file does not say it, what they are used for: runtime if anything
// leads there from what the project runs with.
func (g *graph) emit(ctx context.Context, runtime, development []string, out func(component.Component)) error {
	if g.over {
		return errTooMany
	}
	if len(runtime)+len(development) == 0 {
		runtime = g.unasked()
	}
	g.reach(runtime, component.Runtime)
	g.reach(development, component.Development)
	for _, n := range g.order {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		n.component.Path = n.way()
		n.component.Needs = g.locators(n)
		out(n.component)
	}
	return nil
}

// unasked are the nodes that no other asks for: where nothing says what the project asks for itself.
func (g *graph) unasked() []string {
	asked := map[*node]bool{}
	for _, n := range g.order {
		for _, key := range n.needs {
			if to := g.nodes[key]; to != nil && to != n {
				asked[to] = true
			}
		}
	}
	var roots []string
	for key, n := range g.nodes {
		if !asked[n] {
			roots = append(roots, key)
		}
	}
	slices.Sort(roots)
	return roots
}

func (g *graph) reach(roots []string, scope component.Scope) {
	var queue []*node
	for _, key := range roots {
		if n := g.nodes[key]; n != nil {
			n.component.Direct = true
			if !n.reached {
				n.reached, n.from, n.top = true, nil, n
				n.take(scope)
				queue = append(queue, n)
			}
		}
	}
	for len(queue) > 0 {
		n := queue[0]
		queue = queue[1:]
		for _, key := range n.needs {
			if to := g.nodes[key]; to != nil && !to.reached {
				to.reached, to.from, to.top, to.depth = true, n, n.top, n.depth+1
				to.take(scope)
				queue = append(queue, to)
			}
		}
	}
}

func (n *node) take(scope component.Scope) {
	if !n.scoped {
		n.component.Scope = scope
	}
}

// longestWay bounds the names of a way: of a longer one the middle is left out.
const longestWay = 40

// way is the names from what the project asks for down to n.
func (n *node) way() []string {
	if !n.reached {
		return nil
	}
	var names []string
	for at := n; at != nil && len(names) < longestWay; at = at.from {
		names = append(names, at.component.Name)
	}
	if n.depth >= longestWay {
		names = append(names[:longestWay-2], "…", n.top.component.Name)
	}
	slices.Reverse(names)
	return names
}

func (g *graph) locators(n *node) []string {
	var all []string
	for _, key := range n.needs {
		if to := g.nodes[key]; to != nil && to != n {
			all = append(all, to.component.Locator())
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
