package console

import (
	"html/template"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/base/chart"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/build"
	"github.com/haechi-dev/haechi/word/fault"
)

// groupPath is the page of a group of reports.
func groupPath(name string) string { return "/tests/" + url.PathEscape(name) }

// reportName is the id of a report, GROUP:ID, out of its ARN.
func reportName(arn string) string {
	if _, id, ok := strings.Cut(arn, ":report/"); ok {
		return id
	}
	return arn
}

func groupOf(arn string) string {
	if _, name, ok := strings.Cut(arn, ":report-group/"); ok {
		return name
	}
	return arn
}

func (o *Console) askGroup(action string) func(r *request) []iam.Request {
	return func(r *request) []iam.Request {
		return r.ask("codebuild:"+action, "arn:aws:codebuild:"+o.config.Region+":"+o.config.Account+":report-group/"+r.PathValue("group"))
	}
}

func (r *request) reportRow(report build.Report) reportRow {
	group := groupOf(report.Group)
	row := reportRow{
		Path: groupPath(group) + "/" + url.PathEscape(reportName(report.ARN)), Group: group, GroupPath: groupPath(group), Name: report.Name, Type: report.Type, Status: report.Status,
		Created: report.Created, Commit: report.Commit, Ref: branchOf(report.Ref), Tests: report.Tests, Coverage: report.Coverage, Truncated: report.Truncated,
	}
	if t := report.Tests; t != nil {
		row.Failed = t.Counts[build.Broken] + t.Counts[build.Errored]
		row.Took = r.lasted(time.Duration(t.Duration))
	}
	return row
}

type testGroupRow struct {
	Name, Path, Type string
	Newest           *reportRow
}

type reportGroupsView struct {
	Tabs []tab
	Rows []testGroupRow
}

func (o *Console) reportGroups() page {
	return page{
		name: "tests", path: "/tests", under: "builds", view: o.reportGroupsView,
		asks: func(r *request) []iam.Request { return r.ask("codebuild:ListReportGroups", "") },
	}
}

func (o *Console) reportGroupsView(r *request) (any, error) {
	v := reportGroupsView{Tabs: buildTabs("tests")}
	all, err := o.config.Builds.Groups(r.Context())
	if err != nil {
		return nil, err
	}
	for _, g := range all[:min(len(all), 500)] {
		row := testGroupRow{Name: g.Name, Path: groupPath(g.Name), Type: g.Type}
		newest, err := o.config.Builds.Reports(r.Context(), g.Name, "", false, 0, 1)
		if err != nil {
			return nil, err
		}
		if len(newest) > 0 {
			one := r.reportRow(newest[0])
			row.Newest = &one
		}
		v.Rows = append(v.Rows, row)
	}
	return v, nil
}

type reportGroupView struct {
	Name, Type string
	Drawing    template.HTML
	Time       template.HTML // how long the tests took
	Rows       []reportRow
	Flaky      []build.Flaky
}

func (o *Console) reportGroup() page {
	return page{name: "testgroup", path: "/tests/{group}", under: "builds", asks: o.askGroup("ListReportsForReportGroup"), view: o.reportGroupView}
}

const trendOf = 30 // reports

func (o *Console) reportGroupView(r *request) (any, error) {
	g, err := o.config.Builds.Group(r.Context(), r.PathValue("group"))
	if err != nil {
		return nil, err
	}
	v := reportGroupView{Name: g.Name, Type: g.Type}
	reports, err := o.config.Builds.Reports(r.Context(), g.Name, "", false, 0, trendOf)
	if err != nil {
		return nil, err
	}
	for _, report := range reports {
		v.Rows = append(v.Rows, r.reportRow(report))
	}
	if g.Type == build.CoverageReports {
		v.Drawing = r.drawCoverage(v.Rows)
		return v, nil
	}
	v.Drawing, v.Time = r.drawTests(v.Rows)
	v.Flaky, err = o.config.Builds.Flaky(r.Context(), g.Name)
	return v, err
}

// drawTests draws what became of tests, report by report, and how long they took.
func (r *request) drawTests(rows []reportRow) (counts, took template.HTML) {
	c := chart.Columns{Width: 960, Height: 170, Title: r.t("Tests, report by report"), Series: []chart.Series{{Name: r.t("passed"), Class: "good"}, {Name: r.t("SKIPPED"), Class: "informational"}, {Name: r.t("failed"), Class: "critical"}}}
	line := chart.Spark{Title: r.t("How long the tests took"), Class: "line"}
	for i := len(rows) - 1; i >= 0; i-- {
		t := rows[i].Tests
		if t == nil {
			continue
		}
		failed := float64(rows[i].Failed)
		passed := float64(t.Counts[build.Passed])
		c.Labels = append(c.Labels, labelOf(rows[i]))
		c.Series[0].Values = append(c.Series[0].Values, passed)
		c.Series[1].Values = append(c.Series[1].Values, max(0, float64(t.Total)-failed-passed))
		c.Series[2].Values = append(c.Series[2].Values, failed)
		line.Values = append(line.Values, time.Duration(t.Duration).Seconds())
	}
	return template.HTML(c.SVG()), template.HTML(line.SVG())
}

func labelOf(row reportRow) string {
	if row.Commit != "" {
		return row.Commit[:min(len(row.Commit), 6)]
	}
	return row.Created.UTC().Format("01-02")
}

func (r *request) drawCoverage(rows []reportRow) template.HTML {
	c := chart.Columns{Width: 960, Height: 170, Title: r.t("Lines covered, of 100, report by report"), Series: []chart.Series{{Name: r.t("Lines covered"), Class: "good"}}}
	for i := len(rows) - 1; i >= 0; i-- {
		if rows[i].Coverage != nil {
			c.Labels = append(c.Labels, labelOf(rows[i]))
			c.Series[0].Values = append(c.Series[0].Values, rows[i].Coverage.LinePercent)
		}
	}
	return template.HTML(c.SVG())
}

type caseRow struct {
	build.Case
	Took string
}

type testReportView struct {
	Row      reportRow
	Build    string
	Commit   string
	Cases    []caseRow
	States   []chip
	State    string
	Word     string
	More     string
	Coverage []build.Covered
}

func (o *Console) testReport() page {
	return page{name: "testreport", path: "/tests/{group}/{report}", under: "builds", asks: o.askGroup("DescribeTestCases"), view: o.testReportView}
}

const casesPage = 200

func (o *Console) testReportView(r *request) (any, error) {
	if groupOf, _, _ := strings.Cut(r.PathValue("report"), ":"); groupOf != r.PathValue("group") {
		return nil, fault.NotFound.Errorf("group %s has no report %s", r.PathValue("group"), r.PathValue("report"))
	}
	report, err := o.config.Builds.Report(r.Context(), r.PathValue("report"))
	if err != nil {
		return nil, err
	}
	v := testReportView{Row: r.reportRow(report), State: r.FormValue("state"), Word: strings.TrimSpace(r.FormValue("word"))}
	if _, id, ok := strings.Cut(report.Build, ":build/"); ok {
		v.Build = buildPath(id)
	}
	if report.Type == build.CoverageReports {
		v.Coverage, err = o.config.Builds.Coverage(r.Context(), report.ARN)
		return v, err
	}
	for _, s := range []string{"", build.Broken, build.Errored, build.Passed, build.Skipped} {
		title, to := s, url.Values{}
		if s == "" {
			title = "all"
		} else {
			to.Set("state", s)
		}
		if v.Word != "" {
			to.Set("word", v.Word)
		}
		v.States = append(v.States, chip{title, v.Row.Path + "?" + to.Encode(), v.State == s})
	}
	from, err := r.number("from", 0, 0, 1<<31)
	if err != nil {
		return nil, err
	}
	cases, err := o.config.Builds.Cases(r.Context(), report.ARN, v.State, v.Word, from, casesPage+1)
	if err != nil {
		return nil, err
	}
	if len(cases) > casesPage {
		cases = cases[:casesPage]
		v.More = logPath(v.Row.Path, "", 0, "state", v.State, "word", v.Word, "from", strconv.Itoa(from+casesPage))
	}
	for _, c := range cases {
		v.Cases = append(v.Cases, caseRow{c, r.lasted(time.Duration(c.Duration))})
	}
	return v, nil
}
