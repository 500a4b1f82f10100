package comply

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/keeper/inventory"
	"github.com/haechi-dev/haechi/lang/guard"
	"github.com/haechi-dev/haechi/word/asset"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/finding"
)

// What the findings say in ProductFields, beside word/finding's fields.
const (
	FieldRule     = "haechi/rule"
	FieldPath     = "haechi/path"     // of the first evidence
	FieldFound    = "haechi/found"    //
	FieldExpected = "haechi/expected" //
	FieldTitleKo  = "haechi/title-ko" // what is wrong, in Korean
	FieldFixKo    = "haechi/fix-ko"   // what to do, in Korean
)

// tool is the first part of the findings' Ids after haechi/.
const tool = "comply"

// finding is what a judgement is to the hub. Its Id is of the rule and the asset.
func (c *Comply) finding(by *set, r *row, item asset.Item, j judgement, now time.Time) finding.Finding {
	p := j.policy
	target := cmp.Or(item.ARN, strings.Join([]string{item.Account, item.Region, item.Type, item.ID}, "/"))
	f := finding.Finding{
		GeneratorID: tool + "/" + p.ID,
		Title:       cut(p.Title.En, 256),
		Description: cut(description(j), 1024),
		Types:       findingTypes(by, p),
		Severity:    &finding.Severity{Label: p.Severity},
		Remediation: &finding.Remediation{Recommendation: &finding.Recommendation{Text: p.Fix.En, URL: p.Link}},
		Resources:   []finding.Resource{{Type: finding.ResourceType(item.Type), ID: target, Partition: "aws", Region: item.Region, Tags: item.Tags}},
		Compliance:  &finding.Compliance{Status: complianceStatus(j.status), RelatedRequirements: related(p), SecurityControlID: p.ID},
		RecordState: finding.Active,
		ProductFields: map[string]string{finding.FieldFingerprint: finding.Fingerprint(p.ID, item.Account, item.Region, item.Type, item.ID), FieldRule: p.ID,
			FieldTitleKo: p.Title.Ko, FieldFixKo: p.Fix.Ko},
	}
	if j.status == NotApplicable {
		f.RecordState = finding.Archived
	}
	if len(j.evidence) > 0 {
		e := j.evidence[0]
		f.ProductFields[FieldPath], f.ProductFields[FieldFound], f.ProductFields[FieldExpected] = cut(e.Path, 2000), cut(e.Found, 2000), cut(e.Expected, 2000)
		f.ProductFields[finding.FieldEvidence] = cut(lines(j.evidence), 2000)
	}
	updated := finding.Stamp(now)
	if last, err := finding.Parse([]byte(r.doc)); err == nil && r.doc != "" {
		f.CreatedAt, f.FirstObservedAt, updated = last.CreatedAt, last.FirstObservedAt, after(last.UpdatedAt, now)
	}
	f.UpdatedAt, f.LastObservedAt = updated, updated
	f.FirstObservedAt = cmp.Or(f.FirstObservedAt, updated)
	return finding.Maker{Account: c.config.Account, Region: c.config.Region}.Own(finding.Scan{Tool: tool, Target: target}, f, now)
}

func complianceStatus(s Status) string {
	switch s {
	case Compliant:
		return finding.Passed
	case NonCompliant:
		return finding.Failed
	}
	return finding.NotAvailable
}

func description(j judgement) string {
	if j.status == Compliant {
		return "The resource keeps the rule " + j.policy.ID + "."
	}
	return j.reason
}

func lines(evidence []Evidence) string {
	var all []string
	for _, e := range evidence {
		all = append(all, e.String())
	}
	return strings.Join(all, "\n")
}

// findingTypes are the types of the packs that hold the rule.
func findingTypes(by *set, p *guard.Policy) (types []string) {
	for _, pack := range by.packs {
		if pack.Type != "" && slices.ContainsFunc(pack.Policies, func(x *guard.Policy) bool { return x.ID == p.ID }) {
			types = append(types, pack.Type)
		}
	}
	return types
}

// related are a rule's requirements, as many as a finding may name.
func related(p *guard.Policy) []string {
	const most = 32 // in ASFF
	all := requirements(p, "")
	return all[:min(len(all), most)]
}

// requirements are the controls that a rule serves: ISMS-P 2.6.1; of one
// framework, or of all.
func requirements(p *guard.Policy, of string) (all []string) {
	for framework, controls := range p.Controls {
		if of != "" && framework != of {
			continue
		}
		for _, number := range controls {
			all = append(all, framework+" "+number)
		}
	}
	slices.Sort(all)
	return all
}

// within is a path below the asset: /Properties/Encrypted, and for what
// CloudFormation keeps apart the type before it.
func within(path string, item asset.Item) string {
	escaped := strings.NewReplacer("~", "~0", "/", "~1").Replace(item.ID)
	rest, ok := strings.CutPrefix(path, "/Resources/"+escaped)
	if !ok {
		return path
	}
	return strings.TrimPrefix(rest, " ")
}

// tell sends the hub what it has yet to be told, of one asset or of all.
func (c *Comply) tell(ctx context.Context, k *inventory.Key) error {
	const batch = 100
	where, values := "pending = 1", []any{}
	if k != nil {
		where, values = where+" AND "+ofAsset, args(*k)
	}
	refused := map[string]bool{}
	for {
		var rows []*row
		err := c.config.DB.Read(ctx, func(tx *db.Tx) (err error) {
			rows, err = db.All(tx, scanRow, "SELECT "+columns+" FROM comply_status WHERE "+where+" ORDER BY rule, type, id, account, region LIMIT ?", append(values[:len(values):len(values)], batch+len(refused))...)
			return err
		})
		if err != nil {
			return err
		}
		rows = slices.DeleteFunc(rows, func(r *row) bool { return refused[r.finding] })
		if len(rows) == 0 {
			return nil
		}
		if err := c.tellRows(ctx, rows, refused); err != nil {
			return err
		}
	}
}

// tellRows sends findings, and keeps that they were. One that the hub refuses
// stays to be told, and is tried again with the next change or start.
func (c *Comply) tellRows(ctx context.Context, rows []*row, refused map[string]bool) error {
	findings := make([]finding.Finding, len(rows))
	for i, r := range rows {
		f, err := finding.Parse([]byte(r.doc))
		if err != nil {
			return fmt.Errorf("kept finding %s: %w", r.finding, err)
		}
		findings[i] = f
	}
	did, err := c.config.Hub.Import(ctx, finding.Scan{}, findings...)
	if err != nil {
		return err
	}
	for _, f := range did.Failed {
		refused[f.ID] = true
		c.config.Log.Warn("comply: the hub refuses a finding", "finding", f.ID, "why", f.Message)
	}
	return c.config.DB.Write(ctx, func(tx *db.Tx) error {
		for _, r := range rows {
			if refused[r.finding] {
				continue
			}
			query := "UPDATE comply_status SET pending = 0 WHERE rule = ? AND " + ofAsset + " AND version = ?"
			if r.gone {
				query = "DELETE FROM comply_status WHERE rule = ? AND " + ofAsset + " AND version = ?"
			}
			if _, err := tx.Exec(query, append(append([]any{r.rule}, args(r.key)...), r.version)...); err != nil {
				return err
			}
		}
		return nil
	})
}

// noted keeps what people decided about a finding of ours: one that is suppressed
// does not count for the score.
func (c *Comply) noted(ctx context.Context, e event.Event) error {
	var detail struct {
		Findings []struct {
			ID       string           `json:"Id"`
			Workflow finding.Workflow `json:"Workflow"`
		} `json:"findings"`
	}
	if !bytes.Contains(e.Detail, []byte("haechi/"+tool+"/")) || json.Unmarshal(e.Detail, &detail) != nil {
		return nil
	}
	for _, f := range detail.Findings {
		if !strings.HasPrefix(f.ID, "haechi/"+tool+"/") {
			continue
		}
		if err := c.suppress(ctx, f.ID, f.Workflow.Status == finding.Suppressed); err != nil {
			return err
		}
	}
	return nil
}

// suppress keeps whether a finding is suppressed; mostly there is nothing to write.
func (c *Comply) suppress(ctx context.Context, id string, suppressed bool) error {
	const where = " WHERE finding = ? AND suppressed <> ?"
	var others int64
	err := c.config.DB.Read(ctx, func(tx *db.Tx) (err error) {
		others, err = db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM comply_status"+where, id, number(suppressed))
		return err
	})
	if err != nil || others == 0 {
		return err
	}
	return c.config.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec("UPDATE comply_status SET suppressed = ?"+where, number(suppressed), id, number(suppressed))
		return err
	})
}
