package source

import (
	"path"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/word/fault"
)

// Rules say who may move which refs, and how.
type Rules struct {
	// Protected are the branches, besides the default branch, whose history
	// only grows: path.Match patterns such as release/*.
	Protected []string `json:"protected,omitzero"`
	// Unprotected takes the default branch's protection away.
	Unprotected bool `json:"unprotected,omitzero"`
	// Branches ask for more of what comes to some branches, which are protected with that.
	Branches []BranchRule `json:"branches,omitzero"`
	// Tags are patterns of tags that are made once: they neither move nor go.
	Tags []string `json:"tags,omitzero"`
}

// BranchRule is what is asked of everything that comes to the branches that Pattern means. Where several
// rules mean a branch, all of them hold.
type BranchRule struct {
	Pattern     string   `json:"pattern"`              // main, release/*
	PullRequest bool     `json:"pullRequest,omitzero"` // nothing comes but by pull requests
	Approvals   int      `json:"approvals,omitzero"`   // people who must approve, besides those who made it; asks for PullRequest
	CodeOwners  bool     `json:"codeOwners,omitzero"`  // an owner of each changed file must, as CODEOWNERS of the branch has it
	Owners      []string `json:"owners,omitzero"`      // of definition files: one of them must approve what changes such. ARNs, user names, @group
	Definitions []string `json:"definitions,omitzero"` // files that these own as well, as patterns of CODEOWNERS: ci/*.yml, Makefile
	Checks      []string `json:"checks,omitzero"`      // contexts of statuses that must have passed on the head
	Signed      bool     `json:"signed,omitzero"`      // every commit bears a signature that is known
	Since       Start    `json:"since,omitzero"`       // from when on the rule holds
}

// Start is when a rule began to hold.
type Start struct {
	Time time.Time `json:"time,omitzero"`
	Who  string    `json:"who,omitzero"` // ARN
}

// reviewed tells whether the rule wants everything to come by pull requests.
func (b BranchRule) reviewed() bool {
	return b.PullRequest || b.Approvals > 0 || b.CodeOwners || len(b.Owners) > 0 || len(b.Checks) > 0
}

// Protected tells whether a full ref may neither be deleted nor be moved to
// what does not follow from where it is; and, with that, whether what lies
// there counts: policies, secrets, caches.
func (r Repository) Protected(ref string) bool {
	branch, ok := strings.CutPrefix(ref, "refs/heads/")
	if !ok {
		return false
	}
	if branch == r.DefaultBranch && !r.Rules.Unprotected {
		return true
	}
	if len(r.Asked(ref)) > 0 {
		return true
	}
	return branch != r.DefaultBranch && slices.ContainsFunc(r.Rules.Protected, func(pattern string) bool { return matches(pattern, branch) })
}

// Asked are the rules that hold for a full ref.
func (r Repository) Asked(ref string) (all []BranchRule) {
	branch, ok := strings.CutPrefix(ref, "refs/heads/")
	if !ok {
		return nil
	}
	for _, b := range r.Rules.Branches {
		if matches(b.Pattern, branch) {
			all = append(all, b)
		}
	}
	return all
}

// Reviewed tells whether a full ref takes changes through pull requests only.
func (r Repository) Reviewed(ref string) bool {
	return slices.ContainsFunc(r.Asked(ref), BranchRule.reviewed)
}

// signed tells whether every commit on a full ref has to bear a signature.
func (r Repository) signed(ref string) bool {
	return slices.ContainsFunc(r.Asked(ref), func(b BranchRule) bool { return b.Signed })
}

// Fixed tells whether a full ref is a tag that is made once.
func (r Repository) Fixed(ref string) bool {
	tag, ok := strings.CutPrefix(ref, "refs/tags/")
	return ok && slices.ContainsFunc(r.Rules.Tags, func(pattern string) bool { return matches(pattern, tag) })
}

func matches(pattern, name string) bool {
	match, err := path.Match(pattern, name)
	return match && err == nil
}

func (r Rules) check() error {
	patterns := slices.Concat(r.Protected, r.Tags)
	for _, b := range r.Branches {
		patterns = append(patterns, b.Pattern)
		if b.Approvals < 0 || b.Approvals > 100 {
			return fault.Invalid.Errorf("%d approvals cannot be asked for: 0 to 100 can", b.Approvals)
		}
		if len(b.Owners) > 100 || len(b.Checks) > 100 || len(b.Definitions) > 100 {
			return fault.Limit.Errorf("a rule names at most 100 owners, 100 checks and 100 patterns of definition files")
		}
		if len(b.Definitions) > 0 && len(b.Owners) == 0 {
			return fault.Invalid.Errorf("definition files need owners who approve of their changes")
		}
		for _, d := range b.Definitions {
			if d == "" || len(d) > 256 {
				return fault.Invalid.Errorf("%q is no pattern of files", d)
			}
		}
	}
	for _, pattern := range patterns {
		if _, err := path.Match(pattern, ""); err != nil || pattern == "" || len(pattern) > 256 {
			return fault.Invalid.Errorf("%q is no pattern of branches or tags", pattern)
		}
	}
	if len(patterns) > 1000 {
		return fault.Limit.Errorf("a repository has at most 1,000 rules")
	}
	return nil
}

// From is r in place of the rules that were: a rule that asks for the same as before holds since then, another since now.
func (r Rules) From(was Rules, now Start) Rules {
	r.Branches = slices.Clone(r.Branches)
	for i := range r.Branches {
		r.Branches[i].Since = now
		for _, old := range was.Branches {
			same := old
			same.Since = now
			if reflect.DeepEqual(same, r.Branches[i]) {
				r.Branches[i].Since = old.Since
			}
		}
	}
	return r
}
