package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/redact"
	"github.com/haechi-dev/haechi/river/work"
	tool "github.com/haechi-dev/haechi/tool/build"
	"github.com/haechi-dev/haechi/word/fault"
)

// mostLost is how often a build is begun whose worker was lost: it may be the build that kills it.
const mostLost = 20

// do does one build here.
func (b *Builds) do(ctx context.Context, l work.Lease) error {
	made, ok, err := b.take(ctx, l, "")
	if err != nil || !ok {
		return err
	}
	log, err := b.open(ctx, l, made)
	if err != nil {
		return err
	}
	d, left, files, err := b.perform(ctx, l, &made, log)
	defer files()
	if err == nil {
		err = b.finish(ctx, l, made, d, d.made, left, log)
	}
	if err != nil && ctx.Err() == nil && !errors.Is(err, work.ErrLost) {
		log.printf("%v\n", err)
	}
	return errors.Join(err, log.close())
}

// GiveUp ends a build that no worker could do.
func (b *Builds) giveUp(ctx context.Context, l work.Lease, why error) error {
	return b.db.Write(ctx, func(tx *db.Tx) error {
		if err := b.config.Work.Done(tx, l); err != nil {
			return err
		}
		made, err := find(tx, string(l.Body))
		if err != nil || made.Status.Ended() {
			return err
		}
		if errors.Is(why, work.ErrStopped) {
			_, err = b.cut(tx, made, Stopped, Reason{Code: "STOPPED", Text: "somebody stopped it"})
			return err
		}
		_, err = b.cut(tx, made, Fault, Reason{Code: "INTERNAL_SERVICE_ERROR", Text: blame(why), Do: "retry it; the server's log says more"})
		return err
	})
}

// blame is an error in a line.
func blame(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return clip(text, 1000)
}

// endJob ends a job together with what came of it.
func (b *Builds) endJob(ctx context.Context, l work.Lease, change func(tx *db.Tx) error) error {
	return b.db.Write(ctx, func(tx *db.Tx) error {
		if err := b.config.Work.Done(tx, l); err != nil {
			return err
		}
		return change(tx)
	})
}

// take begins the work on a build that was leased. ok is false where there is nothing to do.
func (b *Builds) take(ctx context.Context, l work.Lease, runner string) (made Build, ok bool, err error) {
	err = b.db.Write(ctx, func(tx *db.Tx) error {
		ok = false
		if _, err := b.config.Work.Hold(tx, l); err != nil {
			return err
		}
		if made, err = find(tx, string(l.Body)); err != nil && !errors.Is(err, fault.NotFound) {
			return err
		}
		if err != nil || made.Status.Ended() {
			return b.config.Work.Done(tx, l)
		}
		now := b.config.Now().UTC()
		if l.Attempt > mostLost {
			if err := b.config.Work.Done(tx, l); err != nil {
				return err
			}
			_, err = b.cut(tx, made, Fault, Reason{Code: "INTERNAL_SERVICE_ERROR", Text: fmt.Sprintf("it lost its worker %d times", mostLost), Do: "see whether it is the build that ends its machine"})
			return err
		}
		ok = true
		made.restart()
		made.enter(Provisioning, now)
		made.Facts.Attempt, made.Facts.Runner = l.Attempt, runner
		if err := b.tellNew(tx, &made); err != nil {
			return err
		}
		return keep(tx, made, b.runEnds(made, now))
	})
	return made, ok, err
}

func (b *Builds) runEnds(made Build, now time.Time) time.Time {
	return now.Add(time.Duration(made.Timeout)*time.Minute + 2*time.Minute) // the worker's own end comes first
}

// restart forgets what a worker did that was lost: only the queue is behind the build.
func (b *Build) restart() {
	for i, p := range b.Phases {
		if p.Type != Submitted && p.Type != Queued {
			b.Phases = b.Phases[:i]
			break
		}
	}
	b.Facts.Told = min(b.Facts.Told, len(b.Phases))
}

// tellNew tells of the phases that have ended since the last time.
func (b *Builds) tellNew(tx *db.Tx, made *Build) error {
	for i := made.Facts.Told; i < len(made.Phases); i++ {
		p := made.Phases[i]
		if p.Status == InProgress {
			return nil
		}
		made.Facts.Told = i + 1
		if p.Type == Completed {
			continue
		}
		if err := b.tellPhase(tx, *made, p); err != nil {
			return err
		}
	}
	return nil
}

// logger takes what a build says.
type logger struct {
	spool *spool // ahead of all else

	mu     sync.Mutex
	masked *redact.Writer // hides the build's own secrets, or nil as long as it has none
	log    *work.Log
}

func (b *Builds) open(ctx context.Context, l work.Lease, made Build) (*logger, error) {
	w := &logger{log: b.config.Work.Log(ctx, l, made.Stream(), b.config.Mask)}
	var err error
	if w.spool, err = newSpool(b.config.Folder, (*looked)(w)); err != nil {
		return nil, err
	}
	if l.Attempt > 1 {
		w.printf("\n(attempt %d: the one before was cut off)\n", l.Attempt)
	}
	return w, nil
}

// hide hides values in all that is not handed on yet.
func (w *logger) hide(values []Pair) {
	set, short := hiding(values)
	for _, name := range short {
		w.printf("secrets: %s has less than %d bytes, which stand in too many words to be hidden\n", name, redact.Shortest)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.masked = set.Writer(w.log)
}

// hiding are values to be hidden, in all the forms that they may be written in, and the names of those that are too short for it.
func hiding(values []Pair) (set *redact.Set, short []string) {
	all := make([]redact.Value, 0, len(values))
	for _, v := range values {
		all = append(all, redact.Value{Name: v.Name, Text: v.Value})
	}
	return redact.New(all...)
}

// Write takes what a build says.
func (w *logger) Write(p []byte) (int, error) { return w.spool.Write(p) }

func (w *logger) printf(format string, a ...any) { fmt.Fprintf(w, format, a...) }

// looked is a logger behind its spool.
type looked logger

// Write hides secrets in what a build has said.
func (w *looked) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.masked != nil {
		return w.masked.Write(p)
	}
	return w.log.Write(p)
}

// close keeps the rest. The error says that not all of the log could be kept.
func (w *logger) close() error {
	err := w.spool.close()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.masked != nil {
		err = errors.Join(err, w.masked.Flush())
	}
	if errors.Is(err, work.ErrLost) {
		err = nil // the one who has it now tells
	}
	return errors.Join(err, w.log.Close())
}

// output is a file that a build made, on its way to where it is kept.
type output struct {
	id, name, prefix string
	digest           string // as whoever made it says
	open             func() (io.ReadCloser, error)
}

// performed is what became of a build here.
type performed struct {
	Done
	reason *Reason
	made   []output
	uses   []CacheUse
	room   Room
}

// perform does a build in a folder of its own. files removes it, or keeps it for a look.
func (b *Builds) perform(ctx context.Context, l work.Lease, made *Build, log *logger) (d performed, left []Left, files func(), err error) {
	files = func() {}
	t, reason, detail, err := b.task(ctx, made)
	if err != nil {
		return d, nil, files, err
	}
	log.hide(t.hidden())
	if reason != nil {
		if detail == "" {
			detail = reason.Text
		}
		log.printf("%s\n", detail)
		d.reason = reason
		return d, nil, files, nil
	}
	at, remove, err := makeRoom(b.config.Folder)
	if err != nil {
		return d, nil, files, err
	}
	files = remove
	for _, s := range t.Sources {
		dir, err := at.SourceDir(s)
		if err == nil {
			err = b.layOut(ctx, s, dir)
		}
		if err != nil {
			return d, nil, files, fmt.Errorf("laying out the files: %w", err)
		}
	}
	if len(t.Sources) == 0 {
		if _, err := tool.Sources(at.Dir); err != nil {
			return d, nil, files, err
		}
	}
	cache := b.cachesOf(made)
	told := b.follow(ctx, l, *made)
	at.Cache, at.Changed, d.room = cache, told.changed, at
	if made.Facts.Why != "" {
		log.printf("secrets: none, and caches of its own: %s\n", made.Facts.Why)
	}
	d.Done, err = b.config.Machine.Do(ctx, t, at, log)
	told.end()
	if err != nil {
		return d, nil, files, err
	}
	d.uses = cache.uses()
	for _, a := range d.Artifacts {
		d.made = append(d.made, output{id: a.ID, name: a.Name, prefix: a.Prefix, digest: a.Digest, open: func() (io.ReadCloser, error) { return os.Open(a.File) }})
	}
	if d.Status == tool.Failed || d.Status == tool.TimedOut {
		come := b.inside.expect(uuidOf(made.ID))
		files = func() {
			b.keepFolder(*made, t, at)
			come()
			remove()
		}
	}
	return d, leftOf(d.Result, at), files, nil
}

// leftOf are the reports of security tools that lie in a build's folder.
func leftOf(r tool.Result, at Room) (left []Left) {
	for _, g := range r.Reports {
		if g.Tests != nil {
			continue
		}
		for _, name := range g.Files {
			left = append(left, Left{Group: g.Group, Format: g.Format, Name: name, Open: func() (*os.File, error) {
				root, err := os.OpenRoot(filepath.Join(at.Dir, "src")) // what a link in it points at outside is not there
				if err != nil {
					return nil, err
				}
				defer root.Close()
				return root.Open(name)
			}})
		}
	}
	return left
}

// progress writes down the phases of a build as they pass. What follows quickly
// on each other is written down together.
type progress struct {
	b    *Builds
	ctx  context.Context
	l    work.Lease
	made Build // facts that the worker found out

	mu     sync.Mutex
	phases []tool.Phase
	news   chan struct{}
	stop   chan struct{}
	over   chan struct{}
}

func (b *Builds) follow(ctx context.Context, l work.Lease, made Build) *progress {
	p := &progress{b: b, ctx: ctx, l: l, made: made, news: make(chan struct{}, 1), stop: make(chan struct{}), over: make(chan struct{})}
	go p.run()
	return p
}

// changed is told of each phase when it begins and when it ends.
func (p *progress) changed(t tool.Phase) {
	p.mu.Lock()
	if n := len(p.phases); n > 0 && p.phases[n-1].Name == t.Name {
		p.phases[n-1] = t
	} else {
		p.phases = append(p.phases, t)
	}
	p.mu.Unlock()
	select {
	case p.news <- struct{}{}:
	default:
	}
}

const together = 150 * time.Millisecond

func (p *progress) run() {
	defer close(p.over)
	for {
		select {
		case <-p.stop:
			return
		case <-p.news:
		}
		p.mu.Lock()
		phases := append([]tool.Phase(nil), p.phases...)
		p.mu.Unlock()
		if err := p.b.pass(p.ctx, p.l, p.made.Facts, phases); err != nil && p.ctx.Err() == nil && !errors.Is(err, work.ErrLost) {
			p.b.config.Log.Warn("writing down how far a build is", "build", p.made.ID, "err", err)
		}
		select {
		case <-p.stop:
			return
		case <-time.After(together):
		}
	}
}

// end stops writing: what is not written down yet is so with the result.
func (p *progress) end() {
	close(p.stop)
	<-p.over
}

// pass writes down how far a build is, if the lease is still good.
func (b *Builds) pass(ctx context.Context, l work.Lease, facts *Facts, phases []tool.Phase) error {
	return b.db.Write(ctx, func(tx *db.Tx) error {
		if _, err := b.config.Work.Hold(tx, l); err != nil {
			return err
		}
		made, err := find(tx, string(l.Body))
		if err != nil || made.Status.Ended() {
			return err
		}
		if facts != nil {
			made.learn(facts)
		}
		made.follow(phases)
		if err := b.tellNew(tx, &made); err != nil {
			return err
		}
		return keep(tx, made, b.runEnds(made, made.Phases[len(made.Phases)-1].Started))
	})
}

// learn takes over what a worker found out at the start.
func (b *Build) learn(f *Facts) {
	b.Facts.Protected, b.Facts.Trusted, b.Facts.Why = f.Protected, f.Trusted, f.Why
}

// follow makes the phases of a build those that its worker tells of.
func (b *Build) follow(phases []tool.Phase) {
	if len(phases) == 0 {
		return
	}
	told := b.Facts.Told
	b.restart()
	b.Facts.Told = told
	for _, p := range phases {
		if p.Name == Completed || !knownPhase(p.Name) {
			continue
		}
		one := Phase{Type: p.Name, Started: p.Started}
		if p.Status == tool.InProgress {
			one.Status = InProgress
		} else {
			one.end(Status(p.Status), p.Ended, contextOf(p)...)
		}
		b.Phases, b.Phase = append(b.Phases, one), p.Name
	}
}

func knownPhase(name string) bool { return contains(phaseNames, name) }

// contextOf says why a phase failed, with CodeBuild's code.
func contextOf(p tool.Phase) []Context {
	if p.Message == "" {
		return nil
	}
	code := "COMMAND_EXECUTION_ERROR"
	switch {
	case p.Status == tool.TimedOut:
		code = "BUILD_TIMED_OUT"
	case p.Status == tool.Fault:
		code = "INTERNAL_SERVICE_ERROR"
	case p.Name == UploadArtifacts || p.Name == DownloadSource || p.Name == Provisioning:
		code = "CLIENT_ERROR"
	}
	return []Context{{code, clip(p.Message, 2000)}}
}
