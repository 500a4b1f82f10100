package hub

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// identity is what makes a finding one.
type identity struct{ account, product, id string }

func identityOf(f *finding.Finding) identity { return identity{f.AccountID, f.ProductARN, f.ID} }

// row is a stored finding, or one that is about to be.
type row struct {
	identity
	seq     int64 // 0 until it is stored
	born    int64
	decided fields
	doc     []byte
	finding finding.Finding // doc, read
	dirty   bool
	spoken  bool // the acceptance in the database is no longer true, or there is a new one
	accept  *Acceptance
}

// isNew tells whether nothing of it has been stored or decided yet.
func (r *row) isNew() bool { return r.doc == nil }

// cause is who changes a finding, and why.
type cause struct{ kind, who, why string }

// The kinds of causes, as GetFindingHistory has them, and ours.
const (
	byImport     = "BATCH_IMPORT_FINDINGS"
	byUpdate     = "BATCH_UPDATE_FINDINGS"
	byFilter     = "UPDATE_FINDINGS"
	byScan       = "SCAN"       // a complete scan that no longer saw it
	byExpiry     = "EXPIRY"     // a suppression that was over
	bySuppressor = "SUPPRESSOR" // a suppression rule that came or went
)

// batch is one transaction over findings: rows are loaded, changed in memory,
// and written with their history, events and counts at its end.
type batch struct {
	hub      *Hub
	tx       *db.Tx
	at       time.Time
	rows     map[identity]*row
	order    []*row
	history  []historyRow
	events   []event.Event
	trend    map[trendKey]*trendCount
	presence []presenceRow

	claims    []*row        // what they say is new, or said in another way; see tieClaims
	unclaimed map[*row]bool // of these, those that said something before
}

type historyRow struct {
	row     *row
	cause   cause
	changes []delta
}

// change runs work as one batch.
func (h *Hub) change(ctx context.Context, work func(*batch) error) error {
	return h.db.Write(ctx, func(tx *db.Tx) error {
		b := &batch{hub: h, tx: tx, at: h.now(), rows: map[identity]*row{}, trend: map[trendKey]*trendCount{}}
		if err := work(b); err != nil {
			return err
		}
		tx.AfterCommit(func() {
			select {
			case h.changed <- struct{}{}:
			default: // the follower knows already
			}
		})
		return b.flush()
	})
}

const rowColumns = "seq, account, product, id, born, decided, doc"

func scanRow(scan db.Scan) (*row, error) {
	r := &row{}
	if err := scan(&r.seq, &r.account, &r.product, &r.id, &r.born, &r.decided, &r.doc); err != nil {
		return nil, err
	}
	f, err := finding.Parse(r.doc)
	if err != nil {
		return nil, fmt.Errorf("stored finding %d: %w", r.seq, err)
	}
	r.finding = f
	return r, nil
}

const chunk = 500 // parameters of one IN list

// load reads the rows of these identities; those that are not there come back as new ones.
func (b *batch) load(wanted []identity) error {
	var ids []any
	seen := map[string]bool{}
	for _, w := range wanted {
		if b.rows[w] == nil && !seen[w.id] {
			seen[w.id] = true
			ids = append(ids, w.id)
		}
	}
	if err := b.loadWhere("id", ids); err != nil {
		return err
	}
	for _, w := range wanted {
		if b.rows[w] == nil {
			b.rows[w] = &row{identity: w}
		}
	}
	return nil
}

func (b *batch) loadWhere(column string, values []any) error {
	for len(values) > 0 {
		n := min(chunk, len(values))
		rows, err := db.All(b.tx, scanRow, "SELECT "+rowColumns+" FROM hub_findings WHERE "+column+" IN ("+marks(n)+")", values[:n]...)
		if err != nil {
			return fmt.Errorf("reading findings: %w", err)
		}
		for _, r := range rows {
			if b.rows[r.identity] == nil {
				b.rows[r.identity] = r
			}
		}
		values = values[n:]
	}
	return nil
}

// bySeq loads rows by their numbers, in that order.
func (b *batch) bySeq(seqs []int64) ([]*row, error) {
	if err := b.loadWhere("seq", anys(seqs)); err != nil {
		return nil, err
	}
	at := map[int64]*row{}
	for _, r := range b.rows {
		at[r.seq] = r
	}
	var rows []*row
	for _, s := range seqs {
		if r := at[s]; r != nil {
			rows = append(rows, r)
		}
	}
	return rows, nil
}

func anys(numbers []int64) []any {
	values := make([]any, len(numbers))
	for i, n := range numbers {
		values[i] = n
	}
	return values
}

// marks is n question marks. Lengths are rounded up by the caller's chunks, so that few statements are prepared.
func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?,", n), ",") }

// put makes f, whose JSON is doc, what the row says. A quiet change is only of
// when and where it was seen last: no history, no event.
func (b *batch) put(r *row, f finding.Finding, doc []byte, c cause, quiet bool) {
	if !r.isNew() && bytes.Equal(doc, r.doc) {
		return
	}
	if !quiet {
		b.count(r, &f)
		switch {
		case !r.isNew():
			b.history = append(b.history, historyRow{r, c, diff(r.doc, doc)})
		case c.why != "":
			b.history = append(b.history, historyRow{r, c, nil}) // a rule had its say from the start
		}
		b.events = append(b.events, imported(&f, doc))
	}
	b.claimed(r, &f)
	if r.isNew() {
		r.born = b.at.UnixMicro()
	}
	r.finding, r.doc = f, doc
	b.touch(r)
}

// touch has the row written at the end.
func (b *batch) touch(r *row) {
	if !r.dirty {
		r.dirty = true
		b.order = append(b.order, r)
	}
}

func imported(f *finding.Finding, doc []byte) event.Event {
	detail := make(jsontext.Value, 0, len(doc)+16)
	detail = append(detail, `{"findings":[`...)
	detail = append(append(detail, doc...), "]}"...)
	return event.Event{Type: finding.Imported, Source: finding.Source, Account: f.AccountID, Region: f.Region, Resources: []string{f.ProductARN + "/" + f.ID}, Detail: detail}
}

func (b *batch) flush() error {
	if len(b.order) == 0 && len(b.presence) == 0 {
		return nil
	}
	if len(b.order) > 0 {
		rev, err := next(b.tx, "rev", 1)
		if err != nil {
			return err
		}
		if err := b.store(rev); err != nil {
			return err
		}
		for _, step := range []func(int64) error{b.storeHistory, b.storeAcceptances} {
			if err := step(rev); err != nil {
				return err
			}
		}
		if err := b.storeTrend(); err != nil {
			return err
		}
	}
	if err := b.storePresence(); err != nil {
		return err
	}
	if err := b.tieClaims(); err != nil {
		return err
	}
	return b.hub.bus.Publish(b.tx, b.events...)
}

// next takes the next n numbers of a counter and tells the last of them.
func next(tx *db.Tx, counter string, n int) (int64, error) {
	return db.One(tx, db.Value[int64], "UPDATE hub_counters SET value = value + ? WHERE name = ? RETURNING value", n, counter)
}

func (b *batch) store(rev int64) error {
	fresh := 0
	for _, r := range b.order {
		if r.seq == 0 {
			fresh++
		}
	}
	if fresh > 0 {
		last, err := next(b.tx, "seq", fresh)
		if err != nil {
			return err
		}
		seq := last - int64(fresh)
		for _, r := range b.order {
			if r.seq == 0 {
				seq++
				r.seq = seq
			}
		}
	}
	return insert(b.tx, "hub_findings", "seq, rev, account, product, id, born, decided, facets, doc",
		"ON CONFLICT (seq) DO UPDATE SET rev = excluded.rev, decided = excluded.decided, facets = excluded.facets, doc = excluded.doc", len(b.order), func(i int) []any {
			r := b.order[i]
			return []any{r.seq, rev, r.account, r.product, r.id, r.born, int64(r.decided), facetsOf(&r.finding), string(r.doc)}
		})
}

func (b *batch) storeHistory(rev int64) error {
	return insert(b.tx, "hub_history", "finding, rev, step, at, kind, who, why, changes", "", len(b.history), func(i int) []any {
		h := b.history[i]
		text, err := json.Marshal(h.changes)
		if err != nil {
			panic("hub: history: " + err.Error()) // made of JSON values
		}
		return []any{h.row.seq, rev, i, b.at.UnixMicro(), h.cause.kind, clean(h.cause.who), clean(h.cause.why), string(text)}
	})
}

// clean is a text as every database takes it.
func clean(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "")
}

// insert writes n rows, many a statement. Batches are of few sizes, so that few statements are prepared.
func insert(tx *db.Tx, table, columns, conflict string, n int, values func(i int) []any) error {
	one := "(" + marks(strings.Count(columns, ",")+1) + ")"
	for at := 0; at < n; {
		size := 1
		for _, s := range []int{100, 10} {
			if n-at >= s {
				size = s
				break
			}
		}
		args := make([]any, 0, size*8)
		for i := range size {
			args = append(args, values(at+i)...)
		}
		query := "INSERT INTO " + table + " (" + columns + ") VALUES " + strings.TrimSuffix(strings.Repeat(one+",", size), ",") + " " + conflict
		if _, err := tx.Exec(query, args...); err != nil {
			return fmt.Errorf("writing %s: %w", table, err)
		}
		at += size
	}
	return nil
}

// refuse turns a problem into what the caller of one finding hears.
func refuse(p *problem) error { return fault.Invalid.Wrap(p) }
