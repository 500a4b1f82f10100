package console

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/keeper/audit"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/word/fault"
)

// Records are those that a Trail keeps.
type Records interface {
	Find(ctx context.Context, q audit.Query) (page []audit.Found, next string, err error)
	Verify(ctx context.Context) (audit.Report, error)
}

// trailRow is a record in the list.
type trailRow struct {
	At                  time.Time
	Who, Kind           string
	Source, Name        string
	From, Agent, Reason string
	Code                string
	Refused, Read       bool
	About               []string
	ID, JSON            string
	Node                string
	Seq                 int64
}

type trailView struct {
	User, Action, Has string
	Since, Until      string
	Sorts             []chip
	Sort              string
	Rows              []trailRow
	More              string
	Report            *audit.Report
	Verify            bool // may have the chains verified
}

func (o *Console) trail() page {
	p := page{
		name: "trail", path: "/trail", nav: "Audit trail",
		asks: func(r *request) []iam.Request { return r.ask("cloudtrail:LookupEvents", "") },
		view: func(r *request) (any, error) { return o.trailView(r, nil) },
	}
	p.actions = map[string]action{"/trail/verify": {
		asks: func(r *request) []iam.Request { return r.ask("haechi:GetAuditReport", "") },
		show: func(r *request) (any, error) {
			report, err := o.config.Records.Verify(r.Context())
			if err != nil {
				return nil, err
			}
			return o.trailView(r, &report)
		},
	}}
	return p
}

func (o *Console) trailView(r *request, report *audit.Report) (any, error) {
	q := r.URL.Query()
	v := trailView{
		User: strings.TrimSpace(q.Get("user")), Action: strings.TrimSpace(q.Get("action")), Has: strings.TrimSpace(q.Get("has")),
		Since: q.Get("since"), Until: q.Get("until"), Sort: q.Get("sort"), Report: report, Verify: r.may("haechi:GetAuditReport"),
	}
	asked := audit.Query{User: v.User, Action: v.Action, Text: v.Has, Changes: v.Sort == "changes", Refused: v.Sort == "refused", Before: q.Get("before"), Limit: 50}
	var err error
	if asked.Since, err = dayOf(v.Since); err != nil {
		return nil, err
	}
	if asked.Until, err = dayOf(v.Until); err != nil {
		return nil, err
	}
	if !asked.Until.IsZero() {
		asked.Until = asked.Until.AddDate(0, 0, 1) // the day itself, too
	}
	q.Del("before")
	for _, s := range []struct{ sort, title string }{{"", r.t("all records")}, {"changes", r.t("changes")}, {"refused", r.t("refusals")}} {
		to := url.Values{}
		for name, values := range q {
			to[name] = values
		}
		to.Del("sort")
		if s.sort != "" {
			to.Set("sort", s.sort)
		}
		v.Sorts = append(v.Sorts, chip{s.title, "/trail?" + to.Encode(), v.Sort == s.sort})
	}
	found, next, err := o.config.Records.Find(r.Context(), asked)
	if err != nil {
		return nil, err
	}
	if next != "" {
		q.Set("before", next)
		v.More = "/trail?" + q.Encode()
	}
	for _, f := range found {
		v.Rows = append(v.Rows, recordRow(f))
	}
	return v, nil
}

func recordRow(f audit.Found) trailRow {
	rec := &f.Record
	at, _ := time.Parse(time.RFC3339, rec.Time)
	row := trailRow{
		At: at, Who: rec.Identity.ARN, Kind: rec.Identity.Type, Source: strings.TrimSuffix(rec.Source, ".amazonaws.com"), Name: rec.Name, From: rec.SourceIP, Agent: rec.UserAgent,
		Code: rec.Code, Reason: rec.Reason, Refused: f.Refused(), Read: rec.ReadOnly, ID: rec.ID, Node: f.Node, Seq: f.Seq, JSON: string(f.JSON),
	}
	if pretty := f.JSON.Clone(); pretty.Indent(jsontext.WithIndent("  ")) == nil {
		row.JSON = string(pretty)
	}
	if row.Who == "" {
		row.Who = rec.Identity.User
	}
	for _, res := range rec.Resources {
		row.About = append(row.About, res.ARN)
	}
	return row
}

// dayOf is a date as a form has it, in UTC; "" is none.
func dayOf(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return at, fault.Invalid.Errorf("%q is not a day (2006-01-31)", text)
	}
	return at, nil
}
