package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/tool/report"
	"github.com/haechi-dev/haechi/tool/scan/history"
	"github.com/haechi-dev/haechi/tool/scan/secret"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

func hookVerb() verb {
	return verb{name: "hook", args: "install|uninstall|run", summary: "look for secrets before git commits or pushes", help: `
  haechi hook install                before every commit: only what is staged
  haechi hook install -pre-push      and what is pushed, every commit of it
  haechi hook uninstall

It goes into the hooks folder that git says, of this repository or your own
(core.hooksPath). A hook that is there already stays, and runs first. What files
of the repository let be is let be: see 'haechi help scan'. In the framework
pre-commit, use: haechi hook run pre-commit.

  SKIP=haechi git commit             without it, once`, run: hook}
}

// hooks are those that we know.
func hooks() []string { return []string{"pre-commit", "pre-push"} }

func hook(ctx context.Context, c call, flags *flag.FlagSet) error {
	push := flags.Bool("pre-push", false, "install the hook before pushes, too")
	rest, err := parse(c, flags, 1, 4)
	if err != nil {
		return err
	}
	switch {
	case rest[0] == "install" && len(rest) == 1:
		kinds := hooks()[:1]
		if *push {
			kinds = hooks()
		}
		return installHooks(ctx, c, kinds)
	case rest[0] == "uninstall" && len(rest) == 1:
		return uninstallHooks(ctx, c)
	case rest[0] == "run" && len(rest) > 1 && rest[1] == "pre-commit":
		return beforeCommit(ctx, c)
	case rest[0] == "run" && len(rest) > 1 && rest[1] == "pre-push":
		return beforePush(ctx, c)
	case rest[0] == "run":
		return usagef("a hook is %s", strings.Join(hooks(), " or "))
	}
	return unknown(rest[0], "install", "uninstall", "run")
}

// hookMark tells our hooks from others'.
const hookMark = "# haechi hook"

// kept is where a hook lies that was there before.
func kept(path string) string { return path + ".before-haechi" }

func hookText(kind, program string) string {
	quoted := "'" + strings.ReplaceAll(program, "'", `'\''`) + "'"
	return `#!/bin/sh
` + hookMark + ` (` + kind + `): looks for secrets. 'haechi hook uninstall' takes it away.
before="$0.before-haechi"
if [ -x "$before" ]; then
	"$before" "$@" || exit $?
fi
haechi=` + quoted + `
[ -x "$haechi" ] || haechi=haechi
exec "$haechi" hook run ` + kind + ` "$@"
`
}

func installHooks(ctx context.Context, c call, kinds []string) error {
	dir, err := git.HooksDir(ctx, ".")
	if err != nil {
		return usagef("%w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	for _, kind := range kinds {
		path := filepath.Join(dir, kind)
		was, err := os.ReadFile(path)
		if err == nil && !strings.Contains(string(was), hookMark) {
			if _, err := os.Lstat(kept(path)); err == nil {
				return fault.Exists.Errorf("%s is another's hook, and so is %s: put them together first", path, kept(path))
			}
			if err := os.Rename(path, kept(path)); err != nil {
				return err
			}
			fmt.Fprintf(c.stdout, "%s stays as %s and runs first\n", path, filepath.Base(kept(path)))
		} else if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := os.WriteFile(path, []byte(hookText(kind, program)), 0o755); err != nil {
			return err
		}
		if err := os.Chmod(path, 0o755); err != nil {
			return err
		}
		fmt.Fprintf(c.stdout, "%s installed\n", path)
	}
	return nil
}

func uninstallHooks(ctx context.Context, c call) error {
	dir, err := git.HooksDir(ctx, ".")
	if err != nil {
		return usagef("%w", err)
	}
	gone := 0
	for _, kind := range hooks() {
		path := filepath.Join(dir, kind)
		was, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(was), hookMark) {
			continue
		}
		if err := os.Remove(path); err != nil {
			return err
		}
		gone++
		fmt.Fprintf(c.stdout, "%s taken away\n", path)
		if _, err := os.Lstat(kept(path)); err == nil {
			if err := os.Rename(kept(path), path); err != nil {
				return err
			}
			fmt.Fprintf(c.stdout, "%s is again what it was\n", path)
		}
	}
	if gone == 0 {
		fmt.Fprintf(c.stdout, "there is no hook of haechi in %s\n", dir)
	}
	return nil
}

// skipped tells whether the hook is not wanted this time, as the framework pre-commit has it.
func skipped(c call) bool {
	return slices.ContainsFunc(strings.Split(c.env("SKIP"), ","), func(s string) bool { return strings.TrimSpace(s) == "haechi" })
}

// beforeCommit looks at what is staged, as it is staged, and at nothing else.
func beforeCommit(ctx context.Context, c call) error {
	if skipped(c) {
		return nil
	}
	repo, top, err := git.Find(ctx, ".")
	if err != nil {
		return usagef("%w", err)
	}
	index := c.env("GIT_INDEX_FILE")
	if index != "" && !filepath.IsAbs(index) {
		index = filepath.Join(top, index)
	}
	changes, err := repo.Staged(ctx, index)
	if err != nil || len(changes) == 0 {
		return err
	}
	s, err := secretScanner(top, secretFlags{})
	if err != nil {
		return err
	}
	paths := map[string]string{}
	var ids []string
	for _, ch := range changes {
		if s.Wants(ch.Path) && ch.Mode != 0o160000 && paths[ch.New] == "" {
			paths[ch.New] = ch.Path
			ids = append(ids, ch.New)
		}
	}
	var all []finding.Finding
	err = repo.ReadEach(ctx, ids, 64<<20, func(id string, text []byte, err error) error {
		if err == nil {
			var found []finding.Finding
			found, err = s.Look(paths[id], text)
			all = append(all, found...)
		}
		if err != nil {
			fmt.Fprintf(c.stderr, "not looked at: %s: %v\n", paths[id], err)
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	return refuse(c, secret.Merge(all), "commit", "git commit --no-verify")
}

// beforePush looks at every commit that the remote does not have. What is
// pushed stands on standard input, as git says it.
func beforePush(ctx context.Context, c call) error {
	if skipped(c) {
		return nil
	}
	repo, top, err := git.Find(ctx, ".")
	if err != nil {
		return usagef("%w", err)
	}
	var heads []string
	lines := bufio.NewScanner(io.LimitReader(c.stdin, 16<<20))
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) != 4 || git.IsZero(f[1]) {
			continue
		}
		heads = append(heads, f[1])
		if _, err := repo.Resolve(ctx, f[3]); err == nil && !git.IsZero(f[3]) {
			heads = append(heads, "^"+f[3])
		}
	}
	if len(heads) == 0 {
		return lines.Err()
	}
	s, err := secretScanner(top, secretFlags{})
	if err != nil {
		return err
	}
	r, err := history.Scan(ctx, history.Config{Repo: repo, Scanner: s, Heads: append(heads, history.NotRemote), Allowed: s.AllowsCommit})
	if err != nil {
		return err
	}
	for _, p := range r.Skipped {
		fmt.Fprintf(c.stderr, "not looked at: %s: %s\n", p, p.Why)
	}
	return refuse(c, r.Findings, "push", "git push --no-verify")
}

// refuse says what was found and how to mend it, unless all of it is let be.
func refuse(c call, findings []finding.Finding, what, without string) error {
	findings = slices.DeleteFunc(findings, letBe)
	if len(findings) == 0 {
		return nil
	}
	fmt.Fprintf(c.stderr, "haechi: this %s holds what looks like a secret.\n\n", what)
	if err := report.Table(c.stderr, findings, terminal(c.stderr), terminal(c.stderr) > 0 && c.env("NO_COLOR") == ""); err != nil {
		return err
	}
	for _, f := range findings[:min(len(findings), 5)] {
		fmt.Fprintf(c.stderr, "\n%s\n  %s\n", f.Where(), f.ProductFields[finding.FieldExcerpt])
		if since := f.ProductFields[finding.FieldSince]; since != "" {
			fmt.Fprintf(c.stderr, "  since commit %s\n", since)
		}
	}
	fmt.Fprintf(c.stderr, `
Take it out and let the program read it from its environment or a secret store.
If it was anywhere else already, revoke it: who has seen a secret has it.
If it is none, say so on its line:  # haechi:allow reason=why
Or go on without this check:        %s
`, without)
	return exit(exitWrong)
}

// letBe tells what a comment or a file lets be, and says why.
func letBe(f finding.Finding) bool {
	reason, asks := f.ProductFields[finding.FieldAllow]
	return asks && reason != secret.NoReason
}
