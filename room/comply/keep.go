package comply

import (
	"context"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/keeper/inventory"
	"github.com/haechi-dev/haechi/word/asset"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/finding"
)

// row is the status of a rule and an asset, as it is kept.
type row struct {
	rule       string
	key        inventory.Key
	arn        string
	captured   int64 // of the item that was judged, in microseconds
	status     Status
	reason     string
	evidence   []Evidence
	at         int64 // when it was judged last with something new, in microseconds
	since      int64 // when the status became this one
	suppressed bool  // people said so in the hub
	version    int64
	pending    bool   // doc has yet to be told
	gone       bool   // there is no such asset or rule any more
	finding    string // the Id of the finding, or "" where there never was one
	doc        string // that finding, as it was or is to be told last
}

const columns = "rule, account, region, type, id, arn, captured, status, reason, evidence, at, since, suppressed, version, pending, gone, finding, doc"

func scanRow(scan db.Scan) (*row, error) {
	r := &row{}
	var evidence string
	var suppressed, pending, gone int
	if err := scan(&r.rule, &r.key.Account, &r.key.Region, &r.key.Type, &r.key.ID, &r.arn, &r.captured, &r.status, &r.reason, &evidence, &r.at, &r.since,
		&suppressed, &r.version, &pending, &gone, &r.finding, &r.doc); err != nil {
		return nil, err
	}
	r.suppressed, r.pending, r.gone = suppressed != 0, pending != 0, gone != 0
	return r, json.Unmarshal([]byte(evidence), &r.evidence)
}

func (r *row) write(tx *db.Tx) error {
	r.version++
	_, err := tx.Exec("INSERT INTO comply_status ("+columns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (rule, type, id, account, region) DO UPDATE SET arn = excluded.arn, captured = excluded.captured, status = excluded.status, reason = excluded.reason,
			evidence = excluded.evidence, at = excluded.at, since = excluded.since, suppressed = excluded.suppressed, version = excluded.version, pending = excluded.pending,
			gone = excluded.gone, finding = excluded.finding, doc = excluded.doc`,
		r.rule, r.key.Account, r.key.Region, r.key.Type, r.key.ID, r.arn, r.captured, string(r.status), r.reason, encode(r.evidence), r.at, r.since,
		number(r.suppressed), r.version, number(r.pending), number(r.gone), r.finding, r.doc)
	return err
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

func encode(v any) string {
	text, err := json.Marshal(v, json.Deterministic(true), json.FormatNilSliceAsNull(false))
	if err != nil {
		panic("comply: " + err.Error()) // only of our own making
	}
	return string(text)
}

const ofAsset = "type = ? AND id = ? AND account = ? AND region = ?"

func args(k inventory.Key) []any { return []any{k.Type, k.ID, k.Account, k.Region} }

// keep makes the rows of an asset say what was judged. A judgement of an older
// item than the rows know changes nothing.
func (c *Comply) keep(tx *db.Tx, by *set, item asset.Item, judged []judgement) error {
	rows, err := db.All(tx, scanRow, "SELECT "+columns+" FROM comply_status WHERE "+ofAsset, args(inventory.KeyOf(item))...)
	if err != nil {
		return err
	}
	captured := item.Captured.UnixMicro()
	byRule := map[string]*row{}
	for _, r := range rows {
		if r.captured > captured {
			return nil
		}
		byRule[r.rule] = r
	}
	for _, j := range judged {
		r := byRule[j.policy.ID]
		delete(byRule, j.policy.ID)
		if r == nil {
			r = &row{rule: j.policy.ID, key: inventory.KeyOf(item)}
		}
		if err := c.update(tx, by, r, item, j); err != nil {
			return err
		}
	}
	for _, r := range byRule { // the asset is gone, or the rule no longer about it
		r.captured = captured
		if err := c.end(tx, r); err != nil {
			return err
		}
	}
	return nil
}

// update makes a row say what was judged.
func (c *Comply) update(tx *db.Tx, by *set, r *row, item asset.Item, j judgement) error {
	captured := item.Captured.UnixMicro()
	before := r.status
	same := !r.gone && r.status == j.status && r.reason == j.reason && r.arn == item.ARN && slices.Equal(r.evidence, j.evidence)
	if same && r.captured == captured {
		return nil
	}
	r.captured = captured
	if same {
		return r.write(tx)
	}
	now := c.config.Now()
	r.at = now.UnixMicro()
	if r.status != j.status || r.gone {
		r.since = r.at
	}
	r.arn, r.status, r.reason, r.evidence, r.gone = item.ARN, j.status, j.reason, j.evidence, false
	if r.finding != "" || j.status == NonCompliant {
		f := c.finding(by, r, item, j, now)
		r.finding, r.doc, r.pending = f.ID, string(f.JSON()), true
	}
	if err := r.write(tx); err != nil {
		return err
	}
	if before == r.status || before == "" && (r.status == Compliant || r.status == NotApplicable) {
		return nil // what is fine from the start is no news
	}
	return c.config.Bus.Publish(tx, c.changed(r, before, now))
}

// end takes a row back: its finding is archived, and when that is told the row goes.
func (c *Comply) end(tx *db.Tx, r *row) error {
	if r.gone {
		return nil
	}
	now := c.config.Now()
	r.gone, r.at = true, now.UnixMicro()
	if r.finding == "" {
		_, err := tx.Exec("DELETE FROM comply_status WHERE rule = ? AND "+ofAsset, append([]any{r.rule}, args(r.key)...)...)
		return err
	}
	f, err := finding.Parse([]byte(r.doc))
	if err != nil {
		return err
	}
	f.RecordState = finding.Archived
	f.UpdatedAt = after(f.UpdatedAt, now)
	r.doc, r.pending = string(f.JSON()), true
	return r.write(tx)
}

// after is now, but at least a millisecond after what was told last: an import
// that is no later is ignored.
func after(last string, now time.Time) string {
	if t, ok := finding.Time(last); ok && !now.After(t.Add(time.Millisecond)) {
		now = t.Add(time.Millisecond)
	}
	return finding.Stamp(now)
}

// retire ends the rows of rules that are no more.
func (c *Comply) retire(ctx context.Context, by *set) error {
	return c.change(ctx, by, func(tx *db.Tx) error {
		rules, err := db.All(tx, db.Value[string], "SELECT rule FROM comply_status WHERE gone = 0 GROUP BY rule")
		if err != nil {
			return err
		}
		for _, p := range by.policies() {
			rules = slices.DeleteFunc(rules, func(id string) bool { return id == p.ID })
		}
		for _, rule := range rules {
			rows, err := db.All(tx, scanRow, "SELECT "+columns+" FROM comply_status WHERE rule = ? AND gone = 0", rule)
			if err != nil {
				return err
			}
			for _, r := range rows {
				if err := c.end(tx, r); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// ComplianceChange is the detail-type of the event that tells of a new status.
const ComplianceChange = "Config Rules Compliance Change"

// result is one side of that event.
type result struct {
	Qualifier  qualifier `json:"evaluationResultQualifier"`
	Status     Status    `json:"complianceType"`
	Recorded   string    `json:"resultRecordedTime"`
	Annotation string    `json:"annotation,omitzero"`
}

type qualifier struct {
	Rule string `json:"configRuleName"`
	Type string `json:"resourceType"`
	ID   string `json:"resourceId"`
}

// changed is AWS Config's event for a status that is another than before.
func (c *Comply) changed(r *row, before Status, now time.Time) event.Event {
	q := qualifier{r.rule, r.key.Type, r.key.ID}
	n := struct {
		Version string  `json:"recordVersion"`
		Message string  `json:"messageType"`
		Created string  `json:"notificationCreationTime"`
		ARN     string  `json:"configRuleARN"`
		Rule    string  `json:"configRuleName"`
		Type    string  `json:"resourceType"`
		ID      string  `json:"resourceId"`
		Account string  `json:"awsAccountId"`
		Region  string  `json:"awsRegion"`
		New     result  `json:"newEvaluationResult"`
		Old     *result `json:"oldEvaluationResult,omitzero"`
	}{"1.0", "ComplianceChangeNotification", finding.Stamp(now), "arn:aws:config:" + c.config.Region + ":" + c.config.Account + ":config-rule/" + r.rule, r.rule,
		r.key.Type, r.key.ID, r.key.Account, r.key.Region, result{q, r.status, finding.Stamp(now), cut(r.reason, 256)}, nil}
	if before != "" {
		n.Old = &result{q, before, finding.Stamp(now), ""}
	}
	e := event.Event{Type: ComplianceChange, Source: asset.Source, Account: r.key.Account, Region: r.key.Region, Time: now, Detail: jsontext.Value(encode(n))}
	if r.arn != "" {
		e.Resources = []string{r.arn}
	}
	return e
}

// cut shortens a text to so many characters.
func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
