package mirror

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/keeper/source"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/word/fault"
)

// Limits of a mirror.
const (
	maxRefs    = 50_000
	maxFetched = 4 << 30 // bytes of one fetch
	mostTries  = 12
	mostPulls  = 1000 // open ones at once
)

// wait is how long after so many tries the next one is.
func wait(tries int64) time.Duration {
	return min(5*time.Second<<min(tries, 10), 15*time.Minute)
}

// follow makes a repository what its forge has, again if more was asked for meanwhile.
func (m *Mirror) follow(ctx context.Context, l work.Lease) error {
	repository := string(l.Body)
	for {
		k, err := m.load(ctx, repository)
		if fault.Of(err) == fault.NotFound {
			return m.db.Write(ctx, func(tx *db.Tx) error { return m.config.Work.Done(tx, l) })
		}
		if err != nil {
			return err
		}
		waiting, err := m.waiting(ctx, repository)
		if err != nil {
			return err
		}
		failed := m.bring(ctx, &k, waiting)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if failed != nil {
			return m.failed(ctx, l, k, failed)
		}
		news, err := m.pullNews(ctx, k)
		if err != nil {
			return err
		}
		over := false
		err = m.db.Write(ctx, func(tx *db.Tx) error {
			now, err := find(tx, repository)
			if err != nil {
				return err
			}
			now.Default, now.Looked, now.Problem = k.Default, m.config.Now().UTC(), ""
			if err := now.keep(tx); err != nil {
				return err
			}
			last := int64(0)
			for _, d := range waiting {
				last = max(last, d.Number)
			}
			if _, err := tx.Exec("UPDATE mirror_deliveries SET state = ? WHERE repository = ? AND state = ? AND number <= ?", string(Done), repository, string(Waiting), last); err != nil {
				return err
			}
			if err := m.tellPulls(tx, repository, news); err != nil {
				return err
			}
			if over = now.wanted == k.wanted; over {
				return m.config.Work.Done(tx, l)
			}
			return nil
		})
		if err != nil || over {
			return err
		}
	}
}

// failed writes down why a forge could not be asked, and when it is asked again.
func (m *Mirror) failed(ctx context.Context, l work.Lease, k kept, failed error) error {
	m.config.Log.Warn("a forge could not be followed", "repository", k.Repository, "forge", k.Clone, "try", k.tries+1, "error", failed)
	over, changed := k.tries+1 >= mostTries, false
	err := m.db.Write(ctx, func(tx *db.Tx) error {
		now, err := find(tx, k.Repository)
		if err != nil {
			return err
		}
		if changed = now.token != k.token || now.Clone != k.Clone; changed {
			return nil // it says nothing of the forge as it is followed now
		}
		now.Problem = clip(failed.Error(), 500)
		if err := now.keep(tx); err != nil {
			return err
		}
		if _, err := tx.Exec("UPDATE mirror_connections SET tries = tries + 1 WHERE repository = ?", k.Repository); err != nil || !over {
			return err
		}
		if _, err := tx.Exec("UPDATE mirror_deliveries SET state = ? WHERE repository = ? AND state = ?", string(Parked), k.Repository, string(Waiting)); err != nil {
			return err
		}
		return m.config.Work.Done(tx, l)
	})
	if err == nil && changed {
		return m.config.Work.Release(ctx, l, m.config.Now(), false)
	}
	if err != nil || over {
		return err
	}
	return m.config.Work.Release(ctx, l, m.config.Now().Add(wait(k.tries)), true)
}

func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// waiting are the deliveries that nothing has followed from yet.
func (m *Mirror) waiting(ctx context.Context, repository string) (all []Delivery, err error) {
	err = m.db.Read(ctx, func(tx *db.Tx) error {
		all, err = db.All(tx, scanDelivery, "SELECT number, at, state, body FROM mirror_deliveries WHERE repository = ? AND state = ? ORDER BY number", repository, string(Waiting))
		return err
	})
	return all, err
}

// bring fetches what is new on a forge, and moves refs to where they are there.
func (m *Mirror) bring(ctx context.Context, k *kept, waiting []Delivery) error {
	repo, err := m.config.Source.Git(k.Repository)
	if err != nil {
		return err
	}
	password, err := m.token(*k)
	if err != nil {
		return err
	}
	gate, err := m.newGate(k.Clone)
	if err != nil {
		return err
	}
	defer gate.close()
	from := git.Remote{URL: k.Clone, User: k.user(), Password: password, Proxy: gate.address}
	if err := m.bringAll(ctx, k, repo, from, waiting); err != nil {
		if said := gate.said(); said != nil { // git only knows that it was not let through
			return said
		}
		return err
	}
	return nil
}

func (m *Mirror) bringAll(ctx context.Context, k *kept, repo *git.Repo, from git.Remote, waiting []Delivery) error {
	remote, err := repo.RemoteRefs(ctx, from)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(remote, func(r git.Ref) bool { return r.Name == "refs/heads/"+k.Default }) {
		if k.Default, err = repo.RemoteHead(ctx, from); err != nil {
			return err
		}
	}
	ours, err := repo.Refs(ctx, "refs/heads")
	if err != nil {
		return err
	}
	tags, err := repo.Refs(ctx, "refs/tags")
	if err != nil {
		return err
	}
	pulls, err := m.openPulls(ctx, *k)
	if err != nil {
		return err
	}
	p := newPlan(&k.Connection, append(ours, tags...), remote, waiting, pulls)
	for _, pull := range pulls {
		p.pull(k.Kind, pull)
	}
	return m.carryOut(ctx, k, repo, from, p)
}

func (m *Mirror) openPulls(ctx context.Context, k kept) (open []Pull, err error) {
	if k.Pulls == NoPulls {
		return nil, nil
	}
	err = m.db.Read(ctx, func(tx *db.Tx) error {
		open, err = db.All(tx, scanPull, "SELECT body FROM mirror_pulls WHERE repository = ? AND open = 1 ORDER BY number DESC LIMIT ?", k.Repository, mostPulls)
		return err
	})
	return slices.DeleteFunc(open, func(p Pull) bool { return p.Fork && k.Pulls == OwnPulls }), err
}

// plan is what has to be fetched and moved.
type plan struct {
	here  map[string]string // our refs
	moves []git.Moved       // that lead to where the forge's are
	drops []git.Moved       // of what the forge has no more
	fetch []string          // its refs to fetch
	heads []pullHead
}

type pullHead struct{ ref, from, commit string }

const pullPrefix = "refs/heads/pr/" // what pull requests are called here

// taken tells whether a ref of a forge cannot come: its name is one of pull requests here, stands in the way of these, or
// cannot be told of.
func taken(ref string) bool {
	return strings.HasPrefix(ref, pullPrefix) || ref+"/" == pullPrefix || !utf8.ValidString(ref)
}

// newPlan says what to do about branches and tags. Those that nobody asked for stay where
// they are: a forge may have thousands that nobody looks at, and each that comes here is built.
func newPlan(c *Connection, ours, remote []git.Ref, waiting []Delivery, pulls []Pull) *plan {
	p := &plan{here: map[string]string{}}
	for _, r := range ours {
		p.here[r.Name] = r.ID
	}
	there, asked := map[string]bool{}, map[string]bool{}
	for _, d := range waiting {
		asked[d.Ref] = true
	}
	for _, one := range pulls { // they are compared with where they go
		asked["refs/heads/"+one.Target] = true
	}
	heads := false
	for _, r := range remote {
		there[r.Name] = true
		heads = heads || strings.HasPrefix(r.Name, "refs/heads/")
		if p.here[r.Name] == r.ID || taken(r.Name) || !(p.here[r.Name] != "" || asked[r.Name] || c.wants(r.Name)) {
			continue
		}
		if len(p.moves) < maxRefs {
			p.moves = append(p.moves, git.Moved{Ref: r.Name, Old: orZero(p.here[r.Name]), New: r.ID})
			p.fetch = append(p.fetch, r.Name)
		}
	}
	// The default branch first: the first to come becomes ours.
	slices.SortStableFunc(p.moves, func(a, b git.Moved) int {
		return boolInt(b.Ref == "refs/heads/"+c.Default) - boolInt(a.Ref == "refs/heads/"+c.Default)
	})
	if !heads {
		return p // a forge that has no branch at all is broken or was emptied: nothing of ours goes with it
	}
	for _, r := range ours {
		if !there[r.Name] && !strings.HasPrefix(r.Name, pullPrefix) && r.Name != "refs/heads/"+c.Default {
			p.drops = append(p.drops, git.Moved{Ref: r.Name, Old: r.ID, New: git.Zero})
		}
	}
	// Branches of pull requests go unless pull brings them back.
	for _, r := range ours {
		if strings.HasPrefix(r.Name, pullPrefix) {
			p.drops = append(p.drops, git.Moved{Ref: r.Name, Old: r.ID, New: git.Zero})
		}
	}
	return p
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func orZero(id string) string {
	if id == "" {
		return git.Zero
	}
	return id
}

// wants tells whether a ref comes here without anybody's having pushed to it.
func (c *Connection) wants(ref string) bool {
	branch, isBranch := strings.CutPrefix(ref, "refs/heads/")
	if isBranch && branch == c.Default {
		return true
	}
	patterns := c.Branches
	if !isBranch {
		branch, patterns = strings.TrimPrefix(ref, "refs/tags/"), c.Tags
	}
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		match, err := path.Match(pattern, branch)
		return pattern == "*" || match && err == nil // a star alone is all of them
	})
}

// pull adds an open pull request.
func (p *plan) pull(kind Kind, one Pull) {
	ref := "refs/heads/" + one.Branch()
	p.drops = slices.DeleteFunc(p.drops, func(m git.Moved) bool { return m.Ref == ref })
	if p.here[ref] == one.Head {
		return
	}
	from := fmt.Sprintf("refs/pull/%d/head", one.Number)
	if kind == GitLab {
		from = fmt.Sprintf("refs/merge-requests/%d/head", one.Number)
	}
	p.heads = append(p.heads, pullHead{ref: ref, from: from, commit: one.Head})
}

// carryOut fetches and moves.
func (m *Mirror) carryOut(ctx context.Context, k *kept, repo *git.Repo, from git.Remote, p *plan) error {
	r, err := m.config.Source.Repository(ctx, k.Repository)
	if err != nil {
		return err
	}
	if len(p.fetch) > 0 {
		if err := repo.Fetch(ctx, from, p.fetch); err != nil {
			return err
		}
	}
	for _, h := range p.heads {
		if r.Protected(h.ref) {
			return fault.Conflict.Errorf("the rules of %s protect %s, and a pull request is not to be trusted: protect fewer branches", k.Repository, strings.TrimPrefix(h.ref, "refs/heads/"))
		}
		err := repo.Fetch(ctx, from, []string{h.from})
		if fault.Of(err) == fault.NotFound {
			m.config.Log.Info("a pull request is gone from its forge", "repository", k.Repository, "ref", h.from)
			err = nil
		}
		if err != nil {
			return err
		}
	}
	moves, err := present(ctx, repo, p)
	if err != nil {
		return err
	}
	if k.Default != "" && k.Default != r.DefaultBranch {
		if _, err := m.config.Source.Change(ctx, k.Repository, func(r *source.Repository) error { r.DefaultBranch = k.Default; return nil }); err != nil {
			return err
		}
	}
	// What goes makes room for what has the same beginning of its name.
	for _, some := range [][]git.Moved{p.drops, moves} {
		if err := m.move(ctx, k, repo, some); err != nil {
			return err
		}
	}
	return nil
}

// present are the moves whose objects have come. What is not there was moved on while we fetched, and is told of again.
func present(ctx context.Context, repo *git.Repo, p *plan) ([]git.Moved, error) {
	moves := p.moves
	for _, h := range p.heads {
		moves = append(moves, git.Moved{Ref: h.ref, Old: orZero(p.here[h.ref]), New: h.commit})
	}
	var ids []string
	for _, m := range moves {
		ids = append(ids, m.New)
	}
	if len(ids) == 0 {
		return nil, nil
	}
	has, err := repo.Has(ctx, ids)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(moves), func(m git.Moved) bool { return !has[m.New] }), nil
}

// move moves refs as a push does.
func (m *Mirror) move(ctx context.Context, k *kept, repo *git.Repo, moves []git.Moved) error {
	if len(moves) == 0 {
		return nil
	}
	push := source.Push{ID: bus.ID(), Repository: k.Repository, Who: m.who(k.Repository), Mirror: true}
	var moved []string
	for _, one := range moves {
		push.Updates = append(push.Updates, source.Update{Ref: one.Ref, Old: one.Old, New: one.New})
		moved = append(moved, one.Ref)
	}
	if err := m.config.Source.Intend(ctx, repo, push); err != nil {
		return err
	}
	failed := repo.MoveAll(ctx, moves)
	if failed != nil {
		moved = nil
	}
	// What git has done is told even when we are to end.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	if err := m.config.Source.Confirm(ctx, k.Repository, push.ID, moved); err != nil {
		return err
	}
	return failed
}

// who is the ARN of what moves refs for a forge.
func (m *Mirror) who(repository string) string {
	return "arn:aws:haechi:" + m.config.Region + ":" + m.config.Account + ":forge/" + repository
}
