package build

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/keeper/shelf"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/word/fault"
)

// combine makes one artifact of those of a batch's builds: a zip with a folder
// for each build, so that no file of one hides that of another.
func (b *Builds) combine(ctx context.Context, l work.Lease, t Batch) error {
	var kept *Artifact
	var reason *Reason
	parts, err := b.parts(ctx, t)
	if err == nil && len(parts) > 0 {
		kept, err = b.pack(ctx, t, parts)
	}
	if kind := fault.Of(err); kind == fault.Invalid || kind == fault.NotFound || kind == fault.Limit {
		reason, err = &Reason{Code: "COMBINE_ARTIFACTS_ERROR", Text: err.Error(), Where: "artifacts", Do: "see what the builds of the batch made"}, nil
	}
	if err != nil {
		return err
	}
	return b.endJob(ctx, l, func(tx *db.Tx) error {
		t, err := findBatch(tx, t.ID)
		if err != nil || t.Status.Ended() {
			return err
		}
		now := b.config.Now().UTC()
		if reason != nil {
			t.Facts.Reason = reason
			t.end(Failed, now)
		} else {
			if kept != nil {
				if err := b.keepCombined(tx, &t, *kept); err != nil {
					return err
				}
			}
			t.end(Succeeded, now)
		}
		if err := b.tellBatch(tx, t); err != nil {
			return err
		}
		return keepBatch(tx, t)
	})
}

func (b *Builds) keepCombined(tx *db.Tx, t *Batch, a Artifact) error {
	if _, err := tx.Exec("INSERT INTO build_files (build, name, digest, size, at, body) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (build, name) DO UPDATE SET digest = excluded.digest, size = excluded.size, at = excluded.at",
		t.ID, "", a.Digest, a.Size, b.config.Now().UnixMicro(), []byte(a.File)); err != nil {
		return err
	}
	want := t.Facts.Build.Facts.Artifacts
	if b.config.Shelf != nil && want.Type == "S3" {
		o := shelf.Object{
			Bucket: want.Bucket(), Key: keyOf(Build{ID: t.ID, Project: t.Project, Facts: &Facts{Artifacts: want}}, want, output{}), Digest: a.Digest, Size: a.Size,
			Meta: map[string]string{"codebuild-buildarn": t.ARN}, Headers: map[string]string{"Content-Type": "application/zip"},
		}
		if err := b.place(tx, []shelf.Object{o}); err != nil {
			return err
		}
		a.Bucket, a.Key = o.Bucket, o.Key
	}
	t.Facts.Made = &a
	t.Artifacts = &BuildArtifacts{Location: b.location(Build{ID: t.ID}, a), SHA256: strings.TrimPrefix(a.Digest, "sha256:")}
	return nil
}

// part is an artifact of one of a batch's builds.
type part struct {
	folder string
	digest string
}

// parts are the artifacts of a batch, in the order of their folders.
func (b *Builds) parts(ctx context.Context, t Batch) (all []part, err error) {
	for _, g := range t.Groups {
		if g.Current == nil || g.Current.Status != Succeeded {
			continue
		}
		made, err := b.Build(ctx, g.Current.ARN)
		if err != nil {
			return nil, err
		}
		for _, a := range made.Facts.Made {
			all = append(all, part{path.Join(g.Identifier, a.Name), a.Digest})
		}
	}
	slices.SortFunc(all, func(a, b part) int { return strings.Compare(a.folder, b.folder) })
	return all, nil
}

func (b *Builds) pack(ctx context.Context, t Batch, parts []part) (*Artifact, error) {
	out, err := os.CreateTemp(b.config.Folder, "batch-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	z := zip.NewWriter(out)
	for _, p := range parts {
		if err := b.copyPart(ctx, z, p); err != nil {
			return nil, err
		}
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	if _, err := out.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	info, err := b.config.Blobs.Put(ctx, out, b.config.MaxArtifact)
	if err != nil {
		return nil, err
	}
	f := t.Facts.Build.Facts
	return &Artifact{File: t.Project + "-batch.zip", Digest: info.Digest, Size: info.Size, Repository: f.Repository, Commit: f.Commit, Build: t.ARN}, nil
}

// copyPart copies the files of an artifact, as they are packed.
func (b *Builds) copyPart(ctx context.Context, z *zip.Writer, p part) error {
	file, err := b.config.Blobs.Open(ctx, p.digest)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	from, err := zip.NewReader(file, info.Size())
	if err != nil {
		return fault.Invalid.Errorf("the artifact of %s is no zip: %w", p.folder, err)
	}
	for _, f := range from.File {
		if err := ctx.Err(); err != nil {
			return err
		}
		h := f.FileHeader
		h.Name = p.folder + "/" + f.Name
		to, err := z.CreateRaw(&h)
		if err != nil {
			return err
		}
		raw, err := f.OpenRaw()
		if err == nil {
			_, err = io.Copy(to, raw)
		}
		if err != nil {
			return fmt.Errorf("copying %s: %w", h.Name, err)
		}
	}
	return nil
}

// giveUpBatch ends a batch whose job no worker could do.
func (b *Builds) giveUpBatch(ctx context.Context, l work.Lease, why error) error {
	return b.endJob(ctx, l, func(tx *db.Tx) error {
		t, err := findBatch(tx, string(l.Body))
		if err != nil || t.Status.Ended() {
			return err
		}
		how := Fault
		t.Facts.Reason = &Reason{Code: "INTERNAL_SERVICE_ERROR", Text: blame(why), Do: "retry it; the server's log says more"}
		if errors.Is(why, work.ErrStopped) {
			how = Stopped
		}
		t.end(how, b.config.Now().UTC())
		if err := b.tellBatch(tx, t); err != nil {
			return err
		}
		return keepBatch(tx, t)
	})
}
