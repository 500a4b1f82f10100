package gitdoor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/fault"
)

// push runs git-receive-pack, and answers what its hooks ask meanwhile.
func (d *Door) push(ctx context.Context, cmd *exec.Cmd, repo *git.Repo, c call, body io.Reader, out *reply) error {
	questions, hookSays, err := os.Pipe()
	if err != nil {
		return err
	}
	hookHears, answers, err := os.Pipe()
	if err != nil {
		closeAll(questions, hookSays)
		return err
	}
	proposed, proposes, err := os.Pipe()
	if err != nil {
		closeAll(questions, hookSays, hookHears, answers)
		return err
	}
	reported, reports, err := os.Pipe()
	if err != nil {
		closeAll(questions, hookSays, hookHears, answers, proposed, proposes)
		return err
	}
	cmd.ExtraFiles = []*os.File{hookSays, hookHears, proposes, reported} // 3 to 6, here and in the hooks
	talk := &talk{door: d, repo: repo, call: c, id: bus.ID(), began: d.config.Now()}
	if d.ahead.TryAcquire(1) { // more at once would gain nothing, and each holds some memory
		defer d.ahead.Release(1)
		talk.ahead, body = talk.lookAhead(ctx, body)
		defer talk.ahead.end()
	}
	over, settled := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(settled)
		talk.propose(ctx, proposed, reports)
	}()
	go func() {
		defer close(over)
		defer answers.Close() // a hook that still waits refuses
		talk.listen(ctx, bufio.NewReader(questions), answers)
	}()
	err = d.run(ctx, cmd, c, body, out)
	closeAll(hookSays, hookHears, proposes, reported)              // git's copies are gone, so the talk is over
	_ = proposed.SetReadDeadline(time.Now().Add(5 * time.Second))  // unless something outlives git
	_ = questions.SetReadDeadline(time.Now().Add(5 * time.Second)) // unless something outlives git
	<-over
	<-settled
	questions.Close()
	return err
}

func closeAll(files ...*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// talk is the conversation with the hooks of one push.
type talk struct {
	door  *Door
	repo  *git.Repo
	call  call
	id    string
	began time.Time
	ahead *ahead

	mu       sync.Mutex
	options  []string // of the push: known since pre-receive
	answered []string // what people are to read of what they pushed to refs/for
}

func (t *talk) listen(ctx context.Context, questions *bufio.Reader, answers io.Writer) {
	for {
		q, err := readQuestion(questions)
		if errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		say := func(text string) error {
			var lines strings.Builder
			for line := range strings.Lines(text) {
				lines.WriteString(":" + strings.TrimSuffix(line, "\n") + "\n")
			}
			_, err := io.WriteString(answers, lines.String())
			return err
		}
		if err == nil {
			err = guard(func() error { return t.decide(ctx, q, say) })
		}
		if err != nil && q.hook == postReceive {
			// Nothing can be refused any more, and nothing is lost: Repair finds it.
			t.door.config.Log.Error("confirming a push", "repository", t.call.repository, "push", t.id, "err", err)
			err = say("\nThe push is taken. Haechi cannot tell of it right now; it will, a little later.\n\n")
		}
		verdict := "accept\n"
		if err != nil {
			verdict = "refuse\n"
			_ = say(t.explain(err))
		}
		if _, err := io.WriteString(answers, verdict); err != nil {
			return
		}
	}
}

// guard makes a panic the error of the one push that it is in.
func guard(do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("it broke: %v\n%s", r, debug.Stack())
		}
	}()
	return do()
}

// decide answers one hook: nil lets git go on.
func (t *talk) decide(ctx context.Context, q question, say func(string) error) error {
	switch q.hook {
	case preReceive:
		err := t.before(ctx, q, say)
		if t.door.config.Pushed == nil {
			return err
		}
		kept := t.door.config.Pushed(ctx, Pushed{Repository: t.call.repository, Updates: q.updates, Refused: err})
		if err == nil && kept != nil {
			return fmt.Errorf("keeping a record of the push: %w", kept)
		}
		return err
	case postReceive:
		moved := movedRefs(q.updates)
		t.mu.Lock()
		answered := t.answered
		t.mu.Unlock()
		for _, text := range answered {
			_ = say(text + "\n") // who pushed may be gone; what they pushed is there
		}
		// The refs have moved: that is told even if the client has gone.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		t.door.config.Log.Info("push", "repository", t.call.repository, "who", t.call.caller.ARN, "refs", moved, "took", t.door.config.Now().Sub(t.began).Round(time.Millisecond))
		return t.door.config.Source.Confirm(ctx, t.call.repository, t.id, moved)
	}
	return fault.Invalid.Errorf("there is no hook %q", q.hook)
}

// before is asked while the push lies in quarantine: what it returns refuses it.
func (t *talk) before(ctx context.Context, q question, say func(string) error) error {
	t.mu.Lock()
	t.options = q.options
	t.mu.Unlock()
	refs, proposed, hidden := parted(q.updates)
	for _, u := range q.updates {
		if err := t.door.config.Access.Allow(ctx, t.call.caller, pushAction, t.door.config.Source.ARN(t.call.repository), u.Ref); err != nil {
			return err
		}
	}
	if err := t.mayPropose(ctx, proposed); err != nil {
		return err
	}
	repo := t.repo
	if q.quarantine != "" {
		if !within(repo, q.quarantine) {
			return fault.Invalid.Errorf("the quarantine is not where it should be")
		}
		repo = repo.Quarantined(q.quarantine)
		found, err := t.check(ctx, repo, q)
		if err != nil {
			return err
		}
		if err := t.permit(ctx, q, found, say); err != nil {
			return err
		}
	}
	if err := t.door.config.Source.Intend(ctx, repo, source.Push{ID: t.id, Repository: t.call.repository, Who: t.call.caller.ARN, Updates: refs}); err != nil {
		return err
	}
	if len(hidden) > 0 {
		_ = say(fmt.Sprintf("Haechi leaves %s out: the server keeps its own pull requests there\n", plural(len(hidden), "ref")+" below "+hiddenRefs))
	}
	if names := unknown(q.options); len(names) > 0 {
		_ = say(fmt.Sprintf("Haechi does not know the option %s: %s, %s, %s and %s are for pull requests\n", strings.Join(names, ", "), optionTopic, optionTitle, optionDescription, optionPull))
	}
	return nil
}

// within tells whether a folder lies directly among the repository's objects, where git puts quarantines.
func within(repo *git.Repo, quarantine string) bool {
	parent, err := filepath.EvalSymlinks(filepath.Dir(quarantine))
	if err != nil {
		return false
	}
	objects, err := filepath.EvalSymlinks(filepath.Join(repo.Dir(), "objects"))
	return err == nil && parent == objects
}

// explain is what people see of an error.
func (t *talk) explain(err error) string {
	var refusal *refusal
	if errors.As(err, &refusal) {
		return refusal.text
	}
	if fault.Of(err) == fault.Internal {
		t.door.config.Log.Error("checking a push", "repository", t.call.repository, "err", err)
		return "\nHaechi cannot check this push now, so it is refused. Try again; the server's log says more.\n\n"
	}
	return "\nHaechi refuses this push: " + printable(err.Error()) + "\n\n"
}
