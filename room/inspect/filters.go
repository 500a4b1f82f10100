package inspect

import (
	"context"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/fault"
)

// Filter is a question on findings that somebody keeps, as Inspector has them.
// One that suppresses is in force as a suppressor of the hub.
type Filter struct {
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	Suppress    bool              `json:"suppress,omitzero"`
	Description string            `json:"description,omitzero"`
	Reason      string            `json:"reason,omitzero"`
	Criteria    jsontext.Value    `json:"criteria"`
	Tags        map[string]string `json:"tags,omitzero"`
	Suppressor  string            `json:"suppressor,omitzero"` // its ID in the hub
	Created     time.Time         `json:"created"`
	Updated     time.Time         `json:"updated"`
}

// mostFilters is how many there may be.
const mostFilters = 500

// AddFilter keeps a new one, and gives it its ID. fault.Exists where the name is taken.
func (i *Inspector) AddFilter(ctx context.Context, f Filter) (Filter, error) {
	f.ID = bus.ID()
	f.Created = i.config.Now().UTC()
	f.Updated = f.Created
	return f, i.db.Write(ctx, func(tx *db.Tx) error {
		n, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM inspect_filters")
		if err == nil && n >= mostFilters {
			err = fault.Limit.Errorf("there are %d filters, and may not be more", n)
		}
		if err != nil {
			return err
		}
		return storeFilter(tx, f)
	})
}

func storeFilter(tx *db.Tx, f Filter) error {
	doc, err := json.Marshal(f, json.Deterministic(true))
	if err != nil {
		return fault.Invalid.Errorf("the filter: %w", err)
	}
	n, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM inspect_filters WHERE name = ? AND id <> ?", f.Name, f.ID)
	if err == nil && n > 0 {
		err = fault.Exists.Errorf("there is a filter %q", f.Name)
	}
	if err == nil {
		_, err = tx.Exec("INSERT INTO inspect_filters (id, name, doc) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET name = excluded.name, doc = excluded.doc", f.ID, f.Name, string(doc))
	}
	return err
}

// ChangeFilter keeps what edit makes of a filter. edit may be called again, and does nothing else.
func (i *Inspector) ChangeFilter(ctx context.Context, id string, edit func(*Filter)) error {
	return i.db.Write(ctx, func(tx *db.Tx) error {
		f, err := filterOf(tx, id)
		if err != nil {
			return err
		}
		edit(&f)
		f.Updated = i.config.Now().UTC()
		return storeFilter(tx, f)
	})
}

func filterOf(tx *db.Tx, id string) (f Filter, err error) {
	f, err = db.One(tx, scanFilter, "SELECT doc FROM inspect_filters WHERE id = ?", id)
	if fault.Of(err) == fault.NotFound {
		err = fault.NotFound.Errorf("there is no filter %q", id)
	}
	return f, err
}

func scanFilter(scan db.Scan) (f Filter, err error) {
	var doc string
	if err := scan(&doc); err != nil {
		return f, err
	}
	return f, json.Unmarshal([]byte(doc), &f)
}

// Filter is one by its ID.
func (i *Inspector) Filter(ctx context.Context, id string) (f Filter, err error) {
	err = i.db.Read(ctx, func(tx *db.Tx) error {
		f, err = filterOf(tx, id)
		return err
	})
	return f, err
}

// Filters are all, by name.
func (i *Inspector) Filters(ctx context.Context) (list []Filter, err error) {
	err = i.db.Read(ctx, func(tx *db.Tx) error {
		list, err = db.All(tx, scanFilter, "SELECT doc FROM inspect_filters ORDER BY name")
		return err
	})
	return list, err
}

// RemoveFilter forgets one; what it suppressed is the hub's to open again.
func (i *Inspector) RemoveFilter(ctx context.Context, id string) error {
	return i.db.Write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec("DELETE FROM inspect_filters WHERE id = ?", id)
		if err == nil && n == 0 {
			err = fault.NotFound.Errorf("there is no filter %q", id)
		}
		return err
	})
}
