package console

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/keeper/inventory"
	"github.com/haechi-dev/haechi/lang/guard"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/comply"
	"github.com/haechi-dev/haechi/word/asset"
)

// fieldChange is how one property of a resource changed.
type fieldChange struct{ Field, Before, After string }

// version is a state of a resource in its history.
type version struct {
	At, Seen time.Time
	Path     string // the page of the resource as it was then
	Deleted  bool
	First    bool
	Changes  []fieldChange
	More     int // changes beyond those
}

type resourceView struct {
	Item          asset.Item
	Path          string
	At            string // the past time shown, or ""
	Tags          []pair
	Configuration string
	Results       []resultRow
	History       []version
	Older         string // path of the next page of the history
	Findings      []findingRow
}

const versionsPage = 20

func (o *Console) resource() page {
	return page{
		name: "resource", path: "/resources/{key}", under: "resources",
		asks: func(r *request) []iam.Request { return r.ask("config:GetResourceConfigHistory", "") },
		view: o.resourceView,
	}
}

func (o *Console) resourceView(r *request) (any, error) {
	key, err := decodeKey(r.PathValue("key"))
	if err != nil {
		return nil, err
	}
	v := resourceView{Path: resourcePath(key), At: r.FormValue("at")}
	if v.At == "" {
		v.Item, err = o.config.Assets.Get(r.Context(), key)
	} else {
		var at time.Time
		if at, err = moment(v.At); err != nil {
			return nil, err
		}
		v.Item, err = o.config.Assets.At(r.Context(), key, at)
	}
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(v.Item.Tags)) {
		v.Tags = append(v.Tags, pair{name, v.Item.Tags[name]})
	}
	v.Configuration = indented(v.Item.Configuration)
	if err := o.resourceHistory(r, key, &v); err != nil {
		return nil, err
	}
	if v.Results, err = o.resourceResults(r, key); err != nil {
		return nil, err
	}
	if v.Item.ARN != "" {
		v.Findings, err = o.about(r, v.Item.ARN)
	}
	return v, err
}

// indented is JSON for people; what is no JSON stays as it is.
func indented(value jsontext.Value) string {
	text := value.Clone()
	if text == nil || text.Indent(jsontext.WithIndent("  ")) != nil {
		return string(value)
	}
	return string(text)
}

func (o *Console) resourceHistory(r *request, key inventory.Key, v *resourceView) error {
	versions, next, err := o.config.Assets.History(r.Context(), inventory.HistoryQuery{Key: key, Limit: versionsPage, Token: r.FormValue("older")})
	for _, was := range versions {
		at := was.Item.Captured.UTC().Format(time.RFC3339Nano)
		one := version{At: was.Item.Captured, Seen: was.Seen, Path: v.Path + "?at=" + at, Deleted: was.Item.Deleted, First: len(was.Changes) == 0 && !was.Item.Deleted}
		for _, field := range sortedKeys(was.Changes) {
			if len(one.Changes) == 40 {
				one.More = len(was.Changes) - 40
				break
			}
			c := was.Changes[field]
			one.Changes = append(one.Changes, fieldChange{field, valueText(c.Before), valueText(c.After)})
		}
		v.History = append(v.History, one)
	}
	if next != "" {
		v.Older = v.Path + "?older=" + escapeQuery(next) + "#history"
	}
	return err
}

// valueText is a property's value in one line; "" is absent.
func valueText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	}
	text, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}

func (o *Console) resourceResults(r *request, key inventory.Key) (rows []resultRow, err error) {
	rules, err := o.config.Comply.Rules(r.Context())
	if err != nil {
		return nil, err
	}
	policies := map[string]*guard.Policy{}
	for _, s := range rules {
		policies[s.Policy.ID] = s.Policy
	}
	results, err := o.config.Comply.Asset(r.Context(), key)
	if err != nil {
		return nil, err
	}
	order := []comply.Status{comply.NonCompliant, comply.InsufficientData, comply.Compliant, comply.NotApplicable}
	slices.SortStableFunc(results, func(a, b comply.Result) int {
		return slices.Index(order, a.Status) - slices.Index(order, b.Status)
	})
	for _, res := range results {
		rows = append(rows, o.resultRow(r, policies[res.Rule], res))
	}
	return rows, nil
}

// about are the open findings about a resource, the latest first.
func (o *Console) about(r *request, arn string) (rows []findingRow, err error) {
	if !r.may("securityhub:GetFindings") {
		return nil, nil
	}
	got, err := o.config.Hub.Find(r.Context(), hub.Query{
		Filters: hub.Filters{"ResourceId": hub.Is(arn), "RecordState": hub.Is("ACTIVE"), "WorkflowStatus": hub.Is("NEW", "NOTIFIED")},
		Sort:    []hub.Sort{{Field: "UpdatedAt", SortOrder: "desc"}}, Limit: 20,
	})
	for i := range got.Findings {
		rows = append(rows, rowOf(r.lang, &got.Findings[i], false))
	}
	return rows, err
}
