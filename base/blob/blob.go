// Package blob keeps files by the digest of what they hold, in a folder or in a bucket of S3.
//
// What Put has answered is on disk, whole, under the digest of its bytes, and
// stays as it is until somebody deletes it. A kill leaves either all of a file
// or nothing that can be found. Whoever keeps digests in a database puts the
// file first and writes the digest down after: a file that nobody names takes
// room and harms nothing, and Sweep takes it away when it is old enough.
package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/haechi-dev/haechi/word/fault"
)

// Info is a file that is kept.
type Info struct {
	Digest string    // sha256:, and 64 hex digits
	Size   int64     // in bytes
	Time   time.Time // when it was last put here
}

// Folder keeps files in a folder of this machine. It is safe for concurrent
// use, also by several processes.
type Folder struct{ dir string }

const incoming = "incoming" // files on their way in

// Open is the store in dir, which is made if it is not there. What a kill has
// left half written is removed.
func Open(dir string) (*Folder, error) {
	f := &Folder{dir}
	if err := os.MkdirAll(filepath.Join(dir, incoming), 0o700); err != nil {
		return nil, err
	}
	return f, f.tidy()
}

// tidy removes the files on their way in that nobody is writing any more.
func (f *Folder) tidy() error {
	left, err := os.ReadDir(filepath.Join(f.dir, incoming))
	if err != nil {
		return err
	}
	for _, entry := range left {
		name := filepath.Join(f.dir, incoming, entry.Name())
		file, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			err = os.Remove(name)
		}
		file.Close()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

var digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// Valid tells whether a text is a digest as they are written here.
func Valid(digest string) bool { return digestForm.MatchString(digest) }

// below is the path of a file within its store.
func below(digest string) (string, error) {
	if !Valid(digest) {
		return "", fault.Invalid.Errorf("%.80q is no digest: write sha256: and 64 hex digits", digest)
	}
	hash := digest[len("sha256:"):]
	return "sha256/" + hash[:2] + "/" + hash, nil
}

func (f *Folder) path(digest string) (string, error) {
	name, err := below(digest)
	return filepath.Join(f.dir, filepath.FromSlash(name)), err
}

func absent(digest string) error {
	return fault.NotFound.Errorf("no file has the digest %s (any more)", digest)
}

// Put keeps what r holds, which must not be longer than limit bytes (else
// fault.Limit), and answers its digest. It is on disk when Put returns. What is
// here already is not kept twice.
func (f *Folder) Put(ctx context.Context, r io.Reader, limit int64) (info Info, err error) {
	temp, err := f.begin()
	if err != nil {
		return info, err
	}
	defer func() {
		if err != nil {
			os.Remove(temp.Name()) // before it is closed, and so unlocked
		}
		temp.Close()
	}()
	if info, err = spool(ctx, temp, r, limit); err != nil {
		return info, fmt.Errorf("keeping a file: %w", err)
	}
	if err := temp.Sync(); err != nil {
		return info, err
	}
	return info, f.settle(temp, info)
}

// begin makes a file for what comes in. It is locked as long as it is open, so that tidy leaves it.
func (f *Folder) begin() (*os.File, error) {
	for range 10 {
		temp, err := os.CreateTemp(filepath.Join(f.dir, incoming), "")
		if err != nil {
			return nil, err
		}
		if err := syscall.Flock(int(temp.Fd()), syscall.LOCK_EX); err != nil {
			temp.Close()
			return nil, err
		}
		// Between the two, another process' tidy may have taken it for one that was left.
		if _, err := os.Lstat(temp.Name()); err == nil {
			return temp, nil
		}
		temp.Close()
	}
	return nil, fault.Unavailable.Errorf("no file can be begun in %s: others remove it", f.dir)
}

// settle gives a file that is whole its name.
func (f *Folder) settle(temp *os.File, info Info) error {
	path, err := f.path(info.Digest)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := temp.Chmod(0o400); err != nil {
		return err
	}
	// Renamed over one that is there: it is the same, and gets young again,
	// so that no Sweep that runs beside us takes it before it is written down.
	if err := os.Rename(temp.Name(), path); err != nil {
		return err
	}
	for _, d := range []string{dir, filepath.Dir(dir), f.dir} {
		if err := sync(d); err != nil {
			return err
		}
	}
	return nil
}

func sync(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u untilDone) Read(b []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(b)
}

// Open opens the file of a digest (fault.NotFound: it is not here).
func (f *Folder) Open(_ context.Context, digest string) (*os.File, error) {
	path, err := f.path(digest)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, absent(digest)
	}
	return file, err
}

// Stat says what is known of the file of a digest (fault.NotFound: it is not here).
func (f *Folder) Stat(_ context.Context, digest string) (Info, error) {
	path, err := f.path(digest)
	if err != nil {
		return Info{}, err
	}
	s, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Info{}, absent(digest)
	}
	if err != nil {
		return Info{}, err
	}
	return Info{digest, s.Size(), s.ModTime()}, nil
}

// Check reads a file and says whether it still holds what its digest says; bytes rot.
func (f *Folder) Check(ctx context.Context, digest string) error {
	file, err := f.Open(ctx, digest)
	if err != nil {
		return err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, untilDone{ctx, file}); err != nil {
		return err
	}
	if is := "sha256:" + hex.EncodeToString(hash.Sum(nil)); is != digest {
		return fault.Conflict.Errorf("the file %s was changed on disk: it is %s now", digest, is)
	}
	return nil
}

// Delete removes the file of a digest; that it is gone already is fine.
func (f *Folder) Delete(_ context.Context, digest string) error {
	path, err := f.path(digest)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Each calls do with every file that is kept, in the order of digests.
func (f *Folder) Each(ctx context.Context, do func(Info) error) error {
	root := filepath.Join(f.dir, "sha256")
	parts, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, part := range parts {
		files, err := os.ReadDir(filepath.Join(root, part.Name()))
		if err != nil {
			return err
		}
		for _, file := range files {
			if err := ctx.Err(); err != nil {
				return err
			}
			s, err := file.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue // deleted meanwhile
			}
			if err != nil {
				return err
			}
			if digest := "sha256:" + file.Name(); Valid(digest) {
				if err := do(Info{digest, s.Size(), s.ModTime()}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Sweep deletes the files that were put here before a time and that keep does
// not want, of all or of these only, and answers how many bytes that gave back.
func (f *Folder) Sweep(ctx context.Context, before time.Time, keep func(digest string) (bool, error), only ...string) (freed int64, err error) {
	one := func(i Info) error {
		if !i.Time.Before(before) {
			return nil
		}
		if wanted, err := keep(i.Digest); err != nil || wanted {
			return err
		}
		if now, err := f.Stat(ctx, i.Digest); err != nil || !now.Time.Before(before) {
			return nil // put again meanwhile
		}
		freed += i.Size
		return f.Delete(ctx, i.Digest)
	}
	if len(only) == 0 {
		err = f.Each(ctx, one)
		return freed, err
	}
	for _, digest := range only {
		i, err := f.Stat(ctx, digest)
		if errors.Is(err, fault.NotFound) {
			continue
		}
		if err == nil {
			err = one(i)
		}
		if err != nil {
			return freed, err
		}
	}
	return freed, nil
}
