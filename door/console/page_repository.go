package console

import (
	"errors"
	"time"

	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/word/fault"
)

type branchRow struct {
	source.Branch
	Path, Compare, PullPath string
	Ask                     string // path to where a pull request from it is made
	Default                 bool
	Rules                   []string // what is asked of what comes to it, in words
}

type tagRow struct {
	git.Tag
	Path     string
	Verified string // whose signature it bears
	Why      string // it is not verified, or is
}

type repositoryView struct {
	repositoryHead
	Description string
	Clone       string
	Region      string
	Empty       bool
	Branches    []branchRow
	BranchesCut bool
	Tags        []tagRow
	Entries     []entryRow
	Readme      string
	ReadmeText  string
	Newest      *commitRow
	Level       int
	LevelWhy    string
	Made        time.Time
}

const (
	branchesShown = 100
	tagsShown     = 50
	readmeMost    = 256 << 10
)

func (o *Console) repository() page {
	return page{name: "repository", path: repositoriesPath + "/{repository}", under: "repositories", asks: o.askRepository("GetRepository"), view: o.repositoryView}
}

func (o *Console) repositoryView(r *request) (any, error) {
	h, err := r.repository("")
	if err != nil {
		return nil, err
	}
	v := repositoryView{repositoryHead: h, Description: h.repository.Description, Clone: r.address("/git/" + h.Name), Region: o.config.Region, Empty: h.commit == "", Made: h.repository.Created}
	branches, err := o.config.Source.Branches(r.Context(), h.Name, branchesShown+1)
	if err != nil {
		return nil, err
	}
	if v.BranchesCut = len(branches) > branchesShown; v.BranchesCut {
		branches = branches[:branchesShown]
	}
	for _, b := range branches {
		row := branchRow{
			Branch: b, Path: repositoryPath(h.Name, "files", "ref", b.Name), Default: b.Name == h.repository.DefaultBranch,
			Compare: repositoryPath(h.Name, "compare", "from", h.repository.DefaultBranch, "to", b.Name), PullPath: pullPath(b.Pull), Ask: newPullPath(h.Name, b.Name, h.repository.DefaultBranch),
		}
		for _, rule := range h.repository.Asked("refs/heads/" + b.Name) {
			row.Rules = append(row.Rules, r.ruleWords(rule)...)
		}
		v.Branches = append(v.Branches, row)
	}
	if v.Empty {
		return v, nil
	}
	tags, err := h.git.Tags(r.Context(), tagsShown)
	if err != nil {
		return nil, err
	}
	if v.Tags, err = o.tagRows(r, h.Name, tags); err != nil {
		return nil, err
	}
	if v.Level, v.LevelWhy, err = o.config.Source.Level(r.Context(), h.Name, "refs/heads/"+h.repository.DefaultBranch); err != nil {
		return nil, err
	}
	return v, o.front(r, &v)
}

// tagRows are tags with what is known of their signatures.
func (o *Console) tagRows(r *request, repository string, tags []git.Tag) (rows []tagRow, err error) {
	var signed []string
	for _, t := range tags {
		rows = append(rows, tagRow{Tag: t, Path: repositoryPath(repository, "files", "ref", t.Name)})
		if t.Signed {
			signed = append(signed, t.ID)
		}
	}
	if len(signed) == 0 {
		return rows, nil
	}
	known, err := o.config.Source.VerifyTags(r.Context(), repository, signed...)
	for _, s := range known {
		for i := range rows {
			if rows[i].ID != s.Commit {
				continue
			}
			rows[i].Why = s.Why
			if s.Verified {
				rows[i].Verified = who(s.Signer.Owner)
			}
		}
	}
	return rows, err
}

// front is what there is to see of the default branch's top folder.
func (o *Console) front(r *request, v *repositoryView) error {
	newest, err := v.git.Commit(r.Context(), v.commit)
	if err != nil {
		return err
	}
	row := commitRowOf(v.Name, newest)
	v.Newest = &row
	entries, err := v.git.Folder(r.Context(), v.commit, "")
	if err != nil {
		return err
	}
	v.Entries = entryRows(v.repositoryHead, entries)
	for _, e := range entries {
		if !readme.MatchString(e.Name) || e.Type != "blob" || e.Mode == git.ModeLink || e.Size > readmeMost {
			continue
		}
		text, _, err := v.git.File(r.Context(), v.commit, e.Path, readmeMost)
		if errors.Is(err, fault.Limit) || err == nil && binary(text) {
			continue
		}
		if err != nil {
			return err
		}
		v.Readme, v.ReadmeText = e.Name, plainText(text)
		break
	}
	return nil
}

// ruleWords are what a rule asks for, in the reader's words.
func (r *request) ruleWords(rule source.BranchRule) (all []string) {
	if rule.PullRequest {
		all = append(all, r.t("by pull request only"))
	}
	if rule.Approvals > 0 {
		all = append(all, r.t("approvals: %d", rule.Approvals))
	}
	if rule.CodeOwners {
		all = append(all, r.t("code owners approve"))
	}
	if len(rule.Owners) > 0 {
		all = append(all, r.t("owners approve what defines builds and gates"))
	}
	for _, c := range rule.Checks {
		all = append(all, r.t("check %s passes", c))
	}
	if rule.Signed {
		all = append(all, r.t("signed commits only"))
	}
	return all
}
