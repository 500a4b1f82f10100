// Package secret finds passwords, keys and tokens that stand in files.
package secret

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	rules "github.com/haechi-dev/haechi/rules/secret"
	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// generation is raised when what is written by hand finds something else: who
// remembers what was scanned scans it again.
const generation = 1

// Scanner finds secrets. It is safe for use by any number of goroutines.
type Scanner struct {
	engine  *engine
	salt    []byte
	version string
	config  *Config // rules and allowlists that a repository brings; may be nil
	allow   *Allow  // secrets that it lets be; may be nil
	now     time.Time
	fixed   bool // the salt is a repository's already
}

// New is a scanner with the rules that come with Haechi. Salt keys the hashes
// by which the same secret is known again; give each repository its own, so
// that nobody can tell from two reports that two repositories share a secret.
func New(salt []byte) *Scanner {
	parsed, err := ParseRules(rules.Files)
	if err != nil {
		panic(fmt.Sprintf("secret: %v", err)) // the rules are part of the program, and a test reads them
	}
	s, err := With(parsed, salt)
	if err != nil {
		panic(fmt.Sprintf("secret: %v", err))
	}
	return s
}

// With is a scanner with these rules.
func With(parsed []*Rule, salt []byte) (*Scanner, error) {
	e, err := newEngine(parsed)
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	fmt.Fprintln(h, generation)
	for _, r := range parsed {
		fmt.Fprintln(h, r.ID, r.Severity, r.keywords, r.names, r.lexer, r.source, r.before, r.entropy, r.rank)
	}
	return &Scanner{engine: e, salt: salt, version: hex.EncodeToString(h.Sum(nil)[:6])}, nil
}

// Configured is the scanner with the rules and allowlists of a file of gitleaks,
// and its own as far as that extends them.
func (s *Scanner) Configured(c *Config) *Scanner {
	own := *s
	own.config = c
	own.version = s.version + "+" + c.version
	return &own
}

// Allowing is the scanner that notes of the secrets that a repository lets be
// why it does so, as it notes it of a comment. now decides what has ended.
func (s *Scanner) Allowing(a *Allow, now time.Time) *Scanner {
	own := *s
	own.allow, own.now = a, now
	if len(a.Salt) > 0 {
		own.salt, own.fixed = a.Salt, true
	}
	return &own
}

// AllowsCommit tells whether its configuration lets everything of a commit be.
func (s *Scanner) AllowsCommit(id string) bool { return s.config.AllowsCommit(id) }

// Name is "secret".
func (s *Scanner) Name() string { return "secret" }

// Version tells the set of rules.
func (s *Scanner) Version() string { return s.version }

// Wants every file that people write.
func (s *Scanner) Wants(path string) bool {
	return isArchive(path) || !genreOf(path).none || s.config.names(path)
}

// For is the scanner for a repository: it has the same rules, and a salt of
// its own, so that nobody can tell from two reports that two repositories
// share a secret.
func (s *Scanner) For(repository string) scan.Scanner { return s.Of(repository) }

// Of is For, for those who check files one by one.
func (s *Scanner) Of(repository string) *Scanner {
	own := *s
	if !s.fixed {
		own.salt = SaltOf(s.salt, repository)
	}
	return &own
}

// SaltOf is the salt of a repository, from that of the installation.
func SaltOf(salt []byte, repository string) []byte {
	m := hmac.New(sha256.New, append([]byte("haechi/repository/"), salt...))
	m.Write([]byte(repository))
	return m.Sum(nil)
}

// Begin starts on a tree.
func (s *Scanner) Begin(_ context.Context, _ fs.FS, out scan.Out) scan.Pass {
	return &pass{scanner: s, out: out, found: gathered{}}
}

type pass struct {
	scanner *Scanner
	out     scan.Out

	mu    sync.Mutex
	found gathered
}

func (p *pass) File(f scan.File) error {
	findings, err := p.scanner.look(f.Path, f.Content, f.Binary)
	p.mu.Lock()
	p.found.add(findings...)
	p.mu.Unlock()
	return err
}

// Large looks into no large binary but those whose content is not what they are: archives, and what a configuration names.
func (p *pass) Large(f scan.LargeFile) (done bool, err error) {
	return !isArchive(f.Path) && !p.scanner.config.names(f.Path), nil
}

// End tells of each secret once, with all its places.
func (p *pass) End() error {
	for _, f := range p.found.merged() {
		p.out.Finding(f)
	}
	return nil
}

// Look is what one file holds, an archive's files among them. An error says
// that some of it could not be looked at.
func (s *Scanner) Look(path string, content []byte) ([]finding.Finding, error) {
	return s.look(path, content, bytes.IndexByte(content[:min(len(content), 8<<10)], 0) >= 0)
}

func (s *Scanner) look(path string, content []byte, binary bool) (all []finding.Finding, err error) {
	keep := func(path string, content []byte) {
		findings, whole := s.check(path, content)
		all = append(all, findings...)
		if !whole {
			err = fault.Limit.Errorf("it holds so much that looks like secrets, or is encoded, that some was left out")
		}
	}
	switch {
	case isArchive(path):
		if wrong := Unpack(path, content, keep); wrong != nil {
			err = wrong
		}
	case !binary:
		keep(path, content)
	}
	if binary && s.config.names(path) {
		keep(path, nil) // only its name says something
	}
	return all, err
}

// Check is what one file holds: one finding for each secret, at its first
// place. The findings hold no secret in clear; finding.Maker.Own completes them.
func (s *Scanner) Check(path string, content []byte) []finding.Finding {
	findings, _ := s.check(path, content)
	return findings
}

// check is Check, and whether all of the file was looked at.
func (s *Scanner) check(path string, content []byte) (findings []finding.Finding, whole bool) {
	hits, whole := s.hits(path, content)
	return s.findings(strings.ToValidUTF8(path, "\uFFFD"), content, hits), whole
}

func (s *Scanner) hits(path string, content []byte) (hits []hit, whole bool) {
	g := genreOf(path)
	if s.config == nil {
		if g.none {
			return nil, true
		}
		return s.engine.hits(path, content, g)
	}
	if s.config.skips(path) {
		return nil, true
	}
	whole = true
	if s.config.own && !g.none {
		hits, whole = s.engine.hits(path, content, g)
		hits = s.config.keep(path, content, hits)
	}
	more, all := s.config.hits(path, content)
	decodeRuns(content, &s.engine.base64, func(r run) {
		inner, _ := s.config.hits(path, r.text)
		for _, h := range inner {
			h.start, h.end, h.depth = r.start, r.end, 1
			more = append(more, h)
		}
	})
	return settle(append(hits, more...), nil), whole && all
}
