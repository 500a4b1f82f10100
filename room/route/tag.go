package route

import (
	"context"
	"maps"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
)

// mostTags is how many tags one thing can have.
const mostTags = 50

// Tags are the tags of a rule or a bus, by its ARN.
func (r *Router) Tags(ctx context.Context, arn string) (tags map[string]string, err error) {
	err = r.db.Read(ctx, func(tx *db.Tx) error {
		tags, err = r.readTags(tx, arn)
		return err
	})
	return tags, err
}

// Tag adds tags to a rule or a bus, or changes them.
func (r *Router) Tag(ctx context.Context, arn string, tags map[string]string) error {
	return r.retag(ctx, arn, func(all map[string]string) { maps.Copy(all, tags) })
}

// Untag takes tags from a rule or a bus.
func (r *Router) Untag(ctx context.Context, arn string, keys []string) error {
	return r.retag(ctx, arn, func(all map[string]string) {
		for _, k := range keys {
			delete(all, k)
		}
	})
}

func (r *Router) retag(ctx context.Context, arn string, change func(map[string]string)) error {
	return r.db.Write(ctx, func(tx *db.Tx) error {
		tags, err := r.readTags(tx, arn)
		if err != nil {
			return err
		}
		if tags == nil {
			tags = map[string]string{}
		}
		change(tags)
		if err := checkTags(tags); err != nil {
			return err
		}
		if name, ok := r.isBus(arn); ok {
			b, err := readBus(tx, name)
			if err != nil {
				return err
			}
			b.Tags = tags
			return writeBus(tx, b)
		}
		bus, name, err := ruleOf(arn)
		if err != nil {
			return err
		}
		rule, err := readRule(tx, bus, name)
		if err != nil {
			return err
		}
		rule.Tags = tags
		body, err := json.Marshal(rule, json.Deterministic(true))
		if err != nil {
			return err
		}
		_, err = tx.Exec("UPDATE route_rules SET body = ? WHERE bus = ? AND name = ?", body, bus, name)
		return err
	})
}

func checkTags(tags map[string]string) error {
	if len(tags) > mostTags {
		return fault.Invalid.Errorf("there are %d tags, %d are allowed", len(tags), mostTags)
	}
	for k, v := range tags {
		if k == "" || len(k) > 128 || len(v) > 256 || strings.HasPrefix(strings.ToLower(k), "aws:") {
			return fault.Invalid.Errorf("tag %q: a key has 1 to 128 characters and does not begin with aws:, a value at most 256", k)
		}
	}
	return nil
}

func (r *Router) readTags(tx *db.Tx, arn string) (map[string]string, error) {
	if name, ok := r.isBus(arn); ok {
		b, err := readBus(tx, name)
		return b.Tags, err
	}
	bus, name, err := ruleOf(arn)
	if err != nil {
		return nil, fault.NotFound.Errorf("%s is neither a rule nor an event bus.", arn)
	}
	if arn != r.RuleARN(bus, name) {
		return nil, fault.NotFound.Errorf("Rule %s does not exist.", arn)
	}
	rule, err := readRule(tx, bus, name)
	return rule.Tags, err
}
