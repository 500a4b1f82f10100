package hub

import (
	"cmp"
	"container/heap"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// Query asks for findings. The zero value asks for all, the latest known first.
type Query struct {
	Filters Filters
	Sort    []Sort
	Limit   int    // a page's size, 1 to 1,000; 0 is 100
	Token   string // of the page before
}

// Sort names an attribute to sort by: any of a text, a number or a date.
type Sort struct {
	Field     string `json:"Field"`
	SortOrder string `json:"SortOrder,omitzero"` // asc (the default) or desc
}

// Page is part of an answer. Token is empty on the last one.
//
// While findings change, paging goes on: one that is not touched meanwhile
// comes exactly once; one that is may come where it stood or where it stands.
// "Within the last days" is meant from the first page on.
type Page struct {
	Findings []finding.Finding
	Token    string
}

// cursor is what a page token says.
type cursor struct {
	Question string    `json:"q"`
	Now      int64     `json:"t"`
	Place    *place    `json:"p,omitzero"` // where the index sorts
	Keys     []sortKey `json:"k,omitzero"` // where it does not
	Seq      int64     `json:"s,omitzero"`
}

func (q *Query) prepare(now time.Time) (c cursor, at time.Time, err error) {
	if q.Limit == 0 {
		q.Limit = 100
	}
	if q.Limit < 1 || q.Limit > 1000 {
		return c, at, fault.Invalid.Errorf("a page has 1 to 1,000 findings, not %d", q.Limit)
	}
	if len(q.Sort) > 10 {
		return c, at, fault.Invalid.Errorf("sorting by %d attributes, more than 10", len(q.Sort))
	}
	for _, s := range q.Sort {
		a := attributes[s.Field]
		if a == nil || a.kind != isText && a.kind != isNumber && a.kind != isDate {
			return c, at, fault.Invalid.Errorf("cannot sort by %q%s", s.Field, suggest(s.Field))
		}
		if s.SortOrder != "" && s.SortOrder != "asc" && s.SortOrder != "desc" {
			return c, at, fault.Invalid.Errorf("cannot sort in the order %q: asc or desc", s.SortOrder)
		}
	}
	text, err := json.Marshal([]any{q.Filters, q.Sort}, json.Deterministic(true))
	if err != nil {
		return c, at, fault.Invalid.Errorf("filters: %w", err)
	}
	sum := sha256.Sum256(text)
	question := hex.EncodeToString(sum[:12])
	if q.Token == "" {
		return cursor{Question: question, Now: now.UnixMicro()}, now, nil
	}
	if err := openToken(q.Token, &c); err != nil {
		return c, at, err
	}
	if c.Question != question || c.Now > now.UnixMicro() || c.Place == nil && len(c.Keys) != len(q.Sort) {
		return c, at, fault.Invalid.Errorf("this page token is not of this question")
	}
	return c, time.UnixMicro(c.Now), nil
}

// Find is a page of the findings that are meant.
func (h *Hub) Find(ctx context.Context, q Query) (page Page, err error) {
	docs, token, err := h.FindJSON(ctx, q)
	if err != nil {
		return page, err
	}
	page = Page{Findings: make([]finding.Finding, len(docs)), Token: token}
	for i, doc := range docs {
		if page.Findings[i], err = finding.Parse(doc); err != nil {
			return Page{}, err
		}
	}
	return page, nil
}

// FindJSON is Find for whoever hands the findings on as they are.
func (h *Hub) FindJSON(ctx context.Context, q Query) (docs []jsontext.Value, token string, err error) {
	at, now, err := q.prepare(h.now())
	if err != nil {
		return nil, "", err
	}
	p, err := compile(q.Filters, asQuery, now)
	if err != nil {
		return nil, "", err
	}
	err = h.look(ctx, func(tx *db.Tx) error {
		field, desc := "", true
		if len(q.Sort) > 0 {
			field, desc = q.Sort[0].Field, q.Sort[0].SortOrder == "desc"
		}
		h.index.mu.RLock()
		_, indexed := h.index.orderBy(field, desc)
		h.index.mu.RUnlock()
		if indexed && len(q.Sort) < 2 {
			docs, token, err = h.findIndexed(tx, p, field, desc, at, q.Limit)
		} else {
			docs, token, err = h.findSorted(tx, p, q, at)
		}
		return err
	})
	return docs, token, err
}

// candidates are the first n rows in order after a place, of these rows if
// there are any.
func (h *Hub) candidates(p *predicate, rows []int, field string, desc bool, n int, after *place) []place {
	h.index.mu.RLock()
	defer h.index.mu.RUnlock()
	o, _ := h.index.orderBy(field, desc)
	l := h.index.look(p)
	defer l.done()
	if rows != nil {
		return l.topOf(rows, o, n, after)
	}
	return l.top(o, n, after)
}

// byID are the rows that can be meant where the question names their Ids; nil where it does not.
func byID(tx *db.Tx, p *predicate) (rows []int, err error) {
	for _, t := range p.tests {
		if x := t.texts; t.attribute.name != "Id" || len(x.equals) == 0 || len(x.equals) > chunk || len(x.prefixes) > 0 {
			continue
		}
		var ids []any
		for _, id := range t.texts.equals {
			if storable(id) {
				ids = append(ids, id)
			}
		}
		rows = []int{}
		if len(ids) == 0 {
			return rows, nil
		}
		return rows, tx.Each(func(scan db.Scan) error {
			var seq int
			err := scan(&seq)
			rows = append(rows, seq-1)
			return err
		}, "SELECT seq FROM hub_findings WHERE id IN ("+marks(len(ids))+")", ids...)
	}
	return nil, nil
}

// findIndexed answers from the index, and asks the findings themselves
// whether they are meant: they say what the index does not know.
func (h *Hub) findIndexed(tx *db.Tx, p *predicate, field string, desc bool, at cursor, limit int) (found []jsontext.Value, token string, err error) {
	after, n := at.Place, limit+1
	rows, err := byID(tx, p)
	if err != nil {
		return nil, "", err
	}
	for {
		places := h.candidates(p, rows, field, desc, n, after)
		for part := range slices.Chunk(places, max(limit+1, chunk)) {
			docs, err := readDocs(tx, part)
			if err != nil {
				return nil, "", err
			}
			for _, c := range part {
				doc := docs[c.Row]
				if doc == nil || !p.match(doc) {
					continue
				}
				if len(found) == limit {
					at.Place = after
					return found, sealToken(at), nil
				}
				found = append(found, doc)
				after = &place{c.Key, c.Row}
			}
		}
		if len(places) < n {
			return found, "", nil
		}
		last := places[len(places)-1]
		after = &last
		n = min(n*4, 20_000)
	}
}

// readDocs reads findings, at most some hundred, by their rows.
func readDocs(tx *db.Tx, places []place) (map[int][]byte, error) {
	docs := make(map[int][]byte, len(places))
	for part := range slices.Chunk(places, chunk) {
		args := make([]any, len(part))
		for i, p := range part {
			args[i] = int64(p.Row + 1)
		}
		if err := tx.Each(func(scan db.Scan) error {
			var seq int
			var doc []byte
			if err := scan(&seq, &doc); err != nil {
				return err
			}
			docs[seq-1] = doc
			return nil
		}, "SELECT seq, doc FROM hub_findings WHERE seq IN ("+marks(len(part))+")", args...); err != nil {
			return nil, err
		}
	}
	return docs, nil
}

// sortKey is a value to sort by. What is not said comes last either way.
type sortKey struct {
	Missing bool    `json:"m,omitzero"`
	Number  float64 `json:"n,omitzero"`
	Text    string  `json:"t,omitzero"`
}

func (k sortKey) compare(o sortKey, desc bool) int {
	if k.Missing || o.Missing {
		switch {
		case k.Missing == o.Missing:
			return 0
		case k.Missing:
			return 1
		}
		return -1
	}
	c := cmp.Or(cmp.Compare(k.Number, o.Number), strings.Compare(k.Text, o.Text))
	if desc {
		return -c
	}
	return c
}

func severityRank(label string) int { return finding.Label(label).Rank() }

func keyOf(a *attribute, values []value) sortKey {
	if len(values) == 0 {
		return sortKey{Missing: true}
	}
	v := values[0]
	switch {
	case a.name == "SeverityLabel":
		return sortKey{Number: float64(severityRank(v.text))}
	case a.kind == isNumber:
		return sortKey{Number: v.number, Missing: !v.isNumber}
	case a.kind == isDate:
		at := micros(v.text)
		return sortKey{Number: float64(at), Missing: at == never}
	}
	return sortKey{Text: clip(v.text)}
}

// clip shortens a sort key, so that a token of ten of them stays small.
func clip(text string) string {
	const most = 400
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "")
	}
	return text
}

// sorted is a finding on its way into a page that the index cannot sort.
type sorted struct {
	keys []sortKey
	seq  int64
	doc  []byte
}

// worstFirst is a heap of the best findings so far, the worst of them on top.
type worstFirst struct {
	list   []sorted
	before func(a, b sorted) bool
}

func (w *worstFirst) Len() int           { return len(w.list) }
func (w *worstFirst) Less(i, j int) bool { return w.before(w.list[j], w.list[i]) }
func (w *worstFirst) Swap(i, j int)      { w.list[i], w.list[j] = w.list[j], w.list[i] }
func (w *worstFirst) Push(x any)         { w.list = append(w.list, x.(sorted)) }
func (w *worstFirst) Pop() any {
	last := w.list[len(w.list)-1]
	w.list = w.list[:len(w.list)-1]
	return last
}

// findSorted reads every finding that may be meant and keeps the best.
func (h *Hub) findSorted(tx *db.Tx, p *predicate, q Query, at cursor) (found []jsontext.Value, token string, err error) {
	var by []test
	for _, s := range q.Sort {
		by = append(by, test{attribute: attributes[s.Field]})
	}
	wants := newTrie(by)
	best := &worstFirst{before: func(a, b sorted) bool {
		for i, s := range q.Sort {
			if c := a.keys[i].compare(b.keys[i], s.SortOrder == "desc"); c != 0 {
				return c < 0
			}
		}
		return a.seq > b.seq
	}}
	after := sorted{keys: at.Keys, seq: at.Seq}
	err = h.eachMeant(tx, p, func(seq int64, doc []byte) error {
		s := sorted{seq: seq, doc: doc}
		for i, values := range wants.read(doc, len(by)) {
			s.keys = append(s.keys, keyOf(by[i].attribute, values))
		}
		if q.Token != "" && !best.before(after, s) || best.Len() > q.Limit && !best.before(s, best.list[0]) {
			return nil
		}
		heap.Push(best, s)
		if best.Len() > q.Limit+1 {
			heap.Pop(best)
		}
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	slices.SortFunc(best.list, func(a, b sorted) int {
		if best.before(a, b) {
			return -1
		}
		return 1
	})
	for i, s := range best.list {
		if i == q.Limit {
			last := best.list[i-1]
			token = sealToken(cursor{Question: at.Question, Now: at.Now, Keys: last.keys, Seq: last.seq})
			break
		}
		found = append(found, s.doc)
	}
	return found, token, nil
}

// eachMeant visits the JSON of every finding that is meant, in no particular order.
func (h *Hub) eachMeant(tx *db.Tx, p *predicate, visit func(seq int64, doc []byte) error) error {
	var places []place
	h.index.mu.RLock()
	l := h.index.look(p)
	for i := range h.index.class {
		if l.may(i) {
			places = append(places, place{Row: i})
		}
	}
	l.done()
	h.index.mu.RUnlock()
	for part := range slices.Chunk(places, chunk) {
		docs, err := readDocs(tx, part)
		if err != nil {
			return err
		}
		for _, c := range part {
			if doc := docs[c.Row]; doc != nil && p.match(doc) {
				if err := visit(int64(c.Row+1), doc); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// one is the row of a finding, or fault.NotFound.
func (h *Hub) one(tx *db.Tx, ref Ref) (*row, error) {
	rows, err := h.named(tx, ref)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, fault.NotFound.Errorf("there is no finding %q of %s", ref.ID, ref.ProductARN)
	}
	return rows[0], nil
}

func (h *Hub) named(tx *db.Tx, ref Ref) ([]*row, error) {
	where, args := "id = ? AND product = ?", []any{ref.ID, ref.ProductARN}
	if !storable(ref.ID, ref.ProductARN, ref.Account) {
		return nil, nil
	}
	if ref.Account != "" {
		where, args = where+" AND account = ?", append(args, ref.Account)
	}
	return db.All(tx, scanRow, "SELECT "+rowColumns+" FROM hub_findings WHERE "+where+" ORDER BY seq", args...)
}

// Get is one finding; fault.NotFound if there is none.
func (h *Hub) Get(ctx context.Context, ref Ref) (f finding.Finding, err error) {
	err = h.db.Read(ctx, func(tx *db.Tx) error {
		r, err := h.one(tx, ref)
		if err == nil {
			f = r.finding
		}
		return err
	})
	return f, err
}
