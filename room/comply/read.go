package comply

import (
	"context"
	"encoding/base64"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/keeper/inventory"
	"github.com/haechi-dev/haechi/lang/guard"
	"github.com/haechi-dev/haechi/word/fault"
)

// Result is the status of a rule and an asset.
type Result struct {
	Rule       string
	Key        inventory.Key
	ARN        string
	Status     Status
	Reason     string
	Evidence   []Evidence
	At         time.Time // when it was judged last with something new
	Since      time.Time // since when the status is this one
	Suppressed bool      // people said so in the hub
	Finding    string    // the Id of its finding, or ""
}

func (r *row) result() Result {
	return Result{r.rule, r.key, r.arn, r.status, r.reason, r.evidence, time.UnixMicro(r.at).UTC(), time.UnixMicro(r.since).UTC(), r.suppressed, r.finding}
}

// RuleStatus is a rule with how many assets have which status.
type RuleStatus struct {
	Policy     *guard.Policy
	Packs      []string
	Counts     map[Status]int // suppressed ones are not in it
	Suppressed int
}

// Control is what the rule is as a control of Security Hub: Failed if an asset
// breaks it, else Unknown if one could not be judged, else Passed; NoData
// without either.
func (r RuleStatus) Control() ControlStatus {
	switch {
	case r.Counts[NonCompliant] > 0:
		return ControlFailed
	case r.Counts[InsufficientData] > 0:
		return ControlUnknown
	case r.Counts[Compliant] > 0:
		return ControlPassed
	}
	return ControlNoData
}

// ControlStatus is Security Hub's word for how a control stands.
type ControlStatus string

// The statuses of a control.
const (
	ControlPassed  ControlStatus = "PASSED"
	ControlFailed  ControlStatus = "FAILED"
	ControlUnknown ControlStatus = "UNKNOWN"
	ControlNoData  ControlStatus = "NO_DATA"
)

// Rules are all rules with their counts, in the order of the packs.
func (c *Comply) Rules(ctx context.Context) (rules []RuleStatus, err error) {
	by := c.current()
	type count struct {
		rule       string
		status     Status
		suppressed bool
		n          int
	}
	var counts []count
	err = c.config.DB.Read(ctx, func(tx *db.Tx) error {
		counts, err = db.All(tx, func(scan db.Scan) (n count, err error) {
			var suppressed int
			err = scan(&n.rule, &n.status, &suppressed, &n.n)
			n.suppressed = suppressed != 0
			return n, err
		}, "SELECT rule, status, suppressed, COUNT(*) FROM comply_status WHERE gone = 0 GROUP BY rule, status, suppressed")
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, p := range by.policies() {
		r := RuleStatus{Policy: p, Counts: map[Status]int{}}
		for _, pack := range by.packs {
			if slices.Contains(pack.Policies, p) {
				r.Packs = append(r.Packs, pack.Name)
			}
		}
		for _, n := range counts {
			switch {
			case n.rule != p.ID:
			case n.suppressed:
				r.Suppressed += n.n
			default:
				r.Counts[n.status] += n.n
			}
		}
		rules = append(rules, r)
	}
	return rules, nil
}

// MaxPage is how many results a page holds at most.
const MaxPage = 100

// Query selects results; what is empty does not matter.
type Query struct {
	Rule   string
	Status Status
	Type   string
	Limit  int // of a page, at most and by default MaxPage
	Token  string
}

// place is where a page of results ends.
type place struct {
	Rule string        `json:"rule"`
	Key  inventory.Key `json:"key"`
}

// Results pages through results in the order of rule and asset; next is the token
// of the next page, or "".
func (c *Comply) Results(ctx context.Context, q Query) (results []Result, next string, err error) {
	where, values := "gone = 0", []any{}
	for _, x := range []struct{ column, value string }{{"rule", q.Rule}, {"status", string(q.Status)}, {"type", q.Type}} {
		if x.value != "" {
			where, values = where+" AND "+x.column+" = ?", append(values, x.value)
		}
	}
	if q.Token != "" {
		var at place
		text, err := base64.RawURLEncoding.DecodeString(q.Token)
		if err != nil || len(text) > 16<<10 || json.Unmarshal(text, &at, json.RejectUnknownMembers(true)) != nil {
			return nil, "", fault.Invalid.Errorf("this is no page token")
		}
		where, values = where+" AND (rule, type, id, account, region) > (?, ?, ?, ?, ?)", append(append(values, at.Rule), args(at.Key)...)
	}
	limit := q.Limit
	if limit <= 0 || limit > MaxPage {
		limit = MaxPage
	}
	rows, err := c.rows(ctx, where+" ORDER BY rule, type, id, account, region LIMIT ?", append(values, limit+1)...)
	if err != nil {
		return nil, "", err
	}
	if len(rows) > limit {
		rows = rows[:limit]
		last := rows[limit-1]
		next = base64.RawURLEncoding.EncodeToString([]byte(encode(place{last.rule, last.key})))
	}
	for _, r := range rows {
		results = append(results, r.result())
	}
	return results, next, nil
}

// Asset is what every rule says about an asset.
func (c *Comply) Asset(ctx context.Context, k inventory.Key) (results []Result, err error) {
	rows, err := c.rows(ctx, "gone = 0 AND "+ofAsset+" ORDER BY rule", args(k)...)
	for _, r := range rows {
		results = append(results, r.result())
	}
	return results, err
}

func (c *Comply) rows(ctx context.Context, where string, values ...any) (rows []*row, err error) {
	err = c.config.DB.Read(ctx, func(tx *db.Tx) error {
		rows, err = db.All(tx, scanRow, "SELECT "+columns+" FROM comply_status WHERE "+where, values...)
		return err
	})
	return rows, err
}

// Score is how many rules are kept, of those that have data.
type Score struct {
	Name                            string
	Passed, Failed, Unknown, NoData int // rules
}

// Percent is Security Hub's score, passed rules of those with data, rounded; ok is false without data.
func (s Score) Percent() (percent int, ok bool) {
	all := s.Passed + s.Failed + s.Unknown
	if all == 0 {
		return 0, false
	}
	return (200*s.Passed + all) / (2 * all), true
}

func (s *Score) add(c ControlStatus) {
	switch c {
	case ControlPassed:
		s.Passed++
	case ControlFailed:
		s.Failed++
	case ControlUnknown:
		s.Unknown++
	default:
		s.NoData++
	}
}

// PackScore is how a pack stands: by its rules, by each control of a framework
// that its rules serve, and as AWS Config counts, by rule and resource.
type PackScore struct {
	Score
	Title            guard.Text
	Controls         []Score // named ISMS-P 2.6.1
	Compliant, Pairs int     // rule and resource: compliant ones, and all that were judged
}

// Scores are how the packs stand now, and all their rules together.
func (c *Comply) Scores(ctx context.Context) (packs []PackScore, overall Score, err error) {
	rules, err := c.Rules(ctx)
	if err != nil {
		return nil, overall, err
	}
	byID := map[string]RuleStatus{}
	for _, r := range rules {
		byID[r.Policy.ID] = r
		overall.add(r.Control())
	}
	for _, p := range c.current().packs {
		packs = append(packs, score(p, byID))
	}
	return packs, overall, nil
}

func score(p Pack, rules map[string]RuleStatus) PackScore {
	s := PackScore{Score: Score{Name: p.Name}, Title: p.Title}
	controls := map[string]*Score{}
	for _, policy := range p.Policies {
		r := rules[policy.ID]
		s.add(r.Control())
		s.Compliant += r.Counts[Compliant]
		s.Pairs += r.Counts[Compliant] + r.Counts[NonCompliant]
		for _, name := range requirements(policy, p.Framework) {
			if controls[name] == nil {
				controls[name] = &Score{Name: name}
			}
			controls[name].add(r.Control())
		}
	}
	for _, x := range controls {
		s.Controls = append(s.Controls, *x)
	}
	slices.SortFunc(s.Controls, func(a, b Score) int { return compareNumbers(a.Name, b.Name) })
	return s
}
