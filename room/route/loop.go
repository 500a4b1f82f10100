package route

import (
	"context"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/base/db"
)

// Loops lists the circles of buses that rules in force lead events around,
// each as the ARNs of the buses in it, the first one again at the end. An event
// goes around such a circle once: it never goes to the same target of the same
// rule twice.
func (r *Router) Loops(ctx context.Context) (loops [][]string, err error) {
	err = r.db.Read(ctx, func(tx *db.Tx) error {
		t, err := r.table(tx)
		if err != nil {
			return err
		}
		edges := r.edges(t)
		for name := range t.buses {
			// Only circles in which name is the least, so that each is listed once.
			if around := circle(edges, name); around != nil {
				loops = append(loops, around)
			}
		}
		return nil
	})
	for _, loop := range loops {
		for i := range loop {
			loop[i] = r.BusARN(loop[i])
		}
	}
	slices.SortFunc(loops, slices.Compare)
	return loops, err
}

// edges are which buses the events of a bus can go to.
func (r *Router) edges(t *table) map[string][]string {
	edges := map[string][]string{}
	for name, b := range t.buses {
		for _, rule := range b.rules {
			if rule.State == Disabled {
				continue
			}
			for _, target := range rule.targets {
				if to, ok := r.isBus(target.ARN); ok && !slices.Contains(edges[name], to) {
					edges[name] = append(edges[name], to)
				}
			}
		}
		slices.Sort(edges[name])
	}
	return edges
}

// circle is a shortest way from start back to it over buses whose names come after it.
func circle(edges map[string][]string, start string) []string {
	from := map[string]string{}
	todo := []string{start}
	for len(todo) > 0 {
		at := todo[0]
		todo = todo[1:]
		for _, to := range edges[at] {
			if to == start {
				way := []string{start}
				for ; at != start; at = from[at] {
					way = append(way, at)
				}
				way = append(way, start)
				slices.Reverse(way)
				return way
			}
			if _, seen := from[to]; !seen && to > start {
				from[to] = at
				todo = append(todo, to)
			}
		}
	}
	return nil
}

// warnLoops says so when a rule has come to lead its events back to its own bus.
func (r *Router) warnLoops(ctx context.Context, bus, rule string) {
	loops, err := r.Loops(ctx)
	if err != nil {
		return // only the warning is lost
	}
	for _, loop := range loops {
		if slices.Contains(loop, r.BusARN(bus)) {
			r.config.Log.Warn("a rule leads events around in a circle; each goes around once", "rule", r.RuleARN(bus, rule), "circle", strings.Join(loop, " → "))
		}
	}
}
