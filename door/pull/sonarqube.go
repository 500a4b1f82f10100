package pull

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/haechi-dev/haechi/word/fault"
)

// sonarMost is how many results SonarQube shows of one search, however it is paged. SonarQube Cloud
// also says that there are no more, so that this number itself is a sign of more.
const sonarMost = 10_000

const sonarPage = 500

type sonarAnswer struct {
	Total  int `json:"total"`
	Paging struct {
		Total int `json:"total"`
	} `json:"paging"`
	Issues     []jsontext.Value `json:"issues"`
	Hotspots   []jsontext.Value `json:"hotspots"`
	Components []jsontext.Value `json:"components"`
	Facets     []struct {
		Property string `json:"property"`
		Values   []struct {
			Val   string `json:"val"`
			Count int    `json:"count"`
		} `json:"values"`
	} `json:"facets"`
}

func (a *sonarAnswer) total() int { return max(a.Total, a.Paging.Total) }

// sonarQube fetches a project's vulnerabilities and its security hotspots.
func sonarQube(ctx context.Context, s Server, project, branch string, create func(string) (io.WriteCloser, error)) (all []Fetched, err error) {
	c, err := s.caller(basic)
	if err != nil {
		return nil, err
	}
	issues := url.Values{"componentKeys": {project}, "types": {"VULNERABILITY"}, "statuses": {"OPEN,CONFIRMED,REOPENED,RESOLVED"}}
	hotspots := url.Values{"projectKey": {project}}
	if branch != "" {
		issues.Set("branch", branch)
		hotspots.Set("branch", branch)
	}
	for _, part := range []struct {
		name, path string
		query      url.Values
	}{{"issues", "api/issues/search", issues}, {"hotspots", "api/hotspots/search", hotspots}} {
		w, err := create("sonarqube-" + part.name)
		if err != nil {
			return nil, err
		}
		f := &sonarFetch{caller: c, path: part.path, name: part.name, records: &list{w: w, seen: map[string]bool{}}, components: map[string]jsontext.Value{}, rules: map[string]bool{}}
		got, err := f.fetch(ctx, part.query)
		if err = cmp.Or(err, w.Close()); err != nil {
			return nil, fmt.Errorf("fetching the %s: %w", part.name, err)
		}
		all = append(all, got)
	}
	return all, nil
}

// sonarFetch fetches one list, in as many searches as that takes.
type sonarFetch struct {
	*caller
	path, name string
	records    *list
	components map[string]jsontext.Value
	rules      map[string]bool
	partial    string
}

func (f *sonarFetch) fetch(ctx context.Context, query url.Values) (Fetched, error) {
	if err := write(f.records.w, `{"merged":true,"`+f.name+`":[`); err != nil {
		return Fetched{}, err
	}
	first, err := f.ask(ctx, query, 1)
	if err != nil {
		return Fetched{}, err
	}
	if err := f.part(ctx, query, first, f.splits()); err != nil {
		return Fetched{}, err
	}
	total := first.total()
	if f.records.n < total {
		f.truncated("%d of %d could be fetched", f.records.n, total)
	}
	rules, err := f.ruleTexts(ctx)
	if err != nil {
		return Fetched{}, err
	}
	var components []jsontext.Value
	for _, key := range sortedKeys(f.components) {
		components = append(components, f.components[key])
	}
	rest, err := json.Marshal(struct {
		Paging     any              `json:"paging"`
		Components []jsontext.Value `json:"components"`
		Rules      []jsontext.Value `json:"rules"`
	}{map[string]int{"pageIndex": 1, "pageSize": f.records.n, "total": max(total, f.records.n)}, components, rules}, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return Fetched{}, fault.Invalid.Errorf("what the server says is no JSON: %w", err)
	}
	return Fetched{f.records.n, f.partial}, write(f.records.w, "],\n"+string(rest[1:]))
}

func (f *sonarFetch) truncated(format string, a ...any) {
	if f.partial == "" {
		f.partial = fmt.Sprintf(format, a...)
	}
}

func (f *sonarFetch) ask(ctx context.Context, query url.Values, page int) (*sonarAnswer, error) {
	q := url.Values{}
	for k, v := range query {
		q[k] = v
	}
	q.Set("ps", strconv.Itoa(sonarPage))
	q.Set("p", strconv.Itoa(page))
	var a sonarAnswer
	return &a, f.get(ctx, f.path, q, &a)
}

// split parts a search into several that together find the same.
type split struct {
	again bool // what it makes can be parted in the same way
	sure  bool // nothing is in none of the parts
	parts func(ctx context.Context, query url.Values) ([]url.Values, error)
}

func (f *sonarFetch) splits() []split {
	if f.name != "issues" {
		return []split{by("status", "TO_REVIEW", "REVIEWED")}
	}
	return []split{by("severities", "BLOCKER", "CRITICAL", "MAJOR", "MINOR", "INFO"), {again: true, sure: true, parts: byDate}, f.byFacet("rules"), f.byFacet("files")}
}

func with(query url.Values, name, value string) url.Values {
	q := url.Values{}
	for k, v := range query {
		q[k] = v
	}
	q.Set(name, value)
	return q
}

func by(name string, values ...string) split {
	return split{sure: true, parts: func(_ context.Context, query url.Values) (parts []url.Values, err error) {
		for _, v := range values {
			parts = append(parts, with(query, name, v))
		}
		return parts, nil
	}}
}

// byFacet parts by what the server counts. It counts the most frequent values only; the rest is noticed as missing.
func (f *sonarFetch) byFacet(name string) split {
	return split{parts: func(ctx context.Context, query url.Values) (parts []url.Values, err error) {
		a, err := f.ask(ctx, with(query, "facets", name), 1)
		if err != nil {
			return nil, err
		}
		for _, facet := range a.Facets {
			for _, v := range facet.Values {
				if facet.Property == name && v.Count > 0 {
					parts = append(parts, with(query, name, v.Val))
				}
			}
		}
		return parts, nil
	}}
}

const sonarTime = "2006-01-02T15:04:05-0700"

// byDate parts at a time in the middle, down to seconds.
func byDate(_ context.Context, query url.Values) ([]url.Values, error) {
	from, to := time.Date(1971, 1, 1, 0, 0, 0, 0, time.UTC), time.Now().UTC().Add(24*time.Hour).Truncate(time.Second)
	for name, at := range map[string]*time.Time{"createdAfter": &from, "createdBefore": &to} {
		if text := query.Get(name); text != "" {
			parsed, err := time.Parse(sonarTime, text)
			if err != nil {
				return nil, err
			}
			*at = parsed
		}
	}
	middle := from.Add(to.Sub(from) / 2).Truncate(time.Second)
	if !middle.After(from) {
		return nil, nil // one second has too many
	}
	first, second := with(query, "createdAfter", from.Format(sonarTime)), with(query, "createdAfter", middle.Format(sonarTime))
	return []url.Values{with(first, "createdBefore", middle.Format(sonarTime)), with(second, "createdBefore", to.Format(sonarTime))}, nil
}

// part fetches what a search finds, of which first is the first page; if that is too much, in parts.
func (f *sonarFetch) part(ctx context.Context, query url.Values, first *sonarAnswer, splits []split) error {
	if first.total() < sonarMost || len(splits) == 0 {
		return f.pages(ctx, query, first)
	}
	parts, err := splits[0].parts(ctx, query)
	if err != nil {
		return err
	}
	if len(parts) == 0 {
		return f.part(ctx, query, first, splits[1:])
	}
	rest := splits[1:]
	if splits[0].again {
		rest = splits
	}
	before := f.records.n
	for _, q := range parts {
		a, err := f.ask(ctx, q, 1)
		if err != nil {
			return err
		}
		if err := f.part(ctx, q, a, rest); err != nil {
			return err
		}
	}
	if f.records.n-before < first.total() && !splits[0].sure {
		return f.part(ctx, query, first, splits[1:]) // some things are in none of the parts
	}
	if first.total() == sonarMost && !splits[0].sure {
		f.truncated("the server says no more than %d of how many there are", sonarMost)
	}
	return nil
}

// pages fetches what a search shows.
func (f *sonarFetch) pages(ctx context.Context, query url.Values, a *sonarAnswer) error {
	total := min(a.total(), sonarMost)
	if a.total() >= sonarMost {
		f.truncated("the server shows no more than %d of a search, and there is no way to part it further", sonarMost)
	}
	got := 0
	for page := 1; ; page++ {
		list := a.Issues
		if f.name == "hotspots" {
			list = a.Hotspots
		}
		for _, one := range list {
			if err := f.add(one); err != nil {
				return err
			}
		}
		if got += len(list); got >= total || len(list) == 0 {
			break
		}
		for _, one := range a.Components {
			f.component(one)
		}
		var err error
		if a, err = f.ask(ctx, query, page+1); err != nil {
			return err
		}
	}
	for _, one := range a.Components {
		f.component(one)
	}
	return nil
}

func (f *sonarFetch) add(one jsontext.Value) error {
	var names struct {
		Key     string `json:"key"`
		Rule    string `json:"rule"`
		RuleKey string `json:"ruleKey"`
	}
	if err := json.Unmarshal(one, &names, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)); err != nil || names.Key == "" {
		return fault.Invalid.Errorf("%s: a record is without a key", f.where(f.path))
	}
	if rule := cmp.Or(names.Rule, names.RuleKey); rule != "" {
		f.rules[rule] = true
	}
	return f.records.add(names.Key, one)
}

func (f *sonarFetch) component(one jsontext.Value) {
	var names struct {
		Key string `json:"key"`
	}
	if json.Unmarshal(one, &names, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) == nil && names.Key != "" {
		f.components[names.Key] = one
	}
}

// maxRules is how many rules are asked for: each takes a call.
const maxRules = 500

// ruleTexts are the rules of what was fetched: only they say which weakness it is.
func (f *sonarFetch) ruleTexts(ctx context.Context) (all []jsontext.Value, err error) {
	keys := sortedKeys(f.rules)
	for _, key := range keys[:min(len(keys), maxRules)] {
		var a struct {
			Rule struct {
				Key       string   `json:"key"`
				Name      string   `json:"name,omitzero"`
				SysTags   []string `json:"sysTags,omitzero"`
				Standards []string `json:"securityStandards,omitzero"`
			} `json:"rule"`
		}
		err := f.get(ctx, "api/rules/show", url.Values{"key": {key}}, &a)
		switch fault.Of(err) {
		case fault.Denied, fault.NotFound, fault.Invalid:
			continue // what was found counts without it
		}
		if err != nil {
			return nil, err
		}
		text, err := json.Marshal(a.Rule)
		if err != nil {
			return nil, fault.Invalid.Errorf("rule %.100q: %w", key, err)
		}
		all = append(all, text)
	}
	return all, nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
