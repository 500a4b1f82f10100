package source

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/word/fault"
)

// grace is how long a move may be pending before it is taken for one that a
// crash has left behind: git takes milliseconds.
const grace = time.Minute

// outlived is how long a git may go on after the server that began it was killed.
const outlived = 10 * time.Second

// loose objects that a repository may have before it is packed, and how often that is looked at.
const (
	loose = 5000
	tidy  = 6 * time.Hour
)

// Run repairs what a crash of this node has left behind, and then, until ctx
// ends, what crashes of other nodes do; it keeps the repositories packed, and
// does what follows from events: see follow.
func (s *Source) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.config.Bus.Follow(ctx, "source", s.follow) })
	group.Go(func() error { return s.mend(ctx) })
	return group.Wait()
}

func (s *Source) mend(ctx context.Context) error {
	tidied := s.config.Now()
	for patience := time.Duration(0); ; patience = grace {
		if err := s.repair(ctx, patience); err != nil && ctx.Err() == nil {
			s.config.Log.Error("comparing refs with their log", "err", err)
		}
		if s.config.Now().Sub(tidied) > tidy {
			tidied = s.config.Now()
			if err := s.eachRepository(ctx, s.tidy); err != nil && ctx.Err() == nil {
				s.config.Log.Error("packing repositories", "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(grace):
		}
	}
}

// Repair compares the refs of every repository with the log and settles what
// differs: an intended move that git has made counts, one that it has not made
// is dropped, and a move that nobody intended is written down as such. A push
// that is under way meanwhile comes to no harm: its confirmation is believed.
func (s *Source) Repair(ctx context.Context) error { return s.repair(ctx, 0) }

func (s *Source) repair(ctx context.Context, grace time.Duration) error {
	err := s.eachRepository(ctx, func(ctx context.Context, r Repository) error {
		return errors.Join(s.unlock(r, grace), s.compare(ctx, r, grace), s.pinAll(ctx, r.Name))
	})
	return errors.Join(err, s.empty(ctx))
}

// unlock frees a repository of what a git that was killed has left in its way.
func (s *Source) unlock(r Repository, grace time.Duration) error {
	repo, err := s.Git(r.Name)
	if err != nil {
		return err
	}
	taken, err := repo.Unlock(s.config.Now().Add(-max(grace, outlived)))
	if len(taken) > 0 {
		s.config.Log.Warn("locks that a killed git has left are taken away", "repository", r.Name, "locks", taken)
	}
	return err
}

func (s *Source) tidy(ctx context.Context, r Repository) error {
	repo, err := s.Git(r.Name)
	if err != nil {
		return err
	}
	return repo.Tidy(ctx, loose)
}

// eachRepository does something with all of them; what fails for one is done with the others.
func (s *Source) eachRepository(ctx context.Context, do func(context.Context, Repository) error) error {
	var wrong error
	for after := ""; ; {
		page, err := s.Repositories(ctx, after, 100)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return wrong
		}
		for _, r := range page {
			if err := do(ctx, r); err != nil {
				wrong = errors.Join(wrong, fmt.Errorf("repository %q: %w", r.Name, err))
			}
		}
		after = page[len(page)-1].Name
	}
}

// compare settles one repository. Git is asked outside the transaction: if the
// log has grown meanwhile, the answer is old and is asked for again.
func (s *Source) compare(ctx context.Context, r Repository, grace time.Duration) error {
	repo, err := s.Git(r.Name)
	if err != nil {
		return err
	}
	if err := s.point(ctx, r); err != nil {
		return err
	}
	for range 10 {
		var before, now int64
		if err := s.db.Read(ctx, func(tx *db.Tx) error { before, err = next(tx, r.Name); return err }); err != nil {
			return err
		}
		refs, err := repo.Refs(ctx, "")
		if err != nil {
			return err
		}
		err = s.db.Write(ctx, func(tx *db.Tx) error {
			if now, err = next(tx, r.Name); err != nil || now != before {
				return err
			}
			return s.reconcile(tx, r.Name, refs, s.config.Now().Add(-grace))
		})
		if err != nil || now == before {
			return err
		}
	}
	return fault.Unavailable.Errorf("it is pushed to all the time")
}

func scanRef(scan db.Scan) (r git.Ref, err error) { return r, scan(&r.Name, &r.ID) }

// reconcile makes the log say what git's refs are. A ref with a move that is
// younger than old is somebody else's to settle.
func (s *Source) reconcile(tx *db.Tx, repository string, refs []git.Ref, old time.Time) error {
	known, err := db.All(tx, scanRef, "SELECT ref, target FROM source_refs WHERE repository = ? AND (ref < 'refs/pull/' OR ref >= 'refs/pull0')", repository)
	if err != nil {
		return err
	}
	waiting, err := db.All(tx, scanMove, "SELECT "+columns+" FROM source_moves WHERE state = ? AND repository = ? ORDER BY number", pending, repository)
	if err != nil {
		return err
	}
	log, actual, open := map[string]string{}, map[string]string{}, map[string][]row{}
	names := map[string]bool{}
	for _, k := range known {
		log[k.Name], names[k.Name] = k.ID, true
	}
	for _, r := range refs {
		if utf8.ValidString(r.Name) && !strings.HasPrefix(r.Name, pullRefs) { // another can only have come past the door, and cannot be told of
			actual[r.Name], names[r.Name] = r.ID, true
		}
	}
	for _, w := range waiting {
		open[w.Ref], names[w.Ref] = append(open[w.Ref], w), true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if slices.ContainsFunc(open[name], func(m row) bool { return m.At.After(old) }) {
			continue
		}
		if err := s.reconcileRef(tx, repository, name, orZero(log[name]), orZero(actual[name]), open[name]); err != nil {
			return err
		}
	}
	return nil
}

func orZero(id string) string {
	if id == "" {
		return git.Zero
	}
	return id
}

func (s *Source) reconcileRef(tx *db.Tx, repository, ref, log, actual string, open []row) error {
	made, err := s.way(tx, repository, ref, log, actual, 0)
	if err != nil {
		return err
	}
	for _, m := range made {
		if _, err := s.count(tx, repository, m); err != nil {
			return err
		}
	}
	for _, m := range open {
		if !slices.ContainsFunc(made, func(x row) bool { return x.Number == m.Number }) {
			if err := m.set(tx, repository, dropped); err != nil {
				return err
			}
		}
	}
	return nil
}
