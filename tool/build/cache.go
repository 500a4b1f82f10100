package build

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/lang/buildspec"
	"github.com/haechi-dev/haechi/word/fault"
)

// Cache keeps files of one build for the next. Which builds share what is up to it.
type Cache interface {
	// Open is the entry of a key, or with prefix the newest one whose key begins
	// so, and the key that it has. fault.NotFound when there is none.
	Open(ctx context.Context, key CacheKey, prefix bool) (entry io.ReadCloser, found string, err error)
	// Save keeps what body gives. A key that has an entry keeps it; only that of
	// the empty key is replaced. An error of body's means that there is none.
	Save(ctx context.Context, key CacheKey, body io.Reader) error
}

// CacheKey is what an entry is found by.
type CacheKey struct {
	Version string // follows from the paths: entries of other paths are others
	Key     string // as the buildspec says, expanded; "" for the one of the project
}

// cached is a cache as the build means it.
type cached struct {
	buildspec.Cache
	key   CacheKey
	paths patterns // below the build's folder
}

// caching works out what the buildspec says of caches. ok is false where there is none.
func (r *running) caching(env []string) (c cached, ok bool, err error) {
	c.Cache = r.spec.Cache
	if len(c.Paths) == 0 {
		return c, false, nil
	}
	if r.plan.Cache == nil {
		r.printf("cache is passed over: nothing is kept from one build for the next here\n")
		return c, false, nil
	}
	var texts []string
	for _, p := range c.Paths {
		at, inside := placeOf(p)
		if !inside {
			r.printf("cache: %s is passed over: it lies outside of the build's sources and home\n", p)
			continue
		}
		texts = append(texts, at, path.Join(at, "**/*"))
	}
	if c.paths, err = compile(texts); err != nil {
		return c, false, err
	}
	slices.Sort(texts)
	sum := sha256.Sum256([]byte(strings.Join(texts, "\n")))
	c.key.Version = hex.EncodeToString(sum[:])
	c.key.Key, err = r.expand(c.Key, env)
	return c, len(texts) > 0, err
}

// placeOf is where a path of the buildspec lies below the build's folder. The home
// is /root at AWS, and $HOME everywhere.
func placeOf(p string) (string, bool) {
	for _, home := range []string{"/root/", "~/", "$HOME/", "${HOME}/"} {
		if rest, ok := strings.CutPrefix(p, home); ok {
			return path.Join("home", rest), true
		}
	}
	for _, src := range []string{"$CODEBUILD_SRC_DIR/", "${CODEBUILD_SRC_DIR}/"} {
		if rest, ok := strings.CutPrefix(p, src); ok {
			return path.Join("src", rest), true
		}
	}
	return path.Join("src", p), !strings.HasPrefix(p, "/") && !strings.HasPrefix(p, "$")
}

var expansion = regexp.MustCompile(`\$\(([^()]*)\)|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$([A-Za-z_][A-Za-z0-9_]*)`)

// expand is a key of a cache without a shell, which does not run yet: variables,
// and the hash of files.
func (r *running) expand(key string, env []string) (_ string, err error) {
	return expansion.ReplaceAllStringFunc(key, func(text string) string {
		m := expansion.FindStringSubmatch(text)
		if m[1] == "" && !strings.HasPrefix(text, "$(") {
			for _, e := range env {
				if value, ok := strings.CutPrefix(e, m[2]+m[3]+"="); ok {
					return value
				}
			}
			return ""
		}
		words := strings.Fields(m[1])
		if len(words) < 2 || words[0] != "codebuild-hash-files" {
			err = errors.Join(err, fault.Invalid.Errorf("the key of the cache, %q: $(%s) is no command that can be run there: there is codebuild-hash-files FILE...", key, m[1]))
			return ""
		}
		sum, e := r.hash(words[1:])
		err = errors.Join(err, e)
		return sum
	}), err
}

// hash is over the files that patterns name, below the sources.
func (r *running) hash(texts []string) (string, error) {
	for i := range texts {
		texts[i] = strings.Trim(texts[i], `'"`)
	}
	want, err := compile(texts)
	if err != nil {
		return "", err
	}
	root, err := os.OpenRoot(r.plan.Dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	all := sha256.New()
	err = walk(root, "src", func(at string, entry fs.DirEntry) error {
		if !want.match(strings.TrimPrefix(at, "src/")) || !entry.Type().IsRegular() {
			return nil
		}
		f, _, err := open(root, at)
		if err != nil {
			return err
		}
		defer f.Close()
		one := sha256.New()
		if _, err := io.Copy(one, f); err != nil {
			return err
		}
		fmt.Fprintf(all, "%x  %s\n", one.Sum(nil), strings.TrimPrefix(at, "src/")) // as sha256sum writes it
		return nil
	})
	return hex.EncodeToString(all.Sum(nil)), err
}

// restore lays out what an earlier build has kept. Only ctx makes it fail, and a
// key that cannot be read: a build works without its cache.
func (r *running) restore(ctx context.Context, env []string) error {
	c, ok, err := r.caching(env)
	if err != nil || !ok {
		return err
	}
	r.cache = &c
	if c.NoRestore {
		return nil
	}
	keys := []CacheKey{c.key}
	for _, f := range c.Fallbacks {
		key, err := r.expand(f, env)
		if err != nil {
			return err
		}
		keys = append(keys, CacheKey{c.key.Version, key})
	}
	for i, key := range keys {
		entry, found, err := r.plan.Cache.Open(ctx, key, i > 0)
		if errors.Is(err, fault.NotFound) {
			continue
		}
		if err == nil {
			var files int
			files, err = r.unpack(ctx, c, entry)
			err = errors.Join(err, entry.Close())
			if err == nil {
				r.result.Cache, r.exact = found, i == 0 && found != ""
				r.printf("cache: %d files of %q\n", files, found)
				return nil
			}
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		r.printf("cache: %q cannot be restored: %v\n", key.Key, err)
		return nil
	}
	r.printf("cache: there is none for %q yet\n", c.key.Key)
	return nil
}

// unpack lays out an entry. Sources that are there stay as they are.
func (r *running) unpack(ctx context.Context, c cached, entry io.Reader) (files int, err error) {
	root, err := os.OpenRoot(r.plan.Dir)
	if err != nil {
		return 0, err
	}
	defer root.Close()
	left := r.plan.Keep.Bytes
	from := tar.NewReader(entry)
	for {
		h, err := from.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return files, err
		}
		if files++; files > r.plan.Keep.Files || h.Size > left {
			return files, fault.Limit.Errorf("it holds more than is allowed")
		}
		left -= h.Size
		name := path.Clean(h.Name)
		if !filepath.IsLocal(name) || !c.paths.match(name) || strings.Count(name, "/") > deepest {
			return files, fault.Invalid.Errorf("%q is not of the paths of the cache", clip(h.Name, 100))
		}
		if err := place(root, name, h, from); err != nil {
			return files, err
		}
	}
}

func place(root *os.Root, name string, h *tar.Header, body io.Reader) error {
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeSymlink:
		if err := root.Symlink(h.Linkname, name); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	case tar.TypeReg:
	default:
		return fault.Invalid.Errorf("%q is neither a file nor a link", clip(name, 100))
	}
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fs.FileMode(h.Mode)&0o777|0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = io.Copy(f, body)
	return errors.Join(err, f.Close(), root.Chtimes(name, h.ModTime, h.ModTime))
}

// save keeps what the next build is to find.
func (r *running) save(ctx context.Context) error {
	c := r.cache
	if c == nil || c.NoSave || r.exact {
		return nil
	}
	body, w := io.Pipe()
	count := make(chan int, 1)
	go func() {
		files, err := r.gather(ctx, c, w)
		w.CloseWithError(err)
		count <- files
	}()
	err := r.plan.Cache.Save(ctx, c.key, body)
	body.CloseWithError(errors.New("nobody reads any more"))
	files := <-count
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		r.printf("cache: it cannot be kept: %v\n", err)
	default:
		r.printf("cache: %d files are kept as %q\n", files, c.key.Key)
	}
	return nil
}

func (r *running) gather(ctx context.Context, c *cached, to io.Writer) (files int, err error) {
	root, err := os.OpenRoot(r.plan.Dir)
	if err != nil {
		return 0, err
	}
	defer root.Close()
	w := tar.NewWriter(to)
	left := r.plan.Keep.Bytes
	show := func(at string, entry fs.DirEntry) error {
		if !c.paths.match(at) || entry.Type() != 0 && entry.Type() != fs.ModeSymlink {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := r.keep(w, root, at, entry.Type() == fs.ModeSymlink)
		if left -= n; left < 0 {
			err = errors.Join(err, fault.Limit.Errorf("it is more than %d bytes", r.plan.Keep.Bytes))
		}
		if files++; files > r.plan.Keep.Files {
			err = errors.Join(err, fault.Limit.Errorf("it is more than %d files", r.plan.Keep.Files))
		}
		return err
	}
	for _, folder := range []string{"home", "src"} {
		if err := walk(root, folder, show); err != nil {
			return files, err
		}
	}
	return files, w.Close()
}

// keep adds one file or link.
func (r *running) keep(w *tar.Writer, root *os.Root, at string, link bool) (int64, error) {
	if link {
		target, err := root.Readlink(at)
		if err != nil {
			return 0, err
		}
		return 0, w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: at, Linkname: target, Mode: 0o777, Format: tar.FormatPAX})
	}
	f, info, err := open(root, at)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if info.Size() > r.plan.Keep.Bytes {
		return 0, fault.Limit.Errorf("%s alone is more than %d bytes", clip(at, 100), r.plan.Keep.Bytes)
	}
	h := &tar.Header{Typeflag: tar.TypeReg, Name: at, Mode: int64(info.Mode().Perm()), Size: info.Size(), ModTime: info.ModTime(), Format: tar.FormatPAX}
	if err := w.WriteHeader(h); err != nil {
		return 0, err
	}
	n, err := io.Copy(&finder{to: w, values: r.plan.Secrets}, f)
	if errors.Is(err, errSecret) {
		return n, fault.Invalid.Errorf("%s holds the value of a secret", clip(at, 100))
	}
	return n, err
}
