package codecommit

import (
	"bytes"
	"context"
	"errors"

	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

func (s *service) merging() map[string]wire.Operation {
	return map[string]wire.Operation{
		"GetMergeOptions":            op(s, s.mergeOptions),
		"GetMergeConflicts":          op(s, s.mergeConflicts),
		"GetMergeCommit":             op(s, s.mergeCommit),
		"MergeBranchesByFastForward": wire.Op(s.askMerge, s.mergeBranches(source.FastForward)),
		"MergeBranchesBySquash":      wire.Op(s.askMerge, s.mergeBranches(source.Squash)),
		"MergeBranchesByThreeWay":    wire.Op(s.askMerge, s.mergeBranches(source.ThreeWay)),
	}
}

// mergeInput names two sides. Conflicts are looked at line by line, whatever the detail level: what git
// merges by itself is no conflict.
type mergeInput struct {
	named
	Source      string    `json:"sourceCommitSpecifier"`
	Destination string    `json:"destinationCommitSpecifier"`
	Target      string    `json:"targetBranch"`
	Option      string    `json:"mergeOption"`
	Strategy    string    `json:"conflictResolutionStrategy"`
	Name        string    `json:"authorName"`
	Email       string    `json:"email"`
	Message     string    `json:"commitMessage"`
	Max         int       `json:"maxConflictFiles"`
	Token       string    `json:"nextToken"`
	Resolution  *struct{} `json:"conflictResolution"`
}

// sides are the two commits that are meant, and what comes of them.
type sides struct {
	repo         *git.Repo
	known        source.Repository
	head, target string
	merged       git.Merged
	options      []source.Option
}

func (s *service) sides(ctx context.Context, c *wire.Call, in *mergeInput) (x sides, err error) {
	if in.Resolution != nil || in.Strategy != "" && in.Strategy != "NONE" && in.Strategy != "AUTOMERGE" {
		return x, s.code(c, fault.Unsupported.Errorf("conflicts are not settled here: settle them in a clone, and push"), "InvalidConflictResolutionStrategyException", "InvalidConflictResolutionException")
	}
	if x.repo, x.known, err = s.git(ctx, in.Repository); err != nil {
		return x, err
	}
	if x.head, err = s.commit(ctx, c, x.repo, x.known, in.Source); err != nil {
		return x, err
	}
	if x.target, err = s.commit(ctx, c, x.repo, x.known, in.Destination); err != nil {
		return x, err
	}
	x.merged, x.options, err = s.Source.Options(ctx, in.Repository, x.target, x.head)
	return x, s.when(c, s.when(c, err, fault.Conflict, "TipsDivergenceExceededException"), fault.Limit, "MaximumItemsToCompareExceededException")
}

type mergeOptionsOutput struct {
	Options     []source.Option `json:"mergeOptions"`
	Source      string          `json:"sourceCommitId"`
	Destination string          `json:"destinationCommitId"`
	Base        string          `json:"baseCommitId"`
}

func (s *service) mergeOptions(ctx context.Context, c *wire.Call, in *mergeInput) (*mergeOptionsOutput, error) {
	x, err := s.sides(ctx, c, in)
	if err != nil {
		return nil, err
	}
	out := &mergeOptionsOutput{Options: x.options, Source: x.head, Destination: x.target, Base: x.merged.Base}
	if out.Options == nil {
		out.Options = []source.Option{}
	}
	return out, nil
}

type three[T any] struct {
	Source      T `json:"source,omitzero"`
	Destination T `json:"destination,omitzero"`
	Base        T `json:"base,omitzero"`
}

// yesNo is three of what is or is not: both are said.
type yesNo struct {
	Source      bool `json:"source"`
	Destination bool `json:"destination"`
	Base        bool `json:"base"`
}

type conflictMetadata struct {
	Path      string        `json:"filePath"`
	Sizes     three[int64]  `json:"fileSizes"`
	Modes     three[string] `json:"fileModes"`
	Types     three[string] `json:"objectTypes"`
	Conflicts int           `json:"numberOfConflicts"`
	Binary    yesNo         `json:"isBinaryFile"`
	Content   bool          `json:"contentConflict"`
	Mode      bool          `json:"fileModeConflict"`
	Type      bool          `json:"objectTypeConflict"`
	Changes   three[string] `json:"mergeOperations"`
}

type mergeConflictsOutput struct {
	Mergeable   bool               `json:"mergeable"`
	Source      string             `json:"sourceCommitId"`
	Destination string             `json:"destinationCommitId"`
	Base        string             `json:"baseCommitId"`
	Conflicts   []conflictMetadata `json:"conflictMetadataList"`
	Token       string             `json:"nextToken,omitzero"`
}

func (s *service) mergeConflicts(ctx context.Context, c *wire.Call, in *mergeInput) (*mergeConflictsOutput, error) {
	x, err := s.sides(ctx, c, in)
	if err != nil {
		return nil, err
	}
	out := &mergeConflictsOutput{Mergeable: x.merged.Clean(), Source: x.head, Destination: x.target, Base: x.merged.Base, Conflicts: []conflictMetadata{}}
	if in.Option == string(source.FastForward) {
		out.Mergeable = false
		for _, o := range x.options {
			out.Mergeable = out.Mergeable || o == source.FastForward
		}
	}
	part, next, err := page(x.merged.Conflicts, in.Token, in.Max, 100)
	if err != nil {
		return nil, err
	}
	out.Token = next
	for _, one := range part {
		m, err := conflictOf(ctx, x.repo, one)
		if err != nil {
			return nil, err
		}
		out.Conflicts = append(out.Conflicts, m)
	}
	return out, nil
}

// conflictOf tells of a file that both sides changed: base, ours (the destination) and theirs (the source).
func conflictOf(ctx context.Context, repo *git.Repo, one git.Conflict) (m conflictMetadata, err error) {
	m = conflictMetadata{Path: one.Path, Conflicts: 1, Content: one.Ours != one.Theirs}
	m.Mode = one.Modes[1] != one.Modes[2] && one.Modes[1] != 0 && one.Modes[2] != 0
	look := func(id string, mode uint32, size *int64, name, kind *string, binary *bool) error {
		if id == "" {
			return nil
		}
		*name, *kind = modeName(mode), "FILE"
		switch mode {
		case git.ModeSubmodule:
			*name, *kind = "", "GIT_LINK"
			return nil
		case git.ModeLink:
			*kind = "SYMBOLIC_LINK"
		}
		content, err := repo.Blob(ctx, id, git.Largest)
		*size, *binary = int64(len(content)), bytes.IndexByte(content[:min(len(content), 8000)], 0) >= 0
		return err
	}
	err = errors.Join(
		look(one.Base, one.Modes[0], &m.Sizes.Base, &m.Modes.Base, &m.Types.Base, &m.Binary.Base),
		look(one.Ours, one.Modes[1], &m.Sizes.Destination, &m.Modes.Destination, &m.Types.Destination, &m.Binary.Destination),
		look(one.Theirs, one.Modes[2], &m.Sizes.Source, &m.Modes.Source, &m.Types.Source, &m.Binary.Source))
	m.Type = m.Types.Destination != m.Types.Source && m.Types.Destination != "" && m.Types.Source != ""
	change := func(id string) string {
		switch {
		case one.Base == "" && id != "":
			return "A"
		case id == "":
			return "D"
		}
		return "M"
	}
	m.Changes.Destination, m.Changes.Source = change(one.Ours), change(one.Theirs)
	return m, err
}

type mergeCommitOutput struct {
	Source      string `json:"sourceCommitId"`
	Destination string `json:"destinationCommitId"`
	Base        string `json:"baseCommitId"`
	Merged      string `json:"mergedCommitId,omitzero"`
}

func (s *service) mergeCommit(ctx context.Context, c *wire.Call, in *mergeInput) (*mergeCommitOutput, error) {
	x, err := s.sides(ctx, c, in)
	if err != nil {
		return nil, err
	}
	id, err := merged(ctx, x.repo, x.known, x.target, x.head)
	return &mergeCommitOutput{x.head, x.target, x.merged.Base, id}, err
}

func (s *service) askMerge(c *wire.Call, in *mergeInput) []iam.Request {
	target := in.Target
	if target == "" {
		target = in.Destination
	}
	return s.askRef(c, in.Repository, target)
}

type mergedOutput struct {
	Commit string `json:"commitId"`
	Tree   string `json:"treeId"`
}

func (s *service) mergeBranches(option source.Option) func(context.Context, *wire.Call, *mergeInput) (*mergedOutput, error) {
	return func(ctx context.Context, c *wire.Call, in *mergeInput) (*mergedOutput, error) {
		x, err := s.sides(ctx, c, in)
		if err != nil {
			return nil, err
		}
		if err := s.author(c, in.Name, in.Email); err != nil {
			return nil, err
		}
		target := in.Target
		if target == "" {
			target = in.Destination
		}
		if at, err := s.Source.Ref(ctx, in.Repository, fullRef(target)); err != nil {
			return nil, s.when(c, err, fault.NotFound, "BranchDoesNotExistException", "InvalidTargetBranchException")
		} else if at != x.target {
			return nil, s.code(c, fault.Conflict.Errorf("%s is at %s, not at %s", target, at, x.target), "ConcurrentReferenceUpdateException", "InvalidTargetBranchException")
		}
		id, tree, err := s.Source.MergeBranches(ctx, in.Repository, target, x.head, source.Merging{Option: option, By: s.Person(ctx, c.Principal), Name: in.Name, Email: in.Email, Message: in.Message})
		if err != nil {
			return nil, s.say(c, err)
		}
		return &mergedOutput{id, tree}, nil
	}
}
