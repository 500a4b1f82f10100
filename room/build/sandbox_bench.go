package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	tool "github.com/haechi-dev/haechi/tool/build"
	"github.com/haechi-dev/haechi/tool/sandbox"
	"github.com/haechi-dev/haechi/word/fault"
)

// benches are the sandboxes at work on this server.
type benches struct {
	mu   sync.Mutex
	news chan struct{} // something was asked for
}

// wake has those who wait look again.
func (w *benches) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.news != nil {
		close(w.news)
		w.news = nil
	}
}

func (w *benches) waiting() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.news == nil {
		w.news = make(chan struct{})
	}
	return w.news
}

// serveSandboxes has sandboxes at work until ctx ends, and ends them with it.
func (b *Builds) serveSandboxes(ctx context.Context) error {
	if b.config.Steps == nil || b.config.Workers < 0 {
		return nil
	}
	if err := b.leftSandboxes(ctx); err != nil {
		return err
	}
	var at sync.WaitGroup
	defer at.Wait()
	free := make(chan struct{}, mostSandboxes)
	for {
		news := b.benches.waiting() // before looking
		for ctx.Err() == nil && len(free) < cap(free) {
			s, ok, err := b.takeSandbox(ctx)
			if err != nil && ctx.Err() == nil {
				b.config.Log.Error("looking for sandboxes to begin", "err", err)
			}
			if !ok || err != nil {
				break
			}
			free <- struct{}{}
			at.Go(func() {
				defer func() { <-free; b.benches.wake() }()
				b.bench(ctx, s)
			})
		}
		select {
		case <-ctx.Done():
			return nil
		case <-news:
		case <-time.After(b.config.Poll):
		}
	}
}

// leftSandboxes ends those that a kill has left of this server.
func (b *Builds) leftSandboxes(ctx context.Context) error {
	return b.db.Write(ctx, func(tx *db.Tx) error {
		left, err := db.All(tx, scanSandbox, "SELECT body FROM build_sandboxes WHERE node = ? AND status IN (?, ?, ?)", b.config.Node, SandboxProvides, SandboxRuns, SandboxStopping)
		if err != nil {
			return err
		}
		for _, s := range left {
			if err := b.endSandbox(tx, &s, SandboxStopped, Fault, fault.Unavailable.Errorf("the server that had it was ended")); err != nil {
				return err
			}
		}
		return nil
	})
}

// takeSandbox is the sandbox whose turn it is. Those that have waited too long, and
// those whose server has not ended them in time, are ended.
func (b *Builds) takeSandbox(ctx context.Context) (s Sandbox, ok bool, err error) {
	if open, err := b.openSandboxes(ctx); err != nil || open == 0 {
		return s, false, err // nobody is held up by looking
	}
	err = b.db.Write(ctx, func(tx *db.Tx) error {
		ok = false
		open, err := db.All(tx, scanSandbox, "SELECT body FROM build_sandboxes WHERE status IN (?, ?, ?, ?) ORDER BY created, id", SandboxQueued, SandboxProvides, SandboxRuns, SandboxStopping)
		if err != nil {
			return err
		}
		now := b.config.Now().UTC()
		for _, one := range open {
			switch queued := one.Status == SandboxQueued; {
			case queued && now.Sub(one.Requested) > time.Duration(one.QueuedTimeout)*time.Minute:
				err = b.endSandbox(tx, &one, SandboxFailed, TimedOut, fault.Limit.Errorf("it waited longer than %d minutes", one.QueuedTimeout))
			case !queued && now.Sub(one.Started) > time.Duration(one.Timeout+5)*time.Minute:
				err = b.endSandbox(tx, &one, SandboxStopped, Fault, fault.Unavailable.Errorf("the server that had it was ended"))
			case queued && !ok:
				one.Facts.Node = b.config.Node
				one.enter(SandboxProvides, Provisioning, Succeeded, now)
				s, ok = one, true
				err = keepSandbox(tx, one)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return s, ok, err
}

// openSandboxes counts those that have not ended.
func (b *Builds) openSandboxes(ctx context.Context) (n int64, err error) {
	err = b.db.Read(ctx, func(tx *db.Tx) (err error) {
		n, err = db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM build_sandboxes WHERE status IN (?, ?, ?, ?)", SandboxQueued, SandboxProvides, SandboxRuns, SandboxStopping)
		return err
	})
	return n, err
}

// errStopped ends a sandbox that somebody has stopped.
var errStopped = errors.New("somebody stopped it")

// bench is one sandbox from its beginning to its end.
func (b *Builds) bench(ctx context.Context, s Sandbox) {
	ctx, stop := context.WithTimeoutCause(ctx, time.Duration(s.Timeout)*time.Minute, fault.Limit.Errorf("it was open for %d minutes, as long as its project says", s.Timeout))
	defer stop()
	dir, err := filepath.Abs(filepath.Join(b.config.Folder, "sandbox-"+uuidOf(s.ID)))
	if err == nil {
		err = b.work(ctx, &s, dir)
	}
	status, how, why := SandboxStopped, Succeeded, context.Cause(ctx)
	switch {
	case errors.Is(err, errStopped):
		how, why = Stopped, nil
	case errors.Is(why, context.Canceled):
		how, why = Stopped, fault.Unavailable.Errorf("the server that had it ended")
	case why != nil:
		how = TimedOut
	case err != nil:
		status, how, why = SandboxFailed, Failed, err
	}
	last, done := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer done()
	if e := tool.Remove(dir); e != nil {
		b.config.Log.Warn("the folder of a sandbox is not removed", "sandbox", s.ID, "err", e)
	}
	if e := b.db.Write(last, func(tx *db.Tx) error {
		now, err := findSandbox(tx, s.ID)
		if err != nil || now.ended() {
			return err
		}
		return b.endSandbox(tx, &now, status, how, why)
	}); e != nil {
		b.config.Log.Error("the end of a sandbox is not written down", "sandbox", s.ID, "err", e)
	}
}

// work lays a sandbox out, and runs what is asked for until it is stopped.
func (b *Builds) work(ctx context.Context, s *Sandbox, dir string) error {
	step, done, err := b.provide(ctx, s, dir)
	if err != nil {
		return err
	}
	defer done()
	if err := b.db.Write(ctx, func(tx *db.Tx) error {
		now, err := findSandbox(tx, s.ID)
		if err != nil || now.Status != SandboxProvides {
			return errors.Join(err, errStopped)
		}
		now.enter(SandboxRuns, "RUN_SANDBOX", Succeeded, b.config.Now().UTC())
		return keepSandbox(tx, now)
	}); err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	var at sync.WaitGroup
	defer at.Wait()
	defer stop(errStopped)
	free := make(chan struct{}, mostAtOnce)
	for {
		news := b.benches.waiting()
		begin, err := b.askedOf(ctx, s.ID, cap(free)-len(free))
		if err != nil {
			return err
		}
		for _, c := range begin {
			free <- struct{}{}
			at.Go(func() {
				defer func() { <-free; b.benches.wake() }()
				b.command(ctx, c, step)
			})
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-news:
		case <-time.After(b.config.Poll):
		}
	}
}

// provide lays out the sources of a sandbox, and says what steps in it are like.
func (b *Builds) provide(ctx context.Context, s *Sandbox, dir string) (step sandbox.Step, done func(), err error) {
	made := s.Facts.Build
	made.ID, made.ARN, made.Started = s.ID, s.ARN, s.Started
	at := Room{Dir: filepath.Join(dir, "work")}
	if err := os.MkdirAll(filepath.Join(at.Dir, "src"), 0o755); err != nil {
		return step, nil, err
	}
	sources, err := b.sourcesOf(ctx, &made)
	if err != nil {
		return step, nil, err
	}
	for _, source := range sources {
		to, err := at.SourceDir(source)
		if err == nil {
			err = b.layOut(ctx, source, to)
		}
		if err != nil {
			return step, nil, fmt.Errorf("laying out the files: %w", err)
		}
	}
	in := &entered{build: made, dir: dir, leave: func() {}}
	for _, list := range [][]Pair{b.config.Machine.Env, plainOf(made.Environment)} {
		for _, v := range list {
			in.folder.Env = append(in.folder.Env, v.Name+"="+v.Value)
		}
	}
	if !hostImage(made.Environment.Image) {
		in.folder.Image = made.Environment.Image
	}
	if err := b.stepIn(ctx, in); err != nil {
		return step, nil, err
	}
	step = in.step
	step.Env = append(step.Env, "CODEBUILD_BUILD_SUCCEEDING=1")
	if memory := computeMemory(made.Environment.ComputeType); memory > 0 {
		step.Limits.Memory, step.Limits.Total = memory, memory
	}
	step.Limits.Time = time.Duration(s.Timeout)*time.Minute + time.Minute // the sandbox's own end comes first
	first := step
	first.Argv = []string{"/bin/sh", "-c", ":"} // the files become the step's user's before anybody shares them
	var said bytes.Buffer
	exit, err := b.config.Steps.Run(ctx, first, &said)
	if err == nil && exit != 0 {
		err = fault.Invalid.Errorf("a shell in it ends with status %d: %s", exit, clip(said.String(), 500))
	}
	if err != nil {
		in.leave()
		return step, nil, err
	}
	return step, in.leave, nil
}

func plainOf(e Environment) (all []Pair) {
	for _, v := range e.Variables {
		if v.Type == Plain {
			all = append(all, Pair{Name: v.Name, Value: v.Value})
		}
	}
	return all
}

// askedOf are the commands of a sandbox that are to begin now; errStopped says that it is to end.
func (b *Builds) askedOf(ctx context.Context, id string, most int) (begin []Command, err error) {
	waiting := int64(0)
	err = b.db.Read(ctx, func(tx *db.Tx) error {
		s, err := findSandbox(tx, id)
		if err != nil {
			return err
		}
		if s.Status != SandboxRuns {
			return errStopped
		}
		waiting, err = db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM build_commands WHERE sandbox = ? AND status = ?", id, commandWaits)
		return err
	})
	if err != nil || waiting == 0 || most == 0 {
		return nil, err
	}
	err = b.db.Write(ctx, func(tx *db.Tx) (err error) {
		begin, err = db.All(tx, scanCommand, "SELECT body FROM build_commands WHERE sandbox = ? AND status = ? ORDER BY created, id LIMIT ?", id, commandWaits, most)
		for i := range begin {
			begin[i].Status, begin[i].Started = string(InProgress), b.config.Now().UTC()
			if err == nil {
				err = keepCommand(tx, begin[i])
			}
		}
		return err
	})
	return begin, err
}

// command runs one command, and writes down what it says while it does.
func (b *Builds) command(ctx context.Context, c Command, step sandbox.Step) {
	var out, complaints tail
	step.Argv = []string{"/bin/sh", "-c", "cd src || exit 125\nexec 2>&3 3>&-\n" + inShell(c.Command)}
	step.Report = &complaints
	told := make(chan struct{})
	over := make(chan struct{})
	go func() {
		defer close(told)
		for was := 0; ; {
			select {
			case <-over:
				return
			case <-time.After(time.Second):
			}
			c.Out, c.Err = out.text(), complaints.text()
			if n := len(c.Out) + len(c.Err); n != was && b.db.Write(ctx, func(tx *db.Tx) error { return keepCommand(tx, c) }) == nil {
				was = n
			}
		}
	}()
	exit, err := b.config.Steps.Run(ctx, step, &out)
	close(over)
	<-told
	c.Out, c.Err, c.Ended = out.text(), complaints.text(), b.config.Now().UTC()
	switch {
	case err != nil && context.Cause(ctx) != nil:
		c.Status = string(Stopped)
	case err != nil:
		c.Status, c.Err = string(Failed), strings.TrimLeft(c.Err+"\n"+err.Error()+"\n", "\n")
	default:
		if c.Status, c.Exit = string(Succeeded), strconv.Itoa(exit); exit != 0 {
			c.Status = string(Failed)
		}
	}
	last, done := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer done()
	if err := b.db.Write(last, func(tx *db.Tx) error { return keepCommand(tx, c) }); err != nil {
		b.config.Log.Error("the end of a command is not written down", "sandbox", c.Sandbox, "err", err)
	}
}

// tail keeps the end of what is said.
type tail struct {
	mu   sync.Mutex
	said []byte
	lost int64
}

const longestTail = 128 << 10

// Write takes what is said.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.said = append(t.said, b...)
	if over := len(t.said) - longestTail; over > longestTail {
		t.lost += int64(over)
		t.said = append(t.said[:0], t.said[over:]...)
	}
	return len(b), nil
}

func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	said, lost := t.said, t.lost
	if over := len(said) - longestTail; over > 0 {
		said, lost = said[over:], lost+int64(over)
	}
	text := strings.ToValidUTF8(string(said), "\uFFFD")
	if lost > 0 {
		text = fmt.Sprintf("(%d bytes before are left out)\n%s", lost, text)
	}
	return text
}
