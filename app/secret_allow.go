package app

import (
	"context"
	"io/fs"
	"path"
	"slices"

	"github.com/haechi-dev/haechi/door/wire/haechi"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/tool/scan/secret"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// TakeAllowed looks at the newest commit of a repository's default branch with
// what other tools' files let be, and suppresses in the hub what they mean: the
// files' own reasons go before the one that came with them.
func (l *secretLife) TakeAllowed(ctx context.Context, repository string, files []haechi.File, accept hub.Acceptance) (int, error) {
	plain := l.scanner.Of(repository)
	allowing, err := l.allowing(plain, repository, files)
	if err != nil {
		return 0, err
	}
	r, err := l.app.Source.Repository(ctx, repository)
	if err != nil {
		return 0, err
	}
	repo, err := l.app.Source.Git(repository)
	if err != nil {
		return 0, err
	}
	head, err := repo.Resolve(ctx, "refs/heads/"+r.DefaultBranch)
	if err != nil {
		return 0, err
	}
	tree, err := repo.Tree(ctx, head)
	if err != nil {
		return 0, err
	}
	defer tree.Close()
	all, err := l.findings(ctx, tree, plain, repository)
	if err != nil {
		return 0, err
	}
	left, err := l.findings(ctx, tree, allowing, repository)
	if err != nil {
		return 0, err
	}
	byReason := map[string][]hub.Ref{}
	for fingerprint, f := range all {
		still, found := left[fingerprint]
		reason, asks := still.ProductFields[finding.FieldAllow]
		own, asked := f.ProductFields[finding.FieldAllow]
		switch {
		case !found:
			byReason[accept.Reason] = append(byReason[accept.Reason], hub.RefOf(f))
		case asks && !(asked && own == reason):
			byReason[reason] = append(byReason[reason], hub.RefOf(f))
		}
	}
	return l.suppress(ctx, byReason, accept)
}

// suppress suppresses what the hub knows of, reason by reason.
func (l *secretLife) suppress(ctx context.Context, byReason map[string][]hub.Ref, accept hub.Acceptance) (n int, err error) {
	for reason, refs := range byReason {
		refs = slices.DeleteFunc(refs, func(r hub.Ref) bool {
			_, err := l.app.Hub.Get(ctx, r)
			return fault.Of(err) == fault.NotFound
		})
		if len(refs) == 0 {
			continue
		}
		a := accept
		a.Reason, a.At = reason, l.app.now()
		done, err := l.app.Hub.Update(ctx, hub.Update{Refs: refs, Decision: hub.To(finding.Suppressed), Accept: &a, By: accept.By, Why: reason})
		if err != nil {
			return n, err
		}
		n += len(done.Done)
	}
	return n, nil
}

// allowing is the scanner with what the files let be.
func (l *secretLife) allowing(s *secret.Scanner, repository string, files []haechi.File) (*secret.Scanner, error) {
	a := &secret.Allow{}
	for _, f := range files {
		name, text := path.Base(f.Name), []byte(f.Text)
		switch name {
		case secret.AllowFile:
			said, err := secret.ParseAllow(name, text)
			if err != nil {
				return nil, err
			}
			if len(said.Salt) > 0 && string(said.Salt) != string(secret.SaltOf(l.salt, repository)) {
				return nil, fault.Invalid.Errorf("%s is of another repository, or of another server: its salt is not this one's", name)
			}
			a.Secrets = said.Secrets
		case ".gitleaksignore":
			a.AddGitleaksIgnore(text)
		case ".secrets.baseline":
			if err := a.AddBaseline(name, text); err != nil {
				return nil, err
			}
		case ".gitleaks.toml":
			config, err := secret.ParseConfig(name, text, nil)
			if err != nil {
				return nil, err
			}
			s = s.Configured(config.Beside())
		default:
			return nil, fault.Invalid.Errorf("%s is none of %s, .gitleaksignore, .gitleaks.toml and .secrets.baseline", name, secret.AllowFile)
		}
	}
	a.Salt = secret.SaltOf(l.salt, repository)
	return s.Allowing(a, l.app.now()), nil
}

func (l *secretLife) findings(ctx context.Context, tree fs.FS, s *secret.Scanner, repository string) (map[string]finding.Finding, error) {
	r, err := scan.Tree(ctx, tree, scan.Options{Scanners: []scan.Scanner{fixedScanner{s}}, Target: repository})
	if err != nil {
		return nil, err
	}
	all := map[string]finding.Finding{}
	for _, f := range r.Own(l.app.maker(), l.app.now()) {
		all[f.ProductFields[finding.FieldFingerprint]] = f
	}
	return all, nil
}

// fixedScanner is a scanner whose salt is the repository's already.
type fixedScanner struct{ scan.Scanner }
