package hub

import (
	"context"
	"fmt"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// MaxUpdate is how many findings BatchUpdateFindings takes; Update itself has no limit.
const MaxUpdate = 100

// Update is what somebody decides about some findings. What is decided
// survives later imports.
type Update struct {
	Refs []Ref `json:"FindingIdentifiers"`
	Decision
	Accept *Acceptance `json:"-"` // with status SUPPRESSED: why, by whom and until when
	By     string      `json:"-"` // ARN of the principal
	Why    string      `json:"-"` // for the history

	If finding.Status `json:"-"` // leaves alone what is not in this status any more; "" asks for none
}

// Updated is what became of an update.
type Updated struct {
	Done   []Ref
	Failed []UpdateFailure
}

// UpdateFailure says why a finding was not updated.
type UpdateFailure struct {
	Ref           Ref
	Code, Message string
}

// The codes and messages of findings that were not updated.
const (
	FailNotFound   = "FindingNotFound"
	FailDuplicated = "DuplicatedFindingIdentifier"
	FailTooLarge   = "FindingSizeExceeded"
	FailInvalid    = "InvalidInput"
)

var failMessages = map[string]string{
	FailNotFound: "Finding Not Found", FailDuplicated: "Finding Identifier is duplicated",
	FailTooLarge: "Finding size exceeded 240 KB", FailInvalid: "Invalid Input",
}

func (u *Updated) fail(ref Ref, code string) {
	u.Failed = append(u.Failed, UpdateFailure{ref, code, failMessages[code]})
}

// Update makes decisions about findings. One that cannot be updated fails
// alone. The findings' UpdatedAt does not move: it is the provider's.
func (h *Hub) Update(ctx context.Context, u Update) (done Updated, err error) {
	if err := u.check(h.now()); err != nil {
		return done, err
	}
	for start := 0; start < len(u.Refs); start += importChunk {
		part := u.Refs[start:min(start+importChunk, len(u.Refs))]
		var did Updated
		if err := h.change(ctx, func(b *batch) (err error) {
			did, err = b.update(&u, part)
			return err
		}); err != nil {
			return done, fmt.Errorf("updating findings: %w", err)
		}
		done.Done, done.Failed = append(done.Done, did.Done...), append(done.Failed, did.Failed...)
	}
	return done, nil
}

func (u *Update) check(now time.Time) error {
	if len(u.Refs) == 0 {
		return fault.Invalid.Errorf("no finding is named")
	}
	if u.Accept != nil {
		if err := u.Accept.check(now); err != nil {
			return err
		}
		if u.Workflow == nil {
			u.Workflow = &finding.Workflow{Status: finding.Suppressed}
		}
		if u.Workflow.Status != finding.Suppressed {
			return fault.Invalid.Errorf("a risk is accepted with status SUPPRESSED, not %s", u.Workflow.Status)
		}
	}
	return u.Decision.check()
}

func (b *batch) update(u *Update, part []Ref) (did Updated, err error) {
	seen := map[Ref]int{}
	for _, ref := range part {
		seen[ref]++
	}
	rows, err := b.byRef(part)
	if err != nil {
		return did, err
	}
	for _, ref := range part {
		found := rows[Ref{ProductARN: ref.ProductARN, ID: ref.ID}]
		switch {
		case seen[ref] > 1:
			did.fail(ref, FailDuplicated)
			continue
		case !storable(ref.ID, ref.ProductARN):
			found = nil
		}
		any, fits := false, true
		for _, r := range found {
			if ref.Account == "" || ref.Account == r.account {
				any = true
				fits = b.decideOne(r, u) && fits
			}
		}
		switch {
		case !any:
			did.fail(ref, FailNotFound)
		case !fits:
			did.fail(ref, FailTooLarge)
		default:
			did.Done = append(did.Done, ref)
		}
	}
	return did, nil
}

// byRef loads the rows that are named; where no account is said, those of all accounts.
func (b *batch) byRef(refs []Ref) (map[Ref][]*row, error) {
	var ids []any
	for _, ref := range refs {
		if storable(ref.ID) {
			ids = append(ids, ref.ID)
		}
	}
	if err := b.loadWhere("id", ids); err != nil {
		return nil, err
	}
	rows := map[Ref][]*row{}
	for _, r := range b.rows {
		if !r.isNew() {
			ref := Ref{ProductARN: r.product, ID: r.id}
			rows[ref] = append(rows[ref], r)
		}
	}
	return rows, nil
}

// decideOne updates one finding; it tells whether the finding still fits into its limit.
func (b *batch) decideOne(r *row, u *Update) bool {
	f := r.finding
	if u.If != "" && f.Status() != u.If {
		return true
	}
	u.Decision.apply(&f, 0, b.at)
	if f.Note != nil && u.Note != nil {
		note := *f.Note
		note.UpdatedAt = finding.Stamp(b.at)
		f.Note = &note
	}
	f.ProcessedAt = finding.Stamp(b.at)
	doc, p := encode(&f, false)
	if p != nil {
		return false
	}
	set := u.Decision.sets()
	if set.has(fieldWorkflow) && u.Workflow.Status == finding.Notified {
		set &^= fieldWorkflow // that a message was sent is nobody's decision
	}
	r.decided |= set
	accept := u.Accept
	if accept != nil {
		a := *accept
		a.By, a.At, a.Rule = u.By, b.at, ""
		accept = &a
	}
	b.decide(r, &f, accept)
	b.put(r, f, doc, cause{byUpdate, u.By, u.Why}, false)
	b.touch(r)
	return true
}

// FilterUpdate is the deprecated UpdateFindings: a note and a record state for
// all findings that are meant. A later import may change both again.
type FilterUpdate struct {
	Filters     Filters             `json:"Filters"`
	Note        *Note               `json:"Note,omitzero"`
	RecordState finding.RecordState `json:"RecordState,omitzero"`
	By          string              `json:"-"`
}

// UpdateWhere is UpdateFindings. It tells how many findings it changed.
func (h *Hub) UpdateWhere(ctx context.Context, u FilterUpdate) (n int, err error) {
	if u.Note == nil && u.RecordState == "" {
		return 0, fault.Invalid.Errorf("neither Note nor RecordState is to be changed")
	}
	if len(u.Filters) == 0 {
		return 0, fault.Invalid.Errorf("Filters say nothing")
	}
	d := Decision{Note: u.Note}
	if u.Note != nil {
		if err := d.check(); err != nil {
			return 0, err
		}
	}
	if p := oneOf("RecordState", string(u.RecordState), string(finding.Active), string(finding.Archived)); p != nil {
		return 0, refuse(p)
	}
	seqs, err := h.meant(ctx, u.Filters, asQuery)
	if err != nil {
		return 0, err
	}
	for start := 0; start < len(seqs); start += importChunk {
		part := seqs[start:min(start+importChunk, len(seqs))]
		if err := h.change(ctx, func(b *batch) error {
			rows, err := b.bySeq(part)
			if err != nil {
				return err
			}
			for _, r := range rows {
				b.updateState(r, u, d)
			}
			return nil
		}); err != nil {
			return n, fmt.Errorf("updating findings: %w", err)
		}
		n += len(part)
	}
	return n, nil
}

func (b *batch) updateState(r *row, u FilterUpdate, d Decision) {
	f := r.finding
	d.apply(&f, 0, b.at)
	if u.RecordState != "" {
		f.RecordState = u.RecordState
	}
	arn, _ := parseProductARN(f.ProductARN)
	if reset(&f, &r.finding, arn, r.decided.has(fieldWorkflow)) {
		r.decided &^= fieldWorkflow
	}
	f.ProcessedAt = finding.Stamp(b.at)
	if doc, p := encode(&f, false); p == nil { // one that would grow too large stays as it is
		b.decide(r, &f, nil)
		b.put(r, f, doc, cause{byFilter, u.By, ""}, false)
	}
}

// meant are the numbers of the findings that filters mean.
func (h *Hub) meant(ctx context.Context, f Filters, m mode) (seqs []int64, err error) {
	p, err := compile(f, m, h.now())
	if err != nil {
		return nil, err
	}
	err = h.look(ctx, func(tx *db.Tx) error {
		seqs = nil
		return h.eachMeant(tx, p, func(seq int64, _ []byte) error {
			seqs = append(seqs, seq)
			return nil
		})
	})
	return seqs, err
}
