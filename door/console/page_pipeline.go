package console

import (
	"html/template"
	"net/url"
	"strconv"
	"strings"

	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/lang/structure"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/word/fault"
)

type transitionRow struct {
	Stage  string
	Closed bool
	Reason string
	Who    string
}

type pipelineView struct {
	pipelineRow
	Definition  pipeline.Definition
	Version     int   // that is shown
	Versions    []int // the newest first
	Base        string
	Drawing     template.HTML
	Structure   string
	Triggers    []string
	Transitions []transitionRow
	Runs        []runRow
	AllRuns     string
	WhatIf      string
	Repository  string // its page
	File        string // page of the file that it is from
	Start       bool
	Change      bool     // transitions
	Stages      []string // that can be rolled back
}

func (o *Console) askPipeline(action string) func(r *request) []iam.Request {
	return func(r *request) []iam.Request {
		return r.ask("codepipeline:"+action, o.pipelineARN(r.PathValue("pipeline")))
	}
}

func (o *Console) pipeline() page {
	stage := func(action string) func(r *request) []iam.Request {
		return func(r *request) []iam.Request {
			return r.ask("codepipeline:"+action, o.pipelineARN(r.PathValue("pipeline"))+"/"+strings.TrimSpace(r.PostFormValue("stage")))
		}
	}
	transition := func(open bool) func(r *request) (string, error) {
		return func(r *request) (string, error) {
			name := r.PathValue("pipeline")
			return pipelinePath(name, ""), o.config.Runs.SetTransition(r.Context(), name, pipeline.Transition{
				Stage: r.PostFormValue("stage"), Kind: "Inbound", Reason: strings.TrimSpace(r.PostFormValue("reason")), Who: r.principal.ARN, At: o.config.Now(),
			}, open)
		}
	}
	return page{
		name: "pipeline", path: pipelinesPath + "/{pipeline}", under: "pipelines", asks: o.askPipeline("GetPipeline"), view: o.pipelineView,
		actions: map[string]action{
			pipelinesPath + "/{pipeline}/start": {asks: o.askPipeline("StartPipelineExecution"), do: o.startPipeline},
			pipelinesPath + "/{pipeline}/close": {asks: stage("DisableStageTransition"), do: transition(false)},
			pipelinesPath + "/{pipeline}/open":  {asks: stage("EnableStageTransition"), do: transition(true)},
		},
	}
}

func (o *Console) startPipeline(r *request) (string, error) {
	s := pipeline.Start{Pipeline: r.PathValue("pipeline"), Branch: strings.TrimSpace(r.PostFormValue("branch")), Commit: strings.TrimSpace(r.PostFormValue("commit")), Who: r.principal.ARN, Variables: map[string]string{}}
	for name, values := range r.PostForm {
		if of, ok := strings.CutPrefix(name, "variable:"); ok && len(values) > 0 {
			s.Variables[of] = values[0]
		}
	}
	e, err := o.config.Runs.Begin(r.Context(), s)
	return pipeline.Path(e.ID), err
}

func (o *Console) pipelineView(r *request) (any, error) {
	name := r.PathValue("pipeline")
	newest, err := o.config.Runs.Definition(r.Context(), name)
	if err != nil {
		return nil, err
	}
	v := pipelineView{Base: pipelinePath(name, ""), WhatIf: pipelinePath(name, "what-if"), AllRuns: "/runs?repository=" + url.QueryEscape(name)}
	if v.pipelineRow, err = o.pipelineRow(r, newest); err != nil {
		return nil, err
	}
	v.Version, v.Definition = newest.Structure.Version, newest
	for n := newest.Structure.Version; n > 0 && n > newest.Structure.Version-20; n-- {
		v.Versions = append(v.Versions, n)
	}
	if text := r.FormValue("version"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return nil, fault.Invalid.Errorf("%q is no version", text)
		}
		if v.Definition, err = o.config.Runs.DefinitionAt(r.Context(), name, n); err != nil {
			return nil, err
		}
		v.Version = n
	}
	if newest.Repository != "" && o.config.Source != nil {
		v.Repository = repositoryPath(newest.Repository, "")
		if newest.Origin == pipeline.FromFile {
			v.File = repositoryPath(newest.Repository, "files", "path", pipeline.DefinitionFile)
		}
	}
	if v.Structure, err = asYAML(v.Definition.Structure.JSON()); err != nil {
		return nil, err
	}
	v.Triggers = r.triggers(v.Definition.Structure)
	return v, o.pipelineState(r, &v, newest)
}

// pipelineState is what changes: the runs, the ways between stages, the picture.
func (o *Console) pipelineState(r *request, v *pipelineView, newest pipeline.Definition) error {
	name := newest.Structure.Name
	v.Start, v.Change = r.mayOn("codepipeline:StartPipelineExecution", o.pipelineARN(name)), r.mayOn("codepipeline:DisableStageTransition", o.pipelineARN(name))
	closed, err := o.config.Runs.Transitions(r.Context(), name)
	if err != nil {
		return err
	}
	stages := stagesOf(v.Definition.Structure)
	runs, err := o.config.Runs.Executions(r.Context(), pipeline.Query{Pipeline: name, Limit: 10})
	if err != nil {
		return err
	}
	for _, e := range runs {
		v.Runs = append(v.Runs, r.runRow(e))
	}
	if len(runs) > 0 && v.Version == newest.Structure.Version && len(runs[0].Stages) == len(stages) {
		stages = r.stagesOfRun(runs[0])
		for i := range stages {
			for j := range stages[i].Actions {
				stages[i].Actions[j].Link = pipeline.Path(runs[0].ID) + stages[i].Actions[j].Link
			}
		}
	}
	for i := range stages {
		row := transitionRow{Stage: stages[i].Name}
		for _, t := range closed {
			if t.Stage == stages[i].Name && t.Kind == "Inbound" {
				row = transitionRow{t.Stage, true, t.Reason, who(t.Who)}
				stages[i].Shut, stages[i].Closed = true, t.Reason
			}
		}
		if i > 0 {
			v.Transitions = append(v.Transitions, row)
		}
	}
	v.Drawing = r.drawPipeline(r.t("The pipeline %s", name), stages)
	return nil
}

// triggers are what starts a pipeline, in words.
func (r *request) triggers(p structure.Pipeline) (all []string) {
	filter := func(what string, f *structure.Filter) string {
		if f == nil {
			return ""
		}
		text := " " + what + " " + strings.Join(f.Includes, ", ")
		if len(f.Excludes) > 0 {
			text += " ≠ " + strings.Join(f.Excludes, ", ")
		}
		return text
	}
	for _, t := range p.Triggers {
		for _, push := range t.Git.Push {
			all = append(all, r.t("a push to %s:", t.Git.Source)+filter("branches", push.Branches)+filter("tags", push.Tags)+filter("files", push.Files))
		}
		for _, pull := range t.Git.Pull {
			all = append(all, r.t("a pull request for %s:", t.Git.Source)+" "+strings.Join(pull.Events, ", ")+filter("branches", pull.Branches)+filter("files", pull.Files))
		}
	}
	if len(p.Triggers) == 0 {
		all = append(all, r.t("every push to its source"))
	}
	if p.Haechi != nil {
		for _, on := range p.Haechi.On {
			switch {
			case on.Schedule != "":
				all = append(all, r.t("a time: %s", on.Schedule))
			case on.Pipeline != "":
				all = append(all, r.t("the end of pipeline %s", on.Pipeline)+" "+strings.Join(on.States, ", "))
			case on.Artifact != "":
				all = append(all, r.t("an image in %s", on.Artifact)+filter("tags", on.Tags))
			}
		}
	}
	return all
}
