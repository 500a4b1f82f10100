// Package rootfs unpacks container images into folders that steps of a build have as their file system.
package rootfs

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/tool/scan/image"
	"github.com/haechi-dev/haechi/word/fault"
)

// Config says where images are kept, and how many.
type Config struct {
	Dir      string         // a folder of its own; nobody else keeps anything there
	Most     int64          // bytes of all images together; 0 for 20 GiB
	Entries  int            // files, folders and links of one image; 0 for 1,000,000
	Registry image.Registry // how registries are reached
	// Owned has files keep the owners and modes that the image says, for steps
	// that are root in it (sandbox.Step.AsRoot), instead of being everybody's to
	// read. Who keeps the store is root, then.
	Owned bool
	Now   func() time.Time
}

// Store keeps unpacked images by their digests, those that were used last.
// One process uses a folder at a time.
type Store struct {
	config Config

	mu    sync.Mutex
	kept  map[string]*kept
	locks map[string]*sync.Mutex // of those that are being unpacked, by key
}

// kept is an image that lies in the folder.
type kept struct {
	about
	used  time.Time
	users int
}

// about is what is written beside an image.
type about struct {
	Name       string   `json:"name"`
	Reference  string   `json:"reference,omitzero"` // by which it was asked for, if that names a digest
	Digest     string   `json:"digest"`
	Platform   string   `json:"platform"`
	Owned      bool     `json:"owned,omitzero"`
	Bytes      int64    `json:"bytes"`
	Env        []string `json:"env,omitzero"`
	User       string   `json:"user,omitzero"`
	Entrypoint []string `json:"entrypoint,omitzero"`
	Command    []string `json:"command,omitzero"`
}

// Root is an unpacked image in use.
type Root struct {
	Path       string // the folder: sandbox.Step.Root
	Name       string // the image's, where it has one
	Digest     string // of its manifest
	Owned      bool   // files have the owners and modes that the image says
	Env        []string
	User       string
	Entrypoint []string
	Command    []string
	release    func()
}

// Close says that the image is not used any more: it may be removed when there is no room.
func (r *Root) Close() { r.release() }

const (
	aboutFile = "image.json"
	rootDir   = "root"
	unpacking = "unpacking-" // what a folder is called until it is whole
)

// Open opens a store, and removes what an end in the middle has left.
func Open(c Config) (*Store, error) {
	c.Most = cmp.Or(c.Most, 20<<30)
	if c.Now == nil {
		c.Now = time.Now
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, err
	}
	s := &Store{config: c, kept: map[string]*kept{}, locks: map[string]*sync.Mutex{}}
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		dir := filepath.Join(c.Dir, e.Name())
		k := &kept{}
		text, err := os.ReadFile(filepath.Join(dir, aboutFile))
		if err == nil {
			err = json.Unmarshal(text, &k.about)
		}
		if err != nil || k.key() != e.Name() {
			if err := os.RemoveAll(dir); err != nil {
				return nil, fmt.Errorf("removing what is left of an image: %w", err)
			}
			continue
		}
		if info, err := os.Stat(filepath.Join(dir, aboutFile)); err == nil {
			k.used = info.ModTime()
		}
		s.kept[e.Name()] = k
	}
	return s, nil
}

// key is the name of an image's folder.
func (a about) key() string {
	_, hex, _ := strings.Cut(a.Digest, ":")
	name := hex + "-" + strings.ReplaceAll(a.Platform, "/", "-")
	if a.Owned {
		name += "-owned"
	}
	return name
}

// File is the image in an OCI layout, a folder or a tar of it, or in an
// archive of docker save.
func (s *Store) File(ctx context.Context, file string) (*Root, error) {
	img, err := image.Open(ctx, file, s.options())
	if err != nil {
		return nil, err
	}
	defer img.Close()
	return s.root(ctx, img, "")
}

// Pull is an image of a registry: golang:1.26, ghcr.io/acme/build@sha256:…
// One that is named by its digest and lies here already is not asked for.
func (s *Store) Pull(ctx context.Context, reference string) (*Root, error) {
	pinned := ""
	if _, digest, ok := strings.Cut(reference, "@"); ok && digest != "" {
		pinned = reference
		if root := s.pinned(reference); root != nil {
			return root, nil
		}
	}
	img, err := image.Pull(ctx, reference, s.config.Registry, s.options())
	if err != nil {
		return nil, err
	}
	defer img.Close()
	return s.root(ctx, img, pinned)
}

func (s *Store) options() image.Options {
	return image.Options{Bytes: s.config.Most, Entries: s.config.Entries, Temp: s.config.Dir}
}

// pinned is the image that was asked for by this name before, in use, or nil.
func (s *Store) pinned(reference string) *Root {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, k := range s.kept {
		if k.Reference == reference && k.Owned == s.config.Owned {
			return s.use(name, k)
		}
	}
	return nil
}

// use counts a user; the caller holds mu.
func (s *Store) use(name string, k *kept) *Root {
	k.users++
	k.used = s.config.Now()
	dir := filepath.Join(s.config.Dir, name)
	_ = os.Chtimes(filepath.Join(dir, aboutFile), k.used, k.used) // only which goes first depends on it
	return &Root{
		Path: filepath.Join(dir, rootDir), Name: k.Name, Digest: k.Digest, Owned: k.Owned, Env: slices.Clone(k.Env), User: k.User,
		Entrypoint: slices.Clone(k.Entrypoint), Command: slices.Clone(k.Command),
		release: sync.OnceFunc(func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			k.users--
		}),
	}
}

// root is the image's folder, which is made where it is not there yet.
func (s *Store) root(ctx context.Context, img *image.Image, reference string) (*Root, error) {
	if _, hexed, ok := strings.Cut(img.Digest, "sha256:"); !ok || !isHash(hexed) {
		return nil, fault.Invalid.Errorf("the image says no digest that can be kept by")
	}
	platform := cmp.Or(img.Config.OS, "linux") + "/" + cmp.Or(img.Config.Architecture, "unknown")
	if !isPlatform(platform) {
		return nil, fault.Invalid.Errorf("the image is for %.40q, which is no platform", platform)
	}
	k := &kept{about: about{
		Name: img.Name, Reference: reference, Digest: img.Digest, Platform: platform, Owned: s.config.Owned,
		Env: img.Config.Env, User: img.Config.User, Entrypoint: img.Config.Entrypoint, Command: img.Config.Command,
	}}
	name := k.key()
	lock := s.lock(name)
	lock.Lock() // one unpacks; who wants the same waits
	defer lock.Unlock()
	s.mu.Lock()
	if k := s.kept[name]; k != nil {
		defer s.mu.Unlock()
		return s.use(name, k), nil
	}
	s.mu.Unlock()
	if err := s.unpack(ctx, img, name, k); err != nil {
		return nil, fmt.Errorf("unpacking the image %s: %w", cmp.Or(img.Name, img.Digest), err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept[name] = k
	root := s.use(name, k)
	if err := s.shrink(); err != nil {
		root.release = func() {}
		k.users--
		return nil, err
	}
	return root, nil
}

func isHash(text string) bool {
	raw, err := hex.DecodeString(text)
	return err == nil && len(raw) == 32 && strings.ToLower(text) == text
}

func isPlatform(text string) bool {
	return len(text) < 40 && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789/") == ""
}

func (s *Store) lock(name string) *sync.Mutex {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.locks[name]
	if l == nil {
		l = new(sync.Mutex)
		s.locks[name] = l
	}
	return l
}

// shrink removes images that nobody uses, what was used longest ago first,
// until the others have room. The caller holds mu.
func (s *Store) shrink() error {
	var sum int64
	names := make([]string, 0, len(s.kept))
	for name, k := range s.kept {
		sum += k.Bytes
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return s.kept[a].used.Compare(s.kept[b].used) })
	for _, name := range names {
		if sum <= s.config.Most {
			return nil
		}
		if s.kept[name].users > 0 {
			continue
		}
		sum -= s.kept[name].Bytes
		if err := s.remove(name); err != nil {
			return err
		}
	}
	return nil // those in use stay, whatever they take
}

// remove removes an image: its name first, so that half of it is never found.
func (s *Store) remove(name string) error {
	delete(s.kept, name)
	away := filepath.Join(s.config.Dir, unpacking+"gone-"+name)
	if err := os.Rename(filepath.Join(s.config.Dir, name), away); err != nil {
		return fmt.Errorf("removing an image: %w", err)
	}
	if err := os.RemoveAll(away); err != nil {
		return fmt.Errorf("removing an image: %w", err)
	}
	return nil
}
