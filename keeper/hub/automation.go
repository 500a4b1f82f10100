package hub

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/lang/match"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// Rule changes findings as they come in, before anybody hears of them. All
// rules look at a finding as its provider sent it; they are gone through from
// the lowest order (the earlier updated first among equals), a later one
// overwrites what an earlier one said of the same field, and after a terminal
// rule that matches no other is asked. What a person decided about a finding
// no rule changes.
type Rule struct {
	ARN         string       `json:"RuleArn,omitzero"`
	Status      string       `json:"RuleStatus,omitzero"` // ENABLED (the default) or DISABLED
	Order       int          `json:"RuleOrder"`           // 1 to 1,000
	Name        string       `json:"RuleName"`
	Description string       `json:"Description"`
	Terminal    bool         `json:"IsTerminal"`
	Criteria    Filters      `json:"Criteria"`
	Actions     []RuleAction `json:"Actions"` // exactly one
	CreatedAt   string       `json:"CreatedAt,omitzero"`
	UpdatedAt   string       `json:"UpdatedAt,omitzero"`
	CreatedBy   string       `json:"CreatedBy,omitzero"`
}

// RuleAction is what a rule does; its type is always FINDING_FIELDS_UPDATE.
type RuleAction struct {
	Type   string   `json:"Type"`
	Update Decision `json:"FindingFieldsUpdate"`
}

// FieldsUpdate is the one type of action there is.
const FieldsUpdate = "FINDING_FIELDS_UPDATE"

func (r *Rule) check(now time.Time) error {
	r.Status = cmp.Or(r.Status, "ENABLED")
	switch {
	case r.Order < 1 || r.Order > 1000:
		return fault.Invalid.Errorf("RuleOrder is %d, must be 1 to 1,000", r.Order)
	case blank(r.Name) || blank(r.Description):
		return fault.Invalid.Errorf("a rule needs RuleName and Description")
	case len(r.Name) > 256 || len(r.Description) > 1024:
		return fault.Invalid.Errorf("RuleName has at most 256 bytes, Description 1,024")
	case r.Status != "ENABLED" && r.Status != "DISABLED":
		return fault.Invalid.Errorf("RuleStatus %q is neither ENABLED nor DISABLED", r.Status)
	case len(r.Actions) != 1:
		return fault.Invalid.Errorf("a rule has exactly one action, not %d", len(r.Actions))
	case r.Actions[0].Type != FieldsUpdate:
		return fault.Invalid.Errorf("there is no action %q, only %s", r.Actions[0].Type, FieldsUpdate)
	}
	p, err := compile(r.Criteria, asCriteria, now)
	if err != nil {
		return fmt.Errorf("criteria of rule %q: %w", r.Name, err)
	}
	if len(p.tests) == 0 {
		return fault.Invalid.Errorf("rule %q has no criteria", r.Name)
	}
	return r.Actions[0].Update.check()
}

// ruleCache keeps the rules made ready.
type ruleCache struct {
	mu      sync.Mutex
	version int64
	at      time.Time
	set     *ruleset
}

// ruleset is all rules and suppressors in force, made ready: one pass over a finding answers all criteria.
type ruleset struct {
	rules       []Rule
	first       []int // where each rule's tests begin
	tests       []test
	wants       *trie
	suppressors []*suppressor
}

// rulesChanged makes every node read the rules again.
func (h *Hub) rulesChanged(tx *db.Tx) error {
	_, err := next(tx, "rules", 1)
	return err
}

// load is the rules as tx sees them. Spans of days are meant from now, give or take a minute.
func (c *ruleCache) load(h *Hub, tx *db.Tx, now time.Time) (*ruleset, error) {
	version, err := db.One(tx, db.Value[int64], "SELECT value FROM hub_counters WHERE name = 'rules'")
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if age := now.Sub(c.at); c.set != nil && c.version == version && age >= 0 && age < time.Minute {
		return c.set, nil
	}
	rules, err := readRules(tx)
	if err != nil {
		return nil, err
	}
	suppressors, err := readSuppressors(tx)
	if err != nil {
		return nil, err
	}
	set, err := prepareRules(rules, suppressors, now)
	if err != nil {
		return nil, err
	}
	c.version, c.at, c.set = version, now, set
	return set, nil
}

func prepareRules(rules []Rule, suppressors []Suppressor, now time.Time) (*ruleset, error) {
	set := &ruleset{}
	for _, r := range rules {
		if r.Status != "ENABLED" {
			continue
		}
		p, err := compile(r.Criteria, asCriteria, now)
		if err != nil {
			return nil, fmt.Errorf("rule %q: %w", r.Name, err)
		}
		set.rules, set.first = append(set.rules, r), append(set.first, len(set.tests))
		set.tests = append(set.tests, p.tests...)
	}
	set.first = append(set.first, len(set.tests))
	set.wants = newTrie(set.tests)
	for _, s := range suppressors {
		pattern, err := match.Parse([]byte(s.Pattern))
		if err != nil {
			return nil, fmt.Errorf("suppressor %q: %w", s.Name, err)
		}
		set.suppressors = append(set.suppressors, &suppressor{s, pattern})
	}
	return set, nil
}

// matching are the rules that apply to a finding, in order, up to a terminal one.
func (set *ruleset) matching(doc []byte) (list []*Rule) {
	found := set.wants.read(doc, len(set.tests))
	for i := range set.rules {
		holds := true
		for t := set.first[i]; t < set.first[i+1] && holds; t++ {
			holds = set.tests[t].holds(found[t])
		}
		if !holds {
			continue
		}
		list = append(list, &set.rules[i])
		if set.rules[i].Terminal {
			break
		}
	}
	return list
}

// apply makes rules and suppressors true of f, but for what a person decided.
// It tells for the history what did it.
func (set *ruleset) apply(f *finding.Finding, decided fields, at time.Time) (why string, accept *Acceptance) {
	if len(set.rules)+len(set.suppressors) == 0 {
		return "", nil
	}
	doc, p := encode(f, true)
	if p != nil {
		return "", nil // the caller finds out by himself
	}
	var names []string
	var all Decision
	for _, r := range set.matching(doc) {
		r.Actions[0].Update.over(&all)
		names = append(names, "automation rule "+r.Name)
	}
	if len(names) > 0 {
		all.apply(f, decided, at)
		if doc, p = encode(f, true); p != nil {
			return "", nil
		}
	}
	for _, s := range set.suppressors {
		if decided.has(fieldWorkflow) || f.Status() == finding.Suppressed || !s.pattern.Match(doc) {
			continue
		}
		setStatus(f, finding.Suppressed)
		names, accept = append(names, "suppressor "+s.Name), s.acceptance(at)
	}
	return strings.Join(names, ", "), accept
}

func readRules(tx *db.Tx) ([]Rule, error) {
	return db.All(tx, func(scan db.Scan) (r Rule, err error) {
		var doc []byte
		if err := scan(&doc); err != nil {
			return r, err
		}
		return r, json.Unmarshal(doc, &r)
	}, "SELECT doc FROM hub_rules ORDER BY place, updated, id")
}

const ruleMark = "automation-rule/"

func writeRule(tx *db.Tx, r Rule, updated time.Time) error {
	doc, err := json.Marshal(r, json.Deterministic(true))
	if err != nil {
		return fault.Invalid.Errorf("rule %q: %w", r.Name, err)
	}
	_, err = tx.Exec("INSERT INTO hub_rules (id, place, updated, doc) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET place = excluded.place, updated = excluded.updated, doc = excluded.doc",
		r.ARN, r.Order, updated.UnixMicro(), string(doc))
	return err
}

const maxRules = 1000

// CreateRule adds an automation rule and gives it its ARN and times.
func (h *Hub) CreateRule(ctx context.Context, r Rule, tags map[string]string) (Rule, error) {
	now := h.now()
	if err := r.check(now); err != nil {
		return r, err
	}
	r.ARN = h.arn(ruleMark + bus.ID())
	r.CreatedAt, r.UpdatedAt = finding.Stamp(now), finding.Stamp(now)
	return r, h.db.Write(ctx, func(tx *db.Tx) error {
		n, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM hub_rules")
		if err != nil {
			return err
		}
		if n >= maxRules {
			return fault.Limit.Errorf("there are %d automation rules already", n)
		}
		if err := writeRule(tx, r, now); err != nil {
			return err
		}
		if err := tagResource(tx, r.ARN, tags); err != nil {
			return err
		}
		return h.rulesChanged(tx)
	})
}

// Rules are all automation rules in the order in which they are gone through.
func (h *Hub) Rules(ctx context.Context) (list []Rule, err error) {
	err = h.db.Read(ctx, func(tx *db.Tx) error {
		list, err = readRules(tx)
		return err
	})
	return list, err
}

// RuleByARN is one automation rule, or fault.NotFound.
func (h *Hub) RuleByARN(ctx context.Context, arn string) (r Rule, err error) {
	rules, err := h.Rules(ctx)
	if err != nil {
		return r, err
	}
	i := slices.IndexFunc(rules, func(r Rule) bool { return r.ARN == arn })
	if i < 0 {
		return r, noRule(arn)
	}
	return rules[i], nil
}

func noRule(arn string) error { return fault.NotFound.Errorf("there is no automation rule %q", arn) }

// ChangeRule has edit change an automation rule.
func (h *Hub) ChangeRule(ctx context.Context, arn string, edit func(*Rule)) error {
	now := h.now()
	return h.db.Write(ctx, func(tx *db.Tx) error {
		rules, err := readRules(tx)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(rules, func(r Rule) bool { return r.ARN == arn })
		if i < 0 {
			return noRule(arn)
		}
		r := rules[i]
		edit(&r)
		r.ARN, r.CreatedAt, r.CreatedBy, r.UpdatedAt = rules[i].ARN, rules[i].CreatedAt, rules[i].CreatedBy, finding.Stamp(now)
		if err := r.check(now); err != nil {
			return err
		}
		if err := writeRule(tx, r, now); err != nil {
			return err
		}
		return h.rulesChanged(tx)
	})
}

// DeleteRule removes an automation rule. What it changed stays until the next import.
func (h *Hub) DeleteRule(ctx context.Context, arn string) error {
	return h.db.Write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec("DELETE FROM hub_rules WHERE id = ?", clean(arn))
		if err == nil && n == 0 {
			err = noRule(arn)
		}
		if err != nil {
			return err
		}
		if _, err := tx.Exec("DELETE FROM hub_tags WHERE arn = ?", arn); err != nil {
			return err
		}
		return h.rulesChanged(tx)
	})
}

// Trial is what a rule would do to what is stored.
type Trial struct {
	Matches   int               // stored findings that answer to its criteria
	Changes   int               // of those: would be changed
	Examples  []finding.Finding // some of them, as they would be
	Conflicts []Conflict        // other rules in force that say otherwise of the same fields
}

// Conflict is another rule that matches some of the same findings and decides the same fields otherwise.
type Conflict struct {
	ARN, Name string
	Fields    []string
	Findings  int
	Wins      bool // the other one has the last word
}

// TryRule tells what a rule would do to the stored findings, and changes nothing.
func (h *Hub) TryRule(ctx context.Context, r Rule, examples int) (t Trial, err error) {
	now := h.now()
	if err := r.check(now); err != nil {
		return t, err
	}
	p, err := compile(r.Criteria, asCriteria, now)
	if err != nil {
		return t, err
	}
	conflicts := map[string]*Conflict{}
	err = h.look(ctx, func(tx *db.Tx) error {
		t, conflicts = Trial{}, map[string]*Conflict{}
		rules, err := readRules(tx)
		if err != nil {
			return err
		}
		others, err := prepareRules(slices.DeleteFunc(rules, func(o Rule) bool { return o.ARN == r.ARN }), nil, now)
		if err != nil {
			return err
		}
		return h.eachMeant(tx, p, func(_ int64, doc []byte) error {
			t.Matches++
			f, err := finding.Parse(doc)
			if err != nil {
				return err
			}
			for _, o := range others.matching(doc) {
				r.conflict(o, conflicts)
			}
			r.Actions[0].Update.apply(&f, 0, now)
			if equalJSON(f.JSON(), doc) {
				return nil
			}
			if t.Changes++; len(t.Examples) < examples {
				t.Examples = append(t.Examples, f)
			}
			return nil
		})
	})
	for _, arn := range slices.Sorted(keys(conflicts)) {
		t.Conflicts = append(t.Conflicts, *conflicts[arn])
	}
	return t, err
}

func (r *Rule) conflict(o *Rule, found map[string]*Conflict) {
	mine := r.Actions[0].Update
	lost := o.Actions[0].Update.sets() & mine.sets()
	for _, field := range []fields{fieldConfidence, fieldCriticality, fieldRelated, fieldSeverity, fieldTypes, fieldNote, fieldUserDefined, fieldVerification, fieldWorkflow} {
		if lost.has(field) && sameIn(field, &mine, &o.Actions[0].Update) {
			lost &^= field
		}
	}
	if lost == 0 {
		return
	}
	c := found[o.ARN]
	if c == nil {
		c = &Conflict{ARN: o.ARN, Name: o.Name, Fields: lost.names(), Wins: o.Order > r.Order && !r.Terminal || o.Order < r.Order && o.Terminal}
		found[o.ARN] = c
	}
	c.Findings++
}

// sameIn tells whether two decisions say the same of a field.
func sameIn(field fields, a, b *Decision) bool {
	only := func(d *Decision) []byte {
		var one finding.Finding
		d.apply(&one, ^field, time.Time{})
		return one.JSON()
	}
	return slices.Equal(only(a), only(b))
}
