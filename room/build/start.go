package build

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/word/fault"
)

// Start says what to build, and how it differs from what the project says.
type Start struct {
	Project   string
	Version   string // a branch, tag, commit, ref or pr/NUMBER; "" is the project's, else the default branch
	Token     string // the same token within five minutes is the same build
	Who       string // ARN
	Initiator string // "" is made of Who

	Buildspec          string // the text, or a path
	Variables          []Variable
	Artifacts          *Artifacts
	SecondaryArtifacts []Artifacts
	SecondaryVersions  []SourceVersion
	Cache              *Cache
	Image              string
	ComputeType        string
	EnvironmentType    string
	Timeout            int
	QueuedTimeout      int
	SourceType         string
	SourceLocation     string
	AutoRetryLimit     *int
	ServiceRole        string
	Fleet              *FleetRef

	Restrict func(*Project) error // the last word of the one who asks, or nil
}

// Start begins a build.
func (b *Builds) Start(ctx context.Context, s Start) (Build, error) {
	made, err := b.plan(ctx, s)
	if err != nil {
		return Build{}, err
	}
	err = b.db.Write(ctx, func(tx *db.Tx) error {
		if same, ok, err := b.asked(tx, s.Token); err != nil || ok {
			made = same
			return err
		}
		if err := b.mayStart(tx, made.Project); err != nil {
			return err
		}
		if made, err = b.begin(tx, made); err != nil {
			return err
		}
		return b.remember(tx, s.Token, made.ID)
	})
	return made, err
}

// plan is the build that s asks for, not begun yet.
func (b *Builds) plan(ctx context.Context, s Start) (Build, error) {
	p, err := b.Project(ctx, s.Project)
	if err != nil {
		return Build{}, err
	}
	version := s.Version
	if err := s.override(&p); err != nil {
		return Build{}, err
	}
	if p.Source.Type == "CODEPIPELINE" {
		return Build{}, fault.Invalid.Errorf("the project %s gets its source from a pipeline: start the pipeline, or give source-type-override CODECOMMIT and source-location-override", p.Name)
	}
	if p.Artifacts.Type == "CODEPIPELINE" {
		p.Artifacts = Artifacts{Type: "S3", Location: Kept, Packaging: "ZIP"}
	}
	if s.Restrict != nil {
		if err := s.Restrict(&p); err != nil {
			return Build{}, err
		}
	}
	made := b.fromProject(p)
	made.Initiator, made.Facts.Who = s.Initiator, s.Who
	if made.Initiator == "" {
		made.Initiator = initiator(s.Who)
	}
	made.Facts.Override = s.Buildspec != "" || len(s.Variables) > 0 || s.SourceLocation != "" || len(s.SecondaryVersions) > 0 || s.Image != ""
	if made.SourceVersion = version; version == "" {
		made.SourceVersion = p.SourceVersion
	}
	switch p.Source.Type {
	case "NO_SOURCE":
		return made, nil
	case "S3":
		err := b.takeObject(ctx, &made)
		return made, err
	}
	made.Facts.Repository = p.Source.Repository()
	made.Facts.Ref, made.Facts.Commit, err = b.resolve(ctx, made.Facts.Repository, made.SourceVersion)
	if err != nil {
		return Build{}, err
	}
	if made.SourceVersion == "" {
		made.SourceVersion = made.Facts.Ref
	}
	made.ResolvedVersion = made.Facts.Commit
	return made, nil
}

// initiator is the name that CodeBuild gives the one who started a build.
func initiator(arn string) string {
	return arn[strings.LastIndexByte(arn, ':')+1:]
}

// override puts what s says over what the project says.
func (s *Start) override(p *Project) error {
	if s.SourceType != "" {
		if p.Source.Type = s.SourceType; s.SourceType == "NO_SOURCE" || s.SourceType == "CODEPIPELINE" {
			p.Source.Location = "" // the project's is that of another source
		}
	}
	if s.SourceLocation != "" {
		p.Source.Location = s.SourceLocation
	}
	if s.Buildspec != "" {
		p.Source.Buildspec = s.Buildspec
	}
	p.Environment.Variables = merged(p.Environment.Variables, s.Variables)
	if s.Artifacts != nil {
		p.Artifacts = *s.Artifacts
	}
	if s.SecondaryArtifacts != nil {
		p.SecondaryArtifacts = s.SecondaryArtifacts
	}
	if s.SecondaryVersions != nil {
		p.SecondaryVersions = s.SecondaryVersions
	}
	if s.Cache != nil {
		p.Cache = *s.Cache
	}
	if s.Image != "" {
		p.Environment.Image = s.Image
	}
	if s.ComputeType != "" {
		p.Environment.ComputeType = s.ComputeType
	}
	if s.EnvironmentType != "" {
		p.Environment.Type = s.EnvironmentType
	}
	if s.Timeout != 0 {
		p.Timeout = s.Timeout
	}
	if s.QueuedTimeout != 0 {
		p.QueuedTimeout = s.QueuedTimeout
	}
	if s.AutoRetryLimit != nil {
		p.AutoRetryLimit = *s.AutoRetryLimit
	}
	if s.ServiceRole != "" {
		p.ServiceRole = s.ServiceRole
	}
	if s.Fleet != nil {
		p.Environment.Fleet = s.Fleet
	}
	return p.Check()
}

// merged are the variables of a, with those of b in the place of those of the same name.
func merged(a, b []Variable) []Variable {
	all := slices.Clone(a)
	for _, v := range b {
		if i := slices.IndexFunc(all, func(o Variable) bool { return o.Name == v.Name }); i >= 0 {
			all[i] = v
			continue
		}
		all = append(all, v)
	}
	return all
}

// fromProject is a build as the project says it.
func (b *Builds) fromProject(p Project) Build {
	made := Build{
		Project: p.Name, Source: p.Source, SecondarySources: p.SecondarySources, SecondaryVersions: p.SecondaryVersions,
		Cache: p.Cache, Environment: p.Environment, ServiceRole: p.ServiceRole, Timeout: p.Timeout, QueuedTimeout: p.QueuedTimeout,
		Logs: logsAsked(p), Facts: &Facts{Artifacts: p.Artifacts, Secondary: p.SecondaryArtifacts, ConcurrentLimit: p.ConcurrentLimit},
	}
	if p.AutoRetryLimit > 0 {
		made.AutoRetry = &AutoRetry{Limit: p.AutoRetryLimit}
	}
	return made
}

// resolve is the full ref and the commit that a version of a repository names.
func (b *Builds) resolve(ctx context.Context, repository, version string) (ref, commit string, err error) {
	r, err := b.config.Source.Repository(ctx, repository)
	if err != nil {
		return "", "", err
	}
	repo, err := b.config.Source.Git(repository)
	if err != nil {
		return "", "", err
	}
	if version == "" {
		version = r.DefaultBranch
	}
	if n, ok := strings.CutPrefix(version, "pr/"); ok {
		version = "refs/pull/" + n + "/head"
	}
	version, _, _ = strings.Cut(version, "^{") // CodeBuild writes refs/heads/main^{commit}
	if git.ValidID(version) {
		commit, err = repo.Resolve(ctx, version)
		return "", commit, err
	}
	candidates := []string{"refs/heads/" + version, "refs/tags/" + version}
	if strings.HasPrefix(version, "refs/") {
		candidates = []string{version}
	}
	for _, ref := range candidates {
		if !git.ValidRef(ref) {
			continue
		}
		if commit, err = repo.Resolve(ctx, ref); !errors.Is(err, fault.NotFound) {
			return ref, commit, err
		}
	}
	return "", "", fault.NotFound.Errorf("the repository %s has no branch, tag or commit %.200q", repository, version)
}

// trust says whether a build's ref is protected, and if so whether it may have
// secrets: its buildspec must be that of the ref, or the server's own.
func (b *Builds) trust(ctx context.Context, made *Build) (protected, trusted bool, why string, err error) {
	f := made.Facts
	if f.Repository == "" && f.Pipeline == "" && f.Object == "" {
		protected = true // nobody but who may change the project decides what it does
	} else if protected, why, err = b.protected(ctx, f); err != nil {
		return false, false, "", err
	}
	switch {
	case !protected:
		return false, false, why, nil
	case f.Override:
		return true, false, "whoever started it brought a buildspec, variables, an image or a source of their own", nil
	}
	return true, true, "", nil
}

// protected tells whether a build's commit lies on a protected branch.
func (b *Builds) protected(ctx context.Context, f *Facts) (is bool, why string, err error) {
	if f.Object != "" {
		return false, "its source is a file of a bucket, and no protected branch", nil
	}
	if f.Pipeline != "" && !f.Claimed {
		return false, "its pipeline says that the ref is not protected", nil
	}
	if f.Repository == "" {
		return false, "its pipeline has no source of this server", nil
	}
	r, err := b.config.Source.Repository(ctx, f.Repository)
	if err != nil {
		return false, "", err
	}
	repo, err := b.config.Source.Git(f.Repository)
	if err != nil {
		return false, "", err
	}
	if f.Ref != "" && !r.Protected(f.Ref) {
		return false, f.Ref + " is not protected", nil
	}
	refs := []string{f.Ref}
	if f.Ref == "" {
		all, err := repo.Refs(ctx, "refs/heads/")
		if err != nil {
			return false, "", err
		}
		refs = nil
		for _, ref := range all {
			if r.Protected(ref.Name) {
				refs = append(refs, ref.Name)
			}
		}
	}
	for _, ref := range refs {
		tip, err := repo.Resolve(ctx, ref)
		if errors.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return false, "", err
		}
		on, err := repo.IsAncestor(ctx, f.Commit, tip)
		if err != nil || on {
			return on, "", err
		}
	}
	return false, "the commit lies on no protected branch", nil
}

// mayStart refuses a build above the project's limit.
func (b *Builds) mayStart(tx *db.Tx, project string) error {
	p, err := b.project(tx, project, true)
	if err != nil || p.ConcurrentLimit == 0 {
		return err
	}
	n, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM build_builds WHERE project = ? AND status = ?", project, string(InProgress))
	if err == nil && n >= int64(p.ConcurrentLimit) {
		err = fault.Limit.Errorf("%d builds of %s are under way, and its concurrentBuildLimit is %d", n, project, p.ConcurrentLimit)
	}
	return err
}

// begin writes a new build down, tells of it and puts it in the queue.
func (b *Builds) begin(tx *db.Tx, made Build) (Build, error) {
	number, err := db.One(tx, db.Value[int64], "SELECT COALESCE(MAX(number), 0) + 1 FROM build_builds WHERE project = ?", made.Project)
	if err != nil {
		return made, err
	}
	now := b.config.Now().UTC()
	made.ID = made.Project + ":" + bus.ID()
	made.ARN, made.Number, made.Started, made.Status = b.ARN("build/"+made.ID), number, now, InProgress
	made.Ended, made.Complete, made.Phases = time.Time{}, false, nil
	made.Logs = b.logsOf(made)
	made.enter(Submitted, now)
	made.enter(Queued, now)
	if made.Facts.Batch == "" {
		if err := askedBy(tx, made.Facts, made.ID); err != nil {
			return made, err
		}
	}
	if err := b.holdSource(tx, made); err != nil {
		return made, err
	}
	if err := b.tellState(tx, made); err != nil {
		return made, err
	}
	if err := b.tellNew(tx, &made); err != nil {
		return made, err
	}
	if err := keep(tx, made, b.queueEnds(made, now)); err != nil {
		return made, err
	}
	if err := b.config.Work.Name(tx, made.Stream(), made.Logs.Group, made.Logs.Stream); err != nil {
		return made, err
	}
	return made, b.config.Work.Add(tx, work.Job{ID: jobOf(made.ID), Kind: Kind, Body: []byte(made.ID)})
}

// askedBy writes down who asked for a build or a batch, so that it is not begun twice.
func askedBy(tx *db.Tx, f *Facts, id string) error {
	for _, who := range []string{f.Action, f.Event} {
		if who == "" {
			continue
		}
		if _, err := tx.Exec("INSERT INTO build_actions (action, build) VALUES (?, ?)", who, id); err != nil {
			return err
		}
	}
	return nil
}

func (b *Builds) queueEnds(made Build, now time.Time) time.Time {
	return now.Add(time.Duration(made.QueuedTimeout) * time.Minute)
}

// Kind is the kind of a build's job, as pipelines name what does it: category, owner, provider, version.
const Kind = "Build/AWS/CodeBuild/1"

func jobOf(id string) string { return "build/" + uuidOf(id) }

// sameFor is how long a token stands for the build that it was first used for.
const sameFor = 5 * time.Minute

// asked is the build that was asked for with this token just now.
func (b *Builds) asked(tx *db.Tx, token string) (Build, bool, error) {
	if token == "" {
		return Build{}, false, nil
	}
	ids, err := db.All(tx, db.Value[string], "SELECT id FROM build_asked WHERE token = ? AND at > ?", token, b.config.Now().Add(-sameFor).UnixMicro())
	if err != nil || len(ids) == 0 {
		return Build{}, false, err
	}
	made, err := find(tx, ids[0])
	return made, err == nil, err
}

func (b *Builds) remember(tx *db.Tx, token, id string) error {
	now := b.config.Now()
	if _, err := tx.Exec("DELETE FROM build_asked WHERE at <= ?", now.Add(-sameFor).UnixMicro()); err != nil || token == "" {
		return err
	}
	_, err := tx.Exec("INSERT INTO build_asked (token, id, at) VALUES (?, ?, ?) ON CONFLICT (token) DO UPDATE SET id = excluded.id, at = excluded.at", token, id, now.UnixMicro())
	return err
}

// Retry begins a build once more, as it was.
func (b *Builds) Retry(ctx context.Context, id, token, who string) (made Build, err error) {
	err = b.db.Write(ctx, func(tx *db.Tx) error {
		same, ok, err := b.asked(tx, token)
		if err != nil || ok {
			made = same
			return err
		}
		was, err := find(tx, id)
		if err != nil {
			return err
		}
		switch {
		case !was.Status.Ended():
			return fault.Invalid.Errorf("the build %s is under way", was.ID)
		case was.Facts.Action != "":
			return fault.Invalid.Errorf("the build %s was asked for by a pipeline: retry its stage", was.ID)
		case was.Facts.Batch != "":
			return fault.Invalid.Errorf("the build %s is one of a batch: retry the batch", was.ID)
		}
		if err := b.mayStart(tx, was.Project); err != nil {
			return err
		}
		made = again(was)
		made.Facts.Who, made.Initiator = who, initiator(who)
		if made, err = b.begin(tx, made); err != nil {
			return err
		}
		return b.remember(tx, token, made.ID)
	})
	return made, err
}

// again is a build that is to be done once more.
func again(was Build) Build {
	f := *was.Facts
	f = Facts{
		Pipeline: f.Pipeline, Repository: f.Repository, Ref: f.Ref, Commit: f.Commit, Claimed: f.Claimed, Override: f.Override, Commands: f.Commands, OutputVariables: f.OutputVariables, OutputFiles: f.OutputFiles, Inputs: f.Inputs, Outputs: f.Outputs, Least: f.Least,
		Artifacts: f.Artifacts, Secondary: f.Secondary, ConcurrentLimit: f.ConcurrentLimit, Batch: f.Batch, Member: f.Member, MemberEnv: f.MemberEnv, Fanout: f.Fanout, Hook: f.Hook, Who: f.Who, Retried: was.ID,
	}
	made := was
	made.Facts, made.Exported, made.Reports, made.Artifacts, made.SecondaryArtifacts, made.Logs = &f, nil, nil, nil, nil, nil
	if was.Logs != nil {
		made.Logs = &LogsLocation{CloudWatch: was.Logs.CloudWatch}
	}
	if was.AutoRetry != nil {
		made.AutoRetry = &AutoRetry{Limit: was.AutoRetry.Limit}
	}
	return made
}
