package console

import (
	"errors"
	"strings"

	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/tool/gate"
	"github.com/haechi-dev/haechi/word/fault"
)

type judgedRow struct {
	pipeline.Judged
	Path    string
	Changes bool // it would have been otherwise
	Why     []reason
}

type whatIfView struct {
	Pipeline, Back string
	Policy         string
	Own            bool // the policy is the repository's
	Asked          bool
	Problem        string
	Rows           []judgedRow
	Pass, Stop     int
	Unknown        int
	Differ         int
}

const whatIfRuns = 50

// aPolicy is what there is to begin with.
const aPolicy = `block:
  - name: severe and new
    pattern: { Severity: { Label: [CRITICAL, HIGH] } }
`

func (o *Console) whatIf() page {
	path := pipelinesPath + "/{pipeline}/what-if"
	return page{
		name: "whatif", path: path, under: "pipelines", asks: o.askPipeline("GetPipeline"), view: o.whatIfView,
		actions: map[string]action{path: {asks: o.askPipeline("ListPipelineExecutions"), show: o.whatIfJudged}},
	}
}

func (o *Console) whatIfView(r *request) (any, error) {
	name := r.PathValue("pipeline")
	d, err := o.config.Runs.Definition(r.Context(), name)
	if err != nil {
		return nil, err
	}
	v := whatIfView{Pipeline: name, Back: pipelinePath(name, ""), Policy: aPolicy}
	branch, repo, err := o.mainBranch(r.Context(), d.Repository)
	if err != nil || repo == nil {
		return v, err
	}
	text, err := policyOf(r, repo, branch)
	if err == nil && text != "" {
		v.Policy, v.Own = text, true
	}
	return v, err
}

// policyOf is the gate policy of a repository's default branch, "" where it has none.
func policyOf(r *request, repo *git.Repo, branch string) (string, error) {
	commit, err := repo.Resolve(r.Context(), "refs/heads/"+branch)
	if errors.Is(err, fault.NotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	text, _, err := repo.File(r.Context(), commit, pipeline.PolicyFile, 64<<10)
	if errors.Is(err, fault.NotFound) || errors.Is(err, fault.Limit) {
		return "", nil
	}
	return plainText(text), err
}

// whatIfJudged answers what a policy would have said.
func (o *Console) whatIfJudged(r *request) (any, error) {
	view, err := o.whatIfView(r)
	if err != nil {
		return nil, err
	}
	v := view.(whatIfView)
	v.Policy, v.Own = strings.ReplaceAll(r.PostFormValue("policy"), "\r\n", "\n"), false
	policy, err := gate.Parse("gate.yaml", []byte(v.Policy))
	if err != nil {
		v.Problem = err.Error()
		return v, nil
	}
	v.Asked = true
	all, err := o.config.Runs.WhatIf(r.Context(), v.Pipeline, policy, whatIfRuns)
	if err != nil {
		return nil, err
	}
	for _, j := range all {
		row := judgedRow{Judged: j, Path: pipeline.Path(j.Run)}
		switch {
		case !j.Known:
			v.Unknown++
		case j.Would:
			v.Pass++
		default:
			v.Stop++
		}
		if row.Changes = j.Known && (j.Was == pipeline.Succeeded || j.Was == pipeline.Failed) && j.Would != (j.Was == pipeline.Succeeded); row.Changes {
			v.Differ++
		}
		for _, why := range j.Reasons[:min(len(j.Reasons), 5)] {
			one := reason{Reason: why}
			if why.Finding != "" {
				one.Path = o.ownPath(why.Finding)
			}
			row.Why = append(row.Why, one)
		}
		v.Rows = append(v.Rows, row)
	}
	return v, nil
}
