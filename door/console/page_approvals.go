package console

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/word/fault"
)

// approvalRow is a question of a run to people.
type approvalRow struct {
	pipeline.Approval
	Run           runRow
	Stage, Action string
	Given         int
	Votes         []vote
	No            string // why whoever looks has no vote
	May           bool   // and may answer
	Form          string // where the answer goes
	Since         time.Time
}

type approvalsView struct {
	Waiting []approvalRow // for whoever looks
	Others  []approvalRow
	Pulls   []pullRow // that wait for a review of somebody who had no hand in them
}

func (o *Console) approvals() page {
	return page{
		name: "approvals", path: "/approvals", nav: "Approvals", view: o.approvalsView,
		asks: func(r *request) []iam.Request { return r.ask("codepipeline:GetPipelineState", "") },
	}
}

func (o *Console) approvalsView(r *request) (any, error) {
	v := approvalsView{}
	runs, err := o.config.Runs.Executions(r.Context(), pipeline.Query{Status: pipeline.InProgress, Limit: 500})
	if err != nil {
		return nil, err
	}
	for _, e := range runs {
		for _, row := range r.questions(e) {
			if row.May && row.No == "" {
				v.Waiting = append(v.Waiting, row)
			} else {
				v.Others = append(v.Others, row)
			}
		}
	}
	if o.config.Source == nil || !r.may("codecommit:UpdatePullRequestApprovalState") {
		return v, nil
	}
	open, err := o.config.Source.Pulls(r.Context(), source.Pulls{State: source.Open, Limit: 100})
	if err != nil {
		return nil, err
	}
	for _, p := range open {
		mine := p.Author.ARN == r.principal.ARN || slices.ContainsFunc(p.Revision.Makers, func(m source.Maker) bool { return m.ARN == r.principal.ARN })
		if mine {
			continue
		}
		approvals, err := o.config.Source.Approvals(r.Context(), p.Number, p.Revision.ID)
		if err != nil && !errors.Is(err, fault.NotFound) {
			return nil, err
		}
		if !slices.ContainsFunc(approvals, func(a source.Approval) bool { return a.Who.ARN == r.principal.ARN && a.Approved }) {
			v.Pulls = append(v.Pulls, pullRowOf(p))
		}
	}
	return v, nil
}

// questions are the approvals that a run waits for.
func (r *request) questions(e pipeline.Execution) (all []approvalRow) {
	for _, s := range e.Stages {
		for _, a := range s.Actions {
			if a.Approval == nil || a.Status != pipeline.InProgress {
				continue
			}
			row := approvalRow{Approval: *a.Approval, Run: r.runRow(e), Stage: s.Name, Action: a.Name, Since: a.Started, Form: pipeline.Path(e.ID) + "/approve"}
			for _, given := range a.Approval.Votes {
				if given.Yes {
					row.Given++
				}
				row.Votes = append(row.Votes, vote{Who: who(given.Who), Counts: given.Yes, Why: given.Summary, At: given.At})
				if given.Who == r.principal.ARN {
					row.No = r.t("You have answered.")
				}
			}
			if a.Approval.Separate && row.No == "" {
				row.No = r.hand(e)
			}
			row.May = r.mayOn("codepipeline:PutApprovalResult", r.console.pipelineARN(e.Pipeline)+"/"+s.Name+"/"+a.Name)
			all = append(all, row)
		}
	}
	return all
}

// hand says what hand whoever looks had in a run, "" for none: those have no vote.
func (r *request) hand(e pipeline.Execution) string {
	if e.Who == r.principal.ARN || slices.Contains(e.Authors, r.principal.ARN) {
		return r.t("You pushed or started it: somebody else approves it.")
	}
	for _, as := range r.namesOf() {
		if slices.ContainsFunc(e.Authors, func(author string) bool { return strings.EqualFold(author, as) }) {
			return r.t("You wrote some of it: somebody else approves it.")
		}
	}
	return ""
}

// namesOf are the names and addresses that whoever looks writes commits under.
func (r *request) namesOf() []string {
	p := r.person()
	all := append([]string{p.Name, nameOf(r.principal)}, p.Emails...)
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}
