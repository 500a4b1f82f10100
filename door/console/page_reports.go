package console

import (
	"cmp"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"

	"github.com/haechi-dev/haechi/door/reports"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/keeper/snapshot"
	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/room/pipeline"
	"github.com/haechi-dev/haechi/word/fault"
)

const reportsPath = "/reports"

// scanRow is an import: a scan by a tool of a target.
type scanRow struct {
	hub.ScanRecord
	Findings string // path of what the tool sees there
	Run      string // path of the run that made it
}

// readReport is a report that was brought, and what it would do.
type readReport struct {
	Name    string
	Problem string
	Answer  *reports.Answer
	Lists   []changeList
}

type changeList struct {
	Title string
	Lines []reports.Line
	More  int // that are not shown
}

type reportsView struct {
	Upload  *reports.Upload // that waits for a yes
	Reports []readReport
	Fine    bool // something can be imported
	Ask     reports.Ask
	Problem string
	Bring   bool
	Target  string
	Scans   []scanRow
}

func (o *Console) reports() page {
	asks := func(r *request) []iam.Request { return r.ask(reports.Action, "") }
	return page{
		name: "reports", path: reportsPath, nav: "Reports",
		asks: func(r *request) []iam.Request { return r.ask("securityhub:GetFindings", "") },
		view: func(r *request) (any, error) { return o.reportsView(r, nil) },
		actions: map[string]action{
			reportsPath:             {asks: asks, do: o.bringReports, again: o.reportsView},
			reportsPath + "/import": {asks: asks, do: o.importReports, again: o.reportsView},
			reportsPath + "/drop":   {asks: asks, do: o.dropReports},
		},
	}
}

const scansShown = 50

// reportsView is the form, what was brought and waits for a yes, and what was imported so far.
func (o *Console) reportsView(r *request, problem error) (any, error) {
	q := r.URL.Query()
	v := reportsView{Bring: r.may(reports.Action), Target: q.Get("target")}
	if problem != nil {
		v.Problem = problem.Error()
	}
	if id := q.Get("upload"); id != "" && problem == nil {
		u, err := o.config.Reports.Staged(id, r.principal.ARN)
		if err != nil {
			return nil, err
		}
		if err := o.config.Access.Allow(r.Context(), r.ask(reports.Action, "")...); err != nil {
			return nil, err
		}
		v.Upload, v.Ask = &u, u.Ask
		for i, name := range u.Names {
			one, err := o.preview(r, u, i, name)
			if err != nil {
				return nil, err
			}
			v.Fine = v.Fine || one.Problem == ""
			v.Reports = append(v.Reports, one)
		}
	}
	scans, err := o.config.Hub.Scans(r.Context(), v.Target, scansShown)
	if err != nil {
		return nil, err
	}
	for _, s := range scans {
		row := scanRow{ScanRecord: s, Findings: filterPath(`tool:"` + s.Tool + `" target:"` + s.Target + `"`)}
		if run, ok := strings.CutSuffix(s.ID, "/"+s.Tool); ok && o.config.Runs != nil {
			if _, err := o.config.Runs.Execution(r.Context(), run); err == nil {
				row.Run = pipeline.Path(run)
			}
		}
		v.Scans = append(v.Scans, row)
	}
	return v, nil
}

// preview tells what a report would do. One that cannot be read says why.
func (o *Console) preview(r *request, u reports.Upload, i int, name string) (readReport, error) {
	one := readReport{Name: name}
	a, err := o.config.Reports.TakeStaged(r.Context(), u, i, true)
	if err != nil {
		if fault.Of(err) == fault.Internal {
			return one, err
		}
		one.Problem = err.Error()
		return one, nil
	}
	one.Answer = a
	for _, l := range []struct {
		title string
		lines []reports.Line
		n     int
	}{{r.t("it would open"), a.Opens, a.New}, {r.t("it would change"), a.Changes, a.Changed}, {r.t("it would close"), a.Closes, a.Closed}} {
		if l.n > 0 {
			const shown = 50
			lines := l.lines[:min(len(l.lines), shown)]
			one.Lists = append(one.Lists, changeList{l.title, lines, l.n - len(lines)})
		}
	}
	return one, nil
}

// bringReports takes files in. They are imported when whoever brought them has seen what they would do.
func (o *Console) bringReports(r *request) (string, error) {
	parts, err := r.MultipartReader()
	if err != nil {
		return "", fault.Invalid.Errorf("%s", r.t("No report is chosen."))
	}
	form := map[string]string{}
	u, err := o.config.Reports.Stage(r.principal.ARN, func() (string, io.Reader, error) { return nextFile(parts, form) })
	if err != nil {
		return "", err
	}
	ask := reports.Ask{Target: form["target"], Branch: form["branch"], Commit: form["commit"], Tool: form["tool"], Own: true}
	ask.VEX = o.config.Access.Allow(r.Context(), reports.Suppresses(r.principal, r.context())) == nil
	if err := o.config.Reports.Describe(u, ask); err != nil {
		return "", err
	}
	return reportsPath + "?upload=" + url.QueryEscape(u.ID), nil
}

// nextFile is the next file of a form; what is no file goes to form.
func nextFile(parts *multipart.Reader, form map[string]string) (string, io.Reader, error) {
	for {
		p, err := parts.NextPart()
		if err != nil {
			return "", nil, err
		}
		if p.FormName() == "report" {
			if p.FileName() == "" {
				continue // none was chosen
			}
			return p.FileName(), p, nil
		}
		const most = 4096
		text, err := io.ReadAll(io.LimitReader(p, most+1))
		if err != nil {
			return "", nil, err
		}
		if len(text) > most || len(form) > 20 {
			return "", nil, fault.Limit.Errorf("%.40s is too long", p.FormName())
		}
		form[p.FormName()] = strings.TrimSpace(strings.ToValidUTF8(string(text), "\uFFFD"))
	}
}

// importReports imports what was brought and seen.
func (o *Console) importReports(r *request) (string, error) {
	u, err := o.config.Reports.Staged(r.PostFormValue("upload"), r.principal.ARN)
	if err != nil {
		return "", err
	}
	fresh, closed := 0, 0
	var wrong error
	for i := range u.Names {
		a, err := o.config.Reports.TakeStaged(r.Context(), u, i, false)
		if err != nil {
			if fault.Of(err) == fault.Internal {
				return "", err
			}
			wrong = cmp.Or(wrong, err)
			continue
		}
		fresh, closed = fresh+a.New, closed+a.Closed
	}
	if err := o.config.Reports.Drop(u); err != nil {
		return "", err
	}
	if wrong != nil && len(u.Names) == 1 {
		return "", wrong
	}
	r.say("Imported: %d new, %d closed.", fresh, closed)
	return reportsPath + "?target=" + url.QueryEscape(u.Ask.Target), nil
}

func (o *Console) dropReports(r *request) (string, error) {
	u, err := o.config.Reports.Staged(r.PostFormValue("upload"), r.principal.ARN)
	if err == nil {
		err = o.config.Reports.Drop(u)
	}
	return reportsPath, err
}

// mostBody is how large the body of a request may be.
func mostBody(r *http.Request) int64 {
	if r.Method == http.MethodPost && r.URL.Path == reportsPath {
		return reports.MaxUpload
	}
	if r.Method == http.MethodPost && r.URL.Path == permissionsPath+"/snapshot" {
		return snapshot.MaxSize + 1<<20
	}
	return 1 << 20
}
