package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// The rules of the findings that moves of refs leave.
const (
	UnreviewedRule  = "source/unreviewed-change"
	ForcedRule      = "source/history-rewritten"
	UnknownMoveRule = "source/moved-past-the-door"
	UnsignedRule    = "source/unsigned-commit"
)

// Tool is what source's findings are from.
const Tool = "source"

// wrong is something that is wrong with a repository.
type wrong struct {
	rule, repository, branch, commit string
	key                              string // what makes it this one, besides rule and repository
	title, description, mend         string
	severity                         finding.Label
	fields                           map[string]string
}

// keepFinding hands a finding to whoever keeps such.
func (s *Source) keepFinding(ctx context.Context, w wrong) error {
	if s.config.Keep == nil {
		return nil
	}
	scan := finding.Scan{ID: Tool + "/" + w.rule + "/" + w.key, Tool: Tool, Target: w.repository, Branch: w.branch, Commit: w.commit}
	fields := map[string]string{finding.FieldFingerprint: finding.Fingerprint(w.rule, w.repository, w.key)}
	for k, v := range w.fields {
		fields[k] = v
	}
	maker := finding.Maker{Account: s.config.Account, Region: s.config.Region}
	return s.config.Keep(ctx, scan, maker.Own(scan, finding.Finding{
		GeneratorID: w.rule, Title: finding.Shorten(w.title, 250), Description: finding.Shorten(w.description, 1000), Severity: &finding.Severity{Label: w.severity},
		Types: []string{"Software and Configuration Checks/Source Integrity"}, ProductFields: fields,
		Resources:   []finding.Resource{{Type: "Other", ID: s.ARN(w.repository), Partition: "aws", Region: s.config.Region}},
		Remediation: &finding.Remediation{Recommendation: &finding.Recommendation{Text: finding.Shorten(w.mend, 500)}},
	}, s.config.Now()))
}

// follow does what has to follow from what happened: pull requests get their new revisions, moves past the
// rules become findings, findings become comments, runs become statuses. All of it may happen twice.
func (s *Source) follow(ctx context.Context, e event.Event) error {
	switch {
	case e.Source == EventSource && e.Type == Moved:
		var d Detail
		if err := json.Unmarshal(e.Detail, &d); err != nil {
			return fault.Invalid.Errorf("reading event %s: %w", e.ID, err)
		}
		if err := s.watch(ctx, d, e.Time); err != nil {
			return err
		}
		return s.reviseMoved(ctx, d)
	case e.Source == EventSource && e.Type == PullChanged:
		var d PullDetail
		if err := json.Unmarshal(e.Detail, &d); err != nil {
			return fault.Invalid.Errorf("reading event %s: %w", e.ID, err)
		}
		if d.Event == "pullRequestCreated" || d.Event == "pullRequestSourceBranchUpdated" {
			return s.recall(ctx, d)
		}
	case e.Source == finding.Source && e.Type == finding.Imported:
		return s.commentOn(ctx, e)
	case e.Source == "aws.codepipeline" && e.Type == "CodePipeline Pipeline Execution State Change":
		return s.checked(ctx, e)
	}
	return nil
}

// reviseMoved looks again at the open pull requests that a ref is an end of.
func (s *Source) reviseMoved(ctx context.Context, d Detail) error {
	var open []Pull
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		for _, q := range []Pulls{{Source: d.ReferenceFullName}, {Target: d.ReferenceFullName}} {
			q.Repository, q.State, q.Limit = d.RepositoryName, Open, 1000
			some, err := pulls(tx, q)
			if err != nil {
				return err
			}
			open = append(open, some...)
		}
		return nil
	})
	if err != nil {
		return err
	}
	var wrong error
	for _, p := range open {
		if _, err := s.fresh(ctx, p.Number); err != nil && !errors.Is(err, fault.NotFound) {
			wrong = errors.Join(wrong, fmt.Errorf("pull request %d: %w", p.Number, err))
		}
	}
	if wrong != nil && ctx.Err() == nil { // whoever opens one of them looks again; the others must not wait
		s.config.Log.Error("looking at pull requests again", "repository", d.RepositoryName, "ref", d.ReferenceFullName, "err", wrong)
	}
	return ctx.Err()
}

// watch tells the hub of a move that the rules do not like, however it came about: those rules that held at the time.
func (s *Source) watch(ctx context.Context, d Detail, at time.Time) error {
	r, err := s.Repository(ctx, d.RepositoryName)
	if errors.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	r.Rules.Branches = slices.DeleteFunc(slices.Clone(r.Rules.Branches), func(b BranchRule) bool { return at.Before(b.Since.Time.Truncate(time.Second)) })
	ref := d.ReferenceFullName
	base := wrong{repository: r.Name, branch: d.ReferenceName, commit: d.CommitID, key: ref + " " + d.OldCommitID + " " + d.CommitID}
	who := d.CallerUserARN
	if who == "" {
		who = "somebody past the door"
	}
	if who != d.CallerUserARN && (r.Protected(ref) || r.Fixed(ref)) && d.OldCommitID != "" {
		w := base
		w.rule, w.severity = UnknownMoveRule, finding.High
		w.title = fmt.Sprintf("%s of %s was moved past the door", shortRef(ref), r.Name)
		w.description = fmt.Sprintf("%s moved from %s to %s, and nobody asked the server to: somebody who reaches its disk did it.", ref, orNothing(d.OldCommitID), orNothing(d.CommitID))
		w.mend = "Find out who reached the server's folder of repositories, and compare the branch with a clone that you trust."
		if err := s.keepFinding(ctx, w); err != nil {
			return err
		}
	}
	forced, err := s.rewritten(ctx, r, d)
	if err != nil {
		return err
	}
	if forced {
		w := base
		w.rule, w.severity = ForcedRule, finding.High
		w.title = fmt.Sprintf("The history of %s of %s was rewritten", shortRef(ref), r.Name)
		w.description = fmt.Sprintf("%s moved %s from %s to %s, which takes commits away that were there.", who, ref, orNothing(d.OldCommitID), orNothing(d.CommitID))
		w.mend = "Compare the two, and push what is missing again: git log " + orNothing(d.CommitID) + ".." + orNothing(d.OldCommitID)
		if err := s.keepFinding(ctx, w); err != nil {
			return err
		}
	}
	if d.CommitID == "" {
		return nil
	}
	if d.OldCommitID == "" {
		return s.watchBegun(ctx, r, d, base, who)
	}
	if err := s.watchReview(ctx, r, d, base, who); err != nil {
		return err
	}
	return s.watchSignatures(ctx, r, d, base, at)
}

// rewritten tells whether a move of a protected branch took commits away. Of one that was made past the door nobody has
// said so: git is asked, and what is not there any more was taken away.
func (s *Source) rewritten(ctx context.Context, r Repository, d Detail) (bool, error) {
	switch {
	case !r.Protected(d.ReferenceFullName) || d.OldCommitID == "":
		return false, nil
	case d.Forced || d.CommitID == "":
		return true, nil
	case d.CallerUserARN != "":
		return false, nil
	}
	repo, err := s.Git(r.Name)
	if err != nil {
		return false, err
	}
	if _, err := repo.Commit(ctx, d.OldCommitID); errors.Is(err, fault.NotFound) {
		return true, nil
	}
	if _, err := repo.Commit(ctx, d.CommitID); errors.Is(err, fault.NotFound) {
		return false, nil // it has moved on, and that move is looked at, too
	}
	follows, err := repo.IsAncestor(ctx, d.OldCommitID, d.CommitID)
	return !follows && err == nil, err
}

func orNothing(id string) string {
	if id == "" {
		return "nothing"
	}
	return id
}

// watchReview tells of a change on a branch that takes reviewed changes only, and that is none: there must
// be the record of a merge whose tree is the one that was reviewed.
func (s *Source) watchReview(ctx context.Context, r Repository, d Detail, w wrong, who string) error {
	if !r.Reviewed(d.ReferenceFullName) {
		return nil
	}
	why, err := s.notReviewed(ctx, r.Name, d.ReferenceFullName, d.OldCommitID, d.CommitID)
	if err != nil || why == "" {
		return err
	}
	w.rule, w.severity = UnreviewedRule, finding.High
	w.title = fmt.Sprintf("%s of %s has a change that was not reviewed", d.ReferenceName, r.Name)
	w.description = fmt.Sprintf("%s moved %s from %s to %s: %s.", who, d.ReferenceFullName, d.OldCommitID, d.CommitID, why)
	w.mend = "Have somebody who did not make the change review it, and resolve this finding with their name; or revert it."
	return s.keepFinding(ctx, w)
}

// watchBegun tells of a branch that takes reviewed changes only and began with others.
func (s *Source) watchBegun(ctx context.Context, r Repository, d Detail, w wrong, who string) error {
	if !r.Reviewed(d.ReferenceFullName) {
		return nil
	}
	why, err := s.notBegun(ctx, r, d.ReferenceFullName, d.CommitID)
	if err != nil || why == "" {
		return err
	}
	w.rule, w.severity = UnreviewedRule, finding.High
	w.title = fmt.Sprintf("%s of %s began with a change that was not reviewed", d.ReferenceName, r.Name)
	w.description = fmt.Sprintf("%s made %s at %s: %s.", who, d.ReferenceFullName, d.CommitID, why)
	w.mend = "Have somebody who did not make the change review it, and resolve this finding with their name; or delete the branch, and begin it where a protected branch is."
	return s.keepFinding(ctx, w)
}

// notBegun says why a branch began with what was not reviewed, or "": all that it held then must be on the protected
// branches that were there before.
func (s *Source) notBegun(ctx context.Context, r Repository, ref, commit string) (string, error) {
	var heads []string
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		made, err := db.All(tx, scanMove, "SELECT "+columns+" FROM source_moves WHERE repository = ? AND ref = ? AND old_id = ? AND new_id = ? AND state = ? ORDER BY number DESC LIMIT 1", r.Name, ref, git.Zero, commit, done)
		if err != nil || len(made) == 0 {
			return err
		}
		before := made[0].Number
		if made[0].Push != "" { // what one push brings comes to be at once
			if before, err = db.One(tx, db.Value[int64], "SELECT MIN(number) FROM source_moves WHERE repository = ? AND push = ?", r.Name, made[0].Push); err != nil {
				return err
			}
		}
		earlier, err := db.All(tx, db.Value[string], "SELECT ref FROM source_moves WHERE repository = ? AND state = ? AND number < ? AND ref >= ? AND ref < ? GROUP BY ref", r.Name, done, before, "refs/heads/", "refs/heads0")
		if err != nil {
			return err
		}
		for _, other := range earlier {
			if other == ref || !r.Protected(other) || len(heads) == 5000 {
				continue
			}
			if head, err := at(tx, r.Name, other); err != nil {
				return err
			} else if !git.IsZero(head) {
				heads = append(heads, head)
			}
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	repo, err := s.Git(r.Name)
	if err != nil {
		return "", err
	}
	begins, err := begins(ctx, repo, commit, heads)
	if errors.Is(err, fault.NotFound) {
		return "its first commit is not there any more", nil
	}
	if err != nil || begins {
		return "", err
	}
	return "no protected branch had all that it began with", nil
}

// notReviewed says why a move of a branch is no reviewed merge, or "".
func (s *Source) notReviewed(ctx context.Context, repository, ref, old, to string) (string, error) {
	var records []mergeRecord
	err := s.db.Read(ctx, func(tx *db.Tx) (err error) {
		records, err = db.All(tx, scanRecord, "SELECT body FROM source_merges WHERE repository = ? AND commit_id = ? AND ref = ?", repository, to, ref)
		return err
	})
	if err != nil {
		return "", err
	}
	if len(records) == 0 {
		return "no pull request brought it", nil
	}
	repo, err := s.Git(repository)
	if err != nil {
		return "", err
	}
	c, err := repo.Commit(ctx, to)
	if errors.Is(err, fault.NotFound) {
		return "its commit is not there any more", nil
	}
	if err != nil {
		return "", err
	}
	why := "the tree that was reviewed is another"
	for _, m := range records {
		switch {
		case m.Tree != c.Tree:
		case !m.Merge.Reviewed:
			why = "pull request " + strconv.FormatInt(m.Pull, 10) + " was merged without what reviews are to show"
		default:
			return "", nil
		}
	}
	return why, nil
}

func (s *Source) watchSignatures(ctx context.Context, r Repository, d Detail, w wrong, at time.Time) error {
	if !r.signed(d.ReferenceFullName) {
		return nil
	}
	repo, err := s.Git(r.Name)
	if err != nil {
		return err
	}
	bad, err := s.unsigned(ctx, repo, d.OldCommitID, d.CommitID, at)
	if errors.Is(err, fault.NotFound) || git.IsZero(d.OldCommitID) { // it has moved on, and what is not there cannot be looked at
		return nil
	}
	if err != nil {
		return err
	}
	for _, b := range bad {
		w.rule, w.severity, w.commit, w.key = UnsignedRule, finding.Medium, b.Commit, b.Commit
		w.title = fmt.Sprintf("Commit %s on %s of %s is not verified", b.Commit[:10], d.ReferenceName, r.Name)
		w.description = fmt.Sprintf("Commit %s %s; %s takes verified commits only.", b.Commit, b.Why, d.ReferenceName)
		w.mend = "Ask whoever committed it to sign it (git commit --amend -S), and to say which key is theirs (haechi repo signer add)."
		if err := s.keepFinding(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

// Level is how well a branch is kept, in SLSA's source levels: 1 it is in version control; 2 its history
// only grew since it is protected; 3 everything came as its rules ask; 4 and two people agreed on all of it.
func (s *Source) Level(ctx context.Context, repository, ref string) (level int, why string, err error) {
	r, err := s.Repository(ctx, repository)
	if err != nil {
		return 0, "", err
	}
	ref = full(ref)
	if !r.Protected(ref) {
		return 1, shortRef(ref) + " is not protected", nil
	}
	moves, err := s.Moves(ctx, repository, ref, 0, 1000)
	if err != nil {
		return 0, "", err
	}
	var since time.Time
	two := false
	for _, b := range r.Asked(ref) {
		if b.Since.Time.After(since) {
			since = b.Since.Time
		}
		two = two || b.Approvals > 0
	}
	level, why = 4, "everything came as the rules ask, and somebody else agreed"
	if !two {
		level, why = 3, "its rules ask nobody else to agree"
	}
	if !r.Reviewed(ref) {
		level, why = 2, "it takes changes that nobody reviews"
	}
	for _, m := range moves {
		if m.Done && !git.IsZero(m.Old) && (m.Forced || m.Who == "") {
			return 1, "its history was rewritten, or moved past the door, at " + m.At.Format(time.RFC3339), nil
		}
		if level <= 2 || !m.Done || m.At.Before(since) || git.IsZero(m.New) {
			continue
		}
		var not string
		if git.IsZero(m.Old) {
			not, err = s.notBegun(ctx, r, ref, m.New)
		} else {
			not, err = s.notReviewed(ctx, repository, ref, m.Old, m.New)
		}
		if err != nil {
			return 0, "", err
		}
		if not != "" {
			level, why = 2, m.New[:10]+": "+not
		}
	}
	return level, why, nil
}

// recall shows the findings that are known already of what a pull request brings.
func (s *Source) recall(ctx context.Context, d PullDetail) error {
	if s.config.Fresh == nil || len(d.RepositoryNames) != 1 {
		return nil
	}
	head, ok := strings.CutPrefix(d.SourceReference, "refs/heads/")
	if !ok {
		return nil // it is scanned by and by
	}
	all, err := s.config.Fresh(ctx, d.RepositoryNames[0], head, shortRef(d.DestinationReference))
	if err != nil {
		return err
	}
	return s.show(ctx, d.RepositoryNames[0], all)
}

// commentOn shows findings that were imported where a pull request's head is what was scanned.
func (s *Source) commentOn(ctx context.Context, e event.Event) error {
	var d struct {
		Findings []jsontext.Value `json:"findings"`
	}
	if err := json.Unmarshal(e.Detail, &d); err != nil {
		return fault.Invalid.Errorf("reading event %s: %w", e.ID, err)
	}
	var all []finding.Finding
	target := ""
	for _, text := range d.Findings {
		f, err := finding.Parse(text)
		if err != nil {
			return fault.Invalid.Errorf("reading event %s: %w", e.ID, err)
		}
		target = f.ProductFields[finding.FieldTarget]
		all = append(all, f)
	}
	if target == "" {
		return nil
	}
	return s.show(ctx, target, all)
}

// show keeps the findings of a repository as comments on the pull requests whose heads they were found in.
func (s *Source) show(ctx context.Context, repository string, all []finding.Finding) error {
	heads := map[string][]Pull{}
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		open, err := pulls(tx, Pulls{Repository: repository, State: Open, Limit: 10_000})
		for _, p := range open {
			heads[p.Revision.Head] = append(heads[p.Revision.Head], p)
		}
		return err
	})
	if err != nil || len(heads) == 0 {
		return err
	}
	for _, f := range all {
		if f.RecordState == finding.Archived || !f.Open() {
			continue
		}
		for _, p := range heads[f.ProductFields[finding.FieldCommit]] {
			if err := s.showOn(ctx, p, f); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Source) showOn(ctx context.Context, p Pull, f finding.Finding) error {
	place := f.Place()
	changes, err := s.changed(ctx, p)
	if err != nil {
		return err
	}
	if place.File != "" && !changes[place.File] {
		return nil // it stands in a file that the change leaves as it was
	}
	text := fmt.Sprintf("%s %s\n\n%s", f.Label(), f.Title, f.Description)
	if f.Remediation != nil && f.Remediation.Recommendation != nil && f.Remediation.Recommendation.Text != "" {
		text += "\n\n" + f.Remediation.Recommendation.Text
	}
	c := Comment{
		Repository: p.Repository, Pull: p.Number, Before: p.Revision.Base, After: p.Revision.Head, Author: s.Self(), Text: clip(text, mostComment-10),
		Place: Place{Path: place.File, Line: place.Line}, Token: "finding " + strconv.FormatInt(p.Number, 10) + " " + p.Revision.Head + " " + f.ID, Finding: f.ID,
	}
	_, err = s.Say(ctx, c)
	if errors.Is(err, fault.NotFound) || errors.Is(err, fault.Limit) {
		return nil
	}
	return err
}

// changed are the paths that a pull request changes.
func (s *Source) changed(ctx context.Context, p Pull) (map[string]bool, error) {
	repo, err := s.Git(p.Repository)
	if err != nil {
		return nil, err
	}
	all, err := repo.Changes(ctx, p.Revision.Base, p.Revision.Head)
	if err != nil {
		return nil, err
	}
	paths := make(map[string]bool, len(all))
	for _, c := range all {
		paths[c.Path] = true
	}
	return paths, nil
}

// Self is who the server is when it says something of its own accord.
func (s *Source) Self() string {
	return "arn:aws:haechi:" + s.config.Region + ":" + s.config.Account + ":source"
}

// checked keeps what a run of a pipeline says of its commit, for whoever asks for the check.
func (s *Source) checked(ctx context.Context, e event.Event) error {
	var d struct {
		Pipeline    string `json:"pipeline"`
		State       string `json:"state"`
		Repository  string `json:"repository"`
		Commit      string `json:"commit"`
		Path        string `json:"path"`
		FailedStage string `json:"failed-stage"`
	}
	if err := json.Unmarshal(e.Detail, &d); err != nil {
		return fault.Invalid.Errorf("reading event %s: %w", e.ID, err)
	}
	if d.Repository == "" || !git.ValidID(d.Commit) {
		return nil
	}
	st := Status{Context: PipelineCheck(d.Pipeline), URL: d.Path, State: Failure, Description: strings.ToLower(d.State)}
	switch d.State {
	case "STARTED", "RESUMED", "STOPPING", "SUPERSEDED":
		st.State = Pending
	case "SUCCEEDED":
		st.State = Success
	}
	if d.FailedStage != "" {
		st.Description += ": " + d.FailedStage
	}
	return s.db.Write(ctx, func(tx *db.Tx) error {
		if _, err := find(tx, d.Repository); errors.Is(err, fault.NotFound) {
			return nil
		} else if err != nil {
			return err
		}
		return s.SetStatus(tx, d.Repository, d.Commit, st)
	})
}

// PipelineCheck is the context of the status that a pipeline's runs give.
func PipelineCheck(pipeline string) string { return "pipeline/" + pipeline }
