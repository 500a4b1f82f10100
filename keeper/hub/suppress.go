package hub

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/lang/match"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// Acceptance is why a finding is suppressed, who answers for it and until when.
type Acceptance struct {
	Kind   string    `json:"kind"`   // risk-accepted, false-positive, wont-fix, snoozed
	Reason string    `json:"reason"` // for those who come after
	Owner  string    `json:"owner"`  // who answers for it
	Until  time.Time `json:"until,omitzero"`
	Rule   string    `json:"rule,omitzero"` // the Suppressor it is from
	By     string    `json:"by,omitzero"`   // who said so
	At     time.Time `json:"at,omitzero"`
}

// acceptanceKinds are the kinds there are.
var acceptanceKinds = []string{"risk-accepted", "false-positive", "wont-fix", "snoozed"}

func (a *Acceptance) check(now time.Time) error {
	if a.Kind == "" {
		a.Kind = acceptanceKinds[0]
	}
	switch {
	case !slices.Contains(acceptanceKinds, a.Kind):
		return fault.Invalid.Errorf("%q is none of %q", a.Kind, acceptanceKinds)
	case blank(a.Reason):
		return fault.Invalid.Errorf("accepting a risk needs a reason")
	case blank(a.Owner):
		return fault.Invalid.Errorf("accepting a risk needs an owner")
	case !a.Until.IsZero() && !a.Until.After(now):
		return fault.Invalid.Errorf("it would end on %s, which is past", a.Until.UTC().Format(time.RFC3339))
	case a.Kind == "snoozed" && a.Until.IsZero():
		return fault.Invalid.Errorf("a snooze needs an end")
	case !storable(a.Reason, a.Owner, a.By):
		return fault.Invalid.Errorf("reason and owner must be texts")
	case len(a.Reason) > 4096 || len(a.Owner) > 512:
		return fault.Limit.Errorf("a reason has at most 4,096 bytes, an owner 512")
	}
	return nil
}

func (a *Acceptance) until() int64 {
	if a.Until.IsZero() {
		return 0
	}
	return a.Until.UnixMicro()
}

func fromMicros(at int64) time.Time {
	if at == 0 {
		return time.Time{}
	}
	return time.UnixMicro(at).UTC()
}

// decide notes an acceptance that comes, or that goes since f is suppressed no more.
func (b *batch) decide(r *row, f *finding.Finding, accept *Acceptance) {
	switch {
	case accept != nil:
		r.accept, r.spoken = accept, true
	case f.Status() != finding.Suppressed && !r.isNew() && r.finding.Status() == finding.Suppressed:
		r.accept, r.spoken = nil, true
	}
}

// outgrown reopens what was accepted and has become worse since: it is not
// what was accepted. A false positive stays one, and what was suppressed
// without a reason stays suppressed, as in Security Hub.
func (b *batch) outgrown(f, was *finding.Finding, r *row) (why string, err error) {
	if was == nil || f.Status() != finding.Suppressed || f.Label().Rank() <= was.Label().Rank() {
		return "", nil
	}
	kinds, err := db.All(b.tx, db.Value[string], "SELECT kind FROM hub_acceptances WHERE finding = ?", r.seq)
	if err != nil || len(kinds) == 0 || kinds[0] == "false-positive" {
		return "", err
	}
	setStatus(f, finding.New)
	r.decided &^= fieldWorkflow
	return fmt.Sprintf("it was accepted as %s and is %s", was.Label(), f.Label()), nil
}

func (b *batch) storeAcceptances(int64) error {
	for _, r := range b.order {
		if !r.spoken {
			continue
		}
		if r.accept == nil {
			if _, err := b.tx.Exec("DELETE FROM hub_acceptances WHERE finding = ?", r.seq); err != nil {
				return err
			}
			continue
		}
		a := r.accept
		if _, err := b.tx.Exec(`INSERT INTO hub_acceptances (finding, kind, reason, owner, until, rule, who, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (finding) DO UPDATE SET kind = excluded.kind, reason = excluded.reason, owner = excluded.owner, until = excluded.until, rule = excluded.rule, who = excluded.who, at = excluded.at`,
			r.seq, a.Kind, a.Reason, a.Owner, a.until(), a.Rule, a.By, a.At.UnixMicro()); err != nil {
			return fmt.Errorf("writing acceptances: %w", err)
		}
	}
	return nil
}

// Accepted is a finding that is suppressed for a reason.
type Accepted struct {
	Ref   Ref
	Title string
	Acceptance
}

// Acceptances are all that are in force, those that end soonest first; those without end come last.
func (h *Hub) Acceptances(ctx context.Context) (list []Accepted, err error) {
	err = h.db.Read(ctx, func(tx *db.Tx) error {
		list, err = db.All(tx, scanAccepted, acceptedQuery+" ORDER BY CASE WHEN a.until = 0 THEN 1 ELSE 0 END, a.until, a.finding")
		return err
	})
	return list, err
}

// AcceptanceOf is why a finding is suppressed; fault.NotFound where nobody said.
func (h *Hub) AcceptanceOf(ctx context.Context, ref Ref) (a Acceptance, err error) {
	err = h.db.Read(ctx, func(tx *db.Tx) error {
		r, err := h.one(tx, ref)
		if err != nil {
			return err
		}
		one, err := db.One(tx, scanAccepted, acceptedQuery+" WHERE a.finding = ?", r.seq)
		a = one.Acceptance
		return err
	})
	return a, err
}

const acceptedQuery = "SELECT a.kind, a.reason, a.owner, a.until, a.rule, a.who, a.at, f.doc FROM hub_acceptances a JOIN hub_findings f ON f.seq = a.finding"

func scanAccepted(scan db.Scan) (a Accepted, err error) {
	var until, at int64
	var doc []byte
	if err := scan(&a.Kind, &a.Reason, &a.Owner, &until, &a.Rule, &a.By, &at, &doc); err != nil {
		return a, err
	}
	f, err := finding.Parse(doc)
	a.Ref, a.Title, a.Until, a.At = RefOf(f), f.Title, fromMicros(until), fromMicros(at)
	return a, err
}

// Expire ends suppressions and suppressors that are over: their findings are
// NEW again and told of. It tells when the next one ends; zero is never.
func (h *Hub) Expire(ctx context.Context) (next time.Time, err error) {
	now := h.now()
	if err := h.expireSuppressors(ctx, now); err != nil {
		return next, err
	}
	for {
		n, err := h.reopen(ctx, cause{byExpiry, "", "the suppression is over"}, "until > 0 AND until <= ?", now.UnixMicro())
		if err != nil {
			return next, err
		}
		if n == 0 {
			break
		}
	}
	err = h.db.Read(ctx, func(tx *db.Tx) error {
		soonest, err := db.All(tx, db.Value[int64], `SELECT until FROM hub_acceptances WHERE until > 0 UNION SELECT until FROM hub_suppressions WHERE until > 0 ORDER BY until LIMIT 1`)
		if len(soonest) > 0 {
			next = fromMicros(soonest[0])
		}
		return err
	})
	return next, err
}

// reopen makes NEW up to some hundred of the findings whose acceptances answer to where, and tells how many there were.
func (h *Hub) reopen(ctx context.Context, c cause, where string, args ...any) (n int, err error) {
	err = h.change(ctx, func(b *batch) error {
		seqs, err := db.All(b.tx, db.Value[int64], "SELECT finding FROM hub_acceptances WHERE "+where+" ORDER BY finding LIMIT 250", args...)
		if err != nil || len(seqs) == 0 {
			return err
		}
		n = len(seqs)
		rows, err := b.bySeq(seqs)
		if err != nil {
			return err
		}
		for _, r := range rows {
			f := r.finding
			r.accept, r.spoken = nil, true
			r.decided &^= fieldWorkflow
			b.touch(r)
			if f.Status() != finding.Suppressed {
				continue
			}
			setStatus(&f, finding.New)
			f.ProcessedAt = finding.Stamp(b.at)
			doc, p := encode(&f, true)
			if p != nil {
				return refuse(p)
			}
			b.put(r, f, doc, c, false)
		}
		return nil
	})
	return n, err
}

// Suppressor suppresses what its pattern matches as it comes in: an
// EventBridge event pattern over a finding's ASFF, such as
// {"ProductFields": {"haechi/file": [{"prefix": "vendor/"}]}}.
type Suppressor struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Pattern string `json:"pattern"`
	Acceptance
}

// AddSuppressor takes a suppressor in force. With stored, what is already
// there and open is suppressed too. It gives the suppressor with its ID, and
// how many stored findings were suppressed.
func (h *Hub) AddSuppressor(ctx context.Context, s Suppressor, stored bool) (Suppressor, int, error) {
	pattern, err := match.Parse([]byte(s.Pattern))
	if err != nil {
		return s, 0, fault.Invalid.Errorf("pattern of suppressor %q: %w", s.Name, err)
	}
	now := h.now()
	if err := s.check(now); err != nil {
		return s, 0, err
	}
	if blank(s.Name) || len(s.Name) > 256 || !storable(s.Name, s.Pattern) {
		return s, 0, fault.Invalid.Errorf("a suppressor needs a name of at most 256 bytes")
	}
	s.ID, s.At, s.Rule = bus.ID(), now, ""
	if err := h.db.Write(ctx, func(tx *db.Tx) error {
		if err := h.rulesChanged(tx); err != nil {
			return err
		}
		_, err := tx.Exec("INSERT INTO hub_suppressions (id, name, pattern, kind, reason, owner, until, who, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
			s.ID, s.Name, s.Pattern, s.Kind, s.Reason, s.Owner, s.until(), s.By, now.UnixMicro())
		return err
	}); err != nil || !stored {
		return s, 0, err
	}
	n, err := h.suppressStored(ctx, &suppressor{s, pattern})
	return s, n, err
}

// TrySuppressor tells which stored and open findings a pattern would suppress, at most limit of them, and how many there are.
func (h *Hub) TrySuppressor(ctx context.Context, pattern string, limit int) (list []finding.Finding, n int, err error) {
	p, err := match.Parse([]byte(pattern))
	if err != nil {
		return nil, 0, err
	}
	err = h.eachOpen(ctx, func(_ int64, doc []byte) error {
		if !p.Match(doc) {
			return nil
		}
		if n++; n > limit {
			return nil
		}
		f, err := finding.Parse(doc)
		list = append(list, f)
		return err
	})
	return list, n, err
}

// eachOpen visits what is active and not suppressed.
func (h *Hub) eachOpen(ctx context.Context, visit func(seq int64, doc []byte) error) error {
	p, err := compile(Filters{"RecordState": Is("ACTIVE"), "WorkflowStatus": Is("NEW", "NOTIFIED", "RESOLVED")}, asQuery, h.now())
	if err != nil {
		return err
	}
	return h.look(ctx, func(tx *db.Tx) error {
		return h.eachMeant(tx, p, visit)
	})
}

func (h *Hub) suppressStored(ctx context.Context, s *suppressor) (n int, err error) {
	var seqs []int64
	if err := h.eachOpen(ctx, func(seq int64, doc []byte) error {
		if s.pattern.Match(doc) {
			seqs = append(seqs, seq)
		}
		return nil
	}); err != nil {
		return 0, err
	}
	for part := range slices.Chunk(seqs, importChunk) {
		if err := h.change(ctx, func(b *batch) error {
			rows, err := b.bySeq(part)
			if err != nil {
				return err
			}
			for _, r := range rows {
				f := r.finding
				if r.decided.has(fieldWorkflow) || f.Status() == finding.Suppressed || !s.pattern.Match(r.doc) {
					continue
				}
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
			return nil
		}); err != nil {
			return n, err
		}
	}
	return n, nil
}

// RemoveSuppressor takes a suppressor out of force; what it suppressed is NEW again.
func (h *Hub) RemoveSuppressor(ctx context.Context, id, by string) error {
	if err := h.db.Write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec("DELETE FROM hub_suppressions WHERE id = ?", clean(id))
		if err == nil && n == 0 {
			err = fault.NotFound.Errorf("there is no suppressor %q", id)
		}
		if err != nil {
			return err
		}
		return h.rulesChanged(tx)
	}); err != nil {
		return err
	}
	for {
		n, err := h.reopen(ctx, cause{bySuppressor, by, "suppressor " + id + " was removed"}, "rule = ?", id)
		if err != nil || n == 0 {
			return err
		}
	}
}

func (h *Hub) expireSuppressors(ctx context.Context, now time.Time) error {
	var over []string
	if err := h.db.Read(ctx, func(tx *db.Tx) (err error) {
		over, err = db.All(tx, db.Value[string], "SELECT id FROM hub_suppressions WHERE until > 0 AND until <= ?", now.UnixMicro())
		return err
	}); err != nil {
		return err
	}
	for _, id := range over {
		if err := h.RemoveSuppressor(ctx, id, ""); err != nil && fault.Of(err) != fault.NotFound { // another node may have been faster
			return err
		}
	}
	return nil
}

// Suppressors are those in force, by name.
func (h *Hub) Suppressors(ctx context.Context) (list []Suppressor, err error) {
	err = h.db.Read(ctx, func(tx *db.Tx) error {
		list, err = readSuppressors(tx)
		return err
	})
	return list, err
}

func readSuppressors(tx *db.Tx) ([]Suppressor, error) {
	return db.All(tx, func(scan db.Scan) (s Suppressor, err error) {
		var until, at int64
		err = scan(&s.ID, &s.Name, &s.Pattern, &s.Kind, &s.Reason, &s.Owner, &until, &s.By, &at)
		s.Until, s.At = fromMicros(until), fromMicros(at)
		return s, err
	}, "SELECT id, name, pattern, kind, reason, owner, until, who, at FROM hub_suppressions ORDER BY name, id")
}

// suppressor is one made ready.
type suppressor struct {
	Suppressor
	pattern *match.Pattern
}

func (s *suppressor) acceptance(at time.Time) *Acceptance {
	a := s.Acceptance
	a.Rule, a.At = s.ID, at
	return &a
}
