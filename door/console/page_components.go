package console

import (
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/inspect"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/finding"
)

const componentsPath = "/components"

func packagePath(id int64) string { return componentsPath + "/package/" + strconv.FormatInt(id, 10) }
func madePath(id int64) string    { return componentsPath + "/of/" + strconv.FormatInt(id, 10) }
func advisoryPath(id string) string {
	return "/advisories/" + url.PathEscape(id)
}

// searchPath is the search for a package, with a version where one is given.
func searchPath(name, version string) string {
	if version != "" {
		name += " = " + version
	}
	return componentsPath + "?q=" + url.QueryEscape(name)
}

// identifier is what bugs are called.
var identifier = regexp.MustCompile(`^(?i:CVE|GHSA|GO|PYSEC|RUSTSEC|DSA|DLA|USN|RHSA|ALSA|RLSA|OSV|MAL|HSEC|BIT|ALPINE|DEBIAN|UBUNTU)-[0-9A-Za-z:.-]+$`)

// bugRow is a bug of a package, in few words.
type bugRow struct {
	ID, Path, Summary, Fixed string
	Severity                 finding.Label
	Exploited                bool
	Odds                     string
}

func bugRowOf(m advisory.Match) bugRow {
	b := bugRow{ID: m.ID, Path: advisoryPath(m.ID), Fixed: m.Fixed, Severity: severityOf(m.Severity), Exploited: m.Exploited != nil, Odds: oddsOf(m.Odds)}
	if len(m.Advisories) > 0 {
		b.Summary = m.Advisories[0].Summary
	}
	return b
}

// severityOf is the label of an advisory's severity; what nobody rated is shown as findings have it.
func severityOf(s advisory.Severity) finding.Label {
	if s.Label == "" {
		return finding.Medium
	}
	return finding.Label(s.Label)
}

func oddsOf(o *advisory.Odds) string {
	if o == nil {
		return ""
	}
	return strconv.FormatFloat(o.Score*100, 'f', 1, 64) + " %"
}

// packageRow is a version of a package with its bugs.
type packageRow struct {
	inspect.Package
	Path       string
	Bugs       []bugRow // the worst few
	More       int
	NoData     bool // nobody knows of bugs
	Unresolved bool
}

const bugsShown = 3

func (o *Console) packageRows(r *request, list []inspect.Package) (rows []packageRow, err error) {
	var ids []int64
	for _, p := range list {
		ids = append(ids, p.ID)
	}
	bugs, err := o.config.Inspect.Bugs(r.Context(), ids...)
	if err != nil {
		return nil, err
	}
	for _, p := range list {
		row := packageRow{Package: p, Path: packagePath(p.ID), NoData: !o.config.Inspect.Knows(p.Ecosystem), Unresolved: p.State == component.Unresolved}
		for i, m := range bugs[p.ID] {
			if i == bugsShown {
				row.More = len(bugs[p.ID]) - i
				break
			}
			row.Bugs = append(row.Bugs, bugRowOf(m))
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// madeRow is something that was looked into: a branch of a target.
type madeRow struct {
	inspect.Thing
	Path, Called string
}

func (r *request) madeRow(t inspect.Thing) madeRow {
	return madeRow{t, madePath(t.ID), r.called(t.Kind)}
}

func (r *request) madeRows(list []inspect.Thing) (rows []madeRow) {
	for _, t := range list {
		rows = append(rows, r.madeRow(t))
	}
	return rows
}

// called is what people call a kind of things.
func (r *request) called(kind string) string {
	switch kind {
	case inspect.Source:
		return r.t("repository")
	case inspect.Image:
		return r.t("container image")
	case inspect.SBOM:
		return r.t("bill of materials")
	}
	return kind
}

type componentsView struct {
	Search, Licence string
	Unknown         bool
	Advisory        string // the page of the bug that the search names
	Asked           bool
	Rows            []packageRow
	More            bool
	Things          []madeRow
	MoreThings      bool   // that are not listed
	Problem         string // with what was asked
}

func (o *Console) components() page {
	return page{
		name: "components", path: componentsPath, nav: "Components",
		asks: func(r *request) []iam.Request { return r.ask("inspector2:ListCoverage", "") },
		view: o.componentsView,
	}
}

func (o *Console) componentsView(r *request) (any, error) {
	query := r.URL.Query()
	v := componentsView{Search: strings.TrimSpace(query.Get("q")), Licence: query.Get("licence"), Unknown: query.Get("unknown") != ""}
	v.Asked = v.Search != "" || v.Licence != "" || v.Unknown
	things, err := o.config.Inspect.Things(r.Context(), "")
	if err != nil {
		return nil, err
	}
	v.Things, v.MoreThings = r.madeRows(things), len(things) >= inspect.MostThings
	if identifier.MatchString(v.Search) {
		v.Advisory = advisoryPath(v.Search)
	}
	if !v.Asked {
		return v, nil
	}
	q := inspect.ParseQuestion(v.Search)
	q.Licence, q.Unknown, q.Limit = v.Licence, v.Unknown, 100
	list, more, err := o.config.Inspect.Packages(r.Context(), q)
	if err != nil {
		if mistake(err) {
			v.Problem = err.Error()
			return v, nil
		}
		return nil, err
	}
	v.More = more
	v.Rows, err = o.packageRows(r, list)
	return v, err
}
