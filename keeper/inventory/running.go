package inventory

import (
	"context"
	"strings"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/asset"
)

// running are the types of assets that start containers from images.
const running = `type IN ('AWS::ECS::TaskDefinition', 'AWS::ECS::TaskSet', 'AWS::Lambda::Function', 'AWS::Batch::JobDefinition', 'AWS::AppRunner::Service', 'AWS::SageMaker::Model', 'AWS::Lightsail::Container')
	OR type >= 'Haechi::Kubernetes::' AND type < 'Haechi::Kubernetes:;'`

// Running are the assets whose configuration starts containers from images, by
// the names of these: with or without the registry, by tag or by digest. At
// most limit are told of each.
func (inv *Inventory) Running(ctx context.Context, images []string, limit int) (map[string][]asset.Item, error) {
	found := map[string][]asset.Item{}
	if len(images) == 0 {
		return found, nil
	}
	err := inv.config.DB.Read(ctx, func(tx *db.Tx) error {
		clear(found)
		return tx.Each(func(scan db.Scan) error {
			var state, seen int64
			var doc string
			if err := scan(&state, &seen, &doc); err != nil {
				return err
			}
			for _, name := range images {
				if len(found[name]) == limit || !names(doc, name) {
					continue
				}
				one, err := scanState(scan)
				if err != nil {
					return err
				}
				found[name] = append(found[name], one.item)
			}
			return nil
		}, "SELECT state, seen, doc FROM inventory_assets WHERE deleted = 0 AND ("+running+") ORDER BY type, id, account, region")
	})
	return found, err
}

// names tells whether a text names an image, as a whole: not one that is called longer.
func names(text, image string) bool {
	for from := 0; image != ""; {
		at := strings.Index(text[from:], image)
		if at < 0 {
			return false
		}
		at += from
		end := at + len(image)
		before, after := byte('"'), byte('"')
		if at > 0 {
			before = text[at-1]
		}
		if end < len(text) {
			after = text[end]
		}
		if strings.IndexByte(`"/@ `, before) >= 0 && strings.IndexByte("\"\\@ ", after) >= 0 {
			return true
		}
		from = at + 1
	}
	return false
}
