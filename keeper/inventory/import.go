package inventory

import (
	"errors"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/shape"
	"github.com/haechi-dev/haechi/word/asset"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
)

// state is how an asset was from captured on.
type state struct {
	item  asset.Item
	order int64 // the state id, for items captured at the same time
	seen  int64 // when it was last seen so, in microseconds; of the newest state only
}

func scanState(scan db.Scan) (state, error) {
	var s state
	var doc string
	if err := scan(&s.order, &s.seen, &doc); err != nil {
		return s, err
	}
	return s, json.Unmarshal([]byte(doc), &s.item)
}

func (s *state) captured() int64 { return s.item.Captured.UnixMicro() }

func document(i asset.Item) string {
	text, err := json.Marshal(i, json.Deterministic(true))
	if err != nil {
		panic("inventory: " + err.Error()) // check has seen to the JSON within
	}
	return string(text)
}

// take keeps one item.
func (inv *Inventory) take(tx *db.Tx, item asset.Item, did *Imported) error {
	fresh := state{item: item, order: shape.StateID(item.Original), seen: item.Captured.UnixMicro()}
	known, err := current(tx, KeyOf(item))
	if errors.Is(err, fault.NotFound) {
		if item.Deleted {
			did.Deleted++
		} else {
			did.New++
		}
		return inv.renew(tx, nil, fresh)
	}
	if err != nil {
		return err
	}
	if fresh.before(known) {
		return inv.insert(tx, fresh, did)
	}
	if inv.same(known.item, item) {
		did.Unchanged++
		return again(tx, known, fresh)
	}
	if fresh.captured() == known.captured() && fresh.order <= known.order {
		fresh.order = known.order + 1
	}
	switch {
	case item.Deleted:
		did.Deleted++
	case known.item.Deleted:
		did.New++
	default:
		did.Changed++
	}
	return inv.renew(tx, &known, fresh)
}

// before tells whether s was captured before what is known of its asset.
func (s state) before(known state) bool {
	last := max(known.captured(), known.seen)
	return s.captured() < last || s.captured() == last && s.captured() == known.captured() && s.order < known.order
}

// same tells whether two items say the same about the asset.
func (inv *Inventory) same(a, b asset.Item) bool {
	if a.Deleted != b.Deleted || a.Deleted {
		return a.Deleted == b.Deleted
	}
	return len(inv.diff(a, b)) == 0 && (len(a.Configuration) == 0) == (len(b.Configuration) == 0)
}

func (inv *Inventory) diff(a, b asset.Item) map[string]Change {
	return Diff(inv.config.Shapes.Facts(a), inv.config.Shapes.Facts(b))
}

func current(tx *db.Tx, k Key) (state, error) {
	return db.One(tx, scanState, "SELECT state, seen, doc FROM inventory_assets WHERE type = ? AND id = ? AND account = ? AND region = ?", k.Type, k.ID, k.Account, k.Region)
}

// renew makes fresh the state of its asset, adds it to the history and tells of it.
func (inv *Inventory) renew(tx *db.Tx, known *state, fresh state) error {
	i, doc := fresh.item, document(fresh.item)
	deleted := 0
	if i.Deleted {
		deleted = 1
	}
	_, err := tx.Exec(`INSERT INTO inventory_assets (account, region, type, id, arn, name, captured, state, seen, deleted, doc) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (type, id, account, region) DO UPDATE SET arn = excluded.arn, name = excluded.name, captured = excluded.captured, state = excluded.state,
			seen = excluded.seen, deleted = excluded.deleted, doc = excluded.doc`,
		i.Account, i.Region, i.Type, i.ID, i.ARN, i.Name, fresh.captured(), fresh.order, fresh.seen, deleted, doc)
	if err != nil {
		return err
	}
	if err := addHistory(tx, fresh, doc); err != nil {
		return err
	}
	before := asset.Item{Deleted: true}
	if known != nil {
		before = known.item
	}
	return inv.config.Bus.Publish(tx, inv.event(before, i))
}

// addHistory adds a sighting; without a doc it is as the one before.
func addHistory(tx *db.Tx, s state, doc string) error {
	i := s.item
	_, err := tx.Exec(`INSERT INTO inventory_history (account, region, type, id, captured, state, doc) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (type, id, account, region, captured, state) DO NOTHING`, i.Account, i.Region, i.Type, i.ID, s.captured(), s.order, doc)
	return err
}

// again keeps that the newest state was seen once more.
func again(tx *db.Tx, known, fresh state) error {
	if fresh.captured() == known.seen {
		return nil
	}
	if err := addHistory(tx, fresh, ""); err != nil {
		return err
	}
	k := KeyOf(fresh.item)
	_, err := tx.Exec("UPDATE inventory_assets SET seen = ? WHERE type = ? AND id = ? AND account = ? AND region = ?", fresh.captured(), k.Type, k.ID, k.Account, k.Region)
	return err
}

const ofAsset = "type = ? AND id = ? AND account = ? AND region = ?"

func (k Key) args(more ...any) []any {
	return append([]any{k.Type, k.ID, k.Account, k.Region}, more...)
}

// stateAt is the state at a time: the last sighting up to then that has a doc.
func stateAt(tx *db.Tx, k Key, captured, order int64) (state, error) {
	return db.One(tx, scanState, "SELECT state, captured, doc FROM inventory_history WHERE "+ofAsset+" AND (captured, state) <= (?, ?) AND doc <> '' ORDER BY captured DESC, state DESC LIMIT 1",
		k.args(captured, order)...)
}

// insert gives a late item its place in the history.
func (inv *Inventory) insert(tx *db.Tx, late state, did *Imported) error {
	twin, err := inv.settle(tx, &late)
	if err != nil || twin {
		did.Unchanged++
		return err
	}
	around, err := stateAt(tx, KeyOf(late.item), late.captured(), late.order)
	switch {
	case errors.Is(err, fault.NotFound):
		did.Older++
		return addHistory(tx, late, document(late.item))
	case err != nil:
		return err
	case inv.same(around.item, late.item):
		did.Unchanged++
		return addHistory(tx, late, "")
	}
	did.Older++
	if err := resume(tx, around, late); err != nil {
		return err
	}
	return addHistory(tx, late, document(late.item))
}

// settle tells whether the history has a late item already. Another one that was
// captured at the very same time comes before it.
func (inv *Inventory) settle(tx *db.Tx, late *state) (twin bool, err error) {
	k := KeyOf(late.item)
	orders, err := db.All(tx, db.Value[int64], "SELECT state FROM inventory_history WHERE "+ofAsset+" AND captured = ? ORDER BY state", k.args(late.captured())...)
	if err != nil {
		return false, err
	}
	for _, order := range orders {
		s, err := stateAt(tx, k, late.captured(), order)
		if err != nil {
			return false, err
		}
		if inv.same(s.item, late.item) {
			return true, nil
		}
		if order == late.order {
			late.order = orders[len(orders)-1] + 1
		}
	}
	return false, nil
}

// resume makes the sighting after late, if it is as the one before, say what it is
// as: late comes between the two.
func resume(tx *db.Tx, around, late state) error {
	k := KeyOf(late.item)
	type sighting struct {
		captured, order int64
		doc             string
	}
	next, err := db.One(tx, func(scan db.Scan) (s sighting, err error) { return s, scan(&s.captured, &s.order, &s.doc) },
		"SELECT captured, state, doc FROM inventory_history WHERE "+ofAsset+" AND (captured, state) > (?, ?) ORDER BY captured, state LIMIT 1", k.args(late.captured(), late.order)...)
	if errors.Is(err, fault.NotFound) || err == nil && next.doc != "" {
		return nil
	}
	if err != nil {
		return err
	}
	item := around.item
	item.Captured = time.UnixMicro(next.captured).UTC()
	doc := document(item)
	if _, err := tx.Exec("UPDATE inventory_history SET doc = ? WHERE "+ofAsset+" AND captured = ? AND state = ?", append([]any{doc}, k.args(next.captured, next.order)...)...); err != nil {
		return err
	}
	_, err = tx.Exec("UPDATE inventory_assets SET captured = ?, state = ?, doc = ? WHERE "+ofAsset+" AND captured = ? AND state = ?",
		append([]any{next.captured, next.order, doc}, k.args(around.captured(), around.order)...)...)
	return err
}

// notification is the detail of the event, as AWS Config sends it.
type notification struct {
	RecordVersion string         `json:"recordVersion"`
	MessageType   string         `json:"messageType"`
	Diff          *itemDiff      `json:"configurationItemDiff,omitzero"`
	Created       string         `json:"notificationCreationTime"`
	Item          jsontext.Value `json:"configurationItem,omitzero"`
	Summary       jsontext.Value `json:"configurationItemSummary,omitzero"`
}

type itemDiff struct {
	Changed    map[string]Change `json:"changedProperties"`
	ChangeType string            `json:"changeType"`
}

// summary is what remains of an item that is too large for an event.
type summary struct {
	ChangeType string `json:"changeType"`
	Version    string `json:"configurationItemVersion"`
	Captured   string `json:"configurationItemCaptureTime"`
	State      int64  `json:"configurationStateId"`
	Account    string `json:"awsAccountId"`
	Status     string `json:"configurationItemStatus"`
	Type       string `json:"resourceType"`
	ID         string `json:"resourceId"`
	Name       string `json:"resourceName"`
	ARN        string `json:"ARN"`
	Region     string `json:"awsRegion"`
}

// maxEvent is how large an event may be; Config's rule is the same as EventBridge's.
const maxEvent = 256 << 10

// event tells of a change from one state to the next.
func (inv *Inventory) event(before, after asset.Item) event.Event {
	now := inv.config.Now().UTC()
	kind := "UPDATE"
	switch {
	case after.Deleted:
		kind = "DELETE"
	case before.Deleted:
		kind = "CREATE"
	}
	n := notification{RecordVersion: "1.3", MessageType: "ConfigurationItemChangeNotification", Created: now.Format("2006-01-02T15:04:05.000Z"),
		Diff: &itemDiff{inv.diff(before, after), kind}, Item: inv.config.Shapes.Notification(after)}
	detail := encode(n)
	if len(detail) > maxEvent {
		status := "OK"
		if after.Deleted {
			status = "ResourceDeleted"
		}
		n.RecordVersion, n.MessageType, n.Diff, n.Item = "1.0", "OversizedConfigurationItemChangeNotification", nil, nil
		n.Summary = encode(summary{kind, "1.3", after.Captured.Format("2006-01-02T15:04:05.000Z"), shape.StateID(after.Original), after.Account, status, after.Type, after.ID, after.Name, after.ARN, after.Region})
		detail = encode(n)
	}
	e := event.Event{Type: asset.Changed, Source: asset.Source, Account: after.Account, Region: after.Region, Time: now, Detail: detail}
	if after.ARN != "" {
		e.Resources = []string{after.ARN}
	}
	return e
}

func encode(v any) jsontext.Value {
	text, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		panic("inventory: " + err.Error()) // only of our own making
	}
	return text
}
