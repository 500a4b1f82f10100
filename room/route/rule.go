package route

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/lang/match"
	"github.com/haechi-dev/haechi/lang/schedule"
	"github.com/haechi-dev/haechi/word/fault"
)

// Rule says which events of a bus go to its targets, or when it fires by
// itself, or both. Its JSON is EventBridge's.
type Rule struct {
	Name        string `json:"Name"`
	ARN         string `json:"Arn,omitzero"`
	Bus         string `json:"EventBusName,omitzero"`
	Pattern     string `json:"EventPattern,omitzero"`
	Schedule    string `json:"ScheduleExpression,omitzero"`
	State       State  `json:"State,omitzero"` // ENABLED if empty
	Description string `json:"Description,omitzero"`
	RoleARN     string `json:"RoleArn,omitzero"`
	CreatedBy   string `json:"CreatedBy,omitzero"`
}

// State is whether a rule is in force.
type State string

const (
	Enabled  State = "ENABLED"
	Disabled State = "DISABLED"
	// EnabledWithReads also lets through CloudTrail's records of read-only management calls.
	EnabledWithReads State = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"
)

// storedRule is what is kept of a rule.
type storedRule struct {
	Rule
	Tags    map[string]string `json:"tags,omitzero"`
	Origin  string            `json:"origin,omitzero"` // "file" if it came from a file of routes
	Started int64             `json:"started"`         // when its schedule began, in microseconds
}

// PutRule makes a rule or replaces it: what rule does not say becomes empty.
// Its targets stay. Tags are for a new rule; those of an existing one stay.
func (r *Router) PutRule(ctx context.Context, rule Rule, tags map[string]string) (arn string, err error) {
	rule.Bus = busName(rule.Bus)
	if err := rule.check(); err != nil {
		return "", err
	}
	if err := checkTags(tags); err != nil {
		return "", err
	}
	err = r.change(ctx, func(tx *db.Tx) error {
		return r.putRule(tx, storedRule{Rule: rule, Tags: tags})
	})
	if err != nil {
		return "", fmt.Errorf("putting rule %s: %w", rule.Name, err)
	}
	return r.RuleARN(rule.Bus, rule.Name), nil
}

func (r *Router) putRule(tx *db.Tx, rule storedRule) error {
	if err := r.busExists(tx, rule.Bus); err != nil {
		return err
	}
	now := r.config.Now()
	rule.Started = now.UnixMicro()
	was, err := readRule(tx, rule.Bus, rule.Name)
	switch {
	case err == nil:
		rule.Tags = was.Tags
		rule.CreatedBy = was.CreatedBy
		rule.Origin = cmp.Or(rule.Origin, was.Origin)
		if was.Schedule == rule.Schedule {
			rule.Started = was.Started
		}
	case fault.Of(err) != fault.NotFound:
		return err
	}
	if rule.State == "" {
		rule.State = Enabled
	}
	return writeRule(tx, rule, now)
}

func (rule *Rule) check() error {
	if err := checkName("rule", rule.Name, 64); err != nil {
		return err
	}
	if rule.Pattern == "" && rule.Schedule == "" {
		return fault.Invalid.Errorf("rule %s needs an event pattern or a schedule", rule.Name)
	}
	switch rule.State {
	case "", Enabled, Disabled, EnabledWithReads:
	default:
		return fault.Invalid.Errorf("rule %s: unknown state %q", rule.Name, rule.State)
	}
	if len(rule.Description) > 512 {
		return fault.Invalid.Errorf("rule %s: the description is longer than 512 characters", rule.Name)
	}
	if rule.Pattern != "" {
		if _, err := parsePattern(rule.Pattern); err != nil {
			return err
		}
	}
	if rule.Schedule != "" {
		if rule.Bus != DefaultBus {
			return fault.Invalid.Errorf("rule %s: only rules of the default bus can have a schedule", rule.Name)
		}
		if _, err := schedule.Parse(rule.Schedule); err != nil {
			return err
		}
	}
	return nil
}

// BadPattern is an event pattern that is not one: a kind of fault.Invalid.
type BadPattern struct{ Err error }

func (b *BadPattern) Error() string   { return b.Err.Error() }
func (b *BadPattern) Unwrap() []error { return []error{fault.Invalid, b.Err} }

// longest is how long a pattern may be; AWS allows half of its model's 4,096 by default.
const longestPattern = 16 << 10

func parsePattern(text string) (*match.Pattern, error) {
	if len(text) > longestPattern {
		return nil, &BadPattern{fmt.Errorf("the event pattern is longer than %d bytes", longestPattern)}
	}
	p, err := match.Parse([]byte(text))
	if err != nil {
		return nil, &BadPattern{err}
	}
	return p, nil
}

// writeRule stores a checked rule and when it is due next; 0 is never.
func writeRule(tx *db.Tx, rule storedRule, now time.Time) error {
	next := int64(0)
	if rule.Schedule != "" && rule.State != Disabled {
		s, err := schedule.Parse(rule.Schedule)
		if err != nil {
			return err
		}
		if due := s.Next(time.UnixMicro(rule.Started), now); !due.IsZero() {
			next = due.UnixMicro()
		}
	}
	rule.ARN = "" // where we are may change
	body, err := json.Marshal(rule, json.Deterministic(true))
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO route_rules (bus, name, next, body) VALUES (?, ?, ?, ?)
		ON CONFLICT (bus, name) DO UPDATE SET next = excluded.next, body = excluded.body`, rule.Bus, rule.Name, next, body)
	return err
}

func readRule(tx *db.Tx, bus, name string) (storedRule, error) {
	rule, err := db.One(tx, scanJSON[storedRule], "SELECT body FROM route_rules WHERE bus = ? AND name = ?", bus, name)
	if fault.Of(err) == fault.NotFound {
		return rule, fault.NotFound.Errorf("Rule %s does not exist on EventBus %s.", name, bus)
	}
	return rule, err
}

// scanJSON reads a column of JSON.
func scanJSON[T any](scan db.Scan) (v T, err error) {
	var body []byte
	if err := scan(&body); err != nil {
		return v, err
	}
	err = json.Unmarshal(body, &v)
	return v, err
}

// Rule is one rule.
func (r *Router) Rule(ctx context.Context, bus, name string) (rule Rule, err error) {
	bus = busName(bus)
	err = r.db.Read(ctx, func(tx *db.Tx) error {
		if err := r.busExists(tx, bus); err != nil {
			return err
		}
		stored, err := readRule(tx, bus, name)
		rule = r.shown(stored)
		return err
	})
	return rule, err
}

func (r *Router) shown(rule storedRule) Rule {
	rule.ARN = r.RuleARN(rule.Bus, rule.Name)
	return rule.Rule
}

// Page says which part of a list is wanted: at most Limit (100 if 0) entries after the one that After names.
type Page struct {
	After string
	Limit int
}

func (p Page) limit() int {
	if p.Limit <= 0 || p.Limit > 1000 {
		return 100
	}
	return p.Limit
}

// cut is the page of a list that was read one entry too far, and where the next one begins.
func cut[T any](list []T, p Page, key func(T) string) (page []T, next string) {
	if len(list) <= p.limit() {
		return list, ""
	}
	list = list[:p.limit()]
	return list, key(list[len(list)-1])
}

// beyond is the first text after all that begin with prefix.
func beyond(prefix string) string { return prefix + "\U0010FFFF" }

// Rules lists the rules of a bus whose names begin with prefix, in order.
func (r *Router) Rules(ctx context.Context, bus, prefix string, p Page) (rules []Rule, next string, err error) {
	bus = busName(bus)
	err = r.db.Read(ctx, func(tx *db.Tx) error {
		if err := r.busExists(tx, bus); err != nil {
			return err
		}
		stored, err := db.All(tx, scanJSON[storedRule], "SELECT body FROM route_rules WHERE bus = ? AND name >= ? AND name < ? AND name > ? ORDER BY name LIMIT ?",
			bus, prefix, beyond(prefix), p.After, p.limit()+1)
		for _, s := range stored {
			rules = append(rules, r.shown(s))
		}
		return err
	})
	rules, next = cut(rules, p, func(rule Rule) string { return rule.Name })
	return rules, next, err
}

// SetState enables or disables a rule.
func (r *Router) SetState(ctx context.Context, bus, name string, state State) error {
	bus = busName(bus)
	return r.change(ctx, func(tx *db.Tx) error {
		if err := r.busExists(tx, bus); err != nil {
			return err
		}
		rule, err := readRule(tx, bus, name)
		if err != nil {
			return err
		}
		rule.State = state
		return writeRule(tx, rule, r.config.Now())
	})
}

// DeleteRule deletes a rule without targets. A rule that is not there is fine, a bus that is not there is not.
func (r *Router) DeleteRule(ctx context.Context, bus, name string) error {
	bus = busName(bus)
	return r.change(ctx, func(tx *db.Tx) error {
		if err := r.busExists(tx, bus); err != nil {
			return err
		}
		n, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM route_rule_targets WHERE bus = ? AND rule = ?", bus, name)
		if err != nil {
			return err
		}
		if n > 0 {
			return fault.Invalid.Errorf("Rule can't be deleted since it has targets.")
		}
		_, err = tx.Exec("DELETE FROM route_rules WHERE bus = ? AND name = ?", bus, name)
		return err
	})
}

// change is a write after which every node reads the rules anew.
func (r *Router) change(ctx context.Context, f func(*db.Tx) error) error {
	return r.db.Write(ctx, func(tx *db.Tx) error {
		if err := f(tx); err != nil {
			return err
		}
		_, err := tx.Exec("UPDATE route_state SET value = value + 1 WHERE name = 'revision'")
		return err
	})
}
