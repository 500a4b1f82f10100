package hub

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// delta is one member of a finding that changed; nil is absent.
type delta struct {
	Path []string       `json:"p"`
	Old  jsontext.Value `json:"o,omitzero"`
	New  jsontext.Value `json:"n,omitzero"`
}

// diff is what turns one finding into another. It goes into objects and takes everything else whole.
func diff(old, new jsontext.Value) []delta {
	var out []delta
	diffInto(nil, old, new, &out)
	return out
}

func diffInto(path []string, old, new jsontext.Value, out *[]delta) {
	if bytes.Equal(old, new) {
		return
	}
	const deepest = 8 // what lies deeper is taken whole, so that nested input costs no more than its size
	if old.Kind() != '{' || new.Kind() != '{' || len(path) >= deepest {
		*out = append(*out, delta{slices.Clone(path), slices.Clone(old), slices.Clone(new)})
		return
	}
	before, after := members(old), members(new)
	names := map[string]bool{}
	for name := range before {
		names[name] = true
	}
	for name := range after {
		names[name] = true
	}
	for _, name := range slices.Sorted(keys(names)) {
		diffInto(append(path, name), before[name], after[name], out)
	}
}

func members(object jsontext.Value) map[string]jsontext.Value {
	m := map[string]jsontext.Value{}
	if err := json.Unmarshal(object, &m); err != nil {
		panic("hub: stored finding: " + err.Error()) // it was written by encode
	}
	return m
}

// undo is doc as it was before d.
func undo(doc jsontext.Value, d delta) jsontext.Value {
	if len(d.Path) == 0 {
		return d.Old
	}
	m := map[string]jsontext.Value{}
	if doc.Kind() == '{' {
		m = members(doc)
	}
	name := d.Path[0]
	if was := undo(m[name], delta{d.Path[1:], d.Old, d.New}); was == nil {
		delete(m, name)
	} else {
		m[name] = was
	}
	text, err := json.Marshal(m, json.Deterministic(true))
	if err != nil {
		panic("hub: history: " + err.Error()) // made of JSON values
	}
	return text
}

// Change is one entry of a finding's history.
type Change struct {
	Ref     Ref
	At      time.Time
	Created bool   // this is when the hub first heard of it
	Kind    string // BATCH_IMPORT_FINDINGS, BATCH_UPDATE_FINDINGS, UPDATE_FINDINGS, SCAN, EXPIRY, SUPPRESSOR
	Who     string // ARN of the principal or of the product
	Why     string
	Fields  []FieldChange
	rev     int64
	step    int64
	deltas  []delta
}

// FieldChange is one field that changed. Field is its path with dots; a text is as it is, everything else as JSON; "" is absent.
type FieldChange struct{ Field, Old, New string }

// HistoryQuery asks for a finding's history, the newest first.
type HistoryQuery struct {
	Ref      Ref
	From, To time.Time // zero: from the beginning, until now
	Limit    int       // 1 to 1,000; 0 is 100
	Token    string
}

// History is what happened to a finding.
func (h *Hub) History(ctx context.Context, q HistoryQuery) (changes []Change, token string, err error) {
	limit := q.Limit
	if limit <= 0 {
		limit = 100
	}
	limit = min(limit, 1000)
	var cursor historyCursor
	if q.Token != "" {
		if err := openToken(q.Token, &cursor); err != nil || cursor.Ref != q.Ref {
			return nil, "", fault.Invalid.Errorf("this token is not of this history")
		}
	}
	err = h.db.Read(ctx, func(tx *db.Tx) error {
		r, err := h.one(tx, q.Ref)
		if err != nil {
			return err
		}
		changes, err = h.changes(tx, r)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	var page []Change
	for _, c := range changes {
		before := q.Token == "" || c.rev < cursor.Rev || c.rev == cursor.Rev && c.step < cursor.Step
		if !before || !q.From.IsZero() && c.At.Before(q.From) || !q.To.IsZero() && c.At.After(q.To) {
			continue
		}
		if len(page) == limit {
			last := page[limit-1]
			return page, sealToken(historyCursor{q.Ref, last.rev, last.step}), nil
		}
		page = append(page, c)
	}
	return page, "", nil
}

type historyCursor struct {
	Ref  Ref
	Rev  int64
	Step int64
}

// changes are all of a finding's, the newest first; the last is its creation.
func (h *Hub) changes(tx *db.Tx, r *row) ([]Change, error) {
	ref := Ref{ProductARN: r.product, ID: r.id, Account: r.account}
	list, err := db.All(tx, func(scan db.Scan) (c Change, err error) {
		var at int64
		var text []byte
		c.Ref = ref
		if err := scan(&c.rev, &c.step, &at, &c.Kind, &c.Who, &c.Why, &text); err != nil {
			return c, err
		}
		c.At = time.UnixMicro(at).UTC()
		if err := json.Unmarshal(text, &c.deltas); err != nil {
			return c, fmt.Errorf("history of %s: %w", r.id, err)
		}
		for _, d := range c.deltas {
			if !isStamp(d.Path) {
				c.Fields = append(c.Fields, FieldChange{strings.Join(d.Path, "."), plain(d.Old), plain(d.New)})
			}
		}
		return c, nil
	}, "SELECT rev, step, at, kind, who, why, changes FROM hub_history WHERE finding = ? ORDER BY rev DESC, step DESC", r.seq)
	if err != nil {
		return nil, err
	}
	if n := len(list); n > 0 && len(list[n-1].deltas) == 0 && list[n-1].At.UnixMicro() == r.born {
		list[n-1].Created = true
		return list, nil
	}
	return append(list, Change{Ref: ref, At: time.UnixMicro(r.born).UTC(), Created: true, Kind: byImport, Who: r.product, rev: -1}), nil
}

// isStamp tells whether it is one of the top-level times, which history does not speak of.
func isStamp(path []string) bool {
	return len(path) == 1 && slices.Contains([]string{"CreatedAt", "UpdatedAt", "FirstObservedAt", "LastObservedAt", "ProcessedAt"}, path[0])
}

func plain(v jsontext.Value) string {
	if v.Kind() == '"' {
		if text, err := jsontext.AppendUnquote(nil, v); err == nil {
			return string(text)
		}
	}
	return string(v)
}

// At is a finding as it was at a time; fault.NotFound if it was not there yet.
func (h *Hub) At(ctx context.Context, ref Ref, at time.Time) (f finding.Finding, err error) {
	err = h.db.Read(ctx, func(tx *db.Tx) error {
		r, err := h.one(tx, ref)
		if err != nil {
			return err
		}
		changes, err := h.changes(tx, r)
		if err != nil {
			return err
		}
		doc := jsontext.Value(r.doc)
		for _, c := range changes {
			if !c.At.After(at) {
				f, err = finding.Parse(doc)
				return err
			}
			for _, d := range slices.Backward(c.deltas) {
				doc = undo(doc, d)
			}
		}
		return fault.NotFound.Errorf("finding %q was not there on %s", ref.ID, at.UTC().Format(time.RFC3339))
	})
	return f, err
}
