package app

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"sync"

	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/tool/scan/history"
	"github.com/haechi-dev/haechi/tool/scan/secret"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/finding"
)

// lives is the scanner of secrets as the server has it: of a commit it sees the
// whole history. A secret that was taken out of the files is known to all who
// have cloned them, so its finding stays until somebody has made it worthless.
type lives struct{ *secret.Scanner }

// For is the scanner for a repository.
func (l lives) For(repository string) scan.Scanner { return lives{l.Of(repository)} }

// Begin starts on a commit, or on any other tree as the scanner within does.
func (l lives) Begin(ctx context.Context, tree fs.FS, out scan.Out) scan.Pass {
	commit, ok := tree.(interface{ Commit() (*git.Repo, string) })
	if !ok {
		return l.Scanner.Begin(ctx, tree, out)
	}
	p := &livesPass{ctx: ctx, scanner: l.Scanner, out: out, here: map[string]finding.Finding{}}
	p.repo, p.commit = commit.Commit()
	inner := out
	inner.Finding = func(f finding.Finding) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.here[f.ProductFields[finding.FieldFingerprint]] = f
	}
	p.Pass = l.Scanner.Begin(ctx, tree, inner)
	return p
}

type livesPass struct {
	scan.Pass
	ctx     context.Context
	scanner *secret.Scanner
	out     scan.Out
	repo    *git.Repo
	commit  string

	mu   sync.Mutex
	here map[string]finding.Finding // in the files of the commit
}

// End looks through the history, and tells of each secret since when, by whom
// and whether the files hold it still.
func (p *livesPass) End() error {
	if err := p.Pass.End(); err != nil {
		return err
	}
	r, err := history.Scan(p.ctx, history.Config{Repo: p.repo, Scanner: p.scanner, Heads: []string{p.commit}, Head: p.commit, Memory: filepath.Join(p.repo.Dir(), "haechi-scanned")})
	if err != nil {
		for _, f := range p.here {
			p.out.Finding(f)
		}
		return fmt.Errorf("looking through the history: %w", err)
	}
	for _, f := range r.Findings {
		key := f.ProductFields[finding.FieldFingerprint]
		if here, ok := p.here[key]; ok {
			delete(p.here, key)
			fields := maps.Clone(here.ProductFields)
			for _, name := range []string{finding.FieldSince, finding.FieldSinceTime, finding.FieldAuthor} {
				if v := f.ProductFields[name]; v != "" {
					fields[name] = v
				}
			}
			fields[finding.FieldStill] = finding.InHead
			here.ProductFields = fields
			f = here
		}
		p.out.Finding(f)
	}
	for _, f := range p.here {
		p.out.Finding(f)
	}
	for _, place := range r.Skipped {
		p.out.Unread(diag.Place{File: "history/" + place.File, Line: place.Line, Why: place.Why})
	}
	return nil
}
