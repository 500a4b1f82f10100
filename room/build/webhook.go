package build

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
)

// A webhook of CodeBuild is how a forge tells of pushes and pull requests. Here
// these lie on the bus already: a webhook is the filters alone, and nobody calls
// its address.

// What a filter of type EVENT may name.
const (
	hookPush     = "PUSH"
	hookCreated  = "PULL_REQUEST_CREATED"
	hookUpdated  = "PULL_REQUEST_UPDATED"
	hookReopened = "PULL_REQUEST_REOPENED"
	hookMerged   = "PULL_REQUEST_MERGED"
	hookClosed   = "PULL_REQUEST_CLOSED"
)

var hookEvents = []string{hookPush, hookCreated, hookUpdated, hookReopened, hookMerged, hookClosed}

// check says what is wrong with a webhook.
func (w *Webhook) check() error {
	r := &refused{}
	r.unless(slices.Contains([]string{"", "BUILD", "BUILD_BATCH"}, w.BuildType), "buildType is BUILD or BUILD_BATCH, not %.40q", w.BuildType)
	r.unless(w.Policy == nil || w.Policy.Requires == "" || w.Policy.Requires == "DISABLED", "pullRequestBuildPolicy: nobody but who may push here makes pull requests, and their builds get no secrets: write DISABLED")
	_, err := regexp.Compile(w.BranchFilter)
	r.unless(err == nil, "branchFilter is no regular expression: %v", err)
	r.unless(w.BranchFilter == "" || len(w.FilterGroups) == 0, "branchFilter and filterGroups: give one of the two")
	r.unless(len(w.FilterGroups) <= 50, "filterGroups: at most 50")
	for _, group := range w.FilterGroups {
		r.unless(slices.ContainsFunc(group, func(f Filter) bool { return f.Type == "EVENT" }), "each of filterGroups has a filter of type EVENT")
		for _, f := range group {
			f.check(r)
		}
	}
	if w.BuildType == "" {
		w.BuildType = "BUILD"
	}
	w.Status = "ACTIVE"
	return r.err
}

func (f Filter) check(r *refused) {
	r.unless(len(f.Pattern) <= 1000, "filterGroups: a pattern is longer than 1,000 characters")
	switch f.Type {
	case "EVENT":
		for _, e := range strings.Split(f.Pattern, ",") {
			r.unless(slices.Contains(hookEvents, strings.TrimSpace(e)), "filterGroups: EVENT %.60q is none of %s", e, strings.Join(hookEvents, ", "))
		}
	case "BASE_REF", "HEAD_REF", "ACTOR_ACCOUNT_ID", "FILE_PATH", "COMMIT_MESSAGE", "TAG_NAME":
		_, err := regexp.Compile(f.Pattern)
		r.unless(err == nil, "filterGroups: %s: %.100q is no regular expression: %v", f.Type, f.Pattern, err)
	default:
		r.unless(false, "filterGroups: %.40s: there are EVENT, HEAD_REF, BASE_REF, ACTOR_ACCOUNT_ID, FILE_PATH, COMMIT_MESSAGE and TAG_NAME", f.Type)
	}
}

// Hook is what a webhook told of: a push or a pull request.
type Hook struct {
	Event      string `json:"event"`
	Repository string `json:"repository"`
	Head       string `json:"head"`            // refs/heads/… or refs/tags/…
	Base       string `json:"base,omitzero"`   // of a pull request
	Commit     string `json:"commit"`          // that is built
	Before     string `json:"before,omitzero"` // commit to compare with
	Actor      string `json:"actor,omitzero"`
	Pull       string `json:"pull,omitzero"` // number of the pull request
	Merge      string `json:"merge,omitzero"`

	message string
	files   []string
	read    bool
}

// trigger is what CODEBUILD_WEBHOOK_TRIGGER says.
func (h *Hook) trigger() string {
	switch {
	case h.Pull != "":
		return "pr/" + h.Pull
	case strings.HasPrefix(h.Head, "refs/tags/"):
		return "tag/" + strings.TrimPrefix(h.Head, "refs/tags/")
	}
	return "branch/" + strings.TrimPrefix(h.Head, "refs/heads/")
}

// wants tells whether a webhook starts a build for what happened. read fetches
// the commit's message and the paths that it changed, when they are asked for.
func (w *Webhook) wants(h *Hook, read func(*Hook) error) (bool, error) {
	if h.ofForge() && w.wantsPulls() {
		return false, nil // the pull request is told of by itself
	}
	if len(w.FilterGroups) == 0 {
		name := strings.TrimPrefix(strings.TrimPrefix(h.Head, "refs/heads/"), "refs/tags/")
		if w.BranchFilter == "" {
			return h.Event != hookMerged && h.Event != hookClosed, nil
		}
		ok, err := regexp.MatchString(w.BranchFilter, name)
		return ok && h.Event != hookMerged && h.Event != hookClosed, err
	}
	for _, group := range w.FilterGroups {
		all := true
		for _, f := range group {
			ok, err := f.holds(h, read)
			if err != nil {
				return false, err
			}
			if ok == f.Exclude {
				all = false
				break
			}
		}
		if all {
			return true, nil
		}
	}
	return false, nil
}

// ofForge tells whether what was pushed is the branch of a forge's pull request.
func (h *Hook) ofForge() bool {
	return h.Event == hookPush && strings.HasPrefix(h.Head, "refs/heads/pr/") && strings.Contains(h.Actor, ":forge/")
}

// wantsPulls tells whether pull requests may start builds of their own.
func (w *Webhook) wantsPulls() bool {
	return len(w.FilterGroups) == 0 || slices.ContainsFunc(w.FilterGroups, func(group []Filter) bool {
		return slices.ContainsFunc(group, func(f Filter) bool {
			return f.Type == "EVENT" && !f.Exclude && strings.Contains(f.Pattern, "PULL_REQUEST_")
		})
	})
}

func (f Filter) holds(h *Hook, read func(*Hook) error) (bool, error) {
	if f.Type == "EVENT" {
		return slices.ContainsFunc(strings.Split(f.Pattern, ","), func(e string) bool { return strings.TrimSpace(e) == h.Event }), nil
	}
	pattern, err := regexp.Compile(f.Pattern)
	if err != nil {
		return false, err
	}
	switch f.Type {
	case "HEAD_REF":
		return pattern.MatchString(h.Head), nil
	case "BASE_REF":
		return h.Base != "" && pattern.MatchString(h.Base), nil
	case "ACTOR_ACCOUNT_ID":
		return pattern.MatchString(h.Actor), nil
	case "TAG_NAME":
		tag, ok := strings.CutPrefix(h.Head, "refs/tags/")
		return ok && pattern.MatchString(tag), nil
	}
	if !h.read {
		if err := read(h); err != nil {
			return false, err
		}
		h.read = true
	}
	if f.Type == "COMMIT_MESSAGE" {
		return pattern.MatchString(h.message), nil
	}
	return slices.ContainsFunc(h.files, pattern.MatchString), nil
}

// hooked starts the builds that pushes and pull requests ask for.
func (b *Builds) hooked(ctx context.Context, e event.Event) error {
	h, err := hookOf(e)
	if err != nil || h == nil {
		return err
	}
	var projects []Project
	if err := b.db.Read(ctx, func(tx *db.Tx) (err error) {
		projects, err = db.All(tx, scanProject, "SELECT body FROM build_projects ORDER BY name")
		return err
	}); err != nil {
		return err
	}
	for _, p := range projects {
		if p.Webhook == nil || p.Source.Type != "CODECOMMIT" || p.Source.Repository() != h.Repository {
			continue
		}
		ok, err := p.Webhook.wants(h, func(h *Hook) error { return b.readCommit(ctx, h) })
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		err = b.startHooked(ctx, p, e.ID, h)
		if kind := fault.Of(err); err != nil && kind != fault.NotFound && kind != fault.Invalid && kind != fault.Limit {
			return err
		}
		if err != nil {
			b.config.Log.Warn("a webhook starts no build", "project", p.Name, "event", e.ID, "err", err)
		}
	}
	return nil
}

// startHooked starts one build of an event and a project, however often the event is told.
func (b *Builds) startHooked(ctx context.Context, p Project, event string, h *Hook) error {
	made := b.fromProject(p)
	made.Initiator, made.SourceVersion, made.ResolvedVersion = webhookInitiator, h.trigger(), h.Commit
	if h.Pull == "" {
		made.SourceVersion = h.Head
	}
	f := made.Facts
	f.Repository, f.Ref, f.Commit, f.Who, f.Hook, f.Event = h.Repository, h.Head, h.Commit, h.Actor, h, "webhook/"+event+"/"+p.Name
	if h.Event == hookMerged { // what is built is the branch that it was merged into
		f.Ref = h.Base
	}
	return b.db.Write(ctx, func(tx *db.Tx) error {
		n, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM build_actions WHERE action = ?", f.Event)
		if err != nil || n > 0 {
			return err
		}
		if p.Webhook.BuildType == "BUILD_BATCH" {
			_, err := b.beginBatch(tx, made, p.Batch)
			return err
		}
		if err := b.mayStart(tx, p.Name); err != nil {
			return err
		}
		_, err = b.begin(tx, made)
		return err
	})
}

// readCommit fetches what filters ask of a commit.
func (b *Builds) readCommit(ctx context.Context, h *Hook) error {
	repo, err := b.config.Source.Git(h.Repository)
	if err != nil {
		return err
	}
	commit, err := repo.Commit(ctx, h.Commit)
	if err != nil {
		return err
	}
	h.message = commit.Message
	before := h.Before
	if before == "" || git.IsZero(before) {
		if before = ""; len(commit.Parents) > 0 { // a new branch: what its last commit changed
			before = commit.Parents[0]
		}
	}
	changes, err := repo.Changes(ctx, before, h.Commit)
	if errors.Is(err, fault.NotFound) { // it is gone
		return nil
	}
	for _, c := range changes {
		h.files = append(h.files, c.Path)
	}
	return err
}

// hookOf is what an event of a repository says, in a webhook's words, or nil.
func hookOf(e event.Event) (*Hook, error) {
	if e.Source != source.EventSource {
		return nil, nil
	}
	switch e.Type {
	case source.Moved:
		var d source.Detail
		if err := json.Unmarshal(e.Detail, &d); err != nil {
			return nil, fault.Invalid.Errorf("reading event %s: %w", e.ID, err)
		}
		if d.Event == source.Deleted || d.ReferenceType != "branch" && d.ReferenceType != "tag" {
			return nil, nil
		}
		return &Hook{Event: hookPush, Repository: d.RepositoryName, Head: d.ReferenceFullName, Commit: d.CommitID, Before: d.OldCommitID, Actor: d.CallerUserARN}, nil
	case source.PullChanged:
		var d source.PullDetail
		if err := json.Unmarshal(e.Detail, &d); err != nil {
			return nil, fault.Invalid.Errorf("reading event %s: %w", e.ID, err)
		}
		return pullHook(d), nil
	}
	return nil, nil
}

func pullHook(d source.PullDetail) *Hook {
	if len(d.RepositoryNames) == 0 {
		return nil
	}
	h := &Hook{
		Repository: d.RepositoryNames[0], Head: d.SourceReference, Base: d.DestinationReference, Commit: d.SourceCommit, Before: d.DestinationCommit,
		Actor: d.CallerUserARN, Pull: d.PullRequestID,
	}
	merged := strings.EqualFold(d.IsMerged, "true")
	switch {
	case d.Event == "pullRequestCreated":
		h.Event = hookCreated
	case d.Event == "pullRequestSourceBranchUpdated":
		h.Event = hookUpdated
	case d.Event == "pullRequestMergeStatusUpdated" && merged:
		h.Event = hookMerged
		if h.Merge = d.MergeCommit; h.Merge != "" {
			h.Commit = h.Merge
		}
	case d.Event == "pullRequestStatusChanged" && !merged && strings.EqualFold(d.PullRequestStatus, "open"):
		h.Event = hookReopened
	case d.Event == "pullRequestStatusChanged" && !merged:
		h.Event = hookClosed
	default:
		return nil
	}
	return h
}
