package build

import (
	"archive/zip"
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/keeper/shelf"
	"github.com/haechi-dev/haechi/word/fault"
)

// Artifacts lie in buckets under the keys that CodeBuild would give them: the
// path, the build's id where namespaceType is BUILD_ID, and the name. Where the
// project names no bucket they lie in this server's own, by project and build.

// Shelf is what builds need of keeper/shelf.
type Shelf interface {
	// Place names a file that is kept already, as part of tx.
	Place(tx *db.Tx, o shelf.Object) error
	// Find is the object of that name.
	Find(ctx context.Context, bucket, key string) (shelf.Object, error)
}

// mostUnpacked is how many files an artifact has that is no zip.
const mostUnpacked = 5000

// wantedOf is what a project says of the artifact of an id; "" is the primary one.
func wantedOf(made Build, id string) Artifacts {
	if id == "" {
		return made.Facts.Artifacts
	}
	if i := slices.IndexFunc(made.Facts.Secondary, func(a Artifacts) bool { return a.Identifier == id }); i >= 0 {
		return made.Facts.Secondary[i]
	}
	return Artifacts{}
}

// Bucket is the bucket that artifacts go to, by its name or its ARN.
func (a Artifacts) Bucket() string { return strings.TrimPrefix(a.Location, "arn:aws:s3:::") }

// keyOf is the key of an artifact. Where it is no zip its files lie below it.
func keyOf(made Build, want Artifacts, o output) string {
	if want.Bucket() == Kept || want.Location == "" {
		return path.Join(made.Project, uuidOf(made.ID), fileName(made, o))
	}
	name := cmp.Or(want.Name, o.id, made.Project)
	if isTrue(want.OverrideName) && o.name != "" {
		name = o.name
	}
	folder, id := want.Path, ""
	if want.NamespaceType == "BUILD_ID" {
		id = uuidOf(made.ID)
		if o.prefix != "" {
			folder = o.prefix
		}
	}
	return strings.Trim(path.Clean("/"+path.Join(folder, id, name)), "/")
}

// objects are what lies in a bucket of an artifact that is kept: the zip, or its files one by one.
func (b *Builds) objects(ctx context.Context, made Build, a Artifact, o output) (all []shelf.Object, err error) {
	want := wantedOf(made, o.id)
	if b.config.Shelf == nil || want.Type == "CODEPIPELINE" || want.Type == "NO_ARTIFACTS" || made.Facts.Batch != "" && want.Type == "" {
		return nil, nil
	}
	one := shelf.Object{
		Bucket: cmp.Or(want.Bucket(), Kept), Key: keyOf(made, want, o), Digest: a.Digest, Size: a.Size, Headers: map[string]string{"Content-Type": "application/zip"},
		Meta: map[string]string{"codebuild-buildarn": made.ARN, "codebuild-content-sha256": strings.TrimPrefix(a.Digest, "sha256:")},
	}
	if want.Packaging != "ZIP" && one.Bucket != Kept {
		return b.unpacked(ctx, one)
	}
	if !shelf.ValidKey(one.Key) {
		return nil, fault.Invalid.Errorf("the artifact's path and name make no key: %.200q", one.Key)
	}
	return []shelf.Object{one}, nil
}

// unpacked are the files of a zip, each kept by itself.
func (b *Builds) unpacked(ctx context.Context, whole shelf.Object) (all []shelf.Object, err error) {
	file, err := b.config.Blobs.Open(ctx, whole.Digest)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	z, err := zip.NewReader(file, whole.Size)
	if err != nil {
		return nil, err
	}
	for _, f := range z.File {
		if f.Mode().Type() != 0 { // folders, and links, which no bucket has
			continue
		}
		if len(all) == mostUnpacked {
			return nil, fault.Limit.Errorf("the artifact has more than %d files: set packaging to ZIP", mostUnpacked)
		}
		o := whole
		if o.Key = path.Join(whole.Key, f.Name); !shelf.ValidKey(o.Key) {
			return nil, fault.Invalid.Errorf("the file %.200q of the artifact has no key that a bucket takes", f.Name)
		}
		o.Headers, o.Meta = nil, map[string]string{"codebuild-buildarn": whole.Meta["codebuild-buildarn"]}
		if o.Digest, o.Size, err = b.keepFile(ctx, f); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		all = append(all, o)
	}
	return all, nil
}

func (b *Builds) keepFile(ctx context.Context, f *zip.File) (digest string, size int64, err error) {
	from, err := f.Open()
	if err != nil {
		return "", 0, err
	}
	defer from.Close()
	info, err := b.config.Blobs.Put(ctx, from, b.config.MaxArtifact)
	return info.Digest, info.Size, err
}

// place names what a build made in its bucket, for as long as the build is kept.
func (b *Builds) place(tx *db.Tx, all []shelf.Object) error {
	for _, o := range all {
		o.Expires = b.config.Now().Add(b.config.Kept).UTC().Truncate(time.Second)
		if err := b.config.Shelf.Place(tx, o); err != nil {
			return err
		}
	}
	return nil
}

// Object is the bucket and the key that a source of type S3 names.
func (s *Source) Object() (bucket, key string, ok bool) {
	bucket, key, ok = strings.Cut(strings.TrimPrefix(s.Location, "arn:aws:s3:::"), "/")
	return bucket, key, ok && shelf.ValidBucket(bucket) && shelf.ValidKey(key) && !strings.HasSuffix(key, "/")
}

// takeObject has a build take what lies under the name that its source says, as it lies there now.
func (b *Builds) takeObject(ctx context.Context, made *Build) error {
	bucket, key, ok := made.Source.Object()
	if !ok || b.config.Shelf == nil {
		return fault.Invalid.Errorf("source.location is BUCKET/KEY of a zip, not %.200q", made.Source.Location)
	}
	o, err := b.config.Shelf.Find(ctx, bucket, key)
	if errors.Is(err, fault.NotFound) {
		return fault.NotFound.Errorf("source %s/%s: %w", bucket, key, err)
	}
	if err != nil {
		return err
	}
	if v := made.SourceVersion; v != "" && v != o.Tag() && v != o.Digest {
		return fault.NotFound.Errorf("source %s/%s has no version %.100q: buckets here keep the last one, which is %s", bucket, key, v, o.Tag())
	}
	made.Facts.Object, made.ResolvedVersion = bucket+"/"+key, o.Tag()
	made.Facts.Inputs = []Input{{Digest: o.Digest, Size: o.Size}}
	return nil
}

// holdSource keeps the file of a source that others may overwrite until the build has ended.
func (b *Builds) holdSource(tx *db.Tx, made Build) error {
	if made.Facts.Object == "" {
		return nil
	}
	in := made.Facts.Inputs[0]
	_, err := tx.Exec("INSERT INTO build_brought (build, nonce, kind, id, name, digest, said, size) VALUES (?, '', 'source', '', '', ?, '', ?) ON CONFLICT (build, nonce, kind, id, name) DO NOTHING", made.ID, in.Digest, in.Size)
	return err
}
