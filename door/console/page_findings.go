package console

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"html/template"
	"maps"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/chart"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/comply"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// findingRow is a finding in a list.
type findingRow struct {
	Key, Ref, Path string
	Severity       finding.Label
	Title, Where   string
	Product        string
	Products       string // path to what is open of the product
	Status         finding.Status
	Archived       bool
	Updated        string
	Choose         bool
}

func rowOf(lang string, f *finding.Finding, choose bool) findingRow {
	ref := encodeRef(hub.RefOf(*f))
	products := filterPath(openFilter + ` product:"` + f.ProductName + `"`)
	if tool := f.ProductFields[finding.FieldTool]; tool != "" {
		products = filterPath(openFilter + ` tool:"` + tool + `"`)
	}
	return findingRow{
		Key: finding.Fingerprint(ref)[:12], Ref: ref, Path: findingPath(f), Severity: f.Label(), Title: titleOf(lang, f), Where: f.Where(),
		Product: cmp.Or(f.ProductFields[finding.FieldTool], f.ProductName), Products: products, Status: f.Status(), Archived: f.RecordState == finding.Archived,
		Updated: cmp.Or(f.LastObservedAt, f.UpdatedAt), Choose: choose,
	}
}

// titleOf is a finding's title in the reader's language, where it has one.
func titleOf(lang string, f *finding.Finding) string {
	if lang == "ko" {
		return cmp.Or(f.ProductFields[comply.FieldTitleKo], f.Title)
	}
	return f.Title
}

// findingPath is the address of a finding's page.
func findingPath(f *finding.Finding) string { return "/findings/" + encodeRef(hub.RefOf(*f)) }

// FindingPath is the address of a finding's page below the console's own, for links in messages.
func FindingPath(f *finding.Finding) string { return findingPath(f) }

func encodeRef(r hub.Ref) string {
	text, err := json.Marshal([3]string{r.Account, r.ProductARN, r.ID})
	if err != nil {
		panic(err) // three strings; JSON has all of them but invalid UTF-8, which no finding has
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

func decodeRef(text string) (hub.Ref, error) {
	var parts [3]string
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(raw, &parts)
	}
	if err != nil {
		return hub.Ref{}, fault.NotFound.Errorf("there is no such finding")
	}
	return hub.Ref{Account: parts[0], ProductARN: parts[1], ID: parts[2]}, nil
}

// filterPath is the page of the findings that a filter means.
func filterPath(filter string) string { return "/findings?q=" + url.QueryEscape(filter) }

const openFilter = "state:active status:new,notified"

type chip struct {
	Title, Path string
	Here        bool
}

// group is how many findings of an insight have a value.
type group struct {
	Value, Path string
	Count       int
	Bar         template.HTML
}

// groupBys are what the console offers to count an insight's findings by.
var groupBys = []string{"ResourceId", "SeverityLabel", "ProductName", "GeneratorId", "ResourceType", "AwsAccountId", "Title"}

type findingsView struct {
	Filter   string
	Problem  string
	Chips    []chip
	Insights []chip
	Rows     []findingRow
	Choose   bool
	Total    int
	More     string // path of the next page
	Sort     string
	SaveName bool
	Next     string       // where to come back to
	Insight  *hub.Insight // the one that is shown, if one is
	Groups   []group
	Value    string // of the group that is shown alone
	Delete   bool   // the insight may be deleted
	GroupBys []string
	Shows    []chip // findings, or problems
	Grouped  bool   // problems are shown
	Problems []problemRow
}

var sorts = []struct{ key, title, field, order string }{
	{"newest", "newest first", "UpdatedAt", "desc"},
	{"worst", "worst first", "SeverityNormalized", "desc"},
	{"oldest", "oldest first", "CreatedAt", "asc"},
}

func (o *Console) findings() page {
	asks := func(r *request) []iam.Request { return r.ask("securityhub:GetFindings", "") }
	update := func(r *request) []iam.Request { return o.askUpdate(r) }
	return page{
		name: "findings", path: "/findings", nav: "Findings", asks: asks, view: o.findingsView,
		actions: map[string]action{
			"/findings/update":   {asks: update, do: o.updateFindings},
			"/findings/tie":      {asks: o.asksTie, do: o.tie},
			"/findings/untie":    {asks: o.asksTie, do: o.untie},
			"/findings/insights": {asks: func(r *request) []iam.Request { return r.ask("securityhub:CreateInsight", "") }, do: o.saveInsight},
			"/findings/insights/delete": {asks: func(r *request) []iam.Request { return r.ask("securityhub:DeleteInsight", r.PostFormValue("insight")) }, do: func(r *request) (string, error) {
				if err := o.config.Hub.DeleteInsight(r.Context(), r.PostFormValue("insight")); err != nil {
					return "", err
				}
				r.say("The insight was deleted.")
				return "/findings", nil
			}},
		},
	}
}

func (o *Console) findingsView(r *request) (any, error) {
	q := r.URL.Query()
	v := findingsView{Filter: openFilter, Next: r.URL.RequestURI(), GroupBys: groupBys, Sort: cmp.Or(q.Get("sort"), "newest"), Choose: r.may("securityhub:BatchUpdateFindings"), SaveName: r.may("securityhub:CreateInsight")}
	if q.Has("q") {
		v.Filter = strings.Join(strings.Fields(q.Get("q")), " ")
	}
	insights, err := o.config.Hub.Insights(r.Context())
	if err != nil {
		return nil, err
	}
	filters, err := parseFilter(v.Filter)
	if arn := q.Get("insight"); arn != "" {
		if filters, err = o.insight(r, arn, &v); err != nil {
			return nil, err
		}
	}
	v.Chips = chips(v.Filter)
	if v.Insight != nil {
		v.Chips = chips(" ") // none of them is shown
	}
	for _, i := range insights {
		v.Insights = append(v.Insights, chip{i.Name, "/findings?insight=" + url.QueryEscape(i.ARN), i.ARN == q.Get("insight")})
	}
	v.Shows = shows(q)
	if err != nil {
		v.Problem = err.Error()
		return v, nil
	}
	if v.Shows[1].Here {
		v.Grouped = true
		err := o.grouped(r, filters, &v)
		return v, err
	}
	query := hub.Query{Filters: filters, Limit: 50, Token: q.Get("token")}
	for _, s := range sorts {
		if s.key == v.Sort {
			query.Sort = []hub.Sort{{Field: s.field, SortOrder: s.order}}
		}
	}
	got, err := o.config.Hub.Find(r.Context(), query)
	if err != nil {
		return nil, err
	}
	if v.Total, err = o.config.Hub.Count(r.Context(), filters); err != nil {
		return nil, err
	}
	for i := range got.Findings {
		v.Rows = append(v.Rows, rowOf(r.lang, &got.Findings[i], v.Choose))
	}
	if got.Token != "" {
		q.Set("token", got.Token)
		v.More = "/findings?" + q.Encode()
	}
	return v, nil
}

const mostGroups = 10

// insight adds to v what an insight counts, and gives its filters; with a value
// in the address, those of that one group.
func (o *Console) insight(r *request, arn string, v *findingsView) (hub.Filters, error) {
	i, groups, err := o.config.Hub.Results(r.Context(), arn)
	if err != nil {
		return nil, err
	}
	v.Insight, v.Filter, v.Value, v.Delete = &i, "", r.URL.Query().Get("value"), !i.Managed() && r.may("securityhub:DeleteInsight")
	for _, g := range groups[:min(len(groups), mostGroups)] {
		bar := chart.Bar{Title: g.Value, Parts: []chart.Part{{Name: g.Value, Class: "low", Value: float64(g.Count)}, {Class: "empty", Value: float64(groups[0].Count - g.Count)}}}
		path := "/findings?" + url.Values{"insight": {arn}, "value": {g.Value}}.Encode()
		v.Groups = append(v.Groups, group{g.Value, path, g.Count, template.HTML(bar.SVG())}) // chart escapes what it draws
	}
	filters := maps.Clone(i.Filters)
	if v.Value != "" {
		if filters == nil {
			filters = hub.Filters{}
		}
		filters[i.GroupBy] = hub.Is(v.Value)
	}
	return filters, nil
}

// chips are filters that a click gives.
func chips(filter string) (all []chip) {
	for _, c := range []chip{
		{Title: "open", Path: openFilter},
		{Title: "critical and high", Path: openFilter + " severity:critical,high"},
		{Title: "secrets", Path: openFilter + " tool:secret"},
		{Title: "dependencies", Path: openFilter + " tool:deps"},
		{Title: "detections", Path: openFilter + " tool:detect"},
		{Title: "compliance", Path: openFilter + " compliance:failed"},
		{Title: "suppressed", Path: "status:suppressed"},
		{Title: "resolved", Path: "status:resolved"},
		{Title: "all", Path: ""},
	} {
		all = append(all, chip{c.Title, "/findings?q=" + url.QueryEscape(c.Path), c.Path == filter})
	}
	return all
}

func (o *Console) saveInsight(r *request) (string, error) {
	filters, err := parseFilter(r.PostFormValue("q"))
	if err != nil {
		return "", err
	}
	i, err := o.config.Hub.CreateInsight(r.Context(), hub.Insight{Name: strings.TrimSpace(r.PostFormValue("name")), Filters: filters, GroupBy: cmp.Or(r.PostFormValue("by"), "ResourceId")})
	if err != nil {
		return "", err
	}
	r.say("The insight was saved.")
	return fmt.Sprintf("/findings?insight=%s", url.QueryEscape(i.ARN)), nil
}
