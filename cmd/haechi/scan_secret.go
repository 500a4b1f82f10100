package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/tool/scan/history"
	"github.com/haechi-dev/haechi/tool/scan/secret"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// secretFlags are what was asked of the scanner of secrets.
type secretFlags struct {
	config  string // a .gitleaks.toml
	noAllow bool   // what files let be is shown like the rest
}

// secretScanner is the scanner of secrets for a folder: with the rules that
// were asked for, and what files of the folder let be.
func secretScanner(root string, f secretFlags) (*secret.Scanner, error) {
	s := secret.New(nil)
	allow := &secret.Allow{Salt: secret.SaltOf(nil, originOf(root))}
	if f.config != "" {
		config, err := readConfig(f.config)
		if err != nil {
			return nil, err
		}
		s = s.Configured(config)
	}
	if f.noAllow {
		return s.Allowing(allow, time.Now()), nil
	}
	if text, ok, err := optional(root, secret.AllowFile); err != nil {
		return nil, err
	} else if ok {
		said, err := secret.ParseAllow(secret.AllowFile, text)
		if err != nil {
			return nil, err
		}
		if len(said.Salt) == 0 {
			said.Salt = allow.Salt
		}
		allow = said
	}
	if text, ok, err := optional(root, ".gitleaksignore"); err != nil {
		return nil, err
	} else if ok {
		allow.AddGitleaksIgnore(text)
	}
	if text, ok, err := optional(root, ".secrets.baseline"); err != nil {
		return nil, err
	} else if ok {
		if err := allow.AddBaseline(".secrets.baseline", text); err != nil {
			return nil, err
		}
	}
	if _, ok, err := optional(root, ".gitleaks.toml"); err != nil {
		return nil, err
	} else if ok && f.config == "" {
		config, err := readConfig(filepath.Join(root, ".gitleaks.toml"))
		if err != nil {
			return nil, err
		}
		s = s.Configured(config.Beside())
	}
	return s.Allowing(allow, time.Now()), nil
}

func readConfig(file string) (*secret.Config, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, usagef("-config: %w", err)
	}
	return secret.ParseConfig(file, text, os.DirFS(filepath.Dir(file)))
}

// optional reads a file that may not be there.
func optional(root, name string) (text []byte, ok bool, err error) {
	text, err = os.ReadFile(filepath.Join(root, name))
	if errors.Is(err, os.ErrNotExist) {
		return nil, false, nil
	}
	return text, err == nil, err
}

// originOf is what the repository in a folder is called where it comes from:
// the same in every clone, and so are the fingerprints of secrets. "" if nobody says.
func originOf(root string) string {
	f, err := os.Open(filepath.Join(root, ".git", "config"))
	if err != nil {
		return ""
	}
	defer f.Close()
	within := false
	lines := bufio.NewScanner(io.LimitReader(f, 1<<20))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "[") {
			within = line == `[remote "origin"]`
		}
		if url, ok := strings.CutPrefix(line, "url"); ok && within {
			url = strings.TrimSuffix(strings.TrimRight(strings.TrimLeft(url, " \t="), "/"), ".git")
			return url[strings.LastIndexAny(url, "/:")+1:]
		}
	}
	return ""
}

// scanInput looks for secrets in what is piped in, under a name that says what it is.
func scanInput(c call, f secretFlags, name string) (scan.Result, error) {
	const most = 128 << 20
	s, err := secretScanner(".", f)
	if err != nil {
		return scan.Result{}, err
	}
	text, err := io.ReadAll(io.LimitReader(c.stdin, most+1))
	if err != nil {
		return scan.Result{}, fmt.Errorf("reading standard input: %w", err)
	}
	sc := finding.Scan{Tool: s.Name(), Version: s.Version(), Target: name, Complete: true}
	skip := func(err error) {
		sc.Complete = false
		sc.Skipped = append(sc.Skipped, diag.Place{File: name, Why: err.Error()})
	}
	if len(text) > most {
		skip(fault.Limit.Errorf("only its first %d MB were looked at", most>>20))
		text = text[:most]
	}
	findings, err := s.Look(name, text)
	if err != nil {
		skip(err)
	}
	return scan.Result{Runs: []scan.Run{{Scan: sc, Findings: secret.Merge(findings)}}, Files: 1, Bytes: int64(len(text))}, nil
}

// scanHistory looks for secrets in all commits of the repository of a folder.
func scanHistory(ctx context.Context, c call, f secretFlags, dir string) (scan.Result, error) {
	repo, top, err := git.Find(ctx, dir)
	if err != nil {
		return scan.Result{}, usagef("-history: %w", err)
	}
	if top == "" {
		top = repo.Dir()
	}
	s, err := secretScanner(top, f)
	if err != nil {
		return scan.Result{}, err
	}
	head, err := repo.Resolve(ctx, "HEAD")
	if err != nil && fault.Of(err) != fault.NotFound {
		return scan.Result{}, err
	}
	found, err := history.Scan(ctx, history.Config{Repo: repo, Scanner: s, Head: head, Memory: filepath.Join(repo.Dir(), "haechi-scanned"), Allowed: s.AllowsCommit})
	if err != nil {
		return scan.Result{}, err
	}
	sc := finding.Scan{Tool: s.Name(), Version: s.Version(), Target: filepath.Base(top), Commit: head, Complete: len(found.Skipped) == 0, Skipped: found.Skipped}
	fmt.Fprintf(c.stderr, "%d commits, %d different files, %d of them remembered from earlier\n", found.Commits, found.Contents, found.Remembered)
	return scan.Result{Runs: []scan.Run{{Scan: sc, Findings: found.Findings}}, Files: found.Contents, Bytes: found.Bytes}, nil
}
