package source_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/crypto/ssh"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// person is a user of that name, whose commits bear their address.
func person(name string) source.Person {
	return source.Person{ARN: "arn:aws:iam::111122223333:user/" + name, Name: name, Emails: []string{name + "@example.com"}}
}

var (
	ada, bob, eve = person("ada"), person("bob"), person("eve")
	robot         = source.Person{ARN: "arn:aws:sts::111122223333:assumed-role/builds/7", Name: "7", Robot: true}
)

// land pushes what the clone has on HEAD to a branch, as somebody and through the log.
func (h *house) land(branch, who string) string {
	h.t.Helper()
	ref, to := "refs/heads/"+branch, h.clone.Git("rev-parse", "HEAD")
	old, err := h.Ref(h.t.Context(), "shop", ref)
	if errors.Is(err, fault.NotFound) {
		old = git.Zero
	} else if err != nil {
		h.t.Fatal(err)
	}
	h.fetched(to)
	id := bus.ID()
	if err := h.Intend(h.t.Context(), h.repo, source.Push{ID: id, Repository: "shop", Who: person(who).ARN, Updates: []source.Update{{Ref: ref, Old: old, New: to}}}); err != nil {
		h.t.Fatal(err)
	}
	h.git("HEAD:" + ref)
	if err := h.Confirm(h.t.Context(), "shop", id, []string{ref}); err != nil {
		h.t.Fatal(err)
	}
	return to
}

// proposed is a repository with a branch side by ada, and a pull request of it.
func (h *house) proposed() source.Pull {
	h.t.Helper()
	h.clone.Commit("base", map[string]string{"a": "1\n2\n3\n4\n5\n", "CODEOWNERS": "*.go @bob\n"})
	h.land("main", "bob")
	h.clone.Git("checkout", "-q", "-b", "side")
	h.clone.Commit("change", map[string]string{"a": "1\n2\n3\n4\nFIVE\n", "x.go": "package x\n"})
	h.land("side", "ada")
	p, err := h.CreatePull(h.t.Context(), source.NewPull{Repository: "shop", Title: "five", Source: "side", Target: "main", Author: ada})
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

func (h *house) rules(rules source.Rules) {
	h.t.Helper()
	if _, err := h.Change(h.t.Context(), "shop", func(r *source.Repository) error { r.Rules = rules; return nil }); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) pull(number int64) source.Pull {
	h.t.Helper()
	p, err := h.Pull(h.t.Context(), number)
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

func (h *house) approve(p source.Pull, who source.Person) {
	h.t.Helper()
	if err := h.Approve(h.t.Context(), p.Number, p.Revision.ID, who, true); err != nil {
		h.t.Fatalf("%s approves: %v", who.Name, err)
	}
}

func (h *house) judge(p source.Pull) source.Verdict {
	h.t.Helper()
	v, err := h.Judge(h.t.Context(), p.Number)
	if err != nil {
		h.t.Fatal(err)
	}
	return v
}

func (h *house) merge(p source.Pull, o source.Option) (source.Pull, error) {
	return h.MergePull(h.t.Context(), p.Number, source.Merging{Option: o, By: bob})
}

// happened are the events of pull requests so far.
func (h *house) happened() (all []source.PullDetail) {
	h.t.Helper()
	h.events(func(_ context.Context, e event.Event) error {
		if e.Type != source.PullChanged {
			return nil
		}
		var d source.PullDetail
		if err := json.Unmarshal(e.Detail, &d); err != nil {
			return err
		}
		all = append(all, d)
		return nil
	})
	return all
}

// events hands over all events so far.
func (h *house) events(handle func(context.Context, event.Event) error) {
	h.t.Helper()
	end := event.Event{ID: bus.ID(), Type: "end", Source: "test", Account: "111122223333", Region: "eu-west-1"}
	if err := h.db.Write(h.t.Context(), func(tx *db.Tx) error { return h.bus.Publish(tx, end) }); err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(h.t.Context())
	err := h.bus.Follow(ctx, bus.ID(), func(c context.Context, e event.Event) error {
		if e.ID == end.ID {
			cancel()
			return nil
		}
		return handle(h.t.Context(), e)
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// A change is merged once somebody who did not make it approved of exactly what the merge gives.
func TestPullRequest(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		h.rules(source.Rules{})
		p := h.proposed()
		h.rules(source.Rules{Branches: []source.BranchRule{{Pattern: "main", Approvals: 1}}})
		if !p.Revision.Clean() || p.Revision.Commits != 1 || p.Revision.Number != 1 {
			t.Fatalf("%+v", p.Revision)
		}
		if _, err := h.merge(p, source.ThreeWay); !errors.Is(err, source.ErrUnmet) || !errors.Is(err, fault.Denied) {
			t.Errorf("merging what nobody approved of: %v", err)
		}
		h.approve(p, bob)
		if v := h.judge(p); !v.Mergeable || len(v.Approvers) != 1 {
			t.Errorf("approved: %+v", v)
		}
		// A new commit asks again.
		h.clone.Commit("more", map[string]string{"b": "b\n"})
		h.land("side", "ada")
		now := h.pull(p.Number)
		if now.Revision.Number != 2 || h.judge(p).Mergeable {
			t.Errorf("after a new commit: %+v", now.Revision)
		}
		if err := h.Approve(ctx, p.Number, p.Revision.ID, bob, true); !errors.Is(err, source.ErrNotCurrent) {
			t.Errorf("approving of what was: %v", err)
		}
		h.approve(now, bob)
		// And so does a move of the target.
		h.rules(source.Rules{})
		h.clone.Git("checkout", "-q", "main")
		h.clone.Commit("beside", map[string]string{"a": "ONE\n2\n3\n4\n5\n"})
		target := h.land("main", "bob")
		h.rules(source.Rules{Branches: []source.BranchRule{{Pattern: "main", Approvals: 1}}})
		now = h.pull(p.Number)
		if now.Revision.Number != 3 || now.Revision.Target != target || h.judge(p).Mergeable {
			t.Errorf("after a move of the target: %+v", now.Revision)
		}
		if _, err := h.merge(now, source.FastForward); err == nil {
			t.Error("merged without approval")
		}
		h.approve(now, bob)
		if _, err := h.merge(now, source.FastForward); !errors.Is(err, fault.Conflict) {
			t.Errorf("moving forward where there is no forward: %v", err)
		}
		merged, err := h.merge(now, source.ThreeWay)
		if err != nil || merged.State != source.Merged || !merged.Merge.Reviewed {
			t.Fatalf("%+v %v", merged, err)
		}
		text, _, err := h.repo.File(ctx, merged.Merge.Commit, "a", 100)
		if err != nil || string(text) != "ONE\n2\n3\n4\nFIVE\n" {
			t.Errorf("%q %v", text, err)
		}
		if at, err := h.repo.Resolve(ctx, "refs/heads/main"); at != merged.Merge.Commit || err != nil {
			t.Errorf("main is at %s, not %s: %v", at, merged.Merge.Commit, err)
		}
		c, err := h.repo.Commit(ctx, merged.Merge.Commit)
		if err != nil || c.Tree != now.Revision.Tree || len(c.Parents) != 2 || c.Author.Email != "bob@example.com" {
			t.Errorf("%+v %v", c, err)
		}
		if _, err := h.merge(now, source.ThreeWay); !errors.Is(err, source.ErrClosed) {
			t.Errorf("merging twice: %v", err)
		}
		var told []string
		for _, d := range h.happened() {
			told = append(told, strings.TrimPrefix(d.Event, "pullRequest")+" "+d.IsMerged+d.ApprovalStatus)
		}
		want := []string{"Created False", "ApprovalStateChanged FalseAPPROVE", "SourceBranchUpdated False", "ApprovalStateChanged FalseAPPROVE", "DestinationBranchUpdated False", "ApprovalStateChanged FalseAPPROVE", "MergeStatusUpdated True"}
		if !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
		if told := h.told(); told[len(told)-1] != arrow(target, merged.Merge.Commit) {
			t.Errorf("the merge is a move of main: %q", told)
		}
	})
}

// A fast-forward gives the head itself, a squash one commit, and a conflict nothing.
func TestWaysToMerge(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		p := h.proposed()
		merged, err := h.merge(p, source.FastForward)
		if err != nil || merged.Merge.Commit != p.Revision.Head {
			t.Fatalf("%+v %v", merged.Merge, err)
		}
		h.clone.Commit("six", map[string]string{"six": "6\n"})
		h.clone.Commit("seven", map[string]string{"seven": "7\n"})
		h.land("side", "ada")
		p, err = h.CreatePull(t.Context(), source.NewPull{Repository: "shop", Title: "six", Description: "and seven", Source: "side", Author: ada})
		if err != nil {
			t.Fatal(err)
		}
		if merged, err = h.merge(p, source.Squash); err != nil {
			t.Fatal(err)
		}
		c, err := h.repo.Commit(t.Context(), merged.Merge.Commit)
		if err != nil || len(c.Parents) != 1 || c.Message != "six (#2)\n\nand seven\n" {
			t.Errorf("%+v %v", c, err)
		}
		h.clone.Commit("eight", map[string]string{"a": "8\n"})
		h.land("side", "ada")
		h.clone.Git("fetch", "-q", h.repo.Dir(), "main")
		h.clone.Git("checkout", "-q", "-B", "main", "FETCH_HEAD")
		h.clone.Commit("acht", map[string]string{"a": "acht\n"})
		h.land("main", "bob")
		p, err = h.CreatePull(t.Context(), source.NewPull{Repository: "shop", Title: "eight", Source: "side", Author: ada})
		if err != nil || p.Revision.Clean() || !slices.Equal(p.Revision.Conflicts, []string{"a"}) {
			t.Fatalf("%+v %v", p.Revision, err)
		}
		if _, err := h.merge(p, source.ThreeWay); !errors.Is(err, source.ErrConflicts) {
			t.Errorf("merging a conflict: %v", err)
		}
		if _, err := h.CreatePull(t.Context(), source.NewPull{Repository: "shop", Title: "nothing", Source: "main", Target: "main", Author: ada}); !errors.Is(err, source.ErrNothing) {
			t.Errorf("main into main: %v", err)
		}
		if _, err := h.CreatePull(t.Context(), source.NewPull{Repository: "shop", Title: "nothing", Source: "nowhere", Author: ada}); !errors.Is(err, source.ErrNoRef) {
			t.Errorf("from a branch that is not there: %v", err)
		}
	})
}

// Between git's move and its confirmation the server may be killed: the next start finds the merge and tells of it once.
func TestMergeIsSettledAfterAKill(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		p := h.proposed()
		func() {
			defer func() { _ = recover() }()
			h.Between(func() { panic("killed") })
			_, _ = h.merge(p, source.ThreeWay)
		}()
		if now := h.pull(p.Number); now.State != source.Open {
			t.Fatalf("nobody confirmed it, and it is %s", now.State)
		}
		h.repair()
		now := h.pull(p.Number)
		if now.State != source.Merged || now.Merge.Option != source.ThreeWay || now.Merge.By != bob.ARN {
			t.Errorf("%+v", now)
		}
		h.repair()
		merged := 0
		for _, d := range h.happened() {
			if d.Event == "pullRequestMergeStatusUpdated" {
				merged++
			}
		}
		if merged != 1 {
			t.Errorf("told of %d merges", merged)
		}
	})
}

// Whoever had a hand in a change does not approve it, and what no person said does not count.
func TestWhoMayApprove(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.clone.Commit("base", map[string]string{"a": "1\n"})
		h.land("main", "bob")
		h.clone.Git("checkout", "-q", "-b", "side")
		h.clone.Commit("change\n\nCo-authored-by: Kim <kim@example.com>\n", map[string]string{"a": "2\n"})
		h.clone.Git("commit", "-q", "--amend", "--no-edit", "--author", "Lee <lee@example.com>")
		h.land("side", "eve")
		p, err := h.CreatePull(t.Context(), source.NewPull{Repository: "shop", Title: "t", Source: "side", Author: bob})
		if err != nil {
			t.Fatal(err)
		}
		h.rules(source.Rules{Branches: []source.BranchRule{{Pattern: "main", Approvals: 1}}})
		for _, who := range []source.Person{bob, eve, ada, person("lee"), person("kim"), {ARN: "arn:aws:iam::111122223333:user/other", Name: "KIM"}, {ARN: "arn:x", Name: "x", Emails: []string{"LEE@example.com"}}} {
			if err := h.Approve(t.Context(), p.Number, p.Revision.ID, who, true); !errors.Is(err, source.ErrOwn) {
				t.Errorf("%s approves of their own change: %v", who.Name, err)
			}
		}
		h.approve(p, robot)
		if v := h.judge(p); v.Mergeable || len(v.Ignored) != 1 || !strings.HasSuffix(v.Ignored[0], "is no person") {
			t.Errorf("a robot counted: %+v", v)
		}
		h.approve(p, person("zoe"))
		if !h.judge(p).Mergeable {
			t.Error("zoe had no hand in it")
		}
		if err := h.Approve(t.Context(), p.Number, p.Revision.ID, person("zoe"), false); err != nil || h.judge(p).Mergeable {
			t.Errorf("zoe took it back: %v", err)
		}
	})
}

// Who pushed a commit to another branch has a hand in it, too, whoever it says wrote it: somebody else may have merged it into
// the one that is proposed.
func TestWhoPushedElsewhere(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.clone.Commit("base", map[string]string{"a": "1\n"})
		h.land("main", "bob")
		h.clone.Git("checkout", "-q", "-b", "theirs")
		h.clone.Commit("back door", map[string]string{"b": "1\n"})
		h.clone.Git("commit", "-q", "--amend", "--no-edit", "--author", "Nobody <nobody@example.com>")
		h.land("theirs", "eve")
		h.clone.Git("checkout", "-q", "-b", "side", "main")
		h.clone.Commit("change", map[string]string{"a": "2\n"})
		h.clone.Git("merge", "-q", "--no-edit", "theirs")
		h.land("side", "bob")
		p, err := h.CreatePull(t.Context(), source.NewPull{Repository: "shop", Title: "t", Source: "side", Author: bob})
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Approve(t.Context(), p.Number, p.Revision.ID, eve, true); !errors.Is(err, source.ErrOwn) {
			t.Errorf("eve approves what she pushed: %v", err)
		}
		h.approve(p, person("zoe"))
	})
}

// Approval rules are CodeCommit's, and templates give them to the pull requests that they are for.
func TestApprovalRules(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		content := `{"Version":"2018-11-08","DestinationReferences":["refs/heads/main"],"Statements":[{"Type":"Approvers","NumberOfApprovalsNeeded":1,"ApprovalPoolMembers":["CodeCommitApprovers:111122223333:bob","arn:aws:sts::111122223333:assumed-role/leads/*"]}]}`
		if _, err := h.CreateTemplate(ctx, source.Template{Name: "bob", Content: content}); err != nil {
			t.Fatal(err)
		}
		if _, err := h.CreateTemplate(ctx, source.Template{Name: "other", Content: strings.Replace(content, "heads/main", "heads/other", 1)}); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"bob", "other"} {
			if err := h.UseTemplate(ctx, name, "shop", true); err != nil {
				t.Fatal(err)
			}
		}
		p := h.proposed()
		if len(p.Rules) != 1 || p.Rules[0].Template.Name != "bob" {
			t.Fatalf("%+v", p.Rules)
		}
		if _, err := h.DropRule(ctx, p.Number, bob.ARN, "bob"); !errors.Is(err, source.ErrFromATemplate) {
			t.Errorf("a template's rule: %v", err)
		}
		two := `{"Version":"2018-11-08","Statements":[{"Type":"Approvers","NumberOfApprovalsNeeded":2}]}`
		rule, err := h.AddRule(ctx, p.Number, ada.ARN, "two", two)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.ChangeRule(ctx, p.Number, ada.ARN, "two", "0000", two); !errors.Is(err, source.ErrHash) {
			t.Errorf("a rule that is another: %v", err)
		}
		h.approve(p, eve)
		if v := h.judge(p); v.Approved || v.Demands[0].Met {
			t.Errorf("eve is not in the pool: %+v", v.Demands)
		}
		h.approve(p, bob)
		if v := h.judge(p); !v.Mergeable {
			t.Errorf("%s", v.Unmet())
		}
		if _, err := h.ChangeRule(ctx, p.Number, ada.ARN, "two", rule.SHA256, strings.Replace(two, ":2}", ":3}", 1)); err != nil || h.judge(p).Mergeable {
			t.Errorf("three are asked for: %v", err)
		}
		if _, err := h.DropRule(ctx, p.Number, ada.ARN, "two"); err != nil || !h.judge(p).Mergeable {
			t.Errorf("two is gone: %v", err)
		}
		if _, err := h.DeleteTemplate(ctx, "bob", ada.ARN); !errors.Is(err, fault.Conflict) {
			t.Errorf("a template in use: %v", err)
		}
	})
}

// Members of pools are CodeCommit's.
func TestPools(t *testing.T) {
	user, session := "arn:aws:iam::111122223333:user/team/bob", "arn:aws:sts::111122223333:assumed-role/leads/bob"
	for _, c := range []struct {
		member, arn string
		want        bool
	}{
		{user, user, true}, {"arn:aws:iam::111122223333:user/*", user, true}, {"arn:aws:iam::111122223333:user/bob", user, false},
		{"CodeCommitApprovers:111122223333:bob", user, true}, {"CodeCommitApprovers:999999999999:bob", user, false}, {"CodeCommitApprovers:111122223333:bo", user, false},
		{"CodeCommitApprovers:111122223333:bob", session, false}, {"CodeCommitApprovers:111122223333:leads/bob", session, true},
		{"CodeCommitApprovers:111122223333:leads/*", session, true}, {"CodeCommitApprovers:111122223333:*", session, true}, {"arn:aws:sts::111122223333:assumed-role/lead/*", session, false},
		{"CodeCommitApprovers:", user, false}, {"CodeCommitApprovers:111122223333:*o*", user, true}, {"CodeCommitApprovers:111122223333:b*x*b", user, false},
	} {
		if got := source.Pooled(c.member, c.arn); got != c.want {
			t.Errorf("%s of %s: %v", c.arn, c.member, got)
		}
	}
}

// The owners that count are those of the target branch, not those that the change names.
func TestCodeOwners(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.proposed()
		h.clone.Commit("I own it", map[string]string{"CODEOWNERS": "* @eve\n"})
		h.land("side", "ada")
		p := h.pull(1)
		h.rules(source.Rules{Branches: []source.BranchRule{{Pattern: "main", Approvals: 1, CodeOwners: true, Owners: []string{"@security"}}}})
		h.approve(p, eve)
		if v := h.judge(p); v.Approved || !strings.Contains(v.Unmet(), "x.go wants the approval of @bob") || !strings.Contains(v.Unmet(), "CODEOWNERS wants the approval of @security") {
			t.Errorf("%s", v.Unmet())
		}
		h.approve(p, bob)
		if v := h.judge(p); v.Approved || strings.Contains(v.Unmet(), "@bob") {
			t.Errorf("%s", v.Unmet())
		}
		zoe := person("zoe")
		zoe.Groups = []string{"security"}
		h.approve(p, zoe)
		if v := h.judge(p); !v.Mergeable {
			t.Errorf("%s", v.Unmet())
		}
	})
}

// Without what is asked for a change comes in only by an override with a reason and an end, which is a finding; and then the change is one, too.
func TestOverride(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		p := h.proposed()
		h.rules(source.Rules{Branches: []source.BranchRule{{Pattern: "main", Approvals: 2}}})
		if err := h.LiftRules(ctx, p.Number, p.Revision.ID, bob, " ", time.Now().Add(time.Hour)); !errors.Is(err, fault.Invalid) {
			t.Errorf("without a reason: %v", err)
		}
		if err := h.LiftRules(ctx, p.Number, p.Revision.ID, bob, "fire", time.Now().Add(30*24*time.Hour)); !errors.Is(err, fault.Limit) {
			t.Errorf("for a month: %v", err)
		}
		h.deaf = true
		if err := h.LiftRules(ctx, p.Number, p.Revision.ID, bob, "fire", time.Now().Add(time.Hour)); err == nil || h.judge(p).Mergeable {
			t.Errorf("without its finding: %v", err)
		}
		h.deaf = false
		if err := h.LiftRules(ctx, p.Number, p.Revision.ID, bob, "fire", time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if v := h.judge(p); !v.Mergeable || !v.Overridden || !v.Demands[0].Lifted {
			t.Errorf("%+v", v)
		}
		h.later = 2 * time.Hour
		if v := h.judge(p); v.Mergeable {
			t.Error("it is over")
		}
		h.later = 0
		merged, err := h.merge(p, source.ThreeWay)
		if err != nil || merged.Merge.Reviewed {
			t.Fatalf("%+v %v", merged.Merge, err)
		}
		h.events(h.Handle)
		h.events(h.Handle)
		h.kept(source.OverrideRule, source.UnreviewedRule)
	})
}

// kept holds the findings so far against the rules that are wanted, each once.
func (h *house) kept(want ...string) {
	h.t.Helper()
	var got []string
	for _, f := range h.findings {
		got = append(got, f.GeneratorID)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		h.t.Errorf("findings of %q, want %q", got, want)
	}
}

// What comes to a reviewed branch past the rules is noticed, and lowers the level of the branch.
func TestUnreviewed(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		p := h.proposed()
		rules := source.Rules{Branches: []source.BranchRule{{Pattern: "main", Approvals: 1}}}
		h.rules(rules)
		err := h.Intend(ctx, h.repo, source.Push{ID: "direct", Repository: "shop", Who: ada.ARN, Updates: []source.Update{{Ref: "refs/heads/main", Old: p.Revision.Target, New: p.Revision.Head}}})
		if !errors.Is(err, fault.Denied) || !strings.Contains(err.Error(), "refs/for/main") {
			t.Errorf("a direct push: %v", err)
		}
		h.approve(p, bob)
		if _, err := h.merge(p, source.Squash); err != nil {
			t.Fatal(err)
		}
		h.events(h.Handle)
		h.kept()
		if level, why, err := h.Level(ctx, "shop", "main"); level != 4 || err != nil {
			t.Errorf("level %d: %s %v", level, why, err)
		}
		h.clone.Commit("past the door", map[string]string{"z": "z\n"})
		h.fetched(h.clone.Git("rev-parse", "HEAD"))
		h.git("HEAD:main")
		h.repair()
		h.events(h.Handle)
		h.kept(source.ForcedRule, source.UnknownMoveRule, source.UnreviewedRule) // it takes the squashed commit away, too
		if level, why, err := h.Level(ctx, "shop", "main"); level != 1 || err != nil {
			t.Errorf("level %d: %s %v", level, why, err)
		}
		for _, f := range h.findings {
			if text := f.Remediation.Recommendation.Text; text == "" || f.Resources[0].ID != "arn:aws:codecommit:eu-west-1:111122223333:shop" {
				t.Errorf("%+v", f)
			}
		}
	})
}

// Where a run must have passed, it must have passed on the very commit.
func TestChecks(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		p := h.proposed()
		h.rules(source.Rules{Branches: []source.BranchRule{{Pattern: "main", Checks: []string{"pipeline/shop"}}}})
		run := func(commit, state string) {
			t.Helper()
			detail, err := json.Marshal(map[string]any{"pipeline": "shop", "state": state, "repository": "shop", "commit": commit, "path": "/runs/1"})
			if err != nil {
				t.Fatal(err)
			}
			if err := h.Handle(t.Context(), event.Event{Source: "aws.codepipeline", Type: "CodePipeline Pipeline Execution State Change", Detail: detail}); err != nil {
				t.Fatal(err)
			}
		}
		run(p.Revision.Target, "SUCCEEDED")
		if h.judge(p).Mergeable {
			t.Error("it ran on another commit")
		}
		for state, want := range map[string]bool{"STARTED": false, "FAILED": false, "STOPPED": false, "SUCCEEDED": true} {
			run(p.Revision.Head, state)
			if v := h.judge(p); v.Mergeable != want {
				t.Errorf("%s: %v, %s", state, v.Mergeable, v.Unmet())
			}
		}
	})
}

// A branch that takes signed commits only takes those that git signed with a key that is known.
func TestSignedCommits(t *testing.T) {
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("no ssh-keygen here: signatures of the real git are not tried")
	}
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		key := filepath.Join(t.TempDir(), "key")
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ada@example.com", "-f", key).CombinedOutput(); err != nil {
			t.Fatalf("%v %s", err, out)
		}
		h.clone.Commit("base", map[string]string{"a": "1\n"})
		base := h.land("main", "bob")
		h.rules(source.Rules{Branches: []source.BranchRule{{Pattern: "main", Signed: true}}})
		plain := h.clone.Commit("plain", map[string]string{"a": "2\n"})
		h.fetched(plain)
		ask := func(to string) error {
			return h.Intend(ctx, h.repo, source.Push{ID: bus.ID(), Repository: "shop", Who: ada.ARN, Updates: []source.Update{{Ref: "refs/heads/main", Old: base, New: to}}})
		}
		if err := ask(plain); !errors.Is(err, fault.Denied) || !strings.Contains(err.Error(), "is not signed") {
			t.Errorf("a commit that is not signed: %v", err)
		}
		h.clone.Git("config", "gpg.format", "ssh")
		h.clone.Git("config", "user.signingkey", key)
		h.clone.Git("commit", "-q", "--amend", "-S", "-m", "signed")
		signed := h.clone.Git("rev-parse", "HEAD")
		h.fetched(signed)
		if err := ask(signed); err == nil || !strings.Contains(err.Error(), "nobody here owns") {
			t.Errorf("a key that nobody knows: %v", err)
		}
		public, err := os.ReadFile(key + ".pub")
		if err != nil {
			t.Fatal(err)
		}
		sg, err := h.AddSigner(ctx, source.Signer{Owner: ada.ARN, Key: string(public)})
		if err != nil || !slices.Equal(sg.Emails, []string{"ada@example.com"}) {
			t.Fatalf("%+v %v", sg, err)
		}
		if err := ask(signed); err != nil {
			t.Errorf("signed by ada: %v", err)
		}
		// Somebody else's key, under ada's name.
		if _, err := h.AddSigner(ctx, source.Signer{Owner: bob.ARN, Key: string(public), Emails: []string{"bob@example.com"}}); !errors.Is(err, fault.Exists) {
			t.Errorf("ada's key as bob's: %v", err)
		}
		if err := h.DropSigner(ctx, sg.Fingerprint); err != nil {
			t.Fatal(err)
		}
		if _, err := h.AddSigner(ctx, source.Signer{Owner: bob.ARN, Key: string(public), Emails: []string{"bob@example.com"}}); err != nil {
			t.Fatal(err)
		}
		if err := ask(signed); err == nil || !strings.Contains(err.Error(), "committed as ada@example.com") {
			t.Errorf("bob's key, ada's commit: %v", err)
		}
		// A signature that was over another commit.
		text := h.clone.Git("cat-file", "commit", signed)
		forged, err := h.clone.Try("-c", "core.fsmonitor=false", "hash-object", "-t", "commit", "--literally", "-w", write(t, strings.Replace(text, "signed", "forged", 1)+"\n"))
		if err != nil {
			t.Fatal(forged, err)
		}
		h.fetched(strings.TrimSpace(forged))
		if err := ask(strings.TrimSpace(forged)); err == nil || !strings.Contains(err.Error(), "does not hold") {
			t.Errorf("a forged commit: %v", err)
		}
	})
}

func write(t *testing.T, text string) string {
	file := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// What the server signs the real ssh-keygen verifies, and our own verification holds nothing else for it.
func TestServerSigns(t *testing.T) {
	key, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	payload := []byte("tree 0\n\nmerged\n")
	text, err := source.SignSSH(key, nil, payload)
	if err != nil {
		t.Fatal(err)
	}
	if err := source.CheckSignature(payload, text); err != nil {
		t.Error(err)
	}
	if err := source.CheckSignature([]byte("tree 1\n\nmerged\n"), text); err == nil {
		t.Error("holds for another text")
	}
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("no ssh-keygen here")
	}
	allowed := write(t, "haechi@example.com "+string(ssh.MarshalAuthorizedKey(key.PublicKey())))
	cmd := exec.Command("ssh-keygen", "-Y", "verify", "-f", allowed, "-I", "haechi@example.com", "-n", "git", "-s", write(t, text))
	cmd.Stdin = strings.NewReader(string(payload))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v %s", err, out)
	}
}

// Comments have places, replies and one owner, and are there once however often they are sent.
func TestComments(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		p := h.proposed()
		say := source.Comment{Repository: "shop", Pull: p.Number, Before: p.Revision.Base, After: p.Revision.Head, Author: bob.ARN, Text: "why five?", Place: source.Place{Path: "a", Line: 5}, Token: "t1"}
		c, err := h.Say(ctx, say)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := h.Say(ctx, say); err != nil || again.ID != c.ID {
			t.Errorf("said twice: %v %v", again, err)
		}
		reply, err := h.Say(ctx, source.Comment{Reply: c.ID, Author: ada.ARN, Text: "because"})
		if err != nil || reply.Pull != p.Number || reply.Place.Line != 5 {
			t.Errorf("%+v %v", reply, err)
		}
		if _, err := h.ChangeComment(ctx, c.ID, ada.ARN, "mine"); !errors.Is(err, fault.Denied) {
			t.Errorf("ada changes what bob said: %v", err)
		}
		if _, err := h.ChangeComment(ctx, c.ID, ada.ARN, ""); err != nil {
			t.Errorf("deleting: %v", err)
		}
		all, err := h.PullComments(ctx, p.Number)
		if err != nil || len(all) != 2 || !all[0].Deleted || all[0].Text != "" {
			t.Errorf("%+v %v", all, err)
		}
	})
}

// The findings of a pull request's head are comments on it, each once, where the change touches the file.
func TestFindingsAsComments(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		p := h.proposed()
		maker := finding.Maker{Account: "111122223333", Region: "eu-west-1"}
		tell := func(file, commit string) {
			t.Helper()
			f := maker.Own(finding.Scan{Tool: "code", Target: "shop", Commit: commit}, finding.Finding{GeneratorID: "r", Title: "bad", Description: "very", Severity: &finding.Severity{Label: finding.High}, ProductFields: map[string]string{finding.FieldFile: file, finding.FieldLine: "5", finding.FieldFingerprint: file}}, time.Now())
			detail, err := json.Marshal(map[string]any{"findings": []any{f.JSON()}})
			if err != nil {
				t.Fatal(err)
			}
			if err := h.Handle(t.Context(), event.Event{Source: finding.Source, Type: finding.Imported, Detail: detail}); err != nil {
				t.Fatal(err)
			}
		}
		tell("a", p.Revision.Head)
		tell("a", p.Revision.Head)
		tell("a", p.Revision.Target)
		tell("CODEOWNERS", p.Revision.Head)
		all, err := h.PullComments(t.Context(), p.Number)
		if err != nil || len(all) != 1 || all[0].Place != (source.Place{Path: "a", Line: 5, Side: "AFTER"}) || all[0].Author != h.Self() || !strings.HasPrefix(all[0].Text, "HIGH bad") || all[0].Finding == "" {
			t.Errorf("%+v %v", all, err)
		}
	})
}

// What is pushed to refs/for opens a pull request, and updates it when it is pushed again.
func TestPropose(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		h.clone.Commit("base", map[string]string{"a": "1\n"})
		h.land("main", "bob")
		propose := func(ref, topic string) (source.Proposed, error) {
			head := h.clone.Git("rev-parse", "HEAD")
			h.fetched(head)
			return h.Propose(ctx, source.Proposal{Repository: "shop", Ref: ref, Head: head, Who: ada, Topic: topic})
		}
		if _, err := propose("refs/for/main", ""); !errors.Is(err, source.ErrNothing) {
			t.Errorf("nothing new: %v", err)
		}
		h.clone.Commit("a fine change\n\nwith reasons", map[string]string{"a": "2\n"})
		one, err := propose("refs/for/main", "")
		if err != nil || !one.New || one.Pull.Title != "a fine change" || one.Pull.Description != "with reasons" {
			t.Fatalf("%+v %v", one, err)
		}
		if at, err := h.repo.Resolve(ctx, source.HeadRef(one.Pull.Number)); at != one.Pull.Revision.Head || err != nil {
			t.Errorf("its head is at %s: %v", at, err)
		}
		if again, err := propose("refs/for/main", ""); err != nil || !again.Same || again.Pull.Number != one.Pull.Number {
			t.Errorf("the same again: %+v %v", again, err)
		}
		h.clone.Commit("on top", map[string]string{"a": "3\n"})
		if more, err := propose("refs/for/main", ""); err != nil || more.New || more.Pull.Number != one.Pull.Number || more.Pull.Revision.Number != 2 {
			t.Errorf("more of it: %+v %v", more, err)
		}
		other, err := propose("refs/for/main/other", "")
		if err != nil || !other.New || other.Pull.Topic != "other" {
			t.Errorf("another topic: %+v %v", other, err)
		}
		h.clone.Git("commit", "-q", "--amend", "-m", "rewritten")
		if rewritten, err := propose("refs/for/main", "other"); err != nil || rewritten.New || rewritten.Pull.Number != other.Pull.Number {
			t.Errorf("rewritten, by its topic: %+v %v", rewritten, err)
		}
		// Without one by what git keeps of it, unless its subject is another or several are meant.
		h.clone.Git("checkout", "-q", "-b", "third", "main~2")
		h.clone.Commit("a third change", map[string]string{"c": "1\n"})
		third, err := propose("refs/for/main", "")
		if err != nil || !third.New {
			t.Fatalf("another change: %+v %v", third, err)
		}
		h.clone.Commit("a third change", map[string]string{"c": "2\n"})
		h.clone.Git("reset", "-q", "--soft", "HEAD~2")
		h.clone.Git("commit", "-q", "-m", "a third change\n\nthought over")
		if amended, err := propose("refs/for/main", ""); err != nil || amended.New || amended.Pull.Number != third.Pull.Number || amended.Pull.Revision.Commits != 1 {
			t.Errorf("amended: %+v %v", amended, err)
		}
		h.clone.Git("commit", "-q", "--amend", "-m", "a third change", "--date=1700000001 +0000")
		if later, err := propose("refs/for/main", ""); err != nil || !later.New {
			t.Errorf("written at another time: %+v %v", later, err)
		}
		h.clone.Git("commit", "-q", "--amend", "-m", "a fourth change")
		if fourth, err := propose("refs/for/main", ""); err != nil || !fourth.New {
			t.Errorf("of another subject: %+v %v", fourth, err)
		}
		if _, err := propose("refs/for/nowhere", ""); !errors.Is(err, source.ErrNoRef) {
			t.Errorf("no such branch: %v", err)
		}
		// The refs of pull requests are no moves that anybody made past the door, and come back when they are lost.
		if out, err := h.repo.Command(ctx, nil, "update-ref", "-d", source.HeadRef(one.Pull.Number)).CombinedOutput(); err != nil {
			t.Fatal(err, string(out))
		}
		h.repair()
		if at, err := h.repo.Resolve(ctx, source.HeadRef(one.Pull.Number)); err != nil {
			t.Errorf("its head is at %s: %v", at, err)
		}
		for _, line := range h.told() {
			if !strings.HasPrefix(line, "main ") {
				t.Errorf("told of %s", line)
			}
		}
	})
}

// A pull request that somebody merges by pushing is merged, and one whose branch is gone waits.
func TestMergedPastUs(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		p := h.proposed()
		h.land("main", "bob") // HEAD is side
		h.events(h.Handle)
		now := h.pull(p.Number)
		if now.State != source.Merged || now.Merge.Option != "" || now.Merge.By != bob.ARN {
			t.Errorf("%+v %+v", now.State, now.Merge)
		}
		h.clone.Commit("more", map[string]string{"more": "1\n"})
		h.land("side", "ada")
		p, err := h.CreatePull(t.Context(), source.NewPull{Repository: "shop", Title: "more", Source: "side", Author: ada})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.DeleteBranch(t.Context(), "shop", "side", ada.ARN); err != nil {
			t.Fatal(err)
		}
		if now := h.pull(p.Number); now.Gone != "source" || now.State != source.Open {
			t.Errorf("%+v", now)
		}
		if _, err := h.merge(p, source.Squash); !errors.Is(err, source.ErrNoRef) {
			t.Errorf("merging nothing: %v", err)
		}
		if now, err := h.SetState(t.Context(), p.Number, ada.ARN, source.Closed); err != nil || now.State != source.Closed {
			t.Errorf("%+v %v", now, err)
		}
	})
}

// A pull request whose source gave up what was in it is closed, not merged.
func TestNothingLeft(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		p := h.proposed()
		h.clone.Git("checkout", "-q", "main")
		h.land("side", "ada")
		h.events(h.Handle)
		if now := h.pull(p.Number); now.State != source.Closed || now.Merge != nil || now.Revision.ID != p.Revision.ID {
			t.Errorf("%s %+v", now.State, now.Merge)
		}
	})
}

// The server makes commits, branches and repositories go, as a push would; rules hold for it, too.
func TestServerMoves(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		make := func(parent, path, text string) (string, error) {
			id, _, err := h.Source.Commit(ctx, source.Commit{Repository: "shop", Branch: "main", Parent: parent, By: ada, Message: "put " + path, Edits: []git.Edit{{Path: path, Mode: git.ModeFile, Content: []byte(text)}}})
			return id, err
		}
		one, err := make("", "a", "1\n")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := make("", "b", "1\n"); !errors.Is(err, source.ErrParent) {
			t.Errorf("no parent: %v", err)
		}
		if _, err := make(one, "a", "1\n"); !errors.Is(err, source.ErrSame) {
			t.Errorf("nothing new: %v", err)
		}
		two, err := make(one, "b/c", "1\n")
		if err != nil {
			t.Fatal(err)
		}
		if err := h.CreateBranch(ctx, "shop", "release", one, ada.ARN); err != nil {
			t.Fatal(err)
		}
		h.rules(source.Rules{Tags: []string{"v*"}, Branches: []source.BranchRule{{Pattern: "main", PullRequest: true}}})
		if _, err := make(two, "d", "1\n"); !errors.Is(err, fault.Denied) {
			t.Errorf("past the rules: %v", err)
		}
		err = h.Intend(ctx, h.repo, source.Push{ID: "x", Repository: "shop", Updates: []source.Update{{Ref: "refs/tags/v1", Old: one, New: two}}})
		if !errors.Is(err, fault.Denied) {
			t.Errorf("a tag that moves: %v", err)
		}
		branches, err := h.Branches(ctx, "shop", 10)
		if err != nil || len(branches) != 2 || branches[1] != (source.Branch{Name: "release", Commit: one, Behind: 1}) || !branches[0].Reviewed {
			t.Errorf("%+v %v", branches, err)
		}
		h.expect("main "+"→"+short(one), arrow(one, two), "release →"+short(one))
		if err := h.Rename(ctx, "shop", "store"); err != nil {
			t.Fatal(err)
		}
		if at, err := h.Ref(ctx, "store", "refs/heads/main"); at != two || err != nil {
			t.Errorf("renamed: %s %v", at, err)
		}
		fresh, err := h.Create(ctx, source.Repository{Name: "shop"})
		if err != nil || fresh.Folder == "" {
			t.Errorf("another of the old name: %+v %v", fresh, err)
		}
		if _, err := h.Delete(ctx, "store"); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Ref(ctx, "store", "refs/heads/main"); !errors.Is(err, fault.NotFound) {
			t.Errorf("deleted: %v", err)
		}
		if _, err := os.Stat(h.repo.Dir()); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("its folder: %v", err)
		}
	})
}

// What a reviewer would overlook is named.
func TestNotices(t *testing.T) {
	diff := func(path string, mode uint32, lines ...string) git.Diff {
		d := git.Diff{Path: path, New: git.Side{Mode: mode, ID: "1234567890123"}, Hunks: []git.Hunk{{}}}
		for i, l := range lines {
			d.Hunks[0].Lines = append(d.Hunks[0].Lines, git.Line{Kind: '+', New: i + 1, Text: l})
		}
		return d
	}
	for _, c := range []struct {
		diff git.Diff
		want string
	}{
		{diff("a", git.ModeFile, "if x {", "// \u202e } \u2066begin"), "bidi 2"},
		{diff("a", git.ModeFile, "x\u200by := 1"), "invisible 1"},
		{diff("a", git.ModeFile, "var \u3164 = 1"), "invisible 1"},
		{diff("a", git.ModeFile, "\ufeffpackage x", "// 한글, emoji 👩‍💻 ❤️, עברית"), ""},
		{diff("a\u202egpj.exe", git.ModeFile), "bidi 0"},
		{diff("sub", git.ModeSubmodule), "submodule 0"},
		{diff("l", git.ModeLink, "../../etc/passwd"), "link 0"},
		{diff("big", git.ModeFile, "version https://git-lfs.github.com/spec/v1", "oid sha256:1", "size 1"), "lfs 1"},
		{diff("buildspec-test.yml", git.ModeFile, "version: 0.2"), "definition 0"},
		{diff(".haechi/gate.yaml", git.ModeFile, "x"), "definition 0"},
		{diff("run", git.ModeExecutable, "x"), "executable 0"},
		{diff("docs/buildspec.md", git.ModeFile, "x"), ""},
	} {
		got := ""
		for _, n := range source.Notices([]git.Diff{c.diff}) {
			got = strings.TrimSpace(got + " " + n.Kind + " " + string(rune('0'+n.Line)))
		}
		if got != c.want {
			t.Errorf("%q: %q, want %q", c.diff.Path, got, c.want)
		}
	}
}

// CODEOWNERS means files as GitHub and GitLab have it.
func TestOwnerPatterns(t *testing.T) {
	text := "* @all\n*.js @js # the front\n/build/logs/ @ops\ndocs/* @docs\napps/ @apps\n/scripts/**/x @x\nfree.txt\nwith\\ blank @blank\n\n^[Optional] @opt\nsecret/\n"
	for file, want := range map[string]string{
		"a": "@all", "x/a.js": "@js", "build/logs/1": "@ops", "x/build/logs/1": "@all", "docs/a": "@docs", "docs/a/b": "@all", "x/apps/y": "@apps", "apps": "@all",
		"scripts/a/b/x": "@x", "scripts/x": "@x", "free.txt": "", "with blank": "@blank", "secret/key": "@all+@opt", "x/secret/y": "@all+@opt",
	} {
		var got []string
		for _, names := range source.OwnersOf(text, file) {
			got = append(got, strings.Join(names, " "))
		}
		if strings.Join(got, "+") != want {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
	}
}

// Whatever a CODEOWNERS file says, it can be asked.
func FuzzOwners(f *testing.F) {
	f.Add("* @a\n/b/**/c @b\n[S] @c\n\\ d @e", "b/x/c")
	f.Fuzz(func(t *testing.T, text, file string) { source.OwnersOf(text, file) })
}

// No content of an approval rule breaks its reader.
func FuzzApprovalContent(f *testing.F) {
	f.Add(`{"Version":"2018-11-08","DestinationReferences":["refs/heads/main"],"Statements":[{"Type":"Approvers","NumberOfApprovalsNeeded":2,"ApprovalPoolMembers":["arn:aws:iam::1:user/*"]}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		if source.CheckContent(text, false) == nil && source.CheckContent(text, true) != nil {
			t.Errorf("%q is a rule, and no template", text)
		}
	})
}

// No signature but one that was made over the text holds.
func FuzzSignature(f *testing.F) {
	key, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(make([]byte, 32)))
	if err != nil {
		f.Fatal(err)
	}
	text, err := source.SignSSH(key, nil, []byte("text"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add("-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----")
	f.Fuzz(func(t *testing.T, signature string) {
		if source.CheckSignature([]byte("another text"), signature) == nil {
			t.Errorf("%q holds", signature)
		}
	})
}
