package inspect

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/tool/scan/deps"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// What a thing is.
const (
	Source = "source" // a repository's tree
	Image  = "image"
	SBOM   = "sbom" // somebody's bill of materials
)

// chunk is how many values one statement takes, and rows one transaction.
const chunk = 500

// chunks are lists of at most chunk values, ready to be a statement's.
func chunks[T any](all []T) iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		for part := range slices.Chunk(all, chunk) {
			values := make([]any, len(part))
			for i, v := range part {
				values[i] = v
			}
			if !yield(values) {
				return
			}
		}
	}
}

func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?,", n), ",") }

// Keep makes the components of a scan those of its target's branch. A scan
// that is not complete does not replace one that was, and a bill of materials
// no scan of our own: that is fault.Conflict. It is to be called
// before the scan's findings are imported: whoever judges the former
// components meanwhile then sees that there are others.
//
// kind is what was scanned. version is that of the scanner which matched the
// components; "" is one that matched nothing, and has them judged soon.
func (i *Inspector) Keep(ctx context.Context, kind string, s finding.Scan, components []component.Component) error {
	if s.Target == "" || s.ID == "" {
		return fault.Invalid.Errorf("components of a scan without a target or an id")
	}
	components = slices.Clone(components)
	slices.SortFunc(components, func(a, b component.Component) int {
		return strings.Compare(a.Place.File+"\x00"+a.Locator(), b.Place.File+"\x00"+b.Locator())
	})
	body, sum, err := pack(components)
	if err != nil {
		return err
	}
	s.Complete = deps.Listed(s)
	id, list, err := i.put(ctx, kind, s, body, sum, len(components))
	if err != nil || !list {
		return err
	}
	return i.list(ctx, id, s.ID, components)
}

// put writes the thing down, and tells whether its packages have to be listed.
func (i *Inspector) put(ctx context.Context, kind string, s finding.Scan, body []byte, sum string, n int) (id int64, list bool, err error) {
	judged := ""
	if scanner, x := i.config.Newest(); s.Version != "" && s.Version == scanner.Version() {
		judged = nameOf(x)
	}
	err = i.db.Write(ctx, func(tx *db.Tx) (err error) {
		defer func() {
			if err == nil && id != 0 {
				err = mark(tx, id, judged)
			}
		}()
		type known struct {
			id, complete, listed int64
			sum, kind            string
		}
		was, err := db.One(tx, func(scan db.Scan) (k known, err error) {
			return k, scan(&k.id, &k.complete, &k.listed, &k.sum, &k.kind)
		}, "SELECT id, complete, listed, sum, kind FROM inspect_things WHERE target = ? AND branch = ?", s.Target, s.Branch)
		at := i.config.Now().UnixMicro()
		if errors.Is(err, fault.NotFound) {
			if id, err = db.One(tx, db.Value[int64], "UPDATE inspect_counters SET value = value + 1 WHERE name = 'thing' RETURNING value"); err != nil {
				return err
			}
			list = true
			_, err = tx.Exec("INSERT INTO inspect_things (id, target, branch, kind, revision, digest, scan, at, complete, listed, judged, components, sum, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?)",
				id, s.Target, s.Branch, kind, s.Commit, s.Digest, s.ID, at, flag(s.Complete), judged, n, sum, body)
			return err
		}
		if err != nil || was.complete == 1 && !s.Complete {
			return err
		}
		if kind == SBOM && was.kind != SBOM {
			return fault.Conflict.Errorf("%s is scanned here itself (as %s): give what a bill of materials is of a target of its own", strings.TrimSpace(s.Target+" "+s.Branch), was.kind)
		}
		id, list = was.id, was.sum != sum || was.listed == 0
		_, err = tx.Exec("UPDATE inspect_things SET kind = ?, revision = ?, digest = ?, scan = ?, at = ?, complete = ?, listed = ?, judged = ?, components = ?, sum = ?, body = ? WHERE id = ?",
			kind, s.Commit, s.Digest, s.ID, at, flag(s.Complete), flag(!list), judged, n, sum, body, id)
		return err
	})
	return id, list, err
}

// mark says whether a thing is to be judged: one that was matched by another
// index than the one that all were held against last.
func mark(tx *db.Tx, id int64, judged string) error {
	newest, err := db.All(tx, db.Value[string], "SELECT value FROM inspect_state WHERE name = 'index'")
	if err != nil {
		return err
	}
	query := "DELETE FROM inspect_marks WHERE thing = ?"
	if judged == "" || len(newest) > 0 && newest[0] != judged {
		query = "INSERT INTO inspect_marks (thing) VALUES (?) ON CONFLICT (thing) DO NOTHING"
	}
	_, err = tx.Exec(query, id)
	return err
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// pkg is a row of inspect_packages that is to be there.
type pkg struct {
	key, version, locator, ecosystem, name, shown, state, licences string
}

func packageOf(c component.Component) pkg {
	name, version := c.Name, c.Version
	if c.Source != "" {
		name = c.Source
	}
	if c.SourceVersion != "" {
		version = c.SourceVersion
	}
	return pkg{stored(advisory.Key(c.Ecosystem, name)), version, c.Locator(), c.Ecosystem, c.Name, c.Version, string(c.State), strings.Join(c.Licences, ", ")}
}

// stored is a key as the database keeps it: PostgreSQL takes no NUL.
func stored(key string) string { return strings.Replace(key, "\x00", "\n", 1) }

// use is how a thing uses a package: the most telling of all its places.
type use struct {
	scope  component.Scope
	direct bool
}

// list writes down which packages a thing uses, in parts. Killed between them
// it is done again at the next start.
func (i *Inspector) list(ctx context.Context, id int64, scan string, components []component.Component) error {
	uses := map[pkg]use{}
	var order []pkg
	for _, c := range components {
		p := packageOf(c)
		u, again := uses[p]
		if !again {
			order = append(order, p)
			u.scope = c.Scope
		}
		if c.Scope == component.Runtime {
			u.scope = c.Scope
		}
		u.direct = u.direct || c.Direct
		uses[p] = u
	}
	ours := func(tx *db.Tx) (bool, error) { // nobody replaced it meanwhile
		n, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM inspect_things WHERE id = ? AND scan = ?", id, scan)
		return n == 1, err
	}
	err := i.db.Write(ctx, func(tx *db.Tx) error {
		if ok, err := ours(tx); err != nil || !ok {
			return err
		}
		_, err := tx.Exec("DELETE FROM inspect_uses WHERE thing = ?", id)
		return err
	})
	if err != nil {
		return err
	}
	for part := range slices.Chunk(order, chunk) {
		err := i.db.Write(ctx, func(tx *db.Tx) error {
			if ok, err := ours(tx); err != nil || !ok {
				return err
			}
			return storeUses(tx, id, part, uses)
		})
		if err != nil {
			return err
		}
	}
	return i.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec("UPDATE inspect_things SET listed = 1 WHERE id = ? AND scan = ?", id, scan)
		return err
	})
}

func storeUses(tx *db.Tx, thing int64, part []pkg, uses map[pkg]use) error {
	for _, p := range part {
		row, err := db.One(tx, db.Value[int64], "SELECT id FROM inspect_packages WHERE locator = ? AND ecosystem = ? AND advised = ? AND version = ? AND licences = ?", p.locator, p.ecosystem, p.key, p.version, p.licences)
		if errors.Is(err, fault.NotFound) {
			if row, err = db.One(tx, db.Value[int64], "UPDATE inspect_counters SET value = value + 1 WHERE name = 'package' RETURNING value"); err == nil {
				_, err = tx.Exec("INSERT INTO inspect_packages (id, advised, version, locator, ecosystem, name, shown, state, licences) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
					row, p.key, p.version, p.locator, p.ecosystem, p.name, p.shown, p.state, p.licences)
			}
		}
		if err != nil {
			return err
		}
		u := uses[p]
		if _, err := tx.Exec("INSERT INTO inspect_uses (package, thing, scope, direct) VALUES (?, ?, ?, ?) ON CONFLICT (package, thing) DO NOTHING", row, thing, string(u.scope), flag(u.direct)); err != nil {
			return err
		}
	}
	return nil
}

// Forget drops a branch that is no more.
func (i *Inspector) Forget(ctx context.Context, target, branch string) error {
	return i.db.Write(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec("DELETE FROM inspect_uses WHERE thing IN (SELECT id FROM inspect_things WHERE target = ? AND branch = ?)", target, branch); err != nil {
			return err
		}
		if _, err := tx.Exec("DELETE FROM inspect_marks WHERE thing IN (SELECT id FROM inspect_things WHERE target = ? AND branch = ?)", target, branch); err != nil {
			return err
		}
		_, err := tx.Exec("DELETE FROM inspect_things WHERE target = ? AND branch = ?", target, branch)
		return err
	})
}

// Thing is one branch of one target, as its last scan saw it.
type Thing struct {
	ID       int64     `json:"id"`
	Target   string    `json:"target"`
	Branch   string    `json:"branch,omitzero"`
	Kind     string    `json:"kind"`
	Commit   string    `json:"commit,omitzero"`
	Digest   string    `json:"digest,omitzero"`
	Scan     string    `json:"scan"`
	At       time.Time `json:"at"`
	Complete bool      `json:"complete"`
	Size     int       `json:"components"` // how many components it has

	components []component.Component
}

const thingColumns = "id, target, branch, kind, revision, digest, scan, at, complete, components"

func scanThing(scan db.Scan) (t Thing, err error) {
	var at, complete int64
	err = scan(&t.ID, &t.Target, &t.Branch, &t.Kind, &t.Commit, &t.Digest, &t.Scan, &at, &complete, &t.Size)
	t.At, t.Complete = time.UnixMicro(at).UTC(), complete == 1
	return t, err
}

// thing is one with its components.
func (i *Inspector) thing(ctx context.Context, id int64) (t Thing, err error) {
	var body []byte
	err = i.db.Read(ctx, func(tx *db.Tx) error {
		if t, err = db.One(tx, scanThing, "SELECT "+thingColumns+" FROM inspect_things WHERE id = ?", id); err != nil {
			return err
		}
		body, err = db.One(tx, db.Value[[]byte], "SELECT body FROM inspect_things WHERE id = ?", id)
		return err
	})
	if err != nil {
		return t, err
	}
	if t.components, err = unpack(body); err != nil {
		return t, fmt.Errorf("the components of %s: %w", t.Target, err)
	}
	return t, nil
}

// pack makes components small, and tells their sum.
func pack(components []component.Component) (body []byte, sum string, err error) {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err != nil {
		return nil, "", err
	}
	h := sha256.New()
	if err := json.MarshalWrite(io.MultiWriter(w, h), components, json.Deterministic(true)); err != nil {
		return nil, "", err
	}
	err = w.Close()
	return b.Bytes(), hex.EncodeToString(h.Sum(nil)), err
}

func unpack(body []byte) (components []component.Component, err error) {
	const most = 1 << 30
	plain, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(body)), most))
	if err != nil {
		return nil, err
	}
	return components, json.Unmarshal(plain, &components)
}
