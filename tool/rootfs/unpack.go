package rootfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/tool/scan/image"
	"github.com/haechi-dev/haechi/word/fault"
)

// unpack lays an image out beside its place, and moves it there when it is whole.
func (s *Store) unpack(ctx context.Context, img *image.Image, name string, k *kept) error {
	if err := img.Unpack(ctx); err != nil {
		return err
	}
	if unread := img.Unread(); len(unread) > 0 { // a root of which something is missing is another root
		return fault.Invalid.Errorf("%d parts of it cannot be used: %s: %s", len(unread), unread[0].File, unread[0].Why)
	}
	dir, err := os.MkdirTemp(s.config.Dir, unpacking)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) // nothing, once it has moved
	// The store itself is closed to others; the step's user has to look into this, once it is in its place.
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(dir, rootDir), 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(filepath.Join(dir, rootDir))
	if err != nil {
		return err
	}
	w := writer{ctx: ctx, from: img.FS(), top: root, owned: k.Owned, names: map[image.Content]string{}, left: s.config.Most}
	err = w.folder(root, ".")
	if err := errors.Join(err, root.Close()); err != nil {
		return err
	}
	k.Bytes = s.config.Most - w.left
	text, err := json.Marshal(k.about)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, aboutFile), text, 0o600); err != nil {
		return err
	}
	return os.Rename(dir, filepath.Join(s.config.Dir, name))
}

// writer lays out the files of an image.
type writer struct {
	ctx   context.Context
	from  fs.FS
	top   *os.Root
	owned bool                     // files have the owners and modes of the image
	names map[image.Content]string // under which a file lies already: the others are links to it
	left  int64                    // bytes
}

// block is what a file takes at least: its node, its name, a block of the disk.
const block = 4096

// folder lays out what lies in a folder, below a handle of it: nothing of the
// image is ever walked through by name.
func (w *writer) folder(at *os.Root, name string) error {
	entries, err := fs.ReadDir(w.from, name)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		if w.left -= block; w.left < 0 {
			return fault.Limit.Errorf("it takes more room than all images may")
		}
		inner := e.Name()
		if name != "." {
			inner = name + "/" + e.Name()
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		switch {
		case e.IsDir():
			err = w.enter(at, e.Name(), inner, info)
		case info.Mode().IsRegular():
			err = w.file(at, e.Name(), inner, info)
		case info.Mode()&fs.ModeSymlink != 0:
			err = w.link(at, e.Name(), inner, info)
		default: // devices, pipes and sockets are not laid out
		}
		if err != nil {
			return fmt.Errorf("%s: %w", inner, err)
		}
	}
	return nil
}

func (w *writer) enter(at *os.Root, base, name string, info fs.FileInfo) error {
	if err := at.Mkdir(base, 0o755); err != nil {
		return err
	}
	below, err := at.OpenRoot(base)
	if err != nil {
		return err
	}
	err = w.folder(below, name)
	if err := errors.Join(err, below.Close()); err != nil {
		return err
	}
	// What its owner may do everybody may: the step is not the owner of anything here. Nobody writes.
	mode := fs.FileMode(0o755)
	if w.owned {
		mode = info.Mode() & (fs.ModePerm | fs.ModeSticky)
		if err := w.give(at, base, info); err != nil {
			return err
		}
	}
	if err := at.Chmod(base, mode); err != nil {
		return err
	}
	return at.Chtimes(base, time.Time{}, info.ModTime())
}

// give gives what lies there to its owner in the image.
func (w *writer) give(at *os.Root, base string, info fs.FileInfo) error {
	content, _ := info.Sys().(image.Content)
	uid, gid := content.Owner()
	return at.Lchown(base, uid, gid)
}

func (w *writer) file(at *os.Root, base, name string, info fs.FileInfo) error {
	content, _ := info.Sys().(image.Content)
	if first, ok := w.names[content]; ok && info.Size() > 0 {
		return w.top.Link(first, name)
	}
	w.names[content] = name
	if w.left -= info.Size(); w.left < 0 {
		return fault.Limit.Errorf("it takes more room than all images may")
	}
	from, err := w.from.Open(name)
	if err != nil {
		return err
	}
	defer from.Close()
	mode := fs.FileMode(0o644)
	if info.Mode()&0o111 != 0 {
		mode = 0o755
	}
	if w.owned {
		mode = info.Mode().Perm()
	}
	// The bits that make programs run as somebody else are not among these.
	to, err := at.OpenFile(base, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode&0o700)
	if err != nil {
		return err
	}
	n, err := io.Copy(to, from)
	if err == nil && n != info.Size() {
		err = io.ErrUnexpectedEOF
	}
	if err == nil && w.owned {
		err = w.give(at, base, info)
	}
	if err := errors.Join(err, to.Chmod(mode), to.Close()); err != nil { // not before it is its owner's: that would take bits away
		return err
	}
	return at.Chtimes(base, time.Time{}, info.ModTime())
}

// link makes a symbolic link, wherever it leads: it is followed within the step alone.
func (w *writer) link(at *os.Root, base, name string, info fs.FileInfo) error {
	target, err := fs.ReadLink(w.from, name)
	if err != nil {
		return err
	}
	if target == "" {
		return nil // no file system has such
	}
	if err := at.Symlink(target, base); err != nil || !w.owned {
		return err
	}
	return w.give(at, base, info)
}
