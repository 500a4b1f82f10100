package console

import (
	"cmp"
	"context"
	"html/template"
	"slices"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/lang/structure"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// reason is why a run failed, with the way to the finding that it is about.
type reason struct {
	pipeline.Reason
	Path string
}

// runAction is what was done in a stage, as the page shows it.
type runAction struct {
	pipeline.Action
	ID, Took  string
	Type      string
	Build     string // path of the build that did it
	Log       string // path of its log within the run's
	Variables []pair
	Phases    []runPhase
}

type runPhase struct {
	pipeline.Timing
	Took string
}

// runCondition is a condition of a stage, with what is known of its rules.
type runCondition struct {
	*pipeline.Condition
	Title    string
	When     string // by which it is overridden, "" if it is not to be
	Override bool
}

type runStage struct {
	Name       string
	Status     pipeline.Status
	Held       string
	Took       string
	Actions    []runAction
	Conditions []runCondition
	Retry      bool
	Rollback   bool
	Past       int
}

type runView struct {
	Run         pipeline.Execution
	Row         runRow
	Pipeline    string // its page
	Drawing     template.HTML
	Stages      []runStage
	Questions   []approvalRow
	Path        []pathStep
	Reasons     []reason
	Found       []tile
	Fresh       []tile
	Log         logView
	Artifacts   []artifactRow
	Variables   []pair
	Commit      string // page of the commit
	Target      string // page of the run that a rollback goes back to
	Retry, Stop bool
	Findings    string // path to what the branch has
	Enter       *entry // how one goes into its build that failed
}

type artifactRow struct {
	pipeline.Artifact
	Path, Build string
}

func (o *Console) run() page {
	ask := func(action string) func(r *request) []iam.Request {
		return func(r *request) []iam.Request {
			e, err := o.config.Runs.Execution(r.Context(), r.PathValue("id"))
			if err != nil { // told once whoever asks may look
				return r.ask("codepipeline:"+action, "")
			}
			arn := o.pipelineARN(e.Pipeline)
			for _, part := range []string{"stage", "action"} {
				if name := strings.TrimSpace(r.PostFormValue(part)); name != "" {
					arn += "/" + name
				}
			}
			return r.ask("codepipeline:"+action, arn)
		}
	}
	form := func(r *request, name string) string { return strings.TrimSpace(r.PostFormValue(name)) }
	return page{
		name: "run", path: "/runs/{id}", under: "pipelines", asks: ask("GetPipelineExecution"), view: o.runView,
		actions: map[string]action{
			"/runs/{id}/retry": {asks: ask("RetryStageExecution"), do: func(r *request) (string, error) {
				mode := structure.FailedActions
				if form(r, "all") != "" {
					mode = structure.AllActions
				}
				e, err := o.config.Runs.RetryStage(r.Context(), r.PathValue("id"), form(r, "stage"), mode)
				return pipeline.Path(e.ID), err
			}},
			"/runs/{id}/stop": {asks: ask("StopPipelineExecution"), do: func(r *request) (string, error) {
				return pipeline.Path(r.PathValue("id")), o.config.Runs.StopFor(r.Context(), r.PathValue("id"), form(r, "wait") == "", form(r, "reason"), r.principal.ARN)
			}},
			"/runs/{id}/approve": {asks: ask("PutApprovalResult"), do: o.answerQuestion},
			"/runs/{id}/override": {asks: ask("OverrideStageCondition"), do: func(r *request) (string, error) {
				return pipeline.Path(r.PathValue("id")), o.config.Runs.Override(r.Context(), r.PathValue("id"), form(r, "stage"), form(r, "when"), r.principal.ARN)
			}},
			"/runs/{id}/rollback": {asks: ask("RollbackStage"), do: func(r *request) (string, error) {
				e, err := o.config.Runs.Execution(r.Context(), r.PathValue("id"))
				if err != nil {
					return "", err
				}
				e, err = o.config.Runs.RollbackStage(r.Context(), e.Pipeline, form(r, "stage"), e.ID, r.principal.ARN)
				return pipeline.Path(e.ID), err
			}},
		},
		streams: logStreams("/runs/{id}/log", o.runLog),
	}
}

// answerQuestion takes what somebody decides about a run.
func (o *Console) answerQuestion(r *request) (string, error) {
	answer := r.PostFormValue("answer")
	if answer != "yes" && answer != "no" {
		return "", fault.Invalid.Errorf("the answer is yes or no")
	}
	id := r.PathValue("id")
	_, err := o.config.Runs.Approve(r.Context(), pipeline.Answer{
		Execution: id, Stage: strings.TrimSpace(r.PostFormValue("stage")), Action: strings.TrimSpace(r.PostFormValue("action")), Token: r.PostFormValue("token"),
		Yes: answer == "yes", Summary: strings.TrimSpace(r.PostFormValue("summary")), Who: r.principal.ARN, As: r.namesOf(),
	})
	return pipeline.Path(id), err
}

func (o *Console) runView(r *request) (any, error) {
	e, err := o.config.Runs.Execution(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	v := runView{
		Run: e, Row: r.runRow(e), Pipeline: pipelinePath(e.Pipeline, ""), Found: counted(e.Findings), Fresh: counted(e.Fresh), Questions: r.questions(e), Path: r.criticalPath(e),
		Drawing:  r.drawPipeline(r.t("Run %d of %s", e.Number, e.Pipeline), r.stagesOfRun(e)),
		Retry:    (e.Status == pipeline.Failed || e.Status == pipeline.Stopped) && r.mayOn("codepipeline:RetryStageExecution", o.pipelineARN(e.Pipeline)),
		Stop:     !e.Status.Ended() && e.Status != pipeline.Stopping && r.mayOn("codepipeline:StopPipelineExecution", o.pipelineARN(e.Pipeline)),
		Findings: filterPath(openFilter + ` target:"` + e.Repository + `" branch:"` + e.Branch + `"`),
	}
	if o.config.Source != nil && e.Commit != "" {
		v.Commit = repositoryPath(e.Repository, "commits/"+e.Commit)
	}
	if e.Target != "" {
		v.Target = pipeline.Path(e.Target)
	}
	for _, why := range e.Reasons {
		one := reason{Reason: why}
		if why.Finding != "" {
			one.Path = o.ownPath(why.Finding)
		}
		v.Reasons = append(v.Reasons, one)
	}
	for _, a := range e.Artifacts {
		row := artifactRow{Artifact: a}
		if a.Made != "" && o.config.Builds != nil {
			row.Build = buildPath(a.Made)
		}
		v.Artifacts = append(v.Artifacts, row)
	}
	for _, name := range sortedKeys(e.Variables) {
		v.Variables = append(v.Variables, pair{name, e.Variables[name]})
	}
	log, err := o.runLog(r)
	if err != nil {
		return nil, err
	}
	if v.Log, err = r.logView(log, "", v.Row.Path+"/log", v.Row.Path, "", !e.Status.Ended() || e.Status == pipeline.Failed); err != nil {
		return nil, err
	}
	v.Stages = o.runStages(r, e, v.Log.Heads)
	v.Enter, err = o.entryOfRun(r, e, v.Stages)
	return v, err
}

// runStages are the stages of a run with all that is known of them.
func (o *Console) runStages(r *request, e pipeline.Execution, heads []logPart) (all []runStage) {
	override, rollback := r.mayOn("codepipeline:OverrideStageCondition", o.pipelineARN(e.Pipeline)), r.mayOn("codepipeline:RollbackStage", o.pipelineARN(e.Pipeline))
	retry := (e.Status == pipeline.Failed || e.Status == pipeline.Stopped) && r.mayOn("codepipeline:RetryStageExecution", o.pipelineARN(e.Pipeline))
	for i, s := range e.Stages {
		one := runStage{Name: s.Name, Status: s.Status, Held: s.Held, Took: r.took(s.Entered, s.Ended), Past: len(s.Past)}
		if failed := s.Status != pipeline.Succeeded && s.Status != pipeline.Skipped; failed && retry {
			one.Retry, retry = true, false // the first one
		}
		one.Rollback = rollback && i > 0 && s.Status == pipeline.Succeeded && e.Status.Ended() && e.Kind != pipeline.Rollback && e.Origin != pipeline.FromNothing
		for j, a := range s.Actions {
			one.Actions = append(one.Actions, o.runAction(r, s, a, actionID(i, j), heads))
		}
		for _, c := range []runCondition{{s.Entry, "entry condition", pipeline.BeforeEntry, false}, {s.Success, "success condition", pipeline.OnSuccess, false}, {s.Failure, "failure condition", "", false}} {
			if c.Condition == nil {
				continue
			}
			c.Override = override && c.When != "" && (c.Status == pipeline.Asking || c.Status == pipeline.Broken || c.Status == pipeline.Errored)
			one.Conditions = append(one.Conditions, c)
		}
		all = append(all, one)
	}
	return all
}

func (o *Console) runAction(r *request, s pipeline.Stage, a pipeline.Action, id string, heads []logPart) runAction {
	one := runAction{Action: a, ID: id, Took: r.took(a.Started, a.Ended), Type: a.Type.String()}
	if a.External != "" && o.config.Builds != nil && strings.Contains(one.Type, "CodeBuild") || strings.Contains(one.Type, "Commands") && a.External != "" && o.config.Builds != nil {
		one.Build = buildPath(a.External)
	}
	for _, name := range sortedKeys(a.Variables) {
		one.Variables = append(one.Variables, pair{name, a.Variables[name]})
	}
	for _, p := range a.Phases {
		one.Phases = append(one.Phases, runPhase{p, r.took(p.Started, p.Ended)})
	}
	for _, h := range slices.Backward(heads) { // the newest attempt's
		if h.Level == 1 && (h.Title == a.Name || h.Title == s.Name+"/"+a.Name) {
			one.Log = h.Path
			break
		}
	}
	return one
}

// ownPath is the page of one of Haechi's own findings, by its Id.
func (o *Console) ownPath(id string) string {
	f := finding.Maker{Account: o.config.Account, Region: o.config.Region}.Own(finding.Scan{}, finding.Finding{ID: id}, time.Time{})
	return "/findings/" + encodeRef(hub.RefOf(f))
}

// runLog is where a run's log is read.
func (o *Console) runLog(r *request) (logSource, error) {
	id := r.PathValue("id")
	e, err := o.config.Runs.Execution(r.Context(), id)
	if err != nil {
		return logSource{}, err
	}
	return logSource{
		key: "run-" + cmp.Or(e.Pipeline, "x") + "-" + number(e.Number) + "-" + id,
		read: func(ctx context.Context, from int64) ([]byte, int64, bool, error) {
			return o.config.Runs.Log(ctx, id, from)
		},
		follow: func(ctx context.Context, from int64, take func([]byte, int64) error) error {
			return o.config.Runs.Follow(ctx, id, from, take)
		},
		took: func(h logHead) string { return r.tookOf(e, h) },
	}, nil
}

// tookOf is how long an action took, or a phase of the only one that has such.
func (r *request) tookOf(e pipeline.Execution, h logHead) (took string) {
	for _, s := range e.Stages {
		for _, a := range s.Actions {
			if h.Level == 1 && (h.Title == a.Name || h.Title == s.Name+"/"+a.Name) && len(s.Past) == 0 {
				return r.took(a.Started, a.Ended)
			}
			for _, p := range a.Phases {
				if h.Level != 2 || !strings.EqualFold(p.Name, h.Title) {
					continue
				}
				if took != "" {
					return "" // whose is not known
				}
				took = r.took(p.Started, p.Ended)
			}
		}
	}
	return took
}
