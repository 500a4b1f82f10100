package route

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/word/event"
)

// pipelineRun is what an event of CodePipeline says of a run: its members, and
// those that our own pipelines add.
type pipelineRun struct {
	Pipeline  string  `json:"pipeline"`
	Execution string  `json:"execution-id"`
	Attempt   float64 `json:"pipeline-execution-attempt"`
	State     string  `json:"state"`
	Stage     string  `json:"stage"`
	Action    string  `json:"action"`
	Result    struct {
		Summary string `json:"external-execution-summary"`
	} `json:"execution-result"`
	More struct {
		Stage  string `json:"failedStage"`
		Failed []struct {
			Action string `json:"action"`
			Text   string `json:"additionalInformation"`
		} `json:"failedActions"`
	} `json:"additionalAttributes"`

	Number      int64  `json:"number"`
	Branch      string `json:"branch"`
	Commit      string `json:"commit"`
	Subject     string `json:"subject"`
	Author      string `json:"author"`
	Path        string `json:"path"`
	FailedStage string `json:"failed-stage"`
	Reasons     []struct {
		Text     string `json:"text"`
		Where    string `json:"where"`
		Severity string `json:"severity"`
	} `json:"reasons"`
	ReasonCount int `json:"reason-count"`
}

func runOf(e event.Event) (run pipelineRun, ok bool) {
	if e.Source != "aws.codepipeline" || json.Unmarshal(e.Detail, &run) != nil {
		return run, false
	}
	return run, run.Pipeline != "" && run.Execution != ""
}

// failedRun is the pipeline run that an event says has failed. All events of
// one failed run (its action's, its stage's, its own) are told of once; when it
// is tried again and fails again, that is told too.
func failedRun(e event.Event) (subject string, ok bool) {
	run, ok := runOf(e)
	if !ok || run.State != "FAILED" {
		return "", false
	}
	return fmt.Sprintf("run%s%s/%s/%s/%d", between, e.Account, run.Pipeline, run.Execution, max(int(run.Attempt), 1)), true
}

// runNote says what happened to a run.
func runNote(e event.Event, page func(path string) string) (note, bool) {
	run, ok := runOf(e)
	if !ok {
		return note{}, false
	}
	n := note{title: "Pipeline " + run.Pipeline, bad: run.State == "FAILED"}
	if run.Number > 0 {
		n.title += fmt.Sprintf(" #%d", run.Number)
	}
	n.title += ": run " + strings.ToLower(run.State)
	if stage := cmp.Or(run.FailedStage, run.More.Stage, run.Stage); stage != "" {
		n.title += " at " + stage
	}
	if run.Path != "" {
		n.link = page(run.Path)
	}
	n.text = strings.Join(append(run.head(), run.reasons()...), "\n")
	return n, true
}

// head says what was run.
func (run *pipelineRun) head() (lines []string) {
	what := strings.Join(strings.Fields(run.Branch+" "+run.Commit[:min(len(run.Commit), 7)]+" "+run.Subject), " ")
	if run.Author != "" {
		what += " (" + run.Author + ")"
	}
	if what == "" {
		what = "run " + run.Execution
	}
	return []string{what}
}

// reasons say why it failed, the worst first.
func (run *pipelineRun) reasons() (lines []string) {
	const most = 5
	for _, r := range run.Reasons[:min(len(run.Reasons), most)] {
		line := strings.TrimSpace(r.Severity + " " + r.Text)
		if r.Where != "" {
			line += " · " + r.Where
		}
		lines = append(lines, "• "+line)
	}
	if more := max(run.ReasonCount, len(run.Reasons)) - most; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	for _, f := range run.More.Failed {
		lines = append(lines, "• "+f.Action+": "+f.Text)
	}
	if run.Action != "" {
		lines = append(lines, run.Action)
	}
	if run.Result.Summary != "" {
		lines = append(lines, run.Result.Summary)
	}
	return lines
}
