// Package inventory keeps every asset as it was last seen, and how it came to be so.
//
// Items come as AWS Config's configuration items or as plain assets. What is new is
// kept, told of on the bus in the same transaction, and never overwritten: the
// history is only added to. An item that was captured before what is known finds its
// place in the history and changes nothing else. An item that says nothing new only
// moves when the asset was seen last.
package inventory

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/shape"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/asset"
	"github.com/haechi-dev/haechi/word/fault"
)

// Schema is the inventory's tables. A row of the history is a sighting of an asset;
// its doc is empty where it was as at the sighting before. inventory_assets holds
// the newest state, since when it is so (captured) and when it was seen last.
func Schema() db.Schema {
	return db.Schema{Room: "inventory", Steps: []string{`
CREATE TABLE inventory_assets (account TEXT NOT NULL, region TEXT NOT NULL, type TEXT NOT NULL, id TEXT NOT NULL, arn TEXT NOT NULL, name TEXT NOT NULL,
	captured BIGINT NOT NULL, state BIGINT NOT NULL, seen BIGINT NOT NULL, deleted BIGINT NOT NULL, doc TEXT NOT NULL, PRIMARY KEY (type, id, account, region));
CREATE INDEX inventory_assets_arn ON inventory_assets (arn);
CREATE TABLE inventory_history (account TEXT NOT NULL, region TEXT NOT NULL, type TEXT NOT NULL, id TEXT NOT NULL,
	captured BIGINT NOT NULL, state BIGINT NOT NULL, doc TEXT NOT NULL, PRIMARY KEY (type, id, account, region, captured, state))
`}}
}

// Config says what an Inventory works with and whose it is.
type Config struct {
	DB      *db.DB
	Bus     *bus.Bus
	Shapes  *shape.Shapes
	Now     func() time.Time
	Account string // of items that do not say
	Region  string // of items that do not say
}

// Inventory is the keeper of assets. It is safe for concurrent use.
type Inventory struct{ config Config }

// New is an inventory on a database whose tables include Schema.
func New(c Config) *Inventory {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Shapes == nil {
		c.Shapes = shape.New()
	}
	c.Account, c.Region = cmp.Or(c.Account, "000000000000"), cmp.Or(c.Region, "us-east-1")
	return &Inventory{c}
}

// Key names an asset.
type Key struct {
	Account string `json:"account"`
	Region  string `json:"region"`
	Type    string `json:"type"`
	ID      string `json:"id"`
}

// KeyOf names the asset of an item.
func KeyOf(i asset.Item) Key { return Key{i.Account, i.Region, i.Type, i.ID} }

// Imported is what became of an import.
type Imported struct {
	New       int `json:"new"`       // not known before, or back after it was deleted
	Changed   int `json:"changed"`   // known, and different now
	Deleted   int `json:"deleted"`   // known, and gone now
	Unchanged int `json:"unchanged"` // known and the same
	Older     int `json:"older"`     // captured before what is known: kept in the history
}

// Total is how many items were taken.
func (i Imported) Total() int { return i.New + i.Changed + i.Deleted + i.Unchanged + i.Older }

// ImportFile imports configuration items in any of AWS's forms (see shape.Read).
func (inv *Inventory) ImportFile(ctx context.Context, name string, text []byte) (Imported, error) {
	items, err := inv.config.Shapes.Read(name, text)
	if err != nil {
		return Imported{}, err
	}
	return inv.Import(ctx, items...)
}

// importChunk is how many items one transaction takes in.
const importChunk = 200

// Import takes items in. All are looked at before the first is kept: one that
// names no asset refuses the import.
func (inv *Inventory) Import(ctx context.Context, items ...asset.Item) (Imported, error) {
	var all Imported
	complete := make([]asset.Item, len(items))
	for i, item := range items {
		item.Account, item.Region = cmp.Or(item.Account, inv.config.Account), cmp.Or(item.Region, inv.config.Region)
		if err := check(item); err != nil {
			return all, fault.Invalid.Errorf("item %d: %w", i+1, err)
		}
		item.Captured = item.Captured.UTC().Truncate(time.Microsecond)
		inv.config.Shapes.Complete(&item)
		complete[i] = item
	}
	for start := 0; start < len(complete); start += importChunk {
		part := complete[start:min(start+importChunk, len(complete))]
		var did Imported
		err := inv.config.DB.Write(ctx, func(tx *db.Tx) error {
			did = Imported{}
			for _, item := range part {
				if err := inv.take(tx, item, &did); err != nil {
					return fmt.Errorf("importing %s %s: %w", item.Type, item.ID, err)
				}
			}
			return nil
		})
		if err != nil {
			return all, err
		}
		all.New, all.Changed, all.Deleted = all.New+did.New, all.Changed+did.Changed, all.Deleted+did.Deleted
		all.Unchanged, all.Older = all.Unchanged+did.Unchanged, all.Older+did.Older
	}
	return all, nil
}

// check refuses what could not be kept or found again.
func check(i asset.Item) error {
	const longest = 2048
	for _, s := range []string{i.Type, i.ID, i.Account, i.Region, i.ARN, i.Name} {
		if len(s) > longest || strings.ContainsRune(s, 0) {
			return fmt.Errorf("a name of it is longer than %d bytes or holds a zero byte", longest)
		}
	}
	switch {
	case i.Type == "" || i.ID == "":
		return fmt.Errorf("it has no type or no id")
	case i.Captured.IsZero():
		return fmt.Errorf("%s %s does not say when it was captured", i.Type, i.ID)
	case len(i.Configuration) > 0 && !i.Configuration.IsValid(), len(i.Original) > 0 && !i.Original.IsValid():
		return fmt.Errorf("%s %s holds what is no JSON", i.Type, i.ID)
	}
	return nil
}
