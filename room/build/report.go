package build

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/fault"
)

// ReportGroup is where the reports of one kind of many builds lie. Its JSON is CodeBuild's.
type ReportGroup struct {
	ARN          string       `json:"arn"`
	Name         string       `json:"name"`
	Type         string       `json:"type"`
	Export       ReportExport `json:"exportConfig"`
	Created      time.Time    `json:"created"`
	LastModified time.Time    `json:"lastModified"`
	Tags         []Tag        `json:"tags,omitzero"`
	Status       string       `json:"status"` // ACTIVE

	// Repository is whose builds made it, and alone may report there; "" for one that somebody has made for many. It is ours.
	Repository string `json:"repository,omitzero"`
}

// The types of report groups.
const (
	TestReports     = "TEST"
	CoverageReports = "CODE_COVERAGE"
)

// ReportExport says that reports are kept here: there is no bucket to export them to.
type ReportExport struct {
	Type string         `json:"exportConfigType"`
	S3   jsontext.Value `json:"s3Destination,omitzero"`
}

// Report is what the tests of one build said, or how much of its code they ran. Its JSON is CodeBuild's.
type Report struct {
	ARN       string           `json:"arn"`
	Type      string           `json:"type"`
	Name      string           `json:"name"`
	Group     string           `json:"reportGroupArn"`
	Build     string           `json:"executionId"` // its ARN
	Status    string           `json:"status"`      // SUCCEEDED, FAILED
	Created   time.Time        `json:"created"`
	Expired   time.Time        `json:"expired"` // when it will go
	Export    ReportExport     `json:"exportConfig"`
	Truncated bool             `json:"truncated"`
	Tests     *TestSummary     `json:"testSummary,omitzero"`
	Coverage  *CoverageSummary `json:"codeCoverageSummary,omitzero"`

	Commit string `json:"commit,omitzero"` // these two are ours
	Ref    string `json:"ref,omitzero"`
}

// TestSummary counts the cases of a report.
type TestSummary struct {
	Total    int            `json:"total"`
	Counts   map[string]int `json:"statusCounts"`
	Duration int64          `json:"durationInNanoSeconds"`
}

// CoverageSummary is how much of the code was run.
type CoverageSummary struct {
	LinePercent     float64 `json:"lineCoveragePercentage"`
	LinesCovered    int     `json:"linesCovered"`
	LinesMissed     int     `json:"linesMissed"`
	BranchPercent   float64 `json:"branchCoveragePercentage"`
	BranchesCovered int     `json:"branchesCovered"`
	BranchesMissed  int     `json:"branchesMissed"`
}

// Case is one test as it ran in one build.
type Case struct {
	Report   string    `json:"reportArn"`
	File     string    `json:"testRawDataPath,omitzero"`
	Prefix   string    `json:"prefix,omitzero"`
	Name     string    `json:"name"`
	Status   string    `json:"status"` // SUCCEEDED, FAILED, ERROR, SKIPPED, UNKNOWN
	Duration int64     `json:"durationInNanoSeconds"`
	Message  string    `json:"message,omitzero"`
	Suite    string    `json:"testSuiteName,omitzero"`
	Expired  time.Time `json:"expired,omitzero"`
}

// full is the name that a test has in its group.
func (c *Case) full() string {
	if c.Prefix == "" {
		return c.Name
	}
	return c.Prefix + "." + c.Name
}

// The statuses of a test.
const (
	Passed  = "SUCCEEDED"
	Broken  = "FAILED"
	Errored = "ERROR"
	Skipped = "SKIPPED"
)

func bad(status string) bool { return status == Broken || status == Errored }

// Covered is how much of one file was run.
type Covered struct {
	ID      string    `json:"id"`
	Report  string    `json:"reportARN"`
	File    string    `json:"filePath"`
	Expired time.Time `json:"expired,omitzero"`
	CoverageSummary
}

// The bounds of a report.
const (
	maxCases    = 20_000
	maxFiles    = 20_000
	maxMessage  = 5_000
	maxCaseName = 1_000
)

func scanGroup(scan db.Scan) (g ReportGroup, err error) {
	var body []byte
	if err := scan(&body); err != nil {
		return g, err
	}
	return g, json.Unmarshal(body, &g)
}

func scanReport(scan db.Scan) (r Report, err error) {
	var body []byte
	if err := scan(&body); err != nil {
		return r, err
	}
	return r, json.Unmarshal(body, &r)
}

func scanCase(scan db.Scan) (c Case, err error) {
	var body []byte
	if err := scan(&body); err != nil {
		return c, err
	}
	return c, json.Unmarshal(body, &c)
}

func findGroup(tx *db.Tx, name string) (ReportGroup, error) {
	name = bare(name, "report-group/")
	g, err := db.One(tx, scanGroup, "SELECT body FROM build_groups WHERE name = ?", name)
	if errors.Is(err, fault.NotFound) {
		return g, fault.NotFound.Errorf("there is no report group %.200q", name)
	}
	return g, err
}

func findReport(tx *db.Tx, id string) (Report, error) {
	id = bare(id, "report/")
	r, err := db.One(tx, scanReport, "SELECT body FROM build_reports WHERE id = ?", id)
	if errors.Is(err, fault.NotFound) {
		return r, fault.NotFound.Errorf("there is no report %.200q", id)
	}
	return r, err
}

// group is the group of a build's reports of that name, which is made if it is not there. One that another repository's
// builds made is not its: a report there would be one of tests that never ran.
func (b *Builds) group(tx *db.Tx, made Build, name, kind string) (ReportGroup, error) {
	whole := strings.HasPrefix(name, "arn:")
	if !whole {
		name = made.Project + "-" + name
	}
	g, err := findGroup(tx, name)
	if err == nil && g.Repository != "" && g.Repository != made.Facts.Repository {
		return g, fault.Denied.Errorf("the report group %s is that of builds of %s: give the reports another name", g.Name, g.Repository)
	}
	if whole || !errors.Is(err, fault.NotFound) {
		return g, err
	}
	now := b.config.Now().UTC()
	g = ReportGroup{ARN: b.ARN("report-group/" + name), Name: name, Type: kind, Export: ReportExport{Type: "NO_EXPORT"}, Created: now, LastModified: now, Status: "ACTIVE", Repository: made.Facts.Repository}
	return g, keepGroup(tx, g)
}

func keepGroup(tx *db.Tx, g ReportGroup) error {
	body, err := json.Marshal(g)
	if err != nil {
		return err
	}
	_, err = tx.Exec("INSERT INTO build_groups (name, created, modified, body) VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET modified = excluded.modified, body = excluded.body", g.Name, g.Created.UnixMicro(), g.LastModified.UnixMicro(), body)
	return err
}

// CreateGroup makes a report group.
func (b *Builds) CreateGroup(ctx context.Context, g ReportGroup) (ReportGroup, error) {
	now := b.config.Now().UTC()
	g.ARN, g.Created, g.LastModified, g.Status = b.ARN("report-group/"+g.Name), now, now, "ACTIVE"
	if g.Type != TestReports && g.Type != CoverageReports {
		return g, fault.Invalid.Errorf("a report group's type is TEST or CODE_COVERAGE")
	}
	if err := g.Export.check(); err != nil {
		return g, err
	}
	return g, b.db.Write(ctx, func(tx *db.Tx) error {
		if _, err := findGroup(tx, g.Name); !errors.Is(err, fault.NotFound) {
			if err == nil {
				err = fault.Exists.Errorf("there is a report group %s already", g.Name)
			}
			return err
		}
		return keepGroup(tx, g)
	})
}

func (e ReportExport) check() error {
	if e.Type != "NO_EXPORT" || says(e.S3) {
		return fault.Invalid.Errorf("exportConfig: reports are kept by this server and go to no bucket: write exportConfigType=NO_EXPORT")
	}
	return nil
}

// ChangeGroup changes a report group.
func (b *Builds) ChangeGroup(ctx context.Context, name string, change func(*ReportGroup)) (g ReportGroup, err error) {
	err = b.db.Write(ctx, func(tx *db.Tx) error {
		if g, err = findGroup(tx, name); err != nil {
			return err
		}
		change(&g)
		if err := g.Export.check(); err != nil {
			return err
		}
		g.LastModified = b.config.Now().UTC()
		return keepGroup(tx, g)
	})
	return g, err
}

// DeleteGroup deletes a report group, which must hold no reports unless these may go, too.
func (b *Builds) DeleteGroup(ctx context.Context, name string, reports bool) error {
	return b.db.Write(ctx, func(tx *db.Tx) error {
		g, err := findGroup(tx, name)
		if err != nil {
			return err
		}
		ids, err := db.All(tx, db.Value[string], "SELECT id FROM build_reports WHERE grp = ?", g.Name)
		if err != nil {
			return err
		}
		if len(ids) > 0 && !reports {
			return fault.Invalid.Errorf("the report group %s holds %d reports: delete them first, or with --delete-reports", g.Name, len(ids))
		}
		for _, id := range ids {
			if err := deleteReport(tx, id); err != nil {
				return err
			}
		}
		_, err = tx.Exec("DELETE FROM build_groups WHERE name = ?", g.Name)
		return err
	})
}

// DeleteReport deletes a report.
func (b *Builds) DeleteReport(ctx context.Context, id string) error {
	return b.db.Write(ctx, func(tx *db.Tx) error { return deleteReport(tx, bare(id, "report/")) })
}

func deleteReport(tx *db.Tx, id string) error {
	for _, query := range []string{"DELETE FROM build_cases WHERE report = ?", "DELETE FROM build_covered WHERE report = ?", "DELETE FROM build_reports WHERE id = ?"} {
		if _, err := tx.Exec(query, id); err != nil {
			return err
		}
	}
	return nil
}

// Group is the report group of a name or an ARN.
func (b *Builds) Group(ctx context.Context, name string) (g ReportGroup, err error) {
	err = b.db.Read(ctx, func(tx *db.Tx) error { g, err = findGroup(tx, name); return err })
	return g, err
}

// Groups are all report groups, in order of their names.
func (b *Builds) Groups(ctx context.Context) (all []ReportGroup, err error) {
	err = b.db.Read(ctx, func(tx *db.Tx) error {
		all, err = db.All(tx, scanGroup, "SELECT body FROM build_groups ORDER BY name")
		return err
	})
	return all, err
}

// Report is the report of an id or an ARN.
func (b *Builds) Report(ctx context.Context, id string) (r Report, err error) {
	err = b.db.Read(ctx, func(tx *db.Tx) error { r, err = findReport(tx, id); return err })
	return r, err
}

// Reports are reports, the newest first: of one group, or of all for "".
func (b *Builds) Reports(ctx context.Context, group, status string, ascending bool, from, limit int) (all []Report, err error) {
	err = b.db.Read(ctx, func(tx *db.Tx) error {
		query, args := "SELECT body FROM build_reports WHERE 1 = 1", []any{}
		if group != "" {
			g, err := findGroup(tx, group)
			if err != nil {
				return err
			}
			query, args = query+" AND grp = ?", append(args, g.Name)
		}
		if status != "" {
			query, args = query+" AND status = ?", append(args, status)
		}
		order := " ORDER BY created DESC, id DESC"
		if ascending {
			order = " ORDER BY created, id"
		}
		all, err = db.All(tx, scanReport, query+order+" LIMIT ? OFFSET ?", append(args, limit, from)...)
		return err
	})
	return all, err
}

// Cases are tests of a report, the failed ones first: with a status, or all for "", and with a word in their names.
func (b *Builds) Cases(ctx context.Context, report, status, word string, from, limit int) (all []Case, err error) {
	err = b.db.Read(ctx, func(tx *db.Tx) error {
		r, err := findReport(tx, report)
		if err != nil {
			return err
		}
		query, args := "SELECT body FROM build_cases WHERE report = ?", []any{bare(r.ARN, "report/")}
		if status != "" {
			query, args = query+" AND status = ?", append(args, status)
		}
		if word != "" {
			query, args = query+` AND name LIKE ? ESCAPE '\'`, append(args, "%"+strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(word)+"%")
		}
		all, err = db.All(tx, scanCase, query+" ORDER BY n LIMIT ? OFFSET ?", append(args, limit, from)...)
		for i := range all {
			all[i].Report, all[i].Expired = r.ARN, r.Expired
		}
		return err
	})
	return all, err
}

// Coverage is how much of each file was run.
func (b *Builds) Coverage(ctx context.Context, report string) (all []Covered, err error) {
	err = b.db.Read(ctx, func(tx *db.Tx) error {
		r, err := findReport(tx, report)
		if err != nil {
			return err
		}
		all, err = db.All(tx, func(scan db.Scan) (c Covered, err error) {
			var body []byte
			if err := scan(&body); err != nil {
				return c, err
			}
			return c, json.Unmarshal(body, &c)
		}, "SELECT body FROM build_covered WHERE report = ? ORDER BY n", bare(r.ARN, "report/"))
		for i := range all {
			all[i].Report, all[i].Expired = r.ARN, r.Expired
			all[i].ID = fmt.Sprintf("%s/%d", bare(r.ARN, "report/"), i)
		}
		return err
	})
	return all, err
}

// keepReport writes a report of a build down.
func (b *Builds) keepReport(tx *db.Tx, made Build, group string, kind string, cases []Case, covered []Covered, dropped int) (Report, error) {
	g, err := b.group(tx, made, group, kind)
	if err != nil {
		return Report{}, err
	}
	now := b.config.Now().UTC()
	id := g.Name + ":" + newID()
	r := Report{
		ARN: b.ARN("report/" + id), Type: kind, Name: "report-" + uuidOf(made.ID), Group: g.ARN, Build: made.ARN, Status: "SUCCEEDED", Created: now, Expired: now.Add(b.config.KeptReports),
		Export: g.Export, Commit: made.Facts.Commit, Ref: made.Facts.Ref, Truncated: dropped > 0,
	}
	if kind == CoverageReports {
		r.Truncated, covered = r.Truncated || len(covered) > maxFiles, covered[:min(len(covered), maxFiles)]
		r.Coverage = coverageOf(covered)
	} else {
		r.Tests = summaryOf(cases)
		if r.Tests.Counts[Broken]+r.Tests.Counts[Errored] > 0 {
			r.Status = "FAILED"
		}
		// Failed tests first, so that they are there whatever is cut off.
		slices.SortStableFunc(cases, func(a, b Case) int { return rank(a.Status) - rank(b.Status) })
		r.Truncated, cases = r.Truncated || len(cases) > maxCases, cases[:min(len(cases), maxCases)]
	}
	body, err := json.Marshal(r)
	if err != nil {
		return r, err
	}
	if _, err := tx.Exec("INSERT INTO build_reports (id, grp, build, status, created, body) VALUES (?, ?, ?, ?, ?, ?)", id, g.Name, made.ID, r.Status, now.UnixMicro(), body); err != nil {
		return r, err
	}
	for n, c := range cases {
		c.Message, c.Name = clip(c.Message, maxMessage), clip(c.Name, maxCaseName)
		body, err := json.Marshal(c)
		if err != nil {
			return r, err
		}
		if _, err := tx.Exec("INSERT INTO build_cases (report, n, grp, name, status, at, version, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", id, n, g.Name, c.full(), c.Status, now.UnixMicro(), made.Facts.Commit, body); err != nil {
			return r, err
		}
	}
	for n, c := range covered {
		body, err := json.Marshal(c)
		if err != nil {
			return r, err
		}
		if _, err := tx.Exec("INSERT INTO build_covered (report, n, body) VALUES (?, ?, ?)", id, n, body); err != nil {
			return r, err
		}
	}
	return r, nil
}

func rank(status string) int {
	if bad(status) {
		return 0
	}
	return 1
}

// clip is the beginning of a text, whole characters of it.
func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "")
}

func summaryOf(cases []Case) *TestSummary {
	s := &TestSummary{Total: len(cases), Counts: map[string]int{Passed: 0, Broken: 0, Errored: 0, Skipped: 0, "UNKNOWN": 0}}
	for _, c := range cases {
		s.Counts[c.Status]++
		s.Duration += c.Duration
	}
	return s
}

func coverageOf(files []Covered) *CoverageSummary {
	s := &CoverageSummary{}
	for _, f := range files {
		s.LinesCovered += f.LinesCovered
		s.LinesMissed += f.LinesMissed
		s.BranchesCovered += f.BranchesCovered
		s.BranchesMissed += f.BranchesMissed
	}
	s.LinePercent, s.BranchPercent = percent(s.LinesCovered, s.LinesMissed), percent(s.BranchesCovered, s.BranchesMissed)
	return s
}

func percent(covered, missed int) float64 {
	if covered+missed == 0 {
		return 0
	}
	return 100 * float64(covered) / float64(covered+missed)
}
