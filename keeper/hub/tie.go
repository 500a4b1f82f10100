package hub

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// Problem is one thing that is wrong, and who says so. Its witnesses are findings that stay what they are:
// each keeps its text, its state and its history, and any can be untied.
type Problem struct {
	ID        int64
	Witnesses []Witness // at least two, the oldest first
}

// Witness is a finding that is tied to a problem.
type Witness struct {
	Finding finding.Finding
	Claim   string // which of the things that the finding says, where it says several
	Kind    string // TieVulnerability …
	Reason  string // why it is the same problem
	By      string // who tied it; "" is the hub
	At      time.Time
}

// Untied is what somebody said is not the same.
type Untied struct {
	Claim, By, Why string
	At             time.Time
}

// Reasons are why the witnesses are one problem, each once.
func (p *Problem) Reasons() (all []string) {
	for _, w := range p.Witnesses {
		if w.Reason != "" && !slices.Contains(all, w.Reason) {
			all = append(all, w.Reason)
		}
	}
	return all
}

// Worst is the witness that says the worst of what is open, and of all where none is.
func (p *Problem) Worst() *finding.Finding {
	worst := &p.Witnesses[0].Finding
	for i := range p.Witnesses {
		f := &p.Witnesses[i].Finding
		if f.Open() && !worst.Open() || f.Open() == worst.Open() && f.Label().Rank() > worst.Label().Rank() {
			worst = f
		}
	}
	return worst
}

// ProblemsOf are the problems that a finding is a witness of.
func (h *Hub) ProblemsOf(ctx context.Context, ref Ref) (list []Problem, err error) {
	err = h.db.Read(ctx, func(tx *db.Tx) error {
		r, err := h.one(tx, ref)
		if err != nil {
			return err
		}
		ids, err := db.All(tx, db.Value[int64], "SELECT problem FROM hub_ties WHERE finding = ? ORDER BY problem", r.seq)
		if err != nil {
			return err
		}
		list, err = problems(tx, ids)
		return err
	})
	return list, err
}

// UntiedOf is what somebody untied a finding from.
func (h *Hub) UntiedOf(ctx context.Context, ref Ref) (list []Untied, err error) {
	err = h.db.Read(ctx, func(tx *db.Tx) error {
		r, err := h.one(tx, ref)
		if err != nil {
			return err
		}
		list, err = db.All(tx, func(scan db.Scan) (u Untied, err error) {
			var at int64
			err = scan(&u.Claim, &u.By, &u.Why, &at)
			u.At = fromMicros(at)
			return u, err
		}, "SELECT claim, who, why, at FROM hub_untied WHERE finding = ? ORDER BY at, claim", r.seq)
		return err
	})
	return list, err
}

// problems reads problems with their witnesses, in the order of ids.
func problems(tx *db.Tx, ids []int64) (list []Problem, err error) {
	type member struct {
		problem int64
		Witness
		doc []byte
	}
	byID := map[int64]*Problem{}
	for part := range slices.Chunk(ids, chunk) {
		members, err := db.All(tx, func(scan db.Scan) (m member, err error) {
			var at int64
			err = scan(&m.problem, &m.Claim, &m.Kind, &m.Reason, &m.By, &at, &m.doc)
			m.At = fromMicros(at)
			return m, err
		}, "SELECT t.problem, t.claim, t.kind, t.reason, t.who, t.at, f.doc FROM hub_ties t JOIN hub_findings f ON f.seq = t.finding WHERE t.problem IN ("+marks(len(part))+") ORDER BY t.problem, f.seq, t.claim", anys(part)...)
		if err != nil {
			return nil, fmt.Errorf("reading problems: %w", err)
		}
		for _, m := range members {
			if m.Finding, err = finding.Parse(m.doc); err != nil {
				return nil, fmt.Errorf("a stored finding: %w", err)
			}
			p := byID[m.problem]
			if p == nil {
				p = &Problem{ID: m.problem}
				byID[m.problem] = p
			}
			p.Witnesses = append(p.Witnesses, m.Witness)
		}
	}
	for _, id := range ids {
		if p := byID[id]; p != nil {
			list = append(list, *p)
			delete(byID, id)
		}
	}
	return list, nil
}

// Problems are those of which a witness answers to the filters, the newest first: at most limit of them, from
// below the number before (0: from the newest). next is where to go on, 0 where there are no more.
func (h *Hub) Problems(ctx context.Context, filters Filters, limit int, before int64) (list []Problem, next int64, err error) {
	p, err := compile(filters, asQuery, h.now())
	if err != nil {
		return nil, 0, err
	}
	if limit <= 0 {
		limit = 50
	}
	err = h.db.Read(ctx, func(tx *db.Tx) error {
		for {
			where, args := "", []any{}
			if before > 0 {
				where, args = "WHERE problem < ? ", append(args, before)
			}
			ids, err := db.All(tx, db.Value[int64], "SELECT DISTINCT problem FROM hub_ties "+where+"ORDER BY problem DESC LIMIT 100", args...)
			if err != nil || len(ids) == 0 {
				return err
			}
			some, err := problems(tx, ids)
			if err != nil {
				return err
			}
			for _, one := range some {
				if !slices.ContainsFunc(one.Witnesses, func(w Witness) bool { return p.match(w.Finding.JSON()) }) {
					continue
				}
				if len(list) == limit {
					next = list[limit-1].ID
					return nil
				}
				list = append(list, one)
			}
			before = ids[len(ids)-1]
		}
	})
	return list, next, err
}

// byTie is the kind of cause in a finding's history when people tie and untie it.
const byTie = "TIE"

// Untie says that a finding is not the problem that it is tied to: it is told of alone from now on, also when it
// is imported again. What is left of the problem stays one, as far as it holds together without it.
func (h *Hub) Untie(ctx context.Context, ref Ref, problem int64, by, why string) error {
	if blank(why) || len(why) > 4096 || !storable(why, by) {
		return fault.Invalid.Errorf("untying needs a reason of at most 4,096 bytes")
	}
	return h.change(ctx, func(b *batch) error {
		r, k, err := b.tying(ref)
		if err != nil {
			return err
		}
		found := false
		for _, n := range slices.Clone(k.problems[problem]) {
			if n.row != r || n.tie == nil {
				continue
			}
			found = true
			k.leave(n)
			if _, err := b.tx.Exec(`INSERT INTO hub_untied (finding, claim, who, why, at) VALUES (?, ?, ?, ?, ?)
				ON CONFLICT (finding, claim) DO UPDATE SET who = excluded.who, why = excluded.why, at = excluded.at`, r.seq, n.claim.name, by, why, b.at.UnixMicro()); err != nil {
				return fmt.Errorf("writing what was untied: %w", err)
			}
		}
		if !found {
			return fault.NotFound.Errorf("the finding is not tied to problem %d", problem)
		}
		b.tell(r, cause{byTie, by, "untied: " + why})
		return k.store()
	})
}

// Tie says that two findings are one problem, whatever else they say, and so are those that are tied to them.
// What was untied is still not tied by the hub of its own accord.
func (h *Hub) Tie(ctx context.Context, ref, other Ref, by, why string) error {
	if blank(why) || len(why) > 1000 || !storable(why, by) {
		return fault.Invalid.Errorf("tying needs a reason of at most 1,000 bytes")
	}
	return h.change(ctx, func(b *batch) error {
		r, k, err := b.tying(ref, other)
		if err != nil {
			return err
		}
		o := k.refs[1]
		if r == o {
			return fault.Invalid.Errorf("a finding is not tied to itself")
		}
		n, m := k.whole(r), k.whole(o)
		if n.tie != nil && m.tie != nil && n.tie.problem == m.tie.problem {
			return fault.Conflict.Errorf("they are one problem already")
		}
		union := []*node{}
		for _, x := range []*node{n, m} {
			if x.tie == nil {
				union = append(union, x)
				continue
			}
			union = append(union, k.problems[x.tie.problem]...)
		}
		if len(union) > maxWitnesses {
			return fault.Limit.Errorf("a problem has at most %d witnesses", maxWitnesses)
		}
		k.bind(union)
		n.tie.kind, n.tie.reason, n.tie.other, n.tie.who, n.tie.at = TieByHand, why, m.row.seq, cmp.Or(by, "somebody"), b.at.UnixMicro()
		if m.tie.kind == "" {
			m.tie.kind, m.tie.reason, m.tie.other, m.tie.who, m.tie.at = n.tie.kind, why, n.row.seq, n.tie.who, n.tie.at
		}
		for _, x := range []*node{n, m} {
			x.tie.dirty = true
			b.tell(x.row, cause{byTie, by, "tied by hand: " + why})
		}
		return k.store()
	})
}

// tying reads what is needed to tie and untie findings; r is the row of the first.
func (b *batch) tying(refs ...Ref) (r *row, k *knot, err error) {
	k = b.knot()
	var keys []nodeKey
	for i, ref := range refs {
		one, err := b.hub.one(b.tx, ref)
		if err != nil {
			return nil, nil, err
		}
		rows, err := b.bySeq([]int64{one.seq})
		if err != nil {
			return nil, nil, err
		}
		if i == 0 {
			r = rows[0]
		}
		k.refs = append(k.refs, rows[0])
		keys = append(keys, nodeKey{one.seq, ""})
	}
	return r, k, k.load(keys)
}

// whole is the claim by which a finding is tied by hand: the one that it makes, or the finding as a whole.
func (k *knot) whole(r *row) *node {
	key := nodeKey{finding: r.seq}
	for _, c := range claimsOf(&r.finding) {
		if n := k.nodes[nodeKey{r.seq, c.name}]; n != nil && n.tie != nil {
			return n
		}
	}
	if k.nodes[key] == nil {
		k.nodes[key] = &node{row: r, claim: claimNamed(&r.finding, "")}
	}
	return k.nodes[key]
}

// tell writes into a finding's history what was done about it.
func (b *batch) tell(r *row, c cause) {
	b.history = append(b.history, historyRow{row: r, cause: c})
	b.touch(r)
}

// tieStored ties what was stored before there were ties.
func (h *Hub) tieStored(ctx context.Context) {
	for more := true; more && ctx.Err() == nil; {
		if err := h.change(ctx, func(b *batch) (err error) {
			more, err = b.tieStored()
			return err
		}); err != nil {
			if ctx.Err() == nil {
				h.config.Log.Warn("hub: tying what was stored before", "err", err)
			}
			return
		}
	}
}
