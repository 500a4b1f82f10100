package app

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/mask"
	"github.com/haechi-dev/haechi/base/outbound"
	"github.com/haechi-dev/haechi/base/seal"
	"github.com/haechi-dev/haechi/door/wire/codepipeline"
	"github.com/haechi-dev/haechi/keeper/access"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/lang/structure"
	"github.com/haechi-dev/haechi/room/build"
	"github.com/haechi-dev/haechi/room/pipeline"
	tool "github.com/haechi-dev/haechi/tool/build"
	"github.com/haechi-dev/haechi/tool/egress"
	"github.com/haechi-dev/haechi/tool/rootfs"
	"github.com/haechi-dev/haechi/tool/sandbox"
	"github.com/haechi-dev/haechi/tool/scan/image"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
)

// Builds says how projects are built on this server.
type Builds struct {
	Workers       int               // builds at once; 0 is 2, below it none: runners do them
	Read          []string          // folders that builds may read besides the system's programs: FROM, or FROM:TO
	Env           map[string]string // what they find in their environment
	Egress        egress.Rules      // what they may fetch whose project names no fleet; nothing where it is not said
	Tunnel        []string          // hosts whose TLS is passed on unread, for programs that trust only the authorities they bring
	Images        BuildImages       // that builds may run in
	Caches        int64             // bytes of all caches
	Artifact      int64             // bytes of one artifact
	FailedFolders int               `yaml:"failed-folders"` // of the last builds that failed, kept for a look; below 0 none
}

// BuildImages says which images builds may run in.
type BuildImages struct {
	Folder     string   // of OCI layouts and archives, which projects name oci:FILE
	Registries []string // that images are pulled from
	Bytes      int64    // of those that are kept unpacked
	// Unprivileged has builds be one user without rights in their images, also
	// where they could be root there alone.
	Unprivileged bool
}

func (b *Builds) check() error {
	for _, r := range b.Read {
		for _, p := range strings.SplitN(r, ":", 2) {
			if !filepath.IsAbs(p) {
				return fault.Invalid.Errorf("builds: read lists folders by their full paths, FROM or FROM:TO, not %q", r)
			}
		}
	}
	if b.Images.Folder != "" && !filepath.IsAbs(b.Images.Folder) {
		return fault.Invalid.Errorf("builds: images: folder is a full path, not %q", b.Images.Folder)
	}
	if err := b.Egress.Check(); err != nil {
		return fmt.Errorf("builds: egress: %w", err)
	}
	return nil
}

// Machine is a machine that builds: this server, or one that haechi runner runs
// on. dir is where it keeps images; local answers at http://haechi.internal/.
func (c *Builds) Machine(walls *sandbox.Sandbox, dialer *outbound.Dialer, dir string, local http.Handler, now func() time.Time) (m build.Machine, err error) {
	m = build.Machine{
		Builder: tool.New(tool.Config{Runner: walls, Now: now}), Level: walls.Level,
		Exits: &build.Exits{Dial: dialer.DialContext, Tunnel: c.Tunnel, Local: local, Allow: "a fleet's proxyConfiguration, or builds.egress of haechi.yaml, says what builds may reach"},
	}
	if c.Images.Folder != "" || len(c.Images.Registries) > 0 {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return m, err
		}
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		owned := !c.Images.Unprivileged && walls.Ranges(ctx, dir) == nil // else builds are one user in their images
		cancel()
		store, err := rootfs.Open(rootfs.Config{Dir: dir, Owned: owned, Most: c.Images.Bytes, Registry: image.Registry{Transport: dialer.Client(time.Minute).Transport}, Now: now})
		if err != nil {
			return m, err
		}
		m.Images = &build.ImageStore{Store: store, Folder: c.Images.Folder, Registries: c.Images.Registries}
	}
	for _, r := range c.Read {
		from, to, ok := strings.Cut(r, ":")
		if !ok {
			to = from
		}
		m.Tools = append(m.Tools, sandbox.Tool{From: from, To: to})
	}
	for name, value := range c.Env {
		m.Env = append(m.Env, build.Pair{Name: name, Value: value})
	}
	slices.SortFunc(m.Env, func(x, y build.Pair) int { return strings.Compare(x.Name, y.Name) })
	return m, nil
}

// Machine is the machine that a configuration describes, for who builds without a server.
func (c *Config) Machine(dir string, local http.Handler) (m build.Machine, err error) {
	least, err := c.walls()
	if err != nil {
		return m, err
	}
	dialer, err := outbound.New(outbound.Config{Allow: c.Outbound.Allow})
	if err != nil {
		return m, err
	}
	return c.Builds.Machine(sandbox.New(sandbox.Config{Least: least}), dialer, dir, local, time.Now)
}

// exchange answers builds at http://haechi.internal/: they may change their token
// for credentials there, and nothing else.
func (a *App) exchange(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	form, wrong := url.ParseQuery(string(body))
	if err != nil || wrong != nil || r.Method != http.MethodPost || r.URL.Path != "/" || form.Get("Action") != "AssumeRoleWithWebIdentity" {
		http.Error(w, "builds can change their token for credentials here (AssumeRoleWithWebIdentity), and nothing else", http.StatusForbidden)
		return
	}
	own, err := http.NewRequestWithContext(r.Context(), http.MethodPost, "/", bytes.NewReader(body))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	own.Host, own.RemoteAddr, own.RequestURI = "localhost", "127.0.0.1:0", "/"
	own.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	own.Header.Set("User-Agent", r.UserAgent())
	a.handler.ServeHTTP(w, own)
}

func (a *App) buildBuilds(walls *sandbox.Sandbox, scanners []string) error {
	c, keep := &a.Config.Builds, a.Config.Retention
	dialer, err := outbound.New(outbound.Config{Allow: a.Config.Outbound.Allow})
	if err != nil {
		return err
	}
	machine, err := c.Machine(walls, dialer, filepath.Join(a.Config.Data, "images"), http.HandlerFunc(a.exchange), a.now)
	if err != nil {
		return err
	}
	a.Builds = build.New(build.Config{
		DB: a.DB, Bus: a.Bus, Work: a.Work, Source: a.Source, Blobs: a.Blobs, Shelf: a.Shelf, Machine: machine, Folder: filepath.Join(a.Config.Data, "builds"),
		Account: a.Config.Account, Region: a.Config.Region, Log: a.log, Now: a.now, Node: a.node, Steps: walls,
		Reports: left{a}, Scanners: scanners, Secrets: buildSecrets{a}, Page: a.page, Egress: c.Egress, MayRead: a.mayClone,
		Identity: &build.Identity{Token: a.vouchBuild, Endpoint: a.issuer}, Mask: mask.Text,
		Wanted: a.Shelf.Wanted, Workers: c.Workers, Kept: keep.Logs, KeptReports: keep.Reports, CacheBytes: c.Caches, MaxArtifact: c.Artifact, KeptFolders: c.FailedFolders,
	})
	return nil
}

// mayClone tells whether a user may clone a repository. Who is no user here, a forge for one, is nobody who was let.
func (a *App) mayClone(ctx context.Context, who, repository string) error {
	name, ok := strings.CutPrefix(who, "arn:aws:iam::"+a.Config.Account+":user/")
	if !ok {
		return fault.Denied.Errorf("%s is no user, of whom could be known what they may read", who)
	}
	p, err := a.Access.Principal(ctx, name[strings.LastIndexByte(name, '/')+1:])
	if err != nil {
		return fault.Denied.Errorf("%s is no user any more", who)
	}
	return a.Access.Allow(ctx, iam.Request{Principal: p, Action: "codecommit:GitPull", Resource: a.Source.ARN(repository)})
}

// vouchBuild tells a build who it is, for as long as it may last.
func (a *App) vouchBuild(ctx context.Context, made build.Build) (seal.Secret, error) {
	f := made.Facts
	return a.Access.Vouch(ctx, made.Principal(), access.OwnAudience, time.Duration(made.Timeout+5)*time.Minute, map[string]string{
		"repository": f.Repository, "ref": f.Ref, "commit": f.Commit, "run": made.ID,
	})
}

// builder begins the builds that pipelines ask for.
type builder struct{ builds *build.Builds }

// Start begins what an action asks for.
func (s builder) Start(tx *db.Tx, r pipeline.ActionRequest) (string, error) {
	a := build.Action{
		ID: r.ID, Pipeline: r.Pipeline, Configuration: r.Configuration, Repository: r.Repository, Branch: r.Branch, Commit: r.Commit, Protected: r.Protected,
		OutputVariables: r.Exports, Who: r.Who, Timeout: r.Minutes, Stream: r.Stream, Least: r.Walls, Role: r.Role, Pull: r.Pull,
	}
	if len(r.Commands) > 0 {
		a.Commands, a.LogGroup, a.LogName = r.Commands, r.LogGroup, r.LogName
	}
	for _, v := range r.Environment {
		a.Variables = append(a.Variables, build.Variable{Name: v.Name, Value: v.Value, Type: v.Type})
	}
	for _, in := range r.Inputs {
		a.Inputs = append(a.Inputs, build.Input{Name: in.Name, Digest: in.Digest, Size: in.Size, Repository: in.Repository, Commit: in.Commit, Clone: in.Clone})
	}
	for _, out := range r.Outputs {
		a.Outputs = append(a.Outputs, out.Name)
		if len(out.Files) > 0 {
			if a.OutputFiles == nil {
				a.OutputFiles = map[string][]string{}
			}
			a.OutputFiles[out.Name] = out.Files
		}
	}
	return s.builds.Begin(tx, a)
}

// Stop asks a build to end.
func (s builder) Stop(tx *db.Tx, external, reason string) error {
	return s.builds.Halt(tx, external, reason)
}

// Events are those that tell of the ends of builds and batches.
func (s builder) Events() []string { return []string{build.Changed, build.BatchChanged} }

// Ended reads how a build or a batch of an action ended.
func (s builder) Ended(e event.Event) (r pipeline.Result, ok bool, err error) {
	if e.Source != build.EventSource {
		return r, false, nil
	}
	var said struct {
		Build build.Status `json:"build-status"`
		Batch build.Status `json:"batch-status"`
		Ours  *build.Told  `json:"haechi"`
	}
	if err := json.Unmarshal(e.Detail, &said); err != nil {
		return r, false, fault.Invalid.Errorf("reading event %s: %w", e.ID, err)
	}
	status := said.Build + said.Batch // one of the two
	if said.Ours == nil || said.Ours.Action == "" || !status.Ended() {
		return r, false, nil
	}
	t := said.Ours
	r = pipeline.Result{External: t.ID, Action: t.Action, Level: t.Level, Summary: "built", Status: pipeline.Succeeded}
	if status != build.Succeeded {
		r.Status = pipeline.Failed
		if status == build.Stopped {
			r.Status = pipeline.Stopped
		}
		r.Summary = "the build is " + string(status)
		if t.Reason != nil {
			r.Summary = t.Reason.Text
			r.Reasons = []pipeline.Reason{{Text: t.Reason.Text, Where: t.Reason.Where, Do: t.Reason.Do}}
		}
	}
	for _, v := range t.Exported {
		if r.Variables == nil {
			r.Variables = map[string]string{}
		}
		r.Variables[v.Name] = v.Value
	}
	for _, o := range t.Outputs {
		r.Artifacts = append(r.Artifacts, pipeline.Artifact{Name: o.Name, Digest: o.Digest, Size: o.Size, Made: t.ID})
	}
	for _, p := range t.Phases {
		if p.Type == build.Completed {
			continue
		}
		s := pipeline.Succeeded
		if p.Status != build.Succeeded {
			s = pipeline.Failed
		}
		r.Phases = append(r.Phases, pipeline.Timing{Name: strings.ToLower(p.Type), Status: s, Started: p.Started, Ended: p.Ended})
	}
	return r, true, nil
}

// runnerJobs are builds, as CodePipeline's workers poll for them.
type runnerJobs struct{ builds *build.Builds }

// Jobs are builds as CodePipeline's door hands them to runners.
func Jobs(builds *build.Builds) codepipeline.JobSource { return runnerJobs{builds} }

// runnerType is the type of the actions that builds are.
func runnerType() structure.TypeID {
	part := strings.Split(build.Kind, "/")
	return structure.TypeID{Category: part[0], Owner: part[1], Provider: part[2], Version: part[3]}
}

func (j runnerJobs) job(p build.Polled, status string) pipeline.Job {
	f := p.Build.Facts
	out := pipeline.Job{
		ID: p.Job, Nonce: p.Nonce, Type: runnerType(), Pipeline: p.Build.Project, Execution: p.Build.ID, Stage: "Build", Action: "Build", Revision: f.Commit, Status: status,
		Configuration: map[string]string{"ProjectName": p.Build.Project, "BuildId": p.Build.ID}, Outputs: f.Outputs,
	}
	return out
}

// Poll hands builds to a runner.
func (j runnerJobs) Poll(ctx context.Context, t structure.TypeID, by string, most int, _ map[string]string) (jobs []pipeline.Job, err error) {
	if t != runnerType() {
		return nil, fault.NotFound.Errorf("builds are not of type %s", t)
	}
	polled, err := j.builds.Poll(ctx, by, most)
	for _, p := range polled {
		jobs = append(jobs, j.job(p, "Dispatched"))
	}
	return jobs, err
}

// Acknowledge says that the runner has it.
func (j runnerJobs) Acknowledge(ctx context.Context, id, nonce, by string) (string, error) {
	if _, err := j.builds.Acknowledge(ctx, by, id, nonce); err != nil {
		return "", err
	}
	return "InProgress", nil
}

// JobDetails is a job that was handed out. Its nonce is for who has it.
func (j runnerJobs) JobDetails(ctx context.Context, id string) (pipeline.Job, error) {
	p, err := j.builds.Job(ctx, id)
	p.Nonce = ""
	if err != nil {
		return pipeline.Job{}, err
	}
	return j.job(p, "InProgress"), nil
}

// Succeed ends a job with what the runner brought.
func (j runnerJobs) Succeed(ctx context.Context, id, by string, r pipeline.JobSuccess) error {
	if r.Continuation != "" {
		_, err := j.builds.Acknowledge(ctx, by, id, "")
		return err
	}
	return j.builds.Succeed(ctx, by, id)
}

// Fail ends a job that a runner could not do.
func (j runnerJobs) Fail(ctx context.Context, id, by, kind, message, _ string) error {
	return j.builds.Fail(ctx, by, id, kind+": "+message)
}

// names are what scanners are called.
func names[T interface{ Name() string }](all []T) (list []string) {
	for _, one := range all {
		list = append(list, one.Name())
	}
	return list
}
