package inspect

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/fault"
)

// Question asks for packages. The zero value asks for all.
type Question struct {
	Name      string // a part of it, in any case
	Exact     string // the whole of it
	Ecosystem string // npm, Maven, Debian …, with or without the release
	Version   string // with a comparison before it: < 2.17, >= 1, = 4.0.1; without one it is =
	Licence   string // a part of it
	Target    string // used there
	Unknown   bool   // only those of which nobody knows the licence
	Limit     int    // at most 1,000; 0 is 100
}

// ParseQuestion reads a question as people type it: log4j-core < 2.17.
func ParseQuestion(text string) Question {
	var q Question
	at := strings.IndexAny(text, "<>=")
	if at < 0 {
		q.Name = strings.TrimSpace(text)
		return q
	}
	q.Name, q.Version = strings.TrimSpace(text[:at]), strings.TrimSpace(text[at:])
	return q
}

// holds tells whether a version is asked for, in the order of its ecosystem.
func (q Question) holds(ecosystem, version string) bool {
	op := strings.TrimRight(q.Version[:len(q.Version)-len(strings.TrimLeft(q.Version, "<>= "))], " ")
	want := strings.TrimSpace(strings.TrimLeft(q.Version, "<>= "))
	if want == "" {
		return true
	}
	n, ok := advisory.Compare(ecosystem, version, want)
	if !ok {
		return (op == "" || op == "=") && version == want
	}
	switch op {
	case "<":
		return n < 0
	case "<=":
		return n <= 0
	case ">":
		return n > 0
	case ">=":
		return n >= 0
	}
	return n == 0
}

func (q Question) check() error {
	op := strings.TrimSpace(q.Version[:len(q.Version)-len(strings.TrimLeft(q.Version, "<>= "))])
	if !slices.Contains([]string{"", "<", "<=", ">", ">=", "=", "=="}, op) {
		return fault.Invalid.Errorf("there is no comparison %q: <, <=, =, >=, >", op)
	}
	if q.Limit < 0 || q.Limit > 1000 {
		return fault.Invalid.Errorf("at most 1,000 packages at a time, not %d", q.Limit)
	}
	return nil
}

// Package is one version of one package that something uses.
type Package struct {
	ID        int64           `json:"id"`
	Ecosystem string          `json:"ecosystem"`
	Name      string          `json:"name"`
	Version   string          `json:"version"`
	Locator   string          `json:"locator"`
	State     component.State `json:"state"`
	Licences  []string        `json:"licences,omitzero"`
	Things    int             `json:"things"` // how many use it
}

// Packages are those that are asked for, by name and version. more says that
// there are others.
func (i *Inspector) Packages(ctx context.Context, q Question) (list []Package, more bool, err error) {
	if err := q.check(); err != nil {
		return nil, false, err
	}
	if q.Limit == 0 {
		q.Limit = 100
	}
	where, args := []string{"1 = 1"}, []any{}
	add := func(clause string, values ...any) { where, args = append(where, clause), append(args, values...) }
	like := func(column, text string) {
		add("LOWER("+column+") LIKE ? ESCAPE '\\'", "%"+strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(strings.ToLower(text))+"%")
	}
	if q.Name != "" {
		like("p.name", q.Name)
	}
	if q.Exact != "" {
		add("p.name = ?", q.Exact)
	}
	if q.Unknown {
		add("p.licences = ?", "")
	}
	if q.Licence != "" {
		like("p.licences", q.Licence)
	}
	if q.Ecosystem != "" {
		add("(p.ecosystem = ? OR p.ecosystem >= ? AND p.ecosystem < ?)", q.Ecosystem, q.Ecosystem+":", q.Ecosystem+";")
	}
	if q.Target != "" {
		add("t.target = ?", q.Target)
	}
	err = i.db.Read(ctx, func(tx *db.Tx) error {
		list, more = nil, false
		return tx.Each(func(scan db.Scan) error {
			var p Package
			var licences string
			if err := scan(&p.ID, &p.Ecosystem, &p.Name, &p.Version, &p.Locator, &p.State, &licences, &p.Things); err != nil {
				return err
			}
			if !q.holds(p.Ecosystem, p.Version) {
				return nil
			}
			if len(list) == q.Limit {
				more = true
				return errEnough
			}
			p.Licences = licencesOf(licences)
			list = append(list, p)
			return nil
		}, `SELECT p.id, p.ecosystem, p.name, p.shown, p.locator, p.state, p.licences, COUNT(*) FROM inspect_packages p, inspect_uses u, inspect_things t
			WHERE u.package = p.id AND t.id = u.thing AND `+strings.Join(where, " AND ")+`
			GROUP BY p.id, p.ecosystem, p.name, p.shown, p.locator, p.state, p.licences ORDER BY p.name, p.ecosystem, p.shown, p.id`, args...)
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return list, more, err
}

var errEnough = errors.New("enough")

func licencesOf(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ", ")
}

// Use is a thing that uses a package.
type Use struct {
	Thing
	Scope  component.Scope `json:"scope"`
	Direct bool            `json:"direct"`
}

// Uses are where a package is used, the latest scanned first, at most 1,000.
func (i *Inspector) Uses(ctx context.Context, id int64) (p Package, uses []Use, err error) {
	err = i.db.Read(ctx, func(tx *db.Tx) error {
		p, err = db.One(tx, func(scan db.Scan) (p Package, err error) {
			var licences string
			err = scan(&p.ID, &p.Ecosystem, &p.Name, &p.Version, &p.Locator, &p.State, &licences)
			p.Licences = licencesOf(licences)
			return p, err
		}, "SELECT id, ecosystem, name, shown, locator, state, licences FROM inspect_packages WHERE id = ?", id)
		if err != nil {
			return err
		}
		uses, err = db.All(tx, func(scan db.Scan) (u Use, err error) {
			var direct int64
			u.Thing, err = scanThing(func(dest ...any) error { return scan(append(dest, &u.Scope, &direct)...) })
			u.Direct = direct == 1
			return u, err
		}, "SELECT t."+strings.ReplaceAll(thingColumns, ", ", ", t.")+", u.scope, u.direct FROM inspect_uses u, inspect_things t WHERE u.package = ? AND t.id = u.thing ORDER BY t.at DESC, t.id LIMIT 1000", id)
		return err
	})
	p.Things = len(uses)
	return p, uses, err
}

// All are all branches of targets that were scanned, by name.
func (i *Inspector) All(ctx context.Context) (list []Thing, err error) {
	err = i.db.Read(ctx, func(tx *db.Tx) error {
		list, err = db.All(tx, scanThing, "SELECT "+thingColumns+" FROM inspect_things ORDER BY target, branch")
		return err
	})
	return list, err
}

// MostThings is how many Things lists.
const MostThings = 1000

// Things are the branches of targets that were scanned, by name, at most MostThings; "" is of all targets.
func (i *Inspector) Things(ctx context.Context, target string) (list []Thing, err error) {
	err = i.db.Read(ctx, func(tx *db.Tx) error {
		list, err = db.All(tx, scanThing, "SELECT "+thingColumns+" FROM inspect_things WHERE ? = '' OR target = ? ORDER BY target, branch LIMIT ?", target, target, MostThings)
		return err
	})
	return list, err
}

// Thing is one that was scanned, and what it is made of.
func (i *Inspector) Thing(ctx context.Context, id int64) (Thing, []component.Component, error) {
	t, err := i.thing(ctx, id)
	if errors.Is(err, fault.NotFound) {
		err = fault.NotFound.Errorf("nothing that was scanned has the number %d", id)
	}
	return t, t.components, err
}

// Components are what a branch of a target is made of; fault.NotFound where it was never scanned.
func (i *Inspector) Components(ctx context.Context, target, branch string) (Thing, []component.Component, error) {
	var id int64
	err := i.db.Read(ctx, func(tx *db.Tx) (err error) {
		id, err = db.One(tx, db.Value[int64], "SELECT id FROM inspect_things WHERE target = ? AND branch = ?", target, branch)
		return err
	})
	if err != nil {
		if errors.Is(err, fault.NotFound) {
			err = fault.NotFound.Errorf("%s %s was never scanned for components", target, branch)
		}
		return Thing{}, nil, err
	}
	t, err := i.thing(ctx, id)
	return t, t.components, err
}

// Licence is a licence, and how many packages and things are under it.
type Licence struct {
	Name     string `json:"name"` // "" where none is known
	Packages int    `json:"packages"`
	Things   int    `json:"things"`
}

// Licences are all there are, those of the most packages first.
func (i *Inspector) Licences(ctx context.Context) (list []Licence, err error) {
	err = i.db.Read(ctx, func(tx *db.Tx) error {
		list, err = db.All(tx, func(scan db.Scan) (l Licence, err error) { return l, scan(&l.Name, &l.Packages, &l.Things) },
			"SELECT p.licences, COUNT(DISTINCT p.id), COUNT(DISTINCT u.thing) FROM inspect_packages p, inspect_uses u WHERE u.package = p.id GROUP BY p.licences ORDER BY 2 DESC, 1")
		return err
	})
	return list, err
}
