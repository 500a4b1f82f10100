package route

import (
	"bytes"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/lang/match"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
)

// table is everything that decides where events go, as of one revision. It
// does not change: a new revision is a new table.
type table struct {
	revision  int64
	buses     map[string]*liveBus
	receivers map[string]*liveReceiver // by ARN
	snoozes   map[string][]Snooze      // by ARN; some may have ended
}

type liveBus struct {
	rules    map[string]*liveRule
	patterns *match.Set[string] // of the rules in force, by name
	archives []liveArchive
}

type liveRule struct {
	storedRule
	arn     string
	targets []liveTarget
}

type liveTarget struct {
	RuleTarget
	transform transform
	receiver  *liveReceiver // if it is a configured one
}

// once is whether the target is told of a finding once for each time that it is new.
func (t *liveTarget) once() bool { return t.receiver != nil && (t.receiver.digest || t.receiver.once) }

// digest is whether the target gets many events in one delivery.
func (t *liveTarget) digest() bool { return t.receiver != nil && t.receiver.digest }

// liveReceiver is an opened target.
type liveReceiver struct {
	stamp   string
	digest  bool
	once    bool
	pacing  Pacing
	target  Target
	broken  error    // why it could not be opened
	secrets []string // never to be written anywhere
}

type liveArchive struct {
	name    string
	pattern *match.Pattern // nil takes everything
}

// table is the present table: the known one, unless another revision is in force.
func (r *Router) table(tx *db.Tx) (*table, error) {
	revision, err := db.One(tx, db.Value[int64], "SELECT value FROM route_state WHERE name = 'revision'")
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	known := r.known
	r.mu.Unlock()
	if known != nil && known.revision == revision {
		return known, nil
	}
	t, err := r.readTable(tx, revision, known)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	// A slow reader must not bring back an old table.
	if r.known == nil || r.known.revision < revision {
		r.known = t
	}
	return t, nil
}

func (r *Router) readTable(tx *db.Tx, revision int64, old *table) (*table, error) {
	t := &table{revision: revision, buses: map[string]*liveBus{}, receivers: map[string]*liveReceiver{}, snoozes: map[string][]Snooze{}}
	if err := r.readReceivers(tx, t, old); err != nil {
		return nil, err
	}
	if err := r.readDestinations(tx, t, old); err != nil {
		return nil, err
	}
	if err := r.readRules(tx, t, old); err != nil {
		return nil, err
	}
	snoozes, err := db.All(tx, scanJSON[Snooze], "SELECT body FROM route_snoozes WHERE until > ?", r.config.Now().UnixMicro())
	if err != nil {
		return nil, err
	}
	for _, s := range snoozes {
		t.snoozes[s.Target] = append(t.snoozes[s.Target], s)
	}
	archives, err := db.All(tx, scanJSON[Archive], "SELECT body FROM route_archives")
	if err != nil {
		return nil, err
	}
	for _, a := range archives {
		live, err := a.live()
		if err != nil {
			return nil, err
		}
		t.bus(a.Bus).archives = append(t.bus(a.Bus).archives, live)
	}
	return t, nil
}

// bus is for while the table is made.
func (t *table) bus(name string) *liveBus {
	b := t.buses[name]
	if b == nil {
		b = &liveBus{rules: map[string]*liveRule{}, patterns: match.NewSet[string]()}
		t.buses[name] = b
	}
	return b
}

func (r *Router) readReceivers(tx *db.Tx, t, old *table) error {
	rows, err := db.All(tx, scanSealed, "SELECT body, sealed FROM route_receivers")
	if err != nil {
		return err
	}
	for _, row := range rows {
		var c Receiver
		if err := json.Unmarshal(row.body, &c); err != nil {
			return err
		}
		arn := r.ReceiverARN(c.Kind, c.Name)
		if old != nil && old.receivers[arn] != nil && old.receivers[arn].stamp == c.Stamp {
			t.receivers[arn] = old.receivers[arn] // with its own sense of how fast it may go
			continue
		}
		t.receivers[arn] = r.openLive(row, c)
	}
	return nil
}

func (r *Router) openLive(row sealedRow, c Receiver) *liveReceiver {
	live := &liveReceiver{stamp: c.Stamp, once: c.Once, pacing: c.Pacing.full()}
	if kind, err := kindOf(c.Kind); err == nil {
		live.digest = kind.Digest
	}
	full, err := r.openRow(row)
	for _, secret := range full.Secrets {
		live.secrets = append(live.secrets, masked(secret.Reveal())...)
	}
	if err == nil {
		live.target, err = openReceiver(full, &r.env)
	}
	live.broken = err
	return live
}

// masked is what must not be written of a secret: all of it, and the path if
// it is an address, which receivers like to repeat in their answers.
func masked(secret string) (texts []string) {
	const short = 6 // a shorter text would mask what has nothing to do with it
	if u, err := url.Parse(secret); err == nil && u.Host != "" && len(u.EscapedPath()) >= short {
		texts = append(texts, secret, u.EscapedPath())
	} else if secret != "" {
		texts = append(texts, secret)
	}
	return texts
}

func (r *Router) readRules(tx *db.Tx, t, old *table) error {
	rules, err := db.All(tx, scanJSON[storedRule], "SELECT body FROM route_rules")
	if err != nil {
		return err
	}
	for _, stored := range rules {
		t.bus(stored.Bus).rules[stored.Name] = &liveRule{storedRule: stored, arn: r.RuleARN(stored.Bus, stored.Name)}
	}
	for name, b := range t.buses {
		var was *liveBus
		if old != nil {
			was = old.buses[name]
		}
		r.compilePatterns(b, was)
	}
	return r.readRuleTargets(tx, t)
}

// compilePatterns makes the automaton of a bus, out of the old one if there is one.
func (r *Router) compilePatterns(b, old *liveBus) {
	if old != nil {
		b.patterns = old.patterns
		var gone []string
		for name := range old.rules {
			if rule := b.rules[name]; rule == nil || !rule.matches() {
				gone = append(gone, name)
			}
		}
		b.patterns = b.patterns.Without(gone...)
	}
	var added []match.Rule[string]
	for name, rule := range b.rules {
		if !rule.matches() {
			continue
		}
		if old != nil && old.rules[name] != nil && old.rules[name].matches() && old.rules[name].Pattern == rule.Pattern {
			continue
		}
		p, err := parsePattern(rule.Pattern)
		if err != nil {
			r.config.Log.Error("a rule is left out", "rule", rule.arn, "error", err)
			continue
		}
		added = append(added, match.Rule[string]{ID: name, Pattern: p})
	}
	b.patterns = b.patterns.With(added...)
}

// matches tells whether the rule asks for events, now.
func (rule *liveRule) matches() bool { return rule.State != Disabled && rule.Pattern != "" }

// aimed is a target with the rule that it is of.
type aimed struct {
	bus, rule string
	target    RuleTarget
}

func scanAimed(scan db.Scan) (a aimed, err error) {
	var body []byte
	if err := scan(&a.bus, &a.rule, &body); err != nil {
		return a, err
	}
	err = json.Unmarshal(body, &a.target)
	return a, err
}

func (r *Router) readRuleTargets(tx *db.Tx, t *table) error {
	all, err := db.All(tx, scanAimed, "SELECT bus, rule, body FROM route_rule_targets ORDER BY bus, rule, id")
	if err != nil {
		return err
	}
	for _, a := range all {
		rule := t.bus(a.bus).rules[a.rule]
		if rule == nil {
			continue
		}
		shape, err := compile(a.target.Input, a.target.InputPath, a.target.Transformer)
		if err != nil {
			r.config.Log.Error("a target is left out", "rule", rule.arn, "target", a.target.ID, "error", err)
			continue
		}
		rule.targets = append(rule.targets, liveTarget{a.target, shape, t.receivers[a.target.ARN]})
	}
	return nil
}

// matching are the rules in force that ask for an event; body is its JSON. An
// error leaves out the rules that could not be decided.
func (b *liveBus) matching(e event.Event, body []byte) ([]*liveRule, error) {
	names, err := b.patterns.Match(body, nil)
	var rules []*liveRule
	reading := isReading(e)
	for _, name := range names {
		if rule := b.rules[name]; !reading || rule.State == EnabledWithReads {
			rules = append(rules, rule)
		}
	}
	return rules, err
}

// isReading tells whether e is CloudTrail's record of a call that only reads,
// which rules see only if they ask for that by their state.
func isReading(e event.Event) bool {
	if e.Type != "AWS API Call via CloudTrail" || !bytes.Contains(e.Detail, []byte(`"eventName"`)) {
		return false
	}
	var call struct {
		Name string `json:"eventName"`
	}
	if json.Unmarshal(e.Detail, &call) != nil {
		return false
	}
	for _, verb := range []string{"List", "Get", "Describe"} {
		if strings.HasPrefix(call.Name, verb) {
			return true
		}
	}
	return false
}

// target is what deliveries to an ARN are handed to.
func (r *Router) target(t *table, arn string) (Target, error) {
	if live := t.receivers[arn]; live != nil {
		return live.target, live.broken
	}
	if bus, ok := r.isBus(arn); ok {
		return busTarget{r, bus}, nil
	}
	for _, room := range r.config.Rooms {
		if strings.HasPrefix(arn, room.Prefix) {
			return room.Target, nil
		}
	}
	return nil, fault.NotFound.Errorf("there is no target %s", arn)
}

// isBus tells which of our buses an ARN means.
func (r *Router) isBus(arn string) (bus string, ok bool) {
	name, ok := strings.CutPrefix(arn, r.arn("event-bus/"))
	return name, ok
}

// targetExists refuses an ARN that nothing could be delivered to.
func (r *Router) targetExists(tx *db.Tx, arn string) error {
	if bus, ok := r.isBus(arn); ok {
		return r.busExists(tx, bus)
	}
	service, rest, ok := resource(arn)
	if !ok {
		return fault.Invalid.Errorf("%q is not an ARN", arn)
	}
	for _, room := range r.config.Rooms {
		if strings.HasPrefix(arn, room.Prefix) {
			return nil
		}
	}
	switch {
	case service == "haechi" && strings.HasPrefix(rest, "target/"):
		kind, name, _ := strings.Cut(strings.TrimPrefix(rest, "target/"), "/")
		if arn != r.ReceiverARN(kind, name) {
			return fault.NotFound.Errorf("there is no target %s", arn)
		}
		_, err := r.readReceiver(tx, kind, name)
		return err
	case service == "events" && strings.HasPrefix(rest, "api-destination/"):
		_, err := destinationAt(tx, arn)
		return err
	}
	return fault.Unsupported.Errorf("%s: nothing here delivers to %s; use an API destination, an event bus or arn:aws:haechi:…:target/KIND/NAME", arn, service)
}
