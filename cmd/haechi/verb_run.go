package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/haechi-dev/haechi/base/remote"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/word/fault"
)

func runVerb() verb {
	return verb{name: "run", args: "[list] | show RUN | log RUN | start PIPELINE [BRANCH] | stop RUN | retry RUN | approve RUN | reject RUN | gate PIPELINE | shell RUN|BUILD [COMMAND]", summary: "what became of pushes, with their logs", help: `
  haechi run                          the newest runs
  haechi run -repository shop -status failed
  haechi run show shop#12             its stages, and why it failed
  haechi run log -f shop#12           its log, as it grows
  haechi run start shop main          a run without a push
  haechi run start release -var TO=production
  haechi run retry shop#12            again what did not succeed
  haechi run stop shop#12
  haechi run approve shop#12 -m 'looks good'
  haechi run reject shop#12 Release/Ask -m 'not today'
  haechi run gate shop -policy gate.yaml -last 50
  haechi run shell shop#12            look into the folder of its build that failed

RUN is PIPELINE#NUMBER as the list has it, PIPELINE for its newest one, or an id.
A repository's pipeline is called as the repository. 'show' and 'log -f' exit 1
where the run failed. 'approve' and 'reject' answer the one question that a run
asks; where there are several, name its STAGE/ACTION. 'gate' asks a policy what
it would have said of the newest runs, without running anything, and exits 1
where it would have stopped one that passed. 'shell' runs commands in the folder of a
build that failed, without its secrets, as long as the server keeps it.
` + clientHelp, run: runs}
}

var runWords = []string{"list", "show", "log", "start", "retry", "stop", "approve", "reject", "gate", "shell"}

// runTakes is what each word takes: arguments, at least and at most, and flags.
func runTakes() map[string]struct {
	least, most int
	flags       []string
} {
	type takes = struct {
		least, most int
		flags       []string
	}
	return map[string]takes{
		"list": {0, 0, []string{"repository", "branch", "status", "n", "format"}}, "show": {1, 1, []string{"format"}}, "log": {1, 1, []string{"f"}},
		"start": {1, 2, []string{"var", "commit", "format"}}, "retry": {1, 1, []string{"format"}}, "stop": {1, 1, []string{"format"}},
		"approve": {1, 2, []string{"m", "format"}}, "reject": {1, 2, []string{"m", "format"}}, "gate": {1, 1, []string{"policy", "last", "format"}},
		"shell": {1, 2, nil},
	}
}

func runs(ctx context.Context, c call, flags *flag.FlagSet) error {
	find := clientFlags(c, flags)
	repository := flags.String("repository", "", "runs of this one alone")
	branch := flags.String("branch", "", "runs of this branch alone, or of pull/7 or tag/v1; with -repository")
	status := flags.String("status", "", "inprogress, succeeded, failed, stopped or superseded")
	most := flags.Int("n", 20, "how many, 1 to 1000")
	follow := flags.Bool("f", false, "wait for more of the log until the run has ended")
	values := pairs{}
	flags.Var(&values, "var", "NAME=VALUE of one of the pipeline's variables; again for more")
	commit := flags.String("commit", "", "run this commit of the branch, not where it is")
	message := flags.String("m", "", "why")
	policy := flags.String("policy", "", "a file with a gate policy")
	last := flags.Int("last", 50, "of how many runs, 1 to 200")
	format := formatFlag(flags, "table", "json")
	rest, err := parse(c, flags, 0, 3)
	if err != nil {
		return err
	}
	shape, err := format()
	if err != nil {
		return err
	}
	do := "list"
	if len(rest) > 0 {
		do, rest = rest[0], rest[1:]
	}
	w, ok := runTakes()[do]
	if !ok {
		return unknown(do, runWords...)
	}
	if err := only(flags, do, w.flags...); err != nil {
		return err
	}
	if len(rest) < w.least || len(rest) > w.most {
		wants := fmt.Sprint(w.least)
		if w.most > w.least {
			wants += fmt.Sprintf(" or %d", w.most)
		}
		return usagef("%s takes %s, not %d: see its examples", do, wants, len(rest))
	}
	in := runList{Pipeline: *repository, Branch: branchMeant(*branch), Limit: *most}
	if *branch != "" && *repository == "" {
		return usagef("-branch wants -repository")
	}
	if *most < 1 || *most > 1000 {
		return usagef("-n is 1 to 1000, not %d", *most)
	}
	if *last < 1 || *last > 200 {
		return usagef("-last is 1 to 200, not %d", *last)
	}
	if in.Status, err = runStatus(*status); err != nil {
		return err
	}
	if do == "gate" && *policy == "" {
		return usagef("gate wants -policy, a file such as .haechi/gate.yaml")
	}
	client, err := find()
	if err != nil {
		return err
	}
	r := runner{c, client, shape}
	switch do {
	case "list":
		return r.list(ctx, in)
	case "start":
		return r.start(ctx, rest, *commit, values)
	case "gate":
		return r.gate(ctx, rest[0], *policy, *last)
	case "shell":
		return r.shell(ctx, rest[0], strings.Join(rest[1:], " "))
	}
	e, err := r.named(ctx, rest[0])
	if err != nil {
		return err
	}
	switch do {
	case "show":
		return r.show(e)
	case "log":
		return r.log(ctx, e, *follow)
	case "retry":
		return r.change(ctx, "RetryRun", runChange{e.ID, e.Pipeline})
	case "approve", "reject":
		return r.answer(ctx, e, rest[1:], do == "approve", *message)
	}
	return r.change(ctx, "StopRun", runChange{e.ID, e.Pipeline})
}

// pairs are flags of the form NAME=VALUE.
type pairs map[string]string

func (p pairs) String() string { return "" }

func (p pairs) Set(text string) error {
	name, value, ok := strings.Cut(text, "=")
	if !ok || name == "" {
		return fmt.Errorf("%q is not NAME=VALUE", text)
	}
	p[name] = value
	return nil
}

// runStatus is how the room calls what people call it.
func runStatus(word string) (pipeline.Status, error) {
	if word == "" {
		return "", nil
	}
	var names []string
	for _, s := range []pipeline.Status{pipeline.InProgress, pipeline.Succeeded, pipeline.Failed, pipeline.Stopping, pipeline.Stopped, pipeline.Superseded} {
		if strings.EqualFold(string(s), word) {
			return s, nil
		}
		names = append(names, strings.ToLower(string(s)))
	}
	return "", usagef("-status is %s, not %q%s", strings.Join(names, ", "), word, meant(word, names))
}

// What the server is asked.
type (
	runList struct {
		Pipeline string          `json:"Pipeline,omitzero"`
		Branch   string          `json:"Branch,omitzero"`
		Status   pipeline.Status `json:"Status,omitzero"`
		Before   string          `json:"Before,omitzero"`
		Limit    int
	}
	runChange struct {
		ID       string `json:"Id"`
		Pipeline string
	}
	runStart struct {
		Repository, Branch string
		Commit             string `json:"Commit,omitzero"`
	}
	runLog struct {
		ID   string `json:"Id"`
		From int64
	}
)

type runner struct {
	c      call
	client *remote.Client
	shape  string
}

func (r runner) ask(ctx context.Context, operation string, in, out any) error {
	return r.client.JSON(ctx, "haechi", "Haechi."+operation, in, out)
}

func (r runner) list(ctx context.Context, in runList) error {
	var out struct{ Runs []pipeline.Execution }
	if err := r.ask(ctx, "ListRuns", in, &out); err != nil {
		return err
	}
	if r.shape == "json" {
		return writeJSON(r.c.stdout, out.Runs)
	}
	if len(out.Runs) == 0 {
		fmt.Fprintln(r.c.stderr, "haechi run: none")
		return nil
	}
	var table strings.Builder
	t := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "STATUS\tRUN\tBRANCH\tCOMMIT\tBEGAN\tSUBJECT")
	for _, e := range out.Runs {
		fmt.Fprintf(t, "%s\t%s#%d\t%s\t%.12s\t%s\t%s\n", e.Status, cell(e.Pipeline), e.Number, cut(cell(branchName(e.Branch)), mostBranch), cell(e.Commit), e.Created.UTC().Format(time.RFC3339), cell(e.Subject))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return writeCut(r.c.stdout, table.String(), terminal(r.c.stdout))
}

// mostBranch is how wide the column of branches is at most, so that a terminal of 80 columns has room for subjects.
const mostBranch = 20

// branchName is what people call the branch of a run: pull/7 for refs/pull/7/head, tag/v1 for refs/tags/v1.
func branchName(ref string) string {
	if tag, ok := strings.CutPrefix(ref, "refs/tags/"); ok {
		return "tag/" + tag
	}
	if pull, ok := strings.CutPrefix(ref, "refs/pull/"); ok {
		return "pull/" + strings.TrimSuffix(pull, "/head")
	}
	return shortRef(ref)
}

// branchMeant is the branch, as the server has it, that people call so. A branch of such a name is refs/heads/pull/7.
func branchMeant(name string) string {
	if pull, ok := strings.CutPrefix(name, "pull/"); ok {
		if n, err := strconv.ParseInt(strings.TrimSuffix(pull, "/head"), 10, 64); err == nil {
			return source.HeadRef(n)
		}
	}
	if tag, ok := strings.CutPrefix(name, "tag/"); ok {
		return "refs/tags/" + tag
	}
	return strings.TrimPrefix(name, "refs/heads/")
}

// cut is text of at most so many characters.
func cut(text string, most int) string {
	if r := []rune(text); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return text
}

// writeCut writes lines that are no wider than a terminal; 0 is none.
func writeCut(w io.Writer, text string, width int) error {
	for line := range strings.Lines(text) {
		if width > 0 {
			line = cut(strings.TrimSuffix(line, "\n"), width) + "\n"
		}
		if _, err := io.WriteString(w, line); err != nil {
			return err
		}
	}
	return nil
}

// named is the run that people call REPOSITORY#NUMBER, REPOSITORY or by its id.
func (r runner) named(ctx context.Context, name string) (e pipeline.Execution, err error) {
	var one struct{ Run pipeline.Execution }
	repository, number, numbered := strings.Cut(name, "#")
	if !numbered {
		err := r.ask(ctx, "GetRun", map[string]string{"Id": name}, &one)
		if fault.Of(err) != fault.NotFound {
			return one.Run, err
		}
	}
	in := runList{Pipeline: repository, Limit: 1}
	if numbered {
		in.Limit = 1000
	}
	for {
		var out struct{ Runs []pipeline.Execution }
		if err := r.ask(ctx, "ListRuns", in, &out); err != nil {
			return e, err
		}
		for _, e := range out.Runs {
			if !numbered || fmt.Sprint(e.Number) == number {
				return e, nil
			}
			in.Before = e.ID
		}
		if len(out.Runs) < in.Limit {
			return e, fault.NotFound.Errorf("there is no run %s; 'haechi run' lists them", name)
		}
	}
}

func (r runner) change(ctx context.Context, operation string, in any) error {
	var out struct{ Run pipeline.Execution }
	if err := r.ask(ctx, operation, in, &out); err != nil {
		return err
	}
	if r.shape == "json" {
		return writeJSON(r.c.stdout, out.Run)
	}
	fmt.Fprintf(r.c.stdout, "%s#%d %s\n", out.Run.Pipeline, out.Run.Number, out.Run.Status)
	return nil
}

// outcome is the exit of a verb that shows a run.
func outcome(e pipeline.Execution) error {
	if e.Status == pipeline.Failed || e.Status == pipeline.Stopped {
		return exit(exitWrong)
	}
	return nil
}

func (r runner) show(e pipeline.Execution) error {
	if r.shape == "json" {
		if err := writeJSON(r.c.stdout, e); err != nil {
			return err
		}
		return outcome(e)
	}
	showRun(r.c.stdout, e)
	return outcome(e)
}

func showRun(w io.Writer, e pipeline.Execution) {
	fmt.Fprintf(w, "%s  %s#%d  %s\n\n", e.Status, cell(e.Pipeline), e.Number, cell(e.Subject))
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "  %-8s %s\n", name, cell(value))
		}
	}
	line("id", e.ID)
	line("branch", e.Branch)
	line("commit", e.Commit)
	line("author", e.Author)
	line("by", e.Who)
	line("trigger", strings.TrimSpace(e.Trigger.Type+" "+e.Trigger.Detail))
	line("stopped", e.StoppedBy)
	line("walls", e.Level)
	if e.Attempt > 1 {
		line("attempt", fmt.Sprint(e.Attempt))
	}
	fmt.Fprintln(w)
	for _, s := range e.Stages {
		for _, a := range s.Actions {
			took := ""
			if !a.Ended.IsZero() && !a.Started.IsZero() {
				took = a.Ended.Sub(a.Started).Round(time.Millisecond).String()
			}
			name := s.Name
			if len(s.Actions) > 1 || a.Name != s.Name {
				name += "/" + a.Name
			}
			fmt.Fprintf(w, "  %-10s %-8s %-8s %s\n", a.Status, cell(name), cmp.Or(took, "-"), cell(a.Summary))
			if a.Approval != nil && a.Status == pipeline.InProgress {
				fmt.Fprintf(w, "             asks: %s (until %s)\n", cell(cmp.Or(a.Approval.Text, "may it go on?")), a.Approval.Expires.UTC().Format(time.RFC3339))
			}
		}
		for _, c := range []*pipeline.Condition{s.Entry, s.Success, s.Failure} {
			if c != nil && c.Summary != "" {
				fmt.Fprintf(w, "  %-10s %-8s %-8s %s\n", c.Status, cell(s.Name), "-", cell(c.Summary))
			}
		}
		if s.Held != "" {
			fmt.Fprintf(w, "  %-10s %-8s %-8s %s\n", s.Status, cell(s.Name), "-", cell(s.Held))
		}
	}
	for i, reason := range e.Reasons {
		if i == 0 {
			fmt.Fprintln(w, "\nWhy:")
		}
		fmt.Fprintf(w, "  %s\n", cell(strings.TrimSpace(string(reason.Severity)+" "+reason.Text)))
		if reason.Where != "" {
			fmt.Fprintf(w, "    in %s\n", cell(reason.Where))
		}
		if reason.Do != "" {
			fmt.Fprintf(w, "    %s\n", cell(reason.Do))
		}
	}
	for i, p := range e.Proposals {
		if i == 0 {
			fmt.Fprintln(w, "\nProposed by this branch, and not in force before the default branch has it:")
		}
		fmt.Fprintf(w, "  %s\n", cell(p))
	}
}

// log writes a run's log; following, until it has ended.
func (r runner) log(ctx context.Context, e pipeline.Execution, follow bool) error {
	in := runLog{ID: e.ID}
	for {
		var out struct {
			Text string
			Next int64
			Done bool
		}
		if err := r.ask(ctx, "GetRunLog", in, &out); err != nil {
			return err
		}
		if _, err := io.WriteString(r.c.stdout, printable(out.Text)); err != nil {
			return err
		}
		more := out.Next > in.From
		in.From = out.Next
		switch {
		case out.Done || !follow && !more:
			if !follow {
				return nil
			}
			var one struct{ Run pipeline.Execution }
			if err := r.ask(ctx, "GetRun", map[string]string{"Id": e.ID}, &one); err != nil {
				return err
			}
			return outcome(one.Run)
		case !more:
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(500 * time.Millisecond):
			}
		}
	}
}

// printable is a build's output without what a terminal would act on.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return -1
		}
		return r
	}, text)
}
