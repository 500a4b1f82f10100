package pipeline

import (
	"archive/zip"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/keeper/shelf"
	"github.com/haechi-dev/haechi/lang/structure"
	"github.com/haechi-dev/haechi/word/fault"
)

// Artifacts lie in the bucket that the pipeline's artifactStore names, under
// PIPELINE/ARTIFACT/ID, for as long as the run is kept. What is a commit's files
// lies there once a worker elsewhere asks for it.

// Shelf is what pipelines need of keeper/shelf.
type Shelf interface {
	Place(tx *db.Tx, o shelf.Object) error
	FindIn(tx *db.Tx, bucket, key string) (shelf.Object, error)
	// Reserve has a bucket be there, and says until when what lies under a name in it is kept.
	Reserve(tx *db.Tx, bucket, key string, until time.Time) error
}

// ownBucket is where artifacts lie of a pipeline that names no bucket.
const ownBucket = "haechi"

// store is the bucket of a pipeline's artifacts.
func (p *Pipelines) store(tx *db.Tx, pipeline string) (string, error) {
	d, err := defined(tx, pipeline)
	if err != nil && !errors.Is(err, fault.NotFound) {
		return "", err
	}
	stores := []structure.ArtifactStore{}
	if d.Origin == FromFile { // who may push does not say which bucket is written to
		return ownBucket, nil
	}
	if d.Structure.ArtifactStore != nil {
		stores = append(stores, *d.Structure.ArtifactStore)
	}
	if s, ok := d.Structure.ArtifactStores[p.config.Region]; ok {
		stores = append(stores, s)
	}
	for _, s := range stores {
		if shelf.ValidBucket(s.Location) {
			return s.Location, nil
		}
	}
	return ownBucket, nil
}

// keyOf is the key of an artifact that an attempt at an action makes. It cannot
// be foreseen by who does not know the attempt, and is the same when it is asked again.
func keyOf(pipeline, artifact, attempt string) string {
	sum := sha256.Sum256([]byte(attempt + "\x00" + artifact))
	return pipeline + "/" + artifact + "/" + hex.EncodeToString(sum[:])[:12]
}

func (p *Pipelines) until() time.Time {
	return p.config.Now().Add(p.config.Kept).UTC().Truncate(time.Second)
}

// shelve names the files that an action has made.
func (p *Pipelines) shelve(tx *db.Tx, e *Execution, s *Stage, a *Action) error {
	if p.config.Shelf == nil {
		return nil
	}
	for i := range e.Artifacts {
		m := &e.Artifacts[i]
		if m.Stage != s.Name || m.Action != a.Name || m.Digest == "" || m.Key != "" {
			continue
		}
		bucket, err := p.store(tx, e.Pipeline)
		if err != nil {
			return err
		}
		m.Bucket, m.Key = bucket, keyOf(e.Pipeline, m.Name, a.ID)
		if !shelf.ValidKey(m.Key) {
			m.Bucket, m.Key = "", ""
			continue
		}
		o := shelf.Object{Bucket: m.Bucket, Key: m.Key, Digest: m.Digest, Size: m.Size, Expires: p.until(), Headers: map[string]string{"Content-Type": "application/zip"}}
		if m.Made != "" {
			o.Meta = map[string]string{"codebuild-buildarn": "arn:aws:codebuild:" + p.config.Region + ":" + p.config.Account + ":build/" + m.Made}
		}
		if err := p.config.Shelf.Place(tx, o); err != nil {
			return err
		}
	}
	return nil
}

// place says where a job's inputs lie, or will, and where its outputs go.
func (p *Pipelines) place(ctx context.Context, j *Job) error {
	if p.config.Shelf == nil || p.config.Blobs == nil {
		return nil
	}
	var bucket string
	err := p.db.Read(ctx, func(tx *db.Tx) (err error) { bucket, err = p.store(tx, j.Pipeline); return err })
	if err != nil {
		return err
	}
	for i := range j.Inputs {
		in := &j.Inputs[i]
		if in.Key != "" || in.Repository == "" || in.Digest != "" {
			continue
		}
		in.Bucket, in.Key = bucket, keyOf(j.Pipeline, in.Name, j.Execution+"/"+in.Commit)
	}
	j.Made = nil
	for _, name := range j.Outputs {
		j.Made = append(j.Made, Artifact{Name: name, Bucket: bucket, Key: keyOf(j.Pipeline, name, j.ID)})
	}
	return nil
}

// offer has every input of a job lie where a worker elsewhere can fetch it.
func (p *Pipelines) offer(ctx context.Context, j *Job) error {
	if err := p.place(ctx, j); err != nil {
		return err
	}
	for _, out := range j.Made {
		if err := p.db.Write(ctx, func(tx *db.Tx) error { return p.config.Shelf.Reserve(tx, out.Bucket, out.Key, p.until()) }); err != nil {
			return err
		}
	}
	for _, in := range j.Inputs {
		if in.Key == "" || in.Digest != "" {
			continue
		}
		if err := p.pack(ctx, in); err != nil {
			return err
		}
	}
	return nil
}

// pack has the files of a commit lie as a zip under an artifact's name.
func (p *Pipelines) pack(ctx context.Context, a Artifact) error {
	err := p.db.Read(ctx, func(tx *db.Tx) error { _, err := p.config.Shelf.FindIn(tx, a.Bucket, a.Key); return err })
	if !errors.Is(err, fault.NotFound) {
		return err
	}
	repo, err := p.config.Source.Git(a.Repository)
	if err != nil {
		return err
	}
	tree, err := repo.Tree(ctx, a.Commit)
	if err != nil {
		return err
	}
	defer tree.Close()
	file, err := os.CreateTemp("", "haechi-source-")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if err := zipped(ctx, tree, file); err != nil {
		return err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	info, err := p.config.Blobs.Put(ctx, file, mostHandedIn)
	if err != nil {
		return err
	}
	return p.db.Write(ctx, func(tx *db.Tx) error {
		return p.config.Shelf.Place(tx, shelf.Object{Bucket: a.Bucket, Key: a.Key, Digest: info.Digest, Size: info.Size, Expires: p.until(), Headers: map[string]string{"Content-Type": "application/zip"}, Meta: map[string]string{"commit": a.Commit}})
	})
}

// mostHandedIn is how many bytes an artifact of CodePipeline's has at most.
const mostHandedIn = 1 << 30

// zipped writes files as a zip that is the same each time.
func zipped(ctx context.Context, files fs.FS, to io.Writer) error {
	w, left := zip.NewWriter(to), int64(mostHandedIn)
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if left -= info.Size(); left < 0 {
			return fault.Limit.Errorf("the files of the commit have more than %d bytes", int64(mostHandedIn))
		}
		h := &zip.FileHeader{Name: name, Method: zip.Deflate}
		h.SetMode(info.Mode())
		out, err := w.CreateHeader(h)
		if err != nil {
			return err
		}
		from, err := files.Open(name)
		if err != nil {
			return err
		}
		defer from.Close()
		_, err = io.Copy(out, from)
		return err
	})
	if err != nil {
		return err
	}
	return w.Close()
}

// handedIn are the artifacts that a worker has put where its job said. One that
// its type promises and that did not come is a mistake of the worker's.
func (p *Pipelines) handedIn(tx *db.Tx, e *Execution, a *Action, revision string) (all []Artifact, missing string, err error) {
	if p.config.Shelf == nil {
		for _, out := range a.Outputs { // whoever made it has it: what is known of it is its name
			all = append(all, Artifact{Name: out.Name, Commit: revision})
		}
		return all, "", nil
	}
	bucket, err := p.store(tx, e.Pipeline)
	if err != nil {
		return nil, "", err
	}
	for _, out := range a.Outputs {
		m := Artifact{Name: out.Name, Commit: revision, Bucket: bucket, Key: keyOf(e.Pipeline, out.Name, a.ID)}
		o, err := p.config.Shelf.FindIn(tx, m.Bucket, m.Key)
		switch {
		case errors.Is(err, fault.NotFound) && a.Type.Category == structure.Source:
			m.Bucket, m.Key = "", "" // what it read has a name alone
		case errors.Is(err, fault.NotFound):
			missing = cmp.Or(missing, out.Name)
		case err != nil:
			return nil, "", err
		default:
			m.Digest, m.Size = o.Digest, o.Size
			if err := p.config.Shelf.Reserve(tx, m.Bucket, m.Key, p.until()); err != nil {
				return nil, "", err
			}
		}
		all = append(all, m)
	}
	return all, missing, nil
}
