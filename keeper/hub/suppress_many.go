package hub

import (
	"context"
	"slices"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/lang/match"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// AddSuppressors takes suppressors in force that are about one target, and suppresses what is there already and
// open. It tells how many findings that were. What people decided stays as they did.
func (h *Hub) AddSuppressors(ctx context.Context, target string, list []Suppressor) (n int, err error) {
	now := h.now()
	ready := make([]*suppressor, len(list))
	for i, s := range list {
		pattern, err := match.Parse([]byte(s.Pattern))
		if err != nil {
			return 0, fault.Invalid.Errorf("pattern of suppressor %q: %w", s.Name, err)
		}
		if err := s.check(now); err != nil {
			return 0, err
		}
		if blank(s.Name) || len(s.Name) > 256 || !storable(s.Name, s.Pattern) {
			return 0, fault.Invalid.Errorf("a suppressor needs a name of at most 256 bytes")
		}
		s.ID, s.At, s.Rule = bus.ID(), now, ""
		ready[i] = &suppressor{s, pattern}
	}
	if err := h.db.Write(ctx, func(tx *db.Tx) error {
		if err := h.rulesChanged(tx); err != nil {
			return err
		}
		return insert(tx, "hub_suppressions", "id, name, pattern, kind, reason, owner, until, who, at", "", len(ready), func(i int) []any {
			s := ready[i]
			return []any{s.ID, s.Name, s.Pattern, s.Kind, s.Reason, s.Owner, s.until(), s.By, now.UnixMicro()}
		})
	}); err != nil {
		return 0, err
	}
	var seqs []int64
	if err := h.db.Read(ctx, func(tx *db.Tx) (err error) {
		seqs, err = db.All(tx, db.Value[int64], "SELECT DISTINCT finding FROM hub_presence WHERE target = ? ORDER BY finding", target)
		return err
	}); err != nil {
		return 0, err
	}
	for part := range slices.Chunk(seqs, importChunk) {
		if err := h.change(ctx, func(b *batch) error {
			did, err := b.suppressBy(ready, part)
			n += did
			return err
		}); err != nil {
			return n, err
		}
	}
	return n, nil
}

// suppressBy suppresses those of the findings that are open and that nobody decided about.
func (b *batch) suppressBy(list []*suppressor, seqs []int64) (n int, err error) {
	rows, err := b.bySeq(seqs)
	if err != nil {
		return 0, err
	}
	for _, r := range rows {
		f := r.finding
		if r.decided.has(fieldWorkflow) || !f.Open() {
			continue
		}
		i := slices.IndexFunc(list, func(s *suppressor) bool { return s.pattern.Match(r.doc) })
		if i < 0 {
			continue
		}
		s := list[i]
		setStatus(&f, finding.Suppressed)
		f.ProcessedAt = finding.Stamp(b.at)
		doc, p := encode(&f, true)
		if p != nil {
			continue
		}
		b.decide(r, &f, s.acceptance(b.at))
		b.put(r, f, doc, cause{bySuppressor, s.By, "suppressor " + s.Name}, false)
		n++
	}
	return n, nil
}
