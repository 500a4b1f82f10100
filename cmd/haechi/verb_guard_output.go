package main

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/haechi-dev/haechi/lang/guard"
	"github.com/haechi-dev/haechi/tool/report"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/finding"
)

// guardOutput is what is told of a check.
type guardOutput struct {
	rules   []ruleFile
	data    []dataFile
	results []guardResult
}

// mostShown is how many lines a table has at most.
const mostShown = 200

func (o *guardOutput) table(w io.Writer, show string) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "STATUS\tWHERE\tRULE\tWHY")
	count := map[guard.Status]int{}
	lines, left := 0, 0
	line := func(status guard.Status, where, rule, why string) {
		if lines++; lines > mostShown {
			left++
			return
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", status, where, rule, why)
	}
	for _, r := range o.results {
		for _, v := range r.report.Rules {
			count[v.Status]++
			if !shows(show, v.Status) {
				continue
			}
			if len(v.Failures) == 0 {
				line(v.Status, r.data, v.Rule, "")
			}
			for _, f := range v.Failures {
				line(v.Status, where(f, r.data), v.Rule, reasonOf(f))
			}
			left += v.Omitted
		}
	}
	if lines > 0 {
		t.Flush()
	}
	if left > 0 {
		fmt.Fprintf(w, "… and %d more; -format json holds up to %d of each rule\n", left, guard.MaxFailures)
	}
	fmt.Fprintf(w, "%d rules failed, %d passed, %d unknown, %d skipped (%d files of rules, %d documents)\n", count[guard.Fail], count[guard.Pass], count[guard.Unsure], count[guard.Skip], len(o.rules), len(o.data))
}

func shows(show string, s guard.Status) bool {
	switch show {
	case "all":
		return true
	case "none":
		return false
	case "fail": // what cannot be known is no silence
		return s == guard.Fail || s == guard.Unsure
	}
	return strings.EqualFold(show, s.String())
}

func where(f guard.Failure, data string) string {
	if f.Place.File == "" {
		return data
	}
	return f.Place.String()
}

func reasonOf(f guard.Failure) string {
	text := fmt.Sprintf("%s is %s, expected %s", f.Path, f.Got, f.Want)
	switch {
	case f.Why != "":
		text = f.Why + " (" + f.Text + ")"
	case f.Path == "":
		text = f.Text + " does not hold"
	}
	if f.Message != "" {
		text += ": " + strings.Join(strings.Fields(f.Message), " ")
	}
	return finding.Shorten(strings.Join(strings.Fields(text), " "), 300)
}

// jsonCheck is guard check as JSON.
type jsonCheck struct {
	Status string      `json:"status"`
	Files  []jsonFile  `json:"files"`
	Errors []jsonError `json:"errors"`
}

type jsonFile struct {
	File   string     `json:"file"`
	Rules  string     `json:"rules"`
	Status string     `json:"status"`
	Each   []jsonRule `json:"results"`
}

type jsonRule struct {
	Rule     string        `json:"rule"`
	Status   string        `json:"status"`
	Failures []jsonFailure `json:"failures,omitzero"`
	Omitted  int           `json:"omitted,omitzero"`
	Error    string        `json:"error,omitzero"`
}

type jsonFailure struct {
	Path     string     `json:"path"`
	Place    diag.Place `json:"place"`
	Clause   diag.Place `json:"clause"`
	Text     string     `json:"text"`
	Got      string     `json:"got"`
	Expected string     `json:"expected"`
	Why      string     `json:"why,omitzero"`
	Message  string     `json:"message,omitzero"`
}

type jsonError struct {
	File  string `json:"file"`
	Error string `json:"error"`
}

func (o *guardOutput) json(w io.Writer) error {
	out := jsonCheck{Files: []jsonFile{}, Errors: []jsonError{}}
	worst := guard.Skip
	for _, r := range o.results {
		worst = max(worst, r.report.Status)
		f := jsonFile{File: r.data, Rules: r.rules, Status: r.report.Status.String(), Each: []jsonRule{}}
		for _, v := range r.report.Rules {
			j := jsonRule{Rule: v.Rule, Status: v.Status.String(), Omitted: v.Omitted}
			if v.Err != nil {
				j.Error = v.Err.Error()
			}
			for _, x := range v.Failures {
				j.Failures = append(j.Failures, jsonFailure{x.Path, x.Place, x.Clause, x.Text, x.Got, x.Want, x.Why, x.Message})
			}
			f.Each = append(f.Each, j)
		}
		out.Files = append(out.Files, f)
	}
	for _, r := range o.rules {
		if r.err != nil {
			out.Errors = append(out.Errors, jsonError{r.name, r.err.Error()})
		}
	}
	for _, d := range o.data {
		if d.err != nil {
			out.Errors = append(out.Errors, jsonError{d.name, d.err.Error()})
		}
	}
	out.Status = worst.String()
	return writeJSON(w, out)
}

// findings are what fails, as findings have it.
func (o *guardOutput) findings() (all []finding.Finding) {
	seen := map[string]bool{}
	for _, r := range o.results {
		for _, v := range r.report.Rules {
			if v.Status != guard.Fail && v.Status != guard.Unsure {
				continue
			}
			failures := v.Failures
			if len(failures) == 0 {
				failures = []guard.Failure{{Place: diag.Place{File: r.data}, Text: v.Rule}}
			}
			for _, f := range failures {
				one := guardFinding(v, f, r.data)
				if key := one.ProductFields[finding.FieldFingerprint] + f.Path; !seen[key] {
					seen[key] = true
					all = append(all, one)
				}
			}
		}
	}
	return all
}

func guardFinding(v guard.Verdict, f guard.Failure, data string) finding.Finding {
	place := f.Place
	if place.File == "" || place.File == "standard input" {
		place.File = data
	}
	fields := finding.At(place)
	fields[finding.FieldFingerprint] = finding.Fingerprint(v.Rule, place.File, f.Path, f.Text)
	fields[finding.FieldEvidence] = finding.Shorten(reasonOf(f), 1000)
	label, status := finding.Medium, finding.Failed
	if v.Status == guard.Unsure {
		label, status = finding.Informational, finding.Warning
	}
	title := f.Message
	if title == "" {
		title = v.Rule + " does not hold"
	}
	return finding.Finding{GeneratorID: "guard/" + v.Rule, Title: finding.Shorten(strings.Join(strings.Fields(title), " "), 256), Description: finding.Shorten(reasonOf(f), 1024),
		Severity: &finding.Severity{Label: label}, Compliance: &finding.Compliance{Status: status}, ProductFields: fields,
		Remediation: &finding.Remediation{Recommendation: &finding.Recommendation{Text: finding.Shorten("Expected: "+f.Want, 512)}}}
}

func (o *guardOutput) sarif(w io.Writer) error {
	scan := finding.Scan{Tool: "guard", Target: "guard", Complete: true}
	for _, d := range o.data {
		if d.err != nil {
			scan.Complete = false
			scan.Skipped = append(scan.Skipped, diag.Place{File: d.name, Why: d.err.Error()})
		}
	}
	for _, r := range o.rules {
		if r.err != nil {
			scan.Complete = false
			scan.Skipped = append(scan.Skipped, diag.Place{File: r.name, Why: r.err.Error()})
		}
	}
	var all []finding.Finding
	for _, f := range o.findings() {
		all = append(all, finding.Maker{Account: "000000000000", Region: "us-east-1"}.Own(scan, f, time.Now()))
	}
	return report.SARIF(w, versionText(), []finding.Scan{scan}, all)
}

// What is written of JUnit's XML.
type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	Failure *junitMessage `xml:"failure"`
	Error   *junitMessage `xml:"error"`
	Skipped *junitMessage `xml:"skipped"`
}

type junitMessage struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// add counts a case.
func (s *junitSuite) add(c junitCase) {
	s.Tests++
	s.Failures += count(c.Failure != nil)
	s.Errors += count(c.Error != nil)
	s.Skipped += count(c.Skipped != nil)
	s.Cases = append(s.Cases, c)
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (o *guardOutput) junit(w io.Writer) error {
	all := junitSuites{Name: "haechi guard check"}
	for _, d := range o.data {
		s := junitSuite{Name: d.name}
		if d.err != nil {
			s.add(junitCase{Name: d.name, Class: "input", Error: &junitMessage{Message: clean(d.err.Error())}})
		}
		for _, r := range o.results {
			if r.data != d.name {
				continue
			}
			for _, v := range r.report.Rules {
				s.add(caseOf(r, v))
			}
		}
		all.Suites = append(all.Suites, s)
	}
	for _, r := range o.rules {
		if r.err != nil {
			s := junitSuite{Name: r.name}
			s.add(junitCase{Name: r.name, Class: "rules", Error: &junitMessage{Message: clean(r.err.Error())}})
			all.Suites = append(all.Suites, s)
		}
	}
	return all.write(w)
}

func (all *junitSuites) write(w io.Writer) error {
	for _, s := range all.Suites {
		all.Tests, all.Failures, all.Errors = all.Tests+s.Tests, all.Failures+s.Failures, all.Errors+s.Errors
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func caseOf(r guardResult, v guard.Verdict) junitCase {
	c := junitCase{Name: v.Rule, Class: r.rules}
	var why []string
	for _, f := range v.Failures {
		why = append(why, where(f, r.data)+": "+clean(reasonOf(f)))
	}
	first := ""
	if len(why) > 0 {
		first = why[0]
	}
	m := &junitMessage{Message: first, Text: strings.Join(why, "\n")}
	switch {
	case v.Err != nil:
		c.Error = &junitMessage{Message: clean(v.Err.Error())}
	case v.Status == guard.Fail:
		c.Failure = m
	case v.Status == guard.Unsure:
		m.Message = "UNKNOWN: " + m.Message
		c.Skipped = m
	case v.Status == guard.Skip:
		c.Skipped = &junitMessage{}
	}
	return c
}

// clean leaves out what XML cannot hold.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0xfffe || r == 0xffff {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}
