package build

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/tool/sandbox"
	"github.com/haechi-dev/haechi/word/fault"
)

// Steps runs steps in the folders of failed builds; tool/sandbox is the first.
type Steps interface {
	Run(ctx context.Context, s sandbox.Step, out io.Writer) (exit int, err error)
}

// How many may be in folders of failed builds at once.
const (
	mostInside    = 32
	mostOfOne     = 4 // of one principal's
	longestInside = 10 * time.Minute
)

// inside are those who are in folders of failed builds.
type inside struct {
	mu     sync.Mutex
	by     map[string]int // by who they are
	in     map[string]int // by the folder
	all    int
	coming map[string]chan struct{} // folders that are about to be kept; closed when they are
	none   chan struct{}            // closed when the last one leaves
	closed bool
}

// enter lets somebody in; leave lets them out. A folder stays as long as somebody is in it.
func (s *inside) enter(who, folder string) (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, fault.Unavailable.Errorf("the server ends")
	case s.by[who] >= mostOfOne:
		return nil, fault.Conflict.Errorf("you are in %d folders of failed builds already, which is how many there may be at once: leave one of them", mostOfOne)
	case s.all >= mostInside:
		return nil, fault.Unavailable.Errorf("%d people are in folders of failed builds already: try again later", mostInside)
	}
	if s.all == 0 {
		s.none = make(chan struct{})
	}
	if s.by == nil {
		s.by, s.in = map[string]int{}, map[string]int{}
	}
	s.all++
	s.by[who]++
	s.in[folder]++
	return sync.OnceFunc(func() { s.left(who, folder) }), nil
}

func (s *inside) left(who, folder string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by[who]--; s.by[who] == 0 {
		delete(s.by, who)
	}
	if s.in[folder]--; s.in[folder] == 0 {
		delete(s.in, folder)
	}
	if s.all--; s.all == 0 {
		close(s.none)
	}
}

// expect says that a folder is about to be kept; come, that it is.
func (s *inside) expect(folder string) (come func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.coming == nil {
		s.coming = map[string]chan struct{}{}
	}
	there := make(chan struct{})
	s.coming[folder] = there
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.coming, folder)
		close(there)
	}
}

// await waits for a folder that is about to be kept.
func (s *inside) await(ctx context.Context, folder string) {
	s.mu.Lock()
	there := s.coming[folder]
	s.mu.Unlock()
	if there == nil {
		return
	}
	select {
	case <-there:
	case <-ctx.Done():
	}
}

// shut moves a folder to where nobody can enter it, unless somebody is in it.
func (s *inside) shut(folder, dir string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.in[folder] > 0 {
		return false
	}
	return os.Rename(dir, dir+removed) == nil
}

// wait lets nobody in any more when ctx ends, and waits for those who are.
func (s *inside) wait(ctx context.Context) error {
	<-ctx.Done()
	s.mu.Lock()
	s.closed = true
	none := s.none
	if s.all == 0 {
		none = nil
	}
	s.mu.Unlock()
	if none != nil {
		<-none
	}
	return nil
}

// entered is somebody in the folder of a failed build.
type entered struct {
	build  Build
	folder Folder
	dir    string
	step   sandbox.Step
	leave  func()
}

// enter opens the folder of a failed build for who, and says what a step in it
// is to be like: in walls as the build had them, without its secrets and with no way out.
func (b *Builds) enter(ctx context.Context, who, build string) (in *entered, err error) {
	here := &entered{}
	if here.build, err = b.Build(ctx, build); err != nil {
		return nil, err
	}
	name := uuidOf(here.build.ID)
	here.dir = filepath.Join(b.keptDir(), name)
	b.inside.await(ctx, name) // a build is said to have ended before its folder was looked through
	if here.leave, err = b.inside.enter(who, name); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			here.leave()
		}
	}()
	text, err := os.ReadFile(filepath.Join(here.dir, "kept.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, b.gone(here.build)
	}
	if err != nil {
		return nil, err
	}
	if b.config.Steps == nil {
		return nil, fault.Unsupported.Errorf("no commands are run here")
	}
	if err := json.Unmarshal(text, &here.folder); err != nil {
		return nil, err
	}
	return here, b.stepIn(ctx, here)
}

// stepIn says what steps in a folder have.
func (b *Builds) stepIn(ctx context.Context, in *entered) error {
	work, m := sandbox.Work, b.config.Machine
	if m.Level != nil {
		if level, err := m.Level(ctx); err != nil {
			return err
		} else if level == sandbox.Bare {
			work = filepath.Join(in.dir, "work")
		}
	}
	in.step = sandbox.Step{Work: filepath.Join(in.dir, "work"), Tools: m.Tools, Limits: m.Limits, Shared: true}
	in.step.Env = slices.Concat(in.folder.Env, b.factsOf(&in.build).Environment(work), []string{"CI=true", "CODEBUILD_BUILD_SUCCEEDING=0"})
	if in.folder.Image == "" {
		return nil
	}
	if m.Images == nil {
		return fault.Unsupported.Errorf("the image %s is not here", in.folder.Image)
	}
	root, err := m.Images.Image(ctx, in.folder.Image)
	if err != nil {
		return err
	}
	leave := in.leave
	in.leave = func() {
		root.Close()
		leave()
	}
	in.step.Root, in.step.AsRoot, in.step.Env = root.Path, root.Owned, append(root.Env, in.step.Env...)
	return nil
}

// gone says why there is no folder of a build.
func (b *Builds) gone(made Build) error {
	switch f := made.Facts; {
	case !made.Status.Ended():
		return fault.Conflict.Errorf("build %s is at work: folders are kept of builds that have failed", made.ID)
	case made.Status == Succeeded:
		return fault.NotFound.Errorf("build %s succeeded: folders are kept of builds that failed", made.ID)
	case f != nil && f.Runner != "":
		return fault.NotFound.Errorf("build %s was done on another machine, by the runner %s: runners keep no folders, and this server does so only of builds that it did itself", made.ID, f.Runner)
	case b.config.KeptFolders < 0:
		return fault.NotFound.Errorf("no folders of failed builds are kept here (builds.failed-folders of haechi.yaml)")
	}
	return fault.NotFound.Errorf("the folder of build %s is not here, or not any more: this server keeps those of the last %d builds that failed on it, for %s, as long as all are smaller than %d MB; aws codebuild retry-build --id %s makes it anew",
		made.ID, b.config.KeptFolders, lasting(b.config.KeptFor), b.config.KeptBytes>>20, made.ID)
}

// lasting is a duration without what is zero of it.
func lasting(d time.Duration) string {
	text := strings.TrimSuffix(d.String(), "0s")
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return cmp.Or(text, "0s")
}

// Shell runs a command of who in the folder of a build that failed. What it
// changes there stays for the next one; cd and export do not.
func (b *Builds) Shell(ctx context.Context, who, build, command string, out io.Writer) (exit int, err error) {
	in, err := b.enter(ctx, who, build)
	if err != nil {
		return -1, err
	}
	defer func() { in.leave() }()
	step := in.step
	step.Argv = []string{in.folder.Shell, "-c", "cd src && " + inShell(command)}
	if step.Limits.Time == 0 || step.Limits.Time > longestInside {
		step.Limits.Time = longestInside
	}
	return b.config.Steps.Run(ctx, step, out)
}

// inShell is a command as one word of a shell, evaluated by it.
func inShell(command string) string {
	return "eval '" + strings.ReplaceAll(command, "'", `'\''`) + "'"
}

// whereabouts is what a prompt calls a build.
func whereabouts(b Build) string { return fmt.Sprintf("%s#%d", b.Project, b.Number) }
