package source_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/fault"
)

// ask is whether a ref may be moved, by a push.
func (h *house) ask(ref, from, to string) error {
	h.t.Helper()
	return h.Intend(h.t.Context(), h.repo, source.Push{ID: bus.ID(), Repository: "shop", Who: ada.ARN, Updates: []source.Update{{Ref: ref, Old: from, New: to}}})
}

// Protected branches are neither forced nor deleted, and tags that are made once neither move nor go.
func TestProtectedRefs(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		one := h.clone.Commit("one", map[string]string{"a": "1\n"})
		two := h.clone.Commit("two", map[string]string{"a": "2\n"})
		h.land("main", "bob")
		h.land("release/1", "bob")
		h.land("free", "bob")
		h.rules(source.Rules{Protected: []string{"release/*"}, Tags: []string{"v*"}})
		for _, c := range []struct{ ref, from, to, want string }{
			{"refs/heads/main", two, one, "only grows"},
			{"refs/heads/main", two, git.Zero, "cannot be deleted"},
			{"refs/heads/release/1", two, one, "only grows"},
			{"refs/heads/release/1", two, git.Zero, "cannot be deleted"},
			{"refs/heads/free", two, one, ""},
			{"refs/heads/free", two, git.Zero, ""},
			{"refs/tags/v1", git.Zero, one, ""},
			{"refs/tags/v1", one, two, "made once"},
			{"refs/tags/v1", one, git.Zero, "made once"},
			{"refs/tags/nightly", one, two, ""},
			{"refs/replace/" + one, git.Zero, two, "not to be pushed to"},
			{"refs/pull/1/head", git.Zero, two, "not to be pushed to"},
			{"HEAD", git.Zero, two, "cannot be a ref"},
		} {
			err := h.ask(c.ref, c.from, c.to)
			if c.want == "" && err != nil {
				t.Errorf("%s from %.7s to %.7s: %v", c.ref, c.from, c.to, err)
			}
			if c.want != "" {
				refused(t, c.ref, err, c.want)
			}
		}
		if _, err := h.DeleteBranch(t.Context(), "shop", "release/1", ada.ARN); !errors.Is(err, fault.Denied) {
			t.Errorf("by the API: %v", err)
		}
	})
}

// A branch that takes reviewed changes only begins with what a protected branch has; what begins otherwise is noticed.
func TestNewReviewedBranch(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		base := h.clone.Commit("base", map[string]string{"a": "1\n"})
		h.rules(source.Rules{Branches: []source.BranchRule{{Pattern: "main", Approvals: 1}, {Pattern: "release/*", Approvals: 1}}})
		h.land("main", "ada") // nothing is protected yet: it comes as it is
		evil := h.clone.Commit("evil", map[string]string{"a": "2\n"})
		h.fetched(evil)
		refused(t, "a new branch with what nobody has seen", h.ask("refs/heads/release/1", git.Zero, evil), "begins with what a protected branch has")
		if err := h.CreateBranch(ctx, "shop", "release/1", evil, ada.ARN); !errors.Is(err, fault.Denied) {
			t.Errorf("by the API: %v", err)
		}
		if err := h.ask("refs/heads/topic", git.Zero, evil); err != nil {
			t.Errorf("a branch of which nothing is asked: %v", err)
		}
		if err := h.CreateBranch(ctx, "shop", "release/1", base, ada.ARN); err != nil {
			t.Errorf("where main is: %v", err)
		}
		h.events(h.Handle)
		h.kept()
		for _, branch := range []string{"main", "release/1"} {
			if level, why, err := h.Level(ctx, "shop", branch); level != 4 || err != nil {
				t.Errorf("%s has level %d: %s %v", branch, level, why, err)
			}
		}
		h.git(evil + ":refs/heads/release/2") // past the door
		h.repair()
		h.events(h.Handle)
		h.kept(source.UnreviewedRule)
		if level, why, err := h.Level(ctx, "shop", "release/2"); level != 2 || !strings.Contains(why, "no protected branch") || err != nil {
			t.Errorf("level %d: %s %v", level, why, err)
		}
	})
}

// Branches that come with one push come to be at once: none of them was there before the others.
func TestFirstPush(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		one := h.clone.Commit("one", map[string]string{"a": "1\n"})
		h.clone.Git("checkout", "-q", "--orphan", "old")
		two := h.clone.Commit("two", map[string]string{"a": "2\n"})
		h.fetched(one)
		h.fetched(two)
		h.rules(source.Rules{Branches: []source.BranchRule{{Pattern: "*", Approvals: 1}}})
		push := source.Push{ID: bus.ID(), Repository: "shop", Who: ada.ARN, Updates: []source.Update{{Ref: "refs/heads/main", Old: git.Zero, New: one}, {Ref: "refs/heads/old", Old: git.Zero, New: two}}}
		if err := h.Intend(ctx, h.repo, push); err != nil {
			t.Fatal(err)
		}
		h.git(one + ":refs/heads/main")
		h.git(two + ":refs/heads/old")
		if err := h.Confirm(ctx, "shop", push.ID, []string{"refs/heads/main", "refs/heads/old"}); err != nil {
			t.Fatal(err)
		}
		h.events(h.Handle)
		h.kept()
	})
}

// What was approved is the tree that the merge gives: the same head into a target that moved is something else, even
// where the move is taken back.
func TestApprovalIsOfTheMerge(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		p := h.proposed()
		h.approve(p, bob)
		h.rules(source.Rules{Unprotected: true, Branches: []source.BranchRule{{Pattern: "mai[n]", Approvals: 1}}})
		if !h.judge(p).Mergeable {
			t.Fatal(h.judge(p).Unmet())
		}
		h.rules(source.Rules{Unprotected: true})
		h.clone.Git("checkout", "-q", "main")
		h.clone.Commit("beside", map[string]string{"b": "backdoor\n"})
		h.land("main", "ada")
		h.rules(source.Rules{Branches: []source.BranchRule{{Pattern: "main", Approvals: 1}}})
		now := h.pull(p.Number)
		if now.Revision.Head != p.Revision.Head || now.Revision.Tree == p.Revision.Tree {
			t.Fatalf("%+v", now.Revision)
		}
		if _, err := h.merge(now, source.ThreeWay); !errors.Is(err, source.ErrUnmet) {
			t.Errorf("approved of without the other's change: %v", err)
		}
	})
}

// Whatever changes how things are built, judged or shipped needs one of those who own that, who did not make it.
func TestDefinitionFiles(t *testing.T) {
	for file, want := range map[string]bool{
		"buildspec.yml": true, "ci/buildspec-x.yaml": true, ".haechi/pipeline.yaml": true, ".haechi/gate.yaml": true, ".github/workflows/x.yml": true, ".gitea/workflows/x.yaml": true,
		".github/actions/build/action.yml": true, "CODEOWNERS": true, ".github/CODEOWNERS": true, ".gitmodules": true, ".lfsconfig": true, ".gitattributes": true, ".haechi-secrets": true,
		".circleci/config.yml": true, "azure-pipelines.yml": true, "osv-scanner.toml": true, "src/main.go": false, "docs/buildspec.md": false, "src/.gitmodules": false, "my.haechi/x": false,
	} {
		if got := source.Definition(file); got != want {
			t.Errorf("%s: %v", file, got)
		}
	}
	each(t, func(t *testing.T, h *house) {
		h.proposed()
		h.clone.Commit("build it so", map[string]string{"ci/build.yml": "version: 0.2\n"})
		h.land("side", "ada")
		p := h.pull(1)
		rule := source.BranchRule{Pattern: "main", Owners: []string{"@security"}}
		h.rules(source.Rules{Branches: []source.BranchRule{rule}})
		if v := h.judge(p); !v.Approved {
			t.Errorf("it changes no definition file: %s", v.Unmet())
		}
		rule.Definitions = []string{"ci/*.yml"}
		h.rules(source.Rules{Branches: []source.BranchRule{rule}})
		if v := h.judge(p); v.Approved || !strings.Contains(v.Unmet(), "ci/build.yml wants the approval of @security") {
			t.Errorf("%s", v.Unmet())
		}
		h.approve(p, bob)
		machine := robot
		machine.Groups = []string{"security"}
		h.approve(p, machine)
		if v := h.judge(p); v.Approved {
			t.Error("bob is no owner, and the robot no person")
		}
		sec := person("zoe")
		sec.Groups = []string{"security"}
		h.approve(p, sec)
		if v := h.judge(p); !v.Approved {
			t.Errorf("%s", v.Unmet())
		}
	})
	bad := source.BranchRule{Pattern: "main", Definitions: []string{"x"}}
	each(t, func(t *testing.T, h *house) {
		if _, err := h.Change(t.Context(), "shop", func(r *source.Repository) error { r.Rules.Branches = []source.BranchRule{bad}; return nil }); !errors.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	})
}

// Taking a side as a change is merged makes what nobody has reviewed: only an override does, and it leaves its findings.
func TestSettleIsNoReview(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		p := h.proposed()
		h.clone.Git("checkout", "-q", "main")
		h.clone.Commit("other", map[string]string{"a": "1\n2\n3\n4\nfive\n"})
		h.land("main", "bob")
		h.rules(source.Rules{Branches: []source.BranchRule{{Pattern: "main", Approvals: 1}}})
		p = h.pull(p.Number)
		h.approve(p, eve)
		take := source.Merging{Option: source.ThreeWay, By: eve, Settle: source.Settling{Take: source.FromSource, Lines: true}}
		if _, err := h.MergePull(ctx, p.Number, take); !errors.Is(err, source.ErrConflicts) || !strings.Contains(err.Error(), "have that reviewed") {
			t.Errorf("approved, and settled: %v", err)
		}
		if err := h.LiftRules(ctx, p.Number, p.Revision.ID, bob, "fire", time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		merged, err := h.MergePull(ctx, p.Number, take)
		if err != nil {
			t.Fatal(err)
		}
		if text, _, err := h.repo.File(ctx, merged.Merge.Commit, "a", 100); string(text) != "1\n2\n3\n4\nFIVE\n" || err != nil {
			t.Errorf("%q %v", text, err)
		}
		if got, err := h.Conflicts(ctx, merged, 10); len(got) > 0 || err != nil {
			t.Errorf("%+v %v", got, err)
		}
	})
}

// What is not signed is merged by nobody where signatures are asked for, and no override lifts that.
func TestUnsignedPull(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		p := h.proposed()
		h.rules(source.Rules{Branches: []source.BranchRule{{Pattern: "main", Approvals: 1, Signed: true}}})
		h.approve(p, bob)
		if v := h.judge(p); v.Mergeable || !strings.Contains(v.Unmet(), "signed commits: ") || !strings.Contains(v.Unmet(), "is not signed") {
			t.Errorf("%s", v.Unmet())
		}
		if err := h.LiftRules(t.Context(), p.Number, p.Revision.ID, bob, "fire", time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if v := h.judge(p); v.Mergeable {
			t.Error("an override lifts signatures")
		}
		if _, err := h.merge(p, source.ThreeWay); !errors.Is(err, source.ErrUnmet) {
			t.Errorf("%v", err)
		}
	})
}

// An override is of one revision: what is pushed afterwards is asked for again.
func TestOverrideIsOfOneRevision(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		p := h.proposed()
		h.rules(source.Rules{Branches: []source.BranchRule{{Pattern: "main", Approvals: 1}}})
		if err := h.LiftRules(t.Context(), p.Number, p.Revision.ID, bob, "fire", time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if !h.judge(p).Mergeable {
			t.Fatal(h.judge(p).Unmet())
		}
		h.clone.Commit("and more", map[string]string{"b": "b\n"})
		h.land("side", "ada")
		if v := h.judge(p); v.Mergeable || v.Overridden {
			t.Errorf("%+v", v)
		}
		if err := h.LiftRules(t.Context(), p.Number, p.Revision.ID, bob, "fire", time.Now().Add(time.Hour)); !errors.Is(err, source.ErrNotCurrent) {
			t.Errorf("of what was: %v", err)
		}
	})
}

// Nothing hides what a reviewer ought to look at: not other notices, and not the length of a change.
func TestNoticesAreNotHidden(t *testing.T) {
	var files []git.Diff
	for i := range 300 {
		files = append(files, git.Diff{Path: fmt.Sprintf("bin/%d", i), Binary: true})
	}
	files = append(files, git.Diff{Path: "z.go", Hunks: []git.Hunk{{Lines: []git.Line{{Kind: '+', New: 1, Text: "x \u202e"}}}}})
	all := source.Notices(files)
	if !slices.ContainsFunc(all, func(n source.Notice) bool { return n.Kind == "bidi" && n.Path == "z.go" }) || !slices.ContainsFunc(all, func(n source.Notice) bool { return n.Kind == "binary" && n.Why == "and 250 more" }) {
		t.Errorf("%+v", all[len(all)-3:])
	}
	moved := source.Notices([]git.Diff{{Path: "old/gate.yaml", OldPath: ".haechi/gate.yaml", Status: "renamed"}})
	if len(moved) != 1 || moved[0].Kind != "definition" {
		t.Errorf("a definition file that is moved away: %+v", moved)
	}
	each(t, func(t *testing.T, h *house) {
		h.clone.Commit("base", map[string]string{"a": "1\n"})
		h.land("main", "bob")
		h.clone.Git("checkout", "-q", "-b", "side")
		h.clone.Commit("long", map[string]string{"a": strings.Repeat("x\n", 6000) + "// \u202e\n"})
		h.land("side", "ada")
		p, err := h.CreatePull(t.Context(), source.NewPull{Repository: "shop", Title: "t", Source: "side", Author: ada})
		if err != nil {
			t.Fatal(err)
		}
		notices, err := h.PullNotices(t.Context(), p)
		if err != nil || len(notices) != 1 || notices[0].Kind != "cut" || notices[0].Path != "a" {
			t.Errorf("%+v %v", notices, err)
		}
	})
}

// The detector holds a branch against the tree that was reviewed, and not against the word of a record alone.
func TestDetectorHoldsTrees(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		p := h.proposed()
		h.rules(source.Rules{Branches: []source.BranchRule{{Pattern: "main", Approvals: 1}}})
		h.approve(p, bob)
		merged, err := h.merge(p, source.Squash)
		if err != nil {
			t.Fatal(err)
		}
		h.events(h.Handle)
		h.kept()
		err = h.db.Write(ctx, func(tx *db.Tx) error {
			body, err := db.One(tx, db.Value[string], "SELECT body FROM source_merges WHERE commit_id = ?", merged.Merge.Commit)
			if err == nil {
				_, err = tx.Exec("UPDATE source_merges SET body = ? WHERE commit_id = ?", []byte(strings.Replace(body, p.Revision.Tree, strings.Repeat("7", 40), 1)), merged.Merge.Commit)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		h.events(h.Handle)
		h.kept(source.UnreviewedRule)
		if level, why, err := h.Level(ctx, "shop", "main"); level != 2 || !strings.Contains(why, "the tree that was reviewed is another") || err != nil {
			t.Errorf("level %d: %s %v", level, why, err)
		}
	})
}

// Who takes commits away from a protected branch, past the door, leaves a finding, and the branch its level.
func TestRewrittenHistory(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		one := h.clone.Commit("one", map[string]string{"a": "1\n"})
		h.clone.Commit("two", map[string]string{"a": "2\n"})
		h.land("main", "bob")
		h.land("free", "bob")
		if level, _, err := h.Level(ctx, "shop", "main"); level != 2 || err != nil {
			t.Errorf("level %d %v", level, err)
		}
		h.git(one + ":refs/heads/main")
		h.git(one + ":refs/heads/free")
		h.repair()
		h.events(h.Handle)
		h.kept(source.ForcedRule, source.UnknownMoveRule)
		if level, _, err := h.Level(ctx, "shop", "main"); level != 1 || err != nil {
			t.Errorf("level %d %v", level, err)
		}
	})
}

// A commit without a signature on a branch that asks for them is noticed, however it came there.
func TestUnsignedIsNoticed(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.clone.Commit("base", map[string]string{"a": "1\n"})
		h.land("main", "bob")
		h.rules(source.Rules{Branches: []source.BranchRule{{Pattern: "main", Signed: true}}})
		bad := h.clone.Commit("past the door", map[string]string{"a": "2\n"})
		h.git("HEAD:refs/heads/main")
		h.repair()
		h.events(h.Handle)
		h.kept(source.UnknownMoveRule, source.UnsignedRule)
		for _, f := range h.findings {
			if f.GeneratorID == source.UnsignedRule && (!strings.Contains(f.Description, "is not signed") || !strings.Contains(f.Title, bad[:10])) {
				t.Errorf("%+v", f)
			}
		}
	})
}
