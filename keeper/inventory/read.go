package inventory

import (
	"context"
	"encoding/base64"
	"math"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/asset"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
)

// Get is an asset as it was last seen; a deleted one is there with Deleted set.
func (inv *Inventory) Get(ctx context.Context, k Key) (item asset.Item, err error) {
	err = inv.config.DB.Read(ctx, func(tx *db.Tx) error {
		s, err := current(tx, k)
		item = s.item
		return named(err, k)
	})
	return item, err
}

func named(err error, k Key) error {
	if fault.Of(err) == fault.NotFound {
		return fault.NotFound.Errorf("there is no %s %s in %s %s", k.Type, k.ID, k.Account, k.Region)
	}
	return err
}

// Named is an asset by its ARN; of several the one that was captured last.
func (inv *Inventory) Named(ctx context.Context, arn string) (item asset.Item, err error) {
	err = inv.config.DB.Read(ctx, func(tx *db.Tx) error {
		s, err := db.One(tx, scanState, "SELECT state, seen, doc FROM inventory_assets WHERE arn = ? ORDER BY deleted, captured DESC LIMIT 1", arn)
		item = s.item
		if fault.Of(err) == fault.NotFound {
			return fault.NotFound.Errorf("there is no %s", arn)
		}
		return err
	})
	return item, err
}

// At is an asset as it was at a past time, as far as is known now.
func (inv *Inventory) At(ctx context.Context, k Key, at time.Time) (item asset.Item, err error) {
	err = inv.config.DB.Read(ctx, func(tx *db.Tx) error {
		s, err := stateAt(tx, k, at.UnixMicro(), math.MaxInt64)
		item = s.item
		return named(err, k)
	})
	return item, err
}

// Query selects assets; what is empty does not matter.
type Query struct {
	Type, Account, Region string
	IDPrefix              string
	Name                  string
	Deleted               bool // also those that are gone
	Limit                 int  // of a page, at most and by default MaxPage
	Token                 string
}

// MaxPage is how many assets or states a page holds at most.
const MaxPage = 100

// List pages through assets in the order of type, id, account and region; next
// is the token of the next page, or "".
func (inv *Inventory) List(ctx context.Context, q Query) (items []asset.Item, next string, err error) {
	where, args := []string{"1 = 1"}, []any{}
	add := func(clause string, values ...any) { where, args = append(where, clause), append(args, values...) }
	for _, c := range []struct{ column, value string }{{"type", q.Type}, {"account", q.Account}, {"region", q.Region}, {"name", q.Name}} {
		if c.value != "" {
			add(c.column+" = ?", c.value)
		}
	}
	if q.IDPrefix != "" {
		add("id >= ? AND id < ?", q.IDPrefix, q.IDPrefix+"\U0010ffff")
	}
	if !q.Deleted {
		add("deleted = 0")
	}
	if q.Token != "" {
		var after Key
		if err := openToken(q.Token, &after); err != nil {
			return nil, "", err
		}
		add("(type, id, account, region) > (?, ?, ?, ?)", after.Type, after.ID, after.Account, after.Region)
	}
	limit := pageSize(q.Limit)
	err = inv.config.DB.Read(ctx, func(tx *db.Tx) error {
		states, err := db.All(tx, scanState, "SELECT state, seen, doc FROM inventory_assets WHERE "+strings.Join(where, " AND ")+" ORDER BY type, id, account, region LIMIT ?", append(args, limit+1)...)
		if err != nil {
			return err
		}
		if len(states) > limit {
			states = states[:limit]
			next = sealToken(KeyOf(states[limit-1].item))
		}
		for _, s := range states {
			items = append(items, s.item)
		}
		return nil
	})
	return items, next, err
}

func pageSize(limit int) int {
	if limit <= 0 || limit > MaxPage {
		return MaxPage
	}
	return limit
}

// Count is how many assets of a type there are.
type Count struct {
	Type string
	N    int
}

// Counts counts the assets that are there, by type.
func (inv *Inventory) Counts(ctx context.Context) (counts []Count, err error) {
	err = inv.config.DB.Read(ctx, func(tx *db.Tx) error {
		counts, err = db.All(tx, func(scan db.Scan) (c Count, err error) {
			return c, scan(&c.Type, &c.N)
		}, "SELECT type, COUNT(*) FROM inventory_assets WHERE deleted = 0 GROUP BY type ORDER BY type")
		return err
	})
	return counts, err
}

// Version is a state of an asset and what it changed.
type Version struct {
	Item    asset.Item
	Seen    time.Time         // it was seen unchanged until then
	Changes map[string]Change // from the state before; empty for the first
}

// HistoryQuery selects states of an asset.
type HistoryQuery struct {
	Key         Key
	From, To    time.Time // captured at or after From and before To; zero: no bound
	OldestFirst bool
	Limit       int // of a page, at most and by default MaxPage
	Token       string
}

// position is where a page of the history ends.
type position struct {
	Captured int64 `json:"c"`
	State    int64 `json:"s"`
}

// History pages through the states of an asset, the newest first unless asked otherwise.
func (inv *Inventory) History(ctx context.Context, q HistoryQuery) (versions []Version, next string, err error) {
	k := q.Key
	where, args := ofAsset+" AND doc <> ''", k.args()
	if !q.From.IsZero() {
		where, args = where+" AND captured >= ?", append(args, q.From.UnixMicro())
	}
	if !q.To.IsZero() {
		where, args = where+" AND captured < ?", append(args, q.To.UnixMicro())
	}
	order, beyond := "captured DESC, state DESC", "<"
	if q.OldestFirst {
		order, beyond = "captured, state", ">"
	}
	if q.Token != "" {
		var after position
		if err := openToken(q.Token, &after); err != nil {
			return nil, "", err
		}
		where, args = where+" AND (captured, state) "+beyond+" (?, ?)", append(args, after.Captured, after.State)
	}
	limit := pageSize(q.Limit)
	err = inv.config.DB.Read(ctx, func(tx *db.Tx) error {
		states, err := db.All(tx, scanState, "SELECT state, captured, doc FROM inventory_history WHERE "+where+" ORDER BY "+order+" LIMIT ?", append(args, limit+1)...)
		if err != nil {
			return err
		}
		if len(states) == 0 && q.Token == "" {
			if _, err := current(tx, k); err != nil {
				return named(err, k)
			}
		}
		if len(states) > limit {
			states = states[:limit]
			last := states[limit-1]
			next = sealToken(position{last.captured(), last.order})
		}
		for _, s := range states {
			v, err := inv.version(tx, k, s)
			if err != nil {
				return err
			}
			versions = append(versions, v)
		}
		return nil
	})
	return versions, next, err
}

// version completes a state by its neighbours.
func (inv *Inventory) version(tx *db.Tx, k Key, s state) (Version, error) {
	v := Version{Item: s.item}
	at := []any{s.captured(), s.order}
	seen, err := db.One(tx, db.Value[int64], "SELECT COALESCE(MAX(captured), 0) FROM inventory_history WHERE "+ofAsset+" AND (captured, state) >= (?, ?) AND captured <= COALESCE((SELECT MIN(captured) FROM inventory_history WHERE "+
		ofAsset+" AND (captured, state) > (?, ?) AND doc <> '') - 1, ?)", append(append(k.args(at...), k.args(at...)...), int64(math.MaxInt64))...)
	if err != nil {
		return v, err
	}
	v.Seen = time.UnixMicro(max(seen, s.captured())).UTC() // 0 where the next state was captured at the same time
	before, err := db.One(tx, scanState, "SELECT state, captured, doc FROM inventory_history WHERE "+ofAsset+" AND (captured, state) < (?, ?) AND doc <> '' ORDER BY captured DESC, state DESC LIMIT 1", k.args(at...)...)
	switch {
	case fault.Of(err) == fault.NotFound:
		return v, nil
	case err != nil:
		return v, err
	}
	v.Changes = inv.diff(before.item, s.item)
	return v, nil
}

// KeyIn names the asset that an event tells of; ok is false for events of other kinds.
func KeyIn(e event.Event) (k Key, ok bool) {
	if e.Type != asset.Changed || e.Source != asset.Source {
		return k, false
	}
	type item struct {
		Account string `json:"awsAccountId"`
		Region  string `json:"awsRegion"`
		Type    string `json:"resourceType"`
		ID      string `json:"resourceId"`
	}
	var n struct {
		Item    item `json:"configurationItem"`
		Summary item `json:"configurationItemSummary"`
	}
	if json.Unmarshal(e.Detail, &n) != nil {
		return k, false
	}
	i := n.Item
	if i.Type == "" {
		i = n.Summary
	}
	return Key(i), i.Type != "" && i.ID != ""
}

// A token names the last row of a page. It holds nothing that its bearer could not ask for.

func sealToken(v any) string { return base64.RawURLEncoding.EncodeToString(encode(v)) }

func openToken(token string, v any) error {
	const most = 16 << 10
	text, err := base64.RawURLEncoding.DecodeString(token)
	if len(token) > most || err != nil || json.Unmarshal(text, v, json.RejectUnknownMembers(true)) != nil {
		return fault.Invalid.Errorf("this is no page token")
	}
	return nil
}
