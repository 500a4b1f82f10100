package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/lang/buildspec"
	"github.com/haechi-dev/haechi/tool/sandbox"
	"github.com/haechi-dev/haechi/word/fault"
)

// running is one build on its way.
type running struct {
	*Builder
	plan   Plan
	spec   *buildspec.Spec
	log    *tap
	shell  *shell
	work   string // where the build sees its folder
	limit  time.Duration
	result Result
	began  bool // the shell has
	failed bool
	cache  *cached
	exact  bool              // the cache that there is has this very key
	names  map[string]string // of artifacts, as the shell has them
	user   string            // who runs commands; "" for who runs them where nothing is said
	home   string            // theirs, as long as no command says otherwise
}

var errTooLong = errors.New("the build took too long")

// Run runs a build to its end. log gets what it says, with a line before each
// phase and each command; to mask secrets is up to log. A build that fails is no
// error: an error is our fault (FAULT), or that ctx ended (STOPPED), and the
// result is what was known until then.
func (b *Builder) Run(ctx context.Context, p Plan, log io.Writer) (Result, error) {
	p.Keep = p.Keep.orDefault()
	r := &running{Builder: b, plan: p, spec: p.Spec, log: &tap{to: log}, work: sandbox.Work, limit: p.Limits.Time, names: map[string]string{}}
	if r.limit == 0 {
		r.limit = time.Hour
	}
	ctx, cancel := context.WithTimeoutCause(ctx, r.limit, errTooLong)
	defer cancel()
	err := r.run(ctx)
	switch cause := context.Cause(ctx); {
	case err == nil:
	case errors.Is(cause, errTooLong):
		r.fail(TimedOut, fmt.Sprintf("the build took longer than %v", r.limit), "make it smaller, or raise its timeout")
		err = nil
	case cause != nil:
		r.fail(Stopped, "the build was stopped", "")
	case fault.Of(err) == fault.Limit:
		r.fail(Failed, "the build was ended: "+err.Error(), "make it smaller, or raise the limit of builds")
		err = nil
	case fault.Of(err) == fault.Invalid:
		r.fail(Failed, err.Error(), "")
		err = nil
	default:
		r.fail(Fault, err.Error(), "")
	}
	if r.result.Status == "" {
		r.result.Status = Succeeded
	}
	r.begin("COMPLETED")
	r.end(r.result.Status, "")
	return r.result, err
}

func (r *running) run(ctx context.Context) error {
	r.begin("PROVISIONING")
	level, err := r.runner.Level(ctx)
	if err != nil {
		return err
	}
	if r.result.Level = level; level == sandbox.Bare {
		if r.work, err = filepath.Abs(r.plan.Dir); err != nil {
			return err
		}
	}
	for _, w := range r.spec.Warnings {
		r.printf("%s\n", w)
	}
	r.passOver()
	r.printf("isolation: %s\n", r.walls(ctx, level))
	if err := os.MkdirAll(filepath.Join(r.plan.Dir, "home"), 0o755); err != nil {
		return err
	}
	if err := r.help(); err != nil {
		return err
	}
	env, err := r.environment()
	if err != nil {
		return err
	}
	r.end(Succeeded, "")
	r.begin("DOWNLOAD_SOURCE")
	if err := r.restore(ctx, env); err != nil {
		return err
	}
	r.end(Succeeded, "")
	if err := r.phases(ctx, env); err != nil {
		return err
	}
	return r.collect(ctx)
}

// walls names what the build is walled in with, as far as the runner tells.
func (r *running) walls(ctx context.Context, level sandbox.Level) string {
	if w, ok := r.runner.(interface {
		Walls(context.Context) (string, error)
	}); ok {
		if text, err := w.Walls(ctx); err == nil {
			return text + r.whoever()
		}
	}
	return level.String() + r.whoever()
}

// phases runs the commands, all in one sandbox.
func (r *running) phases(ctx context.Context, env []string) error {
	step := sandbox.Step{Env: env, Work: r.plan.Dir, Tools: r.plan.Tools, Root: r.plan.Root, AsRoot: r.plan.AsRoot, Egress: r.plan.Egress, Limits: r.plan.Limits}
	step.Limits.Time = r.limit + time.Minute // ours comes first, and says so
	var err error
	if r.shell, err = start(ctx, r.runner, step, r.spec.Shell, r.work, r.log); err != nil {
		return err
	}
	talk := r.talk(ctx)
	ran := r.shell.stop()
	if err := r.forget(filepath.Base(r.shell.state)); err != nil {
		return err
	}
	if context.Cause(ctx) != nil || fault.Of(ran) == fault.Limit {
		return errors.Join(ran, context.Cause(ctx)) // that is why nobody answered
	}
	if errors.Is(talk, errGone) {
		if ran != nil {
			return ran // there was no shell at all
		}
		if r.began {
			r.fail(Failed, "the shell of the build was ended from within", "see the log for what the last command did")
		} else {
			r.begin("INSTALL")
			r.fail(Failed, fmt.Sprintf("the shell of the build, %s, did not start", r.spec.Shell), "see whether the image of the build has it, and what the build's variables do to it")
		}
		return nil
	}
	return errors.Join(talk, ran)
}

// forget takes away what the shell has kept of its variables, secrets among them.
func (r *running) forget(name string) error {
	root, err := os.OpenRoot(r.plan.Dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return root.RemoveAll(name)
}

// talk goes through the phases with the shell.
func (r *running) talk(ctx context.Context) error {
	if err := r.shell.ready(); err != nil {
		return err
	}
	r.began = true
	for _, name := range buildspec.Phases() {
		i := slices.IndexFunc(r.spec.Phases, func(p buildspec.Phase) bool { return p.Name == name })
		p := buildspec.Phase{Name: name}
		if i >= 0 {
			p = r.spec.Phases[i]
		}
		goOn, err := r.phase(ctx, p, i >= 0)
		if err != nil || !goOn {
			return errors.Join(err, r.farewell())
		}
	}
	return r.farewell()
}

// phase runs one phase, as often as it says, and tells whether a later one runs.
func (r *running) phase(ctx context.Context, p buildspec.Phase, there bool) (goOn bool, err error) {
	r.begin(strings.ToUpper(p.Name))
	if !there {
		r.end(Succeeded, "")
		return true, nil
	}
	if err := r.become(p.RunAs); err != nil {
		return false, err
	}
	before := !r.failed
	var message, culprit string
	for try := 1; ; try++ {
		if err := r.shell.say(fmt.Sprintf("\n== phase %s ==\n", p.Name)); err != nil {
			return false, err
		}
		r.log.keep(p.OnFailure.Message != nil)
		if message, culprit, err = r.attempt(p, try); err != nil {
			return false, err
		}
		if message == "" || p.OnFailure.Do != buildspec.Retry || try > p.OnFailure.Times || ctx.Err() != nil {
			break
		}
		if m := p.OnFailure.Message; m != nil && !m.Match(r.log.kept(echo(culprit), message, r.shell.over)) {
			break
		}
		if err := r.shell.say(fmt.Sprintf("phase %s is tried again: %d of %d\n", p.Name, try, p.OnFailure.Times)); err != nil {
			return false, err
		}
		if err := r.shell.succeeding(before); err != nil {
			return false, err
		}
	}
	r.log.keep(false)
	if message == "" {
		r.end(Succeeded, "")
		return true, nil
	}
	r.failed = true
	r.end(Failed, message)
	r.fail(Failed, message, "see the log for what the command said")
	switch p.OnFailure.Do {
	case buildspec.Abort:
		return false, nil
	case buildspec.Continue:
		return true, nil
	}
	return p.Name == "build", nil // post_build tidies up and tells
}

// attempt runs a phase once; message is why it failed, at which command.
func (r *running) attempt(p buildspec.Phase, try int) (message, culprit string, err error) {
	run := func(commands []string, finally bool) error {
		for i, text := range commands {
			c := Command{Phase: p.Name, Finally: finally, Text: clip(text, 300), Try: try, Started: r.now().UTC()}
			exit, err := r.shell.run(text, r.spec.Version == "0.1")
			if err != nil {
				return err
			}
			c.Exit, c.Ended = exit, r.now().UTC()
			if len(r.result.Commands) < 10_000 {
				r.result.Commands = append(r.result.Commands, c)
			}
			if exit == 0 {
				continue
			}
			where := p.Name
			if finally {
				where += " finally"
			}
			failed := fmt.Sprintf("command %d of %s ended with status %d", i+1, where, exit)
			if message == "" {
				message, culprit = failed, text
			}
			return errors.Join(r.shell.say(failed+"\n"), r.shell.succeeding(false))
		}
		return nil
	}
	if err := run(p.Commands, false); err != nil {
		return "", "", err
	}
	err = run(p.Finally, true)
	return message, culprit, err
}

// farewell asks for what only the shell knows.
func (r *running) farewell() error {
	for _, name := range r.spec.Exported {
		value, ok, err := r.shell.value(name)
		if err != nil {
			return err
		}
		if ok && !secretsIn([]byte(value), r.plan.Secrets) {
			r.result.Exported = append(r.result.Exported, Variable{name, value})
		} else if ok {
			if err := r.shell.say(name + " is not exported: it holds a secret\n"); err != nil {
				return err
			}
		}
	}
	for _, a := range r.spec.Artifacts {
		if a.Name == "" {
			continue
		}
		name, err := r.shell.expand(a.Name)
		if err != nil {
			return err
		}
		r.names[a.ID] = name
	}
	return r.meant()
}

// collect takes what the build has left, now that nobody changes it any more.
func (r *running) collect(ctx context.Context) error {
	r.begin("UPLOAD_ARTIFACTS")
	message, err := r.artifacts(ctx)
	if err == nil && message == "" {
		message, err = r.reports(ctx)
	}
	if err != nil {
		return err
	}
	if message != "" {
		r.printf("%s\n", message)
		r.end(Failed, message)
		r.fail(Failed, message, "see what the buildspec says of artifacts and reports, and the log")
	} else {
		r.end(Succeeded, "")
	}
	r.begin("FINALIZING")
	if r.result.Status == "" {
		if err := r.save(ctx); err != nil {
			return err
		}
	}
	r.end(Succeeded, "")
	return nil
}

// fail says why the build did not succeed; the first reason counts.
func (r *running) fail(s Status, reason, do string) {
	if n := len(r.result.Phases); n > 0 && r.result.Phases[n-1].Status == InProgress {
		r.end(s, reason)
	}
	if r.result.Status != "" && s == Failed {
		return
	}
	r.result.Status, r.result.Reason, r.result.Do = s, reason, do
	if n := len(r.result.Phases); n > 0 {
		r.result.Where = strings.ToLower(r.result.Phases[n-1].Name)
	}
}

func (r *running) begin(name string) {
	r.result.Phases = append(r.result.Phases, Phase{Name: name, Status: InProgress, Started: r.now().UTC()})
	r.changed()
}

func (r *running) end(s Status, message string) {
	p := &r.result.Phases[len(r.result.Phases)-1]
	p.Status, p.Message, p.Ended = s, message, r.now().UTC()
	r.changed()
}

func (r *running) changed() {
	if r.plan.Changed != nil {
		r.plan.Changed(r.result.Phases[len(r.result.Phases)-1])
	}
}

func (r *running) printf(format string, a ...any) { fmt.Fprintf(r.log, format, a...) }

// shortestSecret is how long a value is that is looked for: shorter ones are everywhere.
const shortestSecret = 8

func clip(text string, most int) string {
	if len(text) <= most {
		return strings.ToValidUTF8(text, "\uFFFD")
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
