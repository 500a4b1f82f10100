package build

import (
	"archive/tar"
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/haechi-dev/haechi/word/fault"
)

// mostSource bounds the files of one source.
const mostSource = 16 << 30

// sourcesOf are the sources of a build, the first one first.
func (b *Builds) sourcesOf(ctx context.Context, made *Build) (all []TaskSource, err error) {
	f := made.Facts
	for i, in := range f.Inputs {
		s := f.sourceOf(in)
		if i > 0 {
			s.ID = in.Name
		}
		if in.Digest == "" && in.Clone {
			if err := b.cloned(ctx, made, &s, made.Source); err != nil {
				return nil, err
			}
		}
		all = append(all, s)
	}
	if len(f.Inputs) == 0 && f.Repository != "" {
		s := TaskSource{repository: f.Repository, commit: f.Commit, branch: f.Ref}
		if err := b.cloned(ctx, made, &s, made.Source); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	for _, of := range made.SecondarySources {
		name := of.Repository()
		ref, commit, err := b.resolve(ctx, name, secondaryVersion(made, of.Identifier))
		if err != nil {
			return nil, fmt.Errorf("secondary source %s: %w", of.Identifier, err)
		}
		s := TaskSource{ID: of.Identifier, repository: name, commit: commit, branch: ref}
		if err := b.cloned(ctx, made, &s, of); err != nil {
			return nil, fmt.Errorf("secondary source %s: %w", of.Identifier, err)
		}
		all = append(all, s)
	}
	return all, nil
}

// sourceOf is where the files of an artifact are.
func (f *Facts) sourceOf(in Input) TaskSource {
	if in.Digest != "" {
		return TaskSource{digest: in.Digest}
	}
	if in.Repository == "" || in.Repository == f.Repository && in.Commit == f.Commit {
		return TaskSource{repository: f.Repository, commit: f.Commit, branch: f.Ref}
	}
	return TaskSource{repository: in.Repository, commit: in.Commit}
}

// sourceFS are the files of a build's first source.
func (b *Builds) sourceFS(ctx context.Context, made *Build) (fs.FS, func(), error) {
	s := TaskSource{repository: made.Facts.Repository, commit: made.Facts.Commit}
	if in := made.Facts.Inputs; len(in) > 0 {
		s = made.Facts.sourceOf(in[0])
	}
	return b.files(ctx, s)
}

// files are the files of a source; done ends the reading.
func (b *Builds) files(ctx context.Context, s TaskSource) (files fs.FS, done func(), err error) {
	if s.digest != "" {
		file, err := b.config.Blobs.Open(ctx, s.digest)
		if err != nil {
			return nil, nil, err
		}
		info, err := file.Stat()
		if err == nil {
			var z *zip.Reader
			if z, err = zip.NewReader(file, info.Size()); err == nil {
				return z, func() { file.Close() }, nil
			}
			err = fault.Invalid.Errorf("the artifact %s is no zip: %w", s.digest, err)
		}
		file.Close()
		return nil, nil, err
	}
	if s.repository == "" {
		return nil, nil, fault.Invalid.Errorf("the build has no source: its buildspec has to be given by its text")
	}
	repo, err := b.config.Source.Git(s.repository)
	if err != nil {
		return nil, nil, err
	}
	tree, err := repo.Tree(ctx, s.commit)
	if err != nil {
		return nil, nil, err
	}
	return tree, func() { tree.Close() }, nil
}

// layOut writes a source into a folder that is empty.
func (b *Builds) layOut(ctx context.Context, s TaskSource, dir string) error {
	files, done, err := b.files(ctx, s)
	if err != nil {
		return err
	}
	defer done()
	if err := extract(ctx, files, dir); err != nil || !s.clone {
		return err
	}
	return b.makeClone(ctx, s, dir)
}

// packTo writes a source as a tar, for a machine that fetches it.
func (b *Builds) packTo(ctx context.Context, s TaskSource, to io.Writer) error {
	if !s.clone {
		files, done, err := b.files(ctx, s)
		if err != nil {
			return err
		}
		defer done()
		return packSource(ctx, files, to)
	}
	if err := os.MkdirAll(b.config.Folder, 0o700); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(b.config.Folder, "packed-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := b.layOut(ctx, s, dir); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return packSource(ctx, linked{root.FS(), root}, to)
}

// linked are files of a folder; a link in it is a file whose content is what it points at.
type linked struct {
	fs.FS
	root *os.Root
}

// Open opens a file, or a link as itself.
func (l linked) Open(name string) (fs.File, error) {
	info, err := l.root.Lstat(name)
	if err != nil || info.Mode().Type() != fs.ModeSymlink {
		return l.FS.Open(name)
	}
	target, err := l.root.Readlink(name)
	if err != nil {
		return nil, err
	}
	return &linkFile{Reader: strings.NewReader(target), info: info}, nil
}

type linkFile struct {
	*strings.Reader
	info fs.FileInfo
}

func (l *linkFile) Stat() (fs.FileInfo, error) { return l.info, nil }
func (l *linkFile) Close() error               { return nil }

// extract writes files into an empty folder. Nothing is written outside of it,
// whatever the files are called and the links among them point at.
func extract(ctx context.Context, files fs.FS, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return eachFile(ctx, files, func(name string, info fs.FileInfo) error {
		if info.IsDir() {
			return root.MkdirAll(name, 0o755)
		}
		from, err := files.Open(name)
		if err != nil {
			return err
		}
		defer from.Close()
		if info.Mode().Type() == fs.ModeSymlink {
			target, err := io.ReadAll(io.LimitReader(from, 4096))
			if err != nil {
				return err
			}
			return link(root, name, string(target))
		}
		return write(root, name, info.Mode(), from)
	})
}

// eachFile calls do with the files and folders of a source, bounded in size.
func eachFile(ctx context.Context, files fs.FS, do func(name string, info fs.FileInfo) error) error {
	left := int64(mostSource)
	return fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case name == ".":
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if !d.IsDir() {
			if left -= info.Size(); left < 0 {
				return fault.Limit.Errorf("the files of the source have more than %d bytes", int64(mostSource))
			}
		}
		return do(name, info)
	})
}

func link(root *os.Root, name, target string) error {
	if err := root.Symlink(target, path.Clean(name)); err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	return nil
}

func write(root *os.Root, name string, mode fs.FileMode, from io.Reader) error {
	to, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644|mode.Perm()&0o111)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}

// packSource writes files as a tar, for a machine that fetches them.
func packSource(ctx context.Context, files fs.FS, to io.Writer) error {
	w := tar.NewWriter(to)
	err := eachFile(ctx, files, func(name string, info fs.FileInfo) error {
		if info.IsDir() {
			return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755})
		}
		from, err := files.Open(name)
		if err != nil {
			return err
		}
		defer from.Close()
		if info.Mode().Type() == fs.ModeSymlink {
			target, err := io.ReadAll(io.LimitReader(from, 4096))
			if err != nil {
				return err
			}
			return w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: string(target), Mode: 0o777})
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: info.Size(), Mode: int64(0o644 | info.Mode().Perm()&0o111)}); err != nil {
			return err
		}
		_, err = io.Copy(w, from)
		return err
	})
	if err != nil {
		return err // what is written so far has no end, and is refused
	}
	return w.Close()
}

// Unpack writes a source that a server has packed into an empty folder, and
// nothing outside of it.
func Unpack(ctx context.Context, from io.Reader, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	left := int64(mostSource)
	for r := tar.NewReader(from); ; {
		h, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("unpacking the source: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if left -= h.Size; left < 0 {
			return fault.Limit.Errorf("the files of the source have more than %d bytes", int64(mostSource))
		}
		name := path.Clean(h.Name)
		switch h.Typeflag {
		case tar.TypeDir:
			err = root.MkdirAll(name, 0o755)
		case tar.TypeSymlink:
			err = link(root, name, h.Linkname)
		case tar.TypeReg:
			err = write(root, name, fs.FileMode(h.Mode), r)
		default:
			err = fault.Invalid.Errorf("%s is neither file, folder nor link", name)
		}
		if err != nil {
			return err
		}
	}
}
