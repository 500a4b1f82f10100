package pipeline

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/keeper/shelf"
	"github.com/haechi-dev/haechi/lang/structure"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
)

// ObjectOf is the bucket and the key that a source of type S3 reads.
func ObjectOf(a structure.Action) (bucket, key string, ok bool) {
	if a.Type.Category != structure.Source || a.Type.Owner != "AWS" && a.Type.Owner != "" || a.Type.Provider != "S3" {
		return "", "", false
	}
	return a.Configuration["S3Bucket"], strings.TrimPrefix(a.Configuration["S3ObjectKey"], "/"), true
}

// noRepository tells whether a source reads no repository of this server.
func noRepository(a structure.Action) bool {
	_, _, object := ObjectOf(a)
	return object || a.Type.Owner == "Custom"
}

// doObject takes what lies under a name in a bucket, as it lies there now: what
// is put there afterwards changes nothing of this run.
func (p *Pipelines) doObject(ctx context.Context, t *task, bucket, key string) (outcome, error) {
	if p.config.Shelf == nil {
		return outcome{}, fault.Invalid.Errorf("there are no buckets here")
	}
	var o shelf.Object
	err := p.db.Read(ctx, func(tx *db.Tx) (err error) { o, err = p.config.Shelf.FindIn(tx, bucket, key); return err })
	if errors.Is(err, fault.NotFound) {
		return failed(Reason{Text: "s3://" + bucket + "/" + key + ": " + err.Error(), Do: "put a zip there: aws s3 cp FILE s3://" + bucket + "/" + key}), nil
	}
	if err != nil {
		return outcome{}, err
	}
	a := t.action
	if want := t.run.Revisions[a.Name]; want != "" && want != o.Tag() && want != o.Digest {
		return failed(Reason{Text: "s3://" + bucket + "/" + key + " is not " + clip(want, 100) + " any more, but " + o.Tag(), Do: "start the pipeline without a revision, or put the file there again: buckets keep the last one"}), nil
	}
	t.log.Printf("s3://%s/%s, %d bytes, %s\nput by %s\n", bucket, key, o.Size, o.Digest, o.Who)
	out := outcome{status: Succeeded, summary: clip(key+" "+o.Tag(), 100), external: o.Tag(), variables: map[string]string{"BucketName": bucket, "ObjectKey": key, "ETag": o.Tag(), "VersionId": o.Tag()}}
	for _, made := range a.Outputs {
		out.artifacts = append(out.artifacts, Artifact{Name: made.Name, Commit: o.Tag(), Digest: o.Digest, Size: o.Size})
	}
	if t.stage.Name == t.run.Stages[0].Name && a.Name == firstSource(t.run.Stages[0]) {
		out.change = func(e *Execution, _ *Action) {
			if e.Commit == "" {
				e.Commit, e.Subject = o.Tag(), clip("s3://"+bucket+"/"+key, 200)
			}
		}
	}
	return out, nil
}

// put are the runs of a file that was put into a bucket.
func (p *Pipelines) put(ctx context.Context, e event.Event) (asked []Start, err error) {
	var d shelf.Happened
	if err := json.Unmarshal(e.Detail, &d); err != nil {
		return nil, fault.Invalid.Errorf("reading event %s: %w", e.ID, err)
	}
	var all []Definition
	if err := p.db.Read(ctx, func(tx *db.Tx) (err error) { all, err = allDefined(tx); return err }); err != nil {
		return nil, err
	}
	for _, def := range all {
		if def.Problem != "" || e.Time.Before(def.Updated.Add(-1e9)) {
			continue
		}
		reads := slices.ContainsFunc(def.Structure.Sources(), func(a structure.Action) bool {
			bucket, key, ok := ObjectOf(a)
			return ok && bucket == d.Bucket.Name && key == d.Object.Key && a.Configuration["PollForSourceChanges"] != "false"
		})
		if !reads {
			continue
		}
		asked = append(asked, Start{
			Pipeline: def.Structure.Name, Who: d.Requester, id: derived(e.ID, def.Structure.Name),
			Trigger: Trigger{Type: "PollForSourceChanges", Detail: "arn:aws:s3:::" + d.Bucket.Name + "/" + d.Object.Key},
		})
	}
	return asked, nil
}
