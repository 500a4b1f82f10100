package source

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// Approval is what somebody thinks of one revision.
type Approval struct {
	Who      Person    `json:"who"`
	Revision string    `json:"revision"`
	Approved bool      `json:"approved"` // false: it was taken back
	At       time.Time `json:"at"`
}

// Override lifts what reviews are to show of one revision, for a time.
type Override struct {
	By       string    `json:"by"` // ARN
	Why      string    `json:"why"`
	Revision string    `json:"revision"`
	At       time.Time `json:"at"`
	Until    time.Time `json:"until"`
}

// OverrideRule is the rule of the findings that overrides leave.
const OverrideRule = "source/review-override"

// Approve says that somebody approves of the current revision, or takes that back.
func (s *Source) Approve(ctx context.Context, number int64, revision string, who Person, approve bool) error {
	p, err := s.open(ctx, number, revision)
	if err != nil {
		return err
	}
	known, err := s.called(ctx, who)
	if err != nil {
		return err
	}
	if why := p.madeBy(known); why != "" && approve {
		return fault.Denied.Errorf("%s %s: %w", who.Name, why, ErrOwn)
	}
	a := Approval{Who: who, Revision: p.Revision.ID, Approved: approve, At: s.config.Now().UTC()}
	body, err := json.Marshal(a)
	if err != nil {
		return err
	}
	verdict := map[bool]string{true: "APPROVE", false: "REVOKE"}[approve]
	return s.db.Write(ctx, func(tx *db.Tx) error {
		now, err := findPull(tx, number)
		if err != nil {
			return err
		}
		if now.State != Open || now.Revision.ID != p.Revision.ID {
			return fault.Conflict.Errorf("pull request %d: %w", number, ErrNotCurrent)
		}
		_, err = tx.Exec("INSERT INTO source_approvals (pull, revision, who, body) VALUES (?, ?, ?, ?) ON CONFLICT (pull, revision, who) DO UPDATE SET body = excluded.body", number, a.Revision, who.ARN, body)
		if err != nil {
			return err
		}
		if err := s.note(tx, now, Happened{Type: HappenedApproval, Who: who.ARN, Revision: a.Revision, Verdict: verdict}); err != nil {
			return err
		}
		return s.tellPull(tx, now, "pullRequestApprovalStateChanged", who.ARN, func(d *PullDetail) { d.ApprovalStatus = verdict })
	})
}

// madeBy says what somebody had to do with the pull request, or "".
func (p Pull) madeBy(who Person) string {
	if who.ARN == p.Author.ARN {
		return "opened it"
	}
	for _, m := range p.Revision.Makers {
		switch {
		case m.ARN != "" && m.ARN == who.ARN:
			return "pushed commits of it"
		case m.ARN == "" && who.is(m.Name, m.Email):
			return "is " + map[string]string{"author": "the author", "committer": "the committer", "co-author": "a co-author"}[m.As] + " of commits in it"
		}
	}
	return ""
}

// is tells whether a commit's name and address may mean somebody: who approves must not have made it, so
// a name alone is enough.
func (w Person) is(name, email string) bool {
	local, _, _ := strings.Cut(email, "@")
	same := func(s string) bool { return s != "" && strings.EqualFold(s, w.Name) }
	return same(name) || same(email) || same(local) || slices.ContainsFunc(w.Emails, func(e string) bool { return e != "" && strings.EqualFold(e, email) })
}

// Approvals are what people thought of a revision.
func (s *Source) Approvals(ctx context.Context, number int64, revision string) (all []Approval, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		if _, err := findPull(tx, number); err != nil {
			return err
		}
		all, err = db.All(tx, func(scan db.Scan) (a Approval, err error) {
			var body []byte
			if err := scan(&body); err != nil {
				return a, err
			}
			return a, json.Unmarshal(body, &a)
		}, "SELECT body FROM source_approvals WHERE pull = ? AND revision = ? ORDER BY who", number, revision)
		return err
	})
	return all, err
}

// Demand is one thing that is asked for before a pull request may be merged.
type Demand struct {
	Name   string // of the approval rule, or what it is
	Kind   string // rule, approvals, code-owners, definition-owners, check, signed, merges
	Met    bool
	Lifted bool   // by an override
	Why    string // what is missing, or who gave it
}

// Verdict is whether a pull request may be merged, and why.
type Verdict struct {
	Pull       Pull
	Demands    []Demand
	Approvers  []string // ARNs of those whose approval counts
	Ignored    []string // approvals that do not count, and why
	Overridden bool
	Approved   bool // everything that reviews are to show is there, or lifted
	Mergeable  bool // that, and it merges
}

// Unmet is what is missing, in a sentence.
func (v Verdict) Unmet() string {
	var missing []string
	for _, d := range v.Demands {
		if !d.Met && !d.Lifted {
			missing = append(missing, d.Name+": "+d.Why)
		}
	}
	return strings.Join(missing, "; ")
}

// reviewed tells whether all is there without an override. Where conflicts were settled as it was merged, nothing asked
// for a review of what came of it.
func (v Verdict) reviewed() bool {
	return !slices.ContainsFunc(v.Demands, func(d Demand) bool { return !d.Met && d.Kind != "merges" })
}

// Judge says of an open pull request what is asked for and what of it is there.
func (s *Source) Judge(ctx context.Context, number int64) (v Verdict, err error) {
	p, err := s.fresh(ctx, number)
	if err != nil {
		return v, err
	}
	return s.judge(ctx, p)
}

func (s *Source) judge(ctx context.Context, p Pull) (v Verdict, err error) {
	v.Pull = p
	r, err := s.Repository(ctx, p.Repository)
	if err != nil {
		return v, err
	}
	approvals, err := s.Approvals(ctx, p.Number, p.Revision.ID)
	if err != nil {
		return v, err
	}
	for i := range approvals {
		if approvals[i].Who, err = s.called(ctx, approvals[i].Who); err != nil {
			return v, err
		}
	}
	counting := v.count(approvals)
	for _, rule := range p.Rules {
		v.Demands = append(v.Demands, rule.demand(counting))
	}
	for _, rule := range r.Asked(p.Target) {
		more, err := s.demands(ctx, p, rule, counting)
		if err != nil {
			return v, err
		}
		v.Demands = append(v.Demands, more...)
	}
	now := s.config.Now()
	v.Overridden = p.Override != nil && p.Override.Revision == p.Revision.ID && now.Before(p.Override.Until)
	v.Approved = true
	for i := range v.Demands {
		d := &v.Demands[i]
		d.Lifted = !d.Met && v.Overridden && d.Kind != "signed"
		v.Approved = v.Approved && (d.Met || d.Lifted)
	}
	merges := Demand{Name: "merges", Kind: "merges", Met: p.Revision.Clean() && p.Gone == "", Why: p.Revision.why(p.Gone)}
	v.Demands = append(v.Demands, merges)
	v.Mergeable = v.Approved && merges.Met
	return v, nil
}

func (r Revision) why(gone string) string {
	switch {
	case gone != "":
		return "its " + gone + " branch is gone"
	case r.Problem != "":
		return r.Problem
	case len(r.Conflicts) > 0:
		return "both sides changed " + strings.Join(r.Conflicts[:min(len(r.Conflicts), 5)], ", ")
	}
	return "by itself"
}

// count is whose approvals count; what does not, and why, is noted.
func (v *Verdict) count(approvals []Approval) (counting []Person) {
	for _, a := range approvals {
		switch why := v.Pull.madeBy(a.Who); {
		case !a.Approved:
		case why != "":
			v.Ignored = append(v.Ignored, a.Who.ARN+" "+why)
		case a.Who.Robot:
			v.Ignored = append(v.Ignored, a.Who.ARN+" is no person")
		default:
			counting = append(counting, a.Who)
			v.Approvers = append(v.Approvers, a.Who.ARN)
		}
	}
	return counting
}

// demand is what an approval rule asks for.
func (r ApprovalRule) demand(counting []Person) Demand {
	d := Demand{Name: r.Name, Kind: "rule", Met: true}
	a, err := parseApprovers(r.Content, false)
	if err != nil {
		d.Met, d.Why = false, err.Error()
		return d
	}
	var said []string
	for _, st := range a.Statements {
		n := 0
		for _, who := range counting {
			if st.counts(who) {
				n++
			}
		}
		d.Met = d.Met && n >= st.Needed
		said = append(said, fmt.Sprintf("%d of %d approvals", n, st.Needed))
	}
	d.Why = strings.Join(said, ", ")
	return d
}

// demands are what the repository's own rule asks for.
func (s *Source) demands(ctx context.Context, p Pull, rule BranchRule, counting []Person) (all []Demand, err error) {
	if rule.Approvals > 0 {
		all = append(all, Demand{Name: "approvals on " + rule.Pattern, Kind: "approvals", Met: len(counting) >= rule.Approvals, Why: fmt.Sprintf("%d of %d approvals by people who did not make it", len(counting), rule.Approvals)})
	}
	repo, err := s.Git(p.Repository)
	if err != nil {
		return nil, err
	}
	if rule.CodeOwners || len(rule.Owners) > 0 {
		more, err := s.ownersDemands(ctx, repo, p, rule, counting)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	for _, check := range rule.Checks {
		status, err := s.StatusOf(ctx, p.Repository, p.Revision.Head, check)
		d := Demand{Name: "check " + check, Kind: "check", Met: err == nil && status.State == Success, Why: "it has not run on " + p.Revision.Head[:min(len(p.Revision.Head), 10)]}
		if err == nil {
			d.Why = string(status.State)
		} else if fault.Of(err) != fault.NotFound {
			return nil, err
		}
		all = append(all, d)
	}
	if rule.Signed {
		d := Demand{Name: "signed commits", Kind: "signed", Met: true, Why: "all are"}
		bad, err := s.unsigned(ctx, repo, p.Revision.Target, p.Revision.Head, s.config.Now())
		if err != nil {
			return nil, err
		}
		if len(bad) > 0 {
			d.Met, d.Why = false, bad[0].Commit[:10]+" "+bad[0].Why
		}
		all = append(all, d)
	}
	return all, nil
}

// ownersDemands ask the owners of what changes.
func (s *Source) ownersDemands(ctx context.Context, repo *git.Repo, p Pull, rule BranchRule, counting []Person) (all []Demand, err error) {
	to := p.Revision.Tree
	if to == "" {
		to = p.Revision.Head // where it does not merge nothing can be merged either
	}
	changed, err := repo.Changes(ctx, p.Revision.Target, to)
	if err != nil {
		return nil, err
	}
	if len(rule.Owners) > 0 {
		if i := slices.IndexFunc(changed, func(c git.Change) bool { return rule.defines(c.Path) }); i >= 0 {
			all = append(all, ownerDemand("owners of definition files", "definition-owners", strings.ToValidUTF8(changed[i].Path, "\uFFFD"), rule.Owners, counting))
		}
	}
	if !rule.CodeOwners {
		return all, nil
	}
	owners, err := codeOwners(ctx, repo, p.Revision.Target)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, c := range changed {
		for _, names := range owners.of(c.Path) {
			key := strings.Join(names, " ")
			if seen[key] {
				continue
			}
			seen[key] = true
			all = append(all, ownerDemand("code owners "+key, "code-owners", strings.ToValidUTF8(c.Path, "\uFFFD"), names, counting))
		}
	}
	return all, nil
}

func ownerDemand(name, kind, path string, owners []string, counting []Person) Demand {
	d := Demand{Name: name, Kind: kind, Why: path + " wants the approval of " + strings.Join(owners, " or ")}
	for _, who := range counting {
		if slices.ContainsFunc(owners, who.owns) {
			d.Met, d.Why = true, path+": "+who.Name
		}
	}
	return d
}

// owns tells whether an owner's name means somebody: an ARN, a mail address, a user's name, @user, @group, @org/group.
func (w Person) owns(owner string) bool {
	if strings.HasPrefix(owner, "arn:") {
		return glob(owner, w.ARN)
	}
	name, at := strings.CutPrefix(owner, "@")
	if !at && strings.Contains(owner, "@") {
		return slices.ContainsFunc(w.Emails, func(e string) bool { return strings.EqualFold(e, owner) })
	}
	team := name[strings.LastIndexByte(name, '/')+1:]
	return name == w.Name || slices.Contains(w.Groups, team)
}

// LiftRules lets the current revision be merged without what reviews are to show, until a time; or, with
// until not after now, takes that back. It leaves a finding, without which it does not count.
func (s *Source) LiftRules(ctx context.Context, number int64, revision string, by Person, why string, until time.Time) error {
	p, err := s.open(ctx, number, revision)
	if err != nil {
		return err
	}
	now := s.config.Now().UTC()
	lift := until.After(now)
	if lift && strings.TrimSpace(why) == "" {
		return fault.Invalid.Errorf("an override needs a reason")
	}
	if lift && until.After(now.Add(MostOverride)) {
		return fault.Limit.Errorf("an override lasts at most %v", MostOverride)
	}
	o := &Override{By: by.ARN, Why: clip(why, 1000), Revision: p.Revision.ID, At: now, Until: until.UTC()}
	if lift {
		if err := s.keepFinding(ctx, s.overrideFinding(p, *o)); err != nil {
			return fmt.Errorf("keeping the finding of an override: %w", err)
		}
	}
	return s.db.Write(ctx, func(tx *db.Tx) error {
		now, err := findPull(tx, number)
		if err != nil {
			return err
		}
		if now.State != Open || now.Revision.ID != p.Revision.ID {
			return fault.Conflict.Errorf("pull request %d: %w", number, ErrNotCurrent)
		}
		status := "OVERRIDE"
		if now.Override = o; !lift {
			now.Override, status = nil, "REVOKE"
		}
		now.Updated = o.At
		if err := keepPull(tx, now); err != nil {
			return err
		}
		if err := s.note(tx, now, Happened{Type: HappenedOverride, Who: by.ARN, Revision: p.Revision.ID, Verdict: status, Why: o.Why}); err != nil {
			return err
		}
		return s.tellPull(tx, now, "pullRequestApprovalRuleOverridden", by.ARN, func(d *PullDetail) { d.OverrideStatus = status })
	})
}

// MostOverride is how long an override lasts at most.
const MostOverride = 7 * 24 * time.Hour

func (s *Source) overrideFinding(p Pull, o Override) wrong {
	return wrong{
		rule: OverrideRule, repository: p.Repository, commit: p.Revision.Head, branch: shortRef(p.Target), key: p.Revision.ID, severity: finding.Medium,
		title:       fmt.Sprintf("The review of pull request %d was overridden", p.Number),
		description: fmt.Sprintf("%s may merge pull request %d (%s) into %s without what reviews are to show: %s. Until %s.", o.By, p.Number, p.Title, shortRef(p.Target), o.Why, o.Until.Format(time.RFC3339)),
		mend:        "Have somebody who did not make the change review it afterwards; resolve this finding with their name.",
		fields:      map[string]string{"haechi/owner": o.By, "haechi/reason": o.Why, "haechi/expires": o.Until.Format(time.RFC3339)},
	}
}

// clip keeps the beginning of what people wrote.
func clip(s string, most int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
