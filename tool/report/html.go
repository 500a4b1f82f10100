package report

import (
	_ "embed"
	"html/template"
	"io"
	"time"

	"github.com/haechi-dev/haechi/word/finding"
)

//go:embed report.html
var reportPage string

// page is what the template shows.
type page struct {
	Title  string
	At     time.Time
	Counts []pageCount
	Total  int
	Open   int
	Groups []pageGroup
}

type pageCount struct {
	Label finding.Label
	N     int
}

// pageGroup is the findings of one rule with one severity.
type pageGroup struct {
	Label       finding.Label
	Rule, Title string
	Description string
	Fix, Link   string
	CWE         string
	Findings    []pageFinding
}

type pageFinding struct {
	Where, Title, Status, Tool, Package, Excerpt, First string
}

// HTML writes a report that people read and print: one file with nothing to fetch and nothing
// that runs. The findings of one rule stand together, the worst first.
func HTML(w io.Writer, title string, at time.Time, findings []finding.Finding) error {
	t, err := template.New("report").Parse(reportPage)
	if err != nil {
		return err
	}
	p := page{Title: title, At: at.UTC(), Total: len(findings)}
	n := map[finding.Label]int{}
	index := map[[2]string]int{}
	for _, f := range Sorted(findings) {
		n[f.Label()]++
		if f.Open() {
			p.Open++
		}
		id := [2]string{string(f.Label()), f.GeneratorID}
		i, ok := index[id]
		if !ok {
			i = len(p.Groups)
			index[id] = i
			fix, link := advice(&f)
			p.Groups = append(p.Groups, pageGroup{Label: f.Label(), Rule: f.GeneratorID, Title: f.Title, Description: f.Description, Fix: fix, Link: webAddress(link), CWE: f.ProductFields[finding.FieldCWE]})
		}
		p.Groups[i].Findings = append(p.Groups[i].Findings, pageFinding{Where: f.Where(), Title: f.Title, Status: string(f.Status()), Tool: f.ProductFields[finding.FieldTool],
			Package: joined(" ", f.ProductFields[finding.FieldPackage], f.ProductFields[finding.FieldInstalled]), Excerpt: f.ProductFields[finding.FieldExcerpt], First: day(f.FirstObservedAt)})
	}
	for i := len(finding.Labels) - 1; i >= 0; i-- {
		l := finding.Labels[i]
		p.Counts = append(p.Counts, pageCount{l, n[l]})
	}
	return t.Execute(w, p)
}

func day(text string) string {
	t, ok := finding.Time(text)
	if !ok {
		return ""
	}
	return t.Format(time.DateOnly)
}
