package scan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/haechi-dev/haechi/word/asset"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/finding"
)

// Options say what is looked at, and for whom.
type Options struct {
	Scanners []Scanner
	Target   string // what the tree is called: see finding.Scan
	Branch   string
	Commit   string

	Skip     []string               // names of folders that are not entered; nil for SkipFolders
	Ignore   func(path string) bool // files that nobody looks at, as the protected base branch says; may be nil
	MaxFile  int64                  // text files over it are reported as not looked at; 0 for 128 MiB
	Progress func(files int, bytes int64)
}

// SkipFolders are the folders that are not entered unless Options say otherwise:
// the state of version control, and what package managers put beside the sources.
func SkipFolders() []string {
	return []string{".git", ".hg", ".svn", "node_modules", "bower_components", ".venv", "__pycache__", ".terraform", ".tox"}
}

// Result is what all scanners saw.
type Result struct {
	Runs       []Run                 // in the order of Options.Scanners
	Components []component.Component // of all runs, in the order of their places
	Items      []asset.Item
	Files      int   // files that at least one scanner saw
	Bytes      int64 // in them
}

// Run is what one scanner did.
type Run struct {
	Scan     finding.Scan
	Findings []finding.Finding // raw: Result.Own completes them

	Components []component.Component // that it listed
}

// Scans are the scans of all runs.
func (r Result) Scans() []finding.Scan {
	scans := make([]finding.Scan, len(r.Runs))
	for i, run := range r.Runs {
		scans[i] = run.Scan
	}
	return scans
}

// Own is all findings, completed for their owner.
func (r Result) Own(m finding.Maker, now time.Time) []finding.Finding {
	var all []finding.Finding
	for _, run := range r.Runs {
		for _, f := range run.Findings {
			all = append(all, m.Own(run.Scan, f, now))
		}
	}
	return all
}

// Tree walks tree and shows each file to the scanners that want it. The same
// tree gives the same result, in the same order. Links are not followed: what
// they point at inside the tree is met on its own. What cannot be read makes
// the scans that wanted it incomplete; only the end of ctx is an error.
func Tree(ctx context.Context, tree fs.FS, o Options) (Result, error) {
	w := newWalk(ctx, tree, o)
	paths := make(chan string, 256)
	var workers sync.WaitGroup
	for range max(1, runtime.GOMAXPROCS(0)) {
		workers.Go(func() { w.work(paths) })
	}
	w.list(paths)
	close(paths)
	workers.Wait()
	if err := ctx.Err(); err != nil {
		return Result{}, fmt.Errorf("scanning %s: %w", cmp.Or(o.Target, "the tree"), err)
	}
	return w.finish(), nil
}

// pass is one scanner's part of a walk.
type pass struct {
	scanner Scanner
	pass    Pass

	mu         sync.Mutex
	findings   []finding.Finding
	components []component.Component
	skipped    []diag.Place
}

type walk struct {
	ctx    context.Context
	tree   fs.FS
	o      Options
	skip   map[string]bool
	passes []*pass

	mu    sync.Mutex
	items []asset.Item
	files int
	bytes int64
}

func newWalk(ctx context.Context, tree fs.FS, o Options) *walk {
	o.MaxFile = cmp.Or(o.MaxFile, 128<<20)
	if o.Skip == nil {
		o.Skip = SkipFolders()
	}
	w := &walk{ctx: ctx, tree: tree, o: o, skip: map[string]bool{}}
	for _, name := range o.Skip {
		w.skip[name] = true
	}
	for _, s := range o.Scanners {
		if targeted, ok := s.(Targeted); ok {
			s = targeted.For(o.Target)
		}
		p := &pass{scanner: s}
		p.pass = s.Begin(ctx, tree, w.out(p))
		w.passes = append(w.passes, p)
	}
	return w
}

func (w *walk) out(p *pass) Out {
	return Out{
		Finding: func(f finding.Finding) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.findings = append(p.findings, f)
		},
		Unread: p.unread,
		Component: func(c component.Component) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.components = append(p.components, c)
		},
		Item: func(i asset.Item) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.items = append(w.items, i)
		},
	}
}

func (p *pass) unread(place diag.Place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.skipped = append(p.skipped, place)
}

// list sends the path of every file that somebody wants.
func (w *walk) list(paths chan<- string) {
	err := fs.WalkDir(w.tree, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case w.ctx.Err() != nil:
			return fs.SkipAll
		case err != nil:
			w.unreadAll(diag.Place{File: name, Why: reason(err)})
			if d != nil && d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			if name != "." && w.skip[path.Base(name)] {
				return fs.SkipDir
			}
			return nil
		case !d.Type().IsRegular(), !w.wanted(name):
			return nil
		}
		paths <- name
		return nil
	})
	if err != nil {
		w.unreadAll(diag.Place{File: ".", Why: reason(err)})
	}
}

func (w *walk) wanted(name string) bool {
	if w.o.Ignore != nil && w.o.Ignore(name) {
		return false
	}
	return slices.ContainsFunc(w.passes, func(p *pass) bool { return p.scanner.Wants(name) })
}

func (w *walk) unreadAll(place diag.Place) {
	place.File = shown(place.File)
	for _, p := range w.passes {
		p.unread(place)
	}
}

// work reads files and shows them. One buffer serves all files of a worker.
func (w *walk) work(paths <-chan string) {
	var r reader
	for name := range paths {
		if w.ctx.Err() != nil {
			continue // the sender must not block
		}
		wanting := slices.DeleteFunc(slices.Clone(w.passes), func(p *pass) bool { return !p.scanner.Wants(name) })
		left, size := w.inPlace(name, wanting)
		if len(left) == 0 && len(wanting) > 0 {
			w.count(size)
			continue
		}
		file, err := r.read(w.tree, name, w.o.MaxFile)
		if errors.Is(err, errHuge) && file.Binary {
			continue // a large binary: no scanner of sources can make anything of it
		}
		for _, p := range left {
			if err == nil {
				p.show(file)
			} else {
				p.unread(diag.Place{File: shown(name), Why: reason(err)})
			}
		}
		if err == nil {
			w.count(int64(len(file.Content)))
		}
	}
}

// inPlace shows a large binary to those who look into it where it lies, and
// answers those who have to see its content, or that of any other file.
func (w *walk) inPlace(name string, wanting []*pass) (left []*pass, size int64) {
	if !slices.ContainsFunc(wanting, func(p *pass) bool { _, ok := p.pass.(LargePass); return ok }) {
		return wanting, 0
	}
	f, err := w.tree.Open(name)
	if err != nil {
		return wanting, 0 // read tells of it
	}
	defer f.Close()
	info, err := f.Stat()
	content, ok := f.(io.ReaderAt)
	if err != nil || !ok || !info.Mode().IsRegular() || info.Size() < LargeFrom {
		return wanting, 0
	}
	beginning := make([]byte, head)
	if _, err := content.ReadAt(beginning, 0); err != nil || !isBinary(beginning) || hasMark(beginning) {
		return wanting, 0
	}
	for _, p := range wanting {
		if !p.large(LargeFile{Path: name, Size: info.Size(), Content: content}) {
			left = append(left, p)
		}
	}
	return left, info.Size()
}

func (w *walk) count(bytes int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.files++
	w.bytes += bytes
	if w.o.Progress != nil {
		w.o.Progress(w.files, w.bytes)
	}
}

// show costs, whatever the file holds, that file alone.
func (p *pass) show(file File) {
	defer func() {
		if r := recover(); r != nil {
			p.unread(diag.Place{File: file.Path, Why: fmt.Sprintf("scanner %s broke on it: %v", p.scanner.Name(), r)})
		}
	}()
	if err := p.pass.File(file); err != nil {
		p.unread(placeOf(file.Path, err))
	}
}

// large tells whether the scanner needs nothing more of a large binary.
func (p *pass) large(file LargeFile) (done bool) {
	l, ok := p.pass.(LargePass)
	if !ok {
		return false
	}
	defer func() {
		if r := recover(); r != nil {
			p.unread(diag.Place{File: shown(file.Path), Why: fmt.Sprintf("scanner %s broke on it: %v", p.scanner.Name(), r)})
			done = true
		}
	}()
	done, err := l.Large(file)
	if err != nil {
		p.unread(placeOf(file.Path, err))
	}
	return done || err != nil
}

func (p *pass) end() {
	defer func() {
		if r := recover(); r != nil {
			p.unread(diag.Place{File: ".", Why: fmt.Sprintf("scanner %s broke at the end: %v", p.scanner.Name(), r)})
		}
	}()
	if err := p.pass.End(); err != nil {
		p.unread(placeOf(".", err))
	}
}

func (w *walk) finish() Result {
	result := Result{Files: w.files, Bytes: w.bytes}
	for _, p := range w.passes {
		p.end()
		slices.SortFunc(p.findings, compareFindings)
		slices.SortFunc(p.skipped, func(a, b diag.Place) int {
			return cmp.Or(comparePlaces(a, b), strings.Compare(a.Why, b.Why))
		})
		s := finding.Scan{Tool: p.scanner.Name(), Target: w.o.Target, Branch: w.o.Branch, Commit: w.o.Commit, Skipped: p.skipped, Complete: len(p.skipped) == 0}
		if v, ok := p.scanner.(Version); ok {
			s.Version = v.Version()
		}
		slices.SortFunc(p.components, compareComponents)
		result.Runs = append(result.Runs, Run{Scan: s, Findings: p.findings, Components: p.components})
	}
	slices.SortFunc(w.items, func(a, b asset.Item) int {
		return cmp.Or(comparePlaces(a.Place, b.Place), strings.Compare(a.Type, b.Type), strings.Compare(a.ID, b.ID))
	})
	for _, run := range result.Runs {
		result.Components = append(result.Components, run.Components...)
	}
	slices.SortStableFunc(result.Components, compareComponents)
	result.Items = w.items
	return result
}

func compareFindings(a, b finding.Finding) int {
	return cmp.Or(comparePlaces(a.Place(), b.Place()), strings.Compare(a.GeneratorID, b.GeneratorID),
		strings.Compare(a.ProductFields[finding.FieldFingerprint], b.ProductFields[finding.FieldFingerprint]),
		strings.Compare(a.Title, b.Title))
}

func compareComponents(a, b component.Component) int {
	return cmp.Or(comparePlaces(a.Place, b.Place), strings.Compare(a.PURL, b.PURL), strings.Compare(a.Version, b.Version), slices.Compare(a.Path, b.Path))
}

func comparePlaces(a, b diag.Place) int {
	return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line, a.Column-b.Column)
}

// placeOf is where err says it is, or else the file as a whole.
func placeOf(file string, err error) diag.Place {
	var at *diag.Error
	if errors.As(err, &at) && at.File != "" {
		p := at.Place
		p.Why = at.Message
		return p
	}
	return diag.Place{File: file, Why: reason(err)}
}

// shown is a name that JSON can hold: file systems take any bytes.
func shown(name string) string { return strings.ToValidUTF8(name, "\uFFFD") }

// reason is err without the path that Place says already.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}
