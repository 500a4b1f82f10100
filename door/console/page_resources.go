package console

import (
	"cmp"
	"encoding/base64"
	"html/template"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/chart"
	"github.com/haechi-dev/haechi/keeper/inventory"
	"github.com/haechi-dev/haechi/lang/guard"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/comply"
	"github.com/haechi-dev/haechi/word/asset"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// resourcePath is the page of an asset.
func resourcePath(k inventory.Key) string {
	text, err := json.Marshal([4]string{k.Account, k.Region, k.Type, k.ID})
	if err != nil {
		panic(err) // four strings
	}
	return "/resources/" + base64.RawURLEncoding.EncodeToString(text)
}

func decodeKey(text string) (inventory.Key, error) {
	var parts [4]string
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(raw, &parts)
	}
	if err != nil {
		return inventory.Key{}, fault.NotFound.Errorf("there is no such resource")
	}
	return inventory.Key{Account: parts[0], Region: parts[1], Type: parts[2], ID: parts[3]}, nil
}

// in is a text of a rule in the reader's language.
func (r *request) in(t guard.Text) string {
	if r.lang == "ko" {
		return cmp.Or(t.Ko, t.En)
	}
	return t.En
}

type resourceRow struct {
	Path, Name, ID, Type, Where string
	Deleted                     bool
	Captured                    time.Time
	Broken, Kept, Unknown       int // rules
}

// resultRow is what a rule says of an asset.
type resultRow struct {
	Rule, Title, Path, ID, Type, Reason string
	Severity                            finding.Label
	Status                              comply.Status
	Suppressed                          bool
	Since                               time.Time
	Finding                             string // its path
	Evidence                            []comply.Evidence
	Fix, Link                           string
	Requirements                        []string
}

type packRow struct {
	Name, Title   string
	Percent       int
	Scored        bool
	Score         comply.Score
	Compliant, Of int
	Bar           template.HTML
	Controls      []controlRow
}

type controlRow struct {
	Name           string
	Passed, Failed int
	Waiting        int
}

type ruleRow struct {
	ID, Title, Path         string
	Severity                finding.Label
	Status                  comply.ControlStatus
	Kept, Broken, Undecided int
	Suppressed              int
}

type resourcesView struct {
	Types           []chip
	Type, Status    string
	Rule, RuleTitle string
	Statuses        []chip
	Search          string
	Gone            bool
	Packs           []packRow
	Rules           []ruleRow
	Rows            []resourceRow
	Results         []resultRow
	ByRule          bool // the list is of results, not of assets
	More            string
	All             int
}

const resourcesPage = 50

func (o *Console) resources() page {
	return page{
		name: "resources", path: "/resources", nav: "Resources",
		asks: func(r *request) []iam.Request { return r.ask("config:ListDiscoveredResources", "") },
		view: o.resourcesView,
	}
}

func (o *Console) resourcesView(r *request) (any, error) {
	q := r.URL.Query()
	v := resourcesView{Type: q.Get("type"), Status: q.Get("compliance"), Rule: q.Get("rule"), Search: strings.TrimSpace(q.Get("id")), Gone: q.Get("gone") != ""}
	v.ByRule = v.Status != "" || v.Rule != ""
	if err := o.resourceFilters(r, &v); err != nil {
		return nil, err
	}
	rules, err := o.config.Comply.Rules(r.Context())
	if err != nil {
		return nil, err
	}
	for _, s := range rules {
		v.Rules = append(v.Rules, r.ruleRow(s))
		if s.Policy.ID == v.Rule {
			v.RuleTitle = r.in(s.Policy.Title)
		}
	}
	if v.Packs, err = o.packRows(r); err != nil {
		return nil, err
	}
	var next string
	if v.ByRule {
		v.Results, next, err = o.resultRows(r, rules, comply.Query{Rule: v.Rule, Status: comply.Status(v.Status), Type: v.Type, Limit: resourcesPage, Token: q.Get("token")})
	} else {
		v.Rows, next, err = o.resourceRows(r, inventory.Query{Type: v.Type, IDPrefix: v.Search, Deleted: v.Gone, Limit: resourcesPage, Token: q.Get("token")})
	}
	if next != "" {
		q.Set("token", next)
		v.More = "/resources?" + q.Encode()
	}
	return v, err
}

// resourceFilters are what one can click: types, and statuses within the type.
func (o *Console) resourceFilters(r *request, v *resourcesView) error {
	counts, err := o.config.Assets.Counts(r.Context())
	if err != nil {
		return err
	}
	with := func(name, value string) string {
		q := url.Values{}
		for n, was := range map[string]string{"type": v.Type, "compliance": v.Status, "rule": v.Rule} {
			if n == name {
				was = value
			}
			if was != "" {
				q.Set(n, was)
			}
		}
		return "/resources?" + q.Encode()
	}
	for _, c := range counts {
		v.All += c.N
		v.Types = append(v.Types, chip{c.Type + " " + number(c.N), with("type", c.Type), c.Type == v.Type})
	}
	v.Types = append([]chip{{r.t("all types") + " " + number(v.All), with("type", ""), v.Type == ""}}, v.Types...)
	for _, s := range []comply.Status{"", comply.NonCompliant, comply.Compliant, comply.InsufficientData, comply.NotApplicable} {
		title := string(s)
		if s == "" {
			title = "any compliance"
		}
		v.Statuses = append(v.Statuses, chip{title, with("compliance", string(s)), v.Status == string(s)})
	}
	return nil
}

func (r *request) ruleRow(s comply.RuleStatus) ruleRow {
	return ruleRow{
		ID: s.Policy.ID, Title: r.in(s.Policy.Title), Path: "/resources?rule=" + url.QueryEscape(s.Policy.ID), Severity: s.Policy.Severity, Status: s.Control(),
		Kept: s.Counts[comply.Compliant], Broken: s.Counts[comply.NonCompliant], Undecided: s.Counts[comply.InsufficientData], Suppressed: s.Suppressed,
	}
}

func (o *Console) packRows(r *request) (all []packRow, err error) {
	packs, _, err := o.config.Comply.Scores(r.Context())
	for _, p := range packs {
		row := packRow{Name: p.Name, Title: r.in(p.Title), Score: p.Score, Compliant: p.Compliant, Of: p.Pairs}
		row.Percent, row.Scored = p.Percent()
		bar := chart.Bar{Title: row.Title, Parts: []chart.Part{
			{Name: r.t("kept"), Class: "good", Value: float64(p.Passed)}, {Name: r.t("broken"), Class: "critical", Value: float64(p.Failed)},
			{Name: r.t("undecided"), Class: "medium", Value: float64(p.Unknown)}, {Name: r.t("no data"), Class: "empty", Value: float64(p.NoData)},
		}}
		row.Bar = template.HTML(bar.SVG()) // chart escapes what it draws
		for _, c := range p.Controls {
			row.Controls = append(row.Controls, controlRow{c.Name, c.Passed, c.Failed, c.Unknown + c.NoData})
		}
		all = append(all, row)
	}
	return all, err
}

func (o *Console) resourceRows(r *request, q inventory.Query) (rows []resourceRow, next string, err error) {
	items, next, err := o.config.Assets.List(r.Context(), q)
	if err != nil {
		return nil, "", err
	}
	for _, i := range items {
		row := resourceRowOf(i)
		results, err := o.config.Comply.Asset(r.Context(), inventory.KeyOf(i))
		if err != nil {
			return nil, "", err
		}
		for _, res := range results {
			switch {
			case res.Status == comply.NonCompliant && !res.Suppressed:
				row.Broken++
			case res.Status == comply.Compliant:
				row.Kept++
			case res.Status == comply.InsufficientData:
				row.Unknown++
			}
		}
		rows = append(rows, row)
	}
	return rows, next, nil
}

func resourceRowOf(i asset.Item) resourceRow {
	return resourceRow{
		Path: resourcePath(inventory.KeyOf(i)), Name: cmp.Or(i.Name, i.ID), ID: i.ID, Type: i.Type, Where: strings.TrimSpace(i.Account + " " + i.Region),
		Deleted: i.Deleted, Captured: i.Captured,
	}
}

func (o *Console) resultRows(r *request, rules []comply.RuleStatus, q comply.Query) (rows []resultRow, next string, err error) {
	results, next, err := o.config.Comply.Results(r.Context(), q)
	if err != nil {
		return nil, "", err
	}
	policies := map[string]*guard.Policy{}
	for _, s := range rules {
		policies[s.Policy.ID] = s.Policy
	}
	for _, res := range results {
		rows = append(rows, o.resultRow(r, policies[res.Rule], res))
	}
	return rows, next, nil
}

// resultRow says what a rule says; p is nil for a rule that is no more.
func (o *Console) resultRow(r *request, p *guard.Policy, res comply.Result) resultRow {
	row := resultRow{
		Rule: res.Rule, Title: res.Rule, Path: resourcePath(res.Key), ID: res.Key.ID, Type: res.Key.Type, Reason: res.Reason,
		Status: res.Status, Suppressed: res.Suppressed, Since: res.Since, Evidence: res.Evidence,
	}
	if p != nil {
		row.Title, row.Severity, row.Fix, row.Link = r.in(p.Title), p.Severity, r.in(p.Fix), safeURL(p.Link)
		for _, framework := range sortedKeys(p.Controls) {
			for _, c := range p.Controls[framework] {
				row.Requirements = append(row.Requirements, framework+" "+c)
			}
		}
	}
	if res.Finding != "" {
		row.Finding = o.ownPath(res.Finding)
	}
	return row
}
