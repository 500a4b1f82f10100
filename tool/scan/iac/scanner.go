package iac

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/haechi-dev/haechi/lang/guard"
	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// Scanner holds the infrastructure of a tree against rules.
type Scanner struct {
	rules     []Rule
	base      fs.FS // whose rules count, with every is false
	every     bool  // the tree's own rules count
	version   string
	unread    []diag.Place // rules that cannot be read
	proposals bool
}

// Name is iac.
func (s *Scanner) Name() string { return "iac" }

// Version changes when the rules do.
func (s *Scanner) Version() string { return s.version }

// New is a scanner with rules that come from elsewhere. Rules of the tree that it
// scans (RulesFolder) count too, as long as nobody calls Under.
func New(rules ...Rule) *Scanner {
	return (&Scanner{rules: rules, every: true}).versioned()
}

// Rules are those that count.
func (s *Scanner) Rules() []Rule { return s.rules }

// Under is the scanner for a change to a repository whose protected branch is base:
// the rules that stand there count, those of the tree that is scanned are proposals.
// base may be nil, where there is nothing that counts yet.
func (s *Scanner) Under(base fs.FS) scan.Scanner {
	own := &Scanner{rules: slices.Clone(s.rules), base: base, proposals: true}
	if base != nil {
		rules, unread := RulesIn(base, RulesFolder)
		own.rules, own.unread = append(own.rules, rules...), unread
	}
	return own.versioned()
}

func (s *Scanner) versioned() *Scanner {
	h := sha256.New()
	for _, r := range s.rules {
		fmt.Fprintln(h, r.Policy.ID, r.Policy.Digest)
	}
	s.version = "1." + hex.EncodeToString(h.Sum(nil)[:6])
	return s
}

// Wants are templates, manifests, build files and Terraform's files.
func (s *Scanner) Wants(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".yaml", ".yml", ".json", ".template", ".jsn", ".tf":
		base := path.Base(name)
		return base != "package-lock.json" && base != "composer.lock"
	}
	return scan.IsDockerfile(name)
}

// Begin begins a pass over a tree.
func (s *Scanner) Begin(ctx context.Context, tree fs.FS, out scan.Out) scan.Pass {
	p := &pass{ctx: ctx, scanner: s, tree: tree, out: out, rules: s.rules, found: map[string]finding.Finding{}, modules: map[string]bool{}, library: newLibrary(tree), charts: map[string]bool{}}
	for _, u := range s.unread {
		out.Unread(u)
	}
	if s.every || s.proposals {
		p.ownRules()
	}
	p.byType = byType(p.rules)
	return p
}

// ownRules takes in the rules of the tree itself.
func (p *pass) ownRules() {
	own, unread := RulesIn(p.tree, RulesFolder)
	for _, u := range unread {
		p.out.Unread(u)
	}
	for _, r := range own {
		known := slices.ContainsFunc(p.rules, func(x Rule) bool { return x.Policy.ID == r.Policy.ID && x.Policy.Digest == r.Policy.Digest })
		if known {
			continue
		}
		r.Proposal = p.scanner.proposals
		p.rules = append(slices.Clip(p.rules), r)
	}
}

// pass is the scanner at work on one tree.
type pass struct {
	ctx     context.Context
	scanner *Scanner
	tree    fs.FS
	out     scan.Out
	rules   []Rule
	byType  map[string][]int // of rules, by the types they are about

	mu        sync.Mutex
	found     map[string]finding.Finding // by fingerprint
	templates []*guard.Document          // of CloudFormation: they may nest each other
	modules   map[string]bool            // folders of Terraform
	library   *library
	charts    map[string]bool // whose templates are not rendered
}

// File looks at one file.
func (p *pass) File(f scan.File) error {
	if f.Binary {
		return nil
	}
	if path.Ext(f.Path) == ".tf" || strings.HasSuffix(f.Path, ".tf.json") {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.modules[path.Dir(f.Path)] = true
		return nil
	}
	if p.unrendered(f) {
		return nil
	}
	if scan.IsDockerfile(f.Path) {
		doc, err := dockerfile(f.Path, f.Content)
		if err != nil {
			return err
		}
		return p.check(doc, f.Path, f.Content)
	}
	if !mayHold(f.Path, f.Content) {
		return nil
	}
	if len(f.Content) > maxTemplate {
		if surely(f.Path, f.Content) || isPlanText(f.Content) {
			return fault.Limit.Errorf("larger than %d MB", maxTemplate>>20)
		}
		return nil
	}
	docs, err := guard.LoadAll(f.Path, f.Content)
	if err != nil {
		switch {
		case !surely(f.Path, f.Content):
			return nil // a file of something else
		case templated().Match(f.Content):
			p.keep(notFilled(f.Path))
			return nil
		}
		return err
	}
	if len(docs) == 1 && isCloudFormation(docs[0].Root()) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.templates = append(p.templates, docs[0])
		return nil
	}
	made, err := readDocuments(p.tree, f.Path, docs)
	if err != nil {
		return err
	}
	for _, doc := range made {
		if err := p.check(doc, f.Path, f.Content); err != nil {
			return err
		}
	}
	return nil
}

// unrendered tells whether a file is a template of a Helm chart: it says nothing
// before Helm has put the values in.
func (p *pass) unrendered(f scan.File) bool {
	if !strings.Contains(string(f.Content), "{{") {
		return false
	}
	for dir := path.Dir(f.Path); dir != "."; dir = path.Dir(dir) {
		if path.Base(dir) != "templates" {
			continue
		}
		chart := path.Dir(dir)
		if _, err := fs.Stat(p.tree, path.Join(chart, "Chart.yaml")); err == nil {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.charts[chart] = true
			return true
		}
	}
	return false
}

// End looks at what takes more than one file, and hands over what was found.
func (p *pass) End() error {
	for chart := range p.charts {
		p.keep(notRendered(chart))
	}
	var work []func() error
	work = append(work, p.templateWork()...)
	for _, dir := range p.rootModules() {
		work = append(work, func() error { return p.module(dir) })
	}
	p.all(work)
	for _, t := range unrepeated(p.library.torn) {
		p.out.Unread(t)
	}
	for _, x := range p.inOrder() {
		p.out.Finding(p.found[x.fingerprint])
		delete(p.found, x.fingerprint) // of a large plan there are many: they are held once
	}
	return nil
}

// placedFinding is a finding by its place.
type placedFinding struct {
	place       diag.Place
	fingerprint string
}

// inOrder are the findings in the order of their places.
func (p *pass) inOrder() []placedFinding {
	all := make([]placedFinding, 0, len(p.found))
	for fingerprint, f := range p.found {
		all = append(all, placedFinding{f.Place(), fingerprint})
	}
	slices.SortFunc(all, func(a, b placedFinding) int {
		return cmp.Or(strings.Compare(a.place.File, b.place.File), a.place.Line-b.place.Line, a.place.Column-b.place.Column, strings.Compare(a.fingerprint, b.fingerprint))
	})
	return all
}

// all does pieces of work, as many at a time as there are processors.
func (p *pass) all(work []func() error) {
	var group sync.WaitGroup
	turn := make(chan struct{}, max(1, runtime.GOMAXPROCS(0)))
	for _, w := range work {
		if p.ctx.Err() != nil {
			break
		}
		turn <- struct{}{}
		group.Go(func() {
			defer func() { <-turn }()
			defer func() {
				if r := recover(); r != nil {
					p.out.Unread(diag.Place{File: ".", Why: fmt.Sprintf("the scanner broke on it: %v", r)})
				}
			}()
			if err := w(); err != nil {
				p.out.Unread(unreadOf(err))
			}
		})
	}
	group.Wait()
}

func unreadOf(err error) diag.Place {
	var at *diag.Error
	if errors.As(err, &at) {
		place := at.Place
		place.Why = at.Message
		return place
	}
	return diag.Place{File: ".", Why: err.Error()}
}

// templateWork is to look at every template, those alone last that others nest:
// what they are given counts.
func (p *pass) templateWork() []func() error {
	slices.SortFunc(p.templates, func(a, b *guard.Document) int { return strings.Compare(a.Name(), b.Name()) })
	type made struct {
		doc    *guard.Document
		nested []string
		err    error
	}
	all := make([]made, len(p.templates))
	var work []func() error
	for i, raw := range p.templates {
		work = append(work, func() error {
			all[i].doc, all[i].nested, all[i].err = cloudFormation(p.tree, raw)
			return all[i].err
		})
	}
	p.all(work)
	inside := map[string]bool{}
	for _, m := range all {
		for _, n := range m.nested {
			inside[n] = true
		}
	}
	work = nil
	for i, m := range all {
		if m.err == nil && !inside[p.templates[i].Name()] {
			work = append(work, func() error { return p.check(m.doc, "", nil) })
		}
	}
	return work
}
