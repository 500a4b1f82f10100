package console

import (
	"fmt"
	"html/template"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/base/chart"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/lang/iam/account"
)

// edgeRow is a step in words.
type edgeRow struct {
	From, To, FromPath, ToPath string
	Assumes, Perhaps           bool
	Paths                      []pair // identifier and words
}

// wayRow is how somebody could become an administrator.
type wayRow struct {
	Name, Path string
	Sure       bool
	Steps      []string
	Fix        string
	Finding    string // its page
}

type graphView struct {
	Accounts []option
	Account  string
	Focus    string
	All      string // path of the whole picture
	Ask      string // path of the question who may do what
	Drawing  template.HTML
	Edges    []edgeRow
	More     int
	Alone    int
	Cut      bool
	Ways     []wayRow
	Unread   []string
}

func (o *Console) graph() page {
	return page{
		name: "graph", path: permissionsPath + "/graph", under: "permissions",
		asks: func(r *request) []iam.Request { return r.ask("iam:SimulatePrincipalPolicy", "") },
		view: o.graphView,
	}
}

const (
	edgesShown = 300
	edgesKept  = 5000
)

func (o *Console) graphView(r *request) (any, error) {
	id, focus := r.URL.Query().Get("account"), r.URL.Query().Get("focus")
	a, err := o.config.Accounts.Account(r.Context(), id)
	if err != nil {
		return nil, err
	}
	list, err := o.config.Accounts.List(r.Context())
	if err != nil {
		return nil, err
	}
	if p := a.Find(focus); p != nil {
		focus = p.ARN
	}
	v := graphView{Accounts: o.accountOptions(r, list, id), Account: id, Focus: focus, All: graphPath(id, ""), Ask: askPath(id, focus)}
	nodes, edges, alone, cut := a.Graph(focus, edgesKept)
	v.Alone, v.Cut = alone, cut
	if focus != "" {
		v.Alone = 0 // they are not asked about
	}
	name := namesOf(r, nodes)
	if focus != "" {
		nodes, edges = around(nodes, edges, focus)
	}
	v.Drawing = draw(r, id, focus, nodes, edges, name)
	for i, e := range edges {
		if i == edgesShown {
			v.More = len(edges) - edgesShown
			break
		}
		row := edgeRow{From: name(e.From), To: name(e.To), FromPath: graphPath(id, e.From), ToPath: graphPath(id, e.To), Assumes: e.Assumes, Perhaps: e.May != account.Yes}
		for j := range e.Paths {
			row.Paths = append(row.Paths, pair{e.Paths[j], e.Hows[j]})
		}
		v.Edges = append(v.Edges, row)
	}
	for _, e := range a.Escalations() {
		if focus != "" && e.Principal.ARN != focus {
			continue
		}
		v.Ways = append(v.Ways, o.way(id, e, name))
	}
	for _, u := range a.Unread {
		v.Unread = append(v.Unread, u.File+": "+u.Why)
	}
	return v, nil
}

func (o *Console) way(id string, e account.Escalation, name func(string) string) wayRow {
	f := o.config.Accounts.Escalation(e)
	row := wayRow{Name: e.Principal.Name, Path: graphPath(id, e.Principal.ARN), Sure: e.May == account.Yes, Fix: f.Remediation.Recommendation.Text}
	if id != "" { // of this installation none is kept
		row.Finding = findingPath(&f)
	}
	for _, s := range e.Steps {
		row.Steps = append(row.Steps, s.How+" ("+s.Path+": "+strings.Join(s.Actions, ", ")+") → "+name(s.To))
	}
	return row
}

func askPath(id, principal string) string {
	return strings.Replace(strings.Replace(graphPath(id, principal), permissionsPath+"/graph", permissionsPath, 1), "focus=", "principal=", 1)
}

func namesOf(r *request, nodes []account.Node) func(string) string {
	names := map[string]string{account.Admin: r.t("all rights"), "*": r.t("everybody")}
	for _, n := range nodes {
		if names[n.ID] == "" {
			names[n.ID] = n.Name
		}
	}
	return func(id string) string {
		if n := names[id]; n != "" {
			return n
		}
		return id[strings.LastIndexByte(id, '/')+1:]
	}
}

// around are one principal's neighbours, and the ways that lead on from it.
func around(nodes []account.Node, edges []account.Edge, focus string) (near []account.Node, between []account.Edge) {
	on := map[string]bool{focus: true}
	for grown := true; grown; { // onwards
		grown = false
		for _, e := range edges {
			if on[e.From] && !on[e.To] {
				on[e.To], grown = true, true
			}
		}
	}
	reach := map[string]bool{}
	for id := range on {
		reach[id] = true
	}
	for _, e := range edges {
		if e.To == focus {
			on[e.From] = true
		}
	}
	for _, n := range nodes {
		if on[n.ID] {
			near = append(near, n)
		}
	}
	for _, e := range edges {
		if e.To == focus || reach[e.From] && reach[e.To] {
			between = append(between, e)
		}
	}
	return near, between
}

// draw is the picture: all rights at the right, and everybody as far to the left as they are away.
func draw(r *request, id, focus string, nodes []account.Node, edges []account.Edge, name func(string) string) template.HTML {
	nodes, edges, bundled := bundle(nodes, edges, focus)
	furthest := 2
	for _, n := range nodes {
		furthest = max(furthest, n.Steps)
	}
	says := map[string][]string{}
	g := chart.Graph{Title: r.t("Who can become whom")}
	for _, e := range edges {
		words := stepWords(r, e, name)
		says[e.From] = append(says[e.From], words)
		class := "assume"
		if len(e.Paths) > 0 {
			class = "escalate"
		}
		if e.May != account.Yes {
			class += " perhaps"
		}
		g.Edges = append(g.Edges, chart.Edge{From: e.From, To: e.To, Class: class, Says: words})
	}
	for _, n := range nodes {
		column := furthest - n.Steps
		switch {
		case n.Steps < 0 && n.Kind == account.AnOutsider:
			column = 0
		case n.Steps < 0 && n.Kind == account.AUser:
			column = max(furthest-2, 0)
		case n.Steps < 0:
			column = furthest - 1
		}
		class := "is-" + string(n.Kind)
		if n.Admin {
			class += " all"
		}
		if n.ID == focus {
			class += " here"
		}
		said := name(n.ID) + ", " + map[account.NodeKind]string{
			account.AUser: r.t("a user"), account.ARole: r.t("a role"), account.AnOutsider: r.t("from outside"), account.AllRights: r.t("all rights"),
		}[n.Kind]
		if n.Admin && n.Kind != account.AllRights {
			said += ", " + r.t("an administrator")
		}
		for i, w := range says[n.ID] {
			if i == 5 {
				said += "; …"
				break
			}
			said += "; " + w
		}
		link := graphPath(id, n.ID)
		if n.Kind == account.AllRights {
			link = ""
		}
		shown := name(n.ID)
		if others := bundled[n.ID]; len(others) > 0 {
			shown = r.t("%s and %d more", shown, len(others))
			var names []string
			for _, o := range others[:min(len(others), 20)] {
				names = append(names, name(o))
			}
			said = shown + " (" + strings.Join(names, ", ") + "); " + said
			link = "#steps"
		}
		g.Nodes = append(g.Nodes, chart.Node{ID: n.ID, Name: shown, Class: class, Column: column, Link: link, Says: said})
	}
	g.Words = r.t("%d boxes, %d arrows; the list below says the same", len(g.Nodes), len(g.Edges))
	return template.HTML(g.SVG())
}

// bundle draws those who can do the same, and whom nobody can become, as one
// box: a hundred developers with the same rights are a hundred arrows that say one thing.
func bundle(nodes []account.Node, edges []account.Edge, focus string) ([]account.Node, []account.Edge, map[string][]string) {
	reached, does := map[string]bool{}, map[string]string{}
	for _, e := range edges {
		reached[e.To] = true
		does[e.From] += fmt.Sprintln(e.To, e.Assumes, e.Paths, e.May)
	}
	first, members := map[string]string{}, map[string][]string{}
	for _, n := range nodes {
		if reached[n.ID] || n.ID == focus || n.Kind != account.AUser && n.Kind != account.ARole {
			continue
		}
		key := fmt.Sprint(n.Kind, n.Admin, "\n", does[n.ID])
		if first[key] == "" {
			first[key] = n.ID
		} else {
			members[first[key]] = append(members[first[key]], n.ID)
		}
	}
	gone := map[string]bool{}
	for of, all := range members {
		if len(all) < 3 {
			delete(members, of)
			continue
		}
		for _, id := range all {
			gone[id] = true
		}
	}
	nodes = slices.DeleteFunc(slices.Clone(nodes), func(n account.Node) bool { return gone[n.ID] })
	edges = slices.DeleteFunc(slices.Clone(edges), func(e account.Edge) bool { return gone[e.From] })
	return nodes, edges, members
}
