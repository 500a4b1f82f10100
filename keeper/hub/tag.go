package hub

import (
	"context"
	"strings"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
)

const maxTags = 50

func checkTags(arn string, tags map[string]string) error {
	if !strings.Contains(arn, ":securityhub:") || len(arn) > 2048 || !storable(arn) {
		return fault.Invalid.Errorf("%q is not the ARN of something of the hub's", arn)
	}
	for k, v := range tags {
		if strings.HasPrefix(strings.ToLower(k), "aws:") || !storable(k, v) {
			return fault.Invalid.Errorf("tag %q", k)
		}
	}
	if p := checkMap("Tags", tags, maxTags, 128, 256); p != nil {
		return refuse(p)
	}
	return nil
}

func tagResource(tx *db.Tx, arn string, tags map[string]string) error {
	if err := checkTags(arn, tags); err != nil {
		return err
	}
	for k, v := range tags {
		if _, err := tx.Exec("INSERT INTO hub_tags (arn, name, value) VALUES (?, ?, ?) ON CONFLICT (arn, name) DO UPDATE SET value = excluded.value", arn, k, v); err != nil {
			return err
		}
	}
	n, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM hub_tags WHERE arn = ?", arn)
	if err == nil && n > maxTags {
		err = fault.Limit.Errorf("more than %d tags", maxTags)
	}
	return err
}

// taggable tells whether arn is of something that there is and that bears tags: the hub or an automation rule.
func (h *Hub) taggable(tx *db.Tx, arn string) error {
	if err := checkTags(arn, nil); err != nil || arn == h.ARN() {
		return err
	}
	n, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM hub_rules WHERE id = ?", arn)
	if err == nil && n == 0 {
		err = fault.NotFound.Errorf("there is nothing %q", arn)
	}
	return err
}

// Tag adds tags to the hub or to an automation rule.
func (h *Hub) Tag(ctx context.Context, arn string, tags map[string]string) error {
	return h.db.Write(ctx, func(tx *db.Tx) error {
		if err := h.taggable(tx, arn); err != nil {
			return err
		}
		return tagResource(tx, arn, tags)
	})
}

// Untag takes tags away.
func (h *Hub) Untag(ctx context.Context, arn string, names ...string) error {
	return h.db.Write(ctx, func(tx *db.Tx) error {
		if err := h.taggable(tx, arn); err != nil {
			return err
		}
		for _, name := range names {
			if _, err := tx.Exec("DELETE FROM hub_tags WHERE arn = ? AND name = ?", arn, clean(name)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Tags are those of something of the hub's.
func (h *Hub) Tags(ctx context.Context, arn string) (tags map[string]string, err error) {
	tags = map[string]string{}
	return tags, h.db.Read(ctx, func(tx *db.Tx) error {
		if err := h.taggable(tx, arn); err != nil {
			return err
		}
		return tx.Each(func(scan db.Scan) error {
			var k, v string
			err := scan(&k, &v)
			tags[k] = v
			return err
		}, "SELECT name, value FROM hub_tags WHERE arn = ?", arn)
	})
}
