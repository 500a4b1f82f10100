package console

import (
	"html/template"
	"strings"

	"github.com/haechi-dev/haechi/base/chart"
	"github.com/haechi-dev/haechi/room/build"
)

type batchMember struct {
	Name   string
	Needs  []string
	Status build.Status
	Path   string
	Before int // builds that it was before
	Ignore bool
}

type batchView struct {
	Batch       build.Batch
	By          string
	Row         batchRow
	Drawing     template.HTML
	Members     []batchMember
	Retry, Stop bool
	Made        *build.Artifact
	Reason      *build.Reason
	Phases      []buildPhase
}

func (o *Console) batch() page {
	id := func(r *request) string { return r.PathValue("id") }
	return page{
		name: "batch", path: "/batches/{id}", under: "builds", asks: o.askBuild("BatchGetBuildBatches"), view: o.batchView,
		actions: map[string]action{
			"/batches/{id}/retry": {asks: o.askBuild("RetryBuildBatch"), do: func(r *request) (string, error) {
				made, err := o.config.Builds.RetryBatch(r.Context(), id(r), "", r.PostFormValue("all") != "")
				return batchPath(made.ID), err
			}},
			"/batches/{id}/stop": {asks: o.askBuild("StopBuildBatch"), do: func(r *request) (string, error) {
				_, err := o.config.Builds.StopBatch(r.Context(), id(r))
				return batchPath(id(r)), err
			}},
		},
	}
}

func (o *Console) batchView(r *request) (any, error) {
	b, err := o.config.Builds.Batch(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	v := batchView{
		Batch: b, By: strings.TrimPrefix(who(b.Initiator), "user/"), Row: r.batchRow(b), Retry: b.Status.Ended() && b.Status != build.Succeeded && r.mayOn("codebuild:RetryBuildBatch", o.projectARN(b.Project)), Stop: !b.Status.Ended() && r.mayOn("codebuild:StopBuildBatch", o.projectARN(b.Project)),
	}
	if b.Facts != nil {
		v.Made, v.Reason = b.Facts.Made, b.Facts.Reason
	}
	for _, p := range b.Phases {
		v.Phases = append(v.Phases, buildPhase{p, r.took(p.Started, p.Ended)})
	}
	for _, g := range b.Groups {
		m := batchMember{Name: g.Identifier, Needs: g.DependsOn, Before: len(g.Prior), Ignore: g.IgnoreFailure}
		if g.Current != nil {
			m.Status = g.Current.Status
			if _, id, ok := strings.Cut(g.Current.ARN, ":build/"); ok {
				m.Path = buildPath(id)
			}
		}
		v.Members = append(v.Members, m)
	}
	v.Drawing = r.drawBatch(v.Members)
	return v, nil
}

// drawBatch is the picture: what needs nothing at the left, and everything else right of what it needs.
func (r *request) drawBatch(members []batchMember) template.HTML {
	g := chart.Graph{Title: r.t("The builds of the batch"), Words: r.t("%d builds; the list below says the same", len(members))}
	column, byName := map[string]int{}, map[string]batchMember{}
	for _, m := range members {
		byName[m.Name] = m
	}
	for range members { // a graph without circles is done by then
		for _, m := range members {
			for _, need := range m.Needs {
				if _, there := byName[need]; there && column[m.Name] < min(column[need]+1, len(members)) {
					column[m.Name] = column[need] + 1
				}
			}
		}
	}
	for _, m := range members {
		status := strings.ToLower(strings.ReplaceAll(string(m.Status), "_", ""))
		if status == "" {
			status = "waiting"
		}
		g.Nodes = append(g.Nodes, chart.Node{ID: m.Name, Name: m.Name, Class: "run-" + status, Column: column[m.Name], Link: m.Path, Says: m.Name + ": " + r.t(string(m.Status))})
		for _, need := range m.Needs {
			g.Edges = append(g.Edges, chart.Edge{From: need, To: m.Name, Class: "flow-edge", Says: need + " → " + m.Name})
		}
	}
	return template.HTML(g.SVG())
}
