package console

import (
	"cmp"
	"context"
	"html/template"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/base/chart"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/tool/scan/live"
	"github.com/haechi-dev/haechi/tool/scan/secret"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// Secrets answers what people ask about secrets that were found.
type Secrets interface {
	// Provider is who can be asked whether a finding's secret still works, or "".
	Provider(f finding.Finding) string
	// Ask asks that provider, and writes the answer down.
	Ask(ctx context.Context, ref hub.Ref, by string) (live.Answer, error)
	// Allowed is the file of what is let be in a repository.
	Allowed(ctx context.Context, repository string) ([]byte, error)
}

// askAction is what somebody must be allowed to do to have a provider asked.
const askAction = "haechi:ValidateSecret"

// secretState is where in its life a secret is.
type secretState string

const (
	inFiles   secretState = "in the files"
	inHistory secretState = "only in history"
	letBe     secretState = "let be"
	mended    secretState = "resolved"
)

func secretStates() []secretState { return []secretState{inFiles, inHistory, letBe, mended} }

func stateOf(f *finding.Finding) secretState {
	switch {
	case f.Status() == finding.Resolved || f.RecordState == finding.Archived:
		return mended
	case f.Status() == finding.Suppressed:
		return letBe
	case f.ProductFields[finding.FieldStill] == finding.InHistory:
		return inHistory
	}
	return inFiles
}

// said is a state in words.
func (s secretState) said(r *request) string {
	switch s {
	case inHistory:
		return r.t("only in history")
	case letBe:
		return r.t("let be")
	case mended:
		return r.t("resolved")
	}
	return r.t("in the files")
}

// bornAt is when a secret came into its repository, or was first seen.
func bornAt(f *finding.Finding) time.Time {
	for _, text := range []string{f.ProductFields[finding.FieldSinceTime], f.FirstObservedAt, f.CreatedAt} {
		if at, err := time.Parse(time.RFC3339, text); err == nil {
			return at
		}
	}
	return time.Time{}
}

// secretRow is a secret in a list.
type secretRow struct {
	findingRow
	Path       string // of its life
	Repository string
	State      secretState
	Said       string // the state in words
	Born       time.Time
	Age        string
	Author     string
	Places     int
}

type stateTile struct {
	Said  string
	Path  string
	Count int
	Here  bool
}

type secretsView struct {
	Tiles        []stateTile
	Ages         template.HTML
	Repositories []chip
	Rows         []secretRow
	More         int // that are not shown
	Repository   string
	Export       string // path of the file of what is let be
}

const mostSecrets = 2000 // that one page counts

func (o *Console) secrets() page {
	return page{
		name: "secrets", path: "/secrets", nav: "Secrets",
		asks: func(r *request) []iam.Request { return r.ask("securityhub:GetFindings", "") },
		view: o.secretsView,
		streams: map[string]stream{"/secrets/allowed": func(r *request) error {
			repository := r.URL.Query().Get("repository")
			if repository == "" {
				return fault.Invalid.Errorf("say which repository")
			}
			text, err := o.config.Secrets.Allowed(r.Context(), repository)
			if err != nil {
				return err
			}
			r.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			r.w.Header().Set("Content-Disposition", `attachment; filename="`+secret.AllowFile+`"`)
			_, err = r.w.Write(text)
			return err
		}},
	}
}

// secretPath is the page of a secret's life.
func secretPath(f *finding.Finding) string {
	return strings.Replace(findingPath(f), "/findings/", "/secrets/", 1)
}

func (o *Console) allSecrets(r *request) (all []finding.Finding, err error) {
	q := hub.Query{Filters: hub.Filters{"GeneratorId": {{Value: "secret/", Comparison: hub.Prefix}}}, Limit: 100}
	for len(all) < mostSecrets {
		page, err := o.config.Hub.Find(r.Context(), q)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Findings...)
		if q.Token = page.Token; q.Token == "" {
			break
		}
	}
	return all, nil
}

func (o *Console) secretsView(r *request) (any, error) {
	all, err := o.allSecrets(r)
	if err != nil {
		return nil, err
	}
	q := r.URL.Query()
	v := secretsView{Repository: q.Get("repository")}
	state := secretState(q.Get("state"))
	counts, ages, repositories := map[secretState]int{}, make([]float64, len(ageSteps())+1), map[string]bool{}
	for _, f := range all {
		repository := f.ProductFields[finding.FieldTarget]
		repositories[repository] = true
		if v.Repository != "" && repository != v.Repository {
			continue
		}
		s := stateOf(&f)
		counts[s]++
		if s == inFiles || s == inHistory {
			ages[ageOf(o.config.Now().Sub(bornAt(&f)))]++
		}
		if s == state || state == "" && (s == inFiles || s == inHistory) {
			v.Rows = append(v.Rows, o.secretRow(r, f))
		}
	}
	path := func(key, value string) string {
		to := url.Values{}
		for k := range q {
			to.Set(k, q.Get(k))
		}
		if value == "" {
			to.Del(key)
		} else {
			to.Set(key, value)
		}
		return "/secrets?" + to.Encode()
	}
	for _, s := range secretStates() {
		v.Tiles = append(v.Tiles, stateTile{s.said(r), path("state", string(s)), counts[s], s == state})
	}
	v.Ages = o.ages(r, ages)
	v.Repositories = []chip{{r.t("all"), path("repository", ""), v.Repository == ""}}
	for _, name := range slices.Sorted(maps.Keys(repositories)) {
		v.Repositories = append(v.Repositories, chip{name, path("repository", name), v.Repository == name})
	}
	if v.Repository != "" {
		v.Export = "/secrets/allowed?" + url.Values{"repository": {v.Repository}}.Encode()
	}
	slices.SortStableFunc(v.Rows, func(a, b secretRow) int {
		return cmp.Or(finding.Label(b.Severity).Rank()-finding.Label(a.Severity).Rank(), a.Born.Compare(b.Born))
	})
	const shown = 200
	if len(v.Rows) > shown {
		v.More, v.Rows = len(v.Rows)-shown, v.Rows[:shown]
	}
	return v, nil
}

func (o *Console) secretRow(r *request, f finding.Finding) secretRow {
	born := bornAt(&f)
	return secretRow{findingRow: rowOf(r.lang, &f, false), Path: secretPath(&f), Repository: f.ProductFields[finding.FieldTarget], State: stateOf(&f), Said: stateOf(&f).said(r), Born: born, Age: r.age(born),
		Author: f.ProductFields[finding.FieldAuthor], Places: max(1, len(strings.Fields(f.ProductFields[finding.FieldPlaces])))}
}

// age is how long ago something was, in days.
func (r *request) age(born time.Time) string {
	if born.IsZero() {
		return ""
	}
	days := int(max(r.console.config.Now().Sub(born), 0).Hours() / 24)
	if days == 0 {
		return r.t("today")
	}
	return r.t("%d days", days)
}

// ageSteps are where the columns of ages end, in days.
func ageSteps() []int { return []int{1, 7, 30, 90, 365} }

func ageOf(d time.Duration) int {
	for i, days := range ageSteps() {
		if d < time.Duration(days)*24*time.Hour {
			return i
		}
	}
	return len(ageSteps())
}

func (o *Console) ages(r *request, counts []float64) template.HTML {
	labels := []string{r.t("today")}
	for _, days := range ageSteps()[1:] {
		labels = append(labels, r.t("< %d days", days))
	}
	labels = append(labels, r.t("older"))
	c := chart.Columns{Title: r.t("Open secrets by age"), Labels: labels, Series: []chart.Series{{Name: r.t("Secrets"), Class: "high", Values: counts}}, Height: 140}
	return template.HTML(c.SVG()) // chart escapes what it draws
}

// momentRow is one moment in a life.
type momentRow struct {
	At   time.Time
	What string
	Who  string
	Path string
}

type secretView struct {
	Finding     finding.Finding
	Row         secretRow
	Line        template.HTML
	Moments     []momentRow
	Places      []string
	Excerpt     string
	Evidence    string
	Since       string
	Runs        []runRow
	Images      []string // artifacts that the findings of scans name
	Remediation string
	URL         string
	Provider    string // who can be asked, if whoever looks may ask
	Answer      *live.Answer
	Path        string // of the finding
}

func (o *Console) secretLife() page {
	return page{
		name: "secret", path: "/secrets/{ref}", under: "secrets",
		asks: func(r *request) []iam.Request { return r.ask("securityhub:GetFindings", "") },
		view: func(r *request) (any, error) { return o.secretView(r, nil) },
		actions: map[string]action{"/secrets/{ref}/ask": {
			asks: func(r *request) []iam.Request { return r.ask(askAction, "") },
			show: func(r *request) (any, error) {
				ref, err := decodeRef(r.PathValue("ref"))
				if err != nil {
					return nil, err
				}
				answer, err := o.config.Secrets.Ask(r.Context(), ref, r.principal.ARN)
				if err != nil {
					return nil, err
				}
				return o.secretView(r, &answer)
			},
		}},
	}
}

func (o *Console) secretView(r *request, answer *live.Answer) (any, error) {
	ref, err := decodeRef(r.PathValue("ref"))
	if err != nil {
		return nil, err
	}
	f, err := o.config.Hub.Get(r.Context(), ref)
	if err != nil {
		return nil, err
	}
	if secret.RuleOf(&f) == "" {
		return nil, fault.NotFound.Errorf("this finding is not of a secret")
	}
	v := secretView{Finding: f, Row: o.secretRow(r, f), Answer: answer, Path: FindingPath(&f), Excerpt: f.ProductFields[finding.FieldExcerpt], Evidence: f.ProductFields[finding.FieldEvidence], Since: f.ProductFields[finding.FieldSince]}
	for place := range strings.FieldsSeq(f.ProductFields[finding.FieldPlaces]) {
		if text, err := url.PathUnescape(place); err == nil {
			place = text
		}
		v.Places = append(v.Places, place)
	}
	if len(v.Places) == 0 {
		v.Places = []string{f.Place().String()}
	}
	if f.Remediation != nil && f.Remediation.Recommendation != nil {
		v.Remediation, v.URL = f.Remediation.Recommendation.Text, safeURL(f.Remediation.Recommendation.URL)
	}
	if r.may(askAction) {
		v.Provider = o.config.Secrets.Provider(f)
	}
	if err := o.carriers(r, &v); err != nil {
		return nil, err
	}
	return v, o.moments(r, ref, &v)
}

// carriers are the runs that built or shipped what holds the secret.
func (o *Console) carriers(r *request, v *secretView) error {
	if o.config.Runs == nil || v.Row.Repository == "" {
		return nil
	}
	runs, err := o.config.Runs.Executions(r.Context(), pipeline.Query{Pipeline: v.Row.Repository, Limit: 200})
	if fault.Of(err) == fault.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	end := time.Time{}
	if v.Row.State == mended {
		end, _ = time.Parse(time.RFC3339, v.Finding.UpdatedAt)
	}
	for _, e := range runs {
		if e.Created.Before(v.Row.Born) || !end.IsZero() && e.Created.After(end) {
			continue
		}
		if len(v.Runs) < 20 {
			v.Runs = append(v.Runs, r.runRow(e))
		}
	}
	for _, about := range v.Finding.Resources {
		if strings.Contains(about.ID, "sha256:") {
			v.Images = append(v.Images, about.ID)
		}
	}
	return nil
}

// moments are what became of the secret: brought, found, decided, resolved.
func (o *Console) moments(r *request, ref hub.Ref, v *secretView) error {
	f := &v.Finding
	line := chart.Life{Title: r.t("Life of this secret"), Until: o.config.Now()}
	add := func(at time.Time, what, class, who, path string) {
		if !at.IsZero() {
			line.Moments = append(line.Moments, chart.Moment{At: at, What: what, Class: class})
			v.Moments = append(v.Moments, momentRow{at, what, who, path})
		}
	}
	if since, err := time.Parse(time.RFC3339, f.ProductFields[finding.FieldSinceTime]); err == nil {
		add(since, r.t("brought by commit %s", shorten(v.Since, 9)), "critical", f.ProductFields[finding.FieldAuthor], "")
	}
	if seen, err := time.Parse(time.RFC3339, cmp.Or(f.FirstObservedAt, f.CreatedAt)); err == nil {
		add(seen, r.t("first seen"), "high", "", "")
	}
	changes, _, err := o.config.Hub.History(r.Context(), hub.HistoryQuery{Ref: ref, Limit: 100})
	if err != nil {
		return err
	}
	for _, c := range changes {
		for _, change := range c.Fields {
			if what, class := r.became(change); what != "" && !c.Created {
				add(c.At, what, class, cmp.Or(c.Why, c.Who), "")
			}
		}
	}
	slices.SortStableFunc(v.Moments, func(a, b momentRow) int { return a.At.Compare(b.At) })
	line.Over = v.Row.State == mended
	v.Line = template.HTML(line.SVG()) // chart escapes what it draws
	return nil
}

// became is what a change of a finding means in the life of its secret; "" is nothing.
func (r *request) became(c hub.FieldChange) (what, class string) {
	switch {
	case strings.HasPrefix(c.Field, "Workflow"):
		for status, class := range map[finding.Status]string{finding.Resolved: "good", finding.Suppressed: "low", finding.New: "high", finding.Notified: "medium"} {
			if strings.Contains(c.New, string(status)) && !strings.Contains(c.Old, string(status)) {
				return r.t("became %s", r.t(string(status))), class
			}
		}
	case c.Field == "RecordState":
		return r.t("became %s", r.t(c.New)), "medium"
	case strings.HasSuffix(c.Field, finding.FieldStill) && strings.Contains(c.New, finding.InHistory):
		return r.t("taken out of the files"), "medium"
	case strings.HasSuffix(c.Field, finding.FieldStill) && strings.Contains(c.New, finding.InHead) && c.Old != "":
		return r.t("back in the files"), "critical"
	}
	return "", ""
}
