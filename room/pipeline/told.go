package pipeline

import (
	"context"
	"errors"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// What the hub knows of a branch is what its newest commit has. Runs may come to their end in another order than their
// commits: whoever tells the hub of a branch has its turn, one at a time, and an older commit finds that it comes too late.

// told is what the hub was told last of a branch, by a tool.
type told struct {
	commit string
	run    string    // that has its turn, or had it
	until  time.Time // it has its turn until then at the latest; zero when it is over
}

const (
	mostTurn  = 2 * time.Minute // a turn takes seconds; whoever was killed in it has lost it then
	turnPause = 50 * time.Millisecond
)

func toldOf(tx *db.Tx, s finding.Scan) (t told, err error) {
	return db.One(tx, func(scan db.Scan) (t told, err error) {
		var until int64
		err = scan(&t.commit, &t.run, &until)
		if until > 0 {
			t.until = time.UnixMicro(until)
		}
		return t, err
	}, "SELECT told, run, until FROM pipeline_told WHERE target = ? AND branch = ? AND tool = ?", s.Target, s.Branch, s.Tool)
}

// inTurn calls tell when it is the turn of a scan of a branch; late is the newer commit that the hub knows of by then.
func (p *Pipelines) inTurn(ctx context.Context, run string, repository string, s finding.Scan, tell func() error) (late string, err error) {
	checked := "" // the commit that ours is known to be no older than
	for {
		var last told
		mine := false
		err := p.db.Write(ctx, func(tx *db.Tx) (err error) {
			if last, err = toldOf(tx, s); err != nil && !errors.Is(err, fault.NotFound) {
				return err
			}
			now := p.config.Now()
			switch {
			case last.run != run && now.Before(last.until): // another's turn
				return nil
			case last.commit != "" && last.commit != s.Commit && last.commit != checked: // see below
				return nil
			}
			mine = true
			_, err = tx.Exec(`INSERT INTO pipeline_told (target, branch, tool, told, run, until) VALUES (?, ?, ?, ?, ?, ?)
				ON CONFLICT (target, branch, tool) DO UPDATE SET told = excluded.told, run = excluded.run, until = excluded.until`,
				s.Target, s.Branch, s.Tool, s.Commit, run, now.Add(mostTurn).UnixMicro())
			return err
		})
		switch {
		case err != nil:
			return "", err
		case mine:
			return "", errors.Join(tell(), p.endTurn(ctx, run, s))
		case last.commit != s.Commit && last.commit != checked:
			older, err := p.older(ctx, repository, s.Branch, s.Commit, last.commit)
			if err != nil {
				return "", err
			}
			if older {
				return last.commit, nil
			}
			checked = last.commit
			continue
		}
		select {
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case <-time.After(turnPause):
		}
	}
}

// endTurn lets others have theirs.
func (p *Pipelines) endTurn(ctx context.Context, run string, s finding.Scan) error {
	return p.db.Write(context.WithoutCancel(ctx), func(tx *db.Tx) error {
		_, err := tx.Exec("UPDATE pipeline_told SET until = 0 WHERE target = ? AND branch = ? AND tool = ? AND run = ?", s.Target, s.Branch, s.Tool, run)
		return err
	})
}

// older tells whether a commit comes before another in a branch as it is now. What the branch has no more, because
// somebody rewrote it, comes before what it has.
func (p *Pipelines) older(ctx context.Context, repository, branch, commit, than string) (bool, error) {
	repo, err := p.config.Source.Git(repository)
	if err != nil {
		return false, err
	}
	head, err := p.config.Source.Ref(ctx, repository, "refs/heads/"+branch)
	if errors.Is(err, fault.NotFound) { // the branch is gone, and what the hub knows of it goes
		return false, nil
	}
	if err != nil {
		return false, err
	}
	has := func(commit, in string) (bool, error) {
		ok, err := repo.IsAncestor(ctx, commit, in)
		if errors.Is(err, fault.NotFound) {
			return false, nil
		}
		return ok, err
	}
	if still, err := has(than, head); err != nil || !still {
		return false, err
	}
	if before, err := has(commit, than); err != nil || before {
		return before, err
	}
	still, err := has(commit, head)
	return !still, err
}
