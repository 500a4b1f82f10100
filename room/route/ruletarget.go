package route

import (
	"context"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
)

// RuleTarget is where a rule sends its events, and what it makes of them
// first. Its JSON is EventBridge's Target.
type RuleTarget struct {
	ID          string          `json:"Id"`
	ARN         string          `json:"Arn"`
	RoleARN     string          `json:"RoleArn,omitzero"`
	Input       string          `json:"Input,omitzero"`     // JSON to send instead of the event
	InputPath   string          `json:"InputPath,omitzero"` // the part of the event to send
	Transformer *Transformer    `json:"InputTransformer,omitzero"`
	HTTP        *HTTPParameters `json:"HttpParameters,omitzero"`
	Retry       *RetryPolicy    `json:"RetryPolicy,omitzero"`
	DeadLetter  *DeadLetter     `json:"DeadLetterConfig,omitzero"`
}

// HTTPParameters are what a rule adds to the call of an API destination.
// Values may be paths into the event.
type HTTPParameters struct {
	Path   []string          `json:"PathParameterValues,omitzero"`
	Header map[string]string `json:"HeaderParameters,omitzero"`
	Query  map[string]string `json:"QueryStringParameters,omitzero"`
}

// DeadLetter names the list that undeliverable events are kept under. Any ARN
// of a queue will do: the list is Haechi's own.
type DeadLetter struct {
	ARN string `json:"Arn,omitzero"`
}

// Failed is one target that a call could not put or remove, in EventBridge's JSON.
type Failed struct {
	TargetID string `json:"TargetId"`
	Code     string `json:"ErrorCode"`
	Message  string `json:"ErrorMessage"`
}

// PutTargets adds targets to a rule, or replaces those of the same id. What
// cannot be delivered to is not added and told of in failed.
func (r *Router) PutTargets(ctx context.Context, bus, rule string, targets ...RuleTarget) (failed []Failed, err error) {
	bus = busName(bus)
	err = r.change(ctx, func(tx *db.Tx) error {
		failed = nil
		if err := r.busExists(tx, bus); err != nil {
			return err
		}
		if _, err := readRule(tx, bus, rule); err != nil {
			return err
		}
		for _, t := range targets {
			err := r.putTarget(tx, bus, rule, t)
			switch {
			case err == nil:
			case fault.Of(err) == fault.Internal || fault.Of(err) == fault.Unavailable:
				return err
			default:
				failed = append(failed, Failed{t.ID, code(err), err.Error()})
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("putting targets of rule %s: %w", rule, err)
	}
	r.warnLoops(ctx, bus, rule)
	return failed, nil
}

// code is the ErrorCode of one failed entry.
func code(err error) string {
	if fault.Of(err) == fault.NotFound {
		return "ResourceNotFoundException"
	}
	return "InvalidArgument"
}

func (r *Router) putTarget(tx *db.Tx, bus, rule string, t RuleTarget) error {
	if err := checkName("target", t.ID, 64); err != nil {
		return err
	}
	if err := r.checkTarget(tx, t); err != nil {
		return err
	}
	body, err := json.Marshal(t, json.Deterministic(true))
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO route_rule_targets (bus, rule, id, arn, body) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (bus, rule, id) DO UPDATE SET arn = excluded.arn, body = excluded.body`, bus, rule, t.ID, t.ARN, body)
	return err
}

// checkTarget tells whether t could be delivered to as it is.
func (r *Router) checkTarget(tx *db.Tx, t RuleTarget) error {
	if t.ARN == "" || len(t.ARN) > 1600 {
		return fault.Invalid.Errorf("target %s: an ARN has 1 to 1,600 characters", t.ID)
	}
	if _, err := compile(t.Input, t.InputPath, t.Transformer); err != nil {
		return fmt.Errorf("target %s: %w", t.ID, err)
	}
	if _, isBus := r.isBus(t.ARN); isBus && (t.Input != "" || t.InputPath != "" || t.Transformer != nil) {
		return fault.Invalid.Errorf("target %s: an event goes to another bus as it is", t.ID)
	}
	if err := t.Retry.check(); err != nil {
		return fmt.Errorf("target %s: %w", t.ID, err)
	}
	if err := r.targetExists(tx, t.ARN); err != nil {
		return fmt.Errorf("target %s: %w", t.ID, err)
	}
	return nil
}

// RemoveTargets takes targets from a rule; unknown ids are told of in failed.
// What is on its way to them is still delivered.
func (r *Router) RemoveTargets(ctx context.Context, bus, rule string, ids ...string) (failed []Failed, err error) {
	bus = busName(bus)
	err = r.change(ctx, func(tx *db.Tx) error {
		failed = nil
		if err := r.busExists(tx, bus); err != nil {
			return err
		}
		if _, err := readRule(tx, bus, rule); err != nil {
			return err
		}
		for _, id := range ids {
			n, err := tx.Exec("DELETE FROM route_rule_targets WHERE bus = ? AND rule = ? AND id = ?", bus, rule, id)
			if err != nil {
				return err
			}
			if n == 0 {
				failed = append(failed, Failed{id, "ResourceNotFoundException", "Rule " + rule + " has no target " + id + "."})
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("removing targets of rule %s: %w", rule, err)
	}
	return failed, nil
}

// Targets lists the targets of a rule by id.
func (r *Router) Targets(ctx context.Context, bus, rule string, p Page) (targets []RuleTarget, next string, err error) {
	bus = busName(bus)
	err = r.db.Read(ctx, func(tx *db.Tx) error {
		if err := r.busExists(tx, bus); err != nil {
			return err
		}
		if _, err := readRule(tx, bus, rule); err != nil {
			return err
		}
		targets, err = db.All(tx, scanJSON[RuleTarget], "SELECT body FROM route_rule_targets WHERE bus = ? AND rule = ? AND id > ? ORDER BY id LIMIT ?", bus, rule, p.After, p.limit()+1)
		return err
	})
	targets, next = cut(targets, p, func(t RuleTarget) string { return t.ID })
	return targets, next, err
}

// RulesTo lists the names of the rules of a bus that have a target of that ARN.
func (r *Router) RulesTo(ctx context.Context, bus, arn string, p Page) (names []string, next string, err error) {
	bus = busName(bus)
	err = r.db.Read(ctx, func(tx *db.Tx) error {
		if err := r.busExists(tx, bus); err != nil {
			return err
		}
		names, err = db.All(tx, db.Value[string], "SELECT DISTINCT rule FROM route_rule_targets WHERE arn = ? AND bus = ? AND rule > ? ORDER BY rule LIMIT ?", arn, bus, p.After, p.limit()+1)
		return err
	})
	names, next = cut(names, p, func(s string) string { return s })
	return names, next, err
}
