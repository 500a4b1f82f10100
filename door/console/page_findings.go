package console

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/comply"
	"github.com/haechi-dev/haechi/word/diag"
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

// keys of the filter: word → attribute of GetFindings.
var filterKeys = map[string]string{
	"severity": "SeverityLabel", "status": "WorkflowStatus", "state": "RecordState", "product": "ProductName", "account": "AwsAccountId",
	"region": "Region", "type": "Type", "resource": "ResourceId", "kind": "ResourceType", "rule": "GeneratorId", "title": "Title", "id": "Id",
	"compliance": "ComplianceStatus", "control": "ComplianceSecurityControlId", "verified": "VerificationState", "note": "NoteText",
	"fix": "VulnerabilitiesFixAvailable", "exploit": "VulnerabilitiesExploitAvailable",
}

// fields of our own findings that filters can name.
var filterFields = map[string]string{
	"tool": finding.FieldTool, "target": finding.FieldTarget, "file": finding.FieldFile, "package": finding.FieldPackage, "branch": finding.FieldBranch,
}

var upper = []string{"severity", "status", "state", "compliance", "verified", "fix", "exploit"}

// parseFilter reads what people type: key:value, -key:value, key:value* for what
// begins so, "quoted values", and other words for what is said anywhere.
func parseFilter(text string) (hub.Filters, error) {
	filters := hub.Filters{}
	for _, w := range splitWords(text) {
		negative := strings.HasPrefix(w, "-")
		key, value, ok := strings.Cut(strings.TrimPrefix(w, "-"), ":")
		value = strings.Trim(value, `"`)
		attribute, field := filterKeys[strings.ToLower(key)], filterFields[strings.ToLower(key)]
		switch {
		case !ok || strings.HasPrefix(value, "//") || strings.HasPrefix(w, "arn:"):
			filters["Keyword"] = append(filters["Keyword"], hub.Condition{Value: strings.Trim(w, `"`)})
			continue
		case attribute == "" && field == "":
			names := slices.Concat(sortedKeys(filterKeys), sortedKeys(filterFields))
			hint := diag.DidYouMean(key, names)
			if hint == "" {
				hint = "there are " + strings.Join(names, ", ")
			}
			return nil, fault.Invalid.Errorf("findings have no %q; %s", key, hint)
		case value == "":
			return nil, fault.Invalid.Errorf("%s: what is wanted stands behind the colon", key)
		}
		if slices.Contains(upper, strings.ToLower(key)) {
			value = strings.ToUpper(value)
		}
		for v := range strings.SplitSeq(value, ",") {
			c := hub.Condition{Value: strings.TrimSuffix(v, "*"), Comparison: comparison(negative, strings.HasSuffix(v, "*"))}
			if field != "" {
				c.Key, attribute = field, "ProductFields"
				if strings.HasSuffix(v, "*") {
					return nil, fault.Invalid.Errorf("%s: only whole values can be looked for", key)
				}
			}
			filters[attribute] = append(filters[attribute], c)
		}
	}
	return filters, filters.Check()
}

func comparison(negative, prefix bool) string {
	switch {
	case negative && prefix:
		return "PREFIX_NOT_EQUALS"
	case negative:
		return "NOT_EQUALS"
	case prefix:
		return "PREFIX"
	}
	return "EQUALS"
}

// splitWords is text at its blanks, but not within double quotes.
func splitWords(text string) (words []string) {
	var w strings.Builder
	quoted := false
	flush := func() {
		if w.Len() > 0 {
			words = append(words, w.String())
		}
		w.Reset()
	}
	for _, c := range text {
		switch {
		case c == '"':
			quoted = !quoted
			w.WriteRune(c)
		case c == ' ' && !quoted:
			flush()
		default:
			w.WriteRune(c)
		}
	}
	flush()
	return words
}

// filterPath is the page of the findings that a filter means.
func filterPath(filter string) string { return "/findings?q=" + url.QueryEscape(filter) }

const openFilter = "state:active status:new,notified"

type chip struct {
	Title, Path string
	Here        bool
}

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
			"/findings/insights": {asks: func(r *request) []iam.Request { return r.ask("securityhub:CreateInsight", "") }, do: o.saveInsight},
		},
	}
}

func (o *Console) findingsView(r *request) (any, error) {
	q := r.URL.Query()
	v := findingsView{Filter: openFilter, Sort: cmp.Or(q.Get("sort"), "newest"), Choose: r.may("securityhub:BatchUpdateFindings"), SaveName: r.may("securityhub:CreateInsight")}
	if q.Has("q") {
		v.Filter = strings.Join(strings.Fields(q.Get("q")), " ")
	}
	v.Chips = chips(v.Filter)
	insights, err := o.config.Hub.Insights(r.Context())
	if err != nil {
		return nil, err
	}
	filters, err := parseFilter(v.Filter)
	if arn := q.Get("insight"); arn != "" && err == nil {
		i, e := o.config.Hub.Insight(r.Context(), arn)
		if e != nil {
			return nil, e
		}
		filters, v.Filter = i.Filters, ""
	}
	for _, i := range insights {
		v.Insights = append(v.Insights, chip{i.Name, "/findings?insight=" + url.QueryEscape(i.ARN), i.ARN == q.Get("insight")})
	}
	if err != nil {
		v.Problem = err.Error()
		return v, nil
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

// askUpdate is what changing the chosen findings takes: the action with what is to be set.
func (o *Console) askUpdate(r *request) []iam.Request {
	asked := r.ask("securityhub:BatchUpdateFindings", "")
	for path, values := range o.decision(r).Values() {
		asked[0].Context["securityhub:asffsyntaxpath/"+strings.ToLower(path)] = values
	}
	return asked
}

// decision is what the form says.
func (o *Console) decision(r *request) hub.Decision {
	var d hub.Decision
	if s := r.PostFormValue("status"); s != "" {
		d.Workflow = &finding.Workflow{Status: finding.Status(s)}
	}
	if owner := strings.TrimSpace(r.PostFormValue("owner")); owner != "" {
		d.UserFields = map[string]string{"owner": owner}
	}
	if reason := strings.TrimSpace(r.PostFormValue("reason")); reason != "" {
		d.Note = &hub.Note{Text: reason, UpdatedBy: r.principal.Name}
	}
	return d
}

func (o *Console) updateFindings(r *request) (string, error) {
	next := within(r.PostFormValue("next"))
	refs := r.PostForm["ref"]
	if len(refs) == 0 {
		return "", fault.Invalid.Errorf("%s", r.t("No finding is chosen."))
	}
	reason := strings.TrimSpace(r.PostFormValue("reason"))
	if reason == "" {
		return "", fault.Invalid.Errorf("%s", r.t("Say why: those who come after want to know."))
	}
	u := hub.Update{Decision: o.decision(r), By: r.principal.ARN, Why: reason}
	if u.Workflow == nil && u.UserFields == nil {
		return "", fault.Invalid.Errorf("%s", r.t("Say what is to be done: a status, an owner, or both."))
	}
	for _, text := range refs {
		ref, err := decodeRef(text)
		if err != nil {
			return "", err
		}
		u.Refs = append(u.Refs, ref)
	}
	if u.Workflow != nil && u.Workflow.Status == finding.Suppressed {
		u.Accept = &hub.Acceptance{Kind: cmp.Or(r.PostFormValue("kind"), "risk-accepted"), Reason: reason, Owner: cmp.Or(strings.TrimSpace(r.PostFormValue("owner")), r.principal.Name)}
		if until := r.PostFormValue("until"); until != "" {
			day, err := time.Parse(time.DateOnly, until)
			if err != nil || !day.After(o.config.Now()) {
				return "", fault.Invalid.Errorf("%s", r.t("%q is not a day to come (2027-01-31).", until))
			}
			u.Accept.Until = day
		}
	}
	done, err := o.config.Hub.Update(r.Context(), u)
	if err != nil {
		return "", err
	}
	if n := len(done.Failed); n > 0 {
		return "", fault.Conflict.Errorf("%s", r.t("%d of %d findings could not be changed: %s", n, len(refs), done.Failed[0].Message))
	}
	r.say("Findings changed: %d", len(refs))
	return next, nil
}

func (o *Console) saveInsight(r *request) (string, error) {
	filters, err := parseFilter(r.PostFormValue("q"))
	if err != nil {
		return "", err
	}
	i, err := o.config.Hub.CreateInsight(r.Context(), hub.Insight{Name: strings.TrimSpace(r.PostFormValue("name")), Filters: filters, GroupBy: "ResourceId"})
	if err != nil {
		return "", err
	}
	r.say("The insight was saved.")
	return fmt.Sprintf("/findings?insight=%s", url.QueryEscape(i.ARN)), nil
}
