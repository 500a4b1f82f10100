package comply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/keeper/inventory"
	"github.com/haechi-dev/haechi/lang/guard"
	"github.com/haechi-dev/haechi/word/asset"
	"github.com/haechi-dev/haechi/word/fault"
)

// Status is what a rule says about an asset, in AWS Config's words.
type Status string

// The statuses.
const (
	Compliant        Status = "COMPLIANT"
	NonCompliant     Status = "NON_COMPLIANT"
	NotApplicable    Status = "NOT_APPLICABLE"
	InsufficientData Status = "INSUFFICIENT_DATA" // it could not be judged; Reason says why
)

// Evidence is one thing about an asset that breaks a rule.
type Evidence struct {
	Path     string `json:"path"`     // within the asset: /Properties/PubliclyAccessible
	Found    string `json:"found"`    //
	Expected string `json:"expected"` //
	Why      string `json:"why,omitzero"`
	Message  string `json:"message,omitzero"` // what the rule says
	Clause   string `json:"clause"`           // its place in the rule
}

// judgement is what a rule says about an asset now.
type judgement struct {
	policy   *guard.Policy
	status   Status
	reason   string
	evidence []Evidence
}

// judge holds an asset against the rules that are about its type.
func (c *Comply) judge(by *set, item asset.Item) []judgement {
	var about []*guard.Policy
	for _, p := range by.policies() {
		if slices.Contains(p.Types, item.Type) {
			about = append(about, p)
		}
	}
	if len(about) == 0 || item.Deleted {
		return nil
	}
	all := make([]judgement, len(about))
	doc, err := c.document(item)
	for i, p := range about {
		if err != nil {
			all[i] = judgement{policy: p, status: InsufficientData, reason: err.Error()}
			continue
		}
		all[i] = judgeOne(p, doc, item, c.config.Now())
	}
	return all
}

// document is an asset as the template that would make it.
func (c *Comply) document(item asset.Item) (*guard.Document, error) {
	template := c.config.Shapes.Template(item)
	if template == nil {
		return nil, fault.Unsupported.Errorf("the configuration of the resource is not known")
	}
	return guard.Load(item.ID, template)
}

// most is how much evidence is kept of one judgement.
const most = 10

func judgeOne(p *guard.Policy, doc *guard.Document, item asset.Item, now time.Time) judgement {
	v := p.Check(doc, now)
	switch {
	case v.Err != nil:
		return judgement{policy: p, status: InsufficientData, reason: "the rule cannot be evaluated: " + v.Err.Error()}
	case v.Status == guard.Pass:
		return judgement{policy: p, status: Compliant}
	case v.Status == guard.Skip:
		return judgement{policy: p, status: NotApplicable, reason: "the rule has nothing to say about this resource"}
	}
	j := judgement{policy: p, status: NonCompliant}
	for _, f := range v.Failures[:min(len(v.Failures), most)] {
		j.evidence = append(j.evidence, Evidence{Path: within(f.Path, item), Found: f.Got, Expected: f.Want, Why: f.Why, Message: f.Message, Clause: f.Clause.String()})
	}
	j.reason = p.Title.En
	if len(j.evidence) > 0 {
		j.reason += ": " + j.evidence[0].String()
	}
	return j
}

// String says it in one line.
func (e Evidence) String() string {
	if e.Why != "" {
		return fmt.Sprintf("%s (%s, expected %s)", e.Why, e.Found, e.Expected)
	}
	return fmt.Sprintf("%s is %s, expected %s", e.Path, e.Found, e.Expected)
}

// Evaluate holds one asset against its rules, and tells what has changed.
func (c *Comply) Evaluate(ctx context.Context, k inventory.Key) error {
	item, err := c.config.Inventory.Get(ctx, k)
	if fault.Of(err) == fault.NotFound {
		return nil // told of, and never kept: nothing is known about it
	}
	if err != nil {
		return err
	}
	for {
		err := c.evaluate(ctx, c.current(), item)
		if errors.Is(err, errStale) {
			continue
		}
		if err != nil {
			return fmt.Errorf("holding %s %s against the rules: %w", k.Type, k.ID, err)
		}
		break
	}
	return c.tell(ctx, &k)
}

// EvaluateAll holds every asset against its rules, and tells what has changed. What
// rules that are no more had said is taken back.
func (c *Comply) EvaluateAll(ctx context.Context) error {
	for {
		err := c.evaluateAll(ctx, c.current())
		if !errors.Is(err, errStale) {
			return err
		}
	}
}

func (c *Comply) evaluateAll(ctx context.Context, by *set) error {
	for _, typ := range by.types() {
		q := inventory.Query{Type: typ, Deleted: true}
		for {
			items, next, err := c.config.Inventory.List(ctx, q)
			if err != nil {
				return err
			}
			if err := c.evaluate(ctx, by, items...); err != nil {
				return err
			}
			if err := c.tell(ctx, nil); err != nil {
				return err
			}
			if q.Token = next; next == "" {
				break
			}
		}
	}
	if err := c.retire(ctx, by); err != nil {
		return err
	}
	return c.tell(ctx, nil)
}

func (s *set) types() (all []string) {
	for _, p := range s.policies() {
		for _, t := range p.Types {
			if !slices.Contains(all, t) {
				all = append(all, t)
			}
		}
	}
	return all
}

// errStale: the rules were replaced meanwhile.
var errStale = errors.New("the rules were replaced meanwhile")

// change runs work in a transaction, if the set still counts. A set that is
// replaced after that is no matter: those who replace it judge everything anew,
// in later transactions.
func (c *Comply) change(ctx context.Context, by *set, work func(*db.Tx) error) error {
	return c.config.DB.Write(ctx, func(tx *db.Tx) error {
		if c.current() != by {
			return errStale
		}
		return work(tx)
	})
}

// evaluate judges assets, and keeps what has changed in one transaction.
func (c *Comply) evaluate(ctx context.Context, by *set, items ...asset.Item) error {
	judged := make([][]judgement, len(items))
	for i, item := range items {
		judged[i] = c.judge(by, item)
	}
	return c.change(ctx, by, func(tx *db.Tx) error {
		for i, item := range items {
			if err := c.keep(tx, by, item, judged[i]); err != nil {
				return err
			}
		}
		return nil
	})
}
