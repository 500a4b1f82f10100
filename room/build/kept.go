package build

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	tool "github.com/haechi-dev/haechi/tool/build"
)

// The folders of the last builds that failed stay for a look, on the server that
// did them. They hold the sources and what the build made of them: no token, no
// home, and no file with the value of a secret.

// Folder is the folder of a failed build.
type Folder struct {
	Build string    `json:"build"` // its id
	Made  time.Time `json:"made"`
	Size  int64     `json:"size"`
	Image string    `json:"image,omitzero"`
	Shell string    `json:"shell"`
	Env   []string  `json:"env,omitzero"` // names and values that are no secrets
}

func (b *Builds) keptDir() string {
	dir, err := filepath.Abs(b.config.Folder) // walls are built elsewhere
	if err != nil {
		dir = b.config.Folder
	}
	return filepath.Join(dir, "kept")
}

// keepFolder keeps the folder of a build that failed, as far as there is room.
func (b *Builds) keepFolder(made Build, t Task, at Room) {
	if b.config.KeptFolders <= 0 {
		return
	}
	if err := b.keepWork(made, t, at); err != nil {
		b.config.Log.Warn("the folder of a failed build is not kept", "build", made.ID, "err", err)
	}
	if err := b.tidyKept(); err != nil {
		b.config.Log.Warn("tidying up the folders of failed builds", "err", err)
	}
}

func (b *Builds) keepWork(made Build, t Task, at Room) error {
	if err := os.RemoveAll(filepath.Join(at.Dir, "home")); err != nil {
		return err
	}
	size, err := clean(at.Dir, t.hidden())
	if err != nil || size > b.config.KeptBytes {
		return err
	}
	dir := filepath.Join(b.keptDir(), uuidOf(made.ID))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f := Folder{Build: made.ID, Made: b.config.Now().UTC(), Size: size, Image: t.Image, Shell: t.spec.Shell}
	for _, list := range [][]Pair{b.config.Machine.Env, specPairs(t), t.Variables} {
		for _, v := range list {
			f.Env = append(f.Env, v.Name+"="+v.Value)
		}
	}
	text, err := json.Marshal(f)
	if err != nil {
		return err
	}
	if err := os.Rename(at.Dir, filepath.Join(dir, "work")); err != nil {
		return err
	}
	half := filepath.Join(dir, "kept.half")
	if err := os.WriteFile(half, text, 0o600); err != nil {
		return err
	}
	return os.Rename(half, filepath.Join(dir, "kept.json")) // last: without it there is no such folder
}

func specPairs(t Task) (all []Pair) {
	for name, value := range t.spec.Variables {
		all = append(all, Pair{Name: name, Value: value})
	}
	return all
}

// clean removes the files of a folder that hold the value of a secret, in whatever form, and counts the others.
func clean(dir string, secrets []Pair) (size int64, err error) {
	set, _ := hiding(secrets)
	root, err := os.OpenRoot(dir)
	if err != nil {
		return 0, err
	}
	defer root.Close()
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() || d.Type() == fs.ModeSymlink {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return root.Remove(name)
		}
		size += info.Size()
		if set == nil {
			return nil
		}
		file, err := root.Open(name)
		if err != nil {
			return root.Remove(name) // nobody can say what is in it
		}
		defer file.Close()
		w := set.Writer(io.Discard)
		if _, err := io.Copy(w, file); err != nil {
			return err
		}
		if w.Masked() > 0 {
			size -= info.Size()
			return root.Remove(name)
		}
		return nil
	})
	return size, err
}

// Folders are the folders of failed builds that are here, the newest first.
func (b *Builds) Folders() (all []Folder, err error) {
	names, err := filepath.Glob(filepath.Join(b.keptDir(), "*", "kept.json"))
	for _, name := range names {
		text, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		var f Folder
		if err := json.Unmarshal(text, &f); err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	slices.SortFunc(all, func(x, y Folder) int { return y.Made.Compare(x.Made) })
	return all, err
}

// tidyKept removes the folders of failed builds that are too old, too many or too large.
func (b *Builds) tidyKept() error {
	all, err := b.Folders()
	if err != nil {
		return err
	}
	keep, size := map[string]bool{}, int64(0)
	for _, f := range all {
		if size += f.Size; len(keep) < b.config.KeptFolders && size <= b.config.KeptBytes && b.config.Now().Sub(f.Made) < b.config.KeptFor {
			keep[uuidOf(f.Build)] = true
		}
	}
	names, err := os.ReadDir(b.keptDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, n := range names {
		if dir := filepath.Join(b.keptDir(), n.Name()); !keep[n.Name()] && b.inside.shut(n.Name(), dir) {
			err = errors.Join(err, tool.Remove(dir+removed))
		}
	}
	return err
}

// removed is the end of the name of a folder that nobody can enter any more.
const removed = ".removed"

// KeptUntil is when the folder of a failed build goes at the latest: later ones may take its place before.
func (b *Builds) KeptUntil(f Folder) time.Time { return f.Made.Add(b.config.KeptFor) }

// tidyFolder removes what a kill has left of builds at work.
func (b *Builds) tidyFolder() error {
	if err := os.MkdirAll(b.config.Folder, 0o700); err != nil {
		return err
	}
	for _, pattern := range []string{"build-*", "batch-*", "sandbox-*", "spool-*"} {
		left, err := filepath.Glob(filepath.Join(b.config.Folder, pattern))
		if err != nil {
			return err
		}
		for _, dir := range left {
			if err := tool.Remove(dir); err != nil {
				return err
			}
		}
	}
	return b.tidyKept()
}
