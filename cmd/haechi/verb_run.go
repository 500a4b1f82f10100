package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/haechi-dev/haechi/base/remote"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/word/fault"
)

func runVerb() verb {
	return verb{name: "run", args: "[list] | show RUN | log RUN | start REPOSITORY BRANCH | retry RUN | stop RUN", summary: "what became of pushes, with their logs", help: `
  haechi run                          the newest runs
  haechi run -repository shop -status failed
  haechi run show shop#12             its stages, and why it failed
  haechi run log -f shop#12           its log, as it grows
  haechi run start shop main          a run without a push
  haechi run retry shop#12            again what did not succeed
  haechi run stop shop#12

RUN is REPOSITORY#NUMBER as the list has it, REPOSITORY for its newest one, or an
id. 'show' and 'log -f' exit 1 where the run failed.
` + clientHelp, run: runs}
}

var runWords = []string{"list", "show", "log", "start", "retry", "stop"}

func runs(ctx context.Context, c call, flags *flag.FlagSet) error {
	find := clientFlags(c, flags)
	repository := flags.String("repository", "", "runs of this one alone")
	branch := flags.String("branch", "", "runs of this branch alone; with -repository")
	status := flags.String("status", "", "inprogress, succeeded, failed or stopped")
	most := flags.Int("n", 20, "how many, 1 to 1000")
	follow := flags.Bool("f", false, "wait for more of the log until the run has ended")
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
	want := map[string]struct {
		args  int
		flags []string
	}{"list": {0, []string{"repository", "branch", "status", "n", "format"}}, "show": {1, []string{"format"}}, "log": {1, []string{"f"}},
		"start": {2, []string{"format"}}, "retry": {1, []string{"format"}}, "stop": {1, []string{"format"}}}
	w, ok := want[do]
	if !ok {
		return unknown(do, runWords...)
	}
	if err := only(flags, do, w.flags...); err != nil {
		return err
	}
	if len(rest) != w.args {
		return usagef("%s takes %d, not %d: see its examples", do, w.args, len(rest))
	}
	in := runList{Pipeline: *repository, Branch: *branch, Limit: *most}
	if *branch != "" && *repository == "" {
		return usagef("-branch wants -repository")
	}
	if *most < 1 || *most > 1000 {
		return usagef("-n is 1 to 1000, not %d", *most)
	}
	if in.Status, err = runStatus(*status); err != nil {
		return err
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
		return r.change(ctx, "StartRun", runStart{rest[0], rest[1]})
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
	}
	return r.change(ctx, "StopRun", runChange{e.ID, e.Pipeline})
}

// runStatus is how the room calls what people call it.
func runStatus(word string) (pipeline.Status, error) {
	if word == "" {
		return "", nil
	}
	var names []string
	for _, s := range []pipeline.Status{pipeline.InProgress, pipeline.Succeeded, pipeline.Failed, pipeline.Stopping, pipeline.Stopped} {
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
	runStart struct{ Repository, Branch string }
	runLog   struct {
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
	t := tabwriter.NewWriter(r.c.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "STATUS\tRUN\tBRANCH\tCOMMIT\tBEGAN\tSUBJECT")
	for _, e := range out.Runs {
		fmt.Fprintf(t, "%s\t%s#%d\t%s\t%.12s\t%s\t%s\n", e.Status, cell(e.Pipeline), e.Number, cell(e.Branch), cell(e.Commit), e.Created.UTC().Format(time.RFC3339), cell(e.Subject))
	}
	return t.Flush()
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
			fmt.Fprintf(w, "  %-10s %-8s %-8s %s\n", a.Status, cell(s.Name), cmp.Or(took, "-"), cell(a.Summary))
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
