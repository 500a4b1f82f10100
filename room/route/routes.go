package route

import (
	"context"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
)

// Route is a rule with all that belongs to it, for people to look at.
type Route struct {
	Rule
	Targets []RuleTarget
	Tags    map[string]string
	Origin  string    // "file" if it came from a file of routes
	Next    time.Time // when its schedule is due, if it has one
}

// Routes lists the rules of all buses, by bus and name.
func (r *Router) Routes(ctx context.Context, p Page) (routes []Route, next string, err error) {
	bus, name := "", ""
	if p.After != "" {
		i := strings.LastIndexByte(p.After, '/')
		if i < 0 {
			return nil, "", fault.Invalid.Errorf("the page token is not ours")
		}
		bus, name = p.After[:i], p.After[i+1:]
	}
	err = r.db.Read(ctx, func(tx *db.Tx) error {
		routes, err = db.All(tx, r.scanRoute, "SELECT next, body FROM route_rules WHERE bus > ? OR bus = ? AND name > ? ORDER BY bus, name LIMIT ?", bus, bus, name, p.limit()+1)
		for i := range routes {
			if err != nil {
				return err
			}
			routes[i].Targets, err = db.All(tx, scanJSON[RuleTarget], "SELECT body FROM route_rule_targets WHERE bus = ? AND rule = ? ORDER BY id", routes[i].Bus, routes[i].Name)
		}
		return err
	})
	routes, next = cut(routes, p, func(t Route) string { return t.Bus + "/" + t.Name })
	return routes, next, err
}

func (r *Router) scanRoute(scan db.Scan) (t Route, err error) {
	var due int64
	var body []byte
	if err := scan(&due, &body); err != nil {
		return t, err
	}
	var stored storedRule
	if err := json.Unmarshal(body, &stored); err != nil {
		return t, err
	}
	t = Route{Rule: r.shown(stored), Tags: stored.Tags, Origin: stored.Origin}
	if due > 0 {
		t.Next = time.UnixMicro(due).UTC()
	}
	return t, nil
}
