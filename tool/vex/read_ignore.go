package vex

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/lang/strict"
	"github.com/haechi-dev/haechi/lang/toml"
	"github.com/haechi-dev/haechi/word/diag"
)

// readTrivyIgnore reads .trivyignore: an id a line, with exp:2026-01-01 where it ends.
func readTrivyIgnore(name string, text []byte) ([]Statement, error) {
	var all []Statement
	number, comment := 0, ""
	for line := range strings.Lines(string(text)) {
		number++
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "#"); ok {
			comment = strings.TrimSpace(rest)
			continue
		}
		if line == "" {
			comment = ""
			continue
		}
		line, after, _ := strings.Cut(line, " #")
		fields := strings.Fields(line)
		s := Statement{Status: NotAffected, Bugs: exacts(fields[0]), Why: orElse(strings.TrimSpace(after), comment), Place: diag.Place{File: name, Line: number}}
		for _, f := range fields[1:] {
			if end, ok := strings.CutPrefix(f, "exp:"); ok {
				t, ok := day(end)
				if !ok {
					return nil, diag.Errorf(s.Place, "%q is no day", end).In(text).WithHint("exp:2026-12-31")
				}
				s.Until = t
			}
		}
		all = append(all, s)
	}
	return all, nil
}

// readTrivyYAML reads .trivyignore.yaml. What it says of secrets, misconfiguration and licences is not about vulnerabilities.
func readTrivyYAML(name string, text []byte) ([]Statement, error) {
	type entry struct {
		ID        string   `yaml:"id"`
		Paths     []string `yaml:"paths"`
		PURLs     []string `yaml:"purls"`
		Until     string   `yaml:"expired_at"`
		Statement string   `yaml:"statement"`
	}
	var file struct {
		Vulnerabilities   []entry `yaml:"vulnerabilities"`
		Misconfigurations []entry `yaml:"misconfigurations"`
		Secrets           []entry `yaml:"secrets"`
		Licenses          []entry `yaml:"licenses"`
	}
	if err := strict.Unmarshal(name, text, &file); err != nil {
		return nil, err
	}
	var all []Statement
	for _, e := range file.Vulnerabilities {
		s := Statement{Status: NotAffected, Bugs: exacts(e.ID), Files: exacts(e.Paths...), Packages: exacts(e.PURLs...), Why: e.Statement, Place: lineOf(name, text, e.ID)}
		if e.Until != "" {
			t, ok := day(e.Until)
			if !ok {
				return nil, diag.Errorf(s.Place, "%q is no day", e.Until).In(text)
			}
			s.Until = t
		}
		all = append(all, s)
	}
	return all, nil
}

func lineOf(name string, text []byte, word string) diag.Place {
	if i := bytes.Index(text, []byte(word)); i >= 0 && word != "" {
		return diag.Place{File: name, Line: 1 + bytes.Count(text[:i], []byte("\n"))}
	}
	return diag.Place{File: name}
}

// readOSVScanner reads osv-scanner.toml: IgnoredVulns and PackageOverrides.
func readOSVScanner(name string, text []byte) ([]Statement, error) {
	doc, err := toml.Parse(name, text)
	if err != nil {
		return nil, err
	}
	get := func(t toml.Table, key string) string { s, _ := t[key].(string); return s }
	until := func(t toml.Table, key string) time.Time { at, _ := t[key].(time.Time); return at }
	tables := func(key string) (all []toml.Table) {
		list, _ := doc[key].([]any)
		for _, item := range list {
			if t, ok := item.(toml.Table); ok {
				all = append(all, t)
			}
		}
		return all
	}
	var all []Statement
	for _, t := range tables("IgnoredVulns") {
		id := get(t, "id")
		if id == "" {
			return nil, diag.Errorf(diag.Place{File: name}, "an entry of IgnoredVulns has no id")
		}
		all = append(all, Statement{Status: NotAffected, Bugs: exacts(id), Why: get(t, "reason"), Until: until(t, "ignoreUntil"), Place: lineOf(name, text, id)})
	}
	for _, t := range tables("PackageOverrides") {
		ignore, _ := t["ignore"].(bool)
		if v, ok := t["vulnerability"].(toml.Table); ok && !ignore {
			ignore, _ = v["ignore"].(bool)
		}
		if !ignore || get(t, "group") != "" {
			continue // it is about licences, or about groups, which are not told apart here
		}
		all = append(all, Statement{Status: NotAffected, Named: []named{{get(t, "ecosystem"), get(t, "name"), get(t, "version")}}, Why: get(t, "reason"), Until: until(t, "effectiveUntil"), Place: lineOf(name, text, get(t, "name"))})
	}
	return all, nil
}

// ruleXML is one <suppress> of Dependency-Check. Which of the first group is there
// says what it is about, the second what of it.
type ruleXML struct {
	Until string    `xml:"until,attr"`
	Notes string    `xml:"notes"`
	Path  *matchXML `xml:"filePath"`
	SHA1  string    `xml:"sha1"`
	GAV   *matchXML `xml:"gav"`
	PURL  *matchXML `xml:"packageUrl"`

	CPE   []matchXML `xml:"cpe"`
	CVE   []string   `xml:"cve"`
	Named []matchXML `xml:"vulnerabilityName"`
	CWE   []string   `xml:"cwe"`
	Below []string   `xml:"cvssBelow"`
}

type matchXML struct {
	Regex string `xml:"regex,attr"`
	Case  string `xml:"caseSensitive,attr"`
	Text  string `xml:",chardata"`
}

// pattern is what the element must match: text, without regard to case unless it asks for it, or an expression.
func (m matchXML) pattern() (pattern, error) {
	text := strings.TrimSpace(m.Text)
	if m.Regex != "true" {
		return pattern{text: text, fold: m.Case != "true"}, nil
	}
	if m.Case != "true" {
		text = "(?i)" + text
	}
	const longest = 2000
	if len(text) > longest {
		return pattern{}, errors.New("an expression longer than is read")
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return pattern{}, fmt.Errorf("the expression %q cannot be read: %w", text, err)
	}
	return pattern{re: re}, nil
}

// readSuppressions reads Dependency-Check's suppressions of version 1.1 to 1.3.
func readSuppressions(name string, text []byte) ([]Statement, error) {
	d := xml.NewDecoder(bytes.NewReader(text))
	var all []Statement
	root := false
	for {
		t, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			line, column := d.InputPos()
			return nil, diag.Errorf(diag.Place{File: name, Line: line, Column: column}, "%v", err).In(text)
		}
		e, ok := t.(xml.StartElement)
		if !ok {
			continue
		}
		if e.Name.Local == "suppressions" {
			root = true
		}
		if e.Name.Local != "suppress" {
			continue
		}
		line, _ := d.InputPos()
		place := diag.Place{File: name, Line: line}
		var rule ruleXML
		if err := d.DecodeElement(&rule, &e); err != nil {
			return nil, diag.Errorf(place, "%v", err).In(text)
		}
		statement, about, err := rule.statement(place)
		if err != nil {
			return nil, diag.Errorf(place, "%v", err).In(text)
		}
		if about {
			all = append(all, statement)
		}
	}
	if !root {
		return nil, diag.Errorf(diag.Place{File: name, Line: 1}, "this is no file of suppressions of Dependency-Check").In(text)
	}
	return all, nil
}

// statement is a rule as a statement. A rule that only takes a guessed CPE away is
// about nothing here: packages are never guessed.
func (r ruleXML) statement(place diag.Place) (s Statement, about bool, err error) {
	s = Statement{Status: NotAffected, Why: strings.Join(strings.Fields(r.Notes), " "), Place: place}
	if r.Until != "" {
		t, ok := day(r.Until)
		if !ok {
			return s, false, fmt.Errorf("%q is no day", r.Until)
		}
		s.Until = t
	}
	for _, cve := range r.CVE {
		s.Bugs = append(s.Bugs, pattern{text: strings.TrimSpace(cve), fold: true})
	}
	for _, n := range r.Named {
		p, err := n.pattern()
		if err != nil {
			return s, false, err
		}
		s.Bugs = append(s.Bugs, p)
	}
	for _, cwe := range r.CWE {
		s.CWEs = append(s.CWEs, "CWE-"+strings.TrimPrefix(strings.TrimSpace(cwe), "CWE-"))
	}
	for _, below := range r.Below {
		n, err := strconv.ParseFloat(strings.TrimSpace(below), 64)
		if err != nil {
			return s, false, fmt.Errorf("%q is no score", below)
		}
		s.Below = max(s.Below, n)
	}
	if len(s.Bugs)+len(s.CWEs) == 0 && s.Below == 0 {
		return s, false, nil
	}
	switch {
	case r.PURL != nil:
		p, err := r.PURL.pattern()
		if err != nil {
			return s, false, err
		}
		s.Packages = append(s.Packages, p)
	case r.GAV != nil: // group:artifact:version
		p, err := r.GAV.pattern()
		if err != nil {
			return s, false, err
		}
		if p.re == nil {
			parts := append(strings.SplitN(p.text, ":", 3), "", "")
			s.Named = append(s.Named, named{"Maven", parts[0] + ":" + parts[1], parts[2]})
		} else {
			s.GAV = p.re
		}
	case r.Path != nil:
		p, err := r.Path.pattern()
		if err != nil {
			return s, false, err
		}
		s.Files = append(s.Files, p)
	case strings.TrimSpace(r.SHA1) != "":
		return s, false, nil // findings do not carry the digests of files
	}
	return s, true, nil
}
