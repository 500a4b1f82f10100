// Package deps lists the components that a tree's lock files and manifests name, and finds those with known vulnerabilities.
package deps

import (
	"cmp"
	"context"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
)

// Scanner reads package-lock.json, go.mod, requirements.txt and pom.xml. It is
// safe for use by any number of goroutines.
type Scanner struct{ advisories *advisory.Index }

// New matches what it lists against advisories.
func New(advisories *advisory.Index) *Scanner { return &Scanner{advisories} }

// Name is "deps".
func (s *Scanner) Name() string { return "deps" }

// Version tells how new the advisories are.
func (s *Scanner) Version() string {
	about := s.advisories.About()
	return "advisories " + cmp.Or(about.Newest, about.Built.Format("2006-01-02"))
}

// parser reads one manifest. What is wrong with it as a whole is its error.
type parser func(ctx context.Context, f manifest, out func(component.Component)) error

// manifest is a file that names components, and the tree for what it refers to.
type manifest struct {
	path    string
	content []byte
	tree    fs.FS
}

// parserOf is the parser for a path, or nil.
func parserOf(name string) parser {
	switch base := path.Base(name); {
	case base == "package-lock.json", base == "npm-shrinkwrap.json":
		return npmLock
	case base == "go.mod":
		return goMod
	case base == "pom.xml", strings.HasSuffix(base, ".pom"):
		return pom
	case isRequirements(name):
		return requirements
	}
	return nil
}

// Wants the manifests that there are parsers for.
func (s *Scanner) Wants(name string) bool { return parserOf(name) != nil }

// Begin starts on a tree.
func (s *Scanner) Begin(ctx context.Context, tree fs.FS, out scan.Out) scan.Pass {
	return &pass{scanner: s, ctx: ctx, tree: tree, out: out, noData: map[string]diag.Place{}}
}

type pass struct {
	scanner *Scanner
	ctx     context.Context
	tree    fs.FS
	out     scan.Out

	mu     sync.Mutex
	noData map[string]diag.Place // ecosystems without advisories: where one was met first
}

func (p *pass) File(f scan.File) error {
	parse := parserOf(f.Path)
	if f.Binary {
		return diag.Errorf(diag.Place{File: f.Path}, "this is no text")
	}
	var listed []component.Component
	err := parse(p.ctx, manifest{f.Path, f.Content, p.tree}, func(c component.Component) { listed = append(listed, c) })
	if err != nil {
		return err
	}
	for _, c := range listed {
		p.out.Component(c)
	}
	return p.match(f.Path, listed)
}

// match reports the bugs of what a manifest lists.
func (p *pass) match(file string, listed []component.Component) error {
	found := map[string]*vulnerable{}
	for _, c := range listed {
		if c.State != component.Resolved {
			continue
		}
		if !p.scanner.advisories.Knows(c.Ecosystem) {
			p.without(c)
			continue
		}
		matches, err := p.scanner.advisories.Match(c.Ecosystem, c.Name, c.Version)
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
	for _, v := range found {
		p.out.Finding(v.finding())
	}
	return nil
}

func (p *pass) without(c component.Component) {
	p.mu.Lock()
	defer p.mu.Unlock()
	first, ok := p.noData[c.Ecosystem]
	if !ok || c.Place.File < first.File {
		p.noData[c.Ecosystem] = diag.Place{File: c.Place.File}
	}
}

// End says on which ecosystems there are no advisories: no finding there is no good news.
func (p *pass) End() error {
	for ecosystem, place := range p.noData {
		place.Why = "NO DATA: the advisories hold nothing on " + ecosystem
		p.out.Unread(place)
	}
	return nil
}

// purl is a package URL without version.
func purl(kind, namespace, name string) string {
	var b strings.Builder
	b.WriteString("pkg:" + kind + "/")
	if namespace != "" {
		for part := range strings.SplitSeq(namespace, "/") {
			b.WriteString(escape(part) + "/")
		}
	}
	return b.String() + escape(name)
}

// escape percent-encodes what the specification of package URLs says: all but
// letters, digits and a few marks.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '.', c == '-', c == '_', c == '~':
			b.WriteByte(c)
		default:
			const hex = "0123456789ABCDEF"
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
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
