package inspect

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/fault"
)

// Hit is a version of a package that has a bug, with what uses it.
type Hit struct {
	Package
	Fixed string // the first version without the bug; "" where there is none
	Uses  []Use
}

// Bug is what advisories say of a bug, and what here has it; fault.NotFound
// where none is called so. Of each package at most 1,000 uses are told.
func (i *Inspector) Bug(ctx context.Context, name string) (b advisory.Bug, hits []Hit, err error) {
	_, x := i.config.Newest()
	if b, err = x.Named(name); err != nil {
		return b, nil, err
	}
	var keys []string
	for _, p := range b.Packages {
		keys = append(keys, stored(advisory.Key(p.Ecosystem, p.Name)))
	}
	var rows []advised
	err = i.db.Read(ctx, func(tx *db.Tx) error {
		rows = nil
		for part := range chunks(keys) {
			some, err := db.All(tx, scanAdvised, "SELECT id, ecosystem, advised, version FROM inspect_packages WHERE state = 'RESOLVED' AND advised IN ("+marks(len(part))+") ORDER BY name, ecosystem, shown, id", part...)
			if err != nil {
				return err
			}
			rows = append(rows, some...)
		}
		return nil
	})
	for _, row := range rows {
		matches, err := row.bugs(x)
		if err != nil {
			return b, nil, err
		}
		at := slices.IndexFunc(matches, func(m advisory.Match) bool { return m.ID == b.ID || slices.Contains(m.Names, b.ID) })
		if at < 0 {
			continue
		}
		p, uses, err := i.Uses(ctx, row.id)
		if err != nil {
			return b, nil, err
		}
		if len(uses) > 0 {
			hits = append(hits, Hit{p, matches[at].Fixed, uses})
		}
	}
	return b, hits, err
}

// bugs are those that an index knows of it.
func (a advised) bugs(x *advisory.Index) ([]advisory.Match, error) {
	return x.Match(a.ecosystem, a.key[len(a.ecosystem)+1:], a.version)
}

// Bugs are what advisories say today of packages, by their IDs, the worst
// first. Knows tells of which there are data at all.
func (i *Inspector) Bugs(ctx context.Context, ids ...int64) (bugs map[int64][]advisory.Match, err error) {
	_, x := i.config.Newest()
	bugs = map[int64][]advisory.Match{}
	var rows []advised
	err = i.db.Read(ctx, func(tx *db.Tx) error {
		rows = nil
		for part := range chunks(ids) {
			some, err := db.All(tx, scanAdvised, "SELECT id, ecosystem, advised, version FROM inspect_packages WHERE state = 'RESOLVED' AND id IN ("+marks(len(part))+")", part...)
			if err != nil {
				return err
			}
			rows = append(rows, some...)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		if bugs[row.id], err = row.bugs(x); err != nil {
			return nil, err
		}
		worstFirst(bugs[row.id])
	}
	return bugs, nil
}

// Knows tells whether there is data on an ecosystem: without, no bug says nothing.
func (i *Inspector) Knows(ecosystem string) bool {
	_, x := i.config.Newest()
	return x.Knows(ecosystem)
}

func worstFirst(bugs []advisory.Match) {
	slices.SortStableFunc(bugs, func(a, b advisory.Match) int {
		return cmp.Or(cmp.Compare(b.Severity.Score, a.Severity.Score), cmp.Compare(rank(b), rank(a)), cmp.Compare(a.ID, b.ID))
	})
}

func rank(m advisory.Match) int {
	return slices.Index([]string{"LOW", "MEDIUM", "HIGH", "CRITICAL"}, m.Severity.Label)
}

// Known is one bug of one component.
type Known struct {
	advisory.Match
	Component component.Component
}

// BugsOf are what advisories say today of components: each bug once for each package URL, in the order of both.
func (i *Inspector) BugsOf(components []component.Component) (list []Known, err error) {
	_, x := i.config.Newest()
	seen := map[string]bool{}
	for _, c := range components {
		if c.State != component.Resolved {
			continue
		}
		name, version := cmp.Or(c.Source, c.Name), cmp.Or(c.SourceVersion, c.Version)
		if at := strings.Join([]string{c.PURL, c.Ecosystem, name, version}, "\x00"); !seen[at] {
			seen[at] = true
			matches, err := x.Match(c.Ecosystem, name, version)
			if err != nil {
				return nil, err
			}
			for _, m := range matches {
				if key := c.PURL + "\x00" + m.ID; !seen[key] {
					seen[key] = true
					list = append(list, Known{m, c})
				}
			}
		}
	}
	slices.SortStableFunc(list, func(a, b Known) int {
		return cmp.Or(strings.Compare(a.Component.PURL, b.Component.PURL), strings.Compare(a.ID, b.ID))
	})
	return list, nil
}

// Versions are the versions of a package that something uses, in the order of its ecosystem.
func (i *Inspector) Versions(ctx context.Context, ecosystem, name string) ([]Package, error) {
	list, _, err := i.Packages(ctx, Question{Exact: name, Ecosystem: ecosystem, Limit: 1000})
	slices.SortStableFunc(list, func(a, b Package) int {
		n, _ := advisory.Compare(ecosystem, a.Version, b.Version)
		return n
	})
	return list, err
}

// Drop forgets a bill of materials that somebody brought, and hands to the hub that nothing of it is there.
func (i *Inspector) Drop(ctx context.Context, target, branch string) error {
	t, _, err := i.Components(ctx, target, branch)
	if err != nil {
		return err
	}
	if t.Kind != SBOM {
		return fault.Conflict.Errorf("%s is scanned here itself, and would be back with the next scan", strings.TrimSpace(target+" "+branch))
	}
	scanner, _ := i.config.Newest()
	s := scanOf(t, scanner, "dropped")
	s.Complete = true
	if _, err := i.config.Hub.Import(ctx, s); err != nil {
		return err
	}
	return i.Forget(ctx, target, branch)
}
