package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/word/fault"
)

// codePipeline asks the server as AWS's clients do.
func (r runner) codePipeline(ctx context.Context, operation string, in, out any) error {
	return r.client.JSON(ctx, "codepipeline", "CodePipeline_20150709."+operation, in, out)
}

// start starts a run: of a branch, or with variables, or of wherever the pipeline's source is.
func (r runner) start(ctx context.Context, rest []string, commit string, values pairs) error {
	if len(rest) == 2 {
		if len(values) > 0 {
			return usagef("-var is for pipelines that name their branch themselves: leave the branch out")
		}
		return r.change(ctx, "StartRun", runStart{rest[0], rest[1], commit})
	}
	if commit != "" {
		return usagef("-commit wants the branch that it is on")
	}
	type pair struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	in := struct {
		Name      string `json:"name"`
		Variables []pair `json:"variables,omitzero"`
	}{Name: rest[0]}
	for name, value := range values {
		in.Variables = append(in.Variables, pair{name, value})
	}
	var out struct {
		ID string `json:"pipelineExecutionId"`
	}
	if err := r.codePipeline(ctx, "StartPipelineExecution", in, &out); err != nil {
		return err
	}
	var one struct{ Run pipeline.Execution }
	if err := r.ask(ctx, "GetRun", map[string]string{"Id": out.ID}, &one); err != nil {
		return err
	}
	if r.shape == "json" {
		return writeJSON(r.c.stdout, one.Run)
	}
	fmt.Fprintf(r.c.stdout, "%s#%d %s\n", one.Run.Pipeline, one.Run.Number, one.Run.Status)
	return nil
}

// answer answers the question that a run asks.
func (r runner) answer(ctx context.Context, e pipeline.Execution, which []string, yes bool, why string) error {
	type open struct{ stage, action, token string }
	var all []open
	for _, s := range e.Stages {
		for _, a := range s.Actions {
			name := s.Name + "/" + a.Name
			if a.Approval != nil && a.Status == pipeline.InProgress && (len(which) == 0 || which[0] == name || which[0] == a.Name) {
				all = append(all, open{s.Name, a.Name, a.Approval.Token})
			}
		}
	}
	switch {
	case len(all) == 0:
		return fault.Conflict.Errorf("%s#%d asks nothing; 'haechi run show' says how it stands", e.Pipeline, e.Number)
	case len(all) > 1:
		return usagef("%s#%d asks several things: name one of them, such as %s/%s", e.Pipeline, e.Number, all[0].stage, all[0].action)
	}
	type result struct {
		Summary string `json:"summary"`
		Status  string `json:"status"`
	}
	in := struct {
		Pipeline string `json:"pipelineName"`
		Stage    string `json:"stageName"`
		Action   string `json:"actionName"`
		Token    string `json:"token"`
		Result   result `json:"result"`
	}{e.Pipeline, all[0].stage, all[0].action, all[0].token, result{why, "Rejected"}}
	if yes {
		in.Result.Status = "Approved"
	}
	if err := r.codePipeline(ctx, "PutApprovalResult", in, &struct{}{}); err != nil {
		return err
	}
	var one struct{ Run pipeline.Execution }
	if err := r.ask(ctx, "GetRun", map[string]string{"Id": e.ID}, &one); err != nil {
		return err
	}
	if r.shape == "json" {
		return writeJSON(r.c.stdout, one.Run)
	}
	if s := one.Run.Stage(in.Stage); s != nil && s.Action(in.Action) != nil {
		fmt.Fprintf(r.c.stdout, "%s#%d %s/%s %s: %s\n", e.Pipeline, e.Number, in.Stage, in.Action, s.Action(in.Action).Status, cell(s.Action(in.Action).Summary))
	}
	return nil
}

// gate asks a policy what it would have said of the newest runs.
func (r runner) gate(ctx context.Context, name, file string, last int) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fault.Invalid.Errorf("reading the policy: %w", err)
	}
	in := struct {
		Pipeline, Name, Policy string
		Last                   int
	}{name, filepath.Base(file), string(text), last}
	var out struct{ Runs []pipeline.Judged }
	if err := r.ask(ctx, "JudgeRuns", in, &out); err != nil {
		return err
	}
	if r.shape == "json" {
		if err := writeJSON(r.c.stdout, out.Runs); err != nil {
			return err
		}
		return wouldStop(out.Runs)
	}
	if len(out.Runs) == 0 {
		fmt.Fprintln(r.c.stderr, "haechi run: none")
		return nil
	}
	t := tabwriter.NewWriter(r.c.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "WAS\tWOULD\tRUN\tBRANCH\tCOMMIT\tAGAINST IT")
	for _, j := range out.Runs {
		was, would, against := "-", "-", "nothing is kept that it could be judged by"
		if j.Was != "" {
			was = string(j.Was)
		}
		if j.Known {
			would, against = "pass", ""
			if !j.Would {
				would = "STOP"
			}
			for _, reason := range j.Reasons[:min(len(j.Reasons), 1)] {
				against = reason.Text
				if j.All > 1 {
					against += fmt.Sprintf(" (and %d more)", j.All-1)
				}
			}
			if j.Would && j.Cut > 0 {
				against = fmt.Sprintf("%d of its findings are not kept", j.Cut)
			}
		}
		fmt.Fprintf(t, "%s\t%s\t%s#%d\t%s\t%.12s\t%s\n", was, would, cell(name), j.Number, cut(cell(branchName(j.Branch)), mostBranch), cell(j.Commit), cell(against))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	stops, passes, unknown := 0, 0, 0
	for _, j := range out.Runs {
		switch {
		case !j.Known:
			unknown++
		case j.Would:
			passes++
		default:
			stops++
		}
	}
	fmt.Fprintf(r.c.stdout, "\n%d would pass, %d would be stopped, of %d nobody can say\n", passes, stops, unknown)
	return wouldStop(out.Runs)
}

// wouldStop is the exit where a run that passed would have been stopped.
func wouldStop(all []pipeline.Judged) error {
	for _, j := range all {
		if j.Known && !j.Would && j.Was == pipeline.Succeeded {
			return exit(exitWrong)
		}
	}
	return nil
}
