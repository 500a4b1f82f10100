package image

import (
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

type kind uint8

const (
	isDir kind = iota
	isFile
	isLink
	isOther // a device, a pipe
	isGone  // a higher layer deletes it
)

// version is a file, a folder or a link as one layer has it.
type version struct {
	layer  int32
	kind   kind
	again  bool // another name of a file that the layer has already
	mode   fs.FileMode
	at     io.ReaderAt // where its content lies
	offset int64
	size   int64
	target string // of a link
	time   int64
	uid    int32
	gid    int32
}

// node is a name in the tree, in all layers.
type node struct {
	children map[string]*node
	versions []version // the lower layer first
	cuts     []int32   // layers that hide everything that layers below have under it
}

// tree is all layers, one above the other. What a container sees is the view from the highest.
type tree struct {
	root   node
	weight int64 // about the bytes of memory that it takes
}

// visible is what n is from layer on down to floor, below which everything is hidden.
func (n *node) visible(floor, layer int32) *version {
	for i := len(n.versions) - 1; i >= 0; i-- {
		v := &n.versions[i]
		switch {
		case v.layer > layer:
			continue
		case v.layer < floor, v.kind == isGone:
			return nil
		}
		return v
	}
	return nil
}

// below is the floor for what lies under n.
func (n *node) below(floor, layer int32) int32 {
	for i := len(n.cuts) - 1; i >= 0; i-- {
		if n.cuts[i] <= layer {
			return max(floor, n.cuts[i])
		}
	}
	return floor
}

func (n *node) cut(layer int32) {
	if len(n.cuts) == 0 || n.cuts[len(n.cuts)-1] != layer {
		n.cuts = append(n.cuts, layer)
	}
}

func (n *node) set(v version) {
	if v.kind != isDir && n.children != nil {
		n.cut(v.layer)
	}
	if last := len(n.versions) - 1; last >= 0 && n.versions[last].layer == v.layer {
		n.versions[last] = v
		return
	}
	n.versions = append(n.versions, v)
}

func (t *tree) child(n *node, name string) *node {
	c := n.children[name]
	if c == nil {
		t.weight += 200 + int64(len(name))
		if n.children == nil {
			n.children = map[string]*node{}
		}
		c = &node{}
		n.children[strings.Clone(name)] = c
	}
	return c
}

// parent is the node of the folder of that name, which is made where layer does not have it.
func (t *tree) parent(dir string, layer int32) *node {
	n, floor := &t.root, t.root.below(0, layer)
	if dir == "." {
		return n
	}
	for part := range strings.SplitSeq(dir, "/") {
		n = t.child(n, part)
		if v := n.visible(floor, layer); v == nil || v.kind != isDir {
			n.set(version{layer: layer, kind: isDir, mode: fs.ModeDir | 0o755})
		}
		floor = n.below(floor, layer)
	}
	return n
}

// put adds what layer has under a name.
func (t *tree) put(name string, v version) {
	t.weight += 100 + int64(len(v.target))
	t.child(t.parent(path.Dir(name), v.layer), path.Base(name)).set(v)
}

// remove hides what lower layers have under a name.
func (t *tree) remove(name string, layer int32) {
	n := t.child(t.parent(path.Dir(name), layer), path.Base(name))
	n.cut(layer)
	if last := len(n.versions) - 1; last >= 0 && n.versions[last].layer == layer {
		return // the layer has one of its own
	}
	n.set(version{layer: layer, kind: isGone})
}

// hide hides everything that lower layers have in a folder.
func (t *tree) hide(dir string, layer int32) {
	t.parent(dir, layer).cut(layer)
}

// find is what lies under a name, seen from layer; links are not followed.
func (t *tree) find(name string, layer int) (*node, *version) {
	n, floor, l := &t.root, t.root.below(0, int32(layer)), int32(layer)
	v := &version{kind: isDir, mode: fs.ModeDir | 0o755}
	if name == "." {
		return n, v
	}
	for part := range strings.SplitSeq(name, "/") {
		if v.kind != isDir {
			return nil, nil
		}
		if n = n.children[part]; n == nil {
			return nil, nil
		}
		if v = n.visible(floor, l); v == nil {
			return nil, nil
		}
		floor = n.below(floor, l)
	}
	return n, v
}

// each calls visit with every version of every file, and whether it is what is seen at last.
func (t *tree) each(layer int, visit func(name string, v *version, seen bool)) {
	t.root.each("", t.root.below(0, int32(layer)), int32(layer), true, visit)
}

func (n *node) each(name string, floor, layer int32, reached bool, visit func(string, *version, bool)) {
	var v *version
	if name != "" {
		if reached {
			v = n.visible(floor, layer)
		}
		for i := range n.versions {
			visit(name, &n.versions[i], &n.versions[i] == v)
		}
		reached = v != nil && v.kind == isDir
	}
	floor = n.below(floor, layer)
	for _, child := range slices.Sorted(maps.Keys(n.children)) {
		n.children[child].each(path.Join(name, child), floor, layer, reached, visit)
	}
}

// view is the tree as it is seen from one layer.
type view struct {
	image *Image
	tree  *tree
	layer int
}

// mostLinks is how many links lead on before it is called a circle.
const mostLinks = 40

// resolve follows links, which never lead out of the tree.
func (w view) resolve(name string) (*node, *version, string, error) {
	at, rest, links := ".", name, 0
	n, v := w.tree.find(".", w.layer)
	for rest != "" && rest != "." {
		var part string
		part, rest, _ = strings.Cut(rest, "/")
		switch part {
		case "", ".":
			continue
		case "..":
			at = path.Dir(at)
			n, v = w.tree.find(at, w.layer)
			continue
		}
		next := path.Join(at, part)
		if n, v = w.tree.find(next, w.layer); v == nil {
			return nil, nil, "", fs.ErrNotExist
		}
		if v.kind != isLink {
			at = next
			continue
		}
		if links++; links > mostLinks {
			return nil, nil, "", errLoop
		}
		if len(rest)+len(v.target) > longestName {
			return nil, nil, "", errLoop
		}
		target := v.target
		if strings.HasPrefix(target, "/") {
			at = "."
		}
		rest = strings.Trim(target, "/") + "/" + rest
		n, v = w.tree.find(at, w.layer)
	}
	if v == nil {
		return nil, nil, "", fs.ErrNotExist
	}
	return n, v, at, nil
}

// Open opens a file or folder. Links are followed, within the tree.
func (w view) Open(name string) (fs.File, error) {
	n, v, at, err := w.opened("open", name)
	if err != nil {
		return nil, err
	}
	i := info{path.Base(name), v}
	if v.kind == isDir {
		return &openDir{info: i, entries: w.entries(n, at)}, nil
	}
	if v.kind != isFile {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errSpecial}
	}
	return &openFile{info: i, SectionReader: io.NewSectionReader(v.at, v.offset, v.size)}, nil
}

func (w view) opened(op, name string) (*node, *version, string, error) {
	if !fs.ValidPath(name) {
		return nil, nil, "", &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	n, v, at, err := w.resolve(name)
	if err != nil {
		return nil, nil, "", &fs.PathError{Op: op, Path: name, Err: err}
	}
	return n, v, at, nil
}

// Stat tells of a file, behind links.
func (w view) Stat(name string) (fs.FileInfo, error) {
	_, v, _, err := w.opened("stat", name)
	if err != nil {
		return nil, err
	}
	return info{path.Base(name), v}, nil
}

// Lstat tells of a file or of the link itself.
func (w view) Lstat(name string) (fs.FileInfo, error) {
	_, v, err := w.itself("lstat", name)
	if err != nil {
		return nil, err
	}
	return info{path.Base(name), v}, nil
}

// ReadLink is where a link leads, as the image has it: it may say anything.
func (w view) ReadLink(name string) (string, error) {
	_, v, err := w.itself("readlink", name)
	if err != nil {
		return "", err
	}
	if v.kind != isLink {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
	}
	return v.target, nil
}

// itself is what lies under a name of which only the folders may be links.
func (w view) itself(op, name string) (*node, *version, error) {
	if !fs.ValidPath(name) {
		return nil, nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	_, _, dir, err := w.resolve(path.Dir(name))
	if err != nil {
		return nil, nil, &fs.PathError{Op: op, Path: name, Err: err}
	}
	n, v := w.tree.find(path.Join(dir, path.Base(name)), w.layer)
	if v == nil {
		return nil, nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	return n, v, nil
}

// ReadDir lists a folder.
func (w view) ReadDir(name string) ([]fs.DirEntry, error) {
	n, v, at, err := w.opened("readdir", name)
	if err != nil {
		return nil, err
	}
	if v.kind != isDir {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errNoDir}
	}
	return w.entries(n, at), nil
}

// entries are those of the folder n, whose name without links is at.
func (w view) entries(n *node, at string) []fs.DirEntry {
	l := int32(w.layer)
	floor := w.tree.root.below(0, l)
	if at != "." {
		m := &w.tree.root
		for part := range strings.SplitSeq(at, "/") {
			m = m.children[part]
			floor = m.below(floor, l)
		}
	}
	all := make([]fs.DirEntry, 0, len(n.children))
	for _, name := range slices.Sorted(maps.Keys(n.children)) {
		if v := n.children[name].visible(floor, l); v != nil {
			all = append(all, fs.FileInfoToDirEntry(info{name, v}))
		}
	}
	return all
}

// Content is what FileInfo.Sys gives: files of an image that are one with
// several names have the same, and no others but those that hold nothing.
type Content struct {
	at           io.ReaderAt
	offset, size int64
	uid, gid     int32
}

// Owner is whose it is in the image: user and group.
func (c Content) Owner() (uid, gid int) { return int(c.uid), int(c.gid) }

// info is what is said of a version.
type info struct {
	name string
	v    *version
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.v.size }
func (i info) Mode() fs.FileMode  { return i.v.mode }
func (i info) ModTime() time.Time { return time.Unix(i.v.time, 0) }
func (i info) IsDir() bool        { return i.v.kind == isDir }
func (i info) Sys() any           { return Content{i.v.at, i.v.offset, i.v.size, i.v.uid, i.v.gid} }

type openFile struct {
	info
	*io.SectionReader
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *openFile) Close() error               { return nil }
func (f *openFile) Size() int64                { return f.v.size }

type openDir struct {
	info
	entries []fs.DirEntry
}

func (d *openDir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *openDir) Close() error               { return nil }
func (d *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.name, Err: errIsDir}
}

// ReadDir lists the next most entries.
func (d *openDir) ReadDir(most int) ([]fs.DirEntry, error) {
	if most <= 0 {
		all := d.entries
		d.entries = nil
		return all, nil
	}
	if len(d.entries) == 0 {
		return nil, io.EOF
	}
	some := d.entries[:min(most, len(d.entries))]
	d.entries = d.entries[len(some):]
	return some, nil
}
