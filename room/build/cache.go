package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	tool "github.com/haechi-dev/haechi/tool/build"
	"github.com/haechi-dev/haechi/word/fault"
)

// Caches lie in classes. Builds of protected branches, with what is written
// there, have a class of their own and read no other: nobody who may push only
// to other branches can put anything into what is built for production. The
// builds of any other ref have the class of that ref, and may read the protected
// one besides. Builds of another repository find none of it.
const protectedClass = "protected"

// classOf is the class that a build writes its caches to.
func classOf(made *Build) string {
	switch f := made.Facts; {
	case f.Trusted:
		return protectedClass
	case f.Object != "":
		return "object:" + f.Object
	case f.Ref != "" && !f.Override:
		return "ref:" + f.Ref
	case f.Ref != "":
		return "override:" + f.Ref
	case f.Repository == "":
		return "override:"
	default:
		return "commit:" + f.Commit
	}
}

// caches are the caches that one build finds. It is a tool.Cache.
type caches struct {
	b       *Builds
	project string
	class   string

	mu   sync.Mutex
	used []CacheUse
}

func (b *Builds) cachesOf(made *Build) *caches {
	project := made.Project
	if n := made.Cache.Namespace; n != "" {
		project = "namespace:" + n
	}
	// A pipeline of one repository may build a project that others build, too: what its protected branches write
	// is to be found by its own builds alone.
	if r := made.Facts.Repository; r != "" && r != project {
		project += " " + r
	}
	return &caches{b: b, project: project, class: classOf(made)}
}

func (c *caches) note(u CacheUse) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used = append(c.used, u)
}

func (c *caches) uses() []CacheUse {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.used
}

func nameOfCache(key tool.CacheKey) string { return key.Version + "/" + key.Key }

type cacheRow struct{ class, name, digest string }

func scanCache(scan db.Scan) (r cacheRow, err error) { return r, scan(&r.class, &r.name, &r.digest) }

// Open is the entry of a key, or the newest one whose key begins so.
func (c *caches) Open(ctx context.Context, key tool.CacheKey, prefix bool) (io.ReadCloser, string, error) {
	classes := []string{c.class}
	if c.class != protectedClass {
		classes = append(classes, protectedClass)
	}
	name := nameOfCache(key)
	for _, class := range classes {
		var row cacheRow
		err := c.b.db.Write(ctx, func(tx *db.Tx) (err error) {
			query, args := "SELECT class, name, digest FROM build_caches WHERE project = ? AND class = ? AND name = ?", []any{c.project, class, name}
			if prefix {
				query, args = "SELECT class, name, digest FROM build_caches WHERE project = ? AND class = ? AND name >= ? AND name < ? ORDER BY created DESC, name LIMIT 1", []any{c.project, class, name, name + "\U0010FFFF"}
			}
			if row, err = db.One(tx, scanCache, query, args...); err != nil {
				return err
			}
			_, err = tx.Exec("UPDATE build_caches SET used = ? WHERE project = ? AND class = ? AND name = ?", c.b.config.Now().UnixMicro(), c.project, class, row.name)
			return err
		})
		if errors.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return nil, "", err
		}
		file, err := c.b.config.Blobs.Open(ctx, row.digest)
		if errors.Is(err, fault.NotFound) {
			continue // its file is gone: as if there were none
		}
		if err != nil {
			return nil, "", err
		}
		found := row.name[len(key.Version)+1:]
		c.note(CacheUse{Key: found, Class: class, Digest: row.digest})
		return file, found, nil
	}
	return nil, "", fault.NotFound.Errorf("there is no cache %q", key.Key)
}

// Save keeps an entry. One that is there stays as it is, but for that of the empty key.
func (c *caches) Save(ctx context.Context, key tool.CacheKey, body io.Reader) error {
	name := nameOfCache(key)
	if len(name) > 1000 {
		return fault.Invalid.Errorf("the key of the cache is longer than 900 characters")
	}
	if key.Key != "" {
		var have int64
		if err := c.b.db.Read(ctx, func(tx *db.Tx) (err error) {
			have, err = db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM build_caches WHERE project = ? AND class = ? AND name = ?", c.project, c.class, name)
			return err
		}); err != nil || have > 0 {
			_, drained := io.Copy(io.Discard, body)
			return errors.Join(err, drained)
		}
	}
	info, err := c.b.config.Blobs.Put(ctx, body, c.b.config.CacheBytes)
	if err != nil {
		return err
	}
	var gone []string
	err = c.b.db.Write(ctx, func(tx *db.Tx) error {
		now := c.b.config.Now().UnixMicro()
		conflict := "DO NOTHING"
		if key.Key == "" {
			conflict = "DO UPDATE SET digest = excluded.digest, size = excluded.size, created = excluded.created, used = excluded.used"
		}
		if _, err := tx.Exec("INSERT INTO build_caches (project, class, name, digest, size, created, used) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (project, class, name) "+conflict,
			c.project, c.class, name, info.Digest, info.Size, now, now); err != nil {
			return err
		}
		gone, err = c.b.evict(tx)
		return err
	})
	if err != nil {
		return err
	}
	c.note(CacheUse{Key: key.Key, Class: c.class, Digest: info.Digest, Saved: true})
	return c.b.drop(ctx, gone...)
}

// evict removes the entries that nobody used for the longest time, until all fit.
func (b *Builds) evict(tx *db.Tx) (gone []string, err error) {
	total, err := db.One(tx, db.Value[int64], "SELECT COALESCE(SUM(size), 0) FROM build_caches")
	for err == nil && total > b.config.CacheBytes {
		type row struct {
			project, class, name, digest string
			size                         int64
		}
		var oldest []row
		oldest, err = db.All(tx, func(scan db.Scan) (r row, err error) {
			return r, scan(&r.project, &r.class, &r.name, &r.digest, &r.size)
		},
			"SELECT project, class, name, digest, size FROM build_caches ORDER BY used, project, class, name LIMIT 20")
		if err != nil || len(oldest) == 0 {
			return gone, err
		}
		for _, r := range oldest {
			if total <= b.config.CacheBytes {
				break
			}
			if _, err := tx.Exec("DELETE FROM build_caches WHERE project = ? AND class = ? AND name = ?", r.project, r.class, r.name); err != nil {
				return gone, err
			}
			total -= r.size
			gone = append(gone, r.digest)
		}
	}
	return gone, err
}

// InvalidateCache forgets the caches of a project.
func (b *Builds) InvalidateCache(ctx context.Context, project string) error {
	p, err := b.Project(ctx, project)
	if err != nil {
		return err
	}
	var gone []string
	if err := b.db.Write(ctx, func(tx *db.Tx) (err error) {
		gone, err = db.All(tx, db.Value[string], "DELETE FROM build_caches WHERE project = ? OR project >= ? AND project < ? RETURNING digest", p.Name, p.Name+" ", p.Name+"!")
		return err
	}); err != nil {
		return err
	}
	return b.drop(ctx, gone...)
}

// wanted tells whether anybody names a file.
func (b *Builds) wanted(ctx context.Context, digest string) (bool, error) {
	var n int64
	err := b.db.Read(ctx, func(tx *db.Tx) (err error) {
		n, err = db.One(tx, db.Value[int64], "SELECT (SELECT COUNT(*) FROM build_files WHERE digest = ?) + (SELECT COUNT(*) FROM build_caches WHERE digest = ?) + (SELECT COUNT(*) FROM build_brought WHERE digest = ?)", digest, digest, digest)
		return err
	})
	if err != nil || n > 0 || b.config.Wanted == nil {
		return n > 0, err
	}
	return b.config.Wanted(ctx, digest)
}

// young is how old a file must be before it is deleted because nobody names it:
// whoever put it may be about to.
const young = time.Hour

// drop deletes files that nobody names any more.
func (b *Builds) drop(ctx context.Context, digests ...string) error {
	if len(digests) == 0 { // no sweep of all
		return nil
	}
	_, err := b.config.Blobs.Sweep(ctx, time.Now().Add(-young), func(d string) (bool, error) { return b.wanted(ctx, d) }, sorted(digests)...)
	return err
}

// sweep removes what was kept long enough, and files that nobody names.
func (b *Builds) sweep(ctx context.Context) error {
	for {
		if err := b.tidy(ctx); err != nil && ctx.Err() == nil {
			b.config.Log.Error("tidying up after builds", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Hour):
		}
	}
}

func (b *Builds) tidy(ctx context.Context) error {
	now := b.config.Now()
	for {
		n := 0
		if err := b.db.Write(ctx, func(tx *db.Tx) error {
			old, err := db.All(tx, scanBuild, "SELECT body FROM build_builds WHERE created < ? AND status <> ? ORDER BY created, id LIMIT 100", now.Add(-b.config.Kept).UnixMicro(), string(InProgress))
			if err != nil {
				return err
			}
			for _, made := range old {
				if err := b.forget(tx, made); err != nil {
					return err
				}
			}
			if _, err := tx.Exec("DELETE FROM build_batches WHERE created < ? AND status <> ?", now.Add(-b.config.Kept).UnixMicro(), string(InProgress)); err != nil {
				return err
			}
			gone := now.Add(-b.config.Kept).UnixMicro()
			if _, err := tx.Exec("DELETE FROM build_commands WHERE sandbox IN (SELECT id FROM build_sandboxes WHERE created < ? AND status IN (?, ?))", gone, SandboxStopped, SandboxFailed); err != nil {
				return err
			}
			if _, err := tx.Exec("DELETE FROM build_sandboxes WHERE created < ? AND status IN (?, ?)", gone, SandboxStopped, SandboxFailed); err != nil {
				return err
			}
			reports, err := db.All(tx, db.Value[string], "SELECT id FROM build_reports WHERE created < ? ORDER BY created, id LIMIT 20", now.Add(-b.config.KeptReports).UnixMicro())
			if err != nil {
				return err
			}
			for _, id := range reports {
				if err := deleteReport(tx, id); err != nil {
					return err
				}
			}
			n = len(old) + len(reports)
			return nil
		}); err != nil {
			return err
		}
		if n == 0 {
			break
		}
	}
	if err := b.tidyKept(); err != nil {
		return err
	}
	_, err := b.config.Blobs.Sweep(ctx, time.Now().Add(-young), func(d string) (bool, error) { return b.wanted(ctx, d) })
	return err
}

// Size is what builds keep: artifacts and their bytes, caches and theirs.
func (b *Builds) Size(ctx context.Context) (artifacts, artifactBytes, entries, cacheBytes int64, err error) {
	err = b.db.Read(ctx, func(tx *db.Tx) error {
		two := func(scan db.Scan) (r [2]int64, err error) { return r, scan(&r[0], &r[1]) }
		files, err := db.One(tx, two, "SELECT COUNT(*), COALESCE(SUM(size), 0) FROM build_files")
		if err != nil {
			return err
		}
		kept, err := db.One(tx, two, "SELECT COUNT(*), COALESCE(SUM(size), 0) FROM build_caches")
		artifacts, artifactBytes, entries, cacheBytes = files[0], files[1], kept[0], kept[1]
		return err
	})
	return artifacts, artifactBytes, entries, cacheBytes, err
}

// CacheBytes is how large all caches may be together.
func (b *Builds) CacheBytes() int64 { return b.config.CacheBytes }

// Artifact opens what a build made: "" is the primary artifact.
func (b *Builds) Artifact(ctx context.Context, build, name string) (a Artifact, file *os.File, err error) {
	made, err := b.Build(ctx, build)
	if err != nil {
		return a, nil, err
	}
	for _, a := range made.Facts.Made {
		if a.Name == name {
			file, err := b.config.Blobs.Open(ctx, a.Digest)
			return a, file, err
		}
	}
	return a, nil, fault.NotFound.Errorf("the build %s has made no artifact %q", made.ID, fmt.Sprintf("%.100s", name))
}
