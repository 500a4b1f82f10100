package build

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/haechi-dev/haechi/lang/buildspec"
	"github.com/haechi-dev/haechi/word/fault"
)

// file is one that is to be kept.
type file struct {
	name string // in the artifact
	at   string // below the build's folder
	link bool
}

// artifacts packs what the buildspec names; message is why the build fails for it.
func (r *running) artifacts(ctx context.Context) (message string, err error) {
	if len(r.spec.Artifacts) == 0 {
		return "", nil
	}
	root, err := os.OpenRoot(r.plan.Dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	r.printf("\n== phase upload_artifacts ==\n")
	for _, a := range r.spec.Artifacts {
		made, err := r.artifact(ctx, root, a)
		if kind := fault.Of(err); kind == fault.Invalid || kind == fault.Limit {
			return err.Error(), nil
		}
		if err != nil {
			return "", err
		}
		r.result.Artifacts = append(r.result.Artifacts, made)
		r.printf("%s: %d files, %d bytes, sha256:%s\n", called(a), made.Files, made.Size, made.Digest)
	}
	return "", nil
}

func called(a buildspec.Artifact) string {
	if a.ID == "" {
		return "artifact"
	}
	return "artifact " + a.ID
}

func (r *running) artifact(ctx context.Context, root *os.Root, a buildspec.Artifact) (made Artifact, err error) {
	files, err := r.choose(root, a)
	if err != nil {
		return made, err
	}
	if len(files) == 0 {
		return made, fault.Invalid.Errorf("%s: no file matches %s", called(a), strings.Join(a.Files, ", "))
	}
	out, err := os.CreateTemp(r.plan.Out, "artifact-*.zip")
	if err != nil {
		return made, err
	}
	defer func() {
		if err = errors.Join(err, out.Close()); err != nil {
			os.Remove(out.Name())
		}
	}()
	sum := sha256.New()
	if err := r.zip(ctx, root, files, io.MultiWriter(out, sum)); err != nil {
		if kind := fault.Of(err); kind == fault.Invalid || kind == fault.Limit {
			return made, kind.Errorf("%s: %w", called(a), err)
		}
		return made, err
	}
	info, err := out.Stat()
	if err != nil {
		return made, err
	}
	return Artifact{ID: a.ID, Name: r.names[a.ID], Prefix: a.Prefix, File: out.Name(), Digest: hex.EncodeToString(sum.Sum(nil)), Size: info.Size(), Files: len(files)}, out.Sync()
}

// inClone tells whether a path lies in what makes a clone of a source. It is no part of what "all files" means: an artifact
// is the same whether its source came with its history or without. Who asks for just that gets it.
func (p *Plan) inClone(at string, wanted []string) bool {
	return slices.ContainsFunc(p.Clones, func(folder string) bool { return strings.HasPrefix(at, folder+"/.git/") }) &&
		!slices.ContainsFunc(wanted, func(pattern string) bool { return strings.Contains("/"+pattern+"/", "/.git/") })
}

// choose are the files of an artifact, in the order of their names in it.
func (r *running) choose(root *os.Root, a buildspec.Artifact) ([]file, error) {
	want, err := compile(a.Files)
	if err != nil {
		return nil, err
	}
	not, err := compile(a.Exclude)
	if err != nil {
		return nil, err
	}
	bases, err := folders(root, a.Folder)
	if err != nil {
		return nil, err
	}
	var files []file
	for _, base := range bases {
		err := walk(root, base, func(at string, entry fs.DirEntry) error {
			name := strings.TrimPrefix(at, base+"/")
			if !want.match(name) || not.match(name) || r.plan.inClone(at, a.Files) {
				return nil
			}
			f, ok := r.take(root, a, at, name, entry)
			if ok {
				files = append(files, f)
			}
			if len(files) > r.plan.Keep.Files {
				return fault.Limit.Errorf("%s: more than %d files", called(a), r.plan.Keep.Files)
			}
			return odd(name)
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(files, func(x, y file) int { return strings.Compare(x.name, y.name) })
	return slices.CompactFunc(files, func(x, y file) bool {
		if x.name == y.name {
			r.printf("%s: %s and %s are called %s in it: the first is kept\n", called(a), x.at, y.at, x.name)
		}
		return x.name == y.name
	}), nil
}

// take decides what becomes of one entry: links that lead out of the sources are
// left out, with a line, as is what is no file.
func (r *running) take(root *os.Root, a buildspec.Artifact, at, name string, entry fs.DirEntry) (file, bool) {
	if a.DiscardPaths {
		name = path.Base(name)
	}
	switch entry.Type() {
	case 0:
		return file{name: name, at: at}, true
	case fs.ModeSymlink:
		target, err := root.Readlink(at)
		inside := err == nil && !path.IsAbs(target) && strings.HasPrefix(path.Join(path.Dir(at), target)+"/", sourceOf(at)+"/")
		if inside && a.Symlinks {
			return file{name: name, at: at, link: true}, true
		}
		if info, err := root.Stat(at); inside && err == nil && info.Mode().IsRegular() && r.within(root, at) {
			return file{name: name, at: at}, true
		}
	}
	r.printf("%s: %s is left out: it is no file of the sources\n", called(a), strings.Map(printable, clip(at, 200)))
	return file{}, false
}

// sourceOf is the folder of the source that a file lies in.
func sourceOf(at string) string {
	first, _, _ := strings.Cut(at, "/")
	return first
}

// within tells whether a link, through however many others, ends below its source.
func (r *running) within(root *os.Root, at string) bool {
	src, err := root.OpenRoot(sourceOf(at))
	if err != nil {
		return false
	}
	defer src.Close()
	_, err = src.Stat(strings.TrimPrefix(at, sourceOf(at)+"/"))
	return err == nil
}

func printable(c rune) rune {
	if c < ' ' || c == 0x7f || c >= 0x80 && c < 0xa0 {
		return '?'
	}
	return c
}

// odd refuses names that some who unpack an artifact would trip over.
func odd(name string) error {
	if !utf8.ValidString(name) || strings.IndexFunc(name, func(c rune) bool { return printable(c) == '?' && c != '?' || c == '\\' }) >= 0 {
		return fault.Invalid.Errorf("the name %q cannot be in an artifact", clip(name, 200))
	}
	return nil
}

// epoch is the time of all files in a zip: what is built twice is the same twice.
var epoch = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// zip writes the files, the same bytes for the same files.
func (r *running) zip(ctx context.Context, root *os.Root, files []file, to io.Writer) error {
	z := zip.NewWriter(to)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.DefaultCompression) })
	left := r.plan.Keep.Bytes
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if err := r.pack(z, root, f, &left); err != nil {
			return err
		}
	}
	return z.Close()
}

func (r *running) pack(z *zip.Writer, root *os.Root, f file, left *int64) error {
	h := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: epoch}
	if f.link {
		target, err := root.Readlink(f.at)
		if err != nil {
			return err
		}
		h.SetMode(fs.ModeSymlink | 0o777)
		w, err := z.CreateHeader(h)
		if err != nil {
			return err
		}
		_, err = io.WriteString(w, target)
		return err
	}
	from, info, err := open(root, f.at)
	if err != nil {
		return err
	}
	defer from.Close()
	mode := fs.FileMode(0o644)
	if info.Mode()&0o100 != 0 {
		mode = 0o755
	}
	h.SetMode(mode)
	w, err := z.CreateHeader(h)
	if err != nil {
		return err
	}
	if info.Size() > *left {
		return fault.Limit.Errorf("more than %d bytes", r.plan.Keep.Bytes)
	}
	look := &finder{to: w, values: r.plan.Secrets}
	n, err := io.Copy(look, io.LimitReader(from, *left+1))
	if errors.Is(err, errSecret) {
		return fault.Invalid.Errorf("%s holds the value of a secret, that of %s: exclude the file, or keep the value out of it", f.name, look.found)
	}
	if *left -= n; *left < 0 && err == nil {
		err = fault.Limit.Errorf("more than %d bytes", r.plan.Keep.Bytes)
	}
	return err
}

// open opens a file, which has to be one: a pipe would never end.
func open(root *os.Root, name string) (*os.File, fs.FileInfo, error) {
	info, err := root.Stat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file", name)
	}
	if err != nil {
		return nil, nil, fault.Invalid.Wrap(err)
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, nil, fault.Invalid.Wrap(err)
	}
	return f, info, nil
}

var errSecret = errors.New("the value of a secret")

// finder passes on what holds none of the values, also across writes.
type finder struct {
	to     io.Writer
	values []Variable
	tail   []byte
	found  string // the variable whose value it was
}

func (f *finder) Write(b []byte) (int, error) {
	longest := 0
	for _, v := range f.values {
		if longest = max(longest, len(v.Value)); len(v.Value) < shortestSecret {
			continue
		}
		edge := append(slices.Clip(f.tail), b[:min(len(b), len(v.Value))]...)
		if bytes.Contains(b, []byte(v.Value)) || bytes.Contains(edge, []byte(v.Value)) {
			f.found = v.Name
			return 0, errSecret
		}
	}
	if longest > 0 {
		f.tail = append(f.tail, b...)
		f.tail = bytes.Clone(f.tail[max(0, len(f.tail)-longest):])
	}
	return f.to.Write(b)
}
