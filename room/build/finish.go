package build

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"path"
	"strings"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/river/work"
	tool "github.com/haechi-dev/haechi/tool/build"
	"github.com/haechi-dev/haechi/tool/testreport"
	"github.com/haechi-dev/haechi/word/fault"
)

// finish keeps what a build made, says what became of it, and ends its job.
// What the server says of artifacts is what it has hashed itself.
func (b *Builds) finish(ctx context.Context, l work.Lease, made Build, d performed, outs []output, left []Left, log *logger) error {
	kept, reason, err := b.keepOutputs(ctx, made, d, outs)
	if err != nil {
		return err
	}
	if reason == nil {
		reason = d.reason
	}
	if lost, err := b.takeReports(ctx, made, left, log); err != nil {
		return err
	} else if reason == nil && lost != nil && d.Status == tool.Succeeded {
		reason = lost
	}
	if reason == nil && d.Status == tool.Succeeded {
		reason = missing(made, kept)
	}
	if reason != nil && d.reason == nil {
		log.printf("%s\n", reason.Text)
	}
	// After the job has ended nobody may log for it.
	if err := log.close(); err != nil {
		return err
	}
	return b.endJob(ctx, l, func(tx *db.Tx) error {
		now, err := find(tx, made.ID)
		if err != nil || now.Status.Ended() {
			return err
		}
		now.learn(made.Facts)
		now.follow(d.Phases)
		if err := b.result(tx, &now, d, kept, reason); err != nil {
			return err
		}
		if err := b.config.Work.End(tx, now.Stream()); err != nil {
			return err
		}
		status, why := now.verdict(d, reason)
		_, err = b.end(tx, now, status, why...)
		return err
	})
}

// context is a reason as a phase has it. A mistake in a file says where it is: clients of CodeBuild's see nothing else of it.
func (r *Reason) context() Context {
	text := r.Text
	if r.Code == "YAML_FILE_ERROR" && r.Where != "" {
		text = r.Where + ": " + text
	}
	return Context{r.Code, clip(text, 2000)}
}

// verdict is what became of a build, and why its last phase ended so.
func (b *Build) verdict(d performed, reason *Reason) (Status, []Context) {
	switch {
	case reason != nil:
		b.Facts.Reason = reason
		how := Failed
		if n := len(b.Phases); n > 0 && b.Phases[n-1].Status != InProgress { // all its phases are behind it
			last := &b.Phases[n-1]
			last.Status, last.Contexts = how, append(last.Contexts, reason.context())
			return how, nil
		}
		return how, []Context{reason.context()}
	case d.Status == tool.Succeeded:
		return Succeeded, nil
	}
	code := "COMMAND_EXECUTION_ERROR"
	switch d.Status {
	case tool.TimedOut:
		code = "BUILD_TIMED_OUT"
	case tool.Fault:
		code = "INTERNAL_SERVICE_ERROR"
	}
	for _, known := range []string{clientError, noImage} {
		if text, ok := strings.CutPrefix(d.Reason, known+": "); ok && d.Where == provisioning {
			code, d.Reason = known, text
		}
	}
	where := d.Where
	if contains([]string{"install", "pre_build", "build", "post_build"}, where) {
		where = "phase " + where
	}
	b.Facts.Reason = &Reason{Code: code, Text: d.Reason, Where: where, Do: d.Do}
	return Status(d.Status), []Context{{code, clip(d.Reason, 2000)}}
}

// keepOutputs puts what was made where it is kept, and compares it with what was said of it.
func (b *Builds) keepOutputs(ctx context.Context, made Build, d performed, outs []output) (kept []Artifact, reason *Reason, err error) {
	if made.Facts.Artifacts.Type == "NO_ARTIFACTS" && made.Facts.Batch == "" {
		return nil, nil, nil
	}
	for _, o := range outs {
		body, err := o.open()
		if err != nil {
			return nil, nil, err
		}
		info, err := b.config.Blobs.Put(ctx, body, b.config.MaxArtifact)
		body.Close()
		if fault.Of(err) == fault.Limit {
			return nil, &Reason{Code: "CLIENT_ERROR", Text: fmt.Sprintf("the artifact%s is larger than %d MB", named(o.id), b.config.MaxArtifact>>20), Where: "artifacts", Do: "name fewer files"}, nil
		}
		if err != nil {
			return nil, nil, err
		}
		if said := strings.TrimPrefix(o.digest, "sha256:"); said != "" && "sha256:"+said != info.Digest {
			return nil, &Reason{Code: "ARTIFACT_DIGEST_MISMATCH", Text: fmt.Sprintf("whoever built it says that the artifact%s has the digest sha256:%s, and what came is %s", named(o.id), clip(said, 80), info.Digest), Where: "artifacts", Do: "see to the runner: it may not be trusted"}, nil
		}
		a := Artifact{
			Name: o.id, File: fileName(made, o), Digest: info.Digest, Size: info.Size, Repository: made.Facts.Repository, Commit: made.Facts.Commit, Build: made.ARN,
		}
		if a.objects, err = b.objects(ctx, made, a, o); fault.Of(err) == fault.Invalid || fault.Of(err) == fault.Limit {
			return nil, &Reason{Code: "CLIENT_ERROR", Text: err.Error(), Where: "artifacts", Do: "see the artifacts of the project: path, name and packaging"}, nil
		}
		if err != nil {
			return nil, nil, err
		}
		if want := wantedOf(made, o.id); len(a.objects) > 0 {
			a.Bucket, a.Key = a.objects[0].Bucket, keyOf(made, want, o)
		}
		kept = append(kept, a)
	}
	return kept, nil, nil
}

func named(id string) string {
	if id == "" {
		return ""
	}
	return " " + id
}

// fileName is what an artifact is called when it is fetched. The buildspec's
// name counts where the project says so (overrideArtifactName).
func fileName(made Build, o output) string {
	want := wantedOf(made, o.id)
	name := cmp.Or(want.Name, o.id, made.Project)
	if isTrue(want.OverrideName) && o.name != "" {
		name = o.name
	}
	if name = strings.Trim(path.Clean("/"+name), "/"); name == "" {
		name = made.Project
	}
	if !strings.HasSuffix(name, ".zip") {
		name += ".zip"
	}
	return name
}

// missing says which artifact a pipeline waits for that was not made.
func missing(made Build, kept []Artifact) *Reason {
	for _, name := range made.Facts.Outputs {
		if _, ok := outputOf(made.Facts.Outputs, kept, name); !ok {
			return &Reason{Code: "CLIENT_ERROR", Text: fmt.Sprintf("the pipeline waits for the artifact %s, and the build made none of that name", name), Where: "artifacts", Do: "name its files in the buildspec: artifacts, or secondary-artifacts of that identifier"}
		}
	}
	return nil
}

// outputOf is the artifact that a pipeline calls by a name: the secondary one of
// that identifier, or the primary one where it is the only one that is waited for.
func outputOf(outputs []string, kept []Artifact, name string) (Artifact, bool) {
	for _, a := range kept {
		if a.Name == name {
			return a, true
		}
	}
	if len(outputs) == 1 {
		for _, a := range kept {
			if a.Name == "" {
				return a, true
			}
		}
	}
	return Artifact{}, false
}

// result writes down what a build has made and reported.
func (b *Builds) result(tx *db.Tx, made *Build, d performed, kept []Artifact, reason *Reason) error {
	f := made.Facts
	f.Level, f.Downloads, f.Cached, f.Image = d.Level.String(), bounded(d.Downloads, 5000), d.uses, d.Image
	for _, v := range d.Exported {
		made.Exported = append(made.Exported, ExportedVariable{v.Name, v.Value})
	}
	at := b.config.Now().UnixMicro()
	for _, a := range kept {
		if err := b.place(tx, a.objects); err != nil {
			return err
		}
		f.Made = append(f.Made, a)
		if _, err := tx.Exec("INSERT INTO build_files (build, name, digest, size, at, body) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (build, name) DO UPDATE SET digest = excluded.digest, size = excluded.size, at = excluded.at",
			made.ID, a.Name, a.Digest, a.Size, at, []byte(a.File)); err != nil {
			return err
		}
		said := BuildArtifacts{Location: b.location(*made, a), SHA256: strings.TrimPrefix(a.Digest, "sha256:"), Identifier: a.Name}
		if a.Name == "" {
			made.Artifacts = &said
		} else {
			made.SecondaryArtifacts = append(made.SecondaryArtifacts, said)
		}
	}
	for _, g := range d.Reports {
		if g.Tests == nil {
			continue
		}
		if err := b.keepTests(tx, made, g.Group, g.Tests); err != nil {
			if fault.Permanent(err) { // a group that is named by an ARN, and is not there
				f.Reason = &Reason{Code: "REPORT_ERROR", Text: err.Error(), Where: "reports", Do: "make the report group first"}
				continue
			}
			return err
		}
	}
	return nil
}

func bounded[T any](list []T, most int) []T { return list[:min(len(list), most)] }

// location is where an artifact can be fetched.
func (b *Builds) location(made Build, a Artifact) string {
	if a.Bucket != "" && a.Bucket != Kept {
		return "arn:aws:s3:::" + a.Bucket + "/" + a.Key
	}
	at := "/haechi/artifacts/" + uuidOf(made.ID) + "/" + a.File
	if page := b.config.Page(at); page != "" {
		return page
	}
	return at
}

// keepTests keeps what a build's tests said, and how much of the code they ran.
func (b *Builds) keepTests(tx *db.Tx, made *Build, group string, r *testreport.Report) error {
	if len(r.Cases) > 0 || r.Coverage == nil {
		cases := make([]Case, 0, len(r.Cases))
		for _, c := range r.Cases {
			cases = append(cases, Case{Prefix: c.Suite, Suite: c.Suite, Name: c.Name, Status: string(c.Status), Duration: int64(max(c.Duration, 0)), Message: c.Message})
		}
		kept, err := b.keepReport(tx, *made, group, TestReports, cases, nil, r.Dropped)
		if err != nil {
			return err
		}
		made.Reports = append(made.Reports, kept.ARN)
	}
	if c := r.Coverage; c != nil {
		files := make([]Covered, 0, len(c.Files))
		for _, f := range c.Files {
			files = append(files, Covered{File: f.Path, CoverageSummary: countsOf(f.Count)})
		}
		kept, err := b.keepReport(tx, *made, group, CoverageReports, nil, files, c.Dropped)
		if err != nil {
			return err
		}
		made.Reports = append(made.Reports, kept.ARN)
	}
	return nil
}

func countsOf(c testreport.Count) CoverageSummary {
	n := func(v int64) int { return int(min(max(v, 0), math.MaxInt32)) }
	return CoverageSummary{
		LinePercent: c.Lines(), LinesCovered: n(c.LinesCovered), LinesMissed: n(c.LinesMissed),
		BranchPercent: c.Branches(), BranchesCovered: n(c.BranchesCovered), BranchesMissed: n(c.BranchesMissed),
	}
}
