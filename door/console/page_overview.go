package console

import (
	"context"
	"html/template"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/base/chart"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/finding"
)

// Station is one place of the loop's picture, with what goes on there.
type Station struct {
	Name   string // pipeline, detect, comply, route
	Path   string // its page
	Count  int
	Trains string // what is counted, in English
	Bad    bool   // somebody should look
}

// Loop says what goes on at the stations, for the overview's picture.
type Loop func(ctx context.Context) ([]Station, error)

type tile struct {
	Label finding.Label
	Path  string
	Count int
}

type share struct {
	Name, Path string
	Count      int
	Bar        template.HTML
}

// score is how well a standard is met; not Scored without anything to judge.
type score struct {
	Name, Path string
	Percent    int
	Scored     bool
}

type overviewView struct {
	Tiles       []tile
	Open        int
	Closed      int // in the last 7 days
	Trend       template.HTML
	TrendNarrow template.HTML // of fewer days, for narrow screens
	Stations    map[string]Station
	Events      int64
	Followers   []bus.Follower
	Behind      int64
	Parked      int64
	Products    []share
	Rows        []findingRow
	Scores      []score
	Choose      bool
}

func (o *Console) overview() page {
	return page{
		name: "overview", path: "/{$}", nav: "Overview",
		asks: func(r *request) []iam.Request { return r.ask("securityhub:GetFindings", "") },
		view: o.overviewView,
	}
}

const trendDays = 30

func (o *Console) overviewView(r *request) (any, error) {
	v := overviewView{Stations: map[string]Station{}}
	now := o.config.Now()
	days, err := o.config.Hub.Trend(r.Context(), now.AddDate(0, 0, 1-trendDays), now)
	if err != nil {
		return nil, err
	}
	v.Trend = template.HTML(trend(r, days, 640)) // chart escapes what it draws
	v.TrendNarrow = template.HTML(trend(r, days[max(0, len(days)-14):], 340))
	today := days[len(days)-1]
	for _, d := range days[max(0, len(days)-7):] {
		v.Closed += d.Closed
	}
	for _, l := range slices.Backward(finding.Labels[:]) {
		v.Tiles = append(v.Tiles, tile{l, "/findings?q=" + url.QueryEscape(openFilter+" severity:"+strings.ToLower(string(l))), today.Open[l]})
		v.Open += today.Open[l]
	}
	v.Products = shares(today.Products)
	if v.Scores, err = o.scores(r); err != nil {
		return nil, err
	}
	if err := o.stations(r, &v); err != nil {
		return nil, err
	}
	got, err := o.config.Hub.Find(r.Context(), hub.Query{
		Filters: hub.Filters{"RecordState": hub.Is("ACTIVE"), "WorkflowStatus": hub.Is("NEW", "NOTIFIED")},
		Sort:    []hub.Sort{{Field: "UpdatedAt", SortOrder: "desc"}}, Limit: 8,
	})
	if err != nil {
		return nil, err
	}
	for i := range got.Findings {
		v.Rows = append(v.Rows, rowOf(r.lang, &got.Findings[i], false))
	}
	return v, nil
}

// scores are how well standards are met: as the rules say, where they are at hand.
func (o *Console) scores(r *request) (all []score, err error) {
	if o.config.Comply == nil {
		standards, err := o.config.Hub.Scores(r.Context())
		for _, s := range standards {
			all = append(all, score{s.Standard.Name, "", s.Percent(), s.Passed+s.Failed > 0})
		}
		return all, err
	}
	packs, _, err := o.config.Comply.Scores(r.Context())
	for _, p := range packs {
		percent, ok := p.Percent()
		all = append(all, score{r.in(p.Title), "/resources", percent, ok})
	}
	return all, err
}

func (o *Console) stations(r *request, v *overviewView) error {
	stats, err := o.config.Bus.Stats(r.Context())
	if err != nil {
		return err
	}
	v.Events, v.Followers = stats.Events, stats.Followers
	for _, f := range stats.Followers {
		v.Behind = max(v.Behind, f.Behind)
		v.Parked += f.Parked
	}
	if o.config.Loop == nil {
		return nil
	}
	all, err := o.config.Loop(r.Context())
	for _, s := range all {
		v.Stations[s.Name] = s
	}
	return err
}

func trend(r *request, days []hub.Day, width int) string {
	c := chart.Columns{Title: r.t("Open findings by severity, day by day"), Width: width, Height: 200}
	for _, l := range finding.Labels {
		s := chart.Series{Name: r.t(string(l)), Class: strings.ToLower(string(l))}
		for _, d := range days {
			s.Values = append(s.Values, float64(d.Open[l]))
		}
		c.Series = append(c.Series, s)
	}
	for _, d := range days {
		c.Labels = append(c.Labels, d.Day.UTC().Format("1/2"))
	}
	return c.SVG()
}

// shares are the products with most open findings.
func shares(products map[string]int) (all []share) {
	most := 0
	for _, n := range products {
		most = max(most, n)
	}
	for _, name := range slices.Sorted(maps.Keys(products)) {
		n := products[name]
		if n == 0 {
			continue
		}
		bar := chart.Bar{Title: name, Parts: []chart.Part{{Name: name, Class: "low", Value: float64(n)}, {Class: "empty", Value: float64(most - n)}}}
		all = append(all, share{name, "/findings?q=" + url.QueryEscape(openFilter+` product:"`+name+`"`), n, template.HTML(bar.SVG())})
	}
	slices.SortStableFunc(all, func(a, b share) int { return b.Count - a.Count })
	return all[:min(len(all), 6)]
}
