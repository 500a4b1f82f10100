package codecommit

import (
	"cmp"
	"context"

	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/door/wire"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

func (s *service) merging() map[string]wire.Operation {
	return map[string]wire.Operation{
		"GetMergeOptions":               op(s, s.mergeOptions),
		"GetMergeConflicts":             op(s, s.mergeConflicts),
		"DescribeMergeConflicts":        op(s, s.describeConflicts),
		"BatchDescribeMergeConflicts":   op(s, s.batchConflicts),
		"GetMergeCommit":                op(s, s.mergeCommit),
		"CreateUnreferencedMergeCommit": op(s, s.unreferenced),
		"MergeBranchesByFastForward":    wire.Op(s.askMerge, s.mergeBranches(source.FastForward)),
		"MergeBranchesBySquash":         wire.Op(s.askMerge, s.mergeBranches(source.Squash)),
		"MergeBranchesByThreeWay":       wire.Op(s.askMerge, s.mergeBranches(source.ThreeWay)),
	}
}

// mergeInput names two sides.
type mergeInput struct {
	named
	settling
	Source      string   `json:"sourceCommitSpecifier"`
	Destination string   `json:"destinationCommitSpecifier"`
	Target      string   `json:"targetBranch"`
	Option      string   `json:"mergeOption"`
	Name        string   `json:"authorName"`
	Email       string   `json:"email"`
	Message     string   `json:"commitMessage"`
	Path        string   `json:"filePath"`
	Paths       []string `json:"filePaths"`
	Max         int      `json:"maxConflictFiles"`
	MaxHunks    int      `json:"maxMergeHunks"`
	Token       string   `json:"nextToken"`
}

// branch is what moves by the merge.
func (in *mergeInput) branch() string { return cmp.Or(in.Target, in.Destination) }

// sides are the two commits that are meant, and what comes of them.
type sides struct {
	repo         *git.Repo
	known        source.Repository
	head, target string
	merged       git.Merged
	options      []source.Option
}

func (s *service) sides(ctx context.Context, c *wire.Call, in *mergeInput) (x sides, err error) {
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
	meeting
	Options []source.Option `json:"mergeOptions"`
}

// meeting are the commits that are merged, and where they part.
type meeting struct {
	Source      string `json:"sourceCommitId"`
	Destination string `json:"destinationCommitId"`
	Base        string `json:"baseCommitId"`
}

func (x sides) meeting() meeting { return meeting{x.head, x.target, x.merged.Base} }

func (s *service) mergeOptions(ctx context.Context, c *wire.Call, in *mergeInput) (*mergeOptionsOutput, error) {
	x, err := s.sides(ctx, c, in)
	if err != nil {
		return nil, err
	}
	if len(x.merged.Conflicts) > 0 && in.takes() != "" {
		x.options = append(x.options, source.Squash, source.ThreeWay)
	}
	out := &mergeOptionsOutput{Options: x.options, meeting: x.meeting()}
	if out.Options == nil {
		out.Options = []source.Option{}
	}
	return out, nil
}

type mergeCommitOutput struct {
	meeting
	Merged string `json:"mergedCommitId,omitzero"`
}

func (s *service) mergeCommit(ctx context.Context, c *wire.Call, in *mergeInput) (*mergeCommitOutput, error) {
	x, err := s.sides(ctx, c, in)
	if err != nil {
		return nil, err
	}
	id, err := merged(ctx, x.repo, x.known, x.target, x.head)
	return &mergeCommitOutput{x.meeting(), id}, err
}

func (s *service) askMerge(c *wire.Call, in *mergeInput) []iam.Request {
	return s.askRef(c, in.Repository, in.branch())
}

// mergingOf is how somebody wants to merge.
func (s *service) mergingOf(ctx context.Context, c *wire.Call, in *mergeInput, option source.Option) (m source.Merging, err error) {
	if err := s.author(c, in.Name, in.Email); err != nil {
		return m, err
	}
	m = source.Merging{Option: option, By: s.Person(ctx, c.Principal), Name: in.Name, Email: in.Email, Message: in.Message}
	m.Settle, err = s.settle(c, in.settling)
	return m, err
}

// unreferenced makes a commit that nothing points at: to be looked at, or to be made a branch of.
func (s *service) unreferenced(ctx context.Context, c *wire.Call, in *mergeInput) (*mergedOutput, error) {
	x, err := s.sides(ctx, c, in)
	if err != nil {
		return nil, err
	}
	m, err := s.mergingOf(ctx, c, in, source.Option(in.Option))
	if err != nil {
		return nil, err
	}
	if m.Option == source.FastForward {
		return nil, s.code(c, fault.Invalid.Errorf("FAST_FORWARD_MERGE makes no commit: SQUASH_MERGE and THREE_WAY_MERGE do"), "InvalidMergeOptionException")
	}
	id, tree, err := s.Source.Unreferenced(ctx, in.Repository, x.target, x.head, m)
	if err != nil {
		return nil, s.say(c, err)
	}
	return &mergedOutput{id, tree}, nil
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
		m, err := s.mergingOf(ctx, c, in, option)
		if err != nil {
			return nil, err
		}
		target := in.branch()
		if at, err := s.Source.Ref(ctx, in.Repository, fullRef(target)); err != nil {
			return nil, s.when(c, err, fault.NotFound, "BranchDoesNotExistException", "InvalidTargetBranchException")
		} else if at != x.target {
			return nil, s.code(c, fault.Conflict.Errorf("%s is at %s, not at %s", target, at, x.target), "ConcurrentReferenceUpdateException", "InvalidTargetBranchException")
		}
		id, tree, err := s.Source.MergeBranches(ctx, in.Repository, target, x.head, m)
		if err != nil {
			return nil, s.say(c, err)
		}
		return &mergedOutput{id, tree}, nil
	}
}
