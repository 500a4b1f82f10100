package console

import (
	"cmp"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/base/chart"
	"github.com/haechi-dev/haechi/lang/structure"
	"github.com/haechi-dev/haechi/room/pipeline"
)

// drawnStage is a stage as the picture of a pipeline has it.
type drawnStage struct {
	Name    string
	Held    string
	Closed  string // why the way into it is closed, "" for open
	Shut    bool
	Entry   *drawnCondition
	Success *drawnCondition
	Actions []drawnAction
}

type drawnAction struct {
	Name   string
	Order  int
	Status string // "" for nothing yet
	Says   string
	Link   string
}

type drawnCondition struct {
	Status string
	Rules  int
}

// stagesOf are a pipeline's stages as they are written down.
func stagesOf(p structure.Pipeline) (all []drawnStage) {
	condition := func(c *structure.Conditions) *drawnCondition {
		if c == nil || len(c.Conditions) == 0 {
			return nil
		}
		return &drawnCondition{Rules: len(c.Conditions[0].Rules)}
	}
	for _, s := range p.Stages {
		d := drawnStage{Name: s.Name, Entry: condition(s.Entry), Success: condition(s.Success)}
		for _, a := range s.Actions {
			d.Actions = append(d.Actions, drawnAction{Name: a.Name, Order: a.Order(), Says: a.Type.String()})
		}
		all = append(all, d)
	}
	return all
}

// stagesOfRun are those of a run, as they stand.
func (r *request) stagesOfRun(e pipeline.Execution) (all []drawnStage) {
	condition := func(c *pipeline.Condition) *drawnCondition {
		if c == nil {
			return nil
		}
		return &drawnCondition{Status: c.Status, Rules: len(c.Rules)}
	}
	for i, s := range e.Stages {
		d := drawnStage{Name: s.Name, Held: s.Held, Entry: condition(s.Entry), Success: condition(s.Success)}
		for j, a := range s.Actions {
			says := r.t(string(a.Status))
			if took := r.took(a.Started, a.Ended); took != "" {
				says += ", " + took
			}
			if a.Summary != "" {
				says += ": " + a.Summary
			}
			d.Actions = append(d.Actions, drawnAction{Name: a.Name, Order: max(a.Order, 1), Status: string(a.Status), Says: says, Link: "#" + actionID(i, j)})
		}
		all = append(all, d)
	}
	return all
}

// stepName is what a stage or an action is called: those of the pipeline that every repository has, in the reader's words.
func stepName(lang, name string) string {
	switch name {
	case "Source", "Scan", "Build", "Gate":
		return translate(lang, name)
	}
	return name
}

func actionID(stage, action int) string { return fmt.Sprintf("a-%d-%d", stage+1, action+1) }

// drawPipeline is the picture: stages from left to right, what runs at the same time below each other.
func (r *request) drawPipeline(title string, stages []drawnStage) template.HTML {
	g := chart.Graph{Title: title, Tight: true}
	var before []chart.Node // the boxes that come just before
	column, shut := 0, ""
	add := func(head string, nodes []chart.Node) {
		for i := range nodes {
			n := &nodes[i]
			n.Column = column
			g.Nodes = append(g.Nodes, *n)
			for _, from := range before {
				e := chart.Edge{From: from.ID, To: n.ID, Class: "flow-edge", Says: from.Name + " → " + n.Name}
				if shut != "" {
					e.Class, e.Says = "flow-edge shut", e.Says+": "+shut
				}
				g.Edges = append(g.Edges, e)
			}
		}
		g.Heads = append(g.Heads, head)
		before, shut = nodes, ""
		column++
	}
	var words []string
	for i, s := range stages {
		head := stepName(r.lang, s.Name)
		words = append(words, head)
		if s.Shut {
			shut = cmp.Or(s.Closed, r.t("shut"))
		}
		if s.Entry != nil {
			add(head, []chart.Node{r.conditionNode(fmt.Sprintf("e%d", i), r.t("entry condition"), s.Entry)})
			head = ""
		}
		orders := map[int][]chart.Node{}
		for j, a := range s.Actions {
			n := chart.Node{ID: fmt.Sprintf("n%d.%d", i, j), Name: stepName(r.lang, a.Name), Class: "run-" + strings.ToLower(cmp.Or(a.Status, "none")), Link: a.Link, Says: a.Name + ": " + a.Says}
			orders[a.Order] = append(orders[a.Order], n)
		}
		var sorted []int
		for order := range orders {
			sorted = append(sorted, order)
		}
		slices.Sort(sorted)
		for _, order := range sorted {
			add(head, orders[order])
			head = ""
		}
		if s.Success != nil {
			add(head, []chart.Node{r.conditionNode(fmt.Sprintf("s%d", i), r.t("success condition"), s.Success)})
		}
	}
	g.Words = strings.Join(words, " → ")
	return template.HTML(g.SVG())
}

func (r *request) conditionNode(id, name string, c *drawnCondition) chart.Node {
	says := name + ": " + r.t("rules: %d", c.Rules)
	if c.Status != "" {
		says += ", " + r.t("condition "+strings.ToLower(c.Status))
	}
	return chart.Node{ID: id, Name: name, Class: "condition cond-" + strings.ToLower(cmp.Or(c.Status, "none")), Says: says}
}

// pathStep is a part of what a run's time went to.
type pathStep struct {
	Name, Took string
	Share      int // of 100
}

// criticalPath is what a run took its time for: of what ran at the same time, what ended last; and the waits between.
func (r *request) criticalPath(e pipeline.Execution) (steps []pathStep) {
	at := e.Started
	if at.IsZero() {
		return nil
	}
	end := e.Ended
	if end.IsZero() {
		end = r.console.config.Now()
	}
	whole := end.Sub(e.Started)
	step := func(name string, from, to time.Time) {
		if d := to.Sub(from); d >= 10*time.Millisecond && whole > 0 {
			steps = append(steps, pathStep{name, r.took(from, to), int(min(100, (100*d+whole/2)/whole))})
		}
	}
	for _, s := range e.Stages {
		last := map[int]pipeline.Action{}
		for _, a := range s.Actions {
			if was, ok := last[a.Order]; !a.Started.IsZero() && (!ok || a.Ended.IsZero() || !was.Ended.IsZero() && a.Ended.After(was.Ended)) {
				last[a.Order] = a
			}
		}
		var orders []int
		for order := range last {
			orders = append(orders, order)
		}
		slices.Sort(orders)
		for _, order := range orders {
			a := last[order]
			if a.Started.After(at) {
				step(r.t("waiting for %s", stepName(r.lang, a.Name)), at, a.Started)
				at = a.Started
			}
			until := a.Ended
			if until.IsZero() {
				until = end
			}
			if until.After(at) {
				step(stepName(r.lang, a.Name), at, until)
				at = until
			}
		}
	}
	return steps
}
