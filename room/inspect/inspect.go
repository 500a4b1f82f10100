// Package inspect keeps what everything that was scanned is made of, and holds it against new advisories.
//
// A scan sees a thing once; advisories come every day. So the components of
// the last scan of each branch of each target stay here, and when the index of
// advisories is replaced, those packages of which it says something new are
// judged again: findings rise on what was built yesterday, and close where an
// advisory was withdrawn, without anything being scanned.
package inspect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/tool/scan/deps"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// Hub is where findings go.
type Hub interface {
	Import(ctx context.Context, s finding.Scan, findings ...finding.Finding) (hub.Imported, error)
}

// Config is what an Inspector needs. All above Log must be given.
type Config struct {
	DB    *db.DB // with Schema
	Hub   Hub
	Maker finding.Maker
	// Newest is the scanner in use, and the index of advisories that it has. It
	// answers at once, with the same index as long as there is no newer one.
	Newest func() (*deps.Scanner, *advisory.Index)

	Log  *slog.Logger
	Now  func() time.Time
	Poll time.Duration // how often Newest is asked: 500 ms
}

// Schema is the inspector's tables.
//
// A thing is one branch of one target, as its last complete scan saw it; body
// is its components. What else there is of it is made of that, and missing
// where listed is 0. What is to be judged stands in marks: to write a mark costs
// less than to write a thing.
func Schema() db.Schema {
	return db.Schema{Room: "inspect", Steps: []string{`
CREATE TABLE inspect_counters (name TEXT PRIMARY KEY, value BIGINT NOT NULL);
INSERT INTO inspect_counters (name, value) VALUES ('thing', 0), ('package', 0);
CREATE TABLE inspect_things (id BIGINT PRIMARY KEY, target TEXT NOT NULL, branch TEXT NOT NULL, kind TEXT NOT NULL, revision TEXT NOT NULL, digest TEXT NOT NULL, scan TEXT NOT NULL,
	at BIGINT NOT NULL, complete BIGINT NOT NULL, listed BIGINT NOT NULL, judged TEXT NOT NULL, components BIGINT NOT NULL, sum TEXT NOT NULL, body BLOB NOT NULL);
CREATE UNIQUE INDEX inspect_things_by_name ON inspect_things (target, branch);
CREATE INDEX inspect_things_by_judged ON inspect_things (judged);
CREATE TABLE inspect_packages (id BIGINT PRIMARY KEY, advised TEXT NOT NULL, version TEXT NOT NULL, locator TEXT NOT NULL, ecosystem TEXT NOT NULL, name TEXT NOT NULL, shown TEXT NOT NULL,
	state TEXT NOT NULL, licences TEXT NOT NULL);
CREATE UNIQUE INDEX inspect_packages_by_locator ON inspect_packages (locator, ecosystem, advised, version, licences);
CREATE INDEX inspect_packages_by_advised ON inspect_packages (advised);
CREATE INDEX inspect_packages_by_name ON inspect_packages (name, ecosystem);
CREATE INDEX inspect_packages_by_ecosystem ON inspect_packages (ecosystem);
CREATE TABLE inspect_uses (package BIGINT NOT NULL, thing BIGINT NOT NULL, scope TEXT NOT NULL, direct BIGINT NOT NULL, PRIMARY KEY (package, thing));
CREATE INDEX inspect_uses_by_thing ON inspect_uses (thing);
CREATE TABLE inspect_state (name TEXT PRIMARY KEY, value TEXT NOT NULL)`,
		`CREATE TABLE inspect_filters (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, doc TEXT NOT NULL)`,
		`CREATE TABLE inspect_marks (thing BIGINT PRIMARY KEY);
INSERT INTO inspect_marks (thing) SELECT id FROM inspect_things`}}
}

// Inspector is the room. It is safe for concurrent use.
type Inspector struct {
	config Config
	db     *db.DB

	relisted atomic.Bool // what a former process left undone is done

	mu    sync.Mutex // one judges at a time
	index *advisory.Index
}

// New is an inspector; Run has it work.
func New(c Config) *Inspector {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Poll = cmp.Or(c.Poll, 500*time.Millisecond)
	return &Inspector{config: c, db: c.DB}
}

// Run watches for a new index of advisories, and judges anew what it speaks
// of, until ctx ends.
func (i *Inspector) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		err := cmp.Or(i.relist(ctx), i.Judge(ctx))
		wait := i.config.Poll
		if err != nil && ctx.Err() == nil {
			i.config.Log.Warn("inspect: judging what is stored", "err", err)
			wait = max(wait, 5*time.Second)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	return nil
}

// relist lists the packages of things for which that was not brought to its end.
func (i *Inspector) relist(ctx context.Context) error {
	if i.relisted.Load() {
		return nil
	}
	var ids []int64
	err := i.db.Read(ctx, func(tx *db.Tx) (err error) {
		ids, err = db.All(tx, db.Value[int64], "SELECT id FROM inspect_things WHERE listed = 0")
		return err
	})
	if err != nil {
		return err
	}
	for _, id := range ids {
		t, err := i.thing(ctx, id)
		if err == nil {
			err = i.list(ctx, id, t.Scan, t.components)
		}
		if err != nil {
			return err
		}
	}
	i.relisted.Store(true)
	return nil
}

// nameOf is what an index is called where it is noted who was judged by it.
func nameOf(x *advisory.Index) string {
	about := x.About()
	return fmt.Sprintf("%s of %s, %d", about.Built.UTC().Format(time.RFC3339Nano), cmp.Or(about.Newest, "no day"), about.Advisories)
}

// Judge does once what Run does: it holds against the newest advisories what
// was not yet, and tells the hub what comes of it.
func (i *Inspector) Judge(ctx context.Context) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	scanner, newest := i.config.Newest()
	if err := i.mark(ctx, newest); err != nil {
		return err
	}
	return i.catchUp(ctx, scanner, nameOf(newest))
}

// Mark is the first half of Judge: it writes down which things the newest
// advisories say something new of.
func (i *Inspector) Mark(ctx context.Context) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	_, newest := i.config.Newest()
	return i.mark(ctx, newest)
}

func (i *Inspector) mark(ctx context.Context, newest *advisory.Index) error {
	if i.index == newest {
		return nil
	}
	if err := i.compare(ctx, newest, nameOf(newest)); err != nil {
		return err
	}
	i.index = newest
	return nil
}

// compare marks the things that the newest index says something new of.
func (i *Inspector) compare(ctx context.Context, newest *advisory.Index, name string) error {
	was, err := i.state(ctx, "index")
	if err != nil || was == name {
		return err
	}
	var affected []int64
	if i.index != nil && nameOf(i.index) == was {
		if affected, err = i.affected(ctx, i.index, newest); err != nil {
			return err
		}
	} else if affected, err = i.all(ctx); err != nil {
		return err
	}
	return i.db.Write(ctx, func(tx *db.Tx) error {
		for part := range chunks(affected) {
			if _, err := tx.Exec("INSERT INTO inspect_marks (thing) VALUES "+strings.TrimSuffix(strings.Repeat("(?),", len(part)), ",")+" ON CONFLICT (thing) DO NOTHING", part...); err != nil {
				return err
			}
		}
		_, err := tx.Exec("INSERT INTO inspect_state (name, value) VALUES ('index', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", name)
		return err
	})
}

func (i *Inspector) state(ctx context.Context, name string) (value string, err error) {
	err = i.db.Read(ctx, func(tx *db.Tx) error {
		value, err = db.One(tx, db.Value[string], "SELECT value FROM inspect_state WHERE name = ?", name)
		if errors.Is(err, fault.NotFound) {
			value, err = "", nil
		}
		return err
	})
	return value, err
}

// all are all things.
func (i *Inspector) all(ctx context.Context) (ids []int64, err error) {
	err = i.db.Read(ctx, func(tx *db.Tx) error {
		ids, err = db.All(tx, db.Value[int64], "SELECT id FROM inspect_things")
		return err
	})
	return ids, err
}

// affected are the things with a package of which the two indices say
// different things, and had or have a bug by one of them; and those with
// packages of a kind on which there was no data, or is none any more.
func (i *Inspector) affected(ctx context.Context, old, newest *advisory.Index) (things []int64, err error) {
	keys, err := advisory.Changed(old, newest)
	if err != nil {
		return nil, err
	}
	for n, k := range keys {
		keys[n] = stored(k)
	}
	err = i.db.Read(ctx, func(tx *db.Tx) error {
		var packages []int64
		for part := range chunks(keys) {
			rows, err := db.All(tx, scanAdvised, "SELECT id, ecosystem, advised, version FROM inspect_packages WHERE state = 'RESOLVED' AND advised IN ("+marks(len(part))+")", part...)
			if err != nil {
				return err
			}
			for _, p := range rows {
				hit, err := p.has(old, newest)
				if err != nil {
					return err
				}
				if hit {
					packages = append(packages, p.id)
				}
			}
		}
		if things, err = using(tx, packages); err != nil {
			return err
		}
		for _, ecosystem := range turned(old, newest) {
			more, err := db.All(tx, db.Value[int64], "SELECT DISTINCT u.thing FROM inspect_uses u, inspect_packages p WHERE u.package = p.id AND (p.ecosystem = ? OR p.ecosystem >= ? AND p.ecosystem < ?)",
				ecosystem, ecosystem+":", ecosystem+";")
			if err != nil {
				return err
			}
			things = append(things, more...)
		}
		unlisted, err := db.All(tx, db.Value[int64], "SELECT id FROM inspect_things WHERE listed = 0") // their packages are not all there to be found
		things = append(things, unlisted...)
		return err
	})
	return things, err
}

// advised is a package as advisories see it.
type advised struct {
	id                      int64
	ecosystem, key, version string
}

func scanAdvised(scan db.Scan) (a advised, err error) {
	return a, scan(&a.id, &a.ecosystem, &a.key, &a.version)
}

// has tells whether one of the indices knows a bug of it.
func (a advised) has(indices ...*advisory.Index) (bool, error) {
	for _, x := range indices {
		matches, err := x.Match(a.ecosystem, a.key[len(a.ecosystem)+1:], a.version)
		if err != nil || len(matches) > 0 {
			return len(matches) > 0, err
		}
	}
	return false, nil
}

// using are the things that use one of the packages.
func using(tx *db.Tx, packages []int64) (things []int64, err error) {
	seen := map[int64]bool{}
	for part := range chunks(packages) {
		some, err := db.All(tx, db.Value[int64], "SELECT DISTINCT thing FROM inspect_uses WHERE package IN ("+marks(len(part))+")", part...)
		if err != nil {
			return nil, err
		}
		for _, t := range some {
			if !seen[t] {
				seen[t] = true
				things = append(things, t)
			}
		}
	}
	return things, nil
}

// turned are the kinds of packages on which one of the indices has data and the other has not.
func turned(old, newest *advisory.Index) (ecosystems []string) {
	for _, pair := range [][2]*advisory.Index{{old, newest}, {newest, old}} {
		for e := range pair[0].About().Ecosystems {
			if !pair[1].Knows(e) {
				ecosystems = append(ecosystems, e)
			}
		}
	}
	return ecosystems
}

// catchUp judges what is marked. Where another node has a newer index it is
// that one's to do.
func (i *Inspector) catchUp(ctx context.Context, scanner *deps.Scanner, name string) error {
	if newest, err := i.state(ctx, "index"); err != nil || newest != name {
		return err
	}
	var failed error
	for after := int64(0); ; {
		var ids []int64
		err := i.db.Read(ctx, func(tx *db.Tx) (err error) {
			ids, err = db.All(tx, db.Value[int64], "SELECT thing FROM inspect_marks WHERE thing > ? ORDER BY thing LIMIT 100", after)
			return err
		})
		if err != nil || len(ids) == 0 {
			return errors.Join(err, failed)
		}
		for _, id := range ids {
			after = id
			if err := i.judge(ctx, scanner, name, id); err != nil {
				if ctx.Err() != nil {
					return err
				}
				failed = errors.Join(failed, fmt.Errorf("thing %d: %w", id, err)) // the others go on
			}
		}
	}
}

// scanOf is what judging a thing is to the hub.
func scanOf(t Thing, scanner *deps.Scanner, why string) finding.Scan {
	return finding.Scan{ID: t.Scan + "/" + why, Tool: scanner.Name(), Version: scanner.Version(), Target: t.Target, Branch: t.Branch, Commit: t.Commit, Digest: t.Digest}
}

// judge holds one thing against the advisories, until nobody replaced it meanwhile.
func (i *Inspector) judge(ctx context.Context, scanner *deps.Scanner, name string, id int64) error {
	for {
		t, err := i.thing(ctx, id)
		if errors.Is(err, fault.NotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		findings, unread, err := scanner.Judge(ctx, t.components)
		if err != nil {
			return err
		}
		s := scanOf(t, scanner, name)
		s.Complete, s.Skipped = t.Complete && len(unread) == 0, unread
		now := i.config.Now()
		for n := range findings {
			findings[n] = i.config.Maker.Own(s, findings[n], now)
		}
		did, err := i.config.Hub.Import(ctx, s, findings...)
		if err != nil {
			return err
		}
		for _, f := range did.Failed {
			i.config.Log.Warn("inspect: the hub does not take a finding", "id", f.ID, "why", f.Message)
		}
		if done, err := i.unmark(ctx, t, name); err != nil || done {
			return err
		}
	}
}

// unmark takes the mark from what was judged by an index; done is false where
// there are other components by now, which are to be judged.
func (i *Inspector) unmark(ctx context.Context, t Thing, name string) (done bool, err error) {
	err = i.db.Write(ctx, func(tx *db.Tx) error {
		same, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM inspect_things WHERE id = ? AND scan = ?", t.ID, t.Scan)
		if done = same == 1; err != nil || !done {
			return err
		}
		_, err = tx.Exec("DELETE FROM inspect_marks WHERE thing = ? AND EXISTS (SELECT 1 FROM inspect_state WHERE name = 'index' AND value = ?)", t.ID, name)
		return err
	})
	return done, err
}
