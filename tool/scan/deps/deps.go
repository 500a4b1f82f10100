// Package deps lists the components that a tree's lock files and manifests name, and finds those with known vulnerabilities.
package deps

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
)

// Scanner lists components and matches them. It is safe for use by any number of goroutines.
type Scanner struct {
	advisories *advisory.Index
	formats    []format
	named      map[string]*format // by the base name of a file
	local      Local
	now        time.Time
	reaching   bool
	calls      Calls
}

// Local is what package managers keep on this machine, where it may be looked
// at: it says what manifests leave to be looked up elsewhere. Each may be nil.
type Local struct {
	Maven fs.FS // a repository as ~/.m2/repository is laid out
	Go    fs.FS // a module cache as GOMODCACHE is
	Cargo fs.FS // as ~/.cargo is
}

// New matches what it lists against advisories; nil only lists.
func New(advisories *advisory.Index) *Scanner {
	s := &Scanner{advisories: advisories, formats: formats(), named: map[string]*format{}}
	for i := range s.formats {
		for _, name := range s.formats[i].names {
			s.named[name] = &s.formats[i]
		}
	}
	return s
}

// Beside is s that looks up in local what manifests do not say.
func (s *Scanner) Beside(local Local) *Scanner {
	other := *s
	other.local = local
	return &other
}

// At is s that says NO DATA where the newest advisory on an ecosystem is older
// than OldData at that time.
func (s *Scanner) At(now time.Time) *Scanner {
	other := *s
	other.now = now
	return &other
}

// OldData is the age from which advisories say too little about what is used today.
const OldData = 90 * 24 * time.Hour

// old tells whether the advisories on an ecosystem are too old, and how old they are.
func (s *Scanner) old(ecosystem string) (why string, old bool) {
	if s.now.IsZero() {
		return "", false
	}
	base, _, _ := strings.Cut(ecosystem, ":")
	newest, err := time.Parse(time.RFC3339, s.advisories.About().Latest[base])
	if err != nil || s.now.Sub(newest) < OldData {
		return "", false
	}
	return "the newest advisory is of " + newest.Format("2006-01-02"), true
}

// Name is "deps".
func (s *Scanner) Name() string { return "deps" }

// Version tells how new the advisories are.
func (s *Scanner) Version() string {
	if s.advisories == nil {
		return ""
	}
	about := s.advisories.About()
	return "advisories " + cmp.Or(about.Newest, about.Built.Format("2006-01-02"))
}

// parser reads one manifest. What is wrong with it as a whole is its error.
type parser func(ctx context.Context, f manifest, out func(component.Component)) error

// manifest is a file that names components, and where to look for what it refers to.
type manifest struct {
	path    string
	content []byte
	tree    fs.FS
	local   Local
}

// format is one kind of file that names components.
type format struct {
	names  []string               // what such files are called, or
	match  func(name string) bool // tells by the whole path
	binary bool                   // such files are no text
	parse  parser
	large  func(ctx context.Context, f scan.LargeFile, out func(component.Component)) error // parse, where it lies; may be nil
}

// formatOf is the format for a path, or nil.
func (s *Scanner) formatOf(name string) *format {
	if f := s.named[path.Base(name)]; f != nil {
		return f
	}
	for i := range s.formats {
		if f := &s.formats[i]; f.match != nil && f.match(name) {
			return f
		}
	}
	return nil
}

// Wants the manifests that there are parsers for, and when it is Reaching, sources.
func (s *Scanner) Wants(name string) bool {
	return s.formatOf(name) != nil || s.reaching && languageOf(name) != ""
}

// LargestManifest bounds what a text is read of: far above what people have.
const LargestManifest = 32 << 20

// MostComponents is how many one file may list.
const MostComponents = 100_000

var errTooMany = fmt.Errorf("it lists more than %d components", MostComponents)

// List hands out what one file of a tree lists: all of it, or nothing and an
// error that says where and why. tree is for what it refers to.
func (s *Scanner) List(ctx context.Context, tree fs.FS, file scan.File) ([]component.Component, error) {
	f := s.formatOf(file.Path)
	switch {
	case f == nil:
		return nil, nil
	case file.Binary && !f.binary:
		return nil, diag.Errorf(diag.Place{File: file.Path}, "this is no text")
	case !f.binary && len(file.Content) > LargestManifest:
		return nil, diag.Errorf(diag.Place{File: file.Path}, "%d MB is more than the %d that a manifest may have", len(file.Content)>>20, LargestManifest>>20)
	}
	var listed []component.Component
	over := false
	err := f.parse(ctx, manifest{file.Path, file.Content, tree, s.local}, func(c component.Component) {
		if over = len(listed) >= MostComponents; !over {
			listed = append(listed, c)
		}
	})
	if err == nil && over {
		err = errTooMany
	}
	if err != nil {
		return nil, err
	}
	for i := range listed {
		clean(&listed[i])
	}
	return listed, nil
}

// clean makes text of what files took for it, so that documents can hold it.
func clean(c *component.Component) {
	for _, s := range []*string{&c.Name, &c.Version, &c.Supplier, &c.Integrity, &c.Source, &c.SourceVersion, &c.Place.File} {
		if !utf8.ValidString(*s) {
			*s = strings.ToValidUTF8(*s, "\uFFFD")
		}
	}
	for _, list := range [][]string{c.Licences, c.Path, c.Needs} {
		for i, s := range list {
			if !utf8.ValidString(s) {
				list[i] = strings.ToValidUTF8(s, "\uFFFD")
			}
		}
	}
}

// Begin starts on a tree.
func (s *Scanner) Begin(ctx context.Context, tree fs.FS, out scan.Out) scan.Pass {
	return &pass{scanner: s, ctx: ctx, tree: tree, out: out, noData: map[string]diag.Place{}, seen: map[string]diag.Place{}, imports: newImports()}
}

type pass struct {
	scanner *Scanner
	ctx     context.Context
	tree    fs.FS
	out     scan.Out

	mu     sync.Mutex
	noData map[string]diag.Place // ecosystems without advisories: where one was met first
	seen   map[string]diag.Place // those with
	found  []*vulnerable         // reported at the end, when all imports are known

	imports *imports
}

func (p *pass) File(f scan.File) error {
	if p.scanner.reaching && languageOf(f.Path) != "" && !f.Binary {
		p.imports.read(f.Path, f.Content)
	}
	listed, err := p.scanner.List(p.ctx, p.tree, f)
	if err != nil {
		return err
	}
	if p.scanner.advisories != nil { // who only lists asks for licences once it has all
		p.scanner.Licences(p.tree, listed)
	}
	for _, c := range listed {
		p.out.Component(c)
	}
	return p.judge(f.Path, listed)
}

// Large lists what a large program says of itself, without reading it all.
func (p *pass) Large(f scan.LargeFile) (done bool, err error) {
	format := p.scanner.formatOf(f.Path)
	switch {
	case format == nil:
		return true, nil // it would be asked for what it imports, and is no text
	case format.large == nil:
		return false, nil
	}
	var listed []component.Component
	if err := format.large(p.ctx, f, func(c component.Component) {
		if len(listed) < MostComponents {
			listed = append(listed, c)
		}
	}); err != nil {
		return true, err
	}
	for _, c := range listed {
		p.out.Component(c)
	}
	return true, p.judge(f.Path, listed)
}

// judge says what is to be said of what a manifest lists.
func (p *pass) judge(file string, listed []component.Component) error {
	if p.scanner.advisories == nil {
		return nil
	}
	if f, ok := unresolved(file, listed); ok {
		p.out.Finding(f)
	}
	for _, f := range obligations(file, listed) {
		p.out.Finding(f)
	}
	return p.match(file, listed)
}

// match reports the bugs of what a manifest lists.
func (p *pass) match(file string, listed []component.Component) error {
	found := map[string]*vulnerable{}
	for _, c := range listed {
		if c.State != component.Resolved {
			continue
		}
		if !p.scanner.advisories.Knows(c.Ecosystem) {
			p.met(p.noData, c)
			continue
		}
		p.met(p.seen, c)
		name, version := advised(c)
		matches, err := p.scanner.advisories.Match(c.Ecosystem, name, version)
		if err != nil {
			return err
		}
		for _, m := range matches {
			key := m.ID + "\x00" + c.Name
			if found[key] == nil {
				found[key] = &vulnerable{file: file, bug: m}
			}
			found[key].add(c, m)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, v := range found {
		p.found = append(p.found, v)
	}
	return nil
}

// advised is what advisories call c: a distribution's speak of its source packages.
func advised(c component.Component) (name, version string) {
	return cmp.Or(c.Source, c.Name), cmp.Or(c.SourceVersion, c.Version)
}

// met keeps where an ecosystem was met first.
func (p *pass) met(kept map[string]diag.Place, c component.Component) {
	p.mu.Lock()
	defer p.mu.Unlock()
	first, ok := kept[c.Ecosystem]
	if !ok || c.Place.File < first.File {
		kept[c.Ecosystem] = diag.Place{File: c.Place.File}
	}
}

// End says on which ecosystems there are no advisories, or old ones: no finding there is no good news.
func (p *pass) End() error {
	if p.scanner.calls != nil {
		p.askCalls()
	}
	for _, v := range p.found {
		if p.scanner.reaching && v.reach == NotLooked && p.imports != nil {
			v.reach, v.importedAt = p.imports.of(v.lead())
		}
		p.out.Finding(v.finding())
	}
	for ecosystem, place := range p.noData {
		if ecosystem == Images {
			continue // what is inside them has its own
		}
		place.Why = noDataWhy + "the advisories hold nothing on " + ecosystem
		p.out.Finding(noData(ecosystem, "the advisories hold nothing on it", place))
		if !listedOnly(ecosystem) {
			p.out.Unread(place)
		}
	}
	for ecosystem, place := range p.seen {
		if why, old := p.scanner.old(ecosystem); old {
			p.out.Finding(noData(ecosystem, why, place))
		}
	}
	return nil
}

// lineIndex tells the line of an offset.
type lineIndex []int

func newLineIndex(text []byte) lineIndex {
	starts := lineIndex{0}
	for i, c := range text {
		if c == '\n' {
			starts = append(starts, i+1)
		}
	}
	return starts
}

func (l lineIndex) line(offset int) int {
	i, found := slices.BinarySearch(l, offset)
	if found {
		return i + 1
	}
	return i
}

// readBeside reads a file that a manifest refers to, bounded.
func readBeside(tree fs.FS, name string) ([]byte, bool) {
	const most = 16 << 20
	if !fs.ValidPath(name) {
		return nil, false
	}
	info, err := fs.Stat(tree, name)
	if err != nil || !info.Mode().IsRegular() || info.Size() > most {
		return nil, false
	}
	text, err := fs.ReadFile(tree, name)
	return text, err == nil
}
